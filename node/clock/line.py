"""The line from media time to local time, and what is played along it without ever jumping.

State of a time base, shared by `node.clock.arrivals` and `node.clock.timebase`: one int64 vector
for what must be exact, one float64 vector for what is measured. Floats count ns from the anchor
(the first packet), so a month of uptime costs no precision.

`x` is media time since the anchor in ns by the sender's clock, `y` the transit in ns: local time
since the anchor, less x. A line is (origin, intercept, slope): y = intercept + slope (x - origin).
A fast sender has a falling line.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.delay_need import NEED_SIZE
from node.kernel import kernel
from node.units import NS_PER_MS, NS_PER_S

SLEW_MAX: Final = 0.005
"""0.5 %: 9 cents, not heard in speech; the bound the group promises for its delay too."""
JUMP_NS: Final = 50 * NS_PER_MS
"""A correction above this is taken at once and counted, because slewing it would take 10 s in
which the horn is an echo of its neighbours."""

PERIOD_NS: Final = 20 * NS_PER_MS
"""A sound card asks for a period at once; what comes later than that before its time is late."""

PACKETS: Final = 0
MEDIA_ANCHOR_SAMPLES: Final = 1
LOCAL_ANCHOR_NS: Final = 2
LAST_NS: Final = 3
"""Latest presentation time asked for; -1 before the first."""
DELAY_TARGET_NS: Final = 4
DELAY_FROM_NS: Final = 5
"""Presentation time from which the playout delay moves to its target."""
OWN_DELAY_NS: Final = 6
"""This cluster's own offset, positive plays later."""
MODE: Final = 7
MODE_ENVELOPE: Final = 0
MODE_MAP: Final = 1
JUMPS: Final = 8
STEPS_HELD: Final = 9
"""Times the floor rose and the line was held."""
MAPS_REFUSED: Final = 10
MAP_NS: Final = 11
"""Local time of the last map."""
POINTS: Final = 12
LATE_SINCE_NS: Final = 13
"""Arrival of the first packet of the window in which late ones are counted; -1: none is open."""
LATE_PACKETS: Final = 14
"""Late packets in that window."""
WINDOW_PACKETS: Final = 15
"""All packets in that window."""
BEGUN_NS: Final = 16
"""Arrival of the second packet, upon which the sender is asked for the time."""
FOLLOWS: Final = 17
"""1 while the line follows a floor that rose by much, until nothing is held any more."""
SUSPECTS: Final = 18
"""Packets in a row that came impossibly early."""
STEADY_SINCE_NS: Final = 19
"""The same three of a second window, which ends where the way is not steady; -1: none is open."""
STEADY_PACKETS: Final = 21
"""Its late packets stand before it."""
FASTEST_SINCE_NS: Final = 22
"""Arrival of the first packet of these moments."""
NEED_FIRST: Final = 23
"""From here on the histogram of `node.clock.delay_need`."""
INTS: Final = NEED_FIRST + NEED_SIZE

FLOATS: Final = 28
ORIGIN_NS: Final = 0
INTERCEPT_NS: Final = 1
SLOPE: Final = 2
DELAY_NS: Final = 3
"""Playout delay now, on its way to its target."""
AHEAD_NS: Final = 4
"""What is played less what the line says; slewed to zero."""
RATE_PPM: Final = 5
"""Media time per local time less one, of the last step: what the servo is fed forward."""
MAP_UNCERTAINTY_NS: Final = 6
FLOOR_ORIGIN_NS: Final = 7
FLOOR_INTERCEPT_NS: Final = 8
FLOOR_SLOPE: Final = 9
HELD_NS: Final = 10
SPREAD_NS: Final = 11
BLOCK_START_NS: Final = 12
BLOCK_LENGTH_NS: Final = 13
BLOCK_X_NS: Final = 14
BLOCK_Y_NS: Final = 15
BLOCK_RESIDUAL_NS: Final = 16
LAST_X_NS: Final = 17
BLOCK_TOP_X_NS: Final = 18
BLOCK_TOP_Y_NS: Final = 19
BLOCK_TOP_RESIDUAL_NS: Final = 20
LATE_ABOVE_NS: Final = 21
"""How far above the line the fastest packet of that window came."""
MAP_ROOM_NS: Final = 22
"""What a map must leave of the playout delay: less than so much was found to be too little."""
BEFORE_CAPTURE: Final = 23
"""Packets in a row that came before they were captured, by the map."""
FASTEST_NS: Final = 24
"""Transit of the fastest packet of these moments: a floor may be of before the sound was moved.
Infinite before the first."""
STEADY_ABOVE_NS: Final = 25
"""How far above the line the fastest packet of the steady window came ..."""
STEADY_TOP_NS: Final = 26
"""... and its slowest."""
FASTEST_BEFORE_NS: Final = 27
"""FASTEST_NS of the moments before."""

_SETTLE_NS: Final = 1.0 * NS_PER_S  # a correction decays with this time constant ...
_SETTLE_FAR_NS: Final = 0.5 * NS_PER_S  # ... a large one, at the start, with this one ...
_FAR_NS: Final = 0.3 * NS_PER_MS
_SLEW_MIN: Final = 1e-6  # ... but never more slowly than this
_NS_PER_Q16: Final = (15_625, 49_152)  # 10^9 / (48000 * 65536), reduced


@kernel("float64(int64[::1], float64[::1], int64)")
def target_x_ns(
    ints: NDArray[np.int64], floats: NDArray[np.float64], presentation_ns: int
) -> float:
    """Return the media time, ns since the anchor, that the line wants at `presentation_ns`.

    ints    (INTS,) int64, state: units by the fields' names
    floats  (FLOATS,) float64, state: units by the fields' names

    The playout delay counts by the sender's clock, which the group has in common: by each node's
    own, 1 s would be 0.1 ms apart between crystals at +50 and -50 ppm.
    """
    local = presentation_ns - ints[LOCAL_ANCHOR_NS] - ints[OWN_DELAY_NS] - floats[INTERCEPT_NS]
    slope = floats[SLOPE]
    return float((local + slope * floats[ORIGIN_NS]) / (1.0 + slope) - floats[DELAY_NS])


@kernel("void(int64[::1], float64[::1], float64, float64, float64)")
def move_line(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    origin_ns: float,
    intercept_ns: float,
    slope: float,
) -> None:
    """Take another line; what is played stays where it is, the difference is slewed away.

    ints    (INTS,) int64, state: units by the fields' names
    floats  (FLOATS,) float64, state: units by the fields' names
    """
    last_ns = ints[LAST_NS]
    before = target_x_ns(ints, floats, last_ns)
    floats[ORIGIN_NS] = origin_ns
    floats[INTERCEPT_NS] = intercept_ns
    floats[SLOPE] = slope
    if last_ns < 0:
        return
    floats[AHEAD_NS] += before - target_x_ns(ints, floats, last_ns)
    if abs(floats[AHEAD_NS]) > JUMP_NS:
        floats[AHEAD_NS] = 0.0
        ints[JUMPS] += 1


@kernel("float64(float64, float64)")
def _toward_zero(value: float, step: float) -> float:
    """Return the change that brings `value` nearer to zero by at most `step`."""
    return float(-min(max(value, -step), step))


@kernel("void(int64[::1], float64[::1], int64)")
def _slew(ints: NDArray[np.int64], floats: NDArray[np.float64], presentation_ns: int) -> None:
    """Move the playout delay and the correction by what the time since the last call allows."""
    last_ns = ints[LAST_NS]
    elapsed = float(presentation_ns - last_ns)
    budget = SLEW_MAX * elapsed
    moved = 0.0
    if presentation_ns >= ints[DELAY_FROM_NS]:
        moved = _toward_zero(floats[DELAY_NS] - ints[DELAY_TARGET_NS], budget)
        floats[DELAY_NS] += moved
    ahead = floats[AHEAD_NS]
    settle_ns = _SETTLE_FAR_NS if abs(ahead) > _FAR_NS else _SETTLE_NS
    share = max(_SLEW_MIN, abs(ahead) / settle_ns) * elapsed
    settled = _toward_zero(ahead, min(share, budget - abs(moved)))
    floats[AHEAD_NS] += settled
    slope = floats[SLOPE]
    floats[RATE_PPM] = 1e6 * (-slope / (1.0 + slope) + (settled - moved) / elapsed)


@kernel("int64(int64[::1], float64[::1], int64)")
def position_q16(ints: NDArray[np.int64], floats: NDArray[np.float64], presentation_ns: int) -> int:
    """Return the media position for `presentation_ns`, Q16 samples; slews move on.

    ints    (INTS,) int64, state: units by the fields' names
    floats  (FLOATS,) float64, state: units by the fields' names

    Times that do not go backwards give positions that do not go backwards, except across a jump,
    which JUMPS counts.
    """
    if ints[LAST_NS] < 0:
        if presentation_ns >= ints[DELAY_FROM_NS]:
            floats[DELAY_NS] = ints[DELAY_TARGET_NS]
        slope = floats[SLOPE]
        floats[RATE_PPM] = 1e6 * -slope / (1.0 + slope)
        ints[LAST_NS] = presentation_ns
    elif presentation_ns > ints[LAST_NS]:
        _slew(ints, floats, presentation_ns)
        ints[LAST_NS] = presentation_ns
    x_ns = int(np.floor(target_x_ns(ints, floats, presentation_ns) + floats[AHEAD_NS]))
    whole = x_ns // _NS_PER_Q16[0]
    rest = x_ns - whole * _NS_PER_Q16[0]
    since_q16 = whole * _NS_PER_Q16[1] + rest * _NS_PER_Q16[1] // _NS_PER_Q16[0]
    return int((ints[MEDIA_ANCHOR_SAMPLES] << 16) + since_q16)


@kernel("void(int64[::1], float64[::1], int64)")
def finish_slews(ints: NDArray[np.int64], floats: NDArray[np.float64], now_ns: int) -> None:
    """Take what is left of all slews at once, because nothing sounds now.

    ints    (INTS,) int64, state: units by the fields' names
    floats  (FLOATS,) float64, state: units by the fields' names
    """
    floats[AHEAD_NS] = 0.0
    if now_ns >= ints[DELAY_FROM_NS]:
        floats[DELAY_NS] = ints[DELAY_TARGET_NS]


@kernel("boolean(int64[::1], float64[::1], int64, int64)")
def is_slewing(
    ints: NDArray[np.int64], floats: NDArray[np.float64], now_ns: int, by_ns: int
) -> bool:
    """Return whether more than `by_ns` is still to be slewed away, one way or the other.

    ints    (INTS,) int64, state: units by the fields' names
    floats  (FLOATS,) float64, state: units by the fields' names
    """
    left_ns = abs(floats[AHEAD_NS])
    if now_ns >= ints[DELAY_FROM_NS]:
        left_ns += abs(floats[DELAY_NS] - ints[DELAY_TARGET_NS])
    return bool(left_ns > by_ns)
