"""Silence by order: who muted the node, until when, and that a power cut does not end it.

```
 MUTE ───────────── its time to live, monotonic, from receipt ─────────► over
   └ kept, signed ─► restart ─── until issue + time to live, trusted ──► over
```
Without a trusted clock only urgent messages sound anyway, so a mute from before a restart waits for
the clock to end. An authority below the one that muted neither ends nor replaces it, and no mute
keeps an urgent message from sounding.
"""

from typing import Final

from node.control.trust.gatekeeper import Order
from node.control.trust.message import Kind

KEY: Final = "order/mute"


class Mute:
    """Whether normal and priority messages are silenced, and by whom."""

    def __init__(self) -> None:
        self._by: str | None = None
        self._level = 0
        self._until_ns: int | None = None
        self._until_s = 0

    def receive_order(self, order: Order, now_ns: int) -> tuple[str, bytes | None]:
        """Take an authorised MUTE or UNMUTE; return its fate and what to keep under `KEY`."""
        self.handle_deadline(now_ns)
        if self._by is not None and order.authority.level > self._level:
            return "muted from above", None
        if order.message.kind is Kind.UNMUTE:
            self._by = None
            return "obeyed", b""
        self._by, self._level = order.authority.name, order.authority.level
        self._until_ns = order.until_ns
        return "obeyed", order.sealed

    def restore(self, order: Order) -> None:
        """Take a kept MUTE after a restart; it was checked again."""
        if order.message.kind is Kind.MUTE:
            self._by, self._level = order.authority.name, order.authority.level
            self._until_ns = None
            self._until_s = order.message.issued_s + order.message.ttl_s

    def receive_time(self, utc_s: int) -> None:
        """Take a trusted civil time: a mute from before a restart ends by it."""
        if self._until_ns is None and utc_s >= self._until_s:
            self._by = None

    def handle_deadline(self, now_ns: int) -> None:
        """End a mute whose time to live is over."""
        if self._until_ns is not None and now_ns >= self._until_ns:
            self._by = None

    def next_deadline_ns(self) -> int | None:
        """Return when it ends, or None."""
        return self._until_ns if self._by is not None else None

    @property
    def by(self) -> str | None:
        """Who muted the node; None when nobody did."""
        return self._by
