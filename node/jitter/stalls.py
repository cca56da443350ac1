"""Stalls that come like clockwork: Wi-Fi scans, satellite handovers, a sender's housekeeping.

A station that scans for other access points stops every so many seconds for a few hundred
milliseconds. Once three equal intervals were seen, delay is built up just before the next one is
due and given back after it, instead of being held all the time.
"""

from node.jitter import state as at
from node.jitter.state import Steering
from node.kernel import inner_kernel
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


@inner_kernel("int64(Steering, int64)")
def _was_stall(steering: Steering, about: int) -> int:
    """Return the beginning of the remembered stall nearest to `about`, or NONE."""
    found = at.NONE
    nearest = TOLERANCE_SAMPLES + 1
    for i in range(min(steering.stall_count, at.S_REMEMBERED)):
        away = abs(steering.stall_onsets[i] - about)
        if away < nearest:
            nearest = away
            found = steering.stall_onsets[i]
    return found


@inner_kernel("void(Steering, int64)")
def _find_period(steering: Steering, onset: int) -> None:
    """Look for the shortest period at which stalls came three times up to `onset`."""
    count = steering.stall_count
    for back in range(1, min(count, at.S_REMEMBERED)):
        earlier = steering.stall_onsets[(count - 1 - back) % at.S_REMEMBERED]
        period = onset - earlier
        if period < _PERIOD_MIN_SAMPLES or period > _PERIOD_MAX_SAMPLES:
            continue
        if _was_stall(steering, onset - 2 * period) == at.NONE:
            continue
        first = _was_stall(steering, onset - 3 * period)
        if first == at.NONE:
            continue
        steering.stall_period = (onset - first) // 3
        steering.stall_next = onset + steering.stall_period
        steering.stall_misses = 0
        return


@inner_kernel("void(Steering, int64)")
def _remember_height(steering: Steering, height: int) -> None:
    """Choose the level that meets all but the highest of the last eight stalls.

    Half speed while the stall lasts doubles what is held when it is noticed, within its reach.
    """
    hits = steering.stall_hits
    steering.stall_heights[hits % at.S_HEIGHTS_REMEMBERED] = height
    steering.stall_hits = hits + 1
    highest = 0
    second = 0
    for i in range(min(hits + 1, at.S_HEIGHTS_REMEMBERED)):
        one = steering.stall_heights[i]
        if one > highest:
            second = highest
            highest = one
        elif one > second:
            second = one
    wanted = second if hits + 1 >= at.S_HEIGHTS_REMEMBERED else highest
    steering.stall_level = max((wanted + 2 * OVERDUE_SAMPLES) // 2, wanted - REACH_SAMPLES)


@inner_kernel("int64(Steering, int64, int64)")
def note_stall(steering: Steering, onset: int, height: int) -> int:
    """Remember a stall; return 1 when it was foreseen.

    onset   when the last packet before it came, in samples
    height  delay of the first packet after it, above the base
    """
    count = steering.stall_count
    steering.stall_onsets[count % at.S_REMEMBERED] = onset
    steering.stall_count = count + 1
    is_due = (
        steering.stall_next != at.NONE and abs(onset - steering.stall_next) <= TOLERANCE_SAMPLES
    )
    if not is_due:
        if steering.stall_period == 0 or steering.stall_misses > 0:
            _find_period(steering, onset)
        if steering.stall_period == 0:
            _remember_height(steering, height)
        return 0
    steering.stall_period += (onset - steering.stall_next) // 4
    steering.stall_next = onset + steering.stall_period
    steering.stall_misses = 0
    _remember_height(steering, height)
    return 1


@inner_kernel("void(Steering, int64)")
def expect(steering: Steering, now: int) -> None:
    """Look to the next stall when the one that was due did not come by `now`."""
    if steering.stall_next == at.NONE or now <= steering.stall_next + TOLERANCE_SAMPLES:
        return
    steering.stall_next += steering.stall_period
    steering.stall_misses += 1
    if steering.stall_misses >= _MISSES_MAX or now > steering.stall_next:
        steering.stall_period = 0
        steering.stall_next = at.NONE
        steering.stall_misses = 0


@inner_kernel("int64(Steering, int64, int64)")
def is_expected(steering: Steering, now: int, ramp: int) -> int:
    """Return 1 when a stall is due within `ramp` samples, or now."""
    if steering.stall_next == at.NONE:
        return 0
    return 1 if now >= steering.stall_next - TOLERANCE_SAMPLES - ramp else 0
