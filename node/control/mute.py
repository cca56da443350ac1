"""Silence by order: who muted the node, until when, and that a power cut does not end it.

```
 MUTE ───────────── its time to live, monotonic, from receipt ─────────► over
   └ kept, signed ─► restart ─── until issue + time to live, trusted ──► over
```
Each authority has a mute of its own, which ends by itself, by an UNMUTE of its tier or one above,
or with the right of its key. It silences what is not urgent and comes from its own tier or below:
nobody mutes who stands above, and the shorter of two mutes takes nothing from the longer. Within
its own tier it silences only classes that its key may order, and is ended only by who may order as
much.

Without a trusted clock a mute from before a restart waits for the clock to end.
"""

from dataclasses import dataclass
from typing import Final

from node.control.civil_time import FAR_S, NO_TIME, Least
from node.control.precedence import MessageClass
from node.control.trust.authority import AuthorityBook, Warrant
from node.control.trust.message import Kind
from node.control.trust.order import Order
from node.control.trust.shares import OVERFLOW, Claim, Shares
from node.events import Persist

PREFIX: Final = "mute/"

MUTES_MAX: Final = 32
"""At once, each of another key."""

MUTED_FROM_ABOVE: Final = "muted from above"
"""Of an UNMUTE that has ended what it may, and something is left."""

NOBODY: Final = 1 << 30
"""A level below all tiers: nothing is muted."""


@dataclass(slots=True)
class _Mute:
    name: str
    level: int
    warrant: Warrant
    until_ns: int | None
    """Monotonic; None: it was kept over a restart and ends by `until_s`."""
    until_s: int
    kept_as: str
    """Name of the order that is kept."""


class Mutes:
    """Who has silenced normal and priority messages, and of which tiers."""

    def __init__(self, tiers: int, book: AuthorityBook) -> None:
        self._book = book
        self._shares = Shares(MUTES_MAX, tiers, 1)
        self._mutes: dict[bytes, _Mute] = {}
        self._events: list[Persist] = []

    def receive_order(self, order: Order, now_ns: int) -> str:
        """Take an authorised MUTE or UNMUTE; return its fate."""
        self.handle_deadline(now_ns)
        if order.message.kind is Kind.UNMUTE:
            by = order.authority
            self._drop(
                [k for k, one in self._mutes.items() if self._book.gives_way(one.warrant, by)]
            )
            return MUTED_FROM_ABOVE if self._mutes else "obeyed"
        key = order.message.key_id
        if key not in self._mutes:
            keys = list(self._mutes)
            held = [Claim(one.level, 0, one.warrant.key_id) for one in self._mutes.values()]
            gone = self._shares.make_room(held, Claim(order.authority.level, 0, key))
            if gone is None:
                return "too many mutes"
            self._drop([keys[index] for index in gone])
        name = f"{PREFIX}{key.hex()}/{order.authority.level}"
        if key in self._mutes and self._mutes[key].kept_as != name:
            self._drop([key])
        self._mutes[key] = _made(order, order.until_ns, name)
        self._events.append(Persist(name, order.sealed))
        return "obeyed"

    def restore(self, order: Order, name: str) -> None:
        """Take the MUTE that was kept as `name` after a restart; it was checked again."""
        if order.message.kind is Kind.MUTE and len(self._mutes) < OVERFLOW * MUTES_MAX:
            self._mutes[order.message.key_id] = _made(order, None, name)

    def _receive_time(self, least: Least) -> None:
        """Take a trusted civil time: a mute from before a restart ends by it."""
        self._drop(
            [
                key
                for key, one in self._mutes.items()
                if one.until_ns is None and least.at(one.level) >= one.until_s
            ]
        )

    def handle_deadline(self, now_ns: int) -> None:
        """End the mutes whose time to live is over."""
        over = [
            key
            for key, one in self._mutes.items()
            if one.until_ns is not None and now_ns >= one.until_ns
        ]
        self._drop(over)

    def keep_allowed(self, least: Least, *, trusted: bool) -> None:
        """End the mutes of who may not mute any more, and by a `trusted` time what is over."""
        if trusted:
            self._receive_time(least)
        self._drop(
            [
                key
                for key, one in self._mutes.items()
                if isinstance(self._book.may(one.warrant, MessageClass.NORMAL, least), str)
            ]
        )

    def next_event(self) -> Persist | None:
        """Return the oldest thing to keep, or None."""
        return self._events.pop(0) if self._events else None

    def next_deadline_ns(self) -> int | None:
        """Return when the next one ends, or None."""
        ends_ns = [one.until_ns for one in self._mutes.values() if one.until_ns is not None]
        return min(ends_ns, default=None)

    def next_end_s(self, utc_s: int, *, trusted: bool) -> int:
        """Return in how many seconds the next one that was kept over a restart ends."""
        kept = [one.until_s - utc_s for one in self._mutes.values() if one.until_ns is None]
        return max(min(kept), 1) if kept and trusted else FAR_S

    @property
    def levels(self) -> tuple[int, int, int]:
        """The highest tier that is muted, by class: it and all below it are; `NOBODY`: none is."""
        reach = [(one.level, self._class_max(one)) for one in self._mutes.values()]
        normal, priority = (
            min((level + (most < kind) for level, most in reach), default=NOBODY)
            for kind in (MessageClass.NORMAL, MessageClass.PRIORITY)
        )
        return normal, priority, NOBODY

    @property
    def by(self) -> str | None:
        """Who muted the node, the highest one; None when nobody did."""
        highest = min(self._mutes.values(), key=lambda one: one.level, default=None)
        return None if highest is None else highest.name

    def _class_max(self, one: _Mute) -> MessageClass:
        holder = self._book.may(one.warrant, MessageClass.NORMAL, NO_TIME)
        return MessageClass.NORMAL if isinstance(holder, str) else holder.class_max

    def _drop(self, keys: list[bytes]) -> None:
        for key in keys:
            self._events.append(Persist(self._mutes.pop(key).kept_as, b""))


def _made(order: Order, until_ns: int | None, kept_as: str) -> _Mute:
    by, until_s = order.authority, order.message.issued_s + order.message.ttl_s
    return _Mute(by.name, by.level, order.warrant, until_ns, until_s, kept_as)
