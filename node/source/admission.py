"""Who gets a place among the sources of a node, and whose place is given to somebody else."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.source.receiver import SPELL_NS, Receiver
from node.units import NS_PER_MS, NS_PER_S, samples_to_ns

CANDIDATES_MAX: Final = 16
"""SSRCs of which one packet came; a second soon after it makes a source (RFC 3550, A.1)."""

_AHEAD_MAX: Final = 32
"""The second one may be so many numbers after the first: others were lost."""

_DOUBTED_NS: Final = 2 * NS_PER_S
"""What has not proved to be Opus by then gives its place to who asks for it."""

_COLLISION_MS_MAX: Final = 1000
"""After so much silence of the first one, another address may speak under its SSRC."""

Waiting = tuple[int, NDArray[np.uint8], int]
"""Sequence number, datagram and arrival of a first packet."""


class Candidates:
    """The first packets of sources that nobody knows yet."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, tuple[str, int]], Waiting] = {}

    def second(
        self, ssrc: int, source: tuple[str, int], packet: Waiting
    ) -> tuple[Waiting | None, int]:
        """Return the first packet when `packet` is the second one, and how many were given up."""
        first = self._waiting.pop((ssrc, source), None)
        if first is not None and 0 < (packet[0] - first[0]) & 0xFFFF <= _AHEAD_MAX:
            return first, 0
        given_up = int(first is not None)
        if len(self._waiting) >= CANDIDATES_MAX:
            self._waiting.pop(next(iter(self._waiting)))
            given_up += 1
        self._waiting[ssrc, source] = packet
        return None, given_up


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
