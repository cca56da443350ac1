"""Stalls that come like clockwork: Wi-Fi scans, satellite handovers, a sender's housekeeping.

A station that scans for other access points stops every so many seconds for a few hundred
milliseconds. Once three equal intervals were seen, delay is built up just before the next one is
due and given back after it, instead of being held all the time.
"""

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.kernel import kernel
from node.units import SAMPLES_PER_MS

_PERIOD_MIN_SAMPLES = 2_000 * SAMPLES_PER_MS
"""Shorter ones leave no time to build up and to give back."""

_PERIOD_MAX_SAMPLES = 120_000 * SAMPLES_PER_MS

TOLERANCE_SAMPLES = 150 * SAMPLES_PER_MS
"""A stall may begin so much earlier or later than due. Measured on a Raspberry Pi that scans
every 11 s: standard deviation 40 ms."""

_MISSES_MAX = 3

OVERDUE_SAMPLES = 10 * SAMPLES_PER_MS
"""A packet so much overdue may be the beginning of a stall: play what is left at half speed."""

REACH_SAMPLES = 200 * SAMPLES_PER_MS
"""...once no more than this is left; most stalls end before that."""


@kernel("int64(int64[::1], int64)")
def _was_stall(state: NDArray[np.int64], about: int) -> int:
    """Return the beginning of the remembered stall nearest to `about`, or NONE."""
    found = at.NONE
    nearest = TOLERANCE_SAMPLES + 1
    for i in range(min(state[at.S_COUNT], at.S_REMEMBERED)):
        away = abs(state[at.S_ONSETS + i] - about)
        if away < nearest:
            nearest = away
            found = state[at.S_ONSETS + i]
    return found


@kernel("void(int64[::1], int64)")
def _find_period(state: NDArray[np.int64], onset: int) -> None:
    """Look for the shortest period at which stalls came three times up to `onset`."""
    count = state[at.S_COUNT]
    for back in range(1, min(count, at.S_REMEMBERED)):
        earlier = state[at.S_ONSETS + (count - 1 - back) % at.S_REMEMBERED]
        period = onset - earlier
        if period < _PERIOD_MIN_SAMPLES or period > _PERIOD_MAX_SAMPLES:
            continue
        if _was_stall(state, onset - 2 * period) == at.NONE:
            continue
        first = _was_stall(state, onset - 3 * period)
        if first == at.NONE:
            continue
        state[at.S_PERIOD] = (onset - first) // 3
        state[at.S_NEXT] = onset + state[at.S_PERIOD]
        state[at.S_MISSES] = 0
        return


@kernel("void(int64[::1], int64)")
def _remember_height(state: NDArray[np.int64], height: int) -> None:
    """Choose the level that meets all but the highest of the last eight stalls.

    Half speed while the stall lasts doubles what is held when it is noticed, within its reach.
    """
    hits = state[at.S_HITS]
    state[at.S_HEIGHTS + hits % at.S_HEIGHTS_REMEMBERED] = height
    state[at.S_HITS] = hits + 1
    highest = 0
    second = 0
    for i in range(min(hits + 1, at.S_HEIGHTS_REMEMBERED)):
        one = state[at.S_HEIGHTS + i]
        if one > highest:
            second = highest
            highest = one
        elif one > second:
            second = one
    wanted = second if hits + 1 >= at.S_HEIGHTS_REMEMBERED else highest
    state[at.S_LEVEL] = max((wanted + 2 * OVERDUE_SAMPLES) // 2, wanted - REACH_SAMPLES)


@kernel("int64(int64[::1], int64, int64)")
def note_stall(state: NDArray[np.int64], onset: int, height: int) -> int:
    """Remember a stall; return 1 when it was foreseen.

    onset   when the last packet before it came, in samples
    height  delay of the first packet after it, above the base
    """
    count = state[at.S_COUNT]
    state[at.S_ONSETS + count % at.S_REMEMBERED] = onset
    state[at.S_COUNT] = count + 1
    is_due = state[at.S_NEXT] != at.NONE and abs(onset - state[at.S_NEXT]) <= TOLERANCE_SAMPLES
    if not is_due:
        if state[at.S_PERIOD] == 0 or state[at.S_MISSES] > 0:
            _find_period(state, onset)
        if state[at.S_PERIOD] == 0:
            _remember_height(state, height)
        return 0
    state[at.S_PERIOD] += (onset - state[at.S_NEXT]) // 4
    state[at.S_NEXT] = onset + state[at.S_PERIOD]
    state[at.S_MISSES] = 0
    _remember_height(state, height)
    return 1


@kernel("void(int64[::1], int64)")
def expect(state: NDArray[np.int64], now: int) -> None:
    """Look to the next stall when the one that was due did not come by `now`."""
    if state[at.S_NEXT] == at.NONE or now <= state[at.S_NEXT] + TOLERANCE_SAMPLES:
        return
    state[at.S_NEXT] += state[at.S_PERIOD]
    state[at.S_MISSES] += 1
    if state[at.S_MISSES] >= _MISSES_MAX or now > state[at.S_NEXT]:
        state[at.S_PERIOD] = 0
        state[at.S_NEXT] = at.NONE
        state[at.S_MISSES] = 0


@kernel("int64(int64[::1], int64, int64)")
def is_expected(state: NDArray[np.int64], now: int, ramp: int) -> int:
    """Return 1 when a stall is due within `ramp` samples, or now."""
    if state[at.S_NEXT] == at.NONE:
        return 0
    return 1 if now >= state[at.S_NEXT] - TOLERANCE_SAMPLES - ramp else 0
