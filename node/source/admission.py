"""Who gets a place among the sources of a node, and whose place is given to somebody else."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from node.config import ReceiveConfig
from node.source.receiver import SPELL_NS, Receiver
from node.units import NS_PER_MS, NS_PER_S, samples_to_ns

CANDIDATES_MAX: Final = 16
"""SSRCs of which one packet came; a second soon after it makes a source (RFC 3550, A.1)."""

SECOND_WITHIN: Final = 32
"""The second one may be so many numbers after the first: others were lost."""

_DOUBTED_NS: Final = 2 * NS_PER_S
"""What has not proved to be Opus by then gives its place to who asks for it."""

_COLLISION_MS_MAX: Final = 1000
"""After so much silence of the first one, another address may speak under its SSRC."""

STRAY_PACKETS: Final = 8
STRAY_NS: Final = 400 * NS_PER_MS
"""So many packets over so long, each with another stamp than the one before, and no two whose
numbers follow each other: then the numbers say nothing."""

_REPEATED_MAX: Final = 3000
"""A number so little before the newest one is of a packet that the way held or repeats."""
_SKIPS_SHARE: Final = 4
"""Of so many numbers that go up one skips some at most: who counts so can count."""

Waiting = tuple[int, NDArray[np.uint8], int]
"""Sequence number, datagram and arrival of a first packet."""

Sender = tuple[int, tuple[str, int]]
"""SSRC and address."""

_What = TypeVar("_What")

_NUMBER: Final = slice(2, 4)
_STAMP: Final = slice(4, 8)
"""Where they stand in a datagram (RFC 3550, 5.1)."""


@dataclass(slots=True)
class _Counted:
    """The numbers that the packets of one sender are given as they come, until it counts by itself.

    Two parts of a stream that come at once on two ways look like numbers that say nothing. So its
    own are looked at further: once they go up one by one for a while, they are taken, with the
    difference to those given so far. From then on what the way repeats is no sound any more.
    """

    given: int = 0
    """The next number to give; once it counts by itself, what its own are less."""
    by_itself: bool = False
    newest: int = 0
    newest_ns: int = 0
    since_ns: int = 0
    steps: int = -1
    """Upwards, since `since_ns`; -1 before the first packet."""
    steps_of_one: int = 0

    def number(self, own: int, now_ns: int) -> int:
        """Return the number to give to a packet that has the number `own`."""
        if self.by_itself:
            return (own + self.given) & 0xFFFF
        number = self.given
        self.by_itself = self._is_in_order(own, now_ns)
        self.given = (number - own if self.by_itself else number + 1) & 0xFFFF
        return number

    def _is_in_order(self, own: int, now_ns: int) -> bool:
        """Return whether numbers have gone up one by one, up to this one."""
        step = ((own - self.newest + 0x8000) & 0xFFFF) - 0x8000
        goes_on = now_ns - self.newest_ns < STRAY_NS
        if self.steps >= 0 and goes_on and -_REPEATED_MAX < step <= 0:
            return False
        self.newest, self.newest_ns = own, now_ns
        self.steps += 1
        self.steps_of_one += step == 1
        skips = self.steps - self.steps_of_one
        if self.steps <= 0 or not goes_on or _SKIPS_SHARE * skips > max(self.steps, STRAY_PACKETS):
            self.steps = self.steps_of_one = 0
            self.since_ns = now_ns
        is_long = self.steps >= STRAY_PACKETS and now_ns - self.since_ns >= STRAY_NS
        return is_long and step == 1


class Candidates:
    """The first packets of sources that nobody knows yet, and senders that cannot count.

    Some number their packets in the wrong order of bytes, all alike, or backwards. What they say
    is good, so they are counted as they come.
    """

    def __init__(self) -> None:
        self._waiting: dict[Sender, Waiting] = {}
        self._astray: dict[Sender, tuple[int, int]] = {}
        self._begun: dict[Sender, int] = {}
        self.counted: dict[Sender, _Counted] = {}
        """Those that cannot count: where there are none, `renumber` is not worth its call."""

    def second(
        self, ssrc: int, source: tuple[str, int], packet: Waiting
    ) -> tuple[Waiting | None, int]:
        """Return the first packet when `packet` is the second one, and how many were given up."""
        sender = ssrc, source
        first = self._waiting.pop(sender, None)
        if first is not None and 0 < (packet[0] - first[0]) & 0xFFFF <= SECOND_WITHIN:
            self._astray.pop(sender, None)
            _keep(self._begun, sender, first[0])
            return first, 0
        given_up = int(first is not None)
        if len(self._waiting) >= CANDIDATES_MAX:
            oldest = next(iter(self._waiting))
            self._waiting.pop(oldest)
            self._astray.pop(oldest, None)
            given_up += 1
        self._waiting[sender] = packet
        if first is not None and not np.array_equal(first[1][_STAMP], packet[1][_STAMP]):
            given_up += self._stray(sender, packet)
        return None, given_up

    def renumber(
        self, data: NDArray[np.uint8], source: tuple[str, int], config: ReceiveConfig, now_ns: int
    ) -> None:
        """Write the number into a packet of a sender that cannot count.

        data  (bytes,) uint8, a datagram of at least a header
        """
        if int(data[1]) & 0x7F not in config.stream_payload_types:
            return
        sender = int.from_bytes(data[8:12].tobytes()), source
        counted = self.counted.get(sender)
        if counted is not None:
            number = counted.number(int(data[2]) << 8 | int(data[3]), now_ns)
            data[_NUMBER] = number >> 8, number & 0xFF

    def distrusts(self, receiver: Receiver) -> bool:
        """Return whether a doubted source is to begin anew, its packets counted as they come.

        By its numbers more is missing than came, which other packets of its may have had.
        """
        sender = receiver.ssrc, receiver.address
        begun = self._begun.get(sender)
        counted = self.counted.get(sender)
        is_counted = counted is not None and not counted.by_itself
        if begun is None or is_counted or not receiver.buffer.skips_since(begun):
            return False
        _keep(self.counted, sender, _Counted())
        return True

    def _stray(self, sender: Sender, packet: Waiting) -> int:
        """Take a packet that follows no other; return how many are given up by what that shows."""
        count, since_ns = self._astray.get(sender, (0, packet[2]))
        self._astray[sender] = count + 1, since_ns
        if count + 1 < STRAY_PACKETS or packet[2] - since_ns < STRAY_NS:
            return 0
        del self._astray[sender], self._waiting[sender]
        _keep(self.counted, sender, _Counted())
        return 1


def _keep(book: dict[Sender, _What], sender: Sender, what: _What) -> None:
    """Note something of a sender; of too many the one that was noted first is forgotten."""
    book[sender] = what
    if len(book) > CANDIDATES_MAX:
        book.pop(next(iter(book)))


def is_doubted(receiver: Receiver, now_ns: int, for_ns: int) -> bool:
    """Return whether a source has gone on for longer than that without proving to be Opus."""
    return not receiver.buffer.is_proven and now_ns - receiver.resumed_ns > for_ns


def follows_move(
    receiver: Receiver, source: tuple[str, int], sequence: int, now_ns: int, hold_ms: int
) -> bool:
    """Return whether a source now speaks from the address `source`, and is listened to there.

    Its NAT gave it another. Two that speak at once are told apart by that: the first one has not
    ceased. What it answered from the old address says nothing of the new one.
    """
    if not _has_moved(receiver, source, sequence, now_ns, hold_ms):
        return False
    receiver.address = source
    receiver.reports.move(now_ns)
    return True


def _has_moved(
    receiver: Receiver, source: tuple[str, int], sequence: int, now_ns: int, hold_ms: int
) -> bool:
    silent_ns = now_ns - receiver.last_arrival_ns
    packet_ns = samples_to_ns(receiver.buffer.packet_samples)
    goes_on = receiver.buffer.follows(sequence) and 2 * silent_ns > packet_ns
    if goes_on and source[0] == receiver.address[0]:
        return True
    return silent_ns >= min(hold_ms, _COLLISION_MS_MAX) * NS_PER_MS


def whose_place(
    streams: Iterable[Receiver], newcomer: tuple[str, int], now_ns: int, hold_ns: int
) -> Receiver | None:
    """Return the source that gives its place to one from the address `newcomer`, or None.

    The longest silent one, with nothing left to play: a sender that takes a new SSRC for each
    announcement is silent under the old ones. What a stall let go all at once is old, and waits
    for nothing. Before those, what does not prove to be Opus.
    """

    def is_idle(one: Receiver) -> bool:
        silent_ns = now_ns - one.last_arrival_ns
        enough_ns = SPELL_NS if one.address[0] == newcomer[0] else max(hold_ns, SPELL_NS)
        is_over = silent_ns > enough_ns and (one.came_at_once or not one.buffer.is_held)
        return is_over or is_doubted(one, now_ns, _DOUBTED_NS)

    idle = (one for one in streams if is_idle(one))
    return min(idle, key=lambda one: (one.buffer.is_proven, one.last_arrival_ns), default=None)
