"""The station's half of joining: who gets the stream, and for how long.

Nothing is kept of a stranger. An address proves itself by the cookie that was sent there: a MAC by
a secret of the station over time, address and node, so that checking it needs no memory, and a
forged source gets nothing but an answer as long as its question. What is not by the key of the
session gets no answer at all.
"""

import hmac
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from node.rtp.join_packet import COOKIE_BYTES, KEEP, STRANGER, JoinPacket, Step, build, parse
from node.units import NS_PER_S

MEMBERS_MAX: Final = 1000
LEASE_S_MAX: Final = 300
COOKIE_S: Final = 240
"""Longer than from one renewal to the next, so that each finds its cookie good."""
STRANGERS_PER_S: Final = 100
"""Words of strangers that are answered: an account of its own, for anybody can send them."""
CHALLENGES_PER_S: Final = 500
"""A commune of 500 nodes comes back after a power cut; more is a flood of recorded questions."""
_STAMP_BYTES: Final = 4

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A node gets the stream from now on at `address`, or no longer does."""

    address: Address
    joined: bool
    node: bytes


@dataclass(slots=True)
class _Member:
    address: Address
    until_ns: int


class Joined:
    """The members of one stream.

    Parameters
    ----------
    ssrc : int
        Of the stream.
    key : bytes
        Of the session; who has it may join.
    secret : bytes
        Random, of this start: cookies are by it.
    members_max : int
        More nodes are refused, and counted.
    """

    def __init__(
        self, ssrc: int, key: bytes, *, secret: bytes, members_max: int = MEMBERS_MAX
    ) -> None:
        self._ssrc = ssrc
        self._key = key
        self._secret = secret
        self._members_max = members_max
        self._members: dict[bytes, _Member] = {}
        self._at: Counter[Address] = Counter()
        """Members at an address: one, but where a NAT gave it to another meanwhile."""
        self._events: deque[MemberChange] = deque()
        self._challenges = _PerSecond(CHALLENGES_PER_S)
        self._strangers = _PerSecond(STRANGERS_PER_S)
        self.forged = 0
        """Packets whose MAC is not by the key."""
        self.flooded = 0
        """Questions not answered because there were too many in a second."""
        self.full = 0
        """Nodes refused because there was no place."""
        self.joins = 0

    @property
    def count(self) -> int:
        """How many nodes get the stream."""
        return len(self._members)

    def receive_datagram(self, data: bytes, address: Address, now_ns: int) -> bytes | None:
        """Return the answer to what came from `address`, never longer than it; None for none."""
        if data == KEEP:
            return self._receive_keep(address, now_ns)
        packet = parse(data, self._key)
        if packet is None or packet.step not in (Step.HELLO, Step.JOIN):
            self.forged += 1
            return None
        if packet.ssrc not in (0, self._ssrc):
            return None
        if packet.step is Step.JOIN and self._is_fresh(packet, address, now_ns):
            return self._join(packet, address, now_ns)
        if not self._challenges.takes(now_ns):
            self.flooded += 1
            return None
        return self._answer(packet, Step.CHALLENGE, address, now_ns, 0)

    def remove(self, address: Address) -> None:
        """Forget who is at `address`: word came back that nobody listens there."""
        for node, one in list(self._members.items()):
            if one.address == address:
                self._remove(node)

    def handle_deadline(self, now_ns: int) -> None:
        """Leave out the nodes whose lease is over."""
        for node in [node for node, one in self._members.items() if one.until_ns <= now_ns]:
            self._remove(node)

    def next_event(self) -> MemberChange | None:
        """Return the oldest change not yet taken, or None."""
        return self._events.popleft() if self._events else None

    def _receive_keep(self, address: Address, now_ns: int) -> bytes | None:
        """Tell who keeps a path open that leads to nobody here, for it may have been another's."""
        if address in self._at:
            return None
        if not self._strangers.takes(now_ns):
            self.flooded += 1
            return None
        return STRANGER

    def _join(self, packet: JoinPacket, address: Address, now_ns: int) -> bytes | None:
        known = self._members.get(packet.node)
        if packet.lease_s == 0:
            if known is not None:
                self._remove(packet.node)
            return None
        if known is None and len(self._members) >= self._members_max:
            self.full += 1
            return None
        lease_s = min(packet.lease_s, LEASE_S_MAX)
        if known is not None and known.address != address:
            self._remove(packet.node)
            known = None
        if known is None:
            self.joins += 1
            self._members[packet.node] = _Member(address, now_ns + lease_s * NS_PER_S)
            self._at[address] += 1
            self._events.append(MemberChange(address, True, packet.node))
        else:
            known.until_ns = now_ns + lease_s * NS_PER_S
        return self._answer(packet, Step.WELCOME, address, now_ns, lease_s)

    def _remove(self, node: bytes) -> None:
        one = self._members.pop(node)
        self._at[one.address] -= 1
        if not self._at[one.address]:
            del self._at[one.address]
            self._events.append(MemberChange(one.address, False, node))

    def _answer(
        self, packet: JoinPacket, step: Step, address: Address, now_ns: int, lease_s: int
    ) -> bytes:
        stamp = (now_ns // NS_PER_S & 0xFFFFFFFF).to_bytes(_STAMP_BYTES, "big")
        cookie = self._cookie(stamp, packet.node, address)
        answer = JoinPacket(step, self._ssrc, packet.node, packet.nonce, cookie, lease_s)
        return build(answer, self._key)

    def _is_fresh(self, packet: JoinPacket, address: Address, now_ns: int) -> bool:
        stamp = packet.cookie[:_STAMP_BYTES]
        age_s = (now_ns // NS_PER_S - int.from_bytes(stamp, "big")) & 0xFFFFFFFF
        if age_s > COOKIE_S:
            return False
        return hmac.compare_digest(packet.cookie, self._cookie(stamp, packet.node, address))

    def _cookie(self, stamp: bytes, node: bytes, address: Address) -> bytes:
        told = stamp + node + address[1].to_bytes(2, "big") + address[0].encode()
        return stamp + hmac.digest(self._secret, told, "sha256")[: COOKIE_BYTES - _STAMP_BYTES]


class _PerSecond:
    """So many in each second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = self._count = 0

    def takes(self, now_ns: int) -> bool:
        """Count one; return whether it is among those."""
        second = now_ns // NS_PER_S
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._most
