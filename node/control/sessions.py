"""Live streams that a signed session announced: only these may speak, and only so long."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from node.control.gatekeeper import Order
from node.control.message import Kind
from node.control.orders import read_session
from node.control.precedence import MessageClass

SESSIONS_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class SourceAllowed:
    """A signed session announced the live stream `source` (its SSRC)."""

    source: int
    message_class: MessageClass
    level: str


@dataclass(frozen=True, slots=True)
class SourceEnded:
    """The session of the live stream `source` is over."""

    source: int


@dataclass(slots=True)
class _Session:
    message_class: MessageClass
    level: str
    until_ns: int
    key_id: bytes


class Sessions:
    """The announced streams of one node; each session ends by itself unless renewed."""

    def __init__(self) -> None:
        self._open: dict[int, _Session] = {}
        self._events: deque[SourceAllowed | SourceEnded] = deque()

    def receive_order(self, order: Order) -> str:
        """Open, renew or end a session by an authorised SESSION or SESSION_END message."""
        session = read_session(order.message)
        if session is None:
            return "no session"
        known = self._open.get(session.ssrc)
        if known is not None and known.key_id != order.message.key_id:
            return "the stream belongs to another"
        if order.message.kind is Kind.SESSION_END:
            self._end(session.ssrc)
            return "obeyed"
        if known is None and len(self._open) >= SESSIONS_MAX:
            return "too many sessions"
        kind = order.message.message_class
        key = order.message.key_id
        self._open[session.ssrc] = _Session(kind, order.level, order.until_ns, key)
        self._events.append(SourceAllowed(session.ssrc, kind, order.level))
        return "obeyed"

    def handle_deadline(self, now_ns: int) -> None:
        """End the sessions whose time is over."""
        for source in [s for s, one in self._open.items() if one.until_ns <= now_ns]:
            self._end(source)

    def next_deadline_ns(self) -> int | None:
        """Return when the next session ends, or None."""
        return min((one.until_ns for one in self._open.values()), default=None)

    def next_event(self) -> SourceAllowed | SourceEnded | None:
        """Return the oldest event not yet taken, or None."""
        return self._events.popleft() if self._events else None

    def class_of(self, source: int) -> tuple[MessageClass, str] | None:
        """Return class and level of an announced stream, or None."""
        one = self._open.get(source)
        return None if one is None else (one.message_class, one.level)

    def names(self) -> list[str]:
        """Return the SSRCs as people write them."""
        return [f"{source:08x}" for source in self._open]

    def _end(self, source: int) -> None:
        if self._open.pop(source, None) is not None:
            self._events.append(SourceEnded(source))
