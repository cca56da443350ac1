"""Calendars and volume plans by order: one of each per tier, and which are in force.

```
 province's ─┐  all calendars are in force side by side, each under its own right
 commune's ──┼─►
 hamlet's ───┘  a message is as loud as the plan of its own tier says, or the nearest above it;
 own file  ──   so nobody makes softer what comes from above; its items until a calendar of their
                tier, or one above, is ordered
```
A plan ends with the right of the key that signed it, at once, and the node says so. It sets the
volume of the classes that its key may order, and no key of its tier that may order less takes its
place.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.control import orders
from node.control.calendar.programme import ItemConfig, ProgrammeConfig
from node.control.calendar.programmes import OWN, InForce
from node.control.civil_time import Least
from node.control.loudness.schedule import VolumeConfig, VolumeSchedule
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig
from node.control.trust.authority import AuthorityBook, Warrant
from node.control.trust.fates import NOT_ITS_PLAN
from node.control.trust.message import Kind
from node.control.trust.order import Order
from node.control.trust.ordered_by import OrderedBy
from node.events import Note, Persist

ENDED: Final = "the certificate has ended"
"""It may be renewed: a plan waits for that, and is not in force."""


@dataclass(frozen=True, slots=True)
class _Calendar:
    plan: ProgrammeConfig
    by: OrderedBy


@dataclass(frozen=True, slots=True)
class _Volume:
    schedule: VolumeSchedule
    warrant: Warrant
    name: str


class Plans:
    """What was ordered to play and how loud, beside what the node's own file says."""

    def __init__(self, config: ControlConfig, book: AuthorityBook) -> None:
        self._config = config
        self._book = book
        self._tiers = config.priority.tiers
        self._calendars: dict[int, _Calendar] = {}
        self._volumes: dict[int, _Volume] = {}
        self._own = VolumeSchedule(config.volume, config.place)
        self._own_above = [self._items_above(level) for level in range(len(self._tiers))]
        self._events: list[Persist | Note] = []

    def receive_order(self, order: Order) -> str:
        """Take an authorised CALENDAR or VOLUME message; return its fate."""
        fate = self._take(order)
        if fate == "obeyed":
            name = _name(order.message.kind, order.authority.level)
            self._events.append(Persist(name, order.sealed))
        return fate

    def restore(self, order: Order) -> None:
        """Take a kept order after a restart; it was checked again."""
        self._take(order)

    def keep_allowed(self, least: Least, now_ns: int) -> None:
        """End the plans of those who may not order them any more, and say so."""
        for level, one in list(self._calendars.items()):
            why = self._no_right(one.by.warrant, least)
            if why is not None and why != ENDED:
                del self._calendars[level]
                self._tell_end(Kind.CALENDAR, level, one.by.name, why, now_ns)
        for level, plan in list(self._volumes.items()):
            why = self._no_right(plan.warrant, least)
            if why is not None and why != ENDED:
                del self._volumes[level]
                self._tell_end(Kind.VOLUME, level, plan.name, why, now_ns)

    def calendars(self) -> InForce:
        """Return the calendars in force and who ordered them.

        Of the node's own file the items of tiers above all these are: no lower one ends them. A
        certificate that ended may be renewed: what it ordered is in force and does not play.
        """
        if not self._calendars:
            return {OWN: (self._config.programme, None)}
        found = {level: (one.plan, one.by) for level, one in self._calendars.items()}
        highest = min(found)
        if highest > OWN and self._own_above[highest].items:
            return {OWN: (self._own_above[highest], None), **found}
        return found

    def volume(self, level: int, message_class: MessageClass, least: Least) -> VolumeSchedule:
        """Return the volume plan for messages of a class and of tier `level`.

        Who may order nothing of that class does not say how loud it is.
        """
        for nearest in sorted((one for one in self._volumes if one <= level), reverse=True):
            plan = self._volumes[nearest]
            if self._no_right(plan.warrant, least, message_class) is None:
                return plan.schedule
        return self._own

    def next_event(self) -> Persist | Note | None:
        """Return the oldest thing to keep or to tell, or None."""
        return self._events.pop(0) if self._events else None

    def _take(self, order: Order) -> str:
        plan = orders.read_plan(order.message, self._config.programme)
        if isinstance(plan, str):
            return plan
        authority = order.authority
        if self._is_of_more(order):
            return NOT_ITS_PLAN
        if isinstance(plan, VolumeConfig):
            schedule = VolumeSchedule(plan, self._config.place)
            self._volumes[authority.level] = _Volume(schedule, order.warrant, authority.name)
            return "obeyed"
        for item in plan.items:
            if order.until_ns and item.message_class_value > authority.class_max:
                return f"above its class: item {item.name!r} is {item.message_class}"
            if item.level not in self._tiers:
                known = ", ".join(self._tiers)
                return f"item {item.name!r}: level = {item.level!r}: must be one of {known}"
        capped = tuple(self._of_its_level(item, authority.level) for item in plan.items)
        plan = replace(plan, items=capped)
        by = OrderedBy(authority.name, order.warrant, self._book)
        self._calendars[authority.level] = _Calendar(plan, by)
        return "obeyed"

    def _is_of_more(self, order: Order) -> bool:
        """Return whether the plan in its place is of a key that may order more."""
        level = order.authority.level
        if order.message.kind is Kind.VOLUME:
            volume = self._volumes.get(level)
            held = None if volume is None else volume.warrant
        else:
            calendar = self._calendars.get(level)
            held = None if calendar is None else calendar.by.warrant
        return held is not None and not self._book.gives_way(held, order.authority)

    def _of_its_level(self, item: ItemConfig, level: int) -> ItemConfig:
        """Return `item` as one of the tier that ordered it, or of the lower one that it names."""
        lowest = max(level, self._tiers.index(item.level))
        return replace(item, level=self._tiers[lowest])

    def _items_above(self, level: int) -> ProgrammeConfig:
        """Return the node's own file without the items of tier `level` and below."""
        own, above = self._config.programme, self._tiers[:level]
        return replace(own, items=tuple(one for one in own.items if one.level in above))

    def _no_right(
        self, warrant: Warrant, least: Least, message_class: MessageClass = MessageClass.NORMAL
    ) -> str | None:
        holder = self._book.may(warrant, message_class, least)
        return holder if isinstance(holder, str) else None

    def _tell_end(self, kind: Kind, level: int, name: str, why: str, now_ns: int) -> None:
        self._events.append(Persist(_name(kind, level), b""))
        what = "calendar" if kind is Kind.CALENDAR else "volume plan"
        text = f"the {what} of {name} ended: {why}; send it again, signed by a key that may"
        self._events.append(Note(text, now_ns))


def _name(kind: Kind, level: int) -> str:
    key = orders.CALENDAR_KEY if kind is Kind.CALENDAR else orders.VOLUME_KEY
    return f"{key}/{level}"
