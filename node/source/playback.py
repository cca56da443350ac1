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
    FRACTION_Q32,
    HISTORY_SAMPLES,
    MEDIA,
    START,
    UNITY_Q32,
    compact,
    resample,
    samples_needed,
)
from node.clock import servo as sv
from node.clock import timebase as tb
from node.clock.line import RATE_PPM, finish_slews, is_slewing, position_q16
from node.counters import Origin
from node.jitter import kernel as jitter
from node.jitter import state as js
from node.jitter.placement import first_held
from node.jitter.proof import doubt
from node.kernel import kernel
from node.opus.packet import has_lbrr, is_plausible, packet_samples
from node.rtp import packet as rtp
from node.source.state import (
    BAD_FRAMING,
    COUNT_ONLY,
    DONE,
    ERROR_MAX_Q16,
    ERROR_Q16,
    FADE,
    FADE_IN,
    FADE_OUT,
    FILLED,
    GENERATION,
    HARD_RESYNCS,
    JOURNAL_ROWS,
    JOURNAL_WRITTEN,
    LAST_SOUND_NS,
    NO_FADE,
    NO_SOUND,
    NOT_RTP,
    OTHER_PAYLOAD,
    OTHER_SOURCE,
    PERIOD_END_NS,
    PERIOD_NS,
    PLANNED,
    POSITION_Q16,
    RUNNING,
    STEP_Q32,
    TOO_LARGE,
)
from node.units import NS_PER_S, PACKET_SAMPLES_MAX, RATE_HZ

_TORN_NS: Final = NS_PER_S // 1000
"""A sound card whose time line tears by so much has interrupted the sound by itself, so a jump
to the right place costs nothing more; slewing 36 ms away would take more than a minute."""
_TORN_Q16: Final = (RATE_HZ // 1000) << 16


_FIRST_MADE_UP: Final = int(Origin.CONCEALED)
_NS_PER_3_SAMPLES: Final = 3 * NS_PER_S // RATE_HZ


@kernel(
    "int64(uint8[::1], int64[::1], int64, int64[::1], int64[::1], int64[:, ::1], uint8[:, ::1],"
    " int64[::1], float64[::1], float64[:, ::1], float64[::1], int64)"
)
def receive(
    data: NDArray[np.uint8],
    header: NDArray[np.int64],
    ssrc: int,
    payload_types: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    payloads: NDArray[np.uint8],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
    now_ns: int,
) -> int:
    """Take one datagram for the source `ssrc`; return a slot, a jitter result, or one from above.

    data           (bytes,) uint8, the datagram
    header         (rtp.HEADER_FIELDS,) int64, out
    ssrc           of this source; any other returns OTHER_SOURCE with the header parsed
    payload_types  (128,) int64, 1 for each that carries Opus
    state, slots, payloads  of the jitter buffer
    ints, floats, points, scratch  of the time base
    now_ns         arrival
    """
    kind = rtp.parse(data, header)
    if kind != rtp.RTP:
        return NOT_RTP + kind if kind < 0 else NOT_RTP
    if payload_types[header[rtp.PAYLOAD_TYPE]] == 0:
        return OTHER_PAYLOAD
    if header[rtp.SSRC] != ssrc:
        return OTHER_SOURCE
    offset = header[rtp.PAYLOAD_OFFSET]
    length = header[rtp.PAYLOAD_BYTES]
    samples = packet_samples(data, offset, length)
    if length == 0:
        jitter.note_empty(state, slots, header[rtp.SEQUENCE])
        return NO_SOUND
    if samples <= 0:
        doubt(state)
        return BAD_FRAMING
    if is_plausible(data, offset, length, samples) == 0:
        doubt(state)
    if payloads.shape[1] > 0 and length > payloads.shape[1]:
        return TOO_LARGE
    flags = header[rtp.MARKER] * js.MARKER + has_lbrr(data, offset, length) * js.HAS_FEC
    result = jitter.insert(
        state, slots, payloads, data, offset, length,
        header[rtp.SEQUENCE], header[rtp.TIMESTAMP], samples, flags, now_ns,
    )  # fmt: skip
    if result >= 0 or result in (js.LATE, js.EARLY):
        is_late = 1 if result == js.LATE else 0
        tb.receive_packet(ints, floats, points, scratch, state[js.UNWRAPPED_MEDIA], now_ns, is_late)
    return int(result)


@kernel("void(int64[::1], int64[::1], int64[:, ::1], float32[:, ::1], int64[::1], int64)")
def _begin(
    own: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    fifo: NDArray[np.float32],
    resampler: NDArray[np.int64],
    begin_q16: int,
) -> None:
    """Start, or start again, at a media position, rounded to a sample so that sound is copied."""
    media = (begin_q16 + 0x8000) >> 16
    jitter.seek(state, slots, media)
    fifo[:HISTORY_SAMPLES] = np.float32(0.0)
    own[FILLED] = HISTORY_SAMPLES
    own[STEP_Q32] = UNITY_Q32
    own[GENERATION] = state[js.GENERATION]
    resampler[FRACTION_Q32] = 0
    # Inside a packet the jitter buffer begins with its start: what lies before is stepped over.
    resampler[START] = media - state[js.NEXT_MEDIA]
    resampler[MEDIA] = media


@kernel(
    "void(int64[::1], int64[::1], int64[:, ::1], float32[:, ::1], int64[::1], int64[::1],"
    " float64[::1], float64[::1], int64, int64)"
)
def _plan(
    own: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    fifo: NDArray[np.float32],
    resampler: NDArray[np.int64],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    servo: NDArray[np.float64],
    n: int,
    presentation_ns: int,
) -> None:
    """Choose the step of this period: follow the time base, or jump where it is too far.

    While nothing sounds that was received, a jump interrupts nothing and is no resynchronisation;
    in silence the position goes at once to where it should be.
    """
    is_hole = state[js.PHASE] == js.PLAYING and state[js.CONCEALED_RUN] > 0
    is_silent = is_hole and state[js.CONCEALED_RUN] >= state[js.CONCEAL_MAX] + state[js.FADE]
    if is_silent and is_slewing(ints, floats, presentation_ns, _TORN_NS):
        finish_slews(ints, floats, presentation_ns)
    wanted = position_q16(ints, floats, presentation_ns)
    here = (resampler[MEDIA] << 16) + (resampler[FRACTION_Q32] >> 16)
    is_torn = (
        abs(presentation_ns - own[PERIOD_END_NS]) > _TORN_NS and abs(wanted - here) > _TORN_Q16
    )
    if own[RUNNING] == 1 and own[FADE] != FADE_OUT and is_torn:
        own[FADE] = FADE_OUT
        own[HARD_RESYNCS] += 1
    if own[RUNNING] == 0 or own[FADE] == FADE_OUT:
        own[FADE] = FADE_IN if own[RUNNING] else NO_FADE
        _begin(own, state, slots, fifo, resampler, wanted)
        servo[sv.INTEGRAL_PPM] = 0.0 if own[RUNNING] == 0 else servo[sv.INTEGRAL_PPM]
        own[RUNNING] = 1
    else:
        own[FADE] = NO_FADE
    here = (resampler[MEDIA] << 16) + (resampler[FRACTION_Q32] >> 16)
    error = wanted - here
    own[ERROR_Q16] = error
    own[ERROR_MAX_Q16] = max(own[ERROR_MAX_Q16], abs(error))
    far_q16 = _TORN_Q16 if is_silent else sv.HARD_RESYNC_Q16
    if abs(error) > far_q16 or own[GENERATION] != state[js.GENERATION]:
        own[FADE] = FADE_OUT
        own[HARD_RESYNCS] += not is_hole or own[GENERATION] != state[js.GENERATION]
        own[STEP_Q32] = UNITY_Q32
    else:
        servo[sv.FEED_FORWARD_PPM] = floats[RATE_PPM]
        own[STEP_Q32] = sv.servo_step(servo, error, n)
    own[PLANNED] = 1
    own[PERIOD_NS] = presentation_ns
    own[PERIOD_END_NS] = presentation_ns + n * NS_PER_S // RATE_HZ
    own[POSITION_Q16] = here


@kernel("void(int64[::1], int64[::1], int64[:, ::1], int64)")
def _write_journal(
    own: NDArray[np.int64], state: NDArray[np.int64], journal: NDArray[np.int64], ssrc: int
) -> None:
    """Note the chunk just pulled, and when its first sample leaves the converter."""
    ahead_q16 = (state[js.ACTION_MEDIA] << 16) - own[POSITION_Q16]
    at_ns = own[PERIOD_NS] + ((ahead_q16 * _NS_PER_3_SAMPLES // 3) >> 16)
    row = journal[own[JOURNAL_WRITTEN] % journal.shape[0]]
    row[0] = ssrc
    row[1] = state[js.ACTION_MEDIA]
    row[2] = state[js.ACTION_SAMPLES]
    row[3] = state[js.ACTION_ORIGIN]
    row[4] = state[js.ACTION_ARRIVAL_NS]
    row[5] = at_ns
    own[JOURNAL_WRITTEN] += 1
    if state[js.ACTION_ORIGIN] < _FIRST_MADE_UP:
        own[LAST_SOUND_NS] = at_ns + state[js.ACTION_SAMPLES] * NS_PER_S // RATE_HZ


@kernel("void(float32[:, ::1], int64)")
def _fade(out: NDArray[np.float32], how: int) -> None:
    """Ramp a whole period, linearly, where the sound jumps before or after it."""
    if how == NO_FADE:
        return
    n = out.shape[0]
    for i in range(n):
        weight = np.float32((i + 1) / n if how == FADE_IN else (n - 1 - i) / n)
        for channel in range(out.shape[1]):
            out[i, channel] *= weight


@kernel(
    "int64(int64[::1], int64[::1], int64[:, ::1], float32[:, ::1], int64[::1], float32[:, ::1],"
    " int64[::1], float64[::1], float64[::1], int64[:, ::1], float32[:, ::1], int64, int64)"
)
def advance(
    own: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    fifo: NDArray[np.float32],
    resampler: NDArray[np.int64],
    table: NDArray[np.float32],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    servo: NDArray[np.float64],
    journal: NDArray[np.int64],
    out: NDArray[np.float32],
    ssrc: int,
    presentation_ns: int,
) -> int:
    """Go on with one period; return DONE, or the action whose sound must be put into the FIFO.

    own              (RECEIVER_STATE,) int64
    state, slots     of the jitter buffer
    fifo             (FIFO_SAMPLES, channels) float32
    resampler, table state and coefficients of the resampler
    ints, floats     of the time base
    servo            state
    journal          (JOURNAL_ROWS, JOURNAL_FIELDS) int64
    out              (n, channels) float32, n <= PERIOD_SAMPLES_MAX, filled when DONE
    presentation_ns  of the first sample of `out`; the same in each call for one period

    After any other result the caller writes ACTION_SAMPLES rows at FILLED, adds them to FILLED
    and calls again.
    """
    n = out.shape[0]
    if own[PLANNED] == 0:
        _plan(own, state, slots, fifo, resampler, ints, floats, servo, n, presentation_ns)
    needed = samples_needed(resampler, n, own[STEP_Q32])
    while own[FILLED] < needed:
        if fifo.shape[0] - own[FILLED] < PACKET_SAMPLES_MAX:
            own[FILLED] = compact(fifo, resampler, own[FILLED])
            needed = samples_needed(resampler, n, own[STEP_Q32])
        action = jitter.pull(state, slots, presentation_ns, own[FILLED] - resampler[START])
        samples = state[js.ACTION_SAMPLES]
        if action != js.PAUSE:
            _write_journal(own, state, journal, ssrc)
            if action != js.SILENCE and own[COUNT_ONLY] == 0:
                return int(action)
        if own[COUNT_ONLY] == 0:
            fifo[own[FILLED] : own[FILLED] + samples] = np.float32(0.0)
        own[FILLED] += samples
    if own[COUNT_ONLY]:
        position = resampler[FRACTION_Q32] + n * own[STEP_Q32]
        resampler[FRACTION_Q32] = position & 0xFFFF_FFFF
        resampler[START] += position >> 32
        resampler[MEDIA] += position >> 32
        out[:] = np.float32(0.0)
    else:
        resample(fifo, resampler, table, out, own[STEP_Q32])
        _fade(out, own[FADE])
    own[PLANNED] = 0
    return DONE


@kernel("int64(int64[::1], int64[:, ::1], int64[::1], float64[::1], int64, int64)")
def is_due(
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    presentation_ns: int,
    n: int,
) -> int:
    """Return 1 when a held packet sounds within the `n` samples from `presentation_ns` on.

    The position of a source that waits moves on with time, so that it starts at its live edge and
    what comes after a pause is not far ahead of it. Arguments as in `advance`.
    """
    if state[js.PHASE] == js.EMPTY:
        return 0
    finish_slews(ints, floats, presentation_ns)  # nothing sounds: what was learnt holds at once
    if tb.awaits_map(ints, presentation_ns):
        return 0
    position = position_q16(ints, floats, presentation_ns) >> 16
    is_behind = state[js.NEXT_MEDIA] < position
    # A sender that was moved back, or whose stamps stood still: what comes is not late for that.
    is_ahead = state[js.HELD] == 0 and state[js.NEXT_MEDIA] > position + n
    if state[js.PHASE] == js.PLAYING and (is_behind or is_ahead):
        jitter.seek(state, slots, position)
    if state[js.PROVEN] == 0:
        return 0
    first = first_held(state, slots)
    if first == js.NONE:
        return 0
    return int(slots[first & (slots.shape[0] - 1), js.SLOT_MEDIA] < position + n)


def copy_journal(
    journal: NDArray[np.int64], taken: int, written: int, rows: NDArray[np.int64]
) -> tuple[int, int]:
    """Copy what is new in a journal into `rows`; return how many are taken now, and were copied.

    journal  (JOURNAL_ROWS, JOURNAL_FIELDS) int64, a ring: what nobody took in time is overwritten
    taken    rows taken before
    written  rows written so far
    rows     (n, JOURNAL_FIELDS) int64: ssrc, media time in samples, samples, `counters.Origin`,
             arrival in ns or -1, presentation of its first sample in ns
    """
    first = max(taken, written - JOURNAL_ROWS)
    count = min(written - first, len(rows))
    at = first % JOURNAL_ROWS
    head = min(count, JOURNAL_ROWS - at)
    rows[:head] = journal[at : at + head]
    rows[head:count] = journal[: count - head]
    return first + count, count
