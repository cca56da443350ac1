"""What is gone on with from packet to packet, in registers; what follows from it, at the end."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import Origin
from node.kernel import inlined
from node.kernel.conversions import samples_to_ns
from node.kernel.record import Record, whole
from node.source.state import Source
from sim.fleet.on_stack import room_of
from sim.fleet.state import Listener

_RECEIVED: Final = int(Origin.RECEIVED)


class Course(Record):
    """Where plain packets and periods are.

    What follows from how many packets came and were played is only found in `lay_down`; all else
    that they change is in the node's own records.
    """

    ssrc: int = whole("", "Of the source.")
    samples: int = whole("samples", "Of each packet.")
    first: int = whole("", "Of the arrivals, the next one as it was taken up, ...")
    apart: int = whole("", "... and by how much its number is more.")
    first_row: int = whole("", "Of the journal, the next one then...")
    row: int = whole("", "... and now.")
    place: int = whole("", "Of the next packet in the sheet.")
    sequence: int = whole("", "Its extended sequence number.")
    media: int = whole("samples", "Its media time, ...")
    since_ns: int = whole("ns", "... after the first packet's.")
    last_ns: int = whole("ns", "When the newest packet came.")
    gap: int = whole("", "Packets from the next one to play to the next one to come...")
    gap_min: int = whole("", "... at least, or that is late...")
    gap_max: int = whole("", "... and at most, or it has no room.")
    next_media: int = whole("samples", "Media time of the next packet to play.")
    held_media: int = whole("samples", "Packets are held up to this media time...")
    is_whole: int = whole("", "... and, if 1, on to the newest.")


new_course = room_of(Course)


@inlined
def take_up(
    own: Course, source: Source, listener: Listener, packet: int, number: int, packets: int
) -> None:
    """Begin where a node is; the arrival `packet` is the next, of that number.

    packets  of the sound
    """
    state, line = source.jitter[0], source.line[0]
    samples = state.highest_samples
    own.ssrc = source.ssrc
    own.samples = samples
    own.first, own.apart, own.first_row = packet, number - packet, listener.rows
    own.row = listener.rows
    own.place = number % packets
    own.sequence = state.highest_sequence + 1
    own.media = state.highest_media + samples
    own.since_ns = samples_to_ns(own.media - line.media_anchor_samples)
    own.last_ns = state.highest_arrival_ns
    own.gap = own.sequence - state.next_sequence
    offset = own.media - state.next_media - own.gap * samples
    own.gap_min = max(0, -(offset // samples))
    own.gap_max = min(source.slot_count, (state.level_max - offset) // samples) - 1
    own.next_media = state.next_media
    own.held_media, own.is_whole = state.next_media, 0


@inlined
def lay_down(
    own: Course, source: Source, listener: Listener, sheet: NDArray[np.int64], packet: int
) -> None:
    """Let the node be where it came, with all that follows; the arrival `packet` is the next.

    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    came, played = packet - own.first, own.row - own.first_row
    if came > 0:
        _note_newest(own, source, listener, sheet, came)
    if played > 0:
        _note_played(own, source, played)
    source.jitter[0].held += came - played
    listener.rows = own.row


@inlined
def _note_newest(
    own: Course, source: Source, listener: Listener, sheet: NDArray[np.int64], came: int
) -> None:
    """Note what `came` packets leave, where the last of them counts."""
    state, packet, samples = source.jitter[0], source.packet[0], own.samples
    place = own.place - 1 if own.place > 0 else sheet.shape[1] - 1
    packet.offset = 0
    packet.length = sheet[1, place]
    packet.sequence = (own.sequence - 1) & 0xFFFF
    packet.timestamp = (state.highest_timestamp + came * samples) & 0xFFFF_FFFF
    packet.samples = samples
    packet.marks = sheet[0, place]
    packet.arrival_ns = own.last_ns
    state.highest_sequence = own.sequence - 1
    state.unwrapped_sequence = own.sequence - 1
    state.highest_media = own.media - samples
    state.unwrapped_media = own.media - samples
    state.highest_timestamp = packet.timestamp
    state.unwrapped_timestamp = packet.timestamp
    state.highest_arrival_ns = own.last_ns
    state.unwrapped_deviation = 0
    state.accepted += came
    state.late_run = 0
    source.line[0].packets += came
    listener.last_arrival_ns = own.last_ns
    listener.packets += came


@inlined
def _note_played(own: Course, source: Source, played: int) -> None:
    """Note what `played` packets leave in the jitter buffer, likewise."""
    state, samples = source.jitter[0], own.samples
    state.next_sequence += played
    row = (state.next_sequence - 1) & (source.slot_count - 1)
    state.action_stretch_samples = 0
    state.action_media = own.next_media - samples
    state.action_hole = 0
    state.action_slot = row
    state.action_arrival_ns = source.slots[row].arrival_ns
    state.action_samples = samples
    state.action_origin = _RECEIVED
    state.origin_samples[_RECEIVED] += played * samples
    state.floor_sequence = state.next_sequence
    state.next_media = own.next_media
    state.last_end = own.next_media
