"""Offset and skew between two clocks from pairs of one-way transits.

Each reply of an exchange gives two transits that contain the offset with opposite signs: forward
(t2 - t1) and back (t4 - t3). The queues of the two directions are independent, so the fastest
packet of *each direction* is looked for by itself: it comes far more often than a reply that was
fast both ways, which is what a choice by round trip waits for. `clock.exchange.bounds` puts the
lines under them; the offset is half of the difference between both.

The sound goes the backward way too, fifty times a second: its fastest packets count like replies,
unless they seem faster than any reply by more than the spread of the delays explains. A sender that
stamps its sound ahead of time would else seem nearer than it is. During congestion, when every
reply has waited in a queue, the sound from before it shows how near the sender is. Congestion ends,
a path stays: delays that have not changed for many times their own length are those of a long path
(a satellite).

The window is 120 s on a quiet link, where the crystals' wander is what hurts, and up to 480 s on a
noisy one. Measured beside other filters by `python -m benchmarks clock`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.bounds import REPLIES_MAX, Exchanged, fit_line, fit_line_again
from node.clock.exchange.slope import THERE, support
from node.clock.robust_line import select, select_near
from node.kernel import inner_kernel, kernel
from node.kernel.bound import bound
from node.kernel.record import Records, new
from node.units import NS_PER_MS, NS_PER_S

WAITED_NS: Final = 300 * NS_PER_MS
"""Replies that took longer all waited in a queue: what they say may be wrong by half of it ..."""
_STEADY_NS: Final = 10 * NS_PER_S
_STEADY_DELAYS: Final = 10
"""... unless their least delay has been the same for so long, and so many times its own length. A
link that stood still gives all that waited at once: who asked half a second later waited half a
second less."""
_STEADY_WITHIN_NS: Final = 30 * NS_PER_MS
_STEADY_REPLIES: Final = 4

_WINDOWS_NS: Final = (120 * NS_PER_S, 240 * NS_PER_S, 480 * NS_PER_S)
_NEAR: Final = 0.1
_NEAR_MIN_NS: Final = 1000.0
"""The median delay is looked for so near to where it was, in its distance from the least."""
_NOISES_NS: Final = (1.0 * NS_PER_MS, 8.0 * NS_PER_MS)
_TOLD: Final = 5
"""Numbers that `_fit_replies` tells."""


class OffsetFilter:
    """The replies of the last minutes, and the line through them."""

    def __init__(self) -> None:
        self._replies = np.zeros((3, REPLIES_MAX), np.int64)
        self._times_ns, self._forward_ns, self._backward_ns = self._replies
        self._window = new(Exchanged)
        self._told = np.zeros(_TOLD, np.int64)
        self._transits: NDArray[np.float64] = self._window["transits"][0]
        self._path_max_ns = WAITED_NS
        self._hear = bound(_hear, self._window)
        self._fit_replies = bound(_fit_replies, self._replies, self._window, self._told)
        # Asked for with each reply, and read out of a record they cost ten times as much.
        self._line = tuple(self._window[name] for name in ("slope", "offset_ns", "back_ns"))
        self.clear()

    def clear(self) -> None:
        """Forget all replies."""
        self.count = 0
        self.least_delay_ns = 0
        self.spread_ns = 0
        self.slope = 0.0
        """How much faster the other clock is, as a ratio less one."""
        self._ahead_ns = 0.0
        """The offset at the newest reply, less the base."""
        self._back_ns = 0.0
        """The backward floor there."""
        self._origin_ns = 0
        self._base_ns = 0

    def add(self, now_ns: int, forward_ns: int, backward_ns: int) -> None:
        """Append a reply: its arrival, t2 - t1 and t4 - t3."""
        n = self.count
        if n > 0:  # the windows need times that do not go backwards
            now_ns = max(now_ns, int(self._times_ns[n - 1]))
        drop = n + 1 - REPLIES_MAX
        begin_ns = now_ns - _WINDOWS_NS[-1]
        if n > 0 and self._times_ns[0] < begin_ns:
            drop = max(drop, int(np.searchsorted(self._times_ns[:n], begin_ns)))
        if drop > 0:
            for values in (self._times_ns, self._forward_ns, self._backward_ns):
                values[: n - drop] = values[drop:n]
            n -= drop
        self._times_ns[n] = now_ns
        self._forward_ns[n] = forward_ns
        self._backward_ns[n] = backward_ns
        self.count = n + 1

    def fit(self, sound_ns: NDArray[np.int64] | None = None) -> None:
        """Put the lines under what is there, one reply at least.

        Parameters
        ----------
        sound_ns : (4, n) int64 or None, n <= SOUND_MAX
            Of the sound's fastest packets arrivals on the own clock, ascending, and transits from
            the other clock; of its slowest the same.
        """
        self._line[0][0] = self.slope
        self._fit_replies(self.count)
        told = self._told.tolist()
        self._origin_ns, self._base_ns, self.least_delay_ns, self.spread_ns, first = told
        self._take_line()
        if not self.is_congested or self._is_steady():
            self._path_max_ns = max(WAITED_NS, self.least_delay_ns * 5 // 4)
        if sound_ns is None:
            return
        if self.is_congested:
            self._hear_beside_queue(sound_ns)
            return
        self._hear(sound_ns, first, self._back_ns - max(NS_PER_MS, self.spread_ns // 2))
        self._take_line()

    @property
    def is_congested(self) -> bool:
        """Return whether all replies waited longer than the path is known to take."""
        return self.least_delay_ns > self._path_max_ns

    def _is_steady(self) -> bool:
        """Return whether the sender has long been equally far, neither coming nearer nor going."""
        n = self.count
        span_ns = float(max(_STEADY_NS, _STEADY_DELAYS * self.least_delay_ns))
        times = self._transits[0, :n]
        first = int(np.searchsorted(times, -span_ns))
        middle = int(np.searchsorted(times, -0.5 * span_ns))
        if times[0] > -span_ns or min(middle - first, n - middle) < _STEADY_REPLIES:
            return False
        delays = self._transits[1, first:n] + self._transits[2, first:n]
        before, after = delays[: middle - first].min(), delays[middle - first :].min()
        spread = _median(delays) - min(before, after)
        return bool(abs(before - after) <= _STEADY_WITHIN_NS + 0.5 * spread)

    def _hear_beside_queue(self, sound_ns: NDArray[np.int64]) -> None:
        """Where all replies waited, let the sound that did not be the backward floor by itself.

        Their ceilings are the queue's. All that is known of the sound is that it was sent first.
        """
        lowest = self._hear(sound_ns, -1, np.inf)
        there = float(self._window["at"][0, THERE])
        if -there <= lowest < self._back_ns:
            self._ahead_ns = 0.5 * (there - lowest)
            self._back_ns = lowest
            self.least_delay_ns = round(there + lowest)

    def _take_line(self) -> None:
        slope, ahead_ns, back_ns = self._line
        self.slope, self._ahead_ns, self._back_ns = slope.item(), ahead_ns.item(), back_ns.item()

    def offset_ns(self, now_ns: int) -> int:
        """Return the other clock less the own one at own time `now_ns`."""
        ahead_ns = self._ahead_ns + self.slope * (now_ns - self._origin_ns)
        return self._base_ns + round(ahead_ns)

    def local_ns(self, other_ns: int) -> int:
        """Return the own time at which the other clock shows `other_ns`."""
        since_ns = other_ns - self._base_ns - self._origin_ns - self._ahead_ns
        return self._origin_ns + round(since_ns / (1.0 + self.slope))


@inner_kernel("int64(float64[::1], int64, float64)")
def _first_from(times_ns: NDArray[np.float64], n: int, begin_ns: float) -> int:
    """Return the first of `n` ascending times that is not before `begin_ns`, or `n`."""
    low = 0
    high = n
    while low < high:
        middle = (low + high) // 2
        if times_ns[middle] < begin_ns:
            low = middle + 1
        else:
            high = middle
    return low


@kernel("float64(Exchanged[::1], int64[:, ::1], int64, float64)")
def _hear(
    windows: Records[Exchanged], sound_ns: NDArray[np.int64], first: int, floor_ns: float
) -> float:
    """Take the sound's packets since the reply `first` into the window; return their floor there.

    Where that is not below `floor_ns` the line is put anew, with them.

    windows   (1,), by `_fit_replies`
    sound_ns  (4, n) int64, ns, as for `fit`
    first     a reply of the window, or -1 for all packets
    """
    window = windows[0]
    n = sound_ns.shape[1]
    recent = 0
    if first >= 0:
        begin_ns = window.origin_ns + np.int64(window.transits[0, first])
        while recent < n and sound_ns[0, recent] < begin_ns:
            recent += 1
    kept = n - recent
    for i in range(kept):
        for row in range(0, 4, 2):
            window.heard[row, i] = float(sound_ns[row, recent + i] - window.origin_ns)
            window.heard[row + 1, i] = float(sound_ns[row + 1, recent + i] + window.base_ns)
    window.sounds = kept
    lowest = support(window.heard[0], window.heard[1], kept, -window.slope, 0)
    if lowest >= floor_ns:
        fit_line_again(window)
    return float(lowest)


@inner_kernel("int64(Exchanged, int64, int64)")
def _delays(window: Exchanged, first: int, n: int) -> int:
    """Write the delays of the replies from `first` on to the window's scratch; return how many."""
    for i in range(first, n):
        window.scratch[i - first] = window.transits[1, i] + window.transits[2, i]
    return n - first


@inner_kernel("float64(float64[::1], int64)")
def _least(values: NDArray[np.float64], n: int) -> float:
    """Return the least of the first `n`, one at least."""
    least = values[0]
    for i in range(1, n):
        least = min(least, values[i])
    return float(least)


@inner_kernel("float64(Exchanged, int64, float64)")
def _middle(window: Exchanged, n: int, least: float) -> float:
    """Return the median of the window's `n` delays, which are in its scratch; note it there."""
    reach = _NEAR * (window.middle[2] - least) + _NEAR_MIN_NS
    window.middle[2] = select_near(window.scratch[:], n, n // 2, window.middle[2], reach)
    return float(window.middle[2])


@inner_kernel("float64(float64[::1], int64, float64)")
def _before(values: NDArray[np.float64], n: int, middle: float) -> float:
    """Return the greatest before the upper median in order."""
    below = 0
    greatest = -np.inf
    for i in range(n):
        if values[i] < middle:
            below += 1
            greatest = max(greatest, values[i])
    return float(greatest) if below == n // 2 else middle


@kernel("void(int64[:, ::1], Exchanged[::1], int64[::1], int64)")
def _fit_replies(
    replies: NDArray[np.int64], windows: Records[Exchanged], told: NDArray[np.int64], n: int
) -> None:
    """Put a line through the last replies, of a time as long as the link's noise asks for.

    replies  (3, REPLIES_MAX) int64, ns: arrival of each, ascending, t2 - t1 and t4 - t3
    windows  (1,): gets them, and the line
    told     (_TOLD,) int64: arrival of the newest and half of its transits' difference, the least
             delay and how far the median lies above it, in ns; the first reply of the window
    n        replies, one at least
    """
    window = windows[0]
    times = window.transits[0]
    scratch = window.scratch[:]
    origin_ns = replies[0, n - 1]
    base_ns = (replies[1, n - 1] - replies[2, n - 1]) // 2
    # What was found by the last line is now this much higher.
    shift_ns = window.slope * (origin_ns - window.origin_ns) - (base_ns - window.base_ns)
    for direction in range(2):
        window.middle[direction] += (1 - 2 * direction) * shift_ns
        window.usual[direction] += (1 - 2 * direction) * shift_ns
    window.origin_ns = origin_ns
    window.base_ns = base_ns
    for i in range(n):
        window.transits[0, i] = float(replies[0, i] - origin_ns)
        window.transits[1, i] = float(replies[1, i] - base_ns)
        window.transits[2, i] = float(replies[2, i] + base_ns)
    first = _first_from(times, n, -float(_WINDOWS_NS[0]))
    size = _delays(window, first, n)
    least = _least(scratch, size)
    middle = _middle(window, size, least)
    long = 0
    for i in range(len(_NOISES_NS)):
        long += middle - least > _NOISES_NS[i]
    longer = _first_from(times, n, -float(_WINDOWS_NS[long]))
    if longer < first:
        first = longer
        size = _delays(window, first, n)
        least = _least(scratch, size)
        middle = _middle(window, size, least)
    if size % 2 == 0:
        middle = 0.5 * (middle + _before(scratch, size, middle))
    told[0] = origin_ns
    told[1] = base_ns
    told[2] = np.int64(least)
    told[3] = np.int64(middle) - told[2]
    told[4] = first
    window.first = first
    window.replies = n
    window.sounds = 0
    fit_line(window)


def _median(values: NDArray[np.float64]) -> float:
    """Return the median, as numpy's, which takes longer to look at the array than to find it.

    values  (n,) float64, no NaN, n >= 1; reordered
    """
    n = values.size
    upper = select(values, n, n // 2)
    return upper if n % 2 else 0.5 * (upper + select(values, n, n // 2 - 1))
