"""The handful of figures that stand at the top of the page and under the terminal table."""

from dataclasses import dataclass
from typing import Final

from sim.report.budgets import BUDGETS, is_silent
from sim.report.classes import hamlet_name, place_name
from sim.report.svg import number
from sim.result.run import RunResult

_LONG: Final = 1000
"""So many clusters and a fraction does not fit its box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One figure with its unit, what it is, and what makes it worth reading."""

    value: str
    unit: str
    name: str
    note: str
    good: bool = True
    """Within its budget."""


def headline(result: RunResult) -> list[Headline]:
    """Return the figures of a run that a planner asks for first."""
    rows = result.nodes
    heard = [row for row in rows if not is_silent(row)]
    worst = max(rows, key=lambda row: row.dropout_pct)
    gap = max(rows, key=lambda row: row.longest_gap_ms)
    long = gap.longest_gap_ms >= 10_000
    p99 = [row.mouth_to_ear_p99_ms for row in heard if row.mouth_to_ear_p99_ms is not None]
    p50 = result.totals.get("mouth_to_ear_p50_ms")
    skew = max((row.skew_p95_ms for row in heard if row.skew_p95_ms is not None), default=None)
    misses = sum(row.deadline_misses for row in rows)
    limits = {budget.name: budget.limit for budget in BUDGETS}
    return [
        *_warned(result),
        Headline(
            value=f"{len(heard)}/{len(rows)}" if len(rows) < _LONG else str(len(heard)),
            unit="" if len(rows) < _LONG else f"of {number(len(rows))}",
            name="clusters played",
            note="all of them" if len(heard) == len(rows) else f"{len(rows) - len(heard)} silent",
            good=len(heard) == len(rows),
        ),
        Headline(
            value=number(result.totals.get("dropout_pct"), 2),
            unit="%",
            name="dropped out",
            note=f"worst {number(worst.dropout_pct, 2)} %, {hamlet_name(worst)}",
            good=worst.dropout_pct <= limits["dropout"],
        ),
        Headline(
            value=number(p50),
            unit="ms",
            name="mouth to ear, median",
            note=f"p99 of the worst cluster {number(max(p99, default=None))} ms",
            good=max(p99, default=0.0) <= limits["mouth_to_ear_p99"],
        ),
        Headline(
            value=number(skew, 1),
            unit="ms",
            name="apart from the group",
            note="p95 of the worst cluster",
            good=skew is None or skew <= limits["skew_p95"],
        ),
        Headline(
            value=number(gap.longest_gap_ms / 1000, 1) if long else number(gap.longest_gap_ms),
            unit="s" if long else "ms",
            name="longest gap",
            note=place_name(gap),
        ),
        Headline(
            value=number(misses),
            unit="",
            name="periods missed",
            note="a gateway too slow for its card",
            good=misses <= limits["deadline_misses"],
        ),
    ]


def _warned(result: RunResult) -> list[Headline]:
    """Return how many clusters were warned, where there was a warning."""
    if result.day is None or not result.day.totals["to_warn"]:
        return []
    totals = result.day.totals
    silent, slowest_s = totals["unwarned"], totals["first_warned_max_s"]
    note = "not one" if slowest_s is None else f"the last {slowest_s:.1f} s after the order"
    return [
        Headline(
            value=f"{totals['warned']}/{totals['to_warn']}",
            unit="",
            name="clusters warned",
            note=f"{silent} NOT warned; {note}" if silent else note,
            good=not silent,
        )
    ]
