"""The books: which output was made up for a loss, and which packets never came."""

from node.counters import Origin
from node.jitter import state as at
from node.jitter.state import Jitter, Slot
from node.kernel import inner_kernel
from node.kernel.record import Records

_CONCEALED = int(Origin.CONCEALED)
_FADED = int(Origin.FADED)
_SILENT = int(Origin.SILENT)
_PAUSED = int(Origin.PAUSED)
_FOR_EVER_SAMPLES = 1 << 40


@inner_kernel("void(Jitter, int64)")
def _book_dropout(state: Jitter, until: int) -> None:
    """Book pending_from .. `until` as concealed, faded and silent, in the order it was played."""
    samples = until - state.pending_from
    if samples <= 0:
        return
    first = state.pending_run
    last = first + samples
    concealed = max(0, min(last, state.conceal_max) - first)
    fade_end = state.conceal_max + state.fade
    silent = max(0, last - max(first, fade_end))
    state.origin_samples[_CONCEALED] += concealed
    state.origin_samples[_SILENT] += silent
    state.origin_samples[_FADED] += samples - concealed - silent
    state.pending_from = until
    state.pending_run = last


@inner_kernel("void(Jitter, int64)")
def settle(state: Jitter, ended: int) -> None:
    """Book what is pending: as PAUSED when the source has `ended`, else as a dropout."""
    if state.pending_from == at.NONE:
        return
    if ended:
        state.origin_samples[_PAUSED] += state.next_media - state.pending_from
    else:
        _book_dropout(state, state.next_media)
    state.pending_from = at.NONE


@inner_kernel("void(Jitter, int64, int64, int64)")
def prove(state: Jitter, extended: int, media: int, samples: int) -> None:
    """Book what is pending, now that the packet `extended` tells what it was.

    ::

        last_end          lost_end           media            media + samples
           |  lost packets   |  sender paused  |  this packet     |   not known yet
           `---- dropout ----'---- PAUSED -----'---- dropout -----'---- stays pending
    """
    end = state.next_media
    lost_end = state.last_end + (extended - state.next_sequence) * state.last_samples
    _book_dropout(state, min(lost_end, media, end))
    paused = min(media, end) - state.pending_from
    if paused > 0:
        state.origin_samples[_PAUSED] += paused
        state.pending_from += paused
        state.pending_run += paused
    _book_dropout(state, min(media + samples, end))
    if state.pending_from >= end:
        state.pending_from = at.NONE


@inner_kernel("void(Jitter, int64, int64)")
def end_wait(state: Jitter, extended: int, media: int) -> None:
    """Go back to where the wait began: the packet `extended`, which begins at `media`, has come.

    What was made up first stands in for packets lost before it and for a pause of the sender's;
    the rest was waiting.
    """
    begin = max(media, state.pending_from)
    prove(state, extended, begin, _FOR_EVER_SAMPLES)
    state.next_media = min(state.next_media, begin)


@inner_kernel("int64(Jitter, Slot[::1], int64, int64)")
def sounds_before(state: Jitter, slots: Records[Slot], first: int, extended: int) -> int:
    """Return how many numbers from `first` to before `extended` may be of sound, at least none."""
    count = extended - first
    if state.others <= 0:
        return int(count)
    for one in range(max(first, extended - slots.shape[0]), extended):
        row = one & (slots.shape[0] - 1)
        if slots[row].sequence == one and slots[row].status == at.OTHERS:
            count -= 1
    return int(count)


@inner_kernel("void(Jitter, Slot[::1], int64)")
def miss(state: Jitter, slots: Records[Slot], extended: int) -> None:
    """Count as lost what has not come of the numbers from the next one to before `extended`."""
    capacity = slots.shape[0]
    first = state.next_sequence
    if extended <= first:
        return
    remembered = max(first, extended - capacity)
    state.lost += remembered - first
    for one in range(remembered, extended):
        row = one & (capacity - 1)
        is_booked = slots[row].status not in (at.FREE, at.HOLDING)
        if is_booked and slots[row].sequence == one:
            continue
        if is_booked and first <= slots[row].sequence < remembered:
            state.lost -= 1
        state.lost += 1
        slots[row].sequence = one
        slots[row].status = at.MISSED


@inner_kernel("void(Jitter, Slot[::1], int64)")
def pass_by(state: Jitter, slots: Records[Slot], extended: int) -> None:
    """Close the books on all sequence numbers below `extended`: what did not come is lost."""
    if extended <= state.next_sequence:
        return
    miss(state, slots, extended)
    state.next_sequence = extended
    state.floor_sequence = extended


@inner_kernel("void(Jitter, Slot[::1], int64, int64)")
def book_late(state: Jitter, slots: Records[Slot], extended: int, flags: int) -> None:
    """Count a packet whose time has passed, and remember it, so that a second one is a duplicate.

    It was counted as lost when its time passed; now it is late instead. A repair that comes too
    late counts as nothing: an RFC 2198 copy is no packet, and what was sent again is lost still.
    """
    if flags & (at.REDUNDANT | at.RETRANSMITTED):
        return
    state.late += 1
    row = extended & (slots.shape[0] - 1)
    if slots[row].sequence == extended and slots[row].status == at.MISSED:
        state.lost -= 1
    if slots[row].sequence <= extended and slots[row].status != at.HOLDING:
        slots[row].sequence = extended
        slots[row].status = at.CAME_LATE
