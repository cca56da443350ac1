"""The jitter buffer's state machine: packets in by `insert`, chunks of output out by `pull`.

One function set for the node, the simulator and the fleet; `node.jitter.state` names the places
in the arrays. Nothing here allocates, raises, or looks at more slots than a hole is long.

::

    insert ──► unwrap (RFC 3550, A.1) ──► place ──► slots
                                                      │ seek: WAITING ──► PLAYING
    pull ◄── play │ FEC │ conceal, fade, silence │ pause ◄── first held packet from NEXT_MEDIA on
"""

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS
from node.jitter import state as at
from node.jitter.adaptive import pull_adaptive
from node.jitter.chunks import CHUNK_SAMPLES, PAUSED, emit, fill_hole, make_up, next_held, play
from node.jitter.ledger import settle
from node.jitter.placement import find_repaired, place, restart
from node.jitter.proof import reset_proof
from node.jitter.unwrap import unwrap
from node.kernel import kernel
from node.units import PACKET_SAMPLES_MAX, SAMPLES_PER_10_MS

__all__ = ["insert", "level_samples", "pull", "reset", "seek", "settle"]


_EMPTY_REACH = 64
"""A packet without sound is noted up to so many numbers after the newest."""


@kernel("void(int64[::1], int64[:, ::1], int64[::1])")
def reset(
    state: NDArray[np.int64], slots: NDArray[np.int64], parameters: NDArray[np.int64]
) -> None:
    """Forget the stream and all counts; take `parameters` (PARAMETERS,) int64."""
    state[:] = 0
    for i in range(at.PARAMETERS):
        state[i] = parameters[i]
    state[at.HIGHEST_SEQUENCE] = at.NONE
    state[at.HIGHEST_ARRIVAL_NS] = at.NONE
    state[at.PROBATION_SEQUENCE] = at.NONE
    state[at.PENDING_FROM] = at.NONE
    if state.shape[0] > at.A_REFERENCE:
        state[at.A_REFERENCE] = at.NONE
    state[at.FLOOR_SEQUENCE] = at.NONE
    reset_proof(state)
    state[at.LAST_SAMPLES] = CHUNK_SAMPLES
    slots[:, at.SLOT_SEQUENCE] = at.NONE
    slots[:, at.SLOT_STATUS] = at.FREE


@kernel(
    "int64(int64[::1], int64[:, ::1], uint8[:, ::1], uint8[::1],"
    " int64, int64, int64, int64, int64, int64, int64)"
)
def insert(
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    payloads: NDArray[np.uint8],
    data: NDArray[np.uint8],
    offset: int,
    length: int,
    sequence: int,
    timestamp: int,
    samples: int,
    flags: int,
    now_ns: int,
) -> int:
    """Take one packet; return its slot, or a negative reason (`state.DUPLICATE` and on).

    data, offset, length  the datagram, and where in it the payload lies
    sequence              16 bits as sent; of the *carrier* when `flags` has REDUNDANT, which must
                          have been inserted before its copies
    timestamp             32 bits as sent, of the payload itself
    samples               duration of the payload at 48 kHz
    flags                 MARKER, HAS_FEC, REDUNDANT, RETRANSMITTED, EXACT
    now_ns                arrival
    """
    if samples <= 0 or samples > PACKET_SAMPLES_MAX or length < 0:
        return at.UNFIT
    width = payloads.shape[1]
    if width > 0 and (length > width or offset < 0 or offset + length > data.shape[0]):
        return at.UNFIT
    restarted = False
    if flags & (at.REDUNDANT | at.RETRANSMITTED):
        if find_repaired(state, slots, sequence, timestamp, flags) == 0:
            return at.UNFIT
    else:
        verdict = unwrap(state, sequence, timestamp, samples, flags, now_ns)
        if verdict == at.PROBATION:
            state[at.C_PROBATION] += 1
            return at.PROBATION
        restarted = verdict == at.RESTARTED
        if restarted:
            restart(state, slots)
    slot = place(state, slots, samples, flags, now_ns)
    if slot < 0:
        return slot
    slots[slot, at.SLOT_LENGTH] = length
    if width > 0:
        for i in range(length):
            payloads[slot, i] = data[offset + i]
    return at.RESTARTED if restarted else slot


@kernel("void(int64[::1], int64[:, ::1], int64)")
def note_empty(state: NDArray[np.int64], slots: NDArray[np.int64], sequence: int) -> None:
    """Note that a packet without sound came, so that nobody counts or misses its number.

    It takes no time, so that what follows it in number follows the packet before it in time.
    """
    step = (sequence - state[at.HIGHEST_SEQUENCE]) & 0xFFFF
    if state[at.HIGHEST_SEQUENCE] == at.NONE or not 0 < step <= _EMPTY_REACH:
        return
    extended = state[at.HIGHEST_SEQUENCE] + step
    row = extended & (slots.shape[0] - 1)
    if slots[row, at.SLOT_STATUS] == at.HOLDING:
        return
    slots[row, at.SLOT_SEQUENCE] = extended
    slots[row, at.SLOT_STATUS] = at.CAME_LATE
    state[at.HIGHEST_SEQUENCE] = extended
    if state[at.NEXT_SEQUENCE] == extended:
        state[at.NEXT_SEQUENCE] = extended + 1
        state[at.FLOOR_SEQUENCE] = extended + 1


@kernel("int64(int64[::1], int64[:, ::1], int64, int64)")
def pull(
    state: NDArray[np.int64], slots: NDArray[np.int64], now_ns: int, buffered_samples: int
) -> int:
    """Decide the next chunk of output; return its action (`state.PLAY` and on).

    now_ns            when it is decided
    buffered_samples  decoded and not yet played

    ACTION_SAMPLES, ACTION_ORIGIN, ACTION_MEDIA, ACTION_ARRIVAL_NS and ACTION_SLOT say the rest.
    Before the first `seek` it is a PAUSE that does not move.
    """
    state[at.ACTION_STRETCH_SAMPLES] = 0
    state[at.ACTION_MEDIA] = state[at.NEXT_MEDIA]
    state[at.ACTION_ARRIVAL_NS] = -1
    state[at.ACTION_SLOT] = -1
    state[at.ACTION_HOLE] = 0
    if state[at.MODE] == at.ADAPTIVE:
        return pull_adaptive(
            state, slots, now_ns * 3 // 62_500 + buffered_samples, now_ns * 3 // 62_500
        )
    if state[at.PHASE] != at.PLAYING:
        return emit(state, at.PAUSE, SAMPLES_PER_10_MS, PAUSED)
    expected = state[at.NEXT_SEQUENCE] & (slots.shape[0] - 1)
    is_plain = (
        slots[expected, at.SLOT_STATUS] == at.HOLDING
        and slots[expected, at.SLOT_SEQUENCE] == state[at.NEXT_SEQUENCE]
        and slots[expected, at.SLOT_MEDIA] == state[at.NEXT_MEDIA]
    )
    if is_plain:
        return play(state, slots, state[at.NEXT_SEQUENCE])
    extended = next_held(state, slots)
    if extended == at.NONE:
        return make_up(state, min(state[at.LAST_SAMPLES], CHUNK_SAMPLES), 1)
    if slots[extended & (slots.shape[0] - 1), at.SLOT_MEDIA] == state[at.NEXT_MEDIA]:
        return play(state, slots, extended)
    return fill_hole(state, slots, extended)


@kernel("void(int64[::1], int64[:, ::1], int64)")
def seek(state: NDArray[np.int64], slots: NDArray[np.int64], media_time: int) -> None:
    """Start, or resynchronise hard: the next chunk is at `media_time`.

    Inside a held packet it is at that packet's start (read NEXT_MEDIA afterwards): the caller
    drops what lies before. Older packets are flushed and counted.
    """
    if state[at.PHASE] == at.EMPTY:
        return
    settle(state, 0)
    first = at.NONE
    for row in range(slots.shape[0]):
        if slots[row, at.SLOT_STATUS] != at.HOLDING:
            continue
        if slots[row, at.SLOT_MEDIA] + slots[row, at.SLOT_SAMPLES] <= media_time:
            slots[row, at.SLOT_STATUS] = at.PLAYED
            state[at.HELD] -= 1
            state[at.C_FLUSHED] += 1
        elif first == at.NONE or slots[row, at.SLOT_SEQUENCE] < first:
            first = slots[row, at.SLOT_SEQUENCE]
    state[at.NEXT_MEDIA] = media_time
    state[at.NEXT_SEQUENCE] = state[at.HIGHEST_SEQUENCE] + 1 if first == at.NONE else first
    if first != at.NONE:
        start = slots[first & (slots.shape[0] - 1), at.SLOT_MEDIA]
        state[at.NEXT_MEDIA] = min(media_time, start)
    state[at.PHASE] = at.PLAYING
    state[at.LAST_END] = state[at.NEXT_MEDIA]
    state[at.LATE_RUN] = 0
    state[at.CONCEALED_RUN] = state[at.CONCEAL_MAX] + state[at.FADE]


@kernel("int64(int64[::1], int64[:, ::1])")
def level_samples(state: NDArray[np.int64], slots: NDArray[np.int64]) -> int:
    """Return the media held ahead of the position without a hole, in samples."""
    mask = slots.shape[0] - 1
    end = state[at.NEXT_MEDIA]
    if state[at.PHASE] != at.PLAYING:
        end = slots[state[at.NEXT_SEQUENCE] & mask, at.SLOT_MEDIA]
    begin = end
    for extended in range(state[at.NEXT_SEQUENCE], state[at.NEXT_SEQUENCE] + state[at.HELD]):
        row = extended & mask
        is_next = (
            slots[row, at.SLOT_SEQUENCE] == extended and slots[row, at.SLOT_STATUS] == at.HOLDING
        )
        if not is_next or slots[row, at.SLOT_MEDIA] != end:
            break
        end += slots[row, at.SLOT_SAMPLES]
    return int(end - begin)


assert ORIGINS == 8, "O_FIRST leaves room for eight origins"
