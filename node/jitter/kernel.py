"""The jitter buffer's state machine: packets in by `insert`, chunks of output out by `pull`.

One function set for the node, the simulator and the fleet; `node.jitter.state` names the places
in the arrays. Nothing here allocates, raises, or looks at more slots than a hole is long.

::

    insert ──► unwrap (RFC 3550, A.1) ──► place ──► slots
                                                      │ seek: WAITING ──► PLAYING
    pull ◄── play │ FEC │ conceal, fade, silence │ pause ◄── first held packet from next_media on
"""

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.adaptive import pull_adaptive
from node.jitter.chunks import CHUNK_SAMPLES, PAUSED, emit, fill_hole, make_up, next_held, play
from node.jitter.following import admit_next
from node.jitter.ledger import miss, settle
from node.jitter.placement import find_repaired, place, restart
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.jitter.unwrap import unwrap
from node.kernel import inner_kernel
from node.kernel.conversions import ns_to_samples
from node.kernel.record import Records
from node.units import PACKET_SAMPLES_MAX, SAMPLES_PER_10_MS

__all__ = ["admit", "admit_any", "insert", "level_samples", "note_other", "pull", "seek", "settle"]


_EMPTY_REACH = 64
"""A packet without sound is noted up to so many numbers after the newest; one of another payload
type also before it."""


@inner_kernel("int64(Jitter, Steering, Slot[::1], Packet)")
def admit_any(state: Jitter, steering: Steering, slots: Records[Slot], packet: Packet) -> int:
    """Take one packet, whatever it is: what `admit` does with all but ordinary ones."""
    # Read once: what is written below may lie anywhere, so each further look would be a load.
    sequence = packet.sequence
    timestamp = packet.timestamp
    samples = packet.samples
    length = packet.length
    flags = packet.marks
    now_ns = packet.arrival_ns
    if samples <= 0 or samples > PACKET_SAMPLES_MAX or length < 0:
        return at.UNFIT
    restarted = False
    if flags & (at.REDUNDANT | at.RETRANSMITTED):
        if find_repaired(state, slots, sequence, timestamp, flags) == 0:
            return at.UNFIT
    else:
        verdict = unwrap(state, slots, packet)
        if verdict == at.PROBATION:
            state.on_probation += 1
            return at.PROBATION
        restarted = verdict == at.RESTARTED
        if restarted:
            restart(state, steering, slots)
    slot = place(state, steering, slots, samples, flags, now_ns)
    if slot < 0:
        return slot
    slots[slot].length = length
    return at.RESTARTED if restarted else slot


@inner_kernel("int64(Jitter, Steering, Slot[::1], Packet)")
def admit(state: Jitter, steering: Steering, slots: Records[Slot], packet: Packet) -> int:
    """Take one packet without its payload; return its slot, or a negative reason."""
    slot = admit_next(state, slots, packet)
    return slot if slot >= 0 else admit_any(state, steering, slots, packet)


@inner_kernel("int64(Jitter, Steering, Slot[::1], uint8[:, ::1], uint8[::1], Packet)")
def insert(
    state: Jitter,
    steering: Steering,
    slots: Records[Slot],
    payloads: NDArray[np.uint8],
    data: NDArray[np.uint8],
    packet: Packet,
) -> int:
    """Take one packet; return its slot, or a negative reason (`state.DUPLICATE` and on).

    payloads  (slots, PAYLOAD_BYTES_MAX) uint8, bytes of what is held
    data      (bytes,) uint8, the datagram
    packet    what of it is to be inserted
    """
    length = packet.length
    offset = packet.offset
    width = payloads.shape[1]
    if width > 0 and (length > width or offset < 0 or offset + length > data.shape[0]):
        return at.UNFIT
    result = admit(state, steering, slots, packet)
    if width > 0 and (result >= 0 or result == at.RESTARTED):
        slot = state.unwrapped_sequence & (slots.shape[0] - 1)
        for i in range(length):
            payloads[slot, i] = data[offset + i]
    return int(result)


@inner_kernel("void(Jitter, Slot[::1], int64)")
def note_empty(state: Jitter, slots: Records[Slot], sequence: int) -> None:
    """Note that a packet without sound came, so that nobody counts or misses its number.

    It takes no time, so that what follows it in number follows the packet before it in time.
    """
    step = (sequence - state.highest_sequence) & 0xFFFF
    if state.highest_sequence == at.NONE or not 0 < step <= _EMPTY_REACH:
        return
    extended = state.highest_sequence + step
    row = extended & (slots.shape[0] - 1)
    if slots[row].status == at.HOLDING:
        return
    slots[row].sequence = extended
    slots[row].status = at.CAME_LATE
    state.highest_sequence = extended
    if state.next_sequence == extended:
        state.next_sequence = extended + 1
        state.floor_sequence = extended + 1


@inner_kernel("void(Jitter, Slot[::1], int64)")
def note_other(state: Jitter, slots: Records[Slot], sequence: int) -> None:
    """Note that a packet of another payload type came: parity, a tone, a probe.

    It may have its number from the same count as the sound, which then misses none there. One
    under whose number there is sound as well counts by itself, and so do all after it.
    """
    step = ((sequence - state.highest_sequence + 0x8000) & 0xFFFF) - 0x8000
    if state.highest_sequence == at.NONE or state.others < 0 or abs(step) > _EMPTY_REACH:
        return
    extended = state.highest_sequence + step
    slot = slots[extended & (slots.shape[0] - 1)]
    is_known = slot.sequence == extended
    if is_known and at.FREE < slot.status < at.MISSED:
        state.others = -1
        return
    is_open = slot.status != at.HOLDING and extended >= state.next_sequence
    if is_known and slot.status == at.MISSED:
        state.lost -= 1
    elif not is_open or is_known:
        return
    slot.sequence = extended
    slot.status = at.OTHERS
    state.others += 1


@inner_kernel("int64(Jitter, Steering, Slot[::1], int64, int64)")
def pull(
    state: Jitter,
    steering: Steering,
    slots: Records[Slot],
    now_ns: int,
    buffered_samples: int,
) -> int:
    """Decide the next chunk of output; return its action (`state.PLAY` and on).

    now_ns            when it is decided
    buffered_samples  decoded and not yet played

    action_samples, action_origin, action_media, action_arrival_ns and action_slot say the rest.
    Before the first `seek` it is a PAUSE that does not move.
    """
    state.action_stretch_samples = 0
    state.action_media = state.next_media
    state.action_arrival_ns = -1
    state.action_slot = -1
    state.action_hole = 0
    if state.mode == at.ADAPTIVE:
        now = ns_to_samples(now_ns)
        return pull_adaptive(state, steering, slots, now + buffered_samples, now)
    if state.phase != at.PLAYING:
        return emit(state, at.PAUSE, SAMPLES_PER_10_MS, PAUSED)
    expected = state.next_sequence & (slots.shape[0] - 1)
    is_plain = (
        slots[expected].status == at.HOLDING
        and slots[expected].sequence == state.next_sequence
        and slots[expected].media == state.next_media
    )
    if is_plain:
        return play(state, slots, state.next_sequence)
    extended = next_held(state, slots)
    if extended == at.NONE:
        return make_up(state, min(state.last_samples, CHUNK_SAMPLES), 1)
    if slots[extended & (slots.shape[0] - 1)].media == state.next_media:
        return play(state, slots, extended)
    return fill_hole(state, slots, extended)


@inner_kernel("void(Jitter, Slot[::1], int64)")
def seek(state: Jitter, slots: Records[Slot], media_time: int) -> None:
    """Start, or resynchronise hard: the next chunk is at `media_time`.

    Inside a held packet it is at that packet's start (read next_media afterwards): the caller
    drops what lies before. Older packets are flushed and counted.
    """
    if state.phase == at.EMPTY:
        return
    settle(state, 0)
    first = at.NONE
    for row in range(slots.shape[0]):
        if slots[row].status != at.HOLDING:
            continue
        if slots[row].media + slots[row].samples <= media_time:
            slots[row].status = at.PLAYED
            state.held -= 1
            state.flushed += 1
        elif first == at.NONE or slots[row].sequence < first:
            first = slots[row].sequence
    state.next_media = media_time
    following = state.highest_sequence + 1 if first == at.NONE else first
    miss(state, slots, following)
    state.next_sequence = following
    if first != at.NONE:
        start = slots[first & (slots.shape[0] - 1)].media
        state.next_media = min(media_time, start)
    state.phase = at.PLAYING
    state.last_end = state.next_media
    state.late_run = 0
    state.concealed_run = state.conceal_max + state.fade


@inner_kernel("int64(Jitter, Slot[::1])")
def level_samples(state: Jitter, slots: Records[Slot]) -> int:
    """Return the media held ahead of the position without a hole, in samples."""
    mask = slots.shape[0] - 1
    end = state.next_media
    if state.phase != at.PLAYING:
        end = slots[state.next_sequence & mask].media
    begin = end
    for extended in range(state.next_sequence, state.next_sequence + slots.shape[0]):
        row = extended & mask
        is_next = slots[row].sequence == extended
        if is_next and slots[row].status == at.OTHERS:
            continue
        if not is_next or slots[row].status != at.HOLDING or slots[row].media != end:
            break
        end += slots[row].samples
    return int(end - begin)
