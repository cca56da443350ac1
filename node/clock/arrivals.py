"""The lower envelope of the transits: where the sender's clock is, seen from arrivals alone.

The fastest packet of each block of time is a point; at most 64 points are kept, and the blocks grow
from 1 s to 8 s, so that the window grows with what is known, to 512 s at last. The slope is
Theil-Sen's, the intercept the lowest residual. Per packet this is a few operations; the fit runs
once per block. The slowest packet of each block is kept beside it, for `node.clock.exchange.edges`.

=====================  ==========================================================================
a packet below it      is taken at once: no packet arrives before it was sent
a stall or a queue     is above the line and does nothing
the floor rises        held: subtracted from later points, as long as it is below half of the
(another route)        playout delay; more than that is followed, no faster than a slew
the floor falls        what was held is given back first; the rest moves the line
packets are late for   the line is put under them: a sender that was moved, or whose stamps stood
good (see `lateness`)  still while it paused
1 s early, three       likewise, downwards
times in a row
=====================  ==========================================================================
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.lateness import is_late_for_good
from node.clock.line import (
    BLOCK_LENGTH_NS,
    BLOCK_RESIDUAL_NS,
    BLOCK_START_NS,
    BLOCK_TOP_RESIDUAL_NS,
    BLOCK_TOP_X_NS,
    BLOCK_TOP_Y_NS,
    BLOCK_X_NS,
    BLOCK_Y_NS,
    DELAY_TARGET_NS,
    FLOOR_INTERCEPT_NS,
    FLOOR_ORIGIN_NS,
    FLOOR_SLOPE,
    FOLLOWS,
    HELD_NS,
    INTERCEPT_NS,
    LAST_X_NS,
    LATE_ABOVE_NS,
    LATE_SINCE_NS,
    LOCAL_ANCHOR_NS,
    MEDIA_ANCHOR_SAMPLES,
    MODE,
    MODE_MAP,
    ORIGIN_NS,
    PACKETS,
    POINTS,
    SLOPE,
    SPREAD_NS,
    STEADY_SINCE_NS,
    STEPS_HELD,
    SUSPECTS,
)
from node.clock.robust_line import select, theil_sen_slope
from node.kernel import kernel
from node.kernel.conversions import samples_to_ns
from node.units import NS_PER_MS, NS_PER_S

POINTS_MAX: Final = 64
POINT_ROWS: Final = 4
"""x and y of the fastest packet of a block, x and y of its slowest."""
SCRATCH_SIZE: Final = POINTS_MAX * POINTS_MAX // 2

UNCHANGED: Final = 0
MOVED: Final = 1
PUT_ELSEWHERE: Final = 2
"""The sender was moved: all that was known of its offset is void."""

_BLOCK_FIRST_NS: Final = 1.0 * NS_PER_S
_BLOCK_LAST_NS: Final = 8.0 * NS_PER_S
_SLOPE_POINTS_MIN: Final = 6
_SLOPE_POINTS_TRUSTED: Final = 16
_SLOPE_MAX: Final = 600e-6  # a sender at 300 ppm, a node at 100, and room
_STEP_POINTS: Final = 4
_STEP_OLDER_MIN: Final = 8
_STEP_MIN_NS: Final = 3.0 * NS_PER_MS
_STEP_SPREADS: Final = 4.0
_FOLLOWED: Final = 0.004  # of the time, below what `node.clock.line` slews
_GAP_NS: Final = 60.0 * NS_PER_S
EARLY_NS: Final = 1.0 * NS_PER_S
_SUSPECTS_MAX: Final = 3


@kernel("float64(float64[::1], float64)")
def floor_ns(floats: NDArray[np.float64], x_ns: float) -> float:
    """Return the transit of the fastest packet at `x_ns`, by the line, without what is held.

    floats  (FLOATS,) float64, state of `node.clock.line`: units by the fields' names
    """
    return float(
        floats[FLOOR_INTERCEPT_NS] + floats[FLOOR_SLOPE] * (x_ns - floats[FLOOR_ORIGIN_NS])
    )


@kernel("void(int64[::1], float64[::1], float64[:, ::1], float64)")
def _shift(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    by_ns: float,
) -> None:
    """Move the line and all that it rests on by `by_ns`."""
    floats[FLOOR_INTERCEPT_NS] += by_ns
    for i in range(ints[POINTS]):
        points[1, i] += by_ns
        points[3, i] += by_ns
    floats[BLOCK_Y_NS] += by_ns
    floats[BLOCK_TOP_Y_NS] += by_ns


@kernel("int64(int64[::1], float64[::1], float64[:, ::1], float64[::1])")
def _fit(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> int:
    """Put the line under the points."""
    n = ints[POINTS]
    x = points[0]
    y = points[1]
    if n >= _SLOPE_POINTS_MIN:
        slope = theil_sen_slope(x, y, n, n // 2, scratch)
        slope *= min(1.0, n / _SLOPE_POINTS_TRUSTED)
        floats[FLOOR_SLOPE] = min(max(slope, -_SLOPE_MAX), _SLOPE_MAX)
    floats[FLOOR_ORIGIN_NS] = x[n - 1]
    floats[FLOOR_INTERCEPT_NS] = 0.0
    lowest = y[n - 1]
    for i in range(n):
        scratch[i] = y[i] - floor_ns(floats, x[i])
        lowest = min(lowest, scratch[i])
    floats[FLOOR_INTERCEPT_NS] = lowest
    floats[SPREAD_NS] = select(scratch, n, n // 2) - lowest
    return MOVED


@kernel("void(int64[::1], float64[::1], float64[:, ::1], float64[::1])")
def _test_step(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Find out whether the last points lie on another floor than the older ones."""
    older = ints[POINTS] - _STEP_POINTS
    if older < _STEP_OLDER_MIN:
        return
    lowest = 1e300
    highest = -1e300
    for i in range(older, ints[POINTS]):
        residual = points[1, i] - floor_ns(floats, points[0, i])
        lowest = min(lowest, residual)
        highest = max(highest, residual)
    for i in range(older):
        scratch[i] = points[1, i] - floor_ns(floats, points[0, i])
    middle = select(scratch, older, older // 2)
    least = select(scratch, older, 0)
    threshold = max(_STEP_MIN_NS, _STEP_SPREADS * (middle - least))
    if lowest - middle > threshold:
        ints[STEPS_HELD] += 1
        floats[HELD_NS] += lowest - least
        for i in range(older, ints[POINTS]):
            points[1, i] -= lowest - least
            points[3, i] -= lowest - least
    elif least - highest > threshold:
        for i in range(older):
            points[1, i] -= least - lowest
            points[3, i] -= least - lowest


@kernel("int64(int64[::1], float64[::1], float64[:, ::1], float64[::1])")
def _close_block(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> int:
    """Make the fastest packet of the block a point, make room for the next one, and fit."""
    n = ints[POINTS]
    if n == POINTS_MAX and floats[BLOCK_LENGTH_NS] < _BLOCK_LAST_NS:
        n = POINTS_MAX // 2
        for i in range(n):
            left = points[1, 2 * i] - floor_ns(floats, points[0, 2 * i])
            right = points[1, 2 * i + 1] - floor_ns(floats, points[0, 2 * i + 1])
            kept = 2 * i if left <= right else 2 * i + 1
            points[0, i] = points[0, kept]
            points[1, i] = points[1, kept]
            left = points[3, 2 * i] - floor_ns(floats, points[2, 2 * i])
            right = points[3, 2 * i + 1] - floor_ns(floats, points[2, 2 * i + 1])
            kept = 2 * i if left >= right else 2 * i + 1
            points[2, i] = points[2, kept]
            points[3, i] = points[3, kept]
        floats[BLOCK_LENGTH_NS] *= 2.0
    elif n == POINTS_MAX:
        n = POINTS_MAX - 1
        for i in range(n):
            for row in range(POINT_ROWS):
                points[row, i] = points[row, i + 1]
    points[0, n] = floats[BLOCK_X_NS]
    points[1, n] = floats[BLOCK_Y_NS]
    points[2, n] = floats[BLOCK_TOP_X_NS]
    points[3, n] = floats[BLOCK_TOP_Y_NS]
    ints[POINTS] = n + 1
    _test_step(ints, floats, points, scratch)
    if floats[HELD_NS] > 0.5 * ints[DELAY_TARGET_NS] or floats[HELD_NS] == 0.0:
        ints[FOLLOWS] = 1 if floats[HELD_NS] > 0.0 else 0
    if ints[FOLLOWS]:
        by_ns = min(floats[HELD_NS], _FOLLOWED * floats[BLOCK_LENGTH_NS])
        floats[HELD_NS] -= by_ns
        _shift(ints, floats, points, by_ns)
    return _fit(ints, floats, points, scratch)


@kernel("void(float64[::1], float64, float64, float64)")
def _open_block(floats: NDArray[np.float64], x_ns: float, y_ns: float, residual_ns: float) -> None:
    floats[BLOCK_START_NS] = x_ns
    floats[BLOCK_X_NS] = x_ns
    floats[BLOCK_Y_NS] = y_ns
    floats[BLOCK_RESIDUAL_NS] = residual_ns
    floats[BLOCK_TOP_X_NS] = x_ns
    floats[BLOCK_TOP_Y_NS] = y_ns
    floats[BLOCK_TOP_RESIDUAL_NS] = residual_ns


@kernel("void(int64[::1], float64[::1], int64, int64)")
def _anchor(
    ints: NDArray[np.int64], floats: NDArray[np.float64], media_time_samples: int, now_ns: int
) -> None:
    """Begin with the first packet."""
    ints[MEDIA_ANCHOR_SAMPLES] = media_time_samples
    ints[LOCAL_ANCHOR_NS] = now_ns
    ints[LATE_SINCE_NS] = -1
    ints[STEADY_SINCE_NS] = -1
    floats[BLOCK_LENGTH_NS] = _BLOCK_FIRST_NS
    _open_block(floats, 0.0, 0.0, 0.0)


@kernel("float64(int64[::1], float64[::1], float64, float64, int64, int64)")
def _moved_by_ns(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    above_ns: float,
    above_line_ns: float,
    now_ns: int,
    is_late: int,
) -> float:
    """Return by how much the sender must have moved, as so many packets are so far off; or 0.

    above_ns       of a packet over the floor
    above_line_ns  over the line that is played by, which may be a map's
    is_late        1: it came too late to be played, whatever the line says
    """
    if min(above_ns, above_line_ns) < -EARLY_NS:
        ints[SUSPECTS] += 1
        return above_ns if ints[SUSPECTS] >= _SUSPECTS_MAX else 0.0
    ints[SUSPECTS] = 0
    if not is_late_for_good(ints, floats, above_line_ns, now_ns, is_late):
        return 0.0
    if ints[MODE] != MODE_MAP:
        return float(floats[LATE_ABOVE_NS])
    return above_ns if above_ns != 0.0 else 1.0  # the floor may be right, and the map be wrong


@kernel("int64(int64[::1], float64[::1], float64[:, ::1], float64[::1], int64, int64, int64)")
def receive_packet(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
    media_time_samples: int,
    now_ns: int,
    is_late: int,
) -> int:
    """Take the arrival of a packet; return UNCHANGED, MOVED or PUT_ELSEWHERE.

    ints                (INTS,) int64, state of `node.clock.line`: units by the fields' names
    floats              (FLOATS,) float64, the same: units by the fields' names
    points              (POINT_ROWS, POINTS_MAX) float64, ns
    scratch             (SCRATCH_SIZE,) float64, scratch, ns
    media_time_samples  unwrapped RTP timestamp of an original packet: a late one too (the sender
                        may have moved), but none that is on probation for a jump
    now_ns              its arrival
    is_late             1: it came too late to be played
    """
    ints[PACKETS] += 1
    if ints[PACKETS] == 1:
        _anchor(ints, floats, media_time_samples, now_ns)
        return MOVED
    media = media_time_samples - ints[MEDIA_ANCHOR_SAMPLES]
    x_ns = float(samples_to_ns(media))
    y_ns = float(now_ns - ints[LOCAL_ANCHOR_NS] - samples_to_ns(media))
    above_ns = y_ns - floor_ns(floats, x_ns)
    above_line_ns = above_ns
    if ints[MODE] == MODE_MAP:
        above_line_ns = y_ns - floats[INTERCEPT_NS] - floats[SLOPE] * (x_ns - floats[ORIGIN_NS])
    moved_ns = _moved_by_ns(ints, floats, above_ns, above_line_ns, now_ns, is_late)
    if moved_ns != 0.0:
        ints[SUSPECTS] = 0
        ints[LATE_SINCE_NS] = -1
        ints[STEADY_SINCE_NS] = -1
        floats[HELD_NS] = 0.0
        _shift(ints, floats, points, moved_ns)
        return PUT_ELSEWHERE
    if ints[SUSPECTS] > 0:
        return UNCHANGED

    changed = UNCHANGED
    # What lies below a floor that is held shows that the old route is back.
    floats[HELD_NS] = min(floats[HELD_NS], max(0.0, above_ns))
    above_ns -= floats[HELD_NS]
    if above_ns < 0.0:
        floats[FLOOR_INTERCEPT_NS] += above_ns
        floats[BLOCK_RESIDUAL_NS] -= above_ns
        floats[BLOCK_TOP_RESIDUAL_NS] -= above_ns
        above_ns = 0.0
        changed = MOVED
    if x_ns - floats[LAST_X_NS] > _GAP_NS:
        ints[POINTS] = 0
        floats[BLOCK_LENGTH_NS] = _BLOCK_FIRST_NS
        _open_block(floats, x_ns, y_ns - floats[HELD_NS], above_ns)
    elif x_ns - floats[BLOCK_START_NS] >= floats[BLOCK_LENGTH_NS]:
        changed = _close_block(ints, floats, points, scratch)
        y_ns -= floats[HELD_NS]
        _open_block(floats, x_ns, y_ns, y_ns - floor_ns(floats, x_ns))
    elif above_ns < floats[BLOCK_RESIDUAL_NS]:
        floats[BLOCK_X_NS] = x_ns
        floats[BLOCK_Y_NS] = y_ns - floats[HELD_NS]
        floats[BLOCK_RESIDUAL_NS] = above_ns
    elif above_ns > floats[BLOCK_TOP_RESIDUAL_NS]:
        floats[BLOCK_TOP_X_NS] = x_ns
        floats[BLOCK_TOP_Y_NS] = y_ns - floats[HELD_NS]
        floats[BLOCK_TOP_RESIDUAL_NS] = above_ns
    floats[LAST_X_NS] = max(floats[LAST_X_NS], x_ns)
    return changed
