"""`pull` of a node that plays by itself: hold what the target level asks for, no more.

::

    delay of the next sample   > target: play faster (or shorten the pause)
      now + buffered           < target: play slower (or lengthen the pause)
      - media time             packets overdue, little left: half speed, it may be a stall
      - zero of A_REFERENCE    nothing left: make up sound, and wait; what was late is then played
"""

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.chunks import PAUSED, emit, fill_hole, make_up, next_held, play
from node.jitter.ledger import end_wait
from node.jitter.placement import first_held
from node.jitter.stalls import REACH_SAMPLES
from node.jitter.target_level import CATCH_UP_Q10, QUANTUM_SAMPLES, target_delay
from node.kernel import kernel
from node.units import SAMPLES_PER_10_MS, SAMPLES_PER_MS

_PACING_SAMPLES = 2 * SAMPLES_PER_MS
"""Senders pace their packets to a millisecond or two: so much overdue is no sign of anything."""


@kernel("void(int64[::1], int64[:, ::1])")
def _resume(state: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
    """Go back to where the wait began when the packet waited for has come."""
    first = first_held(state, slots)
    if first != at.NONE:
        end_wait(state, first, slots[first & (slots.shape[0] - 1), at.SLOT_MEDIA])


@kernel("int64(int64[::1], int64[:, ::1])")
def _next_within_bound(state: NDArray[np.int64], slots: NDArray[np.int64]) -> int:
    """Return the packet to play next; drop what lies more than the largest delay behind."""
    extended = next_held(state, slots)
    if extended == at.NONE or state[at.A_NEWEST_END] - state[at.NEXT_MEDIA] <= state[at.DELAY_MAX]:
        return extended
    state[at.NEXT_MEDIA] = state[at.A_NEWEST_END] - state[at.DELAY_MAX]
    extended = next_held(state, slots)
    if extended != at.NONE:
        state[at.NEXT_MEDIA] = slots[extended & (slots.shape[0] - 1), at.SLOT_MEDIA]
    return extended


@kernel("int64(int64[::1], int64, int64, int64)")
def _stretch(state: NDArray[np.int64], samples: int, error: int, now: int) -> int:
    """Return by how many samples the packet just taken should play longer (or, < 0, shorter).

    samples  of the packet
    error    delay of its first sample less the target
    now      in samples
    """
    left = state[at.A_NEWEST_END] - state[at.NEXT_MEDIA]
    overdue = now - state[at.A_LAST_ARRIVAL] - samples
    # With nothing left, the first instant overdue is the last to act on; with more, there is time
    # to tell a stall from jitter.
    patience = state[at.A_OVERDUE] if left > 0 else _PACING_SAMPLES
    if overdue > patience and left < 2 * REACH_SAMPLES:
        return samples if left < REACH_SAMPLES else samples // 2
    if abs(error) < QUANTUM_SAMPLES:
        state[at.A_CREDIT_Q10] = 0
        return 0
    state[at.A_CREDIT_Q10] = min(
        state[at.A_CREDIT_Q10] + samples * CATCH_UP_Q10, 2 * QUANTUM_SAMPLES << 10
    )
    # A packet of 2.5 ms cannot change by 5: what is asked of several is for the caller to collect.
    change = min(state[at.A_CREDIT_Q10] >> 10, abs(error), samples // 2)
    if change < min(QUANTUM_SAMPLES, samples // 2):
        return 0
    state[at.A_CREDIT_Q10] -= change << 10
    return int(change if error < 0 else -change)


@kernel("int64(int64[::1], int64[:, ::1], int64, int64)")
def _pause_or_fill(
    state: NDArray[np.int64], slots: NDArray[np.int64], extended: int, error: int
) -> int:
    """Fill a chunk before `extended`; change a pause by what is in error.

    A hole keeps its length: to shorten it would be a loss that nobody counts.
    """
    action = fill_hole(state, slots, extended)
    if action == at.PAUSE:
        left = slots[extended & (slots.shape[0] - 1), at.SLOT_MEDIA] - state[at.NEXT_MEDIA]
        chunk = state[at.ACTION_SAMPLES]
        state[at.NEXT_MEDIA] += max(-chunk, min(error, left))
    return action


@kernel("int64(int64[::1], int64[:, ::1], int64, int64)")
def pull_adaptive(
    state: NDArray[np.int64], slots: NDArray[np.int64], plays_at: int, now: int
) -> int:
    """Decide the next chunk; return its action.

    plays_at  when its first sample leaves, in samples on the clock of arrivals
    now       in samples
    """
    if state[at.PHASE] == at.EMPTY:
        return emit(state, at.PAUSE, SAMPLES_PER_10_MS, PAUSED)
    target = target_delay(state, now)
    if state[at.PHASE] == at.WAITING:
        early = target - (plays_at - state[at.LAST_END] - state[at.A_REFERENCE])
        if early > 0:
            return emit(state, at.PAUSE, min(early, SAMPLES_PER_10_MS), PAUSED)
        state[at.PHASE] = at.PLAYING
        state[at.NEXT_MEDIA] = state[at.LAST_END]
    if state[at.PENDING_FROM] != at.NONE:
        _resume(state, slots)
    if state[at.PENDING_FROM] != at.NONE:
        return make_up(state, min(state[at.LAST_SAMPLES], SAMPLES_PER_10_MS), 1)
    extended = _next_within_bound(state, slots)
    if extended == at.NONE:
        return make_up(state, min(state[at.LAST_SAMPLES], SAMPLES_PER_10_MS), 1)
    error = plays_at - state[at.NEXT_MEDIA] - state[at.A_REFERENCE] - target
    row = extended & (slots.shape[0] - 1)
    state[at.ACTION_MEDIA] = state[at.NEXT_MEDIA]
    if slots[row, at.SLOT_MEDIA] != state[at.NEXT_MEDIA]:
        return _pause_or_fill(state, slots, extended, error)
    action = play(state, slots, extended)
    stretch = _stretch(state, slots[row, at.SLOT_SAMPLES], error, now)
    state[at.ACTION_STRETCH_SAMPLES] = stretch
    state[at.C_STRETCHED] += abs(stretch)
    return action
