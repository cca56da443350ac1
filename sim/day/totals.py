"""A day in some numbers: what was asked, what the rules made of it, who went before whom."""

from collections.abc import Sequence
from typing import Final

from sim.day.heard import IN_PART
from sim.day.stagger import StaggerPlan
from sim.result.day import NOT_OBEYED, STRANGERS, UNWARNED, DayDecision, DayItem, DayOrder, DaySpan

_CUT_OFF: Final = ("stopped", "interrupted", "cancelled", IN_PART)

_LEVEL_STEP_DBA = 0.05
"""Levels are rounded to 0.1 dB: half a step is no breach."""


def totals_of(
    items: Sequence[DayItem],
    spans: Sequence[DaySpan],
    decisions: Sequence[DayDecision],
    turns: StaggerPlan,
) -> dict[str, float | int | None]:
    """Return the figures of a day.

    `breaches` counts stretches above the limit in force that nobody justified: it must be 0.
    """
    first_ms = [one.first_sample_ms for one in items if one.first_sample_ms is not None]
    urgent_ms = [
        one.first_sample_ms
        for one in items
        if one.message_class == "urgent" and one.first_sample_ms is not None
    ]
    outcomes = [one.outcome for one in items]
    return {
        "items": len(items),
        "played": outcomes.count("played"),
        "refused": outcomes.count("refused"),
        "missed": outcomes.count("missed"),
        "cut_off": sum(one in _CUT_OFF for one in outcomes),
        "items_not_known": outcomes.count("not known"),
        "lowered_minutes": minutes(spans, "lower"),
        "silenced_minutes": minutes(spans, "refuse"),
        "justified_minutes": minutes(spans, "justify"),
        "breaches": sum(is_breach(span) for span in spans),
        "loudest_dba": max(
            (one.played_dba for one in spans if one.played_dba is not None), default=None
        ),
        "taken_over": len(decisions),
        "first_sample_max_ms": max(first_ms, default=None),
        "urgent_first_sample_max_ms": max(urgent_ms, default=None),
        "pairs_overlapping": turns.pairs,
        "pairs_left": turns.pairs_left,
    }


def warned_totals(orders: Sequence[DayOrder]) -> dict[str, float | int | None]:
    """Return how many clusters the warnings of a day reached, the worst of a cluster's counted.

    `unwarned` clusters did not hear all of a warning that was for them (`warned_in_part` heard some
    of it), or it is not known whether they did (`not_known`); `warned_late` heard all, but so.
    """
    fates: dict[str, set[str]] = {}
    for one in orders:
        if one.kind == "alert" and one.fate != "not for here":
            fates.setdefault(one.node, set()).add(one.fate)
    unwarned = {node for node, met in fates.items() if met & set(UNWARNED)}
    rest = {node: met for node, met in fates.items() if node not in unwarned}
    first_s = [one.first_sound_s for one in orders if one.first_sound_s is not None]
    return {
        "to_warn": len(fates),
        "warned": len(rest),
        "unwarned": len(unwarned),
        "not_known": sum("not known" in met for met in fates.values()),
        "warned_late": sum("late" in met for met in rest.values()),
        "warned_in_part": sum("heard in part" in met for met in fates.values()),
        "first_warned_max_s": max(first_s, default=None),
    }


def strangers_totals(orders: Sequence[DayOrder]) -> dict[str, float | int | None]:
    """Return how many orders strangers sent to a node, and how many it did: that must be 0."""
    sent = [one for one in orders if one.kind in STRANGERS]
    return {
        "strangers_orders": len(sent),
        "strangers_obeyed": sum(one.fate == "obeyed" for one in sent),
    }


def orders_totals(orders: Sequence[DayOrder]) -> dict[str, float | int | None]:
    """Return at how many clusters an order, other than a warning, was not obeyed or may not have
    been: each counts once.
    """
    own = [one for one in orders if one.kind not in ("alert", *STRANGERS)]
    return {"orders_not_obeyed": len({one.node for one in own if one.fate in NOT_OBEYED})}


def minutes(spans: Sequence[DaySpan], action: str) -> float:
    """Return how long the noise rule did `action`, all nodes together, in minutes."""
    return round(sum(one.until_s - one.from_s for one in spans if one.action == action) / 60, 1)


def is_breach(span: DaySpan) -> bool:
    """Return whether it was louder than the limit and nobody had said why that may be."""
    if span.played_dba is None or span.limit_dba is None or span.action == "justify":
        return False
    return span.played_dba > span.limit_dba + _LEVEL_STEP_DBA


WARNING_FIGURES: Final = tuple(warned_totals(()))
"""Names of what is counted of warnings."""

DAY_FIGURES: Final = (
    *totals_of((), (), (), StaggerPlan((), (), 0, 0)), *WARNING_FIGURES, *orders_totals(()),
    *strangers_totals(()),
)  # fmt: skip
"""Names of all totals of a day."""
