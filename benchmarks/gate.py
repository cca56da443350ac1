"""Hold the exact figures of `latency`, `dropout` and others against budgets.toml.

Options: --fast (the short run, with its own budgets), --rewrite (put budgets for what is measured
now, with the headroom of `HEADROOM`, into budgets.toml; the diff shows what a change costs).

The figures are virtual time, so they have no noise and the comparison no tolerance: what a change
costs is seen in the row that it costs.
"""

import importlib
import math
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import measurements, parser_of

LENGTHS: Final = ("fast", "full")
BUDGETS: Final = Path(__file__).with_name("budgets.toml")

HEADROOM: Final = {
    "ms": (0.05, 5.0),
    "j": (0.05, 5.0),
    "pct": (0.2, 0.05),
    "hour": (0.2, 60.0),
    "skew_p95_ms": (0.2, 0.5),
    "longest_gap_ms": (0.2, 20.0),
    "seconds": (1.0, 0.0),
}
"""By measure, or by its last word: the share and the least amount by which its budget stands above
what was measured: room for a change that means well, not for noise, of which there is none. Only
`speed`, in loops per 1000 node-seconds, has noise. Other measures are counts, and have no room."""

Budgets = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Measurement, "fast" or "full", row, measure: largest value that is good."""


def run(arguments: list[str]) -> int:
    """Print every broken budget and return 1, or 0 when all hold; 2 for a wrong budgets.toml."""
    parser = parser_of("gate", __doc__)
    parser.add_argument("--fast", action="store_true", help="the short run that CI does")
    parser.add_argument("--rewrite", action="store_true", help="take what is measured as budgets")
    options = parser.parse_args(arguments)
    length = "fast" if options.fast else "full"
    try:
        budgets: Budgets = tomllib.loads(BUDGETS.read_text(encoding="utf-8"))
        names = [name for name in budgets if length in budgets[name]]
        measured = {name: _measure(name, fast=length == "fast") for name in names}
    except (OSError, tomllib.TOMLDecodeError, ModuleNotFoundError, TypeError) as fault:
        print(f"gate: {BUDGETS.name}: {fault}", file=sys.stderr)
        return 2
    if options.rewrite:
        BUDGETS.write_text(rewrite(budgets, length, measured), encoding="utf-8")
        return 0
    broken = [
        f"gate: {name} {line}"
        for name in names
        for line in compare(measured[name], budgets[name][length])
    ]
    table.write(f"gate_{length}", {"broken": broken, "measured": measured})
    for line in broken:
        print(line, file=sys.stderr)
    held = sum(len(row) for name in names for row in budgets[name][length].values())
    print(f"gate: {held - len(broken)} of {held} budgets hold ({length})")
    return 1 if broken else 0


def compare(measured: table.Rows, budgets: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return a line for each broken budget: row, measure, value, limit.

    A row or a measure that is missing on either side is broken too: what is not measured is not
    held, and a new row without a budget would never fail.
    """
    lines = []
    for row in dict.fromkeys([*budgets, *measured]):
        if row not in measured:
            lines.append(f"[{row}]: has budgets, but was not measured")
        elif row not in budgets:
            lines.append(f"[{row}]: has no budgets: see `python -m benchmarks gate --rewrite`")
        else:
            for measure, limit in budgets[row].items():
                value = measured[row].get(measure)
                if value is None:
                    lines.append(f"[{row}] {measure}: no figure; budget {limit:g}")
                elif not value <= limit:
                    lines.append(f"[{row}] {measure} = {value:g}: budget {limit:g}")
    return lines


def rewrite(budgets: Budgets, length: str, measured: Mapping[str, table.Rows]) -> str:
    """Return budgets.toml with new budgets of one length; its head and the others stay."""
    head = re.split(r"^\[", BUDGETS.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[0]
    sections = []
    for one in LENGTHS:
        for name in budgets:
            if one == length and one in budgets[name]:
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


def _limits(rows: table.Rows) -> dict[str, dict[str, float]]:
    """Return a budget for every figure, above it by the headroom; None has none."""
    return {
        row: {
            measure: _limit(measure, value)
            for measure, value in figures.items()
            if value is not None
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


def _measure(name: str, *, fast: bool) -> table.Rows:
    module = importlib.import_module(measurements()[name])
    rows: table.Rows = module.measure(fast=fast)
    return rows
