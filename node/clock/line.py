"""The line from media time to local time, and what is played along it without ever jumping.

A line is (origin, intercept, slope): y = intercept + slope (x - origin), of media time `x` and
transit `y` in ns (`node.clock.state`). A fast sender has a falling line.
"""

from typing import Final

import numpy as np

from node.clock.state import Line
from node.kernel import inner_kernel
from node.units import NS_PER_MS, NS_PER_S

SLEW_MAX: Final = 0.005
"""0.5 %: 9 cents, not heard in speech; the bound the group promises for its delay too."""
JUMP_NS: Final = 50 * NS_PER_MS
"""A correction above this is taken at once and counted, because slewing it would take 10 s in
which the horn is an echo of its neighbours."""

PERIOD_NS: Final = 20 * NS_PER_MS
"""A sound card asks for a period at once; what comes later than that before its time is late."""

_SETTLE_NS: Final = 1.0 * NS_PER_S  # a correction decays with this time constant ...
_SETTLE_FAR_NS: Final = 0.5 * NS_PER_S  # ... a large one, at the start, with this one ...
_FAR_NS: Final = 0.3 * NS_PER_MS
_SLEW_MIN: Final = 1e-6  # ... but never more slowly than this
_SLOWEST_NS: Final = 0.999 * _SLEW_MIN * _SETTLE_NS
"""What is surely slewed at that."""
_NS_PER_Q16: Final = (15_625, 49_152)  # 10^9 / (48000 * 65536), reduced
_ONE_PRODUCT_NS: Final = 1 << 47
"""Times up to here, 39 hours, are below 64 bits with that factor."""


@inner_kernel("float64(Line, int64)")
def target_x_ns(line: Line, presentation_ns: int) -> float:
    """Return the media time, ns since the anchor, that the line wants at `presentation_ns`.

    The playout delay counts by the sender's clock, which the group has in common: by each node's
    own, 1 s would be 0.1 ms apart between crystals at +50 and -50 ppm.
    """
    local = presentation_ns - line.local_anchor_ns - line.own_delay_ns - line.intercept_ns
    slope = line.slope
    return float((local + slope * line.origin_ns) / (1.0 + slope) - line.delay_ns)


@inner_kernel("void(Line, float64, float64, float64)")
def move_line(
    line: Line,
    origin_ns: float,
    intercept_ns: float,
    slope: float,
) -> None:
    """Take another line; what is played stays where it is, the difference is slewed away."""
    last_ns = line.last_ns
    before = target_x_ns(line, last_ns)
    line.origin_ns = origin_ns
    line.intercept_ns = intercept_ns
    line.slope = slope
    if last_ns < 0:
        return
    line.ahead_ns += before - target_x_ns(line, last_ns)
    if abs(line.ahead_ns) > JUMP_NS:
        line.ahead_ns = 0.0
        line.jumps += 1


@inner_kernel("float64(float64, float64)")
def _toward_zero(value: float, step: float) -> float:
    """Return the change that brings `value` nearer to zero by at most `step`."""
    return float(-min(max(value, -step), step))


@inner_kernel("void(Line, float64, float64)")
def _settle(line: Line, elapsed: float, moved: float) -> None:
    """Move the correction by what is left of the time since the last call.

    elapsed  ns
    moved    what the playout delay took of it, ns
    """
    slope = line.slope
    ahead = line.ahead_ns
    share = _SLEW_MIN * elapsed
    if abs(ahead) > _SLOWEST_NS:  # below it the quotient is less, and dividing is what takes time
        settle_ns = _SETTLE_FAR_NS if abs(ahead) > _FAR_NS else _SETTLE_NS
        share = max(_SLEW_MIN, abs(ahead) / settle_ns) * elapsed
    settled = _toward_zero(ahead, min(share, SLEW_MAX * elapsed - abs(moved)))
    line.ahead_ns += settled
    line.rate_ppm = 1e6 * (-slope / (1.0 + slope) + (settled - moved) / elapsed)


@inner_kernel("void(Line, int64)")
def _slew(line: Line, presentation_ns: int) -> None:
    """Move the playout delay and the correction by what the time since the last call allows."""
    slope = line.slope
    ahead = line.ahead_ns
    is_due = presentation_ns >= line.delay_from_ns
    if is_due and ahead == 0.0 and line.delay_ns == line.delay_target_ns:
        line.rate_ppm = 1e6 * (-slope / (1.0 + slope) + 0.0)  # nothing is left: + 0.0, as below
        return
    last_ns = line.last_ns
    elapsed = float(presentation_ns - last_ns)
    budget = SLEW_MAX * elapsed
    moved = 0.0
    if is_due:
        moved = _toward_zero(line.delay_ns - line.delay_target_ns, budget)
        line.delay_ns += moved
    _settle(line, elapsed, moved)


@inner_kernel("int64(Line, int64)")
def _place_q16(line: Line, presentation_ns: int) -> int:
    """Return the media position for `presentation_ns`, Q16 samples, as all slews are now."""
    x_ns = int(np.floor(target_x_ns(line, presentation_ns) + line.ahead_ns))
    if abs(x_ns) < _ONE_PRODUCT_NS:
        since_q16 = x_ns * _NS_PER_Q16[1] // _NS_PER_Q16[0]
        return int((line.media_anchor_samples << 16) + since_q16)
    whole = x_ns // _NS_PER_Q16[0]
    rest = x_ns - whole * _NS_PER_Q16[0]
    since_q16 = whole * _NS_PER_Q16[1] + rest * _NS_PER_Q16[1] // _NS_PER_Q16[0]
    return int((line.media_anchor_samples << 16) + since_q16)


@inner_kernel("int64(Line, int64)")
def position_q16(line: Line, presentation_ns: int) -> int:
    """Return the media position for `presentation_ns`, Q16 samples; slews move on.

    Times that do not go backwards give positions that do not go backwards, except across a jump,
    which `jumps` counts.
    """
    if line.last_ns < 0:
        if presentation_ns >= line.delay_from_ns:
            line.delay_ns = line.delay_target_ns
        slope = line.slope
        line.rate_ppm = 1e6 * -slope / (1.0 + slope)
        line.last_ns = presentation_ns
    elif presentation_ns > line.last_ns:
        _slew(line, presentation_ns)
        line.last_ns = presentation_ns
    return _place_q16(line, presentation_ns)


@inner_kernel("int64(Line, int64)")
def position_on_q16(line: Line, presentation_ns: int) -> int:
    """Return what `position_q16` does of a line whose playout delay is at its target, and due."""
    if presentation_ns > line.last_ns:
        if line.ahead_ns == 0.0:
            line.rate_ppm = 1e6 * (-line.slope / (1.0 + line.slope) + 0.0)
        else:
            _settle(line, float(presentation_ns - line.last_ns), -0.0)
        line.last_ns = presentation_ns
    return _place_q16(line, presentation_ns)


@inner_kernel("void(Line, int64)")
def finish_slews(line: Line, now_ns: int) -> None:
    """Take what is left of all slews at once, because nothing sounds now."""
    line.ahead_ns = 0.0
    if now_ns >= line.delay_from_ns:
        line.delay_ns = line.delay_target_ns


@inner_kernel("boolean(Line, int64, int64)")
def is_slewing(line: Line, now_ns: int, by_ns: int) -> bool:
    """Return whether more than `by_ns` is still to be slewed away, one way or the other."""
    left_ns = abs(line.ahead_ns)
    if now_ns >= line.delay_from_ns:
        left_ns += abs(line.delay_ns - line.delay_target_ns)
    return bool(left_ns > by_ns)
