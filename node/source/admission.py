"""Who gets a place among the sources of a node, and whose place is given to somebody else."""

from collections.abc import Iterable
from typing import Final

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

Waiting = tuple[int, NDArray[np.uint8], int]
"""Sequence number, datagram and arrival of a first packet."""

Sender = tuple[int, tuple[str, int]]
"""SSRC and address."""

_NUMBER: Final = slice(2, 4)
_STAMP: Final = slice(4, 8)
"""Where they stand in a datagram (RFC 3550, 5.1)."""


class Candidates:
    """The first packets of sources that nobody knows yet, and senders that cannot count.

    Some number their packets in the wrong order of bytes, all alike, or backwards. What they say
    is good, so they are counted as they come.
    """

    def __init__(self) -> None:
        self._waiting: dict[Sender, Waiting] = {}
        self._astray: dict[Sender, tuple[int, int]] = {}
        self._begun: dict[Sender, int] = {}
        self._next: dict[Sender, int] = {}

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
        self, data: NDArray[np.uint8], source: tuple[str, int], config: ReceiveConfig
    ) -> None:
        """Write the number into a packet of a sender that cannot count.

        data  (bytes,) uint8, a datagram of at least a header
        """
        if not self._next or int(data[1]) & 0x7F not in config.stream_payload_types:
            return
        sender = int.from_bytes(data[8:12].tobytes()), source
        number = self._next.get(sender)
        if number is not None:
            data[_NUMBER] = number >> 8, number & 0xFF
            self._next[sender] = (number + 1) & 0xFFFF

    def distrusts(self, receiver: Receiver) -> bool:
        """Return whether a doubted source is to begin anew, its packets counted as they come.

        By its numbers more is missing than came, which other packets of its may have had.
        """
        sender = receiver.ssrc, receiver.address
        begun = self._begun.get(sender)
        if begun is None or sender in self._next or not receiver.buffer.skips_since(begun):
            return False
        _keep(self._next, sender, 0)
        return True

    def _stray(self, sender: Sender, packet: Waiting) -> int:
        """Take a packet that follows no other; return how many are given up by what that shows."""
        count, since_ns = self._astray.get(sender, (0, packet[2]))
        self._astray[sender] = count + 1, since_ns
        if count + 1 < STRAY_PACKETS or packet[2] - since_ns < STRAY_NS:
            return 0
        del self._astray[sender], self._waiting[sender]
        _keep(self._next, sender, 0)
        return 1


def _keep(book: dict[Sender, int], sender: Sender, number: int) -> None:
    """Note a number of a sender; of too many the one that was noted first is forgotten."""
    book[sender] = number
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
