"""Where an arrived packet goes: into its slot, or by name out of the door."""

import numpy as np
from numpy.typing import NDArray

from node.jitter import state as at
from node.jitter.ledger import book_late, end_wait, pass_by, prove, settle
from node.jitter.proof import reset_proof
from node.jitter.target_level import observe, target_delay
from node.jitter.unwrap import advance, difference_32
from node.kernel import inlined, kernel

_MISORDER_MAX = 100
"""After a hole as long as the buffer, so many numbers before the newest may still come (as
MAX_MISORDER of RFC 3550, A.1)."""

_COPY_REACH = 32
"""An RFC 2198 copy belongs to one of so many packets before its carrier."""


@kernel("int64(int64[::1], int64[:, ::1], int64, int64, int64)")
def find_repaired(
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    sequence: int,
    timestamp: int,
    flags: int,
) -> int:
    """Write the unwrapped sequence number and media time of a repair; return 0 if it fits nowhere.

    A retransmission knows its own number (RFC 4588, OSN). An RFC 2198 copy knows only its time:
    its number is the one before its carrier's that agrees with the packets around it.
    """
    highest = state[at.HIGHEST_SEQUENCE]
    if highest == at.NONE:
        return 0
    ahead = (sequence - highest) & 0xFFFF
    extended = highest + (ahead if ahead < 0x8000 else ahead - 0x10000)
    media_step = difference_32(timestamp, state[at.HIGHEST_TIMESTAMP])
    media = state[at.HIGHEST_MEDIA] + state[at.DEVIATION] + media_step
    state[at.UNWRAPPED_MEDIA] = media
    state[at.UNWRAPPED_SEQUENCE] = extended
    if abs(extended - highest) >= slots.shape[0]:
        return 0
    if flags & at.RETRANSMITTED:
        # It may overtake the packets sent after it, when those are lost too.
        return 1 if (media_step > 0) == (extended > highest) else 0
    mask = slots.shape[0] - 1
    carrier = slots[extended & mask]
    if carrier[at.SLOT_SEQUENCE] != extended or media >= carrier[at.SLOT_MEDIA]:
        return 0
    for one in range(extended - 1, extended - 1 - _COPY_REACH, -1):
        row = one & mask
        known = slots[row, at.SLOT_SEQUENCE] == one and slots[row, at.SLOT_STATUS] in (
            at.HOLDING,
            at.PLAYED,
        )
        if known and slots[row, at.SLOT_MEDIA] < media:
            # It came between this packet and the next known one: count back from that one.
            steps = (media - slots[row, at.SLOT_MEDIA]) // max(1, slots[row, at.SLOT_SAMPLES])
            state[at.UNWRAPPED_SEQUENCE] = one + max(1, steps)
            return 1 if one + max(1, steps) < extended else 0
        if known and slots[row, at.SLOT_MEDIA] == media:
            state[at.UNWRAPPED_SEQUENCE] = one
            return 1
    return 0


@kernel("void(int64[::1], int64[:, ::1])")
def restart(state: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
    """Forget all packets: the sender started anew. What was pending was its pause."""
    settle(state, 1)
    state[at.C_FLUSHED] += state[at.HELD]
    state[at.C_RESTARTS] += 1
    state[at.GENERATION] += 1
    state[at.HELD] = 0
    state[at.LATE_RUN] = 0
    state[at.PHASE] = at.EMPTY
    state[at.FLOOR_SEQUENCE] = at.NONE
    if state[at.MODE] == at.ADAPTIVE:
        state[at.A_REFERENCE] = at.NONE
    state[at.PROBATION_SEQUENCE] = at.NONE
    state[at.HIGHEST_ARRIVAL_NS] = at.NONE
    state[at.HIGHEST_SEQUENCE] = at.NONE
    reset_proof(state)
    slots[:, at.SLOT_SEQUENCE] = at.NONE
    slots[:, at.SLOT_STATUS] = at.FREE


@kernel("int64(int64[::1], int64[:, ::1])")
def first_held(state: NDArray[np.int64], slots: NDArray[np.int64]) -> int:
    """Return the lowest extended sequence number held, or NONE."""
    if state[at.HELD] == 0:
        return at.NONE
    mask = slots.shape[0] - 1
    for extended in range(state[at.NEXT_SEQUENCE], state[at.NEXT_SEQUENCE] + slots.shape[0]):
        row = extended & mask
        if slots[row, at.SLOT_STATUS] == at.HOLDING and slots[row, at.SLOT_SEQUENCE] == extended:
            return int(extended)
    return at.NONE


@kernel("int64(int64[::1], int64[:, ::1], int64)")
def _first_to_keep(state: NDArray[np.int64], slots: NDArray[np.int64], newest: int) -> int:
    """Return the lowest number worth keeping open when `newest` must be held."""
    if state[at.HELD] > 0:
        return first_held(state, slots)
    return int(max(state[at.NEXT_SEQUENCE], newest - min(_MISORDER_MAX, slots.shape[0] // 2)))


@inlined
def _skip_silence(state: NDArray[np.int64], media: int, now_ns: int) -> None:
    """Go to where a packet at `media`, which is far ahead of what is played, is due in time.

    Nothing is held, so nothing is jumped over but silence: by waiting for it to pass as long as
    the sender's numbers say, a node would throw away all that comes meanwhile.
    """
    now = now_ns * 3 // 62_500
    position = now - state[at.A_REFERENCE] - target_delay(state, now)
    state[at.NEXT_MEDIA] = max(state[at.NEXT_MEDIA], min(media, position))


@kernel("int64(int64[::1], int64[:, ::1], int64, int64, int64)")
def _too_late_or_early(
    state: NDArray[np.int64], slots: NDArray[np.int64], samples: int, flags: int, now_ns: int
) -> int:
    """Return 0 for a packet that can be held, else LATE or EARLY, counted."""
    extended = state[at.UNWRAPPED_SEQUENCE]
    media = state[at.UNWRAPPED_MEDIA]
    is_playing = state[at.PHASE] == at.PLAYING
    is_waited_for = state[at.MODE] == at.ADAPTIVE and state[at.PENDING_FROM] != at.NONE
    position = state[at.PENDING_FROM] if is_waited_for else state[at.NEXT_MEDIA]
    if is_waited_for and media + samples - position > state[at.LEVEL_MAX]:
        # What was waited for is lost, or the sender paused for longer than may be held: go on
        # with what has come.
        first, begin = extended, media
        if state[at.HELD] > 0 and first_held(state, slots) < extended:
            first = first_held(state, slots)
            begin = slots[first & (slots.shape[0] - 1), at.SLOT_MEDIA]
        end_wait(state, first, begin)
        position = state[at.NEXT_MEDIA]
    is_far = is_playing and media + samples - position > state[at.LEVEL_MAX]
    if is_far and state[at.MODE] == at.ADAPTIVE and state[at.HELD] == 0:
        _skip_silence(state, media, now_ns)
        position = state[at.NEXT_MEDIA]
    if is_playing and (media < position or extended < state[at.FLOOR_SEQUENCE]):
        # A repair that misses its time says nothing of when the stream comes.
        state[at.LATE_RUN] += 0 if flags & (at.REDUNDANT | at.RETRANSMITTED) else 1
        if extended >= state[at.NEXT_SEQUENCE] and state[at.HELD] == 0 and not flags & at.REDUNDANT:
            if state[at.PENDING_FROM] != at.NONE:
                prove(state, extended, media, samples)
            pass_by(state, slots, extended)
            state[at.NEXT_SEQUENCE] = extended + 1
            state[at.FLOOR_SEQUENCE] = extended + 1
            state[at.LAST_END] = media + samples
            state[at.LAST_SAMPLES] = samples
        book_late(state, slots, extended, flags)
        return at.LATE
    capacity = slots.shape[0]
    is_far = is_playing and media + samples - position > state[at.LEVEL_MAX]
    if extended < state[at.NEXT_SEQUENCE]:
        # Nothing has played yet since the start or the last seek, and the first packet that
        # came need not be the lowest one.
        is_far = state[at.HIGHEST_SEQUENCE] + 1 - extended > capacity or is_far
        if not is_far:
            state[at.NEXT_SEQUENCE] = extended
            if not is_playing:
                state[at.LAST_END] = media
    elif extended - state[at.NEXT_SEQUENCE] >= capacity and not is_far:
        # A hole as long as the buffer: give up what cannot be repaired any more.
        pass_by(state, slots, _first_to_keep(state, slots, extended))
        is_far = extended - state[at.NEXT_SEQUENCE] >= capacity
    if not is_far:
        return 0
    if not flags & at.REDUNDANT:
        state[at.C_EARLY] += 1
    return at.EARLY


@kernel("void(int64[::1], int64[:, ::1], int64)")
def _abut(state: NDArray[np.int64], slots: NDArray[np.int64], extended: int) -> None:
    """Let a packet that reaches into the next one begin earlier by as much.

    The first packet of an encoder holds its look-ahead. GStreamer's timestamps leave that out, so
    that the second packet begins 13.5 ms after the first; both are to be decoded and played whole.
    """
    row = extended & (slots.shape[0] - 1)
    after = slots[(extended + 1) & (slots.shape[0] - 1)]
    if slots[row, at.SLOT_SEQUENCE] != extended or after[at.SLOT_SEQUENCE] != extended + 1:
        return
    if slots[row, at.SLOT_STATUS] != at.HOLDING or after[at.SLOT_STATUS] != at.HOLDING:
        return
    begin = after[at.SLOT_MEDIA] - slots[row, at.SLOT_SAMPLES]
    is_open = state[at.PHASE] != at.PLAYING or begin >= state[at.NEXT_MEDIA]
    if slots[row, at.SLOT_MEDIA] > begin and is_open:
        slots[row, at.SLOT_MEDIA] = begin


@kernel("int64(int64[::1], int64[:, ::1], int64, int64, int64)")
def place(
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    samples: int,
    flags: int,
    now_ns: int,
) -> int:
    """Put the packet just unwrapped into its slot, or say why not."""
    extended = state[at.UNWRAPPED_SEQUENCE]
    media = state[at.UNWRAPPED_MEDIA]
    is_repair = flags & (at.REDUNDANT | at.RETRANSMITTED)
    is_newest = not is_repair and extended > state[at.HIGHEST_SEQUENCE]
    if state[at.PHASE] == at.EMPTY:
        state[at.PHASE] = at.WAITING
        state[at.NEXT_SEQUENCE] = extended
        state[at.LAST_END] = media
    row = extended & (slots.shape[0] - 1)
    known = slots[row, at.SLOT_SEQUENCE] == extended
    status = slots[row, at.SLOT_STATUS] if known else at.FREE
    if at.FREE < status < at.MISSED:
        is_better = (
            status == at.HOLDING and not is_repair and slots[row, at.SLOT_FLAGS] & at.REDUNDANT
        )
        if not is_better:
            if not flags & at.REDUNDANT:
                state[at.C_DUPLICATE] += 1
            return at.DUPLICATE
    if is_newest:
        advance(state, extended, media, samples, now_ns)
    if state[at.MODE] == at.ADAPTIVE and not is_repair:
        observe(state, media, samples, now_ns)
    ahead = extended - state[at.NEXT_SEQUENCE]
    end = media + samples - state[at.NEXT_MEDIA]
    is_pending = state[at.PENDING_FROM] != at.NONE
    # Spelt out because a call costs as much as all the rest: a packet where one is expected.
    is_plain = 0 <= ahead < slots.shape[0] and samples <= end <= state[at.LEVEL_MAX]
    if is_pending or not is_plain:
        reason = _too_late_or_early(state, slots, samples, flags, now_ns)
        if reason != 0:
            return reason
        if is_pending and state[at.MODE] == at.SYNCHRONISED:
            prove(state, extended, media, samples)
    if not (known and slots[row, at.SLOT_STATUS] == at.HOLDING):
        state[at.HELD] += 1
    if not flags & at.REDUNDANT:
        state[at.C_ACCEPTED] += 1
        state[at.LATE_RUN] = 0
        if not is_newest and not is_repair:
            state[at.C_REORDERED] += 1
    slots[row, at.SLOT_SEQUENCE] = extended
    slots[row, at.SLOT_STATUS] = at.HOLDING
    slots[row, at.SLOT_MEDIA] = media
    slots[row, at.SLOT_SAMPLES] = samples
    slots[row, at.SLOT_ARRIVAL_NS] = now_ns
    slots[row, at.SLOT_FLAGS] = flags
    before = (extended - 1) & (slots.shape[0] - 1)
    if slots[before, at.SLOT_MEDIA] + slots[before, at.SLOT_SAMPLES] > media:
        _abut(state, slots, extended - 1)
    if not is_newest:
        _abut(state, slots, extended)
    return int(row)
