"""One packet in, one period out: the stages of a source joined into two kernels.

```
 datagram ─► parse ─► jitter buffer (insert) ─► time base (transit)          `receive`, network side

 presentation time ─► time base ─► servo ─► step of the resampler            `advance`, audio side
                                              │ needs more sound than decoded?
                        decoder  ◄── chunk ── jitter buffer (pull)     ...returns it to be decoded,
                           └────► FIFO ─────► resampler ─► out             and is called again
```

Everything that happens per packet or per period happens in here, compiled; Python only calls the
decoder between two calls of `advance`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import (
    HISTORY_SAMPLES,
    TAPS,
    UNITY_Q32,
    compact,
    resample,
    samples_needed,
)
from node.clock import servo as sv
from node.clock import timebase as tb
from node.clock.line import finish_slews, is_slewing, position_q16
from node.counters import Origin
from node.jitter import kernel as jitter
from node.jitter import state as js
from node.jitter.placement import first_held
from node.jitter.proof import doubt, judge
from node.kernel import inlined, inner_kernel
from node.kernel.conversions import samples_to_ns
from node.opus.foreign import KINDS, reading
from node.opus.packet import has_lbrr, is_plausible, packet_samples
from node.rtp import packet as rtp
from node.source.state import (
    BAD_FRAMING,
    CARRIES_OPUS,
    CARRIES_REPAIRS,
    DONE,
    FADE_IN,
    FADE_OUT,
    FIFO_SAMPLES,
    JOURNAL_ROWS,
    NO_FADE,
    NO_SOUND,
    NOT_RTP,
    OTHER_PAYLOAD,
    OTHER_SOURCE,
    TOO_LARGE,
    Source,
)
from node.units import NS_PER_S, PACKET_SAMPLES_MAX, RATE_HZ

_TORN_NS: Final = NS_PER_S // 1000
"""A sound card whose time line tears by so much has interrupted the sound by itself, so a jump
to the right place costs nothing more; slewing 36 ms away would take more than a minute."""
_TORN_Q16: Final = (RATE_HZ // 1000) << 16

_OVERTAKEN_SAMPLES: Final = RATE_HZ // 2
"""What others overtook by so much was held or repeated on its way: when it comes says nothing of
where its sender is now."""

_FIRST_MADE_UP: Final = int(Origin.CONCEALED)


@inlined
def _note_other(source: Source, header: NDArray[np.int64]) -> None:
    """Note a packet of another payload type, if its number may be one of the sound's.

    header  (HEADER_FIELDS,) int64, units by the fields' names
    """
    carries_repairs = source.payload_types[header[rtp.PAYLOAD_TYPE]] == CARRIES_REPAIRS
    if header[rtp.SSRC] == source.ssrc and not carries_repairs:
        slots = source.slots[: source.slot_count]
        jitter.note_other(source.jitter[0], slots, header[rtp.SEQUENCE])


@inlined
def note_arrival(source: Source, result: int, now_ns: int) -> None:
    """Let the time base know of a packet, once the jitter buffer has placed it as `result`."""
    state = source.jitter[0]
    if result >= 0 or result in (js.LATE, js.EARLY):
        is_late = 1 if result == js.LATE else 0
        if state.highest_media - state.unwrapped_media <= _OVERTAKEN_SAMPLES:
            tb.receive_packet(source.line[0], state.unwrapped_media, now_ns, is_late)


@inner_kernel("int64(Source, uint8[::1], uint8[:, ::1], int64)")
def receive(
    source: Source,
    data: NDArray[np.uint8],
    payloads: NDArray[np.uint8],
    now_ns: int,
) -> int:
    """Take one datagram for the source `ssrc`; return a slot, a jitter result, or one from above.

    data      (bytes,) uint8, the datagram; its header is parsed into the source's
    payloads  (slots, PAYLOAD_BYTES_MAX) uint8, bytes of what is held
    now_ns    arrival

    A packet of any other source is OTHER_SOURCE.
    """
    state = source.jitter[0]
    steering = source.steering[0]
    slots = source.slots[: source.slot_count]
    header = source.header[:]
    kind = rtp.parse(data, header)
    if kind != rtp.RTP:
        return NOT_RTP + kind if kind < 0 else NOT_RTP
    if source.payload_types[header[rtp.PAYLOAD_TYPE]] != CARRIES_OPUS:
        _note_other(source, header)
        return OTHER_PAYLOAD
    if header[rtp.SSRC] != source.ssrc:
        return OTHER_SOURCE
    offset = header[rtp.PAYLOAD_OFFSET]
    length = header[rtp.PAYLOAD_BYTES]
    samples = packet_samples(data, offset, length)
    if length == 0:
        jitter.note_empty(state, slots, header[rtp.SEQUENCE])
        return NO_SOUND
    if state.proven == 0:
        judge(state, reading(data, offset, length), KINDS)
    if samples <= 0:
        doubt(state)
        return BAD_FRAMING
    if is_plausible(data, offset, length, samples) == 0:
        doubt(state)
    if length > (payloads.shape[1] if payloads.shape[1] > 0 else js.PAYLOAD_BYTES_MAX):
        return TOO_LARGE  # who keeps none counts as who does
    flags = header[rtp.MARKER] * js.MARKER + has_lbrr(data, offset, length) * js.HAS_FEC
    packet = source.packet[0]
    packet.offset = offset
    packet.length = length
    packet.sequence = header[rtp.SEQUENCE]
    packet.timestamp = header[rtp.TIMESTAMP]
    packet.samples = samples
    packet.marks = flags
    packet.arrival_ns = now_ns
    result = jitter.insert(state, steering, slots, payloads, data, packet)
    note_arrival(source, result, now_ns)
    return int(result)


@inner_kernel("void(Source, float32[:, ::1], int64)")
def _begin(source: Source, fifo: NDArray[np.float32], begin_q16: int) -> None:
    """Start, or start again, at a media position, rounded to a sample so that sound is copied."""
    own = source.playout[0]
    state = source.jitter[0]
    resampler = source.resampler[0]
    media = (begin_q16 + 0x8000) >> 16
    jitter.seek(state, source.slots[: source.slot_count], media)
    if own.count_only == 0:  # else its pages are never touched
        fifo[:HISTORY_SAMPLES] = np.float32(0.0)
    own.filled = HISTORY_SAMPLES
    own.step_q32 = UNITY_Q32
    own.generation = state.generation
    resampler.fraction_q32 = 0
    # Inside a packet the jitter buffer begins with its start: what lies before is stepped over.
    resampler.start = media - state.next_media
    resampler.media = media


@inlined
def _note_error(source: Source, wanted_q16: int) -> None:
    """Note where the sound is, and how far that is from where it should be."""
    own = source.playout[0]
    resampler = source.resampler[0]
    here = (resampler.media << 16) + (resampler.fraction_q32 >> 16)
    error = wanted_q16 - here
    own.error_q16 = error
    own.error_max_q16 = max(own.error_max_q16, abs(error))
    own.position_q16 = here


@inlined
def _open_period(source: Source, n: int, presentation_ns: int) -> None:
    """Note that a period is under way."""
    own = source.playout[0]
    own.planned = 1
    own.period_ns = presentation_ns
    own.period_end_ns = presentation_ns + samples_to_ns(n)


@inner_kernel("void(Source, float32[:, ::1], int64, int64)")
def _plan(source: Source, fifo: NDArray[np.float32], n: int, presentation_ns: int) -> None:
    """Choose the step of this period: follow the time base, or jump where it is too far.

    While nothing sounds that was received, a jump interrupts nothing and is no resynchronisation;
    in silence the position goes at once to where it should be.
    """
    own = source.playout[0]
    state = source.jitter[0]
    resampler = source.resampler[0]
    line = source.line[0]
    servo = source.servo[0]
    is_hole = state.phase == js.PLAYING and state.concealed_run > 0
    is_silent = is_hole and state.concealed_run >= state.conceal_max + state.fade
    if is_silent and is_slewing(line, presentation_ns, _TORN_NS):
        finish_slews(line, presentation_ns)
    wanted = position_q16(line, presentation_ns)
    here = (resampler.media << 16) + (resampler.fraction_q32 >> 16)
    is_torn = abs(presentation_ns - own.period_end_ns) > _TORN_NS and abs(wanted - here) > _TORN_Q16
    if own.running == 1 and own.fade != FADE_OUT and is_torn:
        own.fade = FADE_OUT
        own.hard_resyncs += 1
    if own.running == 0 or own.fade == FADE_OUT:
        own.fade = FADE_IN if own.running else NO_FADE
        _begin(source, fifo, wanted)
        servo.integral_ppm = 0.0 if own.running == 0 else servo.integral_ppm
        own.running = 1
    else:
        own.fade = NO_FADE
    _note_error(source, wanted)
    far_q16 = _TORN_Q16 if is_silent else sv.HARD_RESYNC_Q16
    if abs(own.error_q16) > far_q16 or own.generation != state.generation:
        own.fade = FADE_OUT
        own.hard_resyncs += not is_hole or own.generation != state.generation
        own.step_q32 = UNITY_Q32
    else:
        servo.feed_forward_ppm = line.rate_ppm
        own.step_q32 = sv.servo_step(source.servo[:], own.error_q16, n)
    _open_period(source, n, presentation_ns)


@inner_kernel("void(Source, int64)")
def write_journal(source: Source, at_ns: int) -> None:
    """Note the chunk just pulled, of which the first sample leaves the converter `at_ns`."""
    own = source.playout[0]
    state = source.jitter[0]
    row = source.journal[own.journal_written % JOURNAL_ROWS]
    row.ssrc = source.ssrc
    row.media = state.action_media
    row.samples = state.action_samples
    row.origin = state.action_origin
    row.arrival_ns = state.action_arrival_ns
    row.presentation_ns = at_ns
    own.journal_written += 1
    if state.action_origin < _FIRST_MADE_UP:
        own.last_sound_ns = at_ns + samples_to_ns(state.action_samples)


@inner_kernel("void(float32[:, ::1], int64)")
def _fade(out: NDArray[np.float32], how: int) -> None:
    """Ramp a whole period, linearly, where the sound jumps before or after it."""
    if how == NO_FADE:
        return
    n = out.shape[0]
    for i in range(n):
        weight = np.float32((i + 1) / n if how == FADE_IN else (n - 1 - i) / n)
        for channel in range(out.shape[1]):
            out[i, channel] *= weight


@inlined
def _move_on(source: Source, n: int) -> None:
    """Move on by a period, without a sound."""
    own = source.playout[0]
    resampler = source.resampler[0]
    position = resampler.fraction_q32 + n * own.step_q32
    resampler.fraction_q32 = position & 0xFFFF_FFFF
    resampler.start += position >> 32
    resampler.media += position >> 32
    own.planned = 0


@inlined
def _pass_over(source: Source) -> None:
    """Make room in the FIFO of a source that only counts: there is nothing to move."""
    own, resampler = source.playout[0], source.resampler[0]
    gone = min(resampler.start, own.filled)
    resampler.start -= gone
    own.filled -= gone


@inner_kernel("int64(Source, float32[:, ::1], float32[:, ::1], float32[:, ::1], int64)")
def advance(
    source: Source,
    fifo: NDArray[np.float32],
    table: NDArray[np.float32],
    out: NDArray[np.float32],
    presentation_ns: int,
) -> int:
    """Go on with one period; return DONE, or the action whose sound must be put into the FIFO.

    fifo             (FIFO_SAMPLES, channels) float32, full scale 1.0
    table            (PHASES, 2 * TAPS) float32, a ratio: of the resampler
    out              (n, channels) float32, full scale 1.0, filled when DONE;
                     n <= PERIOD_SAMPLES_MAX
    presentation_ns  of the first sample of `out`; the same in each call for one period

    After any other result the caller writes `action_samples` rows at `filled`, adds them to it
    and calls again.
    """
    own = source.playout[0]
    state = source.jitter[0]
    steering = source.steering[0]
    slots = source.slots[: source.slot_count]
    resampler = source.resampler[0]
    places = source.resampler[:]
    n = out.shape[0]
    if own.planned == 0:
        _plan(source, fifo, n, presentation_ns)
    needed = samples_needed(places, n, own.step_q32)
    while own.filled < needed:
        if fifo.shape[0] - own.filled < PACKET_SAMPLES_MAX:
            if own.count_only:
                _pass_over(source)
            else:
                own.filled = compact(fifo, places, own.filled)
            needed = samples_needed(places, n, own.step_q32)
        action = jitter.pull(state, steering, slots, presentation_ns, own.filled - resampler.start)
        samples = state.action_samples
        if action != js.PAUSE:
            ahead_q16 = (state.action_media << 16) - own.position_q16
            ahead_ns = samples_to_ns(ahead_q16) >> 16
            write_journal(source, own.period_ns + ahead_ns)
            if action != js.SILENCE and own.count_only == 0:
                return int(action)
        if own.count_only == 0:
            fifo[own.filled : own.filled + samples] = np.float32(0.0)
        own.filled += samples
    if own.count_only:
        _move_on(source, n)
        out[:] = np.float32(0.0)
    else:
        resample(fifo, places, table, out, own.step_q32)
        _fade(out, own.fade)
    own.planned = 0
    return DONE


@inner_kernel("boolean(Source, int64, int64)")
def count_on(source: Source, presentation_ns: int, n: int) -> bool:
    """Go on with one period of a source that only counts, if it plays on from the one before.

    It is `advance` without a sound, in half of the steps. Where that has more to decide than its
    next step, it is False: `advance`, called then, does what it would have done anyway.
    """
    own = source.playout[0]
    state = source.jitter[0]
    resampler = source.resampler[0]
    goes_on = own.running == 1 and own.planned == 0 and own.fade == NO_FADE
    is_torn = abs(presentation_ns - own.period_end_ns) > _TORN_NS
    if not goes_on or is_torn or state.concealed_run > 0 or own.generation != state.generation:
        return False
    _note_error(source, position_q16(source.line[0], presentation_ns))
    if abs(own.error_q16) > sv.HARD_RESYNC_Q16:
        return False
    source.servo[0].feed_forward_ppm = source.line[0].rate_ppm
    own.step_q32 = sv.servo_step(source.servo[:], own.error_q16, n)
    _open_period(source, n, presentation_ns)
    ahead = (resampler.fraction_q32 + (n - 1) * own.step_q32) >> 32
    slots = source.slots[: source.slot_count]
    while own.filled < resampler.start + ahead + TAPS:
        if FIFO_SAMPLES - own.filled < PACKET_SAMPLES_MAX:
            _pass_over(source)
        buffered = own.filled - resampler.start
        action = jitter.pull(state, source.steering[0], slots, presentation_ns, buffered)
        if action != js.PAUSE:
            ahead_q16 = (state.action_media << 16) - own.position_q16
            write_journal(source, presentation_ns + (samples_to_ns(ahead_q16) >> 16))
        own.filled += state.action_samples
    _move_on(source, n)
    return True


@inner_kernel("int64(Source, int64, int64)")
def is_due(source: Source, presentation_ns: int, n: int) -> int:
    """Return 1 when a held packet sounds within the `n` samples from `presentation_ns` on.

    The position of a source that waits moves on with time, so that it starts at its live edge and
    what comes after a pause is not far ahead of it. Arguments as in `advance`.
    """
    state = source.jitter[0]
    slots = source.slots[: source.slot_count]
    line = source.line[0]
    if state.phase == js.EMPTY:
        return 0
    finish_slews(line, presentation_ns)  # nothing sounds: what was learnt holds at once
    if tb.awaits_map(line, presentation_ns):
        return 0
    position = position_q16(line, presentation_ns) >> 16
    at = state.next_media if state.phase == js.PLAYING else state.last_end
    # A sender that was moved back, or whose stamps stood still: what comes is not late for that.
    is_ahead = state.held == 0 and state.next_media > position + n
    if at < position or (state.phase == js.PLAYING and is_ahead):
        jitter.seek(state, slots, position)
    if state.proven == 0:
        return 0
    first = first_held(state, slots)
    if first == js.NONE:
        return 0
    return int(slots[first & (slots.shape[0] - 1)].media < position + n)
