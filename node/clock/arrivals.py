"""The lower envelope of the transits: where the sender's clock is, seen from arrivals alone.

The fastest packet of each block of time is a point; at most 64 points are kept, and the blocks grow
from 1 s to 8 s, so that the window grows with what is known, to 512 s at last. The slope is
Theil-Sen's, the intercept the lowest residual. Per packet this is a few operations; the fit runs
once per block. The slowest packet of each block is kept beside it, for `clock.exchange.bounds`.

=====================  ==========================================================================
a packet below it      is taken at once: no packet arrives before it was sent
a stall or a queue     is above the line and does nothing
the floor rises        held: subtracted from later points, as long as it is below half of the
(another route)        playout delay; more than that is followed, no faster than a slew
the floor falls        what was held is given back first; the rest moves the line
packets are late for   the line is put under them: a sender that was moved, or whose stamps stood
good (see `lateness`)  still while it paused, or that is slower than real time
1 s early, three       likewise, downwards
times in a row
=====================  ==========================================================================
"""

from typing import Final

from node.clock.lateness import is_late_for_good
from node.clock.robust_line import pair_slopes, pick_near, select
from node.clock.state import MODE_MAP, POINT_ROWS, POINTS_MAX, Line
from node.kernel import inner_kernel
from node.kernel.conversions import samples_to_ns
from node.units import NS_PER_MS, NS_PER_S

UNCHANGED: Final = 0
MOVED: Final = 1
PUT_ELSEWHERE: Final = 2
"""The sender was moved: all that was known of its offset is void."""

_BLOCK_FIRST_NS: Final = 1.0 * NS_PER_S
_BLOCK_LAST_NS: Final = 8.0 * NS_PER_S
_SLOPE_POINTS_MIN: Final = 6
_SLOPE_POINTS_TRUSTED: Final = 16
_NEAR: Final = 0.4
_NEAR_MIN: Final = 1e-9
"""The slope is looked for first so near to the last one: by the spread over the time of all."""
_SLOPE_MAX: Final = 600e-6  # a sender at 300 ppm, a node at 100, and room
_STEP_POINTS: Final = 4
_STEP_OLDER_MIN: Final = 8
_STEP_MIN_NS: Final = 3.0 * NS_PER_MS
_STEP_SPREADS: Final = 4.0
_FOLLOWED: Final = 0.004  # of the time, below what `node.clock.line` slews
_GAP_NS: Final = 60.0 * NS_PER_S
EARLY_NS: Final = 1.0 * NS_PER_S
_SUSPECTS_MAX: Final = 3


@inner_kernel("float64(Line, float64)")
def floor_ns(line: Line, x_ns: float) -> float:
    """Return the transit of the fastest packet at `x_ns`, by the line, without what is held."""
    return float(line.floor_intercept_ns + line.floor_slope * (x_ns - line.floor_origin_ns))


@inner_kernel("void(Line, float64)")
def shift(
    line: Line,
    by_ns: float,
) -> None:
    """Move the line and all that it rests on by `by_ns`."""
    points = line.points[:]
    line.floor_intercept_ns += by_ns
    for i in range(line.blocks):
        points[1, i] += by_ns
        points[3, i] += by_ns
    line.block_y_ns += by_ns
    line.block_top_y_ns += by_ns


@inner_kernel("int64(Line)")
def _fit(
    line: Line,
) -> int:
    """Put the line under the points."""
    points = line.points[:]
    scratch = line.scratch[:]
    n = line.blocks
    x = points[0]
    y = points[1]
    if n >= _SLOPE_POINTS_MIN:
        pairs = pair_slopes(x, y, n, n // 2, scratch)
        near = _NEAR * line.spread_ns / (x[n - 1] - x[0]) + _NEAR_MIN if pairs > 0 else 0.0
        slope = pick_near(scratch, pairs, pairs // 2, line.floor_slope, near) if pairs > 0 else 0.0
        slope *= min(1.0, n / _SLOPE_POINTS_TRUSTED)
        line.floor_slope = min(max(slope, -_SLOPE_MAX), _SLOPE_MAX)
    line.floor_origin_ns = x[n - 1]
    line.floor_intercept_ns = 0.0
    lowest = y[n - 1]
    for i in range(n):
        scratch[i] = y[i] - floor_ns(line, x[i])
        lowest = min(lowest, scratch[i])
    line.floor_intercept_ns = lowest
    line.spread_ns = select(scratch, n, n // 2) - lowest
    return MOVED


@inner_kernel("void(Line)")
def _test_step(
    line: Line,
) -> None:
    """Find out whether the last points lie on another floor than the older ones."""
    points = line.points[:]
    scratch = line.scratch[:]
    older = line.blocks - _STEP_POINTS
    if older < _STEP_OLDER_MIN:
        return
    lowest = 1e300
    highest = -1e300
    for i in range(older, line.blocks):
        residual = points[1, i] - floor_ns(line, points[0, i])
        lowest = min(lowest, residual)
        highest = max(highest, residual)
    for i in range(older):
        scratch[i] = points[1, i] - floor_ns(line, points[0, i])
    middle = select(scratch, older, older // 2)
    least = scratch[0]
    for i in range(older):
        least = min(least, scratch[i])
    threshold = max(_STEP_MIN_NS, _STEP_SPREADS * (middle - least))
    if lowest - middle > threshold:
        line.steps_held += 1
        line.held_ns += lowest - least
        for i in range(older, line.blocks):
            points[1, i] -= lowest - least
            points[3, i] -= lowest - least
    elif least - highest > threshold:
        for i in range(older):
            points[1, i] -= least - lowest
            points[3, i] -= least - lowest


@inner_kernel("int64(Line)")
def _close_block(
    line: Line,
) -> int:
    """Make the fastest packet of the block a point, make room for the next one, and fit."""
    points = line.points[:]
    n = line.blocks
    if n == POINTS_MAX and line.block_length_ns < _BLOCK_LAST_NS:
        n = POINTS_MAX // 2
        for i in range(n):
            left = points[1, 2 * i] - floor_ns(line, points[0, 2 * i])
            right = points[1, 2 * i + 1] - floor_ns(line, points[0, 2 * i + 1])
            kept = 2 * i if left <= right else 2 * i + 1
            points[0, i] = points[0, kept]
            points[1, i] = points[1, kept]
            left = points[3, 2 * i] - floor_ns(line, points[2, 2 * i])
            right = points[3, 2 * i + 1] - floor_ns(line, points[2, 2 * i + 1])
            kept = 2 * i if left >= right else 2 * i + 1
            points[2, i] = points[2, kept]
            points[3, i] = points[3, kept]
        line.block_length_ns *= 2.0
    elif n == POINTS_MAX:
        n = POINTS_MAX - 1
        for i in range(n):
            for row in range(POINT_ROWS):
                points[row, i] = points[row, i + 1]
    points[0, n] = line.block_x_ns
    points[1, n] = line.block_y_ns
    points[2, n] = line.block_top_x_ns
    points[3, n] = line.block_top_y_ns
    line.blocks = n + 1
    _test_step(line)
    if line.held_ns > 0.5 * line.delay_target_ns or line.held_ns == 0.0:
        line.follows = 1 if line.held_ns > 0.0 else 0
    if line.follows:
        by_ns = min(line.held_ns, _FOLLOWED * line.block_length_ns)
        line.held_ns -= by_ns
        shift(line, by_ns)
    return _fit(line)


@inner_kernel("void(Line, float64, float64, float64)")
def _open_block(line: Line, x_ns: float, y_ns: float, residual_ns: float) -> None:
    line.block_start_ns = x_ns
    line.block_x_ns = x_ns
    line.block_y_ns = y_ns
    line.block_residual_ns = residual_ns
    line.block_top_x_ns = x_ns
    line.block_top_y_ns = y_ns
    line.block_top_residual_ns = residual_ns


@inner_kernel("void(Line, float64, float64, float64)")
def widen_block(line: Line, x_ns: float, y_ns: float, above_ns: float) -> None:
    """Take a packet into the block under way, of which it may be the fastest, or the slowest.

    above_ns  how far it is above the floor that is held
    """
    if above_ns < line.block_residual_ns:
        line.block_x_ns = x_ns
        line.block_y_ns = y_ns - line.held_ns
        line.block_residual_ns = above_ns
    elif above_ns > line.block_top_residual_ns:
        line.block_top_x_ns = x_ns
        line.block_top_y_ns = y_ns - line.held_ns
        line.block_top_residual_ns = above_ns


@inner_kernel("void(Line, int64, int64)")
def _anchor(line: Line, media_time_samples: int, now_ns: int) -> None:
    """Begin with the first packet."""
    line.media_anchor_samples = media_time_samples
    line.local_anchor_ns = now_ns
    line.late[0].since_ns = -1
    line.steady[0].since_ns = -1
    line.block_length_ns = _BLOCK_FIRST_NS
    _open_block(line, 0.0, 0.0, 0.0)


@inner_kernel("float64(Line, float64, float64, int64, int64)")
def _moved_by_ns(
    line: Line,
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
        line.suspects += 1
        return above_ns if line.suspects >= _SUSPECTS_MAX else 0.0
    line.suspects = 0
    if not is_late_for_good(line, above_line_ns, now_ns, is_late):
        return 0.0
    if line.mode != MODE_MAP:
        return float(line.late_above_ns)
    return above_ns if above_ns != 0.0 else 1.0  # the floor may be right, and the map be wrong


@inner_kernel("int64(Line, int64, int64, int64)")
def receive_packet(
    line: Line,
    media_time_samples: int,
    now_ns: int,
    is_late: int,
) -> int:
    """Take the arrival of a packet; return UNCHANGED, MOVED or PUT_ELSEWHERE.

    media_time_samples  unwrapped RTP timestamp of an original packet: a late one too (the sender
                        may have moved), but none that is on probation for a jump
    now_ns              its arrival
    is_late             1: it came too late to be played
    """
    line.packets += 1
    if line.packets == 1:
        _anchor(line, media_time_samples, now_ns)
        return MOVED
    media = media_time_samples - line.media_anchor_samples
    x_ns = float(samples_to_ns(media))
    y_ns = float(now_ns - line.local_anchor_ns - samples_to_ns(media))
    above_ns = y_ns - floor_ns(line, x_ns)
    above_line_ns = above_ns
    line.step_ns = y_ns - line.newest_ns
    line.newest_ns = y_ns
    if line.mode == MODE_MAP:
        above_line_ns = y_ns - line.intercept_ns - line.slope * (x_ns - line.origin_ns)
    moved_ns = _moved_by_ns(line, above_ns, above_line_ns, now_ns, is_late)
    if moved_ns != 0.0:
        line.suspects = 0
        line.late[0].since_ns = -1
        line.steady[0].since_ns = -1
        line.held_ns = 0.0
        shift(line, moved_ns)
        return PUT_ELSEWHERE
    if line.suspects > 0:
        return UNCHANGED

    changed = UNCHANGED
    # What lies below a floor that is held shows that the old route is back.
    line.held_ns = min(line.held_ns, max(0.0, above_ns))
    above_ns -= line.held_ns
    if above_ns < 0.0:
        line.floor_intercept_ns += above_ns
        line.block_residual_ns -= above_ns
        line.block_top_residual_ns -= above_ns
        above_ns = 0.0
        changed = MOVED
    if x_ns - line.last_x_ns > _GAP_NS:
        line.blocks = 0
        line.block_length_ns = _BLOCK_FIRST_NS
        _open_block(line, x_ns, y_ns - line.held_ns, above_ns)
    elif x_ns - line.block_start_ns >= line.block_length_ns:
        changed = _close_block(line)
        y_ns -= line.held_ns
        _open_block(line, x_ns, y_ns, y_ns - floor_ns(line, x_ns))
    else:
        widen_block(line, x_ns, y_ns, above_ns)
    line.last_x_ns = max(line.last_x_ns, x_ns)
    return changed
