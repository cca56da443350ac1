"""What was missed, told one by one or, when it is much, by name with a count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.control.calendar.play_state import Outcome
from node.control.calendar.programme import Counted, Due

MISSED_EACH_MAX: Final = 32
"""So many missed items have a record each; of more there is one per name, with their count."""

Missed = tuple[Due, Outcome, str]


@dataclass(slots=True)
class Owed:
    """One record that is owed."""

    name: str
    day: str
    outcome: Outcome
    reason: str
    due_s: int
    count: int
    last_day: str


def counted(missed: list[Missed], long_ago: Sequence[Counted], gap_reason: str) -> list[Owed]:
    """Return the records that are owed for what was missed, and for what was only counted."""
    each = [
        Owed(due.name, due.day, outcome, reason, due.due_s, 1, due.day)
        for due, outcome, reason in missed
    ]
    if not long_ago and len(each) <= MISSED_EACH_MAX:
        return each
    whole = [
        Owed(one.name, one.first_day, "missed", gap_reason, 0, one.count, one.last_day)
        for one in long_ago
    ]
    # The days right after the horizon come before those that were counted, the recent ones after.
    return _by_name(sorted([*each, *whole], key=lambda one: one.day))


def _by_name(owed: list[Owed]) -> list[Owed]:
    """Return one entry per (name, outcome, reason) with its count and last day."""
    groups: dict[tuple[str, Outcome, str], Owed] = {}
    for one in owed:
        first = groups.setdefault((one.name, one.outcome, one.reason), one)
        if first is not one:
            first.count += one.count
            first.last_day = one.last_day
    for one in groups.values():
        one.reason = f"{one.reason}, until {one.last_day}"
    return list(groups.values())
