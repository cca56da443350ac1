"""The way of an order from bytes to obedience: open, authorise, once, in time, for here.

What it lets through is on disk (the counter) before anybody acts on it. Certificates, revocations
and beacons it handles by itself; they are kept as signed bytes and checked again at every start.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.control.civil_time import DAY_S, CivilClock
from node.control.precedence import MessageClass
from node.control.trust.authority import Authority, AuthorityBook, within
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.once import KEY as COUNTERS_KEY
from node.control.trust.once import ReplayGuard
from node.events import Persist
from node.units import NS_PER_S

CERTIFICATE_PREFIX: Final = "certificate/"
REVOCATION_PREFIX: Final = "revocation/"
FLOOR_KEY: Final = "floor"

FUTURE_MAX_S: Final = DAY_S
"""An order issued later than this after our trusted time is not believed."""


@dataclass(frozen=True, slots=True)
class Order:
    """A message that may act here, and who gave it."""

    message: Message
    authority: Authority
    level: str
    sealed: bytes
    until_ns: int
    """End of its time to live, monotonic, counted from receipt."""


class Gatekeeper:
    """Decide which orders of one node's network act."""

    def __init__(
        self,
        root_public_key: bytes,
        tiers: tuple[str, ...],
        area: str,
        clock: CivilClock,
        stored: Mapping[str, bytes],
    ) -> None:
        self._book = AuthorityBook(root_public_key, tiers)
        self._replay = ReplayGuard(stored.get(COUNTERS_KEY))
        self._area = area
        self._clock = clock
        self._events: deque[Persist] = deque()
        self._restore(stored)

    def receive(self, sealed: bytes, now_ns: int) -> Order | str:
        """Return the order in `sealed`, or why it does not act. Never raises."""
        message = open_envelope(sealed)
        if isinstance(message, str):
            return message
        trusted = self._clock.trusted
        utc_s = self._clock.utc_ns(now_ns) // NS_PER_S
        authority = self._book.authorise(message, utc_s=utc_s if trusted else None)
        if isinstance(authority, str):
            return authority
        if message.kind in (Kind.ACKNOWLEDGEMENT, Kind.PROOF_HEAD):
            return "the answer of a node is no order"
        refusal = self._not_in_time(message, utc_s, trusted=trusted)
        if refusal is not None:
            return refusal
        if not self._for_here(message):
            return "not for here"
        if not self._replay.is_new(message.key_id, message.counter):
            return "replayed"
        counters = self._replay.advance(message.key_id, message.counter)
        self._events.append(Persist(COUNTERS_KEY, counters))
        refusal = self._obey(message, authority, sealed)
        if refusal is not None:
            return refusal
        until_ns = now_ns + message.ttl_s * NS_PER_S
        return Order(message, authority, self._book.level_name(authority), sealed, until_ns)

    def restore(self, sealed: bytes) -> Order | str:
        """Return a kept order after a restart: signature and authority hold, it is not new."""
        message = open_envelope(sealed)
        if isinstance(message, str):
            return message
        authority = self._book.authorise(message, utc_s=None)
        if isinstance(authority, str):
            return authority
        return Order(message, authority, self._book.level_name(authority), sealed, 0)

    def next_event(self) -> Persist | None:
        """Return the oldest thing to keep, or None."""
        return self._events.popleft() if self._events else None

    def _not_in_time(self, message: Message, utc_s: int, *, trusted: bool) -> str | None:
        if trusted and utc_s >= message.issued_s + message.ttl_s:
            return "its time to live is over"
        if trusted and message.issued_s > utc_s + FUTURE_MAX_S:
            return "issued in the future"
        needs_no_clock = message.message_class is MessageClass.URGENT or message.kind in (
            Kind.CERTIFICATE,
            Kind.REVOCATION,
            Kind.BEACON,
        )
        if not trusted and not needs_no_clock:
            return "not urgent while the time is not known"
        return None

    def _for_here(self, message: Message) -> bool:
        if message.kind in (Kind.CERTIFICATE, Kind.REVOCATION, Kind.BEACON):
            return within(self._area, message.area) or within(message.area, self._area)
        return within(self._area, message.area)

    def _obey(self, message: Message, authority: Authority, sealed: bytes) -> str | None:
        """Act on what concerns trust itself."""
        if message.kind is Kind.CERTIFICATE:
            learnt = self._book.receive_certificate(authority, message.content)
            if isinstance(learnt, str):
                return learnt
            self._events.append(Persist(CERTIFICATE_PREFIX + learnt.key_id.hex(), sealed))
        elif message.kind is Kind.REVOCATION:
            revoked = self._book.receive_revocation(authority, message.content)
            if isinstance(revoked, str):
                return revoked
            name = f"{REVOCATION_PREFIX}{message.key_id.hex()}-{message.counter}"
            self._events.append(Persist(name, sealed))
        elif message.kind is Kind.BEACON:
            self._clock.receive_floor(message.issued_s * NS_PER_S)
            self._events.append(Persist(FLOOR_KEY, str(message.issued_s).encode()))
        return None

    def _restore(self, stored: Mapping[str, bytes]) -> None:
        """Build the chain again from its signed bytes, parents before children."""
        waiting = [v for k, v in sorted(stored.items()) if k.startswith(CERTIFICATE_PREFIX)]
        progress = True
        while progress:
            progress = False
            for sealed in list(waiting):
                order = self.restore(sealed)
                if isinstance(order, Order):
                    self._book.receive_certificate(order.authority, order.message.content)
                    waiting.remove(sealed)
                    progress = True
        for key, sealed in sorted(stored.items()):
            if key.startswith(REVOCATION_PREFIX):
                order = self.restore(sealed)
                if isinstance(order, Order):
                    self._book.receive_revocation(order.authority, order.message.content)
        floor = stored.get(FLOOR_KEY, b"")
        if floor.isdigit():
            self._clock.receive_floor(int(floor) * NS_PER_S)
