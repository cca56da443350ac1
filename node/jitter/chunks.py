"""The leaves of `pull`: play a packet, make up a chunk, book it."""

from node.counters import Origin
from node.jitter import state as at
from node.jitter.ledger import pass_by, sounds_before
from node.jitter.placement import first_held
from node.jitter.state import Jitter, Slot
from node.kernel import inner_kernel
from node.kernel.record import Records
from node.units import SAMPLES_PER_10_MS

CHUNK_SAMPLES = 2 * SAMPLES_PER_10_MS
"""Made-up sound comes in chunks of at most 20 ms, so that a packet is late by no more."""

STEP_SAMPLES = SAMPLES_PER_10_MS // 4
"""2.5 ms: what a decoder can conceal is a multiple of it."""

_CONCEALED = int(Origin.CONCEALED)
_FADED = int(Origin.FADED)
_SILENT = int(Origin.SILENT)
PAUSED = int(Origin.PAUSED)
_FEC = int(Origin.IN_BAND_FEC)
_RECEIVED = int(Origin.RECEIVED)
_REDUNDANT = int(Origin.REDUNDANT)
_RETRANSMITTED = int(Origin.RETRANSMITTED)


@inner_kernel("int64(Jitter, int64, int64, int64)")
def emit(state: Jitter, action: int, samples: int, origin: int) -> int:
    """Book a chunk whose origin is certain."""
    state.action_samples = samples
    state.action_origin = origin
    state.origin_samples[origin] += samples
    return action


@inner_kernel("int64(Jitter, Slot[::1], int64)")
def play(state: Jitter, slots: Records[Slot], extended: int) -> int:
    """Play the packet `extended` and free its slot."""
    if extended > state.next_sequence:
        pass_by(state, slots, extended)
    row = extended & (slots.shape[0] - 1)
    samples = slots[row].samples
    state.action_slot = row
    state.action_arrival_ns = slots[row].arrival_ns
    state.held -= 1
    state.next_sequence = extended + 1
    state.floor_sequence = extended + 1
    state.next_media += samples
    state.last_end = state.next_media
    state.last_samples = samples
    state.concealed_run = 0
    slots[row].status = at.PLAYED
    if not slots[row].marks & (at.REDUNDANT | at.RETRANSMITTED):
        state.action_samples = samples
        state.action_origin = _RECEIVED
        state.origin_samples[_RECEIVED] += samples
        return at.PLAY
    # The packet itself has not come: should it still, it is late and not a duplicate.
    slots[row].status = at.MISSED
    state.lost += 1
    is_copy = slots[row].marks & at.REDUNDANT
    return emit(state, at.PLAY, samples, _REDUNDANT if is_copy else _RETRANSMITTED)


@inner_kernel("int64(Jitter, int64, int64)")
def make_up(state: Jitter, chunk: int, pending: int) -> int:
    """Fill at most `chunk` samples with concealment, its fade, or silence, by how long it lasts."""
    run = state.concealed_run
    fade_end = state.conceal_max + state.fade
    if chunk > STEP_SAMPLES:
        chunk -= chunk % STEP_SAMPLES
    if chunk % STEP_SAMPLES != 0 or run >= fade_end:
        action, origin = at.SILENCE, _SILENT
        run = max(run, fade_end)
    elif run < state.conceal_max:
        action, origin = at.CONCEAL, _CONCEALED
        chunk = min(chunk, state.conceal_max - run)
    else:
        action, origin = at.FADE_OUT, _FADED
        chunk = min(chunk, fade_end - run)
    if pending and state.pending_from == at.NONE:
        state.pending_from = state.next_media
        state.pending_run = run
    state.concealed_run = run + chunk
    state.next_media += chunk
    if not pending:
        return emit(state, action, chunk, origin)
    state.action_samples = chunk
    state.action_origin = origin
    return action


@inner_kernel("int64(Jitter, Slot[::1])")
def next_held(state: Jitter, slots: Records[Slot]) -> int:
    """Return the packet to play next; throw away held ones whose time another one covered."""
    while True:
        extended = first_held(state, slots)
        if extended == at.NONE:
            return at.NONE
        row = extended & (slots.shape[0] - 1)
        if slots[row].media >= state.next_media:
            return extended
        pass_by(state, slots, extended)
        slots[row].status = at.PLAYED
        state.next_sequence = extended + 1
        state.floor_sequence = extended + 1
        state.held -= 1
        state.flushed += 1


@inner_kernel("int64(Jitter, Slot[::1], int64)")
def fill_hole(state: Jitter, slots: Records[Slot], extended: int) -> int:
    """Fill a chunk of the hole before the held packet `extended`: FEC, made up, or a pause."""
    row = extended & (slots.shape[0] - 1)
    gap = slots[row].media - state.next_media
    missing = sounds_before(state, slots, state.next_sequence, extended)
    lost_end = min(state.last_end + missing * state.last_samples, slots[row].media)
    has_fec = missing > 0 and slots[row].marks & at.HAS_FEC
    if has_fec and gap == slots[row].samples:
        state.action_slot = extended & (slots.shape[0] - 1)
        state.action_arrival_ns = slots[row].arrival_ns
        state.concealed_run = 0
        state.next_media += gap
        return emit(state, at.FEC, gap, _FEC)
    if lost_end <= state.next_media:
        chunk = min(gap, CHUNK_SAMPLES)
        state.next_media += chunk
        return emit(state, at.PAUSE, chunk, PAUSED)
    chunk = min(lost_end - state.next_media, state.last_samples, CHUNK_SAMPLES)
    if has_fec and gap > slots[row].samples:
        chunk = min(chunk, gap - slots[row].samples)
    elif not has_fec and lost_end == slots[row].media:
        state.action_hole = gap
        state.action_next_slot = row
    return make_up(state, chunk, 0)
