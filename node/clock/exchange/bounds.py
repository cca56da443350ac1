"""Offset and slope between two clocks from the outermost packets of both directions.

```
forward  (t2 - t1)          backward (t4 - t3)
│  .    .   .               │ .   .
│ .   .    ___.──           │──.___    .  .        one clock is fast: one floor rises, the other
│ __.──                     │   .  ──.___          falls by as much
└──────────────► t          └──────────────► t
```

`node.clock.exchange.slope` finds the slope; the offset is half of the difference of the floors.

Where the delays have a ceiling as sharp as their floor, and both directions about the same width
(what waits for its turn in a fixed cycle, as for a grant of a mobile uplink), the ceilings are used
too, as far as the floors are known no better: in the first seconds. A queue has none, also where
only one direction has one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.slope import (
    BACK,
    BACK_TOP,
    BOUNDS,
    THERE,
    THERE_TOP,
    meeting_slope,
    support,
    without_inner,
)
from node.clock.robust_line import highest_below, lowest, select_near
from node.kernel import inlined, inner_kernel
from node.kernel.record import Record, number, whole
from node.units import NS_PER_MS, NS_PER_S

REPLIES_MAX: Final = 1152
"""480 s at one a second, and the quick ones at the start."""
SOUND_MAX: Final = 65
"""Outermost packets of the sound: the points of `node.clock.arrivals`, and its open block."""

_BLOCKS_MAX: Final = 16
POINTS_MAX: Final = _BLOCKS_MAX + SOUND_MAX

_BLOCK_REPLIES_MIN: Final = 6
_BLOCKS_MIN: Final = 4
_SPAN_MIN_NS: Final = 2.0 * NS_PER_S
_FEW: Final = 12  # replies at each bound, an eighth at most, that say how far apart they lie
_APART_MIN_NS: Final = 100.0
_SHARP: Final = 3.0  # a ceiling is one if its replies lie less than so much wider than the floor's
_ELSEWHERE: Final = 0.75
"""Where the few lowest lie across so much of the width, they went a shorter way than the others."""
_WIDTHS: Final = 16.0  # how many of these distances the two widths may differ by ...
_WIDTH_SHARE: Final = 0.3  # ... and by what share of their sum
_TOP_REPLIES_MIN: Final = 8
_USUAL_QUANTILE: Final = 0.95
_ABOVE: Final = 1.25
"""Delays that are spread evenly end 1.11 times as far above their median as their 95 % quantile.
What lies further off waited for a machine that stopped, and hides the ceiling. Where delays have
none, as behind a queue, the cut is blunt: no ceiling is found there."""
_ALONE: Final = 4.0
"""Above the third highest by so many of the distances between high ones: one in 55 by chance, and
where one event in fifty is handled a millisecond late such a packet is more likely one of those."""
_CUT_REPLIES_MIN: Final = 48
_CEILING_ERROR_NS: Final = 0.3 * NS_PER_MS
"""So far may a ceiling be wrong however sharp it looks: a busy machine adds to the slowest packets,
never to the fastest. With one event in fifty handled a millisecond late, ceilings believed as they
looked held two nodes 0.7 ms apart for good; so they help in the first seconds, when floors are
known no better, and fade as these come to be."""

_NEAR: Final = 0.1
_NEAR_MIN_NS: Final = 1000.0
"""A quantile is looked for so near to where it was, in the distance of two: from one line to the
next it hardly moves."""


class Fitting(Record):
    """Room to put a line in: it means nothing before, nor after.

    Who fits brings it: kept by each node of a village it was 16 kB of it.
    """

    heard: NDArray[np.float64] = number(
        "ns", "Of the sound's fastest packets x and backward transit, then of its slowest.",
        (4, SOUND_MAX),
    )  # fmt: skip
    points: NDArray[np.float64] = number(
        "ns", "By bound x and transit of its outermost packets, of a ceiling the sign reversed.",
        (BOUNDS, 2, POINTS_MAX),
    )  # fmt: skip
    scratch: NDArray[np.float64] = number("ns", "To select in.", (REPLIES_MAX,))


class Exchanged(Record):
    """A window of replies and of the sound beside them, and the line that was put through it.

    The replies themselves are with who keeps them: (REPLIES_MAX, 3) int64, in ns, of each its
    arrival, ascending, t2 - t1 and t4 - t3. Here only what they are told from.
    """

    first: int = whole("", "First reply of the window.")
    replies: int = whole("", "Replies; of these the window begins with `first`.")
    sounds: int = whole("", "Outermost packets of the sound in the window.")
    ceilings: int = whole(
        "", "0: ceilings say nothing; 1: those of the replies count; 2: that of the sound too."
    )
    offset_ns: float = number("ns", "The other clock less the own one at x = 0.")
    slope: float = number("", "How much faster the other clock is, as a ratio less one.")
    back_ns: float = number("ns", "The backward floor at x = 0.")
    apart: NDArray[np.float64] = number(
        "ns", "How far apart the outermost replies of each bound lie.", (BOUNDS,)
    )
    at: NDArray[np.float64] = number("ns", "Where each bound is at x = 0.", (BOUNDS,))
    weights: NDArray[np.float64] = number("1/ns", "What each bound says of the slope.", (BOUNDS,))
    stopped_above: NDArray[np.float64] = number(
        "ns", "Above this a transit forward, or backward, says nothing of the link.", (2,)
    )
    counts: NDArray[np.int64] = whole("", "How many points each bound has.", (BOUNDS,))
    origin_ns: int = whole("ns", "The own clock at x = 0.")
    base_ns: int = whole("ns", "The other clock less the own one that is taken off all transits.")
    middle: NDArray[np.float64] = number(
        "ns", "Median of the transits forward, backward, and of the delays, when last found.", (3,)
    )
    usual: NDArray[np.float64] = number(
        "ns", "What all but a few of the slowest transits do not exceed, when last found.", (2,)
    )


@inlined
def _sign(bound: int) -> float:
    """Return 1.0 of a floor, -1.0 of a ceiling: what makes both a least value."""
    return 1.0 if bound < THERE_TOP else -1.0


@inlined
def since_ns(window: Exchanged, kept: NDArray[np.int64], reply: int) -> float:
    """Return x of a reply, its arrival.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    return float(kept[reply, 0] - window.origin_ns)


@inlined
def transit_ns(window: Exchanged, kept: NDArray[np.int64], direction: int, reply: int) -> float:
    """Return the forward transit of a reply, or the backward one, with the base taken off.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    return float(kept[reply, 1 + direction] + (2 * direction - 1) * window.base_ns)


@inlined
def _least(window: Exchanged, bound: int) -> float:
    """Return what is passed over where it is less, sign and slope taken out."""
    return -np.inf if bound < THERE_TOP else -window.stopped_above[bound % 2]


@inner_kernel("int64(Exchanged, Fitting, int64[:, ::1], int64, float64, int64)")
def _outermost(
    window: Exchanged,
    room: Fitting,
    kept: NDArray[np.int64],
    bound: int,
    slope: float,
    blocks: int,
) -> int:
    """Write the outermost reply of each block of time to the bound's points; return how many.

    kept    (REPLIES_MAX, 3) int64, ns
    slope   of the bound's points, taken out while the least is looked for
    blocks  into how many blocks of equal time they are cut
    """
    points = room.points[bound]
    first = window.first
    n = window.replies
    sign = _sign(bound)
    limit = _least(window, bound)
    count = 0
    high = first
    begin = since_ns(window, kept, first)
    length = (since_ns(window, kept, n - 1) - begin) / blocks
    for block in range(blocks):
        # Cut by time: the burst at the start is one point, and not a lever of no length.
        is_any = False
        least_x = least_y = 0.0
        while high < n:
            x = since_ns(window, kept, high)
            if block != blocks - 1 and x >= begin + length * (block + 1):
                break
            y = transit_ns(window, kept, bound % 2, high)
            if sign * y - slope * x >= limit and (
                not is_any or sign * (y - least_y) - slope * (x - least_x) < 0.0
            ):
                is_any = True
                least_x, least_y = x, y
            high += 1
        if is_any:
            points[0, count] = least_x
            points[1, count] = sign * least_y
            count += 1
    return count


@inner_kernel("float64(Exchanged, Fitting, int64, int64, int64)")
def _stopped_above(window: Exchanged, room: Fitting, direction: int, n: int, few: int) -> float:
    """Return above what a transit says nothing of the link; inf while there are few.

    The `n` transits are in the room's scratch, and are reordered.
    few  highest transits that say how far apart they lie
    """
    if n < _CUT_REPLIES_MIN:
        return np.inf
    transits = room.scratch[:]
    middle, usual = window.middle[direction], window.usual[direction]
    reach = _NEAR * (usual - middle) + _NEAR_MIN_NS
    middle = select_near(transits, n, n // 2, middle, reach)
    usual = select_near(transits, n, int(_USUAL_QUANTILE * (n - 1)), usual, reach)
    window.middle[direction] = middle
    window.usual[direction] = usual
    limit = middle + _ABOVE * (usual - middle)
    found = room.points[0, 0]
    highest_below(transits, n, limit, few + 1, found)
    third = found[few - 2]
    apart = (third - found[0]) / (few - 2)
    return float(min(limit, third + _ALONE * apart))


@inlined
def _few(n: int) -> int:
    """Return how many of `n` replies say how far apart they lie at a bound."""
    return max(min(4, max(1, n // 4)), min(_FEW, n // 8))


@inner_kernel("void(Exchanged, Fitting, int64[:, ::1])")
def _measure_bounds(window: Exchanged, room: Fitting, kept: NDArray[np.int64]) -> None:
    """Find how far apart the outermost replies of each bound lie, and where both ceilings are.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    first = window.first
    size = window.replies - first
    slope = window.slope
    scratch = room.scratch[:]
    found = room.points[0, 0]  # chosen anew before they are looked at
    few = _few(size)
    for direction in range(2):
        for i in range(first, first + size):
            x = since_ns(window, kept, i)
            y = transit_ns(window, kept, direction, i)
            scratch[i - first] = y + (2 * direction - 1) * slope * x
        lowest(scratch, size, min(few + 1, size), found)
        least = found[0]
        low = found[min(few, size - 1)]
        limit = _stopped_above(window, room, direction, size, few)
        count = min(few + 1, size)
        held = min(count, highest_below(scratch, size, limit, count, found))
        high = found[0]
        most = found[held - 1]
        window.apart[THERE + direction] = (low - least) / few
        window.apart[THERE_TOP + direction] = (most - high) / few
        window.at[THERE + direction] = least
        window.at[THERE_TOP + direction] = most
        window.stopped_above[direction] = limit


@inner_kernel("boolean(Exchanged)")
def _has_ceiling(window: Exchanged) -> bool:
    """Return whether the delays have a ceiling as sharp as the floor, equally high both ways."""
    n = window.replies - window.first
    apart = window.apart
    floors = apart[THERE] + apart[BACK]
    if n < _TOP_REPLIES_MIN or max(apart[THERE_TOP], apart[BACK_TOP]) > _SHARP * 0.5 * floors:
        return False
    there = window.at[THERE_TOP] - window.at[THERE]
    back = window.at[BACK_TOP] - window.at[BACK]
    if _few(n) * floors > _ELSEWHERE * (there + back):
        return False
    return bool(abs(there - back) < min(_WIDTHS * 0.5 * floors, _WIDTH_SHARE * (there + back)))


@inner_kernel("float64(Exchanged, Fitting)")
def _top(window: Exchanged, room: Fitting) -> float:
    """Return the backward ceiling of the sound at x = 0, without what waited elsewhere."""
    highest = -np.inf
    for i in range(window.sounds):
        height = room.heard[3, i] + window.slope * room.heard[2, i]
        if height <= window.stopped_above[1]:
            highest = max(highest, height)
    return highest


@inner_kernel("float64(Exchanged, Fitting, int64[:, ::1])")
def _find_slope(window: Exchanged, room: Fitting, kept: NDArray[np.int64]) -> float:
    """Return a better slope than the window's; points are chosen anew after it was taken out.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    weights = window.weights
    for one, other in ((THERE, BACK), (THERE_TOP, BACK_TOP)):
        error_ns = _APART_MIN_NS if one == THERE else _CEILING_ERROR_NS
        weights[one] = 1.0 / max(window.apart[one], window.apart[other], error_ns)
        weights[other] = weights[one]
    slope = window.slope
    blocks = min(_BLOCKS_MAX, (window.replies - window.first) // _BLOCK_REPLIES_MIN)
    window.counts[:] = 0
    for _ in range(2):
        for bound in range(BOUNDS if window.ceilings > 0 else THERE_TOP):
            own = slope if bound in (THERE, BACK_TOP) else -slope
            replies = _outermost(window, room, kept, bound, own, blocks)
            replies = without_inner(room.points[bound], 0, replies)
            count = replies
            if bound == BACK or (bound == BACK_TOP and window.ceilings == 2):
                for i in range(window.sounds):
                    x = room.heard[bound - BACK, i]
                    y = _sign(bound) * room.heard[bound - BACK + 1, i]
                    if y - own * x >= _least(window, bound):
                        room.points[bound, 0, count] = x
                        room.points[bound, 1, count] = y
                        count += 1
            window.counts[bound] = without_inner(room.points[bound], replies, count)
        slope = meeting_slope(room.points[:], window.counts[:], weights[:])
    return slope


@inner_kernel("void(Exchanged, Fitting, int64[:, ::1])")
def fit_line_again(window: Exchanged, room: Fitting, kept: NDArray[np.int64]) -> None:
    """Put the line where all but the sound is as `fit_line` left it.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    apart = window.apart
    at = window.at
    n = window.replies - window.first
    noise = apart[THERE] + apart[BACK]
    window.ceilings = int(_has_ceiling(window))
    sound_top = _top(window, room)
    if window.ceilings and window.sounds and sound_top < at[BACK_TOP] + _WIDTHS * noise:
        window.ceilings = 2
    newest, oldest = window.replies - 1, window.first
    long = since_ns(window, kept, newest) - since_ns(window, kept, oldest) > _SPAN_MIN_NS
    if long and n >= _BLOCKS_MIN * _BLOCK_REPLIES_MIN:
        window.slope = _find_slope(window, room, kept)
        _measure_bounds(window, room, kept)
        sound_top = _top(window, room)
    heard = support(room.heard[0], room.heard[1], window.sounds, -window.slope, 0)
    back = min(at[BACK], heard)
    offset = 0.5 * (at[THERE] - back)
    if window.ceilings:
        back_top = at[BACK_TOP]
        if window.ceilings == 2:
            back_top = max(back_top, sound_top)
        floors = apart[THERE] * apart[THERE] + apart[BACK] * apart[BACK]
        tops = apart[THERE_TOP] * apart[THERE_TOP] + apart[BACK_TOP] * apart[BACK_TOP]
        share = floors / (floors + tops + 2.0 * _CEILING_ERROR_NS * _CEILING_ERROR_NS)
        moved = share * (0.5 * (at[THERE_TOP] - back_top) - offset)
        # Nothing came before it was sent, however high a ceiling was that is none.
        most = max(0.0, 0.5 * (at[THERE] + back))
        offset += min(max(moved, -most), most)
    window.offset_ns = offset
    window.back_ns = back


@inner_kernel("void(Exchanged, Fitting, int64[:, ::1])")
def fit_line(window: Exchanged, room: Fitting, kept: NDArray[np.int64]) -> None:
    """Put a line through the window's replies and the outermost packets of the sound beside them.

    There is one reply at least; the slope stays when too little is known of it.

    kept  (REPLIES_MAX, 3) int64, ns
    """
    _measure_bounds(window, room, kept)
    fit_line_again(window, room, kept)
