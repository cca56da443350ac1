"""What a time base keeps: the line from media time to local time, and what it was found from.

`x` is media time since the anchor (the first packet) in ns by the sender's clock, `y` the transit
in ns: local time since the anchor, less x. Numbers that must be exact are whole; those that are
measured count from the anchor, so a month of uptime costs no precision.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.delay_need import NEED_SIZE
from node.kernel.record import Record, Records, nested, number, whole

MODE_ENVELOPE: Final = 0
MODE_MAP: Final = 1

POINTS_MAX: Final = 64
POINT_ROWS: Final = 4
"""x and y of the fastest packet of a block, x and y of its slowest."""
SCRATCH_SIZE: Final = POINTS_MAX // 2 * (POINTS_MAX // 2 + 1) // 2
"""Pairs of points half of them apart: their slopes are looked at together."""


class Window(Record):
    """A window in which late packets are counted."""

    since_ns: int = whole("ns", "Arrival of its first packet; -1: none is open.")
    late: int = whole("", "Late packets in it.")
    packets: int = whole("", "All packets in it.")


class Line(Record):
    """The time base of one source: which media time is due when, and how that was found."""

    packets: int = whole("", "Original packets so far.")
    media_anchor_samples: int = whole("samples", "Media time of the first packet.")
    local_anchor_ns: int = whole("ns", "Its arrival.")
    last_ns: int = whole("ns", "Latest presentation time asked for; -1 before the first.")
    delay_target_ns: int = whole("ns", "Playout delay that was asked for.")
    delay_from_ns: int = whole(
        "ns", "Presentation time from which the playout delay moves to its target."
    )
    own_delay_ns: int = whole("ns", "This cluster's own offset, positive plays later.")
    mode: int = whole("", "MODE_ENVELOPE or MODE_MAP.")
    jumps: int = whole("", "Corrections that were taken at once.")
    steps_held: int = whole("", "Times the floor rose and the line was held.")
    maps_refused: int = whole("", "Maps that did not agree with what arrives.")
    map_ns: int = whole("ns", "Local time of the last map.")
    blocks: int = whole("", "Points in use.")
    late: Records[Window] = nested(Window, "In which late packets are counted.", (1,))
    steady: Records[Window] = nested(
        Window, "A second one, which ends where the way is not steady.", (1,)
    )
    suspects: int = whole("", "Packets in a row that came impossibly early.")
    begun_ns: int = whole(
        "ns", "Arrival of the second packet, upon which the sender is asked for the time."
    )
    follows: int = whole(
        "", "1 while the line follows a floor that rose by much, until nothing is held any more."
    )
    fastest_since_ns: int = whole("ns", "Arrival of the first packet of these moments.")
    need: NDArray[np.int64] = whole("", "Histogram of `clock.delay_need`.", (NEED_SIZE,))
    origin_ns: float = number("ns", "x of a point of the line.")
    intercept_ns: float = number("ns", "Its y there.")
    slope: float = number("", "Of the line: a fast sender has a falling one.")
    delay_ns: float = number("ns", "Playout delay now, on its way to its target.")
    ahead_ns: float = number("ns", "What is played less what the line says; slewed to zero.")
    rate_ppm: float = number(
        "ppm", "Media time per local time less one, of the last step: fed forward to the servo."
    )
    map_uncertainty_ns: float = number("ns", "Bound of the last map's error.")
    floor_origin_ns: float = number("ns", "x of a point of the floor, the line of arrivals.")
    floor_intercept_ns: float = number("ns", "Its y there.")
    floor_slope: float = number("", "Of the floor.")
    held_ns: float = number("ns", "By how much the floor rose and is held down.")
    spread_ns: float = number("ns", "Median of the points above the floor.")
    block_start_ns: float = number("ns", "x at which the block under way began.")
    block_length_ns: float = number("ns", "How long it lasts.")
    block_x_ns: float = number("ns", "x of its fastest packet.")
    block_y_ns: float = number("ns", "y of that.")
    block_residual_ns: float = number("ns", "How far that is above the floor.")
    last_x_ns: float = number("ns", "x of the newest packet.")
    block_top_x_ns: float = number("ns", "x of the slowest packet of the block.")
    block_top_y_ns: float = number("ns", "y of that.")
    block_top_residual_ns: float = number("ns", "How far that is above the floor.")
    late_above_ns: float = number(
        "ns",
        "How far above the line the fastest packet of the window `late` came; where they only come"
        " later, the next one is to come.",
    )
    newest_ns: float = number("ns", "Transit of the newest packet.")
    step_ns: float = number("ns", "By how much that is longer than of the one before it.")
    window_fastest_ns: float = number("ns", "Of the fastest packet of the last window by arrivals.")
    climbed_ns: float = number(
        "ns", "By how much those rose since one did not; negative where only one did."
    )
    map_room_ns: float = number(
        "ns",
        "What a map must leave of the playout delay: less than so much was found to be too little.",
    )
    before_capture: float = number(
        "", "Packets in a row that came before they were captured, by the map."
    )
    fastest_ns: float = number(
        "ns",
        "Transit of the fastest packet of these moments: a floor may be of before the sound was"
        " moved. Infinite before the first.",
    )
    steady_above_ns: float = number(
        "ns", "How far above the line the fastest packet of the window `steady` came."
    )
    steady_top_ns: float = number("ns", "And its slowest.")
    fastest_before_ns: float = number("ns", "The fastest packet's of the moments before.")
    points: NDArray[np.float64] = number(
        "ns", "Of each block x and y of its fastest packet, then of its slowest.",
        (POINT_ROWS, POINTS_MAX),
    )  # fmt: skip
    scratch: NDArray[np.float64] = number("", "Room for fits; means nothing.", (SCRATCH_SIZE,))
