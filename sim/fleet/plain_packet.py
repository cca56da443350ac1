"""A packet as nearly all are, of a node that hears its source: next in number, and in time.

The jitter buffer takes it by the node's own short way. What the time base does is spelt out again,
as far as such a packet changes it, without what ends a block or moves a line.
"""

import numpy as np
from numpy.typing import NDArray

from node.clock.arrivals import floor_ns, widen_block
from node.clock.delay_need import note_delay
from node.clock.lateness import is_late_for_good
from node.clock.state import MODE_ENVELOPE, Line
from node.clock.timebase import MOMENTS_NS
from node.jitter.following import admit_next
from node.jitter.state import Slot
from node.kernel import inlined
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Records
from node.source.receiver import SPELL_NS
from sim.fleet.course import Course
from sim.fleet.on_stack import as_part

_admit_next = as_part(admit_next)
_floor_ns = as_part(floor_ns)
_is_late_for_good = as_part(is_late_for_good)
_widen_block = as_part(widen_block)


@inlined
def _note_arrival(
    line: Line, need: NDArray[np.int64], since_ns: int, above_ns: float, now_ns: int
) -> None:
    """Take a packet as the time base does one that comes no sooner than its floor.

    need      (NEED_SIZE,) int64, packets by their delay: of `clock.delay_need`
    since_ns  its media time after the first packet's
    above_ns  how far it is above the floor
    now_ns    its arrival
    """
    x_ns = float(since_ns)
    y_ns = float(now_ns - line.local_anchor_ns - since_ns)
    line.packets += 1
    line.step_ns = y_ns - line.newest_ns
    line.newest_ns = y_ns
    line.mode = MODE_ENVELOPE  # as it is: what is by a map is no code then
    _is_late_for_good(line, above_ns, now_ns, 0)  # it is not: `_may_change` has looked
    line.held_ns = min(line.held_ns, max(0.0, above_ns))
    _widen_block(line, x_ns, y_ns, above_ns - line.held_ns)
    line.last_x_ns = max(line.last_x_ns, x_ns)
    if now_ns - line.fastest_since_ns > MOMENTS_NS:
        line.fastest_since_ns = now_ns
        line.fastest_before_ns, line.fastest_ns = line.fastest_ns, np.inf
    line.fastest_ns = min(line.fastest_ns, y_ns)
    note_delay(need, int(y_ns - line.intercept_ns - line.slope * (x_ns - line.origin_ns)))


@inlined
def _may_change(line: Line, since_ns: int, above_ns: float) -> bool:
    """Return whether a packet may change more of the time base than `_note_arrival` does.

    It lies below the floor, ends a block, or may be the last of so many that are late.
    """
    half_ns = 0.5 * (line.delay_target_ns + line.own_delay_ns)
    is_high = line.late[0].since_ns < 0 or line.late_above_ns > half_ns
    return bool(
        above_ns < min(line.held_ns, max(0.0, above_ns))
        or float(since_ns) - line.block_start_ns >= line.block_length_ns
        or line.climbed_ns > half_ns
        or (above_ns > half_ns and is_high)
    )


@inlined
def hear(
    own: Course,
    slots: Records[Slot],
    need: NDArray[np.int64],
    sheet: NDArray[np.int64],
    number: int,
    now_ns: int,
) -> bool:
    """Take a packet if it is plain; return False, and change nothing, where it is not.

    need   (NEED_SIZE,) int64, packets by their delay: of `clock.delay_need`
    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    state, line, listener = own.jitter[0], own.line[0], own.listener[0]
    if number != own.number + 1 or now_ns - listener.last_arrival_ns > SPELL_NS:
        return False
    place = own.place + 1 if own.place + 1 < sheet.shape[1] else 0
    media = state.highest_media + state.highest_samples
    since_ns = samples_to_ns(media - line.media_anchor_samples)
    y_ns = float(now_ns - line.local_anchor_ns - since_ns)
    above_ns = y_ns - _floor_ns(line, float(since_ns))
    if _may_change(line, since_ns, above_ns):
        return False
    packet = own.packet[0]
    packet.offset = 0
    packet.length = sheet[1, place]
    packet.sequence = (state.highest_sequence + 1) & 0xFFFF
    packet.timestamp = (state.highest_timestamp + state.highest_samples) & 0xFFFF_FFFF
    packet.samples = state.highest_samples
    packet.marks = sheet[0, place]
    packet.arrival_ns = now_ns
    if _admit_next(state, slots, packet) < 0:
        return False
    _note_arrival(line, need, since_ns, above_ns, now_ns)
    listener.last_arrival_ns = now_ns
    listener.packets += 1
    own.number = number
    own.place = place
    return True
