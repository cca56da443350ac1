"""The books: which output was made up for a loss, and which packets never came."""

import numpy as np
from numpy.typing import NDArray

from node.counters import Origin
from node.jitter import state as at
from node.kernel import kernel

_CONCEALED = int(Origin.CONCEALED)
_FADED = int(Origin.FADED)
_SILENT = int(Origin.SILENT)
_PAUSED = int(Origin.PAUSED)
_FOR_EVER_SAMPLES = 1 << 40


@kernel("void(int64[::1], int64)")
def _book_dropout(state: NDArray[np.int64], until: int) -> None:
    """Book PENDING_FROM .. `until` as concealed, faded and silent, in the order it was played."""
    samples = until - state[at.PENDING_FROM]
    if samples <= 0:
        return
    first = state[at.PENDING_RUN]
    last = first + samples
    concealed = max(0, min(last, state[at.CONCEAL_MAX]) - first)
    fade_end = state[at.CONCEAL_MAX] + state[at.FADE]
    silent = max(0, last - max(first, fade_end))
    state[at.O_FIRST + _CONCEALED] += concealed
    state[at.O_FIRST + _SILENT] += silent
    state[at.O_FIRST + _FADED] += samples - concealed - silent
    state[at.PENDING_FROM] = until
    state[at.PENDING_RUN] = last


@kernel("void(int64[::1], int64)")
def settle(state: NDArray[np.int64], ended: int) -> None:
    """Book what is pending: as PAUSED when the source has `ended`, else as a dropout."""
    if state[at.PENDING_FROM] == at.NONE:
        return
    if ended:
        state[at.O_FIRST + _PAUSED] += state[at.NEXT_MEDIA] - state[at.PENDING_FROM]
    else:
        _book_dropout(state, state[at.NEXT_MEDIA])
    state[at.PENDING_FROM] = at.NONE


@kernel("void(int64[::1], int64, int64, int64)")
def prove(state: NDArray[np.int64], extended: int, media: int, samples: int) -> None:
    """Book what is pending, now that the packet `extended` tells what it was.

    ::

        LAST_END          lost_end           media            media + samples
           |  lost packets   |  sender paused  |  this packet     |   not known yet
           `---- dropout ----'---- PAUSED -----'---- dropout -----'---- stays pending
    """
    end = state[at.NEXT_MEDIA]
    lost_end = state[at.LAST_END] + (extended - state[at.NEXT_SEQUENCE]) * state[at.LAST_SAMPLES]
    _book_dropout(state, min(lost_end, media, end))
    paused = min(media, end) - state[at.PENDING_FROM]
    if paused > 0:
        state[at.O_FIRST + _PAUSED] += paused
        state[at.PENDING_FROM] += paused
        state[at.PENDING_RUN] += paused
    _book_dropout(state, min(media + samples, end))
    if state[at.PENDING_FROM] >= end:
        state[at.PENDING_FROM] = at.NONE


@kernel("void(int64[::1], int64, int64)")
def end_wait(state: NDArray[np.int64], extended: int, media: int) -> None:
    """Go back to where the wait began: the packet `extended`, which begins at `media`, has come.

    What was made up first stands in for packets lost before it and for a pause of the sender's;
    the rest was waiting.
    """
    begin = max(media, state[at.PENDING_FROM])
    prove(state, extended, begin, _FOR_EVER_SAMPLES)
    state[at.NEXT_MEDIA] = min(state[at.NEXT_MEDIA], begin)


@kernel("void(int64[::1], int64[:, ::1], int64)")
def pass_by(state: NDArray[np.int64], slots: NDArray[np.int64], extended: int) -> None:
    """Close the books on all sequence numbers below `extended`: what did not come is lost."""
    capacity = slots.shape[0]
    first = state[at.NEXT_SEQUENCE]
    if extended <= first:
        return
    remembered = max(first, extended - capacity)
    state[at.C_LOST] += remembered - first
    for one in range(remembered, extended):
        row = one & (capacity - 1)
        if slots[row, at.SLOT_SEQUENCE] == one and slots[row, at.SLOT_STATUS] == at.CAME_LATE:
            continue
        state[at.C_LOST] += 1
        slots[row, at.SLOT_SEQUENCE] = one
        slots[row, at.SLOT_STATUS] = at.MISSED
    state[at.NEXT_SEQUENCE] = extended
    state[at.FLOOR_SEQUENCE] = extended


@kernel("void(int64[::1], int64[:, ::1], int64, int64)")
def book_late(
    state: NDArray[np.int64], slots: NDArray[np.int64], extended: int, flags: int
) -> None:
    """Count a packet whose time has passed, and remember it, so that a second one is a duplicate.

    It was counted as lost when its time passed; now it is late instead. A repair that comes too
    late counts as nothing: an RFC 2198 copy is no packet, and what was sent again is lost still.
    """
    if flags & (at.REDUNDANT | at.RETRANSMITTED):
        return
    state[at.C_LATE] += 1
    row = extended & (slots.shape[0] - 1)
    if slots[row, at.SLOT_SEQUENCE] == extended and slots[row, at.SLOT_STATUS] == at.MISSED:
        state[at.C_LOST] -= 1
    if slots[row, at.SLOT_SEQUENCE] <= extended and slots[row, at.SLOT_STATUS] != at.HOLDING:
        slots[row, at.SLOT_SEQUENCE] = extended
        slots[row, at.SLOT_STATUS] = at.CAME_LATE
