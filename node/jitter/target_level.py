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
from node.kernel import inlined, kernel
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
def _cheapest(state: NDArray[np.int64], costs: int, trials: int) -> int:
    """Return the first of the `trials` that cost least; no branch, for which it is is chance."""
    best = 0
    least = state[costs]
    for trial in range(1, trials):
        cost = state[costs + trial]
        best = trial if cost < least else best
        least = cost if cost < least else least
    return best


@kernel("void(int64[::1])")
def _choose(state: NDArray[np.int64]) -> None:
    """Follow the cheapest trial, by the memory that served better, within the configured bounds."""
    trials = 1
    for trial in range(1, at.TRIALS):
        trials += 1 if LEVELS[trial] <= state[at.DELAY_MAX] else 0
    best = _cheapest(state, at.B_COSTS, trials)
    best_quick = _cheapest(state, at.B_QUICK_COSTS, trials)
    best_hasty = _cheapest(state, at.B_HASTY_COSTS, trials)
    followers = at.B_LEVELS + at.TRIALS
    state[followers] = LEVELS[best]
    state[followers + 1] = LEVELS[best_quick]
    state[followers + 2] = LEVELS[best_hasty]
    level = LEVELS[best]
    lowest = state[at.B_COSTS + at.TRIALS]
    for follower in range(1, at.FOLLOWERS):
        cost = state[at.B_COSTS + at.TRIALS + follower]
        cost += cost >> _QUICK_MARGIN_SHIFT
        if cost < lowest:
            lowest = cost
            level = state[followers + follower]
    state[at.A_LEVEL] = max(level, state[at.DELAY_MIN])


@kernel("void(int64[::1], int64, int64)")
def begin(state: NDArray[np.int64], media: int, now: int) -> None:
    """Start the estimate at the first packet; `now` is its arrival in samples.

    Before anything is known, delays are taken to halve every 20 ms, on the strength of one late
    frame: so it starts near 80 ms and is down at 20 ms after some ten quiet seconds.
    """
    state[at.A_REFERENCE] = now - media
    state[at.A_BASE] = 0
    state[at.A_BASE_NOW] = 0
    state[at.A_BASE_BEFORE] = 0
    state[at.A_BASE_SINCE] = now
    state[at.A_RECENT_NOW] = 0
    state[at.A_RECENT_BEFORE] = 0
    state[at.A_RECENT_SINCE] = now
    state[at.A_NEWEST_END] = media
    state[at.A_LAST_DELAY] = 0
    state[at.A_LAST_ARRIVAL] = now
    state[at.A_OVERDUE] = OVERDUE_SAMPLES
    state[at.A_CREDIT_Q10] = 0
    state[at.S_COUNT] = 0
    state[at.S_PERIOD] = 0
    state[at.S_NEXT] = at.NONE
    weight = _WORTH_MS_PER_RATIO * SAMPLES_PER_MS * 1_000_000 // max(10, state[at.LATE_PPM])
    state[at.A_WEIGHT] = weight
    for follower in range(at.TRIALS, at.TRIALS + at.FOLLOWERS):
        state[at.B_DELAYS + follower] = 0
        state[at.B_COSTS + follower] = 0
    for trial in range(at.TRIALS):
        state[at.B_LEVELS + trial] = LEVELS[trial]
        halvings = LEVELS[trial] // _DECAY_SAMPLES
        prior = weight * (_DECAY_SAMPLES // 2) >> halvings if halvings < 40 else 0
        rest = LEVELS[trial] - halvings * _DECAY_SAMPLES
        state[at.B_COSTS + trial] = prior - prior * rest // (2 * _DECAY_SAMPLES)
        state[at.B_QUICK_COSTS + trial] = state[at.B_COSTS + trial]
        state[at.B_HASTY_COSTS + trial] = state[at.B_COSTS + trial]
        state[at.B_DELAYS + trial] = LEVELS[trial]
    _choose(state)


@kernel("void(int64[::1], int64, int64)")
def _move_base(state: NDArray[np.int64], delay: int, now: int) -> None:
    """Track the minimum over the last seconds, and over the last tenths of one."""
    if now - state[at.A_RECENT_SINCE] > _RECENT_WINDOW_SAMPLES // 2:
        state[at.A_RECENT_BEFORE] = state[at.A_RECENT_NOW]
        state[at.A_RECENT_NOW] = delay
        state[at.A_RECENT_SINCE] = now
    state[at.A_RECENT_NOW] = min(state[at.A_RECENT_NOW], delay)
    state[at.A_RECENT] = min(state[at.A_RECENT_NOW], state[at.A_RECENT_BEFORE])
    if now - state[at.A_BASE_SINCE] > _BASE_WINDOW_SAMPLES // 2:
        state[at.A_BASE_BEFORE] = state[at.A_BASE_NOW]
        state[at.A_BASE_NOW] = delay
        state[at.A_BASE_SINCE] = now
    state[at.A_BASE_NOW] = min(state[at.A_BASE_NOW], delay)
    state[at.A_BASE] = min(state[at.A_BASE_NOW], state[at.A_BASE_BEFORE])


@kernel("void(int64[::1], int64, int64, int64, int64)")
def _try_all(
    state: NDArray[np.int64], delay: int, samples: int, is_newest: int, is_free: int
) -> None:
    """Play one packet to all trial receivers, and charge them.

    delay      of the packet
    is_newest  0: it was overtaken, so a receiver has gone on without it and lost it when late
    is_free    1: the delay was foreseen, and levels need not cover it
    """
    base = state[at.A_BASE]
    floor = state[at.A_RECENT] + _RECENT_MARGIN_SAMPLES
    weight = state[at.A_WEIGHT]
    slack = state[at.A_LAST_DELAY] + state[at.A_OVERDUE]
    alone = state[at.A_LAST_DELAY] + samples
    step = samples * CATCH_UP_Q10 >> 10
    state[at.A_DECAY_DUE] += samples
    decays = state[at.A_DECAY_DUE] // _DECAY_SAMPLES
    state[at.A_DECAY_DUE] -= decays * _DECAY_SAMPLES
    for trial in range(at.TRIALS + at.FOLLOWERS):
        held = state[at.B_DELAYS + trial]
        wanted = max(base + state[at.B_LEVELS + trial], min(floor, held))
        made_up = 0
        is_alone = delay > held - samples and held + QUANTUM_SAMPLES > alone
        slowed = samples if is_newest and is_alone else 0
        if delay > held:
            made_up = samples
            if is_newest:
                # What it held when packets ceased was played at half speed.
                made_up = delay - held
                left = max(0, held - slack)
                spread = min(max(0, left - REACH_SAMPLES), REACH_SAMPLES) // 2
                made_up -= min(made_up, min(left, REACH_SAMPLES) + spread)
                held = delay
        elif slowed:
            held += slowed
        elif is_newest:
            held = max(wanted, held - step) if held > wanted else min(wanted, held + step)
        cost = state[at.B_COSTS + trial]
        cost -= (cost >> 14) * (_DECAY_Q14 * decays)
        if is_free:
            made_up = 0
        spent = (held - base) * samples + weight * made_up
        spent += (weight >> _SLOW_SHIFT) * slowed
        state[at.B_COSTS + trial] = cost + spent
        state[at.B_DELAYS + trial] = held
        if trial >= at.TRIALS:
            continue
        quick = state[at.B_QUICK_COSTS + trial]
        quick -= (quick >> 14) * (_QUICK_DECAY_Q14 * decays)
        state[at.B_QUICK_COSTS + trial] = quick + spent
        hasty = state[at.B_HASTY_COSTS + trial]
        hasty -= (hasty >> 14) * (_HASTY_DECAY_Q14 * decays)
        state[at.B_HASTY_COSTS + trial] = hasty + spent


@kernel("void(int64[::1], int64)")
def _learn_overdue(state: NDArray[np.int64], by: int) -> None:
    """Track how much overdue one packet in sixteen is: less is no sign of a stall."""
    if by > state[at.A_OVERDUE]:
        state[at.A_OVERDUE] = min(state[at.A_OVERDUE] + 15 * _OVERDUE_STEP, _OVERDUE_MAX_SAMPLES)
    else:
        state[at.A_OVERDUE] = max(state[at.A_OVERDUE] - _OVERDUE_STEP, OVERDUE_SAMPLES)


@kernel("void(int64[::1], int64, int64, int64)")
def observe(state: NDArray[np.int64], media: int, samples: int, now_ns: int) -> None:
    """Learn from one packet, on time or late (repairs tell nothing about the link).

    media, samples  of the packet
    now_ns          its arrival
    """
    now = now_ns * 3 // 62_500
    if state[at.A_REFERENCE] == at.NONE:
        begin(state, media, now)
    delay = now - media - state[at.A_REFERENCE]
    _move_base(state, delay, now)
    is_newest = media >= state[at.A_NEWEST_END]
    is_free = 0
    if is_newest and delay - state[at.A_LAST_DELAY] > _STALL_SAMPLES:
        is_free = note_stall(state, state[at.A_LAST_ARRIVAL], delay - state[at.A_BASE])
    if is_newest:
        expect(state, now)
        _learn_overdue(state, delay - state[at.A_LAST_DELAY])
    _try_all(state, delay, samples, 1 if is_newest else 0, is_free)
    if is_newest:
        state[at.A_NEWEST_END] = media + samples
        state[at.A_LAST_DELAY] = delay
        state[at.A_LAST_ARRIVAL] = now
    _choose(state)


@kernel("int64(int64[::1], int64)")
def target_delay(state: NDArray[np.int64], now: int) -> int:
    """Return the delay to steer to at `now`, both in samples, from the zero of A_REFERENCE."""
    level = state[at.A_LEVEL]
    ramp = (state[at.S_LEVEL] - level) * 1024 // CATCH_UP_Q10
    if state[at.S_LEVEL] > level and is_expected(state, now, ramp):
        level = state[at.S_LEVEL]
    floor = state[at.A_RECENT] + _RECENT_MARGIN_SAMPLES
    state[at.A_TARGET] = max(state[at.A_BASE] + min(level, state[at.DELAY_MAX]), floor)
    return int(state[at.A_TARGET])
