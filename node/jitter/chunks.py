"""The leaves of `pull`: play a packet, make up a chunk, book it."""

import numpy as np
from numpy.typing import NDArray

from node.counters import Origin
from node.jitter import state as at
from node.jitter.ledger import pass_by
from node.jitter.placement import first_held
from node.kernel import kernel
from node.units import SAMPLES_PER_10_MS

CHUNK_SAMPLES = 2 * SAMPLES_PER_10_MS
"""Made-up sound comes in chunks of at most 20 ms, so that a packet is late by no more."""

STEP_SAMPLES = SAMPLES_PER_10_MS // 4
"""2.5 ms: what a decoder can conceal is a multiple of it."""

_CONCEALED = int(Origin.CONCEALED)
_FADED = int(Origin.FADED)
_SILENT = int(Origin.SILENT)
PAUSED = int(Origin.PAUSED)
_FEC = int(Origin.IN_BAND_FEC)
_RECEIVED = int(Origin.RECEIVED)
_REDUNDANT = int(Origin.REDUNDANT)
_RETRANSMITTED = int(Origin.RETRANSMITTED)


@kernel("int64(int64[::1], int64, int64, int64)")
def emit(state: NDArray[np.int64], action: int, samples: int, origin: int) -> int:
    """Book a chunk whose origin is certain."""
    state[at.ACTION_SAMPLES] = samples
    state[at.ACTION_ORIGIN] = origin
    state[at.O_FIRST + origin] += samples
    return action


@kernel("int64(int64[::1], int64[:, ::1], int64)")
def play(state: NDArray[np.int64], slots: NDArray[np.int64], extended: int) -> int:
    """Play the packet `extended` and free its slot."""
    if extended > state[at.NEXT_SEQUENCE]:
        pass_by(state, slots, extended)
    row = extended & (slots.shape[0] - 1)
    samples = slots[row, at.SLOT_SAMPLES]
    state[at.ACTION_SLOT] = row
    state[at.ACTION_ARRIVAL_NS] = slots[row, at.SLOT_ARRIVAL_NS]
    state[at.HELD] -= 1
    state[at.NEXT_SEQUENCE] = extended + 1
    state[at.FLOOR_SEQUENCE] = extended + 1
    state[at.NEXT_MEDIA] += samples
    state[at.LAST_END] = state[at.NEXT_MEDIA]
    state[at.LAST_SAMPLES] = samples
    state[at.CONCEALED_RUN] = 0
    slots[row, at.SLOT_STATUS] = at.PLAYED
    if not slots[row, at.SLOT_FLAGS] & (at.REDUNDANT | at.RETRANSMITTED):
        state[at.ACTION_SAMPLES] = samples
        state[at.ACTION_ORIGIN] = _RECEIVED
        state[at.O_FIRST + _RECEIVED] += samples
        return at.PLAY
    # The packet itself has not come: should it still, it is late and not a duplicate.
    slots[row, at.SLOT_STATUS] = at.MISSED
    state[at.C_LOST] += 1
    is_copy = slots[row, at.SLOT_FLAGS] & at.REDUNDANT
    return emit(state, at.PLAY, samples, _REDUNDANT if is_copy else _RETRANSMITTED)


@kernel("int64(int64[::1], int64, int64)")
def make_up(state: NDArray[np.int64], chunk: int, pending: int) -> int:
    """Fill at most `chunk` samples with concealment, its fade, or silence, by how long it lasts."""
    run = state[at.CONCEALED_RUN]
    fade_end = state[at.CONCEAL_MAX] + state[at.FADE]
    if chunk > STEP_SAMPLES:
        chunk -= chunk % STEP_SAMPLES
    if chunk % STEP_SAMPLES != 0 or run >= fade_end:
        action, origin = at.SILENCE, _SILENT
        run = max(run, fade_end)
    elif run < state[at.CONCEAL_MAX]:
        action, origin = at.CONCEAL, _CONCEALED
        chunk = min(chunk, state[at.CONCEAL_MAX] - run)
    else:
        action, origin = at.FADE_OUT, _FADED
        chunk = min(chunk, fade_end - run)
    if pending and state[at.PENDING_FROM] == at.NONE:
        state[at.PENDING_FROM] = state[at.NEXT_MEDIA]
        state[at.PENDING_RUN] = run
    state[at.CONCEALED_RUN] = run + chunk
    state[at.NEXT_MEDIA] += chunk
    if not pending:
        return emit(state, action, chunk, origin)
    state[at.ACTION_SAMPLES] = chunk
    state[at.ACTION_ORIGIN] = origin
    return action


@kernel("int64(int64[::1], int64[:, ::1])")
def next_held(state: NDArray[np.int64], slots: NDArray[np.int64]) -> int:
    """Return the packet to play next; throw away held ones whose time another one covered."""
    while True:
        extended = first_held(state, slots)
        if extended == at.NONE:
            return at.NONE
        row = extended & (slots.shape[0] - 1)
        if slots[row, at.SLOT_MEDIA] >= state[at.NEXT_MEDIA]:
            return extended
        pass_by(state, slots, extended)
        slots[row, at.SLOT_STATUS] = at.PLAYED
        state[at.NEXT_SEQUENCE] = extended + 1
        state[at.FLOOR_SEQUENCE] = extended + 1
        state[at.HELD] -= 1
        state[at.C_FLUSHED] += 1


@kernel("int64(int64[::1], int64[:, ::1], int64)")
def fill_hole(state: NDArray[np.int64], slots: NDArray[np.int64], extended: int) -> int:
    """Fill a chunk of the hole before the held packet `extended`: FEC, made up, or a pause."""
    row = extended & (slots.shape[0] - 1)
    gap = slots[row, at.SLOT_MEDIA] - state[at.NEXT_MEDIA]
    missing = extended - state[at.NEXT_SEQUENCE]
    lost_end = min(state[at.LAST_END] + missing * state[at.LAST_SAMPLES], slots[row, at.SLOT_MEDIA])
    has_fec = missing > 0 and slots[row, at.SLOT_FLAGS] & at.HAS_FEC
    if has_fec and gap == slots[row, at.SLOT_SAMPLES]:
        state[at.ACTION_SLOT] = extended & (slots.shape[0] - 1)
        state[at.ACTION_ARRIVAL_NS] = slots[row, at.SLOT_ARRIVAL_NS]
        state[at.CONCEALED_RUN] = 0
        state[at.NEXT_MEDIA] += gap
        return emit(state, at.FEC, gap, _FEC)
    if lost_end <= state[at.NEXT_MEDIA]:
        chunk = min(gap, CHUNK_SAMPLES)
        state[at.NEXT_MEDIA] += chunk
        return emit(state, at.PAUSE, chunk, PAUSED)
    chunk = min(lost_end - state[at.NEXT_MEDIA], state[at.LAST_SAMPLES], CHUNK_SAMPLES)
    if has_fec and gap > slots[row, at.SLOT_SAMPLES]:
        chunk = min(chunk, gap - slots[row, at.SLOT_SAMPLES])
    elif not has_fec and lost_end == slots[row, at.SLOT_MEDIA]:
        state[at.ACTION_HOLE] = gap
        state[at.ACTION_NEXT_SLOT] = row
    return make_up(state, chunk, 0)
