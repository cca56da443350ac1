"""Whom one warning reaches in the flood, and when: exact, so that no order is dropped unseen.

A node that drops orders raises `unwarned`; one that plays a warning twice raises `said_s`; what
is later raises the times, which count from the order.

Options: --fast (the same: it takes seconds).
"""

from typing import Final

from benchmarks import table
from benchmarks.options import fast_and_row
from sim.day.run import run_day
from sim.result.day import DayResult
from sim.village.places import build_village
from sim.village.scenario import load

SCENARIOS: Final = ("flood_night",)


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the fates of each scenario's warning."""
    rows: dict[str, dict[str, float | None]] = {}
    for name in SCENARIOS:
        if row in (None, name):
            asked = load(name)
            rows[name] = _figures(run_day(asked, build_village(asked)))
    return rows


def run(arguments: list[str]) -> int:
    """Print and write the figures; return 0."""
    fast, row = fast_and_row("warned", __doc__, arguments)
    table.show("warned", "One warning in the flood", measure(fast=fast, row=row))
    return 0


def _figures(day: DayResult) -> dict[str, float | None]:
    names = ("unwarned", "warned_late", "warned_in_part", "first_warned_max_s")
    found = {name: _rounded(day.totals[name]) for name in names}
    at_once = [one.first_sound_s for one in day.orders if one.fate == "heard"]
    known = [one for one in at_once if one is not None]
    said_s = sum(one.until_s - one.from_s for one in day.spans)
    return found | {
        "first_sound_at_once_max_s": _rounded(max(known, default=None)),
        "said_s": _rounded(said_s),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
