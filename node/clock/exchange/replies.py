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
noisy one, and while all of it waited: a reply from before says more than half of a queue. Measured
beside other filters by `python -m benchmarks clock`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.bounds import (
    REPLIES_MAX,
    Exchanged,
    Fitting,
    fit_line,
    fit_line_again,
    since_ns,
    transit_ns,
)
from node.clock.exchange.slope import THERE, support
from node.clock.robust_line import select, select_near
from node.kernel import inner_kernel
from node.kernel.record import Record, Records, nested, number, whole
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


class Replies(Record):
    """The replies of the last minutes, and the line through them."""

    count: int = whole("", "Replies that are kept.")
    least_delay_ns: int = whole("ns", "Of the window, or of the sound where all replies waited.")
    spread_ns: int = whole("ns", "How far the median of the delays lies above that.")
    origin_ns: int = whole("ns", "The own clock at the newest reply, as the line was put.")
    base_ns: int = whole("ns", "The other clock less the own one that `ahead_ns` counts from.")
    path_max_ns: int = whole("ns", "Longer the path is not known to take.")
    slope: float = number("", "How much faster the other clock is, as a ratio less one.")
    ahead_ns: float = number("ns", "The offset at the newest reply, less the base.")
    back_ns: float = number("ns", "The backward floor there.")
    window: Records[Exchanged] = nested(Exchanged, "Those of the last minutes.", (1,))
    kept: NDArray[np.int64] = whole(
        "ns", "Of each reply its arrival, ascending, t2 - t1 and t4 - t3.", (REPLIES_MAX, 3)
    )


@inner_kernel("void(Replies)")
def clear(replies: Replies) -> None:
    """Forget all replies."""
    replies.count = 0
    replies.least_delay_ns = 0
    replies.spread_ns = 0
    replies.slope = 0.0
    replies.ahead_ns = 0.0
    replies.back_ns = 0.0
    replies.origin_ns = 0
    replies.base_ns = 0


@inner_kernel("void(Replies)")
def begin(replies: Replies) -> None:
    """Know no path and no reply."""
    clear(replies)
    replies.path_max_ns = WAITED_NS


@inner_kernel("void(Replies, int64, int64, int64)")
def add(replies: Replies, now_ns: int, forward_ns: int, backward_ns: int) -> None:
    """Append a reply: its arrival, t2 - t1 and t4 - t3."""
    n = replies.count
    if n > 0:  # the windows need times that do not go backwards
        now_ns = max(now_ns, replies.kept[n - 1, 0])
    drop = max(0, n + 1 - REPLIES_MAX)
    begin_ns = now_ns - _WINDOWS_NS[-1]
    while drop < n and replies.kept[drop, 0] < begin_ns:
        drop += 1
    if drop > 0:
        n -= drop
        for i in range(n):
            for column in range(3):
                replies.kept[i, column] = replies.kept[drop + i, column]
    replies.kept[n, 0] = now_ns
    replies.kept[n, 1] = forward_ns
    replies.kept[n, 2] = backward_ns
    replies.count = n + 1


@inner_kernel("boolean(Replies)")
def is_congested(replies: Replies) -> bool:
    """Return whether all replies waited longer than the path is known to take."""
    return bool(replies.least_delay_ns > replies.path_max_ns)


@inner_kernel("int64(Replies, int64)")
def offset_ns(replies: Replies, now_ns: int) -> int:
    """Return the other clock less the own one at own time `now_ns`."""
    ahead_ns = replies.ahead_ns + replies.slope * (now_ns - replies.origin_ns)
    return int(replies.base_ns + np.int64(np.rint(ahead_ns)))


@inner_kernel("int64(Replies, int64)")
def local_ns(replies: Replies, other_ns: int) -> int:
    """Return the own time at which the other clock shows `other_ns`."""
    since_ns = other_ns - replies.base_ns - replies.origin_ns - replies.ahead_ns
    return int(replies.origin_ns + np.int64(np.rint(since_ns / (1.0 + replies.slope))))


@inner_kernel("int64(Replies, float64)")
def _first_from(replies: Replies, begin_ns: float) -> int:
    """Return the first reply that is not before `begin_ns` on the line's time, or the count."""
    window = replies.window[0]
    n = replies.count
    low = 0
    high = n
    while low < high:
        middle = (low + high) // 2
        if since_ns(window, replies.kept, middle) < begin_ns:
            low = middle + 1
        else:
            high = middle
    return low


@inner_kernel("int64(Replies, Exchanged, Fitting, int64)")
def _delays(replies: Replies, window: Exchanged, room: Fitting, first: int) -> int:
    """Write the delays of the replies from `first` on to the room's scratch; return how many."""
    kept, n = replies.kept, replies.count
    for i in range(first, n):
        there, back = transit_ns(window, kept, 0, i), transit_ns(window, kept, 1, i)
        room.scratch[i - first] = there + back
    return n - first


@inner_kernel("float64(float64[::1], int64)")
def _least(values: NDArray[np.float64], n: int) -> float:
    """Return the least of the first `n`, one at least."""
    least = values[0]
    for i in range(1, n):
        least = min(least, values[i])
    return float(least)


@inner_kernel("float64(Exchanged, Fitting, int64, float64)")
def _middle(window: Exchanged, room: Fitting, n: int, least: float) -> float:
    """Return the median of the window's `n` delays, which are in the room's scratch; note it."""
    reach = _NEAR * (window.middle[2] - least) + _NEAR_MIN_NS
    window.middle[2] = select_near(room.scratch[:], n, n // 2, window.middle[2], reach)
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


@inner_kernel("float64(float64[::1], int64)")
def _median(values: NDArray[np.float64], n: int) -> float:
    """Return the median, as numpy's.

    values  (>= n,) float64, no NaN, n >= 1; reordered
    """
    upper = select(values, n, n // 2)
    return upper if n % 2 else 0.5 * (upper + select(values, n, n // 2 - 1))


@inner_kernel("boolean(Replies, Exchanged, Fitting)")
def _is_steady(replies: Replies, window: Exchanged, room: Fitting) -> bool:
    """Return whether the sender has long been equally far, neither coming nearer nor going."""
    n = replies.count
    span_ns = float(max(_STEADY_NS, _STEADY_DELAYS * replies.least_delay_ns))
    first = _first_from(replies, -span_ns)
    middle = _first_from(replies, -0.5 * span_ns)
    if (
        since_ns(window, replies.kept, 0) > -span_ns
        or min(middle - first, n - middle) < _STEADY_REPLIES
    ):
        return False
    scratch = room.scratch[:]
    size = _delays(replies, window, room, first)
    before = _least(scratch, middle - first)
    after = _least(scratch[middle - first :], n - middle)
    spread = _median(scratch, size) - min(before, after)
    return bool(abs(before - after) <= _STEADY_WITHIN_NS + 0.5 * spread)


@inner_kernel("void(Replies, Exchanged)")
def _lay(replies: Replies, window: Exchanged) -> None:
    """Tell all replies in the window from the newest one's arrival and offset on."""
    n = replies.count
    origin_ns = replies.kept[n - 1, 0]
    base_ns = (replies.kept[n - 1, 1] - replies.kept[n - 1, 2]) // 2
    # What was found by the last line is now this much higher.
    shift_ns = window.slope * (origin_ns - window.origin_ns) - (base_ns - window.base_ns)
    for direction in range(2):
        window.middle[direction] += (1 - 2 * direction) * shift_ns
        window.usual[direction] += (1 - 2 * direction) * shift_ns
    window.origin_ns = origin_ns
    window.base_ns = base_ns
    replies.origin_ns = origin_ns
    replies.base_ns = base_ns
    window.replies = n
    window.sounds = 0


@inner_kernel("void(Replies, Exchanged, Fitting)")
def _fit_replies(replies: Replies, window: Exchanged, room: Fitting) -> None:
    """Put a line through the last replies, of a time as long as the link's noise asks for.

    Where all of these waited it goes through all that are kept, unless the path has become so long.
    """
    _lay(replies, window)
    scratch = room.scratch[:]
    first = _first_from(replies, -float(_WINDOWS_NS[0]))
    size = _delays(replies, window, room, first)
    least = _least(scratch, size)
    middle = _middle(window, room, size, least)
    long = 0
    for i in range(len(_NOISES_NS)):
        long += middle - least > _NOISES_NS[i]
    longer = _first_from(replies, -float(_WINDOWS_NS[long]))
    if longer < first:
        first = longer
        size = _delays(replies, window, room, first)
        least = _least(scratch, size)
        middle = _middle(window, room, size, least)
    replies.least_delay_ns = int(least)
    if first > 0 and is_congested(replies):
        first = first if _is_steady(replies, window, room) else 0
        size = _delays(replies, window, room, first)
        least = _least(scratch, size)
        middle = _middle(window, room, size, least)
    if size % 2 == 0:
        middle = 0.5 * (middle + _before(scratch, size, middle))
    replies.least_delay_ns = int(least)
    replies.spread_ns = int(middle) - replies.least_delay_ns
    window.first = first
    fit_line(window, room, replies.kept[:])


@inner_kernel("void(Replies, Exchanged)")
def _take_line(replies: Replies, window: Exchanged) -> None:
    replies.slope = window.slope
    replies.ahead_ns = window.offset_ns
    replies.back_ns = window.back_ns


@inner_kernel("float64(Replies, Fitting, int64[:, ::1], int64, int64, float64)")
def _hear(
    replies: Replies,
    room: Fitting,
    sound_ns: NDArray[np.int64],
    sounds: int,
    first: int,
    floor_ns: float,
) -> float:
    """Take the sound's packets since the reply `first` into the window; return their floor there.

    Where that is not below `floor_ns` the line is put anew, with them.

    replies   with their window by `_fit_replies`
    sound_ns  (4, sounds or more) int64, ns, as for `fit`
    first     a reply of the window, or -1 for all packets
    """
    window = replies.window[0]
    recent = 0
    if first >= 0:
        begin_ns = window.origin_ns + np.int64(since_ns(window, replies.kept, first))
        while recent < sounds and sound_ns[0, recent] < begin_ns:
            recent += 1
    kept = sounds - recent
    for i in range(kept):
        for row in range(0, 4, 2):
            room.heard[row, i] = float(sound_ns[row, recent + i] - window.origin_ns)
            room.heard[row + 1, i] = float(sound_ns[row + 1, recent + i] + window.base_ns)
    window.sounds = kept
    lowest = support(room.heard[0], room.heard[1], kept, -window.slope, 0)
    if lowest >= floor_ns:
        fit_line_again(window, room, replies.kept[:])
    return float(lowest)


@inner_kernel("void(Replies, Exchanged, Fitting, int64[:, ::1], int64)")
def _hear_beside_queue(
    replies: Replies,
    window: Exchanged,
    room: Fitting,
    sound_ns: NDArray[np.int64],
    sounds: int,
) -> None:
    """Where all replies waited, let the sound that did not be the backward floor by itself.

    Their ceilings are the queue's. All that is known of the sound is that it was sent first.

    sound_ns  (4, sounds or more) int64, ns, as for `fit`
    """
    lowest = _hear(replies, room, sound_ns, sounds, -1, np.inf)
    there = window.at[THERE]
    if -there <= lowest < replies.back_ns:
        replies.ahead_ns = 0.5 * (there - lowest)
        replies.back_ns = lowest
        replies.least_delay_ns = int(np.rint(there + lowest))


@inner_kernel("void(Replies, Fitting, int64[:, ::1], int64)")
def fit(replies: Replies, room: Fitting, sound_ns: NDArray[np.int64], sounds: int) -> None:
    """Put the lines under what is there, one reply at least.

    sound_ns  (4, sounds or more) int64: of the sound's fastest packets arrivals on the own clock,
              ascending, and transits from the other clock; of its slowest the same; ns
    sounds    how many, SOUND_MAX at most; 0: without the sound
    """
    window = replies.window[0]
    window.slope = replies.slope
    _fit_replies(replies, window, room)
    _take_line(replies, window)
    if not is_congested(replies) or _is_steady(replies, window, room):
        replies.path_max_ns = max(WAITED_NS, replies.least_delay_ns * 5 // 4)
    if sounds == 0:
        return
    if is_congested(replies):
        _hear_beside_queue(replies, window, room, sound_ns, sounds)
        return
    floor_ns = replies.back_ns - max(NS_PER_MS, replies.spread_ns // 2)
    _hear(replies, room, sound_ns, sounds, window.first, floor_ns)
    _take_line(replies, window)
