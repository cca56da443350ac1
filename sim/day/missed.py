"""What was due at a node that kept no record of it: a cluster that played nothing is a row too."""

from collections.abc import Sequence

from node.control.calendar.programme import Calendar, ProgrammeConfig
from node.units import NS_PER_S
from sim.day.fates import item_name
from sim.day.station import Station
from sim.gateway.power import Uptime
from sim.result.day import UNWARNED, DayItem, DayOrder


def with_missed(
    told: list[DayItem],
    node: str,
    programme: ProgrammeConfig,
    power: Sequence[Uptime],
    station: Station,
    *,
    timed_s: Sequence[tuple[float, float]],
    begin_ns: int = 0,
) -> list[DayItem]:
    """Return the items that a node told of, and those of its calendar that it did not.

    `power` and `timed_s`, when it ran and when it knew the time, count from `begin_ns` on.
    """
    midnight_s = station.midnight_s
    known = {(one.item, int(one.due_s)) for one in told}
    counted = {one.item for one in told if one.outcome == "missed"}
    found = list(told)
    for due in Calendar(programme).due_between(midnight_s - 1, midnight_s + station.day_s - 1):
        due_s = due.due_s - midnight_s
        if (due.name, due_s) in known or due.name in counted:
            continue
        at_ns = due_s * NS_PER_S - begin_ns
        reason = "the node kept no record: no plan had come"
        if not any(one.start_ns <= at_ns < one.end_ns for one in power):
            reason = "no power"
        elif not any(begin_s <= at_ns / NS_PER_S < end_s for begin_s, end_s in timed_s):
            reason = "the time was not known"
        message_class = programme.items[due.index].message_class
        found.append(_unplayed(node, due.name, float(due_s), reason, message_class=message_class))
    return found


def with_unwarned(told: list[DayItem], orders: Sequence[DayOrder]) -> list[DayItem]:
    """Return the items of one node, and each warning that it kept no record of."""
    known = {one.item for one in told}
    found = list(told)
    for order in orders:
        name = item_name(order.number)
        silent = order.fate in UNWARNED and order.first_sound_s is None
        if order.kind == "alert" and silent and name not in known:
            known.add(name)
            found.append(_unplayed(order.node, name, order.sent_s, order.reason, order.fate))
    return found


def _unplayed(
    node: str,
    item: str,
    due_s: float,
    reason: str,
    fate: str = "",
    *,
    message_class: str = "urgent",
) -> DayItem:
    return DayItem(
        node=node,
        item=item,
        message_class=message_class,
        outcome="not known" if fate == "not known" else "missed",
        reason=reason,
        due_s=due_s,
        started_s=None,
        first_sample_ms=None,
        sounded_s=0,
        volume=-1,
        expected_dba=0.0,
        languages="",
        failed="",
    )
