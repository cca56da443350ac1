"""How far two clocks run apart, from the transits between them; and the transits without that.

```
 transit │                 · ·   ·       the fastest packets tell it: what else is slow only adds
         │       ·  ·  · ·  _·_..--·     Moon, Skelly, Towsley: Estimation and removal of clock skew
         │ ·· _·_..--''''                from network delay measurements, INFOCOM 1999
         └──────────────────────► sent   the line below all of them that is nearest to them
```
"""

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS

SKEW_MAX_PPM: Final = 500
"""Two crystals, each 100 ppm off and warm; what is more is no clock."""

PACKETS_MIN: Final = 1000
"""Fewer do not tell a slow clock from a slow network."""

_LEAST_NS: Final = 2 * NS_PER_MS
"""What all of a trace is moved by less is no matter."""

_BLOCKS: Final = 500
_STRAIGHT: Final = 6
"""Half of the blocks have a packet within this part of all that the line rises: else what is seen
is another way, or a queue."""


def without_skew(
    sent_ns: NDArray[np.int64], transit_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Return the transits of two clocks that run alike, and by how many ppm they did not.

    sent_ns     (n,) int64, when each packet that came was sent, ascending or nearly so
    transit_ns  (n,) int64, arrival minus that

    The first of both is (n,) int64 in ns. Where the transits do not rise or fall evenly they stay
    as they are, and the skew is 0.
    """
    if sent_ns.size < PACKETS_MIN:
        return transit_ns, 0.0
    slope_ppb, off_ns = line_below(sent_ns, transit_ns)
    risen_ns = abs(slope_ppb) * (int(sent_ns.max() - sent_ns.min()) // 1000) // 1_000_000
    if risen_ns < _LEAST_NS or abs(slope_ppb) > 1000 * SKEW_MAX_PPM:
        return transit_ns, 0.0
    if int(np.median(off_ns)) > risen_ns // _STRAIGHT:
        return transit_ns, 0.0
    return turned(sent_ns, transit_ns, slope_ppb), slope_ppb / 1000


def turned(
    sent_ns: NDArray[np.int64], transit_ns: NDArray[np.int64], slope_ppb: int
) -> NDArray[np.int64]:
    """Return the transits less a line through the first packet.

    sent_ns     (n,) int64, when each was sent, ns
    transit_ns  (n,) int64, ns
    slope_ppb   of the line, in 1e-9

    The result is (n,) int64 in ns.
    """
    since_us = (sent_ns - sent_ns[0]) // 1000
    # Whole seconds and the rest of them apart: a year times a slope is beyond 64 bits.
    seconds, rest_us = np.divmod(since_us, 1_000_000)
    found: NDArray[np.int64] = transit_ns - seconds * slope_ppb - rest_us * slope_ppb // 1_000_000
    return found


def line_below(
    sent_ns: NDArray[np.int64], transit_ns: NDArray[np.int64]
) -> tuple[int, NDArray[np.int64]]:
    """Return the slope, in 1e-9, of the line below all packets that is nearest to them.

    sent_ns     (n,) int64, when each was sent, ns
    transit_ns  (n,) int64, ns

    The second of both is (blocks,) int64, how far above it the fastest packet of each of some
    hundred stretches is, ns.
    """
    order = np.argsort(sent_ns, kind="stable")
    sent_ns, transit_ns = sent_ns[order], transit_ns[order]
    starts = np.unique(np.linspace(0, sent_ns.size, _BLOCKS, endpoint=False).astype(np.int64))
    ends = np.append(starts[1:], sent_ns.size)
    fastest = [int(a) + int(transit_ns[a:b].argmin()) for a, b in zip(starts, ends, strict=True)]
    points = [(int(sent_ns[i]), int(transit_ns[i])) for i in fastest]
    hull: list[tuple[int, int]] = []
    for at in points:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], at):
            hull.pop()
        hull.append(at)
    middle_ns = sum(at for at, _ in points) // len(points)
    edge = next(
        (pair for pair in pairwise(hull) if pair[1][0] >= middle_ns),
        (hull[-1], hull[-1]),
    )
    (x0, y0), (x1, y1) = edge
    slope_ppb = (y1 - y0) * 1_000_000_000 // (x1 - x0) if x1 > x0 else 0
    off = [y - y0 - (x - x0) * slope_ppb // 1_000_000_000 for x, y in points]
    return slope_ppb, np.array(off, np.int64)


def _turns_down(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Return whether b is on or above the line from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) <= (c[0] - a[0]) * (b[1] - a[1])
