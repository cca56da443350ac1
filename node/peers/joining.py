"""How a node comes to a stream that nobody can send to it by himself: it goes out and asks.

```
 node                                             station, by the address in the session order
  │ ── HELLO nonce ─────────────────────────────►  │
  │ ◄──────────────────── CHALLENGE nonce, cookie ─ │   for the address that it saw
  │ ── JOIN nonce, cookie, lease ───────────────►  │
  │ ◄────────── WELCOME nonce, next cookie, lease ─ │
  │ ◄══ stream, repair, clock, all on this 5-tuple ═│   (RFC 4961)
  │ ── JOIN with the next cookie, each 15 s ────►  │   keeps the NAT open (RFC 6263)

 while nothing is said
  │ ── KEEP each 15 s, JOIN each 200 s ─────────►  │
  │ ◄────────────────────────────────── STRANGER ─ │   where nobody has joined from there
```
When the stream falls silent the node asks at once: behind a new address of its NAT the old cookie
is not right, a CHALLENGE comes, and the stream goes where the node is now. Every packet but KEEP
and STRANGER is authenticated by the key of the session. Time and secrets come in.
"""

import hmac
from collections import deque
from dataclasses import dataclass
from typing import Final

from node.rtp.join_packet import (
    KEEP,
    KEY_BYTES,
    NONCE_BYTES,
    JoinPacket,
    Step,
    build,
    node_of,
    parse,
)
from node.units import NS_PER_MS, NS_PER_S

LEASE_S: Final = 45
"""A node that says no more is left after so long."""
RENEW_NS: Final = 15 * NS_PER_S
"""Mappings of NATs live for 30 s and more (RFC 4787 asks for two minutes)."""
REST_LEASE_S: Final = 300
REST_RENEW_NS: Final = 200 * NS_PER_S
"""While nothing is said: a station that began anew is known by its answer to KEEP before."""
BROKER_RENEW_NS: Final = 80 * NS_PER_S
"""... by the MQTT session, where no KEEP goes."""
KEEP_NS: Final = 15 * NS_PER_S
"""The path is used so often: one lost packet is within the shortest lease of a NAT, 30 s."""
STRANGER_NS: Final = 10 * NS_PER_S
"""That the station does not know us can be said by anybody, and is heard so rarely."""
SILENT_NS: Final = NS_PER_S * 5 // 4
"""Nothing of the stream for so long: a sender reports once a second, but for one that rests."""
SILENT_SOUNDING_NS: Final = 600 * NS_PER_MS
"""... while it sounded."""
_SOUNDING_NS: Final = 200 * NS_PER_MS
"""Packets so near each other are sound."""
RETRIES_NS: Final = tuple(n * NS_PER_MS for n in (500, 500, 500, 1000, 2000, 4000, 8000, 15_000))
"""Waits for an answer; the last one for ever, each up to a quarter longer by the node's secret."""
_REST_NS: Final = 5 * NS_PER_S
BROKER: Final = ("100::1", 1)
"""Stands for the MQTT session, by which the packets go where no datagram comes through: an address
that no datagram has (RFC 6666)."""
BROKER_TRIES: Final = 4
"""Unanswered for so many questions, some 2.5 s, the broker is tried as well."""
DATAGRAMS_AGAIN_NS: Final = 300 * NS_PER_S
"""Who came by the broker tries so often whether datagrams come through by now."""
_COOKIE_TRIES: Final = 2
"""JOINs with a cookie that were not answered, before it is asked for anew."""
_CHALLENGES_MAX: Final = 2
"""Answered for one nonce: a path that changes with each packet is not run after."""

NEVER_NS: Final = 1 << 62

Destination = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Station:
    """Where a stream is joined, by the signed session or the configuration."""

    host: str
    """Name or address; the shell looks it up."""
    port: int
    key: bytes
    ssrc: int = 0
    """0: whichever it sends."""

    def __post_init__(self) -> None:
        assert len(self.key) == KEY_BYTES, "checked where it was read"


class Joining:
    """One node at one station.

    Parameters
    ----------
    name : str
        Of the node.
    station : Station
        Where to.
    secret : bytes
        Random; nonces and waits come from it.
    now_ns : int
        Now.
    has_broker : bool
        Packets may go by the MQTT session, as if to the address `BROKER`.
    """

    def __init__(
        self, name: str, station: Station, *, secret: bytes, now_ns: int, has_broker: bool = False
    ) -> None:
        self.station = station
        self._node = node_of(name)
        self._secret = secret
        self._count = 0
        self._nonce = b""
        self._cookie: bytes | None = None
        self._tries = 0
        self._challenges = 0
        self._next_ns = now_ns
        self._sound_ns: int | None = None
        self._report_ns: int | None = None
        self._alarm_ns: int | None = None
        """The stream is missed from then on."""
        self._keep_ns = NEVER_NS
        self._stranger_ns = now_ns
        self._until_ns = now_ns
        self._has_left = False
        self._events: deque[tuple[bytes, Destination]] = deque(maxlen=4)
        self._has_broker = has_broker
        self._by_broker = False
        self._datagrams_ns = NEVER_NS
        self.source: Destination | None = None
        """Where the station's answers come from."""
        self.welcomes = 0
        self.refused = 0
        """Packets that claimed to be the station's."""

    def is_joined(self, now_ns: int) -> bool:
        """Return whether the station sends the stream here, as far as the node knows."""
        return not self._has_left and now_ns < self._until_ns

    @property
    def tries(self) -> int:
        """How often it asked since the station's last word."""
        return self._tries

    def receive_datagram(self, data: bytes, source: Destination, now_ns: int) -> bool:
        """Take an answer of the station; return whether it was one."""
        packet = parse(data, self.station.key)
        if packet is None or packet.node != self._node or packet.nonce != self._nonce:
            self.refused += 1
            return False
        if packet.step is Step.CHALLENGE and self._challenges < _CHALLENGES_MAX:
            self._challenges += 1
            self._cookie = packet.cookie
            self.source = source
            self._send(Step.JOIN, source == BROKER, lease_s=self._lease_s(now_ns))
        elif packet.step is Step.WELCOME:
            self.source = source
            self._cookie = packet.cookie
            self._tries = 0
            self.welcomes += 1
            self._until_ns = now_ns + packet.lease_s * NS_PER_S
            rest_ns = BROKER_RENEW_NS if source == BROKER else REST_RENEW_NS
            renew_ns = rest_ns if self._rests(now_ns) else RENEW_NS
            self._next_ns = now_ns + min(renew_ns, packet.lease_s * NS_PER_S * 2 // 3)
            if (source == BROKER) != self._by_broker:
                self._by_broker = source == BROKER
                self._datagrams_ns = now_ns + DATAGRAMS_AGAIN_NS if self._by_broker else NEVER_NS
            self._keep_ns = NEVER_NS if self._by_broker else now_ns + KEEP_NS
            self._nonce = b""  # an answer that comes twice says nothing new
        return True

    def receive_stream(self, now_ns: int, *, sounds: bool = True) -> None:
        """Note that something of the stream came by the joined path: sound, or a report."""
        if self._has_left:
            return
        if sounds:
            before_ns, self._sound_ns = self._sound_ns, now_ns
            near = before_ns is not None and now_ns - before_ns < _SOUNDING_NS
            self._alarm_ns = now_ns + (SILENT_SOUNDING_NS if near else SILENT_NS)
            return
        before_ns, self._report_ns = self._report_ns, now_ns
        if before_ns is None or now_ns - before_ns <= SILENT_NS:
            self._alarm_ns = now_ns + SILENT_NS  # a sender that rests is not missed

    def note_sent(self, now_ns: int) -> None:
        """Note that something else went to the station: it keeps the path as well as a KEEP."""
        if self._keep_ns != NEVER_NS:
            self._keep_ns = now_ns + KEEP_NS

    def receive_stranger(self, now_ns: int) -> None:
        """Note that the station, or who says so, does not know who speaks from here."""
        if self._has_left or self._tries or now_ns < self._stranger_ns:
            return
        self._stranger_ns = now_ns + STRANGER_NS
        self._next_ns = now_ns

    def handle_deadline(self, now_ns: int) -> None:
        """Ask, or ask again, when it is time."""
        if self._alarm_ns is not None and now_ns >= self._alarm_ns:
            self._alarm_ns = None
            self._tries = 0
            self._next_ns = now_ns
        if now_ns >= self._keep_ns:
            self._keep_ns = now_ns + KEEP_NS if now_ns < self._until_ns else NEVER_NS
            if now_ns < self._next_ns and self._tries == 0:
                self._events.append((KEEP, self._address))
        if now_ns < self._next_ns:
            return
        if self._tries >= _COOKIE_TRIES:
            self._cookie = None
        wait_ns = RETRIES_NS[min(self._tries, len(RETRIES_NS) - 1)]
        self._tries += 1
        self._challenges = 0
        self._nonce = self._draw()
        self._next_ns = now_ns + wait_ns + wait_ns * self._nonce[0] // 1024
        if self._by_broker and now_ns >= self._datagrams_ns:
            self._datagrams_ns = now_ns + DATAGRAMS_AGAIN_NS
            self._send(Step.HELLO, False)  # unanswered, the next try goes by the broker
        elif self._cookie is not None:
            self._send(Step.JOIN, self._by_broker, lease_s=self._lease_s(now_ns))
        else:
            self._send(Step.HELLO, False)
            if self._has_broker and (self._by_broker or self._tries > BROKER_TRIES):
                self._send(Step.HELLO, True)

    def next_deadline_ns(self) -> int:
        """Return when `handle_deadline` must run next."""
        due_ns = min(self._next_ns, self._keep_ns)
        return due_ns if self._alarm_ns is None else min(due_ns, self._alarm_ns)

    def next_event(self) -> tuple[bytes, Destination] | None:
        """Return the oldest datagram not yet taken and where to, or None."""
        if not self._events:
            return None
        return self._events.popleft()

    @property
    def _address(self) -> Destination:
        return self.station.host, self.station.port

    def leave(self) -> None:
        """Tell the station, once, that the stream is no longer wanted, and ask no more."""
        self._alarm_ns = None
        self._next_ns = self._keep_ns = self._until_ns = NEVER_NS
        self._has_left = True
        if self._cookie is not None:
            self._nonce = self._draw()
            self._send(Step.JOIN, self._by_broker, lease_s=0)
            self._nonce = b""

    def _rests(self, now_ns: int) -> bool:
        """Return whether nothing is said, and the sender reports rarely or not at all."""
        heard_ns = max(self._sound_ns or 0, self._report_ns or 0)
        return now_ns - heard_ns >= _REST_NS

    def _lease_s(self, now_ns: int) -> int:
        return REST_LEASE_S if self._rests(now_ns) else LEASE_S

    def _send(self, step: Step, by_broker: bool, *, lease_s: int = 0) -> None:
        cookie = self._cookie if step is Step.JOIN else None
        packet = JoinPacket(step, self.station.ssrc, self._node, self._nonce)
        if cookie is not None:
            packet = JoinPacket(step, packet.ssrc, self._node, self._nonce, cookie, lease_s)
        to = BROKER if by_broker else self._address
        self._events.append((build(packet, self.station.key), to))

    def _draw(self) -> bytes:
        """Return a nonce that nobody can tell before."""
        self._count += 1
        told = b"nonce" + self._count.to_bytes(8, "big")
        return hmac.digest(self._secret, told, "sha256")[:NONCE_BYTES]
