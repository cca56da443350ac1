"""A lost CELT frame: repeat the pitch, later noise as loud as the background (RFC 6716, 4.4).

The extension runs past the lost frame to the end of the overlap, where it is folded as a
transform would have left it, so that the next good frame blends with it.

Where the encoder sent an empty frame, or switched without a word, this does what libopus does. For
a lost packet it does two things better (`python -m benchmarks opus_loss`): short frames fade by
time and not by frame, and the noise after 100 ms begins as low as the pitch has been faded, not
as loud as the last good frame. (The pitch may have died away by itself: then the noise is louder.)
"""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus.celt.layout import (
    ANALYSIS_SAMPLES,
    BACKGROUND,
    ENERGY,
    EXTENSION,
    FRAME_MAX,
    GAIN,
    HALF_OVERLAP,
    HISTORY,
    HISTORY_SAMPLES,
    HISTORY_STRIDE,
    HOLE,
    LOSS_PERIOD,
    LOST,
    LOST_PACKET,
    OVERLAP,
    PERIOD,
    RESIDUAL,
    SEED,
    SHAPE,
    TAPSET,
    CeltFrame,
)
from node.opus.celt.partition import next_noise, renormalise
from node.opus.celt.pitch import find_period
from node.opus.celt.post_filter import PERIOD_MIN
from node.opus.celt.prediction import excite, set_predictor, set_residual
from node.opus.celt.synthesis import advance, synthesise, write_out
from node.opus.celt.tables_celt import BAND_EDGES, BANDS, COMB_TAPS, SHORT_SAMPLES, WINDOW

_PITCH_UNITS: Final = 40
"""100 ms of repeating a period; after that it would sound like a machine."""
_FADE: Final = 0.8
"""Gain of each further frame, whatever its length: measured at the reference decoder."""
_FADES: Final = np.array([0.9725, 0.9457, 0.8944, 0.8])
"""The same per 20 ms, by LM, for lost packets."""
_GROWTH_MAX: Final = 5.0
"""An extension of more than this times the power of what it repeats has gone wild."""
FALL_FIRST: Final = 1.5
FALL: Final = 0.5
"""log2 units by which the energies of noise frames fall towards the background."""
_FALL_AFTER_PITCH: Final = 2.2
"""The same for the first noise after 100 ms of a period that was repeated and faded."""


@inlined
def _decay(work: NDArray[np.float32], samples: int) -> float:
    """Return how the residual's amplitude changed from its older half to its newer, at most 1."""
    half = samples >> 1
    older = np.float32(1.0)
    newer = np.float32(1.0)
    for i in range(RESIDUAL + samples - 2 * half, RESIDUAL + samples - half):
        older += work[i] * work[i]
        newer += work[i + half] * work[i + half]
    return sqrt(min(newer, older) / older)


@inlined
def _repeat(
    past: NDArray[np.float32],
    work: NDArray[np.float32],
    channel: int,
    samples: int,
    period: int,
    fade: float,
) -> float:
    """Fill EXTENSION with the residual, period after period; return the power of its origin."""
    kept = min(2 * period, ANALYSIS_SAMPLES)
    set_residual(past, work, channel, kept)
    decay = _decay(work, kept)
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    attenuation = np.float32(fade * decay)
    step = np.float32(decay)
    power = np.float32(0.0)
    j = 0
    for i in range(samples):
        if j == period:
            j = 0
            attenuation *= step
        work[EXTENSION + i] = attenuation * work[RESIDUAL + kept - period + j]
        origin = past[end - period + j]
        power += origin * origin
        j += 1
    return float(power)


@inlined
def _tame(work: NDArray[np.float32], samples: int, origin: float) -> None:
    """Keep the extension no louder than what it repeats; drop it if it went wild."""
    power = np.float32(0.0)
    for i in range(EXTENSION, EXTENSION + samples):
        power += work[i] * work[i]
    if not origin * _GROWTH_MAX > float(power):  # also when it is not a number
        for i in range(EXTENSION, EXTENSION + samples):
            work[i] = np.float32(0.0)
    elif origin < float(power):
        ratio = np.float32(sqrt((origin + 1.0) / (float(power) + 1.0)))
        for i in range(samples):
            share = WINDOW[i] if i < OVERLAP else np.float32(1.0)
            work[EXTENSION + i] *= np.float32(1.0) - share * (np.float32(1.0) - ratio)


@inner_kernel("void(int64[::1], float32[::1], float32[::1], int64, int64)")
def fold_tail(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    work: NDArray[np.float32],
    channel: int,
    tail: int,
) -> None:
    """Leave the 2.5 ms at work[tail:], which follow the history, as a transform would have.

    The sound just before them must lie before work[tail] too, for a post-filter's period or back to
    EXTENSION.

    celt  (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past  (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    work  (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    """
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    samples = tail - EXTENSION
    # The next frame's post-filter will run over the overlap too: take out what it will add.
    period = max(celt[PERIOD], PERIOD_MIN)
    gain = past[GAIN]
    for i in range(OVERLAP):
        echo = np.float32(0.0)
        for tap in range(-2, 3):
            at = i - period + tap
            value = work[tail + at] if at >= -samples else past[end + at]
            echo += COMB_TAPS[3 * celt[TAPSET] + abs(tap)] * value
        work[RESIDUAL + i] = work[tail + i] - gain * echo
    for i in range(HALF_OVERLAP):
        falling = WINDOW[OVERLAP - 1 - i] * work[RESIDUAL + i]
        past[end + i] = falling + WINDOW[i] * work[RESIDUAL + OVERLAP - 1 - i]


@inlined
def _append(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    work: NDArray[np.float32],
    channel: int,
    samples: int,
) -> None:
    """Put the extension into the history, its end folded for the overlap with the next frame."""
    advance(past, channel, samples)
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    for i in range(samples):
        past[end - samples + i] = work[EXTENSION + i]
    fold_tail(celt, past, work, channel, EXTENSION + samples)


@inlined
def _conceal_by_pitch(celt: NDArray[np.int64], past: NDArray[np.float32], frame: CeltFrame) -> None:
    work = frame.work[:]
    channels = frame.output_channels
    samples = SHORT_SAMPLES << frame.lm
    fade = _FADES[frame.lm] if celt[LOST_PACKET] else _FADE
    first = celt[LOSS_PERIOD] == 0
    if first:
        celt[LOSS_PERIOD] = find_period(past, work, channels)
        fade = 1.0
    for channel in range(channels):
        if first:
            set_predictor(past, work, channel)
        wanted = samples + OVERLAP
        origin = _repeat(past, work, channel, wanted, celt[LOSS_PERIOD], fade)
        excite(past, work, channel, wanted)
        _tame(work, wanted, origin)
        _append(celt, past, work, channel, samples)


@inlined
def _conceal_by_noise(celt: NDArray[np.int64], past: NDArray[np.float32], frame: CeltFrame) -> None:
    lm = frame.lm
    work = frame.work[:]
    fall = np.float32(FALL_FIRST if celt[LOST] == 0 else FALL)
    if celt[LOSS_PERIOD] != 0 and celt[LOST_PACKET]:
        fall = np.float32(_FALL_AFTER_PITCH)
    seed = celt[SEED]
    for channel in range(frame.output_channels):
        for band in range(frame.start, frame.end):
            at = channel * BANDS + band
            energy = max(past[BACKGROUND + at], past[ENERGY + at] - fall)
            if celt[LOST_PACKET]:  # in a young stream the background may lie above the sound
                energy = min(energy, past[ENERGY + at])
            past[ENERGY + at] = energy
            low = SHAPE + channel * FRAME_MAX + (BAND_EDGES[band] << lm)
            n = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << lm
            for i in range(low, low + n):
                seed = next_noise(seed)
                work[i] = np.float32(((seed ^ 0x80000000) >> 20) - 2048)
            renormalise(work, low, n, 1.0)
    celt[SEED] = seed
    celt[LOSS_PERIOD] = 0
    frame.transient = 0
    frame.blocks = 1
    frame.silence = 0
    frame.coded_channels = frame.output_channels
    synthesise(past, frame)


@inner_kernel("void(int64[::1], float32[::1], CeltFrame, float32[:, ::1])")
def celt_conceal(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    frame: CeltFrame,
    out: NDArray[np.float32],
) -> None:
    """Make up a lost frame.

    celt   (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past   (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    frame  its bands, length and output; the rest of it is scratch
    out    (samples / divisor or more, output_channels) float32, full scale 1.0
    """
    lm = frame.lm
    if celt[LOST] >= _PITCH_UNITS or frame.start > 0:
        _conceal_by_noise(celt, past, frame)
    else:
        _conceal_by_pitch(celt, past, frame)
    write_out(past, SHORT_SAMPLES << lm, frame.output_channels, frame.divisor, out)
    celt[LOST] += 1 << lm
    if celt[LOST_PACKET] and frame.start == 0:
        celt[HOLE] = 1
