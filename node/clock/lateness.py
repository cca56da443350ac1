"""Whether what is played comes too early for good: by the packets that come late.

=====================  ==========================================================================
by arrivals            half a second, a sixteenth of it late, and the fastest packet half a playout
                       delay above the line
by arrivals that only  the next one would be late: after at least two half seconds in a row whose
come later             fastest packets came later, each by more than is slewed, and all by half a
                       playout delay
by a map, while the    1.4 s, seven eighths of it late; or a sixteenth, where no packet came sooner
way is steady          than 50 ms before it was late: the map leaves too little room for the
                       jitter, and would go on to take a part of the sound
by a map, otherwise    likewise, for 10 s
=====================  ==========================================================================

Of a sender that is slower than real time each packet comes later than the one before. A line under
the fastest of the last half second is too early again by all that it lost meanwhile; it is put
under the newest one, or where that says that the next one will be.

A way is steady while its delays lie within 35 ms of each other: another route only moves them, a
queue fills, drains and spreads them. What a weak mobile link does for seconds and then ends must
not take a horn out of step with its neighbours, and by its map a node that was late for a while
goes on in step. What is longer than a cell is busy at a time (8 s) is followed, steady or not: late
sound is better than none. A map that is put elsewhere meanwhile does not spread them: the windows
are carried along, and go on where not even the fastest packet would be in time by the new one.
"""

from typing import Final

from node.clock.line import PERIOD_NS, SLEW_MAX
from node.clock.state import MODE_MAP, Line, Window
from node.kernel import inner_kernel
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


@inner_kernel("boolean(Window, float64, int64, int64, int64)")
def _says_map_is_wrong(
    window: Window, room_ns: float, now_ns: int, late: int, lasts_ns: int
) -> bool:
    """Take a packet into a window of packets by a map; return whether it says that it is wrong.

    room_ns   of the fastest packet of the window, this one among them, until it were late
    now_ns    arrival of this packet
    late      1: it came too late
    lasts_ns  how long the window must be

    It ends as soon as most are in time and had time left.
    """
    if window.since_ns < 0:
        window.since_ns = now_ns
        window.late = 0
        window.packets = 0
    window.late += late
    window.packets += 1
    in_time = window.packets - window.late
    is_tight = room_ns < _ROOM_MIN_NS
    most_in_time = _IN_TIME_SHARE * in_time > window.packets
    if not is_tight and most_in_time and in_time > 1:
        window.since_ns = -1
        return False
    if now_ns - window.since_ns <= lasts_ns:
        return False
    window.since_ns = -1
    if window.packets < _PACKETS_MIN:
        return False
    return bool(_LATE_SHARE * window.late >= window.packets if is_tight else not most_in_time)


@inner_kernel("boolean(Line, float64, float64, int64, int64)")
def _is_late_by_map(
    line: Line,
    above_line_ns: float,
    delay_ns: float,
    now_ns: int,
    late: int,
) -> bool:
    """Return whether the map is too early for good: steadily for a while, or for longer than that.

    The fastest packet of the window that says so is `late_above_ns` above the line.
    """
    steady = line.steady[0]
    if steady.since_ns >= 0:
        line.steady_above_ns = min(line.steady_above_ns, above_line_ns)
        line.steady_top_ns = max(line.steady_top_ns, above_line_ns)
        if line.steady_top_ns - line.steady_above_ns > _STEADY_NS:
            steady.since_ns = -1
    if steady.since_ns < 0:
        line.steady_above_ns = above_line_ns
        line.steady_top_ns = above_line_ns
    opens = late or above_line_ns > delay_ns - _ROOM_MIN_NS
    if opens or steady.since_ns >= 0:
        room_ns = delay_ns - line.steady_above_ns
        if _says_map_is_wrong(steady, room_ns, now_ns, late, _STEADY_FOR_NS):
            line.late_above_ns = line.steady_above_ns
            return True
    window = line.late[0]
    if window.since_ns < 0:
        line.late_above_ns = above_line_ns
    line.late_above_ns = min(line.late_above_ns, above_line_ns)
    if not opens and window.since_ns < 0:
        return False
    return _says_map_is_wrong(window, delay_ns - line.late_above_ns, now_ns, late, _BY_MAP_NS)


@inner_kernel("boolean(Line, float64, float64, int64, int64)")
def _is_late_by_arrivals(
    line: Line,
    above_line_ns: float,
    delay_ns: float,
    now_ns: int,
    late: int,
) -> bool:
    """Return whether the line is too early for good; it belongs `late_above_ns` higher then."""
    window = line.late[0]
    if window.since_ns < 0:
        window.since_ns = now_ns
        window.late = 0
        window.packets = 0
        line.late_above_ns = above_line_ns
    window.late += late
    window.packets += 1
    line.late_above_ns = min(line.late_above_ns, above_line_ns)
    if line.climbed_ns > 0.5 * delay_ns:
        next_above_ns = above_line_ns + max(0.0, line.step_ns)
        if next_above_ns + line.ahead_ns > delay_ns - PERIOD_NS:
            line.late_above_ns = next_above_ns
            return True
    if now_ns - window.since_ns <= _BY_ARRIVALS_NS:
        return False
    window.since_ns = -1
    fastest_ns = line.newest_ns - above_line_ns + line.late_above_ns
    risen_ns = fastest_ns - line.window_fastest_ns
    line.window_fastest_ns = fastest_ns
    if risen_ns <= SLEW_MAX * _BY_ARRIVALS_NS:
        line.climbed_ns = 0.0
    elif line.climbed_ns == 0.0:
        line.climbed_ns = -risen_ns  # once is a way that became longer
    else:
        line.climbed_ns = abs(line.climbed_ns) + risen_ns
    if window.packets < _PACKETS_MIN:
        return False
    is_above = line.late_above_ns > 0.5 * delay_ns
    return bool(is_above and _LATE_SHARE * window.late >= window.packets)


@inner_kernel("boolean(Line, float64, int64, int64)")
def is_late_for_good(
    line: Line,
    above_line_ns: float,
    now_ns: int,
    is_late: int,
) -> bool:
    """Return whether a window of packets, this one the last, says that the line is too early.

    above_line_ns  of this packet, over the line that is played by
    now_ns         its arrival
    is_late        1: it came too late to be played, whatever the line says
    """
    delay_ns = float(line.delay_target_ns + line.own_delay_ns)
    if line.mode == MODE_MAP:
        # What is slewed to the map is late only once it is there.
        late = 1 if is_late or above_line_ns > delay_ns - PERIOD_NS else 0
        line.climbed_ns = 0.0
        return _is_late_by_map(line, above_line_ns, delay_ns, now_ns, late)
    line.steady[0].since_ns = -1
    late = 1 if is_late or above_line_ns > delay_ns else 0
    return _is_late_by_arrivals(line, above_line_ns, delay_ns, now_ns, late)


@inner_kernel("void(Line, float64)")
def carry_windows(line: Line, moved_ns: float) -> None:
    """Hold what is being counted against a line that was moved: packets are that higher above it.

    What was late by the old line counts on only if
    it were by the new one.
    """
    line.steady_above_ns += moved_ns
    line.steady_top_ns += moved_ns
    line.late_above_ns += moved_ns
    if abs(moved_ns) <= _STEADY_NS:
        return
    soonest_late_ns = line.delay_target_ns + line.own_delay_ns - PERIOD_NS
    if line.steady_above_ns <= soonest_late_ns:
        line.steady[0].since_ns = -1
    if line.late_above_ns <= soonest_late_ns:
        line.late[0].since_ns = -1
