"""A packet as nearly all are: next in number and in time, and in time to be played.

`admit` takes it by this way, in a third of the steps. What it leaves behind is what the long way
does, to every field: a test sends both the same packets.
"""

from node.jitter import state as at
from node.jitter.proof import weigh
from node.jitter.state import Jitter, Packet, Slot
from node.jitter.unwrap import advance
from node.kernel import inlined, inner_kernel
from node.kernel.record import Records

ORDINARY = at.MARKER | at.HAS_FEC
"""Marks that change nothing of where a packet goes."""


@inlined
def _is_next(state: Jitter, packet: Packet) -> bool:
    """Return whether a packet is the one after the newest, by its number, stamp and length."""
    samples = packet.samples
    return bool(
        packet.sequence == (state.highest_sequence + 1) & 0xFFFF
        and packet.timestamp == (state.highest_timestamp + samples) & 0xFFFF_FFFF
        and samples == state.highest_samples
        and packet.marks & ~ORDINARY == 0
        and packet.length >= 0
    )


@inner_kernel("int64(Jitter, Slot[::1], Packet)")
def admit_next(state: Jitter, slots: Records[Slot], packet: Packet) -> int:
    """Take a packet that follows the newest, and return its slot; of any other return -1.

    Then nothing has been done. What is to be looked at more closely is left alone too: a node that
    steers its delay, sound made up that may have been for a pause, a packet that comes too late,
    too early or beside one that reaches into it.
    """
    is_open = state.mode == at.SYNCHRONISED and state.phase != at.EMPTY
    if not is_open or state.pending_from != at.NONE or state.deviation != 0:
        return -1
    if state.highest_sequence == at.NONE or not _is_next(state, packet):
        return -1
    samples = packet.samples
    now_ns = packet.arrival_ns
    extended = state.highest_sequence + 1
    media = state.highest_media + samples
    ahead = extended - state.next_sequence
    end = media + samples - state.next_media
    if not (0 <= ahead < slots.shape[0] and samples <= end <= state.level_max):
        return -1
    slot = slots[extended & (slots.shape[0] - 1)]
    before = slots[(extended - 1) & (slots.shape[0] - 1)]
    if slot.sequence == extended or before.media + before.samples > media:
        return -1
    state.unwrapped_timestamp = packet.timestamp
    state.unwrapped_deviation = 0
    weigh(state, 1, 0, samples, samples, now_ns)
    state.probation_sequence = at.NONE
    state.unwrapped_sequence = extended
    state.unwrapped_media = media
    advance(state, extended, media, samples, now_ns)
    state.held += 1
    state.accepted += 1
    state.late_run = 0
    slot.sequence = extended
    slot.status = at.HOLDING
    slot.media = media
    slot.samples = samples
    slot.arrival_ns = now_ns
    slot.marks = packet.marks
    slot.length = packet.length
    return int(extended & (slots.shape[0] - 1))
