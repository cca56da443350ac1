"""A packet as nearly all are, of a node that hears its source: next in number, and in time.

What the jitter buffer and the time base do is spelt out again, as far as such a packet changes what
is looked at later, without what ends a block or moves a line. The rest follows at the end.
"""

import numpy as np
from numpy.typing import NDArray

from node.clock.arrivals import floor_ns, widen_block
from node.clock.delay_need import note_delay
from node.clock.lateness import is_late_for_good
from node.clock.state import Line
from node.clock.timebase import MOMENTS_NS
from node.jitter.following import ORDINARY
from node.jitter.proof import weigh
from node.jitter.state import HOLDING, Jitter, Slot
from node.jitter.unwrap import FLOOR_WINDOW_SAMPLES
from node.kernel import inlined
from node.kernel.conversions import ns_to_samples, samples_to_ns
from node.kernel.record import Records
from node.source.receiver import SPELL_NS
from node.source.state import Source
from sim.fleet.around import AT, NUMBER, nth
from sim.fleet.course import Course
from sim.fleet.on_stack import as_part

_floor_ns = as_part(floor_ns)
_is_late_for_good = as_part(is_late_for_good)
_note_delay = as_part(note_delay)
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
    line.step_ns = y_ns - line.newest_ns
    line.newest_ns = y_ns
    _is_late_for_good(line, above_ns, now_ns, 0)  # it is not: `_may_change` has looked
    line.held_ns = min(line.held_ns, max(0.0, above_ns))
    _widen_block(line, x_ns, y_ns, above_ns - line.held_ns)
    line.last_x_ns = max(line.last_x_ns, x_ns)
    if now_ns - line.fastest_since_ns > MOMENTS_NS:
        line.fastest_since_ns = now_ns
        line.fastest_before_ns, line.fastest_ns = line.fastest_ns, np.inf
    line.fastest_ns = min(line.fastest_ns, y_ns)
    _note_delay(need, int(y_ns - line.intercept_ns - line.slope * (x_ns - line.origin_ns)))


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
def _note_newest(own: Course, state: Jitter, now_ns: int) -> None:
    """Note when the newest packet came: `weigh` and `advance`, as far as it matters later."""
    samples = own.samples
    weigh(state, 1, 0, samples, samples, now_ns)
    now = ns_to_samples(now_ns)
    transit = now - own.media
    change = abs(ns_to_samples(now_ns - own.last_ns) - samples)
    state.jitter_q4 += change - ((state.jitter_q4 + 8) >> 4)
    if now - state.floor_since > FLOOR_WINDOW_SAMPLES:
        state.floor_before = state.floor_now
        state.floor_now = transit
        state.floor_since = now
    state.floor_now = min(state.floor_now, transit)


@inlined
def hear(
    own: Course,
    source: Source,
    slots: Records[Slot],
    sheet: NDArray[np.int64],
    arrivals: NDArray[np.int64],
    packet: int,
) -> bool:
    """Take a packet if it is plain; return False, and change nothing, where it is not.

    sheet     (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    arrivals  (2, n) int64, ns and counts
    packet    which of them
    """
    line, since_ns, at = source.line[0], own.since_ns, nth(packet)
    now_ns, place = arrivals[AT, at], nth(own.place)
    y_ns = float(now_ns - line.local_anchor_ns - since_ns)
    above_ns = y_ns - _floor_ns(line, float(since_ns))
    slot = slots[nth(own.sequence & (slots.shape[0] - 1))]
    is_plain = (
        (arrivals[NUMBER, at] == packet + own.apart)
        & (now_ns - own.last_ns <= SPELL_NS)
        & (own.gap >= own.gap_min)
        & (own.gap <= own.gap_max)
        & (sheet[0, place] & ~ORDINARY == 0)
        & (sheet[1, place] >= 0)
        & (slot.sequence != own.sequence)
    )
    if not is_plain or _may_change(line, since_ns, above_ns):
        return False
    _note_newest(own, source.jitter[0], now_ns)
    slot.sequence = own.sequence
    slot.status = HOLDING
    slot.media = own.media
    slot.samples = own.samples
    slot.arrival_ns = now_ns
    slot.marks = sheet[0, place]
    slot.length = sheet[1, place]
    _note_arrival(line, line.need[:], since_ns, above_ns, now_ns)
    own.last_ns = now_ns
    own.sequence += 1
    own.media += own.samples
    own.since_ns += samples_to_ns(own.samples)
    own.gap += 1
    own.place = own.place + 1 if own.place + 1 < sheet.shape[1] else 0
    return True
