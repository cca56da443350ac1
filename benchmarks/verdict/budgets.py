"""Budgets: what each figure may be at most, and the file that holds them."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.table import Rows
from benchmarks.verdict.outcome import FINGERPRINTS, Breach

LENGTHS: Final = ("fast", "full")

HEADROOM: Final = {
    "ms": (0.0, 5.0),
    "j": (0.0, 5.0),
    "pct": (0.0, 0.02),
    "hour": (0.0, 59.0),
    "skew_p95_ms": (0.0, 0.5),
    "longest_gap_ms": (0.0, 15.0),
    "lu": (0.0, 0.1),
    "seconds": (1.0, 0.0),
    "start": (1.0, 0.0),
}
"""By measure, or by its last word: the share and the least amount by which its budget stands above
what was measured: room for a change that means well, not for noise, of which there is none. It is
milliseconds whatever the figure is, so that 20 ms more hide nowhere: 5 for delays and for what was
made up, 15 for the longest gap, less than one more event in the fast run's minute, 0.02 points of
it. Only `speed`, in calibration loops, has noise, and a share. Other measures are counts, and have
no room."""

Budgets = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Measurement, "fast" or "full", row, measure: largest value that is good."""


def broken(name: str, measured: Rows, budgets: Mapping[str, Mapping[str, float]]) -> list[Breach]:
    """Return the broken budgets of the measurement `name`.

    A row or a measure that is missing on either side is broken too: what is not measured is not
    held, and a new row without a budget would never fail.
    """
    found = []
    for row in dict.fromkeys([*budgets, *measured]):
        if row not in measured:
            text = f"[{row}]: has budgets, but was not measured"
            found.append(Breach(name, row, "", None, None, text))
        elif row not in budgets:
            text = f"[{row}]: has no budgets: see `gate --rewrite`"
            found.append(Breach(name, row, "", None, None, text))
        else:
            for measure, limit in budgets[row].items():
                value = measured[row].get(measure)
                if value is None:
                    text = f"[{row}] {measure}: no figure; budget {limit:g}"
                    found.append(Breach(name, row, measure, None, limit, text))
                elif not value <= limit:
                    text = f"[{row}] {measure} = {value:g}: budget {limit:g}"
                    found.append(Breach(name, row, measure, value, limit, text))
    return found


def lines_of(path: Path, length: str) -> dict[tuple[str, str], int]:
    """Return the line of each (measurement, row) of one length in a file of budgets, from 1 on."""
    found: dict[tuple[str, str], int] = {}
    name = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        title = re.match(r"\[(?P<name>\w+)\.(?P<length>\w+)\]", line)
        if title:
            name = title["name"] if title["length"] == length else ""
            continue
        row = re.match(r'"(?P<row>[^"]+)" =', line)
        if row and name:
            found[name, row["row"]] = number
    return found


def rewritten(path: Path, budgets: Budgets, length: str, measured: Mapping[str, Rows]) -> str:
    """Return the file with new budgets of one length; its head and the others stay."""
    head = re.split(r"^\[", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
    sections = []
    for one in LENGTHS:
        for name in budgets:
            if one == length and name in measured:
                sections.append(_section(f"{name}.{one}", _limits(measured[name])))
            elif one in budgets[name]:
                sections.append(_section(f"{name}.{one}", budgets[name][one]))
    return head + "\n".join(sections)


def _section(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    lines = [f"[{title}]"]
    for row, limits in rows.items():
        inner = ", ".join(f"{measure} = {limit}" for measure, limit in limits.items())
        lines.append(f'"{row}" = {{ {inner} }}')
    return "\n".join(lines) + "\n"


def _limits(rows: Rows) -> dict[str, dict[str, float]]:
    """Return a budget for every figure, above it by the headroom; None has none."""
    return {
        row: {
            measure: _limit(measure, value)
            for measure, value in figures.items()
            if value is not None and measure not in FINGERPRINTS
        }
        for row, figures in rows.items()
    }


def _limit(measure: str, value: float) -> float:
    by_word = HEADROOM.get(measure.rsplit("_", 1)[-1], (0.0, 0.0))
    share, least = HEADROOM.get(measure, by_word)
    limit = value + max(abs(value) * share, least)
    if measure.endswith(("pct", "ppm")):
        return math.ceil(limit * 100) / 100
    return math.ceil(limit)
