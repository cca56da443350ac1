"""Where an arrived packet goes: into its slot, or by name out of the door."""

from node.jitter import state as at
from node.jitter.ledger import book_late, end_wait, miss, pass_by, prove, settle
from node.jitter.proof import reset_proof
from node.jitter.state import Jitter, Slot, Steering
from node.jitter.target_level import observe, target_delay
from node.jitter.unwrap import advance, difference_32
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import ns_to_samples
from node.kernel.record import Records

_MISORDER_MAX = 100
"""After a hole as long as the buffer, so many numbers before the newest may still come (as
MAX_MISORDER of RFC 3550, A.1)."""

_COPY_REACH = 32
"""An RFC 2198 copy belongs to one of so many packets before its carrier."""


@inner_kernel("int64(Jitter, Slot[::1], int64, int64, int64)")
def find_repaired(
    state: Jitter, slots: Records[Slot], sequence: int, timestamp: int, marks: int
) -> int:
    """Write the unwrapped sequence number and media time of a repair; return 0 if it fits nowhere.

    A retransmission knows its own number (RFC 4588, OSN). An RFC 2198 copy knows only its time:
    its number is the one before its carrier's that agrees with the packets around it.
    """
    highest = state.highest_sequence
    if highest == at.NONE:
        return 0
    ahead = (sequence - highest) & 0xFFFF
    extended = highest + (ahead if ahead < 0x8000 else ahead - 0x10000)
    media_step = difference_32(timestamp, state.highest_timestamp)
    media = state.highest_media + state.deviation + media_step
    state.unwrapped_media = media
    state.unwrapped_sequence = extended
    if abs(extended - highest) >= slots.shape[0]:
        return 0
    if marks & at.RETRANSMITTED:
        # It may overtake the packets sent after it, when those are lost too.
        return 1 if (media_step > 0) == (extended > highest) else 0
    mask = slots.shape[0] - 1
    carrier = slots[extended & mask]
    if carrier.sequence != extended or media >= carrier.media:
        return 0
    for one in range(extended - 1, extended - 1 - _COPY_REACH, -1):
        row = one & mask
        known = slots[row].sequence == one and slots[row].status in (
            at.HOLDING,
            at.PLAYED,
        )
        if known and slots[row].media < media:
            # It came between this packet and the next known one: count back from that one.
            steps = (media - slots[row].media) // max(1, slots[row].samples)
            state.unwrapped_sequence = one + max(1, steps)
            return 1 if one + max(1, steps) < extended else 0
        if known and slots[row].media == media:
            state.unwrapped_sequence = one
            return 1
    return 0


@inner_kernel("void(Jitter, Steering, Slot[::1])")
def restart(state: Jitter, steering: Steering, slots: Records[Slot]) -> None:
    """Forget all packets: the sender started anew. What was pending was its pause."""
    settle(state, 1)
    state.flushed += state.held
    state.restarts += 1
    state.generation += 1
    state.held = 0
    state.late_run = 0
    state.phase = at.EMPTY
    state.floor_sequence = at.NONE
    if state.mode == at.ADAPTIVE:
        steering.reference = at.NONE
    state.probation_sequence = at.NONE
    state.highest_arrival_ns = at.NONE
    state.highest_sequence = at.NONE
    state.others = 0
    reset_proof(state)
    for row in range(slots.shape[0]):
        slots[row].sequence = at.NONE
        slots[row].status = at.FREE


@inner_kernel("int64(Jitter, Slot[::1])")
def first_held(state: Jitter, slots: Records[Slot]) -> int:
    """Return the lowest extended sequence number held, or NONE."""
    if state.held == 0:
        return at.NONE
    mask = slots.shape[0] - 1
    for extended in range(state.next_sequence, state.next_sequence + slots.shape[0]):
        row = extended & mask
        if slots[row].status == at.HOLDING and slots[row].sequence == extended:
            return int(extended)
    return at.NONE


@inner_kernel("int64(Jitter, Slot[::1])")
def _last_held(state: Jitter, slots: Records[Slot]) -> int:
    """Return the highest extended sequence number held, or NONE."""
    last = at.NONE
    if state.held > 0:
        for row in range(slots.shape[0]):
            if slots[row].status == at.HOLDING:
                last = max(last, slots[row].sequence)
    return int(last)


@inner_kernel("int64(Jitter, Slot[::1], int64)")
def _first_to_keep(state: Jitter, slots: Records[Slot], newest: int) -> int:
    """Return the lowest number worth keeping open when `newest` must be held."""
    if state.held > 0:
        return first_held(state, slots)
    return int(max(state.next_sequence, newest - min(_MISORDER_MAX, slots.shape[0] // 2)))


@inlined
def _let_go(state: Jitter, slots: Records[Slot], first: int) -> None:
    """Make room for what is fresh while nothing plays: flush what is held below the number `first`.

    A full buffer holds more than the playout delay, so its oldest packets are past their time. A
    number far ahead of all others is no reason.
    """
    if not 0 < first - state.next_sequence <= _MISORDER_MAX:
        return
    for one in range(state.next_sequence, first):
        row = one & (slots.shape[0] - 1)
        if slots[row].status == at.HOLDING and slots[row].sequence == one:
            slots[row].status = at.PLAYED
            state.held -= 1
            state.flushed += 1
            state.last_end = slots[row].media + slots[row].samples
    miss(state, slots, first)
    state.next_sequence = first


@inlined
def _skip_silence(state: Jitter, steering: Steering, media: int, now_ns: int) -> None:
    """Go to where a packet at `media`, which is far ahead of what is played, is due in time.

    Nothing is held, so nothing is jumped over but silence: by waiting for it to pass as long as
    the sender's numbers say, a node would throw away all that comes meanwhile.
    """
    now = ns_to_samples(now_ns)
    position = now - steering.reference - target_delay(state, steering, now)
    state.next_media = max(state.next_media, min(media, position))


@inner_kernel("int64(Jitter, Steering, Slot[::1], int64, int64, int64)")
def _too_late_or_early(
    state: Jitter,
    steering: Steering,
    slots: Records[Slot],
    samples: int,
    flags: int,
    now_ns: int,
) -> int:
    """Return 0 for a packet that can be held, else LATE or EARLY, counted."""
    extended = state.unwrapped_sequence
    media = state.unwrapped_media
    is_playing = state.phase == at.PLAYING
    is_waited_for = state.mode == at.ADAPTIVE and state.pending_from != at.NONE
    position = state.pending_from if is_waited_for else state.next_media
    if is_waited_for and media + samples - position > state.level_max:
        # What was waited for is lost, or the sender paused for longer than may be held: go on
        # with what has come.
        first, begin = extended, media
        if state.held > 0 and first_held(state, slots) < extended:
            first = first_held(state, slots)
            begin = slots[first & (slots.shape[0] - 1)].media
        end_wait(state, first, begin)
        position = state.next_media
    is_far = is_playing and media + samples - position > state.level_max
    if is_far and state.mode == at.ADAPTIVE and state.held == 0:
        _skip_silence(state, steering, media, now_ns)
        position = state.next_media
    if is_playing and (media < position or extended < state.floor_sequence):
        # A repair that misses its time says nothing of when the stream comes.
        state.late_run += 0 if flags & (at.REDUNDANT | at.RETRANSMITTED) else 1
        if extended >= state.next_sequence and state.held == 0 and not flags & at.REDUNDANT:
            if state.pending_from != at.NONE:
                prove(state, extended, media, samples)
            pass_by(state, slots, extended)
            state.next_sequence = extended + 1
            state.floor_sequence = extended + 1
            state.last_end = media + samples
            state.last_samples = samples
        book_late(state, slots, extended, flags)
        return at.LATE
    capacity = slots.shape[0]
    is_far = is_playing and media + samples - position > state.level_max
    if extended < state.next_sequence:
        # Nothing has played yet since the start or the last seek, and the first packet that
        # came need not be the lowest one.
        is_far = state.highest_sequence + 1 - extended > capacity or is_far
        # A retransmission may be held beyond the newest packet.
        is_far = is_far or _last_held(state, slots) - extended >= capacity
        if not is_far:
            state.next_sequence = extended
            if not is_playing:
                state.last_end = media
    elif extended - state.next_sequence >= capacity and not is_far:
        # A hole as long as the buffer: give up what cannot be repaired any more.
        pass_by(state, slots, _first_to_keep(state, slots, extended))
        if state.phase == at.WAITING and extended == state.highest_sequence:
            _let_go(state, slots, extended + 1 - capacity)
        is_far = extended - state.next_sequence >= capacity
    if not is_far:
        return 0
    if not flags & at.REDUNDANT:
        state.too_early += 1
    return at.EARLY


@inner_kernel("void(Jitter, Slot[::1], int64)")
def _abut(state: Jitter, slots: Records[Slot], extended: int) -> None:
    """Let a packet that reaches into the next one begin earlier by as much.

    The first packet of an encoder holds its look-ahead. GStreamer's timestamps leave that out, so
    that the second packet begins 13.5 ms after the first; both are to be decoded and played whole.
    """
    row = extended & (slots.shape[0] - 1)
    after = slots[(extended + 1) & (slots.shape[0] - 1)]
    if slots[row].sequence != extended or after.sequence != extended + 1:
        return
    if slots[row].status != at.HOLDING or after.status != at.HOLDING:
        return
    begin = after.media - slots[row].samples
    is_open = state.phase != at.PLAYING or begin >= state.next_media
    if slots[row].media > begin and is_open:
        slots[row].media = begin


@inner_kernel("int64(Jitter, Steering, Slot[::1], int64, int64, int64)")
def place(
    state: Jitter,
    steering: Steering,
    slots: Records[Slot],
    samples: int,
    flags: int,
    now_ns: int,
) -> int:
    """Put the packet just unwrapped into its slot, or say why not."""
    extended = state.unwrapped_sequence
    media = state.unwrapped_media
    is_repair = flags & (at.REDUNDANT | at.RETRANSMITTED)
    is_newest = not is_repair and extended > state.highest_sequence
    if state.phase == at.EMPTY:
        state.phase = at.WAITING
        state.next_sequence = extended
        state.last_end = media
    row = extended & (slots.shape[0] - 1)
    known = slots[row].sequence == extended
    status = slots[row].status if known else at.FREE
    if at.FREE < status < at.MISSED:
        is_better = status == at.HOLDING and not is_repair and slots[row].marks & at.REDUNDANT
        if not is_better:
            if not flags & at.REDUNDANT:
                state.duplicate += 1
            return at.DUPLICATE
    if status == at.OTHERS:
        state.others = -1
    if is_newest:
        advance(state, extended, media, samples, now_ns)
    if state.mode == at.ADAPTIVE and not is_repair:
        observe(state, steering, media, samples, now_ns)
    ahead = extended - state.next_sequence
    end = media + samples - state.next_media
    is_pending = state.pending_from != at.NONE
    # Spelt out because a call costs as much as all the rest: a packet where one is expected.
    is_plain = 0 <= ahead < slots.shape[0] and samples <= end <= state.level_max
    if is_pending or not is_plain:
        reason = _too_late_or_early(state, steering, slots, samples, flags, now_ns)
        if reason != 0:
            return reason
        if is_pending and state.mode == at.SYNCHRONISED:
            prove(state, extended, media, samples)
    if not (known and slots[row].status == at.HOLDING):
        state.held += 1
    if status == at.MISSED and slots[row].status == at.MISSED:
        state.lost -= 1  # jumped over before it came, though it is still in time
    if not flags & at.REDUNDANT:
        state.accepted += 1
        state.late_run = 0
        if not is_newest and not is_repair:
            state.reordered += 1
    slots[row].sequence = extended
    slots[row].status = at.HOLDING
    slots[row].media = media
    slots[row].samples = samples
    slots[row].arrival_ns = now_ns
    slots[row].marks = flags
    before = (extended - 1) & (slots.shape[0] - 1)
    if slots[before].media + slots[before].samples > media:
        _abut(state, slots, extended - 1)
    if not is_newest:
        _abut(state, slots, extended)
    return int(row)
