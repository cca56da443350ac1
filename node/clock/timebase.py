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
from node.clock.arrivals import (
    EARLY_NS,
    POINT_ROWS,
    POINTS_MAX,
    PUT_ELSEWHERE,
    SCRATCH_SIZE,
    UNCHANGED,
    floor_ns,
)
from node.clock.delay_need import needed_delay_ns, note_delay
from node.clock.exchange.replies import WAITED_NS
from node.clock.line import (
    BEFORE_CAPTURE,
    BEGUN_NS,
    BLOCK_TOP_X_NS,
    BLOCK_TOP_Y_NS,
    BLOCK_X_NS,
    BLOCK_Y_NS,
    DELAY_FROM_NS,
    DELAY_NS,
    DELAY_TARGET_NS,
    FASTEST_BEFORE_NS,
    FASTEST_NS,
    FASTEST_SINCE_NS,
    FLOATS,
    FLOOR_INTERCEPT_NS,
    FLOOR_ORIGIN_NS,
    FLOOR_SLOPE,
    HELD_NS,
    INTERCEPT_NS,
    INTS,
    JUMP_NS,
    JUMPS,
    LAST_NS,
    LAST_X_NS,
    LATE_ABOVE_NS,
    LATE_SINCE_NS,
    LOCAL_ANCHOR_NS,
    MAP_NS,
    MAP_ROOM_NS,
    MAP_UNCERTAINTY_NS,
    MAPS_REFUSED,
    MEDIA_ANCHOR_SAMPLES,
    MODE,
    MODE_ENVELOPE,
    MODE_MAP,
    NEED_FIRST,
    ORIGIN_NS,
    OWN_DELAY_NS,
    PACKETS,
    PERIOD_NS,
    POINTS,
    SLOPE,
    SPREAD_NS,
    STEADY_SINCE_NS,
    finish_slews,
    move_line,
    position_q16,
)
from node.kernel import inlined, kernel
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Records
from node.units import NS_PER_3_SAMPLES, NS_PER_MS, NS_PER_S

_EARLY_MAX_NS: Final = 50.0 * NS_PER_MS
_BEFORE_CAPTURE_MAX: Final = 3
_ROOM_NS: Final = 10.0 * NS_PER_MS
_MOMENTS_NS: Final = NS_PER_S // 5
_AGEING: Final = 1e-6  # a held map drifts by 1 ppm: 10 ms after 2.8 h
_ANSWER_NS: Final = WAITED_NS + 100 * NS_PER_MS
"""An answer that is believed has come by then, though a sound card asks 0.1 s ahead."""


def new_ints(playout_delay_ns: int, own_delay_ns: int = 0) -> NDArray[np.int64]:
    """Return the exact half of a time base's state: (INTS,) int64."""
    ints = np.zeros(INTS, np.int64)
    ints[LAST_NS] = -1
    ints[LATE_SINCE_NS] = -1
    ints[STEADY_SINCE_NS] = -1
    ints[DELAY_TARGET_NS] = playout_delay_ns
    ints[OWN_DELAY_NS] = own_delay_ns
    return ints


def new_floats(playout_delay_ns: int) -> NDArray[np.float64]:
    """Return the measured half of a time base's state: (FLOATS,) float64."""
    floats = np.zeros(FLOATS, np.float64)
    floats[DELAY_NS] = playout_delay_ns
    floats[FASTEST_NS] = np.inf
    floats[FASTEST_BEFORE_NS] = np.inf
    return floats


@inlined
def _transit_ns(ints: NDArray[np.int64], media_time_samples: int, local_ns: int) -> float:
    """Return how much later than the first packet a media time came, or was captured."""
    media = media_time_samples - ints[MEDIA_ANCHOR_SAMPLES]
    return float(local_ns - ints[LOCAL_ANCHOR_NS] - samples_to_ns(media))


@kernel("float64(int64[::1], float64[::1], int64, int64)")
def _above_line_ns(
    ints: NDArray[np.int64], floats: NDArray[np.float64], media_time_samples: int, now_ns: int
) -> float:
    """Return how much later than the line says a packet came."""
    media = media_time_samples - ints[MEDIA_ANCHOR_SAMPLES]
    x_ns = float(samples_to_ns(media))
    y_ns = _transit_ns(ints, media_time_samples, now_ns)
    return float(y_ns - floats[INTERCEPT_NS] - floats[SLOPE] * (x_ns - floats[ORIGIN_NS]))


@kernel("int64(int64[::1], float64[::1], float64[:, ::1], float64[::1], int64, int64, int64)")
def receive_packet(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
    media_time_samples: int,
    now_ns: int,
    is_late: int,
) -> int:
    """Take the arrival of an original packet; see `envelope.receive_packet`.

    ints     (INTS,) int64, state: units by the fields' names
    floats   (FLOATS,) float64, state: units by the fields' names
    points   (POINT_ROWS, POINTS_MAX) float64, ns, state
    scratch  (SCRATCH_SIZE,) float64, ns, scratch
    """
    change = envelope.receive_packet(
        ints, floats, points, scratch, media_time_samples, now_ns, is_late
    )
    if ints[PACKETS] <= 2:
        ints[BEGUN_NS] = now_ns
    if now_ns - ints[FASTEST_SINCE_NS] > _MOMENTS_NS:
        ints[FASTEST_SINCE_NS] = now_ns
        floats[FASTEST_BEFORE_NS], floats[FASTEST_NS] = floats[FASTEST_NS], np.inf
    floats[FASTEST_NS] = min(floats[FASTEST_NS], _transit_ns(ints, media_time_samples, now_ns))
    if change == PUT_ELSEWHERE and ints[MODE] == MODE_MAP:
        # By a map that no packet agrees with none would play.
        above_ns = _above_line_ns(ints, floats, media_time_samples, now_ns)
        if above_ns >= -EARLY_NS:
            room_ns = ints[DELAY_TARGET_NS] + ints[OWN_DELAY_NS] - floats[LATE_ABOVE_NS]
            floats[MAP_ROOM_NS] = max(0.0, room_ns) + _ROOM_NS
        ints[MODE] = MODE_ENVELOPE
    if ints[MODE] == MODE_MAP:
        above_ns = _above_line_ns(ints, floats, media_time_samples, now_ns)
        is_before = above_ns < -(_EARLY_MAX_NS + floats[MAP_UNCERTAINTY_NS])
        floats[BEFORE_CAPTURE] = floats[BEFORE_CAPTURE] + 1.0 if is_before else 0.0
        if floats[BEFORE_CAPTURE] >= _BEFORE_CAPTURE_MAX:
            ints[MODE] = MODE_ENVELOPE  # numbers or stamps were set: until the sender says how
            change = PUT_ELSEWHERE
    if change != UNCHANGED and ints[MODE] == MODE_ENVELOPE:
        move_line(
            ints, floats, floats[FLOOR_ORIGIN_NS], floats[FLOOR_INTERCEPT_NS], floats[FLOOR_SLOPE]
        )
    above_ns = _above_line_ns(ints, floats, media_time_samples, now_ns)
    note_delay(ints[NEED_FIRST:], int(above_ns))
    return int(change)


@kernel("boolean(int64[::1], float64[::1], int64, int64, float64, float64)")
def receive_map(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    media_time_samples: int,
    local_ns: int,
    skew_ppm: float,
    uncertainty_ns: float,
) -> bool:
    """Take "this media time was captured at this local time"; return False when it cannot be.

    ints                (INTS,) int64, state: units by the fields' names
    floats              (FLOATS,) float64, state: units by the fields' names
    media_time_samples  unwrapped RTP timestamp
    local_ns            when it was captured, on the node's own clock
    skew_ppm            of the sender's clock against the node's, positive is fast
    uncertainty_ns      bound of the error of `local_ns`

    The first map, and one that is elsewhere, must agree with what arrives in these moments: packets
    that come before they were captured, or all after their presentation, mean that the sender's
    reports do not belong to its sound, or that its way was moved.
    """
    media = media_time_samples - ints[MEDIA_ANCHOR_SAMPLES]
    x_ns = float(samples_to_ns(media))
    y_ns = _transit_ns(ints, media_time_samples, local_ns)
    slope = -skew_ppm * 1e-6 / (1.0 + skew_ppm * 1e-6)
    if ints[PACKETS] == 0:
        return False
    latest_ns = floats[LAST_X_NS]
    captured_ns = y_ns + slope * (latest_ns - x_ns)
    held_ns = floats[INTERCEPT_NS] + floats[SLOPE] * (latest_ns - floats[ORIGIN_NS])
    if ints[MODE] == MODE_ENVELOPE or abs(captured_ns - held_ns) > JUMP_NS:
        room_ns = max(PERIOD_NS, floats[MAP_ROOM_NS])
        budget_ns = ints[DELAY_TARGET_NS] + ints[OWN_DELAY_NS] - room_ns
        network_ns = min(floats[FASTEST_NS], floats[FASTEST_BEFORE_NS]) - captured_ns
        is_early = network_ns < -(_EARLY_MAX_NS + uncertainty_ns)
        if ints[MODE] == MODE_MAP:  # congestion is no reason to leave it
            network_ns = min(network_ns, floor_ns(floats, latest_ns) - captured_ns)
        if is_early or network_ns > budget_ns:
            ints[MAPS_REFUSED] += 1
            if ints[MODE] == MODE_MAP:
                ints[MODE] = MODE_ENVELOPE
                move_line(
                    ints, floats, floats[FLOOR_ORIGIN_NS], floats[FLOOR_INTERCEPT_NS],
                    floats[FLOOR_SLOPE],
                )  # fmt: skip
            return False
    ints[MODE] = MODE_MAP
    floats[BEFORE_CAPTURE] = 0.0
    ints[MAP_NS] = local_ns
    floats[MAP_UNCERTAINTY_NS] = uncertainty_ns
    move_line(ints, floats, x_ns, y_ns, slope)
    return True


@kernel("boolean(int64[::1], int64)")
def awaits_map(ints: NDArray[np.int64], presentation_ns: int) -> bool:
    """Return whether it is too early to begin by arrivals alone.

    ints  (INTS,) int64, state: units by the fields' names

    It is never when the first packet was a fast one. One that waited in a queue is overtaken by all
    others as the queue drains: by arrivals the sound would begin at once, in the wrong place.
    """
    since_ns = presentation_ns - ints[BEGUN_NS] - ints[OWN_DELAY_NS]
    early_ns = min(_ANSWER_NS, ints[DELAY_TARGET_NS] * 2 // 3)
    return bool(ints[MODE] == MODE_ENVELOPE and since_ns < early_ns)


class Timebase:
    """Media position for each instant, from arrivals and, where there is one, an exchange.

    Its arrays may lie `within` an array of one record: fields points, scratch, ints, floats.
    """

    def __init__(
        self,
        playout_delay_ns: int,
        *,
        own_delay_ns: int = 0,
        within: Records[Any] | None = None,
    ) -> None:
        self._own_delay_ns = own_delay_ns
        if within is None:
            self.points = np.zeros((POINT_ROWS, POINTS_MAX), np.float64)
            self.scratch = np.zeros(SCRATCH_SIZE, np.float64)
            self.ints = np.zeros(INTS, np.int64)
            self.floats = np.zeros(FLOATS, np.float64)
        else:
            self.points, self.scratch = within["points"][0], within["scratch"][0]
            self.ints, self.floats = within["ints"][0], within["floats"][0]
        self.ints[:] = new_ints(playout_delay_ns, own_delay_ns)
        self.floats[:] = new_floats(playout_delay_ns)

    def reset(self) -> None:
        """Forget the sender (it restarted); the playout delay stays."""
        delay_ns = int(self.ints[DELAY_TARGET_NS])
        self.ints[:] = new_ints(delay_ns, self._own_delay_ns)
        self.floats[:] = new_floats(delay_ns)

    def receive_packet(
        self, media_time_samples: int, now_ns: int, *, is_late: bool = False
    ) -> None:
        """Take the arrival of an original packet, a late one too, but none on probation."""
        receive_packet(
            self.ints, self.floats, self.points, self.scratch, media_time_samples, now_ns,
            int(is_late),
        )  # fmt: skip

    def receive_map(
        self, media_time_samples: int, local_ns: int, skew_ppm: float, uncertainty_ns: int
    ) -> bool:
        """Take a map of sender reports and exchange; return False when it was refused."""
        uncertainty = float(uncertainty_ns)
        arrays = (self.ints, self.floats)
        return bool(receive_map(*arrays, media_time_samples, local_ns, skew_ppm, uncertainty))

    def position_q16(self, presentation_ns: int) -> int:
        """Return the media position that should leave the converter then, Q16 samples."""
        return int(position_q16(self.ints, self.floats, presentation_ns))

    def set_playout_delay(self, playout_delay_ns: int, at_ns: int) -> None:
        """Move to another playout delay from presentation time `at_ns` on, by at most 0.5 %."""
        self.ints[DELAY_TARGET_NS] = playout_delay_ns
        self.ints[DELAY_FROM_NS] = at_ns

    def finish_slews(self, now_ns: int) -> None:
        """Take what is left of all slews at once, in a pause."""
        finish_slews(self.ints, self.floats, now_ns)

    def outermost_arrivals(self) -> NDArray[np.int64]:
        """Return the fastest and the slowest packets of the last minutes, oldest first.

        Returns
        -------
        (4, n) int64
            Media samples and arrival in ns of the fastest packet of each block of the envelope, by
            the floor that is held, and of the slowest. The last block is under way.
        """
        kept = int(self.ints[POINTS])
        points = np.empty((POINT_ROWS, kept + 1), np.int64)
        np.rint(self.points[:, :kept], out=points[:, :kept], casting="unsafe")
        points[:2, kept] = self.floats[BLOCK_X_NS : BLOCK_Y_NS + 1]
        points[2:, kept] = self.floats[BLOCK_TOP_X_NS : BLOCK_TOP_Y_NS + 1]
        points[1::2] += points[::2] + self.ints[LOCAL_ANCHOR_NS]
        points[::2] = (points[::2] * 3 + NS_PER_3_SAMPLES // 2) // NS_PER_3_SAMPLES
        points[::2] += self.ints[MEDIA_ANCHOR_SAMPLES]
        return points

    @property
    def ready(self) -> bool:
        """Return whether a packet has come."""
        return bool(self.ints[PACKETS] > 0)

    @property
    def mapped(self) -> bool:
        """Return whether the position rests on an exchange rather than on arrivals."""
        return bool(self.ints[MODE] == MODE_MAP)

    @property
    def skew_ppm(self) -> float:
        """Return the sender's clock against the node's, positive is fast."""
        slope = float(self.floats[SLOPE])
        return -1e6 * slope / (1.0 + slope)

    @property
    def playout_delay_ns(self) -> int:
        """Return the playout delay now, on its way to what was set."""
        return round(float(self.floats[DELAY_NS]))

    @property
    def longest_delay_ms(self) -> int:
        """Return what the playout delay may come to, with this cluster's own offset."""
        return int(self.ints[DELAY_TARGET_NS] + abs(self._own_delay_ns)) // NS_PER_MS

    def needed_delay_ns(self, late_ratio: float) -> int:
        """Return the playout delay at which `late_ratio` of this node's packets would be late."""
        return int(needed_delay_ns(self.ints[NEED_FIRST:], round(late_ratio * 1e6)))

    @property
    def held_ns(self) -> int:
        """Return by how much the fastest packets come later than the line that is held."""
        return round(float(self.floats[HELD_NS]))

    @property
    def jumps(self) -> int:
        """Return how often a correction above `JUMP_NS` was taken at once."""
        return int(self.ints[JUMPS])

    def uncertainty_ns(self, now_ns: int) -> int:
        """Return the bound of the position's error: the map's with its age, or the spread."""
        if self.mapped:
            age_ns = max(0, now_ns - int(self.ints[MAP_NS]))
            return round(float(self.floats[MAP_UNCERTAINTY_NS]) + _AGEING * age_ns)
        return round(float(self.floats[SPREAD_NS]))
