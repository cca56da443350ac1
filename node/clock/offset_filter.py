"""Offset and skew between two clocks from pairs of one-way transits.

Each reply of an exchange gives two transits that contain the offset with opposite signs: forward
(t2 - t1) and back (t4 - t3). The queues of the two directions are independent, so the fastest
packet of *each direction* is looked for by itself: it comes far more often than a reply that was
fast both ways, which is what a choice by round trip waits for.

1. The window is cut into blocks of equal time; the least transit of each block and direction is a
   point.
2. The slope is the mean of both directions' Theil-Sen slopes, found twice, the second time with
   points chosen after the first slope was taken out.
3. The offset is half of the difference between both floors.

A block in which no reply was quick has been under a queue all along and gets no vote on the slope:
delay is forward and back together, so no skew hides in it.

The window is 120 s on a quiet link, where the crystals' wander is what hurts, and up to 480 s on a
noisy one. Measured beside other filters by `python -m benchmarks clock`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.robust_line import select, theil_sen_slope
from node.kernel import kernel
from node.units import NS_PER_MS, NS_PER_S

REPLIES_MAX: Final = 1152
"""480 s at one a second, and the quick ones at the start."""

_WINDOWS_NS: Final = (120 * NS_PER_S, 240 * NS_PER_S, 480 * NS_PER_S)
_NOISES_NS: Final = (1.0 * NS_PER_MS, 8.0 * NS_PER_MS)
_BLOCKS_MAX: Final = 16
_BLOCK_REPLIES_MIN: Final = 6
_BLOCKS_MIN: Final = 4
_QUICK_NS: Final = 1.0 * NS_PER_MS
_QUICK_SPREADS: Final = 4.0
_SPAN_MIN_NS: Final = 5.0 * NS_PER_S
_SKEW_USUAL: Final = 50e-6  # between two crystals; a slope is trusted as far as it is surer
_SLOPE_NOISE: Final = 0.25  # error of the slope, in spreads of the delay per span (measured)
_SLOPE_MAX: Final = 600e-6


@kernel("float64(float64[:, ::1], int64, int64, float64[::1])")
def _quick_delay(
    replies: NDArray[np.float64], first: int, n: int, scratch: NDArray[np.float64]
) -> float:
    """Return the delay up to which a reply counts as quick; the spread goes to scratch[0]."""
    least = np.inf
    for i in range(first, n):
        delay = replies[1, i] + replies[2, i]
        scratch[i - first] = delay
        least = min(least, delay)
    quarter = select(scratch, n - first, (n - first) // 4)
    scratch[0] = quarter - least
    return float(least + max(_QUICK_NS, _QUICK_SPREADS * (quarter - least)))


@kernel("int64(float64[:, ::1], float64, int64, int64, int64, float64, float64[:, ::1])")
def _block_points(
    replies: NDArray[np.float64],
    slope: float,
    first: int,
    n: int,
    blocks: int,
    quick: float,
    points: NDArray[np.float64],
) -> int:
    """Write the fastest packets of each block and direction as points; return how many blocks.

    replies   (3, >= n): x, forward transit, backward transit
    slope     taken out while the fastest are looked for
    first, n  replies `first` to `n - 1`
    blocks    into how many blocks they are cut
    quick     a block without a delay as low as this is left out
    points    (4, >= blocks): x and forward transit, x and backward transit
    """
    kept = 0
    high = first
    begin = replies[0, first]
    length = (replies[0, n - 1] - begin) / blocks
    for block in range(blocks):
        # Cut by time: the burst at the start is one point, and not a lever of no length.
        low = high
        while high < n and (block == blocks - 1 or replies[0, high] < begin + length * (block + 1)):
            high += 1
        if low == high:
            continue
        there = low
        back = low
        delay = np.inf
        for i in range(low, high):
            x = replies[0, i]
            delay = min(delay, replies[1, i] + replies[2, i])
            if replies[1, i] - slope * x < replies[1, there] - slope * replies[0, there]:
                there = i
            if replies[2, i] + slope * x < replies[2, back] + slope * replies[0, back]:
                back = i
        if delay <= quick:
            points[0, kept] = replies[0, there]
            points[1, kept] = replies[1, there]
            points[2, kept] = replies[0, back]
            points[3, kept] = replies[2, back]
            kept += 1
    return kept


@kernel("void(float64[::1], float64[:, ::1], int64, int64, float64[:, ::1], float64[::1])")
def fit_line(
    line: NDArray[np.float64],
    replies: NDArray[np.float64],
    first: int,
    n: int,
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Put a line through the replies `first` to `n - 1`.

    line     (3,) offset at x = 0, slope and backward floor there; the slope stays when too little
             is known of it
    replies  (3, >= n): x, forward transit, backward transit
    points   (4, _BLOCKS_MAX) scratch
    scratch  (REPLIES_MAX,) scratch
    """
    span = replies[0, n - 1] - replies[0, first]
    late = 0  # how many came in the second half: what the burst at the start does not count for
    for i in range(first, n):
        late += replies[0, i] > replies[0, first] + 0.5 * span
    blocks = min(_BLOCKS_MAX, max(1, 2 * late // _BLOCK_REPLIES_MIN))
    slope = line[1]
    if blocks >= _BLOCKS_MIN and span > _SPAN_MIN_NS:
        quick = _quick_delay(replies, first, n, scratch)
        doubt = _SLOPE_NOISE * scratch[0] / (span * _SKEW_USUAL)
        for _ in range(2):
            kept = _block_points(replies, slope, first, n, blocks, quick, points)
            if kept >= _BLOCKS_MIN:
                apart = kept // 2
                there = theil_sen_slope(points[0], points[1], kept, apart, scratch)
                back = theil_sen_slope(points[2], points[3], kept, apart, scratch)
                slope = 0.5 * (there - back) / (1.0 + doubt * doubt)
                slope = min(max(slope, -_SLOPE_MAX), _SLOPE_MAX)
    there = np.inf
    back = np.inf
    for i in range(first, n):
        there = min(there, replies[1, i] - slope * replies[0, i])
        back = min(back, replies[2, i] + slope * replies[0, i])
    line[0] = 0.5 * (there - back)
    line[1] = slope
    line[2] = back


class OffsetFilter:
    """The replies of the last minutes, and the line through them."""

    def __init__(self) -> None:
        self._times_ns = np.zeros(REPLIES_MAX, np.int64)
        self._forward_ns = np.zeros(REPLIES_MAX, np.int64)
        self._backward_ns = np.zeros(REPLIES_MAX, np.int64)
        self._replies = np.zeros((3, REPLIES_MAX), np.float64)
        self._points = np.zeros((4, _BLOCKS_MAX), np.float64)
        self._scratch = np.zeros(REPLIES_MAX, np.float64)
        self._line = np.zeros(3, np.float64)
        self.clear()

    def clear(self) -> None:
        """Forget all replies."""
        self.count = 0
        self.least_delay_ns = 0
        self.spread_ns = 0
        self._line[:] = 0.0
        self._origin_ns = 0
        self._base_ns = 0

    def add(self, now_ns: int, forward_ns: int, backward_ns: int) -> None:
        """Append a reply: its arrival, t2 - t1 and t4 - t3."""
        n = self.count
        if n > 0:  # the windows need times that do not go backwards
            now_ns = max(now_ns, int(self._times_ns[n - 1]))
        oldest = int(np.searchsorted(self._times_ns[:n], now_ns - _WINDOWS_NS[-1]))
        drop = max(oldest, n + 1 - REPLIES_MAX)
        if drop > 0:
            for values in (self._times_ns, self._forward_ns, self._backward_ns):
                values[: n - drop] = values[drop:n]
            n -= drop
        self._times_ns[n] = now_ns
        self._forward_ns[n] = forward_ns
        self._backward_ns[n] = backward_ns
        self.count = n + 1

    @property
    def least_backward_ns(self) -> int:
        """Return the backward floor of the replies at the newest one (t4 - t3)."""
        return round(float(self._line[2])) - self._base_ns

    def fit(self, floor_ns: int | None = None) -> None:
        """Put the line through what is there, one reply at least.

        Parameters
        ----------
        floor_ns : int or None
            Backward floor at the newest reply that was seen otherwise; taken if it is lower. It
            says nothing about the slope.
        """
        n = self.count
        self._origin_ns = int(self._times_ns[n - 1])
        self._base_ns = int(self._forward_ns[n - 1] - self._backward_ns[n - 1]) // 2
        replies = self._replies[:, :n]
        np.subtract(self._times_ns[:n], self._origin_ns, out=replies[0], casting="unsafe")
        np.subtract(self._forward_ns[:n], self._base_ns, out=replies[1], casting="unsafe")
        np.add(self._backward_ns[:n], self._base_ns, out=replies[2], casting="unsafe")
        first = self._window_first()
        delays = replies[1, first:] + replies[2, first:]
        self.least_delay_ns = int(delays.min())
        self.spread_ns = int(np.median(delays)) - self.least_delay_ns
        fit_line(self._line, self._replies, first, n, self._points, self._scratch)
        if floor_ns is not None:
            lower = self._line[2] - (floor_ns + self._base_ns)
            self._line[0] += 0.5 * max(0.0, float(lower))

    @property
    def slope(self) -> float:
        """Return how much faster the other clock is, as a ratio less one."""
        return float(self._line[1])

    def offset_ns(self, now_ns: int) -> int:
        """Return the other clock less the own one at own time `now_ns`."""
        ahead_ns = float(self._line[0]) + self.slope * (now_ns - self._origin_ns)
        return self._base_ns + round(ahead_ns)

    def local_ns(self, other_ns: int) -> int:
        """Return the own time at which the other clock shows `other_ns`."""
        since_ns = other_ns - self._base_ns - self._origin_ns - float(self._line[0])
        return self._origin_ns + round(since_ns / (1.0 + self.slope))

    def _window_first(self) -> int:
        """Return the first reply of a window as long as the link's noise asks for."""
        n = self.count
        times = self._replies[0, :n]
        recent = int(np.searchsorted(times, -float(_WINDOWS_NS[0])))
        delays = self._replies[1, recent:n] + self._replies[2, recent:n]
        least = float(delays.min())
        middle = select(delays, n - recent, (n - recent) // 2)
        window = sum(1 for noise_ns in _NOISES_NS if middle - least > noise_ns)
        return int(np.searchsorted(times, -float(_WINDOWS_NS[window])))
