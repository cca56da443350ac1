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
too, as far as the floors are known no better: in the first seconds. Queues have none, and a jam of
one direction is none.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.slope import (
    BACK,
    BACK_TOP,
    EDGES,
    THERE,
    THERE_TOP,
    meeting_slope,
    support,
)
from node.clock.robust_line import select
from node.kernel import inlined, kernel
from node.units import NS_PER_MS, NS_PER_S

REPLIES_MAX: Final = 1152
"""480 s at one a second, and the quick ones at the start."""
SOUND_MAX: Final = 65
"""Outermost packets of the sound: the points of `node.clock.arrivals`, and its open block."""
EDGE_FIELDS: Final = 3 * EDGES + 2
"""By edge how far apart its outermost replies lie, then where it is, in ns, then its weight; then
of both directions above what a delay is none of the link's."""

_BLOCKS_MAX: Final = 16
POINTS_MAX: Final = _BLOCKS_MAX + SOUND_MAX

_BLOCK_REPLIES_MIN: Final = 6
_BLOCKS_MIN: Final = 4
_SPAN_MIN_NS: Final = 2.0 * NS_PER_S
_FEW: Final = 12  # replies at each edge, an eighth at most, that say how far apart they lie
_APART_MIN_NS: Final = 100.0
_SHARP: Final = 3.0  # a ceiling is one if its replies lie less than so much wider than the floor's
_ELSEWHERE: Final = 0.75
"""Where the few lowest lie across so much of the width, they went a shorter way than the others."""
_WIDTHS: Final = 16.0  # how many of these distances the two widths may differ by ...
_WIDTH_SHARE: Final = 0.3  # ... and by what share of their sum
_TOP_REPLIES_MIN: Final = 8
_LIMITS: Final = 3 * EDGES
_USUAL_QUANTILE: Final = 0.95
_ABOVE: Final = 1.25
"""Delays that are spread evenly end 1.11 times as far above their median as their 95 % quantile.
What lies further off waited for a machine that stopped, and hides the ceiling. Where delays have
none, as behind a queue, the cut is blunt: no ceiling is found there."""
_ALONE: Final = 4.0
"""Above the third highest by so many of the distances between high ones: one in 55 by chance, and
where one event in fifty is handled a millisecond late such a packet is more likely one of those."""
_CUT_REPLIES_MIN: Final = 48
_DOUBT_NS: Final = 0.3 * NS_PER_MS
"""So far may a ceiling be wrong however sharp it looks: a busy machine adds to the slowest packets,
never to the fastest. With one event in fifty handled a millisecond late, ceilings believed as they
looked held two nodes 0.7 ms apart for good; so they help in the first seconds, when floors are
known no better, and fade as these come to be."""


@kernel(
    "int64(float64[:, ::1], int64, float64, float64, int64, int64, int64, float64[:, ::1], float64)"
)
def _outermost(
    replies: NDArray[np.float64],
    row: int,
    sign: float,
    slope: float,
    first: int,
    n: int,
    blocks: int,
    points: NDArray[np.float64],
    limit: float,
) -> int:
    """Write the packet with the least sign * transit of each block of time; return how many.

    replies   (3, >= n); `first` to `n - 1` are looked at
    row       1 forward, 2 backward
    sign      1.0 for a floor, -1.0 for a ceiling
    slope     of sign * transit, taken out while the least is looked for
    blocks    into how many blocks of equal time they are cut
    points    (2, >= blocks), out
    limit     what is less, without the slope, is passed over
    """
    x = replies[0]
    y = replies[row]
    kept = 0
    high = first
    length = (x[n - 1] - x[first]) / blocks
    for block in range(blocks):
        # Cut by time: the burst at the start is one point, and not a lever of no length.
        least = -1
        while high < n and (block == blocks - 1 or x[high] < x[first] + length * (block + 1)):
            if sign * y[high] - slope * x[high] >= limit and (
                least < 0 or sign * (y[high] - y[least]) - slope * (x[high] - x[least]) < 0.0
            ):
                least = high
            high += 1
        if least >= 0:
            points[0, kept] = x[least]
            points[1, kept] = sign * y[least]
            kept += 1
    return kept


@kernel("float64(float64[::1], int64, int64)")
def _stopped_above(transits: NDArray[np.float64], n: int, few: int) -> float:
    """Return above what a transit says nothing of the link; inf while there are few.

    transits  (>= n,) float64, reordered
    few       highest transits that say how far apart they lie
    """
    if n < _CUT_REPLIES_MIN:
        return np.inf
    middle = select(transits, n, n // 2)
    usual = select(transits, n, int(_USUAL_QUANTILE * (n - 1)))
    limit = middle + _ABOVE * (usual - middle)
    kept = 0
    for i in range(n):
        kept += transits[i] <= limit
    third = select(transits, n, kept - 3)
    apart = (third - select(transits, n, kept - 1 - few)) / (few - 2)
    return float(min(limit, third + _ALONE * apart))


@inlined
def _few(n: int) -> int:
    """Return how many of `n` replies say how far apart they lie at an edge."""
    return max(min(4, max(1, n // 4)), min(_FEW, n // 8))


@kernel("void(float64[:, ::1], float64, int64, int64, float64[::1], float64[::1])")
def _measure_edges(
    replies: NDArray[np.float64],
    slope: float,
    first: int,
    n: int,
    edges: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Find how far apart the outermost replies lie at each edge, and where both ceilings are.

    edges  (EDGE_FIELDS,) out
    """
    size = n - first
    few = _few(size)
    for row in (1, 2):
        for i in range(first, n):
            scratch[i - first] = replies[row, i] + (2 * row - 3) * slope * replies[0, i]
        low = select(scratch, size, min(few, size - 1))
        least = select(scratch, size, 0)
        limit = _stopped_above(scratch, size, few)
        kept = 0
        for i in range(size):
            kept += scratch[i] <= limit
        high = select(scratch, size, max(0, kept - 1 - few))
        most = select(scratch, size, kept - 1)
        edges[row - 1] = (low - least) / few
        edges[row + 1] = (most - high) / few
        edges[EDGES + row - 1] = least
        edges[EDGES + row + 1] = most
        edges[_LIMITS + row - 1] = limit


@kernel("boolean(float64[::1], int64)")
def has_ceiling(edges: NDArray[np.float64], n: int) -> bool:
    """Return whether the delays have a ceiling as sharp as the floor, equally high both ways.

    edges  (EDGE_FIELDS,) float64, ns, with weights in 1/ns
    """
    floors = edges[THERE] + edges[BACK]
    if n < _TOP_REPLIES_MIN or max(edges[THERE_TOP], edges[BACK_TOP]) > _SHARP * 0.5 * floors:
        return False
    there = edges[EDGES + THERE_TOP] - edges[EDGES + THERE]
    back = edges[EDGES + BACK_TOP] - edges[EDGES + BACK]
    if _few(n) * floors > _ELSEWHERE * (there + back):
        return False
    return bool(abs(there - back) < min(_WIDTHS * 0.5 * floors, _WIDTH_SHARE * (there + back)))


@kernel("float64(float64[:, ::1], int64, float64, float64)")
def _top(sound: NDArray[np.float64], sound_n: int, slope: float, limit: float) -> float:
    """Return the backward ceiling of the sound at x = 0, without what lies above `limit`."""
    highest = -np.inf
    for i in range(sound_n):
        height = sound[3, i] + slope * sound[2, i]
        if height <= limit:
            highest = max(highest, height)
    return highest


@kernel(
    "float64(float64[:, ::1], int64, int64, float64[:, ::1], int64, float64[:, :, ::1], int64[::1],"
    " int64, float64, float64[::1])"
)
def _find_slope(
    replies: NDArray[np.float64],
    first: int,
    n: int,
    sound: NDArray[np.float64],
    sound_n: int,
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    tops: int,
    slope: float,
    edges: NDArray[np.float64],
) -> float:
    """Return a better slope than `slope`; points are chosen anew after it was taken out.

    tops   0 without ceilings, 1 with those of the replies, 2 with those of the sound too
    others as in `fit_line`
    """
    weights = edges[2 * EDGES : _LIMITS]
    for one, other in ((THERE, BACK), (THERE_TOP, BACK_TOP)):
        doubt = _APART_MIN_NS if one == THERE else _DOUBT_NS
        weights[one] = 1.0 / max(edges[one], edges[other], doubt)
        weights[other] = weights[one]
    blocks = min(_BLOCKS_MAX, (n - first) // _BLOCK_REPLIES_MIN)
    counts[:] = 0
    for _ in range(2):
        for edge in range(EDGES if tops > 0 else THERE_TOP):
            sign = 1.0 if edge < THERE_TOP else -1.0
            own = slope if edge in (THERE, BACK_TOP) else -slope
            limit = -np.inf if edge < THERE_TOP else -edges[_LIMITS + edge % 2]
            kept = _outermost(
                replies, 1 + edge % 2, sign, own, first, n, blocks, points[edge], limit
            )
            if edge == BACK or (edge == BACK_TOP and tops == 2):
                for i in range(sound_n):
                    x = sound[edge - BACK, i]
                    y = sign * sound[edge - BACK + 1, i]
                    if y - own * x >= limit:
                        points[edge, 0, kept] = x
                        points[edge, 1, kept] = y
                        kept += 1
            counts[edge] = kept
        slope = meeting_slope(points, counts, weights)
    return slope


@kernel(
    "void(float64[::1], float64[:, ::1], int64, int64, float64[:, ::1], int64, float64[:, :, ::1],"
    " int64[::1], float64[::1], float64[::1])"
)
def fit_line(
    line: NDArray[np.float64],
    replies: NDArray[np.float64],
    first: int,
    n: int,
    sound: NDArray[np.float64],
    sound_n: int,
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    edges: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Put a line through the replies `first` to `n - 1` and the outermost packets of the sound.

    line     (3,) float64: offset at x = 0 in ns, slope as a ratio and backward floor there in ns;
             the slope stays when too little is known of it
    replies  (3, n or more) float64, ns: x, forward transit, backward transit
    sound    (4, sound_n or more) float64, ns: x and backward transit of the fastest, and of the
             slowest
    points   (EDGES, 2, POINTS_MAX) float64, ns, scratch
    counts   (EDGES,) int64, counts of points, scratch
    edges    (EDGE_FIELDS,) float64, ns, with weights in 1/ns, scratch
    scratch  (REPLIES_MAX,) float64, ns, scratch
    """
    slope = line[1]
    _measure_edges(replies, slope, first, n, edges, scratch)
    noise = edges[THERE] + edges[BACK]
    tops = int(has_ceiling(edges, n - first))
    sound_top = _top(sound, sound_n, slope, edges[_LIMITS + 1])
    if tops and sound_n and sound_top < edges[EDGES + BACK_TOP] + _WIDTHS * noise:
        tops = 2
    long = replies[0, n - 1] - replies[0, first] > _SPAN_MIN_NS
    if long and n - first >= _BLOCKS_MIN * _BLOCK_REPLIES_MIN:
        slope = _find_slope(replies, first, n, sound, sound_n, points, counts, tops, slope, edges)
        _measure_edges(replies, slope, first, n, edges, scratch)
        sound_top = _top(sound, sound_n, slope, edges[_LIMITS + 1])
    back = min(edges[EDGES + BACK], support(sound[0], sound[1], sound_n, -slope, 0))
    offset = 0.5 * (edges[EDGES + THERE] - back)
    if tops:
        back_top = edges[EDGES + BACK_TOP]
        if tops == 2:
            back_top = max(back_top, sound_top)
        floors = edges[THERE] * edges[THERE] + edges[BACK] * edges[BACK]
        ceilings = edges[THERE_TOP] * edges[THERE_TOP] + edges[BACK_TOP] * edges[BACK_TOP]
        share = floors / (floors + ceilings + 2.0 * _DOUBT_NS * _DOUBT_NS)
        moved = share * (0.5 * (edges[EDGES + THERE_TOP] - back_top) - offset)
        # Nothing came before it was sent, however high a ceiling was that is none.
        room = max(0.0, 0.5 * (edges[EDGES + THERE] + back))
        offset += min(max(moved, -room), room)
    line[0] = offset
    line[1] = slope
    line[2] = back
