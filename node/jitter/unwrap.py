"""Sequence numbers and timestamps made long: RFC 3550, A.1, for both at once."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.kernel import kernel

DROPOUT_MAX: Final = 3000
"""A sequence number may be so far ahead (MAX_DROPOUT of RFC 3550, A.1)."""

MISORDER_MAX: Final = 100
"""And so far behind (MAX_MISORDER)."""


@kernel("int64(int64, int64)")
def difference_32(later: int, earlier: int) -> int:
    """Return `later` - `earlier` of two 32-bit times, in -2**31 .. 2**31 - 1."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


@kernel("int64(int64[::1], int64, int64, int64)")
def _plausible(state: NDArray[np.int64], step: int, media_step: int, now_ns: int) -> int:
    """Return 1 when the packet continues the stream: order of number and time must agree."""
    if step == 0:
        return 1 if media_step == 0 else 0
    if step < 0:
        return 1 if step >= -MISORDER_MAX and media_step < 0 else 0
    if step >= DROPOUT_MAX or media_step <= 0:
        return 0
    # Media may stand still behind the clock (a stall, a pause), but cannot run ahead of it:
    # that is a sender whose clock jumped.
    waited = (now_ns - state[at.HIGHEST_ARRIVAL_NS]) * 3 // 62_500
    return 1 if media_step - waited <= state[at.LEVEL_MAX] else 0


@kernel("int64(int64[::1], int64, int64, int64)")
def unwrap(state: NDArray[np.int64], sequence: int, timestamp: int, now_ns: int) -> int:
    """Write UNWRAPPED_SEQUENCE and UNWRAPPED_MEDIA; return 0, PROBATION or RESTARTED.

    sequence   16 bits as sent
    timestamp  32 bits as sent
    now_ns     arrival

    A jump in either is believed when a second packet follows it in sequence (probation). Then
    both go on *above* all that was before, so that media time never runs backwards.
    """
    highest = state[at.HIGHEST_SEQUENCE]
    if highest == at.NONE:
        state[at.UNWRAPPED_SEQUENCE] = sequence
        state[at.UNWRAPPED_MEDIA] = timestamp
        return 0
    ahead = (sequence - highest) & 0xFFFF
    step = ahead if ahead < 0x8000 else ahead - 0x10000
    media_step = difference_32(timestamp, state[at.HIGHEST_MEDIA])
    if _plausible(state, step, media_step, now_ns) == 1:
        state[at.PROBATION_SEQUENCE] = at.NONE
        state[at.UNWRAPPED_SEQUENCE] = highest + step
        state[at.UNWRAPPED_MEDIA] = state[at.HIGHEST_MEDIA] + media_step
        return 0
    since = difference_32(timestamp, state[at.PROBATION_TIMESTAMP])
    if sequence == state[at.PROBATION_SEQUENCE] and 0 < since <= state[at.LEVEL_MAX]:
        media = max(state[at.HIGHEST_MEDIA], state[at.NEXT_MEDIA]) + 1
        state[at.UNWRAPPED_SEQUENCE] = highest + 0x10000 + ((sequence - highest) & 0xFFFF)
        state[at.UNWRAPPED_MEDIA] = media + ((timestamp - media) & 0xFFFF_FFFF)
        return at.RESTARTED
    state[at.PROBATION_SEQUENCE] = (sequence + 1) & 0xFFFF
    state[at.PROBATION_TIMESTAMP] = timestamp
    return at.PROBATION


@kernel("void(int64[::1], int64, int64, int64)")
def advance(state: NDArray[np.int64], extended: int, media: int, now_ns: int) -> None:
    """Note the newest packet, and the jitter to it (RFC 3550, 6.4.1, A.8)."""
    if state[at.HIGHEST_ARRIVAL_NS] != at.NONE:
        waited = (now_ns - state[at.HIGHEST_ARRIVAL_NS]) * 3 // 62_500
        change = abs(waited - (media - state[at.HIGHEST_MEDIA]))
        state[at.JITTER_Q4] += change - ((state[at.JITTER_Q4] + 8) >> 4)
    state[at.HIGHEST_SEQUENCE] = extended
    state[at.HIGHEST_MEDIA] = media
    state[at.HIGHEST_ARRIVAL_NS] = now_ns
