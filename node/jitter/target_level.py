"""How much delay to hold: a bank of trial receivers, and the one that would have cost least.

Each of 64 trial receivers holds another level above the link's own delay. Every packet is played
to all of them: each pays for the delay that it holds, and for the sound that it would have had to
make up. The cheapest of the last minutes is followed.

- Memory is long (109 s), so a stall every ten seconds is not forgotten; yet a single concealed
  sample weighs as much as twenty thousand samples of delay, so one bad stall raises at once.
- Holding back, catching up and stretching ahead of a gap happen in the trial as they do in
  earnest; so a stall (everything late together, then a burst), a step (late from now on) and a
  growing queue each cost what they really cost.
- Levels stand above the smallest delay of the last seconds: when a route change moves that, all
  move along, up and down.
- Three followers do what the bank would have chosen with a memory of 109 s, 12 s and 4 s, and pay
  as the trials do. The one that served better is followed: a link whose jitter has changed for
  good needs no two minutes to be believed.
- Levels are 2.5 ms apart below 31 ms, 8 % above.
"""

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.stalls import (
    OVERDUE_SAMPLES,
    REACH_SAMPLES,
    expect,
    is_expected,
    note_stall,
)
from node.jitter.state import Jitter, Steering
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import ns_to_samples
from node.units import SAMPLES_PER_MS

CATCH_UP_Q10 = 128
"""Playout may run 12.5 % faster or slower to reach its level: Liang, Färber and Girod (IEEE Trans.
Multimedia 5, 2003) found far larger changes of single packets hardly audible."""

QUANTUM_SAMPLES = 5 * SAMPLES_PER_MS
"""Smallest change asked of time-scale modification, about one period of a voice; the delay held
is up to so much away from what is wanted."""

_BASE_WINDOW_SAMPLES = 2000 * SAMPLES_PER_MS
"""The base is the minimum over one to two halves of it. Long enough to outlast a burst, short
enough that +-300 ppm of clock skew move it by 0.6 ms."""

_RECENT_WINDOW_SAMPLES = 400 * SAMPLES_PER_MS
_RECENT_MARGIN_SAMPLES = 20 * SAMPLES_PER_MS
"""Until the base has followed a longer route, delay stays so much above what packets take now."""

_DECAY_SAMPLES = 20 * SAMPLES_PER_MS
_DECAY_Q14 = 3
"""Costs lose 3 / 16384 per 20 ms: a memory of 109 s."""

_QUICK_DECAY_Q14 = 27
_HASTY_DECAY_Q14 = 81
"""...and for the short memories 12 s and 4 s."""

_QUICK_MARGIN_SHIFT = 3
"""A short memory is followed where it served better by an eighth: on a link that does not change,
the long one is right and the short one lucky."""

_SLOW_SHIFT = 5
"""A sample played at half speed, because the next packet is not there when this one is taken,
weighs a 32nd of a made-up one: without a price every second packet would be drawn out."""

_STALL_SAMPLES = 60 * SAMPLES_PER_MS
"""A sudden delay above this is a stall worth remembering when it began."""

_OVERDUE_STEP = 4
_OVERDUE_MAX_SAMPLES = 60 * SAMPLES_PER_MS

_WORTH_MS_PER_RATIO = 100
"""The operator's knob: the last 100 ms of delay must buy `late_ratio`. At 0.005 that is 200 ms
for each per cent, the weight of J (docs/glossary.md)."""


def _levels() -> NDArray[np.int64]:
    """Return the levels of the trial receivers in samples: (TRIALS,) int64."""
    levels = [5 * SAMPLES_PER_MS // 2]
    for _ in range(1, at.TRIALS):
        levels.append(levels[-1] + max(5 * SAMPLES_PER_MS // 2, levels[-1] * 2 // 25))
    return np.array(levels, np.int64)


LEVELS = _levels()


@inlined
def _cheapest(costs: NDArray[np.int64], trials: int) -> int:
    """Return the first of the `trials` that cost least; no branch, for which it is is chance."""
    best = 0
    least = costs[0]
    for trial in range(1, trials):
        cost = costs[trial]
        best = trial if cost < least else best
        least = cost if cost < least else least
    return best


@inner_kernel("void(Jitter, Steering)")
def _choose(state: Jitter, steering: Steering) -> None:
    """Follow the cheapest trial, by the memory that served better, within the configured bounds."""
    trials = 1
    for trial in range(1, at.TRIALS):
        trials += 1 if LEVELS[trial] <= state.delay_max else 0
    best = _cheapest(steering.trial_costs[:], trials)
    best_quick = _cheapest(steering.quick_costs[:], trials)
    best_hasty = _cheapest(steering.hasty_costs[:], trials)
    steering.trial_levels[at.TRIALS] = LEVELS[best]
    steering.trial_levels[at.TRIALS + 1] = LEVELS[best_quick]
    steering.trial_levels[at.TRIALS + 2] = LEVELS[best_hasty]
    level = LEVELS[best]
    lowest = steering.trial_costs[at.TRIALS]
    for follower in range(1, at.FOLLOWERS):
        cost = steering.trial_costs[at.TRIALS + follower]
        cost += cost >> _QUICK_MARGIN_SHIFT
        if cost < lowest:
            lowest = cost
            level = steering.trial_levels[at.TRIALS + follower]
    steering.level = max(level, state.delay_min)


@inner_kernel("void(Jitter, Steering, int64, int64)")
def begin(state: Jitter, steering: Steering, media: int, now: int) -> None:
    """Start the estimate at the first packet; `now` is its arrival in samples.

    Before anything is known, delays are taken to halve every 20 ms, on the strength of one late
    frame: so it starts near 80 ms and is down at 20 ms after some ten quiet seconds.
    """
    steering.reference = now - media
    steering.base_delay = 0
    steering.base_now = 0
    steering.base_before = 0
    steering.base_since = now
    steering.recent_now = 0
    steering.recent_before = 0
    steering.recent_since = now
    steering.newest_end = media
    steering.last_delay = 0
    steering.last_arrival = now
    steering.overdue = OVERDUE_SAMPLES
    steering.credit_q10 = 0
    steering.stall_count = 0
    steering.stall_period = 0
    steering.stall_next = at.NONE
    weight = _WORTH_MS_PER_RATIO * SAMPLES_PER_MS * 1_000_000 // max(10, state.late_ppm)
    steering.weight = weight
    for follower in range(at.TRIALS, at.TRIALS + at.FOLLOWERS):
        steering.trial_delays[follower] = 0
        steering.trial_costs[follower] = 0
        steering.quick_costs[follower] = 0
        steering.hasty_costs[follower] = 0
    for trial in range(at.TRIALS):
        steering.trial_levels[trial] = LEVELS[trial]
        halvings = LEVELS[trial] // _DECAY_SAMPLES
        prior = weight * (_DECAY_SAMPLES // 2) >> halvings if halvings < 40 else 0
        rest = LEVELS[trial] - halvings * _DECAY_SAMPLES
        steering.trial_costs[trial] = prior - prior * rest // (2 * _DECAY_SAMPLES)
        steering.quick_costs[trial] = steering.trial_costs[trial]
        steering.hasty_costs[trial] = steering.trial_costs[trial]
        steering.trial_delays[trial] = LEVELS[trial]
    _choose(state, steering)


@inner_kernel("void(Steering, int64, int64)")
def _move_base(steering: Steering, delay: int, now: int) -> None:
    """Track the minimum over the last seconds, and over the last tenths of one."""
    if now - steering.recent_since > _RECENT_WINDOW_SAMPLES // 2:
        steering.recent_before = steering.recent_now
        steering.recent_now = delay
        steering.recent_since = now
    steering.recent_now = min(steering.recent_now, delay)
    steering.recent = min(steering.recent_now, steering.recent_before)
    if now - steering.base_since > _BASE_WINDOW_SAMPLES // 2:
        steering.base_before = steering.base_now
        steering.base_now = delay
        steering.base_since = now
    steering.base_now = min(steering.base_now, delay)
    steering.base_delay = min(steering.base_now, steering.base_before)


@inner_kernel("void(Steering, int64, int64, int64, int64)")
def _try_all(steering: Steering, delay: int, samples: int, is_newest: int, is_free: int) -> None:
    """Play one packet to all trial receivers, and charge them.

    delay      of the packet
    is_newest  0: it was overtaken, so a receiver has gone on without it and lost it when late
    is_free    1: the delay was foreseen, and levels need not cover it
    """
    base = steering.base_delay
    floor = steering.recent + _RECENT_MARGIN_SAMPLES
    weight = steering.weight
    slack = steering.last_delay + steering.overdue
    alone = steering.last_delay + samples
    step = samples * CATCH_UP_Q10 >> 10
    steering.decay_due += samples
    decays = steering.decay_due // _DECAY_SAMPLES
    steering.decay_due -= decays * _DECAY_SAMPLES
    slowed_weight = weight >> _SLOW_SHIFT
    made_up_weight = 0 if is_free else weight
    # No branch and one pattern for all: so the compiler takes several trials at a time.
    for trial in range(at.TRIALS + at.FOLLOWERS):
        before = steering.trial_delays[trial]
        wanted = max(base + steering.trial_levels[trial], min(floor, before))
        is_late = delay > before
        is_alone = delay > before - samples and before + QUANTUM_SAMPLES > alone
        slowed = samples if is_newest and is_alone else 0
        # When it is late and the newest: what was held when packets ceased played at half speed.
        left = max(0, before - slack)
        spread = min(max(0, left - REACH_SAMPLES), REACH_SAMPLES) >> 1
        missed = max(0, delay - before - min(left, REACH_SAMPLES) - spread)
        made_up = (missed if is_newest else samples) if is_late else 0
        moved = max(wanted, before - step) if before > wanted else min(wanted, before + step)
        on_time = before + slowed if slowed else moved
        held = (delay if is_late else on_time) if is_newest else before
        steering.trial_delays[trial] = held
        spent = (held - base) * samples + made_up_weight * made_up + slowed_weight * slowed
        cost = steering.trial_costs[trial]
        steering.trial_costs[trial] = cost - (cost >> 14) * (_DECAY_Q14 * decays) + spent
        quick = steering.quick_costs[trial]
        steering.quick_costs[trial] = quick - (quick >> 14) * (_QUICK_DECAY_Q14 * decays) + spent
        hasty = steering.hasty_costs[trial]
        steering.hasty_costs[trial] = hasty - (hasty >> 14) * (_HASTY_DECAY_Q14 * decays) + spent


@inner_kernel("void(Steering, int64)")
def _learn_overdue(steering: Steering, by: int) -> None:
    """Track how much overdue one packet in sixteen is: less is no sign of a stall."""
    if by > steering.overdue:
        steering.overdue = min(steering.overdue + 15 * _OVERDUE_STEP, _OVERDUE_MAX_SAMPLES)
    else:
        steering.overdue = max(steering.overdue - _OVERDUE_STEP, OVERDUE_SAMPLES)


@inner_kernel("void(Jitter, Steering, int64, int64, int64)")
def observe(state: Jitter, steering: Steering, media: int, samples: int, now_ns: int) -> None:
    """Learn from one packet, on time or late (repairs tell nothing about the link).

    media, samples  of the packet
    now_ns          its arrival
    """
    now = ns_to_samples(now_ns)
    if steering.reference == at.NONE:
        begin(state, steering, media, now)
    delay = now - media - steering.reference
    _move_base(steering, delay, now)
    is_newest = media >= steering.newest_end
    is_free = 0
    if is_newest and delay - steering.last_delay > _STALL_SAMPLES:
        is_free = note_stall(steering, steering.last_arrival, delay - steering.base_delay)
    if is_newest:
        expect(steering, now)
        _learn_overdue(steering, delay - steering.last_delay)
    _try_all(steering, delay, samples, 1 if is_newest else 0, is_free)
    if is_newest:
        steering.newest_end = media + samples
        steering.last_delay = delay
        steering.last_arrival = now
    _choose(state, steering)


@inner_kernel("int64(Jitter, Steering, int64)")
def target_delay(state: Jitter, steering: Steering, now: int) -> int:
    """Return the delay to steer to at `now`, both in samples, from the zero of `reference`."""
    level = steering.level
    ramp = (steering.stall_level - level) * 1024 // CATCH_UP_Q10
    if steering.stall_level > level and is_expected(steering, now, ramp):
        level = steering.stall_level
    floor = steering.recent + _RECENT_MARGIN_SAMPLES
    steering.target = max(steering.base_delay + min(level, state.delay_max), floor)
    return int(steering.target)
