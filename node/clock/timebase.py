"""Which media position should leave the converter at a given instant of the node's own clock.

```
y = arrival - x (transit)
│    .   .     .   .          packets, one dot each
│ .    .    .      .  .
│___.______.____.______       their lower envelope, or the map from sender reports
└────────────────────── x = media time
presentation = x + line(x) + D
```

Without any exchange the line is the lower envelope of the transits (`node.clock.arrivals`): the
fastest packets show the sender's clock. With an exchange it is the map from sender reports.
Either way the line may move at any packet, but what is played follows without a jump
(`node.clock.line`): the difference is slewed away, the playout delay likewise, both together by at
most 0.5 %. Only a correction above `JUMP_NS` is taken at once, and counted.

The envelope plays later than the map, by what the network takes. So that nobody hears the change
from one to the other, a source begins by its map wherever an answer has come within the playout
delay (`awaits_map`), and takes it at once where nothing sounds (`node.source.playback`).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.clock import arrivals as envelope
from node.clock.arrivals import EARLY_NS, PUT_ELSEWHERE, UNCHANGED, floor_ns, shift
from node.clock.delay_need import needed_delay_ns, note_delay
from node.clock.exchange.replies import WAITED_NS
from node.clock.lateness import carry_windows
from node.clock.line import JUMP_NS, PERIOD_NS, finish_slews, move_line, position_q16
from node.clock.state import MODE_ENVELOPE, MODE_MAP, POINT_ROWS, Line
from node.kernel import inlined, inner_kernel, kernel
from node.kernel.bound import bound
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Records, inner, new
from node.units import NS_PER_3_SAMPLES, NS_PER_MS, NS_PER_S

_EARLY_MAX_NS: Final = 50.0 * NS_PER_MS
_BEFORE_CAPTURE_MAX: Final = 3
_ROOM_NS: Final = 10.0 * NS_PER_MS
MOMENTS_NS: Final = NS_PER_S // 5
_AGEING: Final = 1e-6  # a held map drifts by 1 ppm: 10 ms after 2.8 h
_ANSWER_NS: Final = WAITED_NS + 100 * NS_PER_MS
"""An answer that is believed has come by then, though a sound card asks 0.1 s ahead."""


_BLOCK_UNDER_WAY: Final = ("block_x_ns", "block_y_ns", "block_top_x_ns", "block_top_y_ns")


def new_line(playout_delay_ns: int, own_delay_ns: int = 0) -> Records[Line]:
    """Return the state of a time base before the first packet: an array of one."""
    line = new(Line)
    line["last_ns"] = -1
    line["late"]["since_ns"] = -1
    line["steady"]["since_ns"] = -1
    line["delay_target_ns"] = playout_delay_ns
    line["own_delay_ns"] = own_delay_ns
    line["delay_ns"] = playout_delay_ns
    line["fastest_ns"] = np.inf
    line["fastest_before_ns"] = np.inf
    return line


def skew_ppm(slope: float) -> float:
    """Return the sender's clock against the node's by the slope of a line, positive is fast."""
    return -1e6 * slope / (1.0 + slope)


@inlined
def _transit_ns(line: Line, media_time_samples: int, local_ns: int) -> float:
    """Return how much later than the first packet a media time came, or was captured."""
    media = media_time_samples - line.media_anchor_samples
    return float(local_ns - line.local_anchor_ns - samples_to_ns(media))


@inner_kernel("float64(Line, int64, int64)")
def _above_line_ns(line: Line, media_time_samples: int, now_ns: int) -> float:
    """Return how much later than the line says a packet came."""
    media = media_time_samples - line.media_anchor_samples
    x_ns = float(samples_to_ns(media))
    y_ns = _transit_ns(line, media_time_samples, now_ns)
    return float(y_ns - line.intercept_ns - line.slope * (x_ns - line.origin_ns))


@inner_kernel("int64(Line, int64, int64, int64)")
def receive_packet(
    line: Line,
    media_time_samples: int,
    now_ns: int,
    is_late: int,
) -> int:
    """Take the arrival of an original packet; see `envelope.receive_packet`."""
    change = envelope.receive_packet(line, media_time_samples, now_ns, is_late)
    if line.packets <= 2:
        line.begun_ns = now_ns
    if now_ns - line.fastest_since_ns > MOMENTS_NS:
        line.fastest_since_ns = now_ns
        line.fastest_before_ns, line.fastest_ns = line.fastest_ns, np.inf
    line.fastest_ns = min(line.fastest_ns, _transit_ns(line, media_time_samples, now_ns))
    if change == PUT_ELSEWHERE and line.mode == MODE_MAP:
        # By a map that no packet agrees with none would play.
        above_ns = _above_line_ns(line, media_time_samples, now_ns)
        if above_ns >= -EARLY_NS:
            room_ns = line.delay_target_ns + line.own_delay_ns - line.late_above_ns
            # A map that was put elsewhere meanwhile says less of that than the spread of delays.
            spread_ns = line.steady_top_ns - line.steady_above_ns
            line.map_room_ns = max(0.0, room_ns, spread_ns + PERIOD_NS) + _ROOM_NS
        line.mode = MODE_ENVELOPE
    if line.mode == MODE_MAP:
        above_ns = _above_line_ns(line, media_time_samples, now_ns)
        is_before = above_ns < -(_EARLY_MAX_NS + line.map_uncertainty_ns)
        line.before_capture = line.before_capture + 1.0 if is_before else 0.0
        if line.before_capture >= _BEFORE_CAPTURE_MAX:
            line.mode = MODE_ENVELOPE  # numbers or stamps were set: until the sender says how
            change = PUT_ELSEWHERE
    if change != UNCHANGED and line.mode == MODE_ENVELOPE:
        move_line(line, line.floor_origin_ns, line.floor_intercept_ns, line.floor_slope)
    above_ns = _above_line_ns(line, media_time_samples, now_ns)
    note_delay(line.need[:], int(above_ns))
    return int(change)


@inner_kernel("void(Line)")
def leave_map(line: Line) -> None:
    """Go on by arrivals: not by a floor that no packet of these moments is near to any more."""
    if line.mode == MODE_MAP:
        line.mode = MODE_ENVELOPE
        fastest_ns = min(line.fastest_ns, line.fastest_before_ns)
        above_ns = fastest_ns - floor_ns(line, line.last_x_ns)
        if above_ns > 0.5 * line.delay_target_ns and fastest_ns < np.inf:
            line.held_ns = 0.0
            shift(line, above_ns)
        move_line(line, line.floor_origin_ns, line.floor_intercept_ns, line.floor_slope)


@inner_kernel("boolean(Line, int64, int64, float64, float64)")
def receive_map(
    line: Line,
    media_time_samples: int,
    local_ns: int,
    skew_ppm: float,
    uncertainty_ns: float,
) -> bool:
    """Take "this media time was captured at this local time"; return False when it cannot be.

    media_time_samples  unwrapped RTP timestamp
    local_ns            when it was captured, on the node's own clock
    skew_ppm            of the sender's clock against the node's, positive is fast
    uncertainty_ns      bound of the error of `local_ns`

    The first map, and one that is elsewhere, must agree with what arrives in these moments: packets
    that come before they were captured, or all after their presentation, mean that the sender's
    reports do not belong to its sound, or that its way was moved.
    """
    media = media_time_samples - line.media_anchor_samples
    x_ns = float(samples_to_ns(media))
    y_ns = _transit_ns(line, media_time_samples, local_ns)
    slope = -skew_ppm * 1e-6 / (1.0 + skew_ppm * 1e-6)
    if line.packets == 0:
        return False
    latest_ns = line.last_x_ns
    captured_ns = y_ns + slope * (latest_ns - x_ns)
    held_ns = line.intercept_ns + line.slope * (latest_ns - line.origin_ns)
    if line.mode == MODE_ENVELOPE or abs(captured_ns - held_ns) > JUMP_NS:
        room_ns = max(PERIOD_NS, line.map_room_ns)
        budget_ns = line.delay_target_ns + line.own_delay_ns - room_ns
        network_ns = min(line.fastest_ns, line.fastest_before_ns) - captured_ns
        is_early = network_ns < -(_EARLY_MAX_NS + uncertainty_ns)
        if line.mode == MODE_MAP:  # congestion is no reason to leave it
            network_ns = min(network_ns, floor_ns(line, latest_ns) - captured_ns)
        if is_early or network_ns > budget_ns:
            line.maps_refused += 1
            leave_map(line)
            return False
    if line.mode == MODE_MAP:
        carry_windows(line, held_ns - captured_ns)
    line.mode = MODE_MAP
    line.before_capture = 0.0
    line.map_ns = local_ns
    line.map_uncertainty_ns = uncertainty_ns
    move_line(line, x_ns, y_ns, slope)
    return True


@inner_kernel("boolean(Line, int64)")
def awaits_map(line: Line, presentation_ns: int) -> bool:
    """Return whether it is too early to begin by arrivals alone.

    It is never when the first packet was a fast one. One that waited in a queue is overtaken by all
    others as the queue drains: by arrivals the sound would begin at once, in the wrong place.
    """
    since_ns = presentation_ns - line.begun_ns - line.own_delay_ns
    early_ns = min(_ANSWER_NS, line.delay_target_ns * 2 // 3)
    return bool(line.mode == MODE_ENVELOPE and since_ns < early_ns)


class Timebase:
    """Media position for each instant, from arrivals and, where there is one, an exchange.

    Its state may lie `within` an array of one record, in the field `line`.
    """

    def __init__(
        self,
        playout_delay_ns: int,
        *,
        own_delay_ns: int = 0,
        within: Records[Any] | None = None,
    ) -> None:
        self._own_delay_ns = own_delay_ns
        self.line = new(Line) if within is None else inner(within, "line", Line)
        self.line[:] = new_line(playout_delay_ns, own_delay_ns)
        self._receive_packet = bound(_receive_packet, self.line)
        self._receive_map = bound(_receive_map, self.line)
        self._position_q16 = bound(_position_q16, self.line)
        self._finish_slews = bound(_finish_slews, self.line)
        self._leave_map = bound(_leave_map, self.line)
        self._needed_delay_ns = bound(needed_delay_ns, self.line["need"][0])
        # A field of an array of records is looked up by name each time: told each question.
        self._mode: NDArray[np.int64] = self.line["mode"]
        self._slope: NDArray[np.float64] = self.line["slope"]
        self._delay_ns: NDArray[np.float64] = self.line["delay_ns"]
        self._map_ns: NDArray[np.int64] = self.line["map_ns"]
        self._map_uncertainty_ns: NDArray[np.float64] = self.line["map_uncertainty_ns"]

    def reset(self) -> None:
        """Forget the sender (it restarted); the playout delay stays."""
        self.line[:] = new_line(int(self.line["delay_target_ns"][0]), self._own_delay_ns)

    def receive_packet(
        self, media_time_samples: int, now_ns: int, *, is_late: bool = False
    ) -> None:
        """Take the arrival of an original packet, a late one too, but none on probation."""
        self._receive_packet(media_time_samples, now_ns, int(is_late))

    def receive_map(
        self, media_time_samples: int, local_ns: int, skew_ppm: float, uncertainty_ns: int
    ) -> bool:
        """Take a map of sender reports and exchange; return False when it was refused."""
        uncertainty = float(uncertainty_ns)
        return bool(self._receive_map(media_time_samples, local_ns, skew_ppm, uncertainty))

    def position_q16(self, presentation_ns: int) -> int:
        """Return the media position that should leave the converter then, Q16 samples."""
        return int(self._position_q16(presentation_ns))

    def set_playout_delay(self, playout_delay_ns: int, at_ns: int) -> None:
        """Move to another playout delay from presentation time `at_ns` on, by at most 0.5 %."""
        self.line["delay_target_ns"][0] = playout_delay_ns
        self.line["delay_from_ns"][0] = at_ns

    def leave_map(self) -> None:
        """Go on by arrivals: the sender's reports are no clock to play by."""
        self._leave_map()

    def finish_slews(self, now_ns: int) -> None:
        """Take what is left of all slews at once, in a pause."""
        self._finish_slews(now_ns)

    def outermost_arrivals(self) -> NDArray[np.int64]:
        """Return the fastest and the slowest packets of the last minutes, oldest first.

        Returns
        -------
        (4, n) int64
            Media samples and arrival in ns of the fastest packet of each block of the envelope, by
            the floor that is held, and of the slowest. The last block is under way.
        """
        line = self.line
        kept = int(line["blocks"][0])
        points = np.empty((POINT_ROWS, kept + 1), np.int64)
        np.rint(line["points"][0, :, :kept], out=points[:, :kept], casting="unsafe")
        for row, name in enumerate(_BLOCK_UNDER_WAY):
            points[row, kept] = line[name][0]
        points[1::2] += points[::2] + line["local_anchor_ns"][0]
        points[::2] = (points[::2] * 3 + NS_PER_3_SAMPLES // 2) // NS_PER_3_SAMPLES
        points[::2] += line["media_anchor_samples"][0]
        return points

    @property
    def ready(self) -> bool:
        """Return whether a packet has come."""
        return bool(self.line["packets"][0] > 0)

    @property
    def mapped(self) -> bool:
        """Return whether the position rests on an exchange rather than on arrivals."""
        return bool(self._mode[0] == MODE_MAP)

    @property
    def skew_ppm(self) -> float:
        """Return the sender's clock against the node's, positive is fast."""
        return skew_ppm(float(self._slope[0]))

    @property
    def playout_delay_ns(self) -> int:
        """Return the playout delay now, on its way to what was set."""
        return round(float(self._delay_ns[0]))

    @property
    def longest_delay_ms(self) -> int:
        """Return what the playout delay may come to, with this cluster's own offset."""
        return int(self.line["delay_target_ns"][0] + abs(self._own_delay_ns)) // NS_PER_MS

    def needed_delay_ns(self, late_ratio: float) -> int:
        """Return the playout delay at which `late_ratio` of this node's packets would be late."""
        return int(self._needed_delay_ns(round(late_ratio * 1e6)))

    @property
    def held_ns(self) -> int:
        """Return by how much the fastest packets come later than the line that is held."""
        return round(float(self.line["held_ns"][0]))

    @property
    def jumps(self) -> int:
        """Return how often a correction above `JUMP_NS` was taken at once."""
        return int(self.line["jumps"][0])

    def uncertainty_ns(self, now_ns: int) -> int:
        """Return the bound of the position's error: the map's with its age, or the spread."""
        if self.mapped:
            age_ns = max(0, now_ns - int(self._map_ns[0]))
            return round(float(self._map_uncertainty_ns[0]) + _AGEING * age_ns)
        return round(float(self.line["spread_ns"][0]))


@kernel("int64(Line[::1], int64, int64, int64)")
def _receive_packet(
    lines: Records[Line], media_time_samples: int, now_ns: int, is_late: int
) -> int:
    """See `receive_packet`."""
    return receive_packet(lines[0], media_time_samples, now_ns, is_late)


@kernel("boolean(Line[::1], int64, int64, float64, float64)")
def _receive_map(
    lines: Records[Line],
    media_time_samples: int,
    local_ns: int,
    skew_ppm: float,
    uncertainty_ns: float,
) -> bool:
    """See `receive_map`."""
    return receive_map(lines[0], media_time_samples, local_ns, skew_ppm, uncertainty_ns)


@kernel("int64(Line[::1], int64)")
def _position_q16(lines: Records[Line], presentation_ns: int) -> int:
    """See `line.position_q16`."""
    return position_q16(lines[0], presentation_ns)


@kernel("void(Line[::1])")
def _leave_map(lines: Records[Line]) -> None:
    """See `leave_map`."""
    leave_map(lines[0])


@kernel("void(Line[::1], int64)")
def _finish_slews(lines: Records[Line], now_ns: int) -> None:
    """See `line.finish_slews`."""
    finish_slews(lines[0], now_ns)
