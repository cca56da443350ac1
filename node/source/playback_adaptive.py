"""Playout of a source by itself: as early as its link allows, stretched to follow it.

```
 jitter buffer (pull, adaptive) ─► decoder ─► join, stretch ─► FIFO ─► out
```

There is no time base and no resampler: the delay of each chunk is steered by the jitter buffer, and
a sender's clock that runs fast or slow is followed by stretching like any other change of delay.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.seam import join
from node.audio.time_scale import stretch
from node.counters import Origin
from node.jitter import kernel as jitter
from node.jitter import state as js
from node.jitter.placement import first_held
from node.jitter.target_level import QUANTUM_SAMPLES, target_delay
from node.kernel import kernel
from node.source.state import COUNT_ONLY, DONE, FILLED, JOURNAL_WRITTEN, LAST_SOUND_NS, RUNNING
from node.units import NS_PER_S, PACKET_SAMPLES_MAX, RATE_HZ

# State of the steering, (STEER_STATE,) int64.
LATENCY_NS: Final = 0
"""From the decision about a sample to its presentation; found from arrivals."""
BEGIN: Final = 1
"""Row of the FIFO that plays next."""
WAITS_FROM: Final = 2
"""Media time at which playout began to wait for a packet, since the last one; or NONE."""
IS_TORN: Final = 3
"""1 when the sound of the next packet does not take up where the last chunk's ended."""
STRETCH_DUE: Final = 4
"""Asked of packets too short to be stretched by themselves, and not done yet, in samples."""
STEER_STATE: Final = 5

_KEPT_SAMPLES: Final = 2048
"""Played sound that is kept: stretching and joining look for likeness in it."""

_STRETCHED_MIN_SAMPLES: Final = 480
"""What time-scale modification needs: one period of a voice to take out, and 5 ms to fade over."""

_LATENCY_RISE_NS: Final = 1000
"""The latency found is a minimum; it may rise so much per period (0.1 ms/s)."""

_LATENCY_MAX_NS: Final = NS_PER_S
_FIRST_MADE_UP: Final = int(Origin.CONCEALED)


@kernel("void(int64[::1], int64[::1])")
def reset_steering(own: NDArray[np.int64], steer: NDArray[np.int64]) -> None:
    """Begin with nothing played."""
    own[FILLED] = _KEPT_SAMPLES
    steer[:] = 0
    steer[LATENCY_NS] = _LATENCY_MAX_NS
    steer[BEGIN] = _KEPT_SAMPLES
    steer[WAITS_FROM] = js.NONE


@kernel("int64(int64[::1], int64[::1], int64)")
def _decision_ns(state: NDArray[np.int64], steer: NDArray[np.int64], presentation_ns: int) -> int:
    """Return the instant, on the clock of arrivals, at which a period is decided.

    The newest packet cannot come after the decision; over many periods the closest one comes just
    before it.
    """
    since = presentation_ns - state[js.HIGHEST_ARRIVAL_NS]
    found = steer[LATENCY_NS] + _LATENCY_RISE_NS
    if state[js.HIGHEST_ARRIVAL_NS] != js.NONE:
        found = min(found, max(since, 0))
    steer[LATENCY_NS] = min(found, _LATENCY_MAX_NS)
    return int(presentation_ns - steer[LATENCY_NS])


@kernel("void(int64[::1], int64[::1], float32[:, ::1])")
def _make_room(own: NDArray[np.int64], steer: NDArray[np.int64], fifo: NDArray[np.float32]) -> None:
    """Move the FIFO's sound to its front when another packet, at half speed, would not fit."""
    if fifo.shape[0] - own[FILLED] >= 2 * PACKET_SAMPLES_MAX:
        return
    gone = steer[BEGIN] - _KEPT_SAMPLES
    if gone <= 0:
        return
    for row in range(own[FILLED] - gone):
        for channel in range(fifo.shape[1]):
            fifo[row, channel] = fifo[row + gone, channel]
    own[FILLED] -= gone
    steer[BEGIN] -= gone


@kernel("void(int64[::1], int64[::1], int64[:, ::1], int64, int64)")
def _write_journal(
    own: NDArray[np.int64],
    state: NDArray[np.int64],
    journal: NDArray[np.int64],
    ssrc: int,
    at_ns: int,
) -> None:
    """Note the chunk just pulled, and when its first sample leaves the converter."""
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


@kernel(
    "int64(int64[::1], int64[::1], int64[::1], int64[:, ::1], float32[:, ::1], int64[:, ::1],"
    " float32[:, ::1], int64, int64)"
)
def advance(
    own: NDArray[np.int64],
    steer: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    fifo: NDArray[np.float32],
    journal: NDArray[np.int64],
    out: NDArray[np.float32],
    ssrc: int,
    presentation_ns: int,
) -> int:
    """Go on with one period; return DONE, or the action whose sound must be put into the FIFO.

    As `playback.advance`; after the sound is in the FIFO, `finish` must be called.
    """
    if own[RUNNING] == 0:
        latency_ns = steer[LATENCY_NS]
        reset_steering(own, steer)
        steer[LATENCY_NS] = latency_ns if latency_ns > 0 else _LATENCY_MAX_NS
        fifo[:_KEPT_SAMPLES] = np.float32(0.0)
        own[RUNNING] = 1
    n = out.shape[0]
    now_ns = _decision_ns(state, steer, presentation_ns)
    wanted = n if steer[STRETCH_DUE] > -QUANTUM_SAMPLES else max(n, _STRETCHED_MIN_SAMPLES)
    while own[FILLED] - steer[BEGIN] < wanted:
        _make_room(own, steer, fifo)
        ahead = own[FILLED] - steer[BEGIN]
        action = jitter.pull(state, slots, now_ns, ahead)
        if action != js.PAUSE:
            _write_journal(own, state, journal, ssrc, presentation_ns + ahead * NS_PER_S // RATE_HZ)
            if action != js.SILENCE and own[COUNT_ONLY] == 0:
                return int(action)
        samples = state[js.ACTION_SAMPLES] + state[js.ACTION_STRETCH_SAMPLES]
        if own[COUNT_ONLY] == 0:
            fifo[own[FILLED] : own[FILLED] + samples] = np.float32(0.0)
        own[FILLED] += samples
        steer[IS_TORN] = int(action == js.SILENCE)
    begin = steer[BEGIN]
    if own[COUNT_ONLY]:
        out[:] = np.float32(0.0)
    else:
        for i in range(n):
            for channel in range(out.shape[1]):
                out[i, channel] = fifo[begin + i, channel]
    steer[BEGIN] += n
    return DONE


@kernel("int64(int64[::1], int64, int64)")
def _collect(steer: NDArray[np.int64], wanted: int, unplayed: int) -> int:
    """Collect what is asked of short packets; return it once the `unplayed` samples can bear it."""
    if wanted != 0 and (wanted < 0) != (steer[STRETCH_DUE] < 0):
        steer[STRETCH_DUE] = 0
    steer[STRETCH_DUE] += wanted
    due = steer[STRETCH_DUE]
    if abs(due) < QUANTUM_SAMPLES or unplayed < _STRETCHED_MIN_SAMPLES:
        return 0
    # What cannot be done is not owed: the jitter buffer will find its error and ask again.
    steer[STRETCH_DUE] = 0
    return int(due)


@kernel("void(int64[::1], int64[::1], int64[::1], float32[:, ::1], int64)")
def finish(
    own: NDArray[np.int64],
    steer: NDArray[np.int64],
    state: NDArray[np.int64],
    fifo: NDArray[np.float32],
    action: int,
) -> None:
    """Join and stretch the chunk that was just decoded into the FIFO, FILLED rows in all."""
    samples = state[js.ACTION_SAMPLES]
    if action != js.PLAY:
        steer[STRETCH_DUE] = 0
    if action not in (js.PLAY, js.FEC):
        if state[js.PENDING_FROM] == state[js.ACTION_MEDIA]:
            steer[WAITS_FROM] = state[js.ACTION_MEDIA]
        steer[IS_TORN] = int(action == js.FADE_OUT)
        return
    # After a loss the decoder goes on smoothly by itself; after a wait it has been taken back.
    is_taken_back = action == js.PLAY and steer[WAITS_FROM] == state[js.ACTION_MEDIA]
    if steer[IS_TORN] or is_taken_back:
        join(fifo, own[FILLED] - samples, own[FILLED])
    steer[IS_TORN] = 0
    steer[WAITS_FROM] = js.NONE
    if action != js.PLAY:
        return
    wanted = state[js.ACTION_STRETCH_SAMPLES]
    stretched = samples
    if samples < _STRETCHED_MIN_SAMPLES:
        stretched = own[FILLED] - steer[BEGIN]
        wanted = _collect(steer, wanted, stretched)
    if wanted != 0:
        own[FILLED] += stretch(fifo, own[FILLED], stretched, wanted)


@kernel("int64(int64[::1], int64[::1], int64[:, ::1], int64, int64)")
def is_due(
    steer: NDArray[np.int64],
    state: NDArray[np.int64],
    slots: NDArray[np.int64],
    presentation_ns: int,
    n: int,
) -> int:
    """Return 1 when a held packet sounds within the `n` samples from `presentation_ns` on.

    The position of a source that waits moves on with time, so that it starts at its live edge.
    """
    if state[js.PHASE] == js.EMPTY:
        return 0
    now = _decision_ns(state, steer, presentation_ns) * 3 // 62_500
    position = now - state[js.A_REFERENCE] - target_delay(state, now)
    at = state[js.NEXT_MEDIA] if state[js.PHASE] == js.PLAYING else state[js.LAST_END]
    is_ahead = state[js.PHASE] == js.PLAYING and state[js.HELD] == 0 and at > position + n
    if at < position or is_ahead:
        jitter.seek(state, slots, position)
    if state[js.PROVEN] == 0:
        return 0
    first = first_held(state, slots)
    if first == js.NONE:
        return 0
    return int(slots[first & (slots.shape[0] - 1), js.SLOT_MEDIA] < position + n)
