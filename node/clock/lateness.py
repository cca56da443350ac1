"""Whether what is played comes too early for good: by the packets that come late.

=====================  ==========================================================================
by arrivals            half a second, a sixteenth of it late, and the fastest packet half a playout
                       delay above the line
by a map, while the    1.4 s, seven eighths of it late; or a sixteenth, where no packet came sooner
way is steady          than 50 ms before it was late: the map leaves too little room for the
                       jitter, and would go on to take a part of the sound
by a map, otherwise    likewise, for 10 s
=====================  ==========================================================================

A way is steady while its delays lie within 35 ms of each other: another route only moves them, a
queue fills, drains and spreads them. What a weak mobile link does for seconds and then ends must
not take a horn out of step with its neighbours, and by its map a node that was late for a while
goes on in step. What is longer than a cell is busy at a time (8 s) is followed, steady or not: late
sound is better than none.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.line import (
    DELAY_TARGET_NS,
    LATE_ABOVE_NS,
    LATE_PACKETS,
    LATE_SINCE_NS,
    MODE,
    MODE_MAP,
    OWN_DELAY_NS,
    PERIOD_NS,
    STEADY_ABOVE_NS,
    STEADY_PACKETS,
    STEADY_SINCE_NS,
    STEADY_TOP_NS,
    WINDOW_PACKETS,
)
from node.kernel import kernel
from node.units import NS_PER_MS, NS_PER_S

_BY_ARRIVALS_NS: Final = NS_PER_S // 2
_STEADY_FOR_NS: Final = 14 * NS_PER_S // 10
_BY_MAP_NS: Final = 10 * NS_PER_S
_STEADY_NS: Final = 35.0 * NS_PER_MS
_PACKETS_MIN: Final = 4
_LATE_SHARE: Final = 16
_IN_TIME_SHARE: Final = 8
_ROOM_MIN_NS: Final = 50.0 * NS_PER_MS
"""A map that leaves so much to the fastest packet is not to blame for the slow ones: a queue is."""


@kernel("boolean(int64[::1], float64, int64, int64, int64)")
def _says_map_is_wrong(
    window: NDArray[np.int64], room_ns: float, now_ns: int, late: int, lasts_ns: int
) -> bool:
    """Take a packet into a window of packets by a map; return whether it says that it is wrong.

    window    (3,) int64: since when in ns, or -1; late packets; all packets
    room_ns   of the fastest packet of the window, this one among them, until it were late
    now_ns    arrival of this packet
    late      1: it came too late
    lasts_ns  how long the window must be

    It ends as soon as most are in time and had time left.
    """
    if window[0] < 0:
        window[0] = now_ns
        window[1] = 0
        window[2] = 0
    window[1] += late
    window[2] += 1
    in_time = window[2] - window[1]
    is_tight = room_ns < _ROOM_MIN_NS
    most_in_time = _IN_TIME_SHARE * in_time > window[2]
    if not is_tight and most_in_time and in_time > 1:
        window[0] = -1
        return False
    if now_ns - window[0] <= lasts_ns:
        return False
    window[0] = -1
    if window[2] < _PACKETS_MIN:
        return False
    return bool(_LATE_SHARE * window[1] >= window[2] if is_tight else not most_in_time)


@kernel("boolean(int64[::1], float64[::1], float64, float64, int64, int64)")
def _is_late_by_map(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    above_line_ns: float,
    delay_ns: float,
    now_ns: int,
    late: int,
) -> bool:
    """Return whether the map is too early for good: steadily for a while, or for longer than that.

    The fastest packet of the window that says so is LATE_ABOVE_NS above the line.
    """
    steady = ints[STEADY_SINCE_NS : STEADY_PACKETS + 1]
    if steady[0] >= 0:
        floats[STEADY_ABOVE_NS] = min(floats[STEADY_ABOVE_NS], above_line_ns)
        floats[STEADY_TOP_NS] = max(floats[STEADY_TOP_NS], above_line_ns)
        if floats[STEADY_TOP_NS] - floats[STEADY_ABOVE_NS] > _STEADY_NS:
            steady[0] = -1
    if steady[0] < 0:
        floats[STEADY_ABOVE_NS] = above_line_ns
        floats[STEADY_TOP_NS] = above_line_ns
    opens = late or above_line_ns > delay_ns - _ROOM_MIN_NS
    if opens or steady[0] >= 0:
        room_ns = delay_ns - floats[STEADY_ABOVE_NS]
        if _says_map_is_wrong(steady, room_ns, now_ns, late, _STEADY_FOR_NS):
            floats[LATE_ABOVE_NS] = floats[STEADY_ABOVE_NS]
            return True
    window = ints[LATE_SINCE_NS : WINDOW_PACKETS + 1]
    if window[0] < 0:
        floats[LATE_ABOVE_NS] = above_line_ns
    floats[LATE_ABOVE_NS] = min(floats[LATE_ABOVE_NS], above_line_ns)
    if not opens and window[0] < 0:
        return False
    return _says_map_is_wrong(window, delay_ns - floats[LATE_ABOVE_NS], now_ns, late, _BY_MAP_NS)


@kernel("boolean(int64[::1], float64[::1], float64, float64, int64, int64)")
def _is_late_by_arrivals(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    above_line_ns: float,
    delay_ns: float,
    now_ns: int,
    late: int,
) -> bool:
    if ints[LATE_SINCE_NS] < 0:
        ints[LATE_SINCE_NS] = now_ns
        ints[LATE_PACKETS] = 0
        ints[WINDOW_PACKETS] = 0
        floats[LATE_ABOVE_NS] = above_line_ns
    ints[LATE_PACKETS] += late
    ints[WINDOW_PACKETS] += 1
    floats[LATE_ABOVE_NS] = min(floats[LATE_ABOVE_NS], above_line_ns)
    if now_ns - ints[LATE_SINCE_NS] <= _BY_ARRIVALS_NS:
        return False
    ints[LATE_SINCE_NS] = -1
    if ints[WINDOW_PACKETS] < _PACKETS_MIN:
        return False
    is_above = floats[LATE_ABOVE_NS] > 0.5 * delay_ns
    return bool(is_above and _LATE_SHARE * ints[LATE_PACKETS] >= ints[WINDOW_PACKETS])


@kernel("boolean(int64[::1], float64[::1], float64, int64, int64)")
def is_late_for_good(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    above_line_ns: float,
    now_ns: int,
    is_late: int,
) -> bool:
    """Return whether a window of packets, this one the last, says that the line is too early.

    ints           (INTS,) int64, state of `node.clock.line`: units by the fields' names
    floats         (FLOATS,) float64, the same: units by the fields' names
    above_line_ns  of this packet, over the line that is played by
    now_ns         its arrival
    is_late        1: it came too late to be played, whatever the line says
    """
    delay_ns = float(ints[DELAY_TARGET_NS] + ints[OWN_DELAY_NS])
    if ints[MODE] == MODE_MAP:
        # What is slewed to the map is late only once it is there.
        late = 1 if is_late or above_line_ns > delay_ns - PERIOD_NS else 0
        return _is_late_by_map(ints, floats, above_line_ns, delay_ns, now_ns, late)
    ints[STEADY_SINCE_NS] = -1
    late = 1 if is_late or above_line_ns > delay_ns else 0
    return _is_late_by_arrivals(ints, floats, above_line_ns, delay_ns, now_ns, late)
