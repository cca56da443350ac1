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
from node.jitter import kernel as jitter
from node.jitter import state as js
from node.jitter.placement import first_held
from node.jitter.target_level import QUANTUM_SAMPLES, target_delay
from node.kernel import inner_kernel
from node.kernel.conversions import ns_to_samples, samples_to_ns
from node.source.playback import write_journal
from node.source.state import DONE, Source
from node.units import NS_PER_S, PACKET_SAMPLES_MAX

_KEPT_SAMPLES: Final = 2048
"""Played sound that is kept: stretching and joining look for likeness in it."""

_STRETCHED_MIN_SAMPLES: Final = 480
"""What time-scale modification needs: one period of a voice to take out, and 5 ms to fade over."""

_LATENCY_RISE_NS: Final = 1000
"""The latency found is a minimum; it may rise so much per period (0.1 ms/s)."""

_LATENCY_MAX_NS: Final = NS_PER_S


@inner_kernel("void(Source)")
def reset_steering(source: Source) -> None:
    """Begin with nothing played."""
    own = source.playout[0]
    steer = source.stretching[0]
    own.filled = _KEPT_SAMPLES
    steer.is_torn = 0
    steer.stretch_due = 0
    steer.latency_ns = _LATENCY_MAX_NS
    steer.begin = _KEPT_SAMPLES
    steer.waits_from = js.NONE


@inner_kernel("int64(Source, int64)")
def _decision_ns(source: Source, presentation_ns: int) -> int:
    """Return the instant, on the clock of arrivals, at which a period is decided.

    The newest packet cannot come after the decision; over many periods the closest one comes just
    before it.
    """
    steer = source.stretching[0]
    state = source.jitter[0]
    since = presentation_ns - state.highest_arrival_ns
    found = steer.latency_ns + _LATENCY_RISE_NS
    if state.highest_arrival_ns != js.NONE:
        found = min(found, max(since, 0))
    steer.latency_ns = min(found, _LATENCY_MAX_NS)
    return int(presentation_ns - steer.latency_ns)


@inner_kernel("void(Source, float32[:, ::1])")
def _make_room(source: Source, fifo: NDArray[np.float32]) -> None:
    """Move the FIFO's sound to its front when another packet, at half speed, would not fit."""
    own = source.playout[0]
    steer = source.stretching[0]
    if fifo.shape[0] - own.filled >= 2 * PACKET_SAMPLES_MAX:
        return
    gone = steer.begin - _KEPT_SAMPLES
    if gone <= 0:
        return
    for row in range(own.filled - gone):
        for channel in range(fifo.shape[1]):
            fifo[row, channel] = fifo[row + gone, channel]
    own.filled -= gone
    steer.begin -= gone


@inner_kernel("int64(Source, float32[:, ::1], float32[:, ::1], int64)")
def advance(
    source: Source,
    fifo: NDArray[np.float32],
    out: NDArray[np.float32],
    presentation_ns: int,
) -> int:
    """Go on with one period; return DONE, or the action whose sound must be put into the FIFO.

    fifo  (FIFO_SAMPLES, channels) float32, full scale 1.0
    out   (n, channels) float32, full scale 1.0, filled when DONE

    As `playback.advance`; after the sound is in the FIFO, `finish` must be called.
    """
    own = source.playout[0]
    steer = source.stretching[0]
    state = source.jitter[0]
    steering = source.steering[0]
    slots = source.slots[: source.slot_count]
    if own.running == 0:
        latency_ns = steer.latency_ns
        reset_steering(source)
        steer.latency_ns = latency_ns if latency_ns > 0 else _LATENCY_MAX_NS
        fifo[:_KEPT_SAMPLES] = np.float32(0.0)
        own.running = 1
    n = out.shape[0]
    now_ns = _decision_ns(source, presentation_ns)
    wanted = n if steer.stretch_due > -QUANTUM_SAMPLES else max(n, _STRETCHED_MIN_SAMPLES)
    while own.filled - steer.begin < wanted:
        _make_room(source, fifo)
        ahead = own.filled - steer.begin
        action = jitter.pull(state, steering, slots, now_ns, ahead)
        if action != js.PAUSE:
            write_journal(source, presentation_ns + samples_to_ns(ahead))
            if action != js.SILENCE and own.count_only == 0:
                return int(action)
        samples = state.action_samples + state.action_stretch_samples
        if own.count_only == 0:
            fifo[own.filled : own.filled + samples] = np.float32(0.0)
        own.filled += samples
        steer.is_torn = int(action == js.SILENCE)
    begin = steer.begin
    if own.count_only:
        out[:] = np.float32(0.0)
    else:
        for i in range(n):
            for channel in range(out.shape[1]):
                out[i, channel] = fifo[begin + i, channel]
    steer.begin += n
    return DONE


@inner_kernel("int64(Source, int64, int64)")
def _collect(source: Source, wanted: int, unplayed: int) -> int:
    """Collect what is asked of short packets; return it once the `unplayed` samples can bear it."""
    steer = source.stretching[0]
    if wanted != 0 and (wanted < 0) != (steer.stretch_due < 0):
        steer.stretch_due = 0
    steer.stretch_due += wanted
    due = steer.stretch_due
    if abs(due) < QUANTUM_SAMPLES or unplayed < _STRETCHED_MIN_SAMPLES:
        return 0
    # What cannot be done is not owed: the jitter buffer will find its error and ask again.
    steer.stretch_due = 0
    return int(due)


@inner_kernel("void(Source, float32[:, ::1], int64)")
def finish(source: Source, fifo: NDArray[np.float32], action: int) -> None:
    """Join and stretch the chunk that was just decoded into the FIFO, `filled` rows in all.

    fifo  (FIFO_SAMPLES, channels) float32, full scale 1.0
    """
    own = source.playout[0]
    steer = source.stretching[0]
    state = source.jitter[0]
    samples = state.action_samples
    if action != js.PLAY:
        steer.stretch_due = 0
    if action not in (js.PLAY, js.FEC):
        if state.pending_from == state.action_media:
            steer.waits_from = state.action_media
        steer.is_torn = int(action == js.FADE_OUT)
        return
    # After a loss the decoder goes on smoothly by itself; after a wait it has been taken back.
    is_taken_back = action == js.PLAY and steer.waits_from == state.action_media
    if steer.is_torn or is_taken_back:
        join(fifo, own.filled - samples, own.filled)
    steer.is_torn = 0
    steer.waits_from = js.NONE
    if action != js.PLAY:
        return
    wanted = state.action_stretch_samples
    stretched = samples
    if samples < _STRETCHED_MIN_SAMPLES:
        stretched = own.filled - steer.begin
        wanted = _collect(source, wanted, stretched)
    if wanted != 0:
        own.filled += stretch(fifo, own.filled, stretched, wanted)


@inner_kernel("int64(Source, int64, int64)")
def is_due(source: Source, presentation_ns: int, n: int) -> int:
    """Return 1 when a held packet sounds within the `n` samples from `presentation_ns` on.

    The position of a source that waits moves on with time, so that it starts at its live edge.
    """
    state = source.jitter[0]
    steering = source.steering[0]
    slots = source.slots[: source.slot_count]
    if state.phase == js.EMPTY:
        return 0
    now = ns_to_samples(_decision_ns(source, presentation_ns))
    position = now - steering.reference - target_delay(state, steering, now)
    at = state.next_media if state.phase == js.PLAYING else state.last_end
    is_ahead = state.phase == js.PLAYING and state.held == 0 and at > position + n
    if at < position or is_ahead:
        jitter.seek(state, slots, position)
    if state.proven == 0:
        return 0
    first = first_held(state, slots)
    if first == js.NONE:
        return 0
    return int(slots[first & (slots.shape[0] - 1)].media < position + n)
