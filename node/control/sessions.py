"""Live streams that a signed session announced: only these may speak, and only so long."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from node.control.calendar.play_state import Record
from node.control.civil_time import Least
from node.control.events import SourceAllowed, SourceEnded
from node.control.names import same_name
from node.control.orders import OWN_SSRCS, Session, read_session
from node.control.precedence import MessageClass
from node.control.trust.authority import Authority, AuthorityBook, Warrant
from node.control.trust.message import Kind
from node.control.trust.order import Order
from node.control.trust.packet_guard import Guard, SignedGuard, SrtpGuard
from node.control.trust.shares import Claim, Shares
from node.units import NS_PER_MS, NS_PER_S

SESSIONS_MAX: Final = 16
EACH_MAX: Final = 8
"""Of one key."""

SPELL_NS: Final = NS_PER_S
"""Packets that come after so long a silence begin a new spell."""

GOODBYE: Final = 203
"""Packet type of BYE."""

DEAD_NS: Final = 4 * NS_PER_S
"""A sender reports each second, also while it pauses: after four it has died, or its way has."""

WRITER: Final = "sessions"
"""Of the records about live streams."""


SessionEvent = SourceAllowed | SourceEnded | Record


class Flow(NamedTuple):
    """Packets of sound like the last one: what may be heard then, and by whom, may be now.

    Void when anything but packets has come, or is due: only that opens and ends sessions.
    """

    ssrc: int
    ssrc_bytes: bytes
    second: int
    """Second byte of each packet: its payload type, so that none is RTCP."""
    source: tuple[str, int]
    open: Callable[[bytes, tuple[str, int], int], bytes | None]
    """Takes a datagram, where it came from and when; returns the packet in it, if genuine."""


@dataclass(slots=True)
class _Session:
    message_class: MessageClass
    level: str
    until_ns: int
    warrant: Warrant
    rank: int
    """Level of who announced it: 0 is the highest tier, -1 the root."""
    by: Authority
    stream: str
    issuer: str
    keys: tuple[bytes, int, bytes] = (b"", 0, b"")
    """Public key, first counter, SRTP key."""
    join: tuple[str, bytes] = ("", b"")
    """Where it is asked for, and the key for that."""
    guard: Guard | None = None
    address: str = ""
    source: tuple[str, int] | None = None
    """Where its last genuine packet came from: repairs come from there too."""
    started_s: int = 0
    """Civil time of its first sound; 0: none yet."""
    since_ns: int = -1
    """Since when it is heard: it has the horn, and is not muted; -1: it is not."""
    quiet_ns: int | None = None
    """Until when it sounded, as the speaker told when it lost the horn; None: not told."""
    heard_ns: int = 0
    concealed_ms: int = 0
    spoke_ns: int = -1
    """Its last genuine packet, of sound or reports; -1: none yet."""
    sound_ns: int = -1
    """Its last packet of sound, and the first one of that spell."""
    spell_ns: int = -1
    has_left: bool = False
    """It said goodbye, and nothing since."""

    def open(
        self, data: bytes, source: tuple[str, int], now_ns: int, *, is_rtcp: bool = False
    ) -> bytes | None:
        """Return the packet inside `data` if it is the sender's, and note it; else None."""
        if self.guard is not None:
            opened = self.guard.open(data, source, now_ns, is_rtcp=is_rtcp)
            if opened is None:
                return None
            data = opened
        self.source = source
        self.note_packet(now_ns, is_sound=not is_rtcp)
        if is_rtcp and says_goodbye(data):
            self.has_left = True
        return data

    def note_packet(self, now_ns: int, *, is_sound: bool) -> None:
        """Note a genuine packet."""
        self.spoke_ns = now_ns
        if is_sound:
            if self.sound_ns < 0 or now_ns - self.sound_ns > SPELL_NS:
                self.spell_ns = now_ns
            self.sound_ns, self.has_left = now_ns, False

    def stop_hearing(self, now_ns: int) -> None:
        """Count what was heard: a horn that is held for who has died is no sound."""
        if self.since_ns < 0:
            return
        until_ns = now_ns
        if self.quiet_ns is not None:
            until_ns = min(now_ns, self.quiet_ns)
        elif self.sound_ns >= 0:  # its last packet sounds as long after it came as its first did
            until_ns = min(now_ns, self.sound_ns + max(self.since_ns - self.spell_ns, 0))
        self.heard_ns += max(until_ns - self.since_ns, 0)
        self.since_ns = -1

    def is_dead(self, now_ns: int) -> bool:
        """Return whether it ceased in mid-sentence: without a goodbye, and without a report."""
        sounded = self.heard_ns > 0 or self.since_ns >= 0
        return sounded and not self.has_left and 0 <= self.spoke_ns <= now_ns - DEAD_NS


class Sessions:
    """The announced streams of one node; each session ends by itself unless renewed."""

    def __init__(self, serial: int, *, tiers: int, unsigned: bool, unknown: bool) -> None:
        self._shares = Shares(SESSIONS_MAX, tiers, EACH_MAX)
        self._unsigned = unsigned
        self._unknown = unknown
        self._open: dict[int, _Session] = {}
        self._serial = serial
        self._events: list[SessionEvent] = []

    def receive_order(self, order: Order, utc_s: int, now_ns: int) -> str:
        """Open, renew or end a session by an authorised SESSION or SESSION_END message.

        A number and a name belong to who announced them, until a higher tier takes them, or a key
        of the same one that may order more.
        """
        session = read_session(order.message)
        if session is None:
            return "no session"
        if session.ssrc >= OWN_SSRCS:
            return "the node's own number"
        known = self._open.get(session.ssrc)
        mine = known is None or known.warrant.key_id == order.message.key_id
        if known is not None and _is_anothers(known, order):
            return "the stream belongs to another"
        if order.message.kind is Kind.SESSION_END:
            if known is not None:
                reason = "" if mine else f"ended by {order.authority.name}"
                self._end(session.ssrc, reason, utc_s, now_ns)
            return "obeyed"
        if not (session.public_key or session.srtp_key or self._unsigned):
            return "no key for its packets"
        if self._is_named_by_another(session, order):
            return "the name of the stream belongs to another"
        ends = ""
        if not mine:
            ends = f"taken by {order.authority.name}"
        elif known is not None and known.stream != session.stream:
            ends = f"announced anew by {order.authority.name}"
        # First the place, then what it ends: what is refused ends nothing.
        if (known is None or ends) and not self._make_room(session.ssrc, order, utc_s, now_ns):
            return "too many sessions"
        if ends:
            self._end(session.ssrc, ends, utc_s, now_ns)
        self._announce(session, order, known if mine else None)
        return "obeyed"

    def keep_allowed(self, book: AuthorityBook, least: Least, utc_s: int, now_ns: int) -> None:
        """End the sessions that nobody may keep open any more."""
        for source, one in list(self._open.items()):
            holder = book.may(one.warrant, one.message_class, least)
            if isinstance(holder, str):
                self._end(source, holder, utc_s, now_ns)
            else:
                one.by = holder

    def receive_audible(self, sources: Sequence[int], utc_s: int, now_ns: int) -> None:
        """Note which sources have the horn from now on and are not silent, for the records."""
        for source, one in self._open.items():
            if source in sources and one.since_ns < 0:
                one.since_ns, one.started_s = now_ns, one.started_s or utc_s
                one.quiet_ns = None
            elif source not in sources:
                one.stop_hearing(now_ns)

    def receive_quiet(self, source: int, quiet_ns: int) -> None:
        """Note until when `source` sounded, which has the horn no more."""
        if source in self._open:
            self._open[source].quiet_ns = quiet_ns

    def receive_concealed(self, source: int, concealed_ms: int) -> None:
        """Note sound of `source` that was made up, for its record."""
        one = self._open.get(source)
        if one is not None:
            one.concealed_ms += concealed_ms

    def handle_deadline(self, utc_s: int, now_ns: int) -> None:
        """End the sessions whose time is over."""
        for source in [s for s, one in self._open.items() if one.until_ns <= now_ns]:
            self._end(source, "its time to live was over", utc_s, now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when the next session ends, or None."""
        return min((one.until_ns for one in self._open.values()), default=None)

    def next_event(self) -> SessionEvent | None:
        """Return the oldest event not yet taken, or None."""
        return self._events.pop(0) if self._events else None

    def class_of(self, source: int) -> tuple[MessageClass, str] | None:
        """Return class and level of an announced stream, or None.

        A stream with a name has none of its own: it is heard as the item that relays it.
        """
        one = self._open.get(source)
        return None if one is None or one.stream else (one.message_class, one.level)

    def authenticate(
        self, data: bytes, ssrc: int, source: tuple[str, int], now_ns: int, *, is_rtcp: bool
    ) -> bytes | None:
        """Return the packet inside `data` if it is the sender's of an open session, or None.

        A packet of another number may be a repair: then it comes from where the session does, and
        is sealed by its key.
        """
        one = self._open.get(ssrc)
        if one is None:
            one = next((s for s in self._open.values() if s.source == source), None)
        if one is None and self._unknown:
            return data  # a laboratory: anyone may speak
        if one is None or (one.address and one.address != source[0]):
            return None
        return one.open(data, source, now_ns, is_rtcp=is_rtcp)

    def flow_of(self, data: bytes, ssrc: int, source: tuple[str, int]) -> Flow | None:
        """Return the flow of a packet of sound that was taken; None where nobody announced it."""
        one = self._open.get(ssrc)
        return None if one is None else Flow(ssrc, data[8:12], data[1], source, one.open)

    def knows(self, source: int) -> bool:
        """Return whether `source` was announced, with a name or without."""
        return source in self._open

    def is_sealed(self, source: int) -> bool:
        """Return whether only the announced sender can make packets of `source`."""
        one = self._open.get(source)
        return one is not None and one.guard is not None

    def joins(self) -> tuple[tuple[int, str, bytes], ...]:
        """Return stream, HOST:PORT and key of each open session that is to be asked for."""
        return tuple((s, *one.join) for s, one in self._open.items() if one.join[0])

    def named(self, stream: str, rank: int, kind: MessageClass) -> int | None:
        """Return the stream of that name that an authority of level `rank` or above announced,
        one that may order `kind`: nobody speaks in an item that it may not order.

        Of several the one from the highest tier, and there the latest; None when there is none.
        """
        found = [
            (-one.rank, at, source)
            for at, (source, one) in enumerate(self._open.items())
            if one.stream
            and one.rank <= rank
            and one.by.class_max >= kind
            and same_name(one.stream, stream)
        ]
        return max(found)[2] if found else None

    def dead(self, now_ns: int) -> list[str]:
        """Return what to say of each stream whose sender ceased in mid-sentence."""
        return [
            f"{source:08x} of {one.issuer}"
            for source, one in self._open.items()
            if one.is_dead(now_ns)
        ]

    def names(self) -> list[str]:
        """Return the SSRCs as people write them."""
        return [f"{source:08x}" for source in self._open]

    def _is_named_by_another(self, session: Session, order: Order) -> bool:
        """Return whether the name of a stream is that of an open one which is another's."""
        return bool(session.stream) and any(
            _is_anothers(one, order) and same_name(one.stream, session.stream)
            for one in self._open.values()
        )

    def _make_room(self, ssrc: int, order: Order, utc_s: int, now_ns: int) -> bool:
        """Return whether there is a place for the session of `order`, beside the others and not
        what had its number; the least may have gone.
        """
        sources = [one for one in self._open if one != ssrc]
        others = [self._open[one] for one in sources]
        held = [Claim(one.rank, one.message_class, one.warrant.key_id) for one in others]
        message = order.message
        new = Claim(order.authority.level, message.message_class, message.key_id)
        gone = self._shares.make_room(held, new)
        for index in gone or ():
            self._end(sources[index], f"its place went to {order.authority.name}", utc_s, now_ns)
        return gone is not None

    def _announce(self, session: Session, order: Order, before: _Session | None) -> None:
        """Open the session, or renew it; `before` is what it was: its packets count on."""
        kind = order.message.message_class
        known = self._open.get(session.ssrc)
        if known is None:
            known = _Session(
                message_class=kind,
                level=order.level,
                until_ns=order.until_ns,
                warrant=order.warrant,
                rank=order.authority.level,
                by=order.authority,
                stream=session.stream,
                issuer=order.authority.name,
            )
            self._open[session.ssrc] = known
        known.message_class, known.level = kind, order.level
        known.warrant, known.rank = order.warrant, order.authority.level
        known.by = order.authority
        known.until_ns, known.stream = order.until_ns, session.stream
        known.address = session.address
        known.join = (session.join, session.join_key)
        keys = (session.public_key, session.counter_start, session.srtp_key)
        if keys != known.keys:
            is_same = before is not None and before.keys == keys
            known.keys = keys
            known.guard = before.guard if before is not None and is_same else _guard(*keys)
        if not known.stream:
            self._events.append(SourceAllowed(session.ssrc, kind, order.level))

    def _end(self, source: int, reason: str, utc_s: int, now_ns: int) -> None:
        one = self._open.pop(source)
        one.stop_hearing(now_ns)
        self._events.append(SourceEnded(source))
        if one.stream:
            return  # the item that relayed it has the record
        self._serial += 1
        dead = one.heard_ns > 0 and one.is_dead(now_ns)
        if dead:
            reason = f"its sender fell silent in mid-sentence; {reason}".removesuffix("; ")
        record = Record(
            serial=self._serial,
            name=record_name(source),
            day="",
            outcome=("interrupted" if dead else "played") if one.heard_ns else "missed",
            reason=reason if one.heard_ns else "nothing of it was heard",
            writer=WRITER,
            started_s=one.started_s,
            ended_s=utc_s,
            sounded_s=(one.heard_ns + 500 * NS_PER_MS) // NS_PER_S,
            issuer=one.issuer,
            signed_by=one.warrant.key_id.hex(),
            concealed_ms=one.concealed_ms,
        )
        self._events.append(record)


def record_name(source: int) -> str:
    """Return what the record of a live stream is called."""
    return f"live {source:08x}"


def _is_anothers(one: _Session, order: Order) -> bool:
    """Return whether it is another key's, and who ordered now may not take it."""
    by = order.authority
    if one.warrant.key_id == order.message.key_id:  # what several signed, one alone does not end
        return bool(one.warrant.cosigners) and one.by.class_max > by.class_max
    if one.rank != by.level:
        return one.rank < by.level
    return one.by.may_as_much(by) or not by.may_as_much(one.by)


def says_goodbye(compound: bytes) -> bool:
    """Return whether RTCP holds a BYE (RFC 3550, section 6.6)."""
    at = 0
    while at + 4 <= len(compound):
        if compound[at + 1] == GOODBYE:
            return True
        at += 4 * (int.from_bytes(compound[at + 2 : at + 4], "big") + 1)
    return False


def _guard(public_key: bytes, counter_start: int, srtp_key: bytes) -> Guard | None:
    if public_key:
        return SignedGuard(public_key, counter_start)
    return SrtpGuard(srtp_key) if srtp_key else None
