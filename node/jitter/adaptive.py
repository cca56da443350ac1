"""`pull` of a node that plays by itself: hold what the target level asks for, no more.

::

    delay of the next sample   > target: play faster (or shorten the pause)
      now + buffered           < target: play slower (or lengthen the pause)
      - media time             packets overdue, little left: half speed, it may be a stall
      - zero of `reference`    nothing left: make up sound, and wait; what was late is then played
"""

from node.jitter import state as at
from node.jitter.chunks import PAUSED, emit, fill_hole, make_up, next_held, play
from node.jitter.ledger import end_wait
from node.jitter.placement import first_held
from node.jitter.stalls import REACH_SAMPLES
from node.jitter.state import Jitter, Slot, Steering
from node.jitter.target_level import CATCH_UP_Q10, QUANTUM_SAMPLES, target_delay
from node.kernel import inner_kernel
from node.kernel.record import Records
from node.units import SAMPLES_PER_10_MS, SAMPLES_PER_MS

_PACING_SAMPLES = 2 * SAMPLES_PER_MS
"""Senders pace their packets to a millisecond or two: so much overdue is no sign of anything."""


@inner_kernel("void(Jitter, Slot[::1])")
def _resume(state: Jitter, slots: Records[Slot]) -> None:
    """Go back to where the wait began when the packet waited for has come."""
    first = first_held(state, slots)
    if first != at.NONE:
        end_wait(state, first, slots[first & (slots.shape[0] - 1)].media)


@inner_kernel("int64(Jitter, Steering, Slot[::1])")
def _next_within_bound(state: Jitter, steering: Steering, slots: Records[Slot]) -> int:
    """Return the packet to play next; drop what lies more than the largest delay behind."""
    extended = next_held(state, slots)
    if extended == at.NONE or steering.newest_end - state.next_media <= state.delay_max:
        return extended
    state.next_media = steering.newest_end - state.delay_max
    extended = next_held(state, slots)
    if extended != at.NONE:
        state.next_media = slots[extended & (slots.shape[0] - 1)].media
    return extended


@inner_kernel("int64(Jitter, Steering, int64, int64, int64)")
def _stretch(state: Jitter, steering: Steering, samples: int, error: int, now: int) -> int:
    """Return by how many samples the packet just taken should play longer (or, < 0, shorter).

    samples  of the packet
    error    delay of its first sample less the target
    now      in samples
    """
    left = steering.newest_end - state.next_media
    overdue = now - steering.last_arrival - samples
    # With nothing left, the first instant overdue is the last to act on; with more, there is time
    # to tell a stall from jitter.
    patience = steering.overdue if left > 0 else _PACING_SAMPLES
    if overdue > patience and left < 2 * REACH_SAMPLES:
        return samples if left < REACH_SAMPLES else samples // 2
    if abs(error) < QUANTUM_SAMPLES:
        steering.credit_q10 = 0
        return 0
    steering.credit_q10 = min(
        steering.credit_q10 + samples * CATCH_UP_Q10, 2 * QUANTUM_SAMPLES << 10
    )
    # A packet of 2.5 ms cannot change by 5: what is asked of several is for the caller to collect.
    change = min(steering.credit_q10 >> 10, abs(error), samples // 2)
    if change < min(QUANTUM_SAMPLES, samples // 2):
        return 0
    steering.credit_q10 -= change << 10
    return int(change if error < 0 else -change)


@inner_kernel("int64(Jitter, Slot[::1], int64, int64)")
def _pause_or_fill(state: Jitter, slots: Records[Slot], extended: int, error: int) -> int:
    """Fill a chunk before `extended`; change a pause by what is in error.

    A hole keeps its length: to shorten it would be a loss that nobody counts.
    """
    action = fill_hole(state, slots, extended)
    if action == at.PAUSE:
        left = slots[extended & (slots.shape[0] - 1)].media - state.next_media
        chunk = state.action_samples
        state.next_media += max(-chunk, min(error, left))
    return action


@inner_kernel("int64(Jitter, Steering, Slot[::1], int64, int64)")
def pull_adaptive(
    state: Jitter, steering: Steering, slots: Records[Slot], plays_at: int, now: int
) -> int:
    """Decide the next chunk; return its action.

    plays_at  when its first sample leaves, in samples on the clock of arrivals
    now       in samples
    """
    if state.phase == at.EMPTY:
        return emit(state, at.PAUSE, SAMPLES_PER_10_MS, PAUSED)
    target = target_delay(state, steering, now)
    if state.phase == at.WAITING:
        early = target - (plays_at - state.last_end - steering.reference)
        if early > 0:
            return emit(state, at.PAUSE, min(early, SAMPLES_PER_10_MS), PAUSED)
        state.phase = at.PLAYING
        state.next_media = state.last_end
    if state.pending_from != at.NONE:
        _resume(state, slots)
    if state.pending_from != at.NONE:
        return make_up(state, min(state.last_samples, SAMPLES_PER_10_MS), 1)
    extended = _next_within_bound(state, steering, slots)
    if extended == at.NONE:
        return make_up(state, min(state.last_samples, SAMPLES_PER_10_MS), 1)
    error = plays_at - state.next_media - steering.reference - target
    row = extended & (slots.shape[0] - 1)
    state.action_media = state.next_media
    if slots[row].media != state.next_media:
        return _pause_or_fill(state, slots, extended, error)
    action = play(state, slots, extended)
    stretch = _stretch(state, steering, slots[row].samples, error, now)
    state.action_stretch_samples = stretch
    state.stretched_samples += abs(stretch)
    return action
