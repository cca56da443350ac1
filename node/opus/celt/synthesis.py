"""From shapes and energies to sound: the second half of a frame (RFC 6716, 4.3.6 to 4.3.7.2)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.de_emphasis import de_emphasise
from node.opus.celt.inverse_mdct import copy_values, inverse_core, overlap_add, scale_bands
from node.opus.celt.layout import (
    FRAME_MAX,
    GAIN,
    GAIN_OLD,
    HISTORY,
    HISTORY_SAMPLES,
    HISTORY_STRIDE,
    PERIOD,
    PERIOD_OLD,
    SPECTRUM,
    TAPSET,
    TAPSET_OLD,
    CeltFrame,
)
from node.opus.celt.post_filter import post_filter
from node.opus.celt.tables_celt import SHORT_SAMPLES

_HALF: Final = np.float32(0.5)


@inner_kernel("void(float32[::1], int64, int64)")
def advance(past: NDArray[np.float32], channel: int, samples: int) -> None:
    """Move one channel's history back by `samples`, the raw tail with it.

    past  (CELT_FLOAT_SIZE,) float32, history at 16-bit scale, 48 kHz
    """
    first = HISTORY + channel * HISTORY_STRIDE
    last = first + HISTORY_STRIDE - samples
    for begin in range(first, last, samples):
        end = min(begin + samples, last)
        copy_values(past[begin:end], past[begin + samples : end + samples])


@inner_kernel("void(float32[::1], CeltFrame)")
def synthesise(past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Add the frame to the history of each output channel, before post-filter.

    One coded channel is copied to both, and two are mixed to one by their spectra.

    past  (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    """
    lm, coded, channels = frame.lm, frame.coded_channels, frame.output_channels
    work = frame.work[:]
    samples = SHORT_SAMPLES << lm
    for channel in range(coded):
        scale_bands(past, frame, channel, samples // frame.divisor)
    if coded > channels:
        for i in range(SPECTRUM, SPECTRUM + samples):
            work[i] = _HALF * (work[i] + work[i + FRAME_MAX])
    blocks = frame.blocks
    block_lm = 0 if frame.transient else lm
    for channel in range(channels):
        advance(past, channel, samples)
    for source in range(min(coded, channels)):
        for block in range(blocks):
            inverse_core(work, SPECTRUM + source * FRAME_MAX + block, blocks, block_lm)
            at = HISTORY + HISTORY_SAMPLES - samples + block * (SHORT_SAMPLES << block_lm)
            for channel in range(source, channels if coded < channels else source + 1):
                overlap_add(past, work, at + channel * HISTORY_STRIDE, SHORT_SAMPLES << block_lm)


@inner_kernel("void(int64[::1], float32[::1], CeltFrame)")
def filter_pitch(celt: NDArray[np.int64], past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Post-filter the frame: 2.5 ms as the last one ended, then over to what this one says.

    celt  (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past  (CELT_FLOAT_SIZE,) float32; history at 16-bit scale, GAIN a ratio
    """
    lm = frame.lm
    samples = SHORT_SAMPLES << lm
    before_2, before, now = frame.combs[0], frame.combs[1], frame.combs[2]
    before_2.period, before_2.tapset = celt[PERIOD_OLD], celt[TAPSET_OLD]
    before_2.gain = past[GAIN_OLD]
    before.period, before.tapset, before.gain = celt[PERIOD], celt[TAPSET], past[GAIN]
    for channel in range(frame.output_channels):
        at = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES - samples
        post_filter(past, at, SHORT_SAMPLES, before_2, before)
        if lm > 0:
            post_filter(past, at + SHORT_SAMPLES, samples - SHORT_SAMPLES, before, now)
    last = now if lm > 0 else before
    celt[PERIOD_OLD], celt[TAPSET_OLD], past[GAIN_OLD] = last.period, last.tapset, last.gain
    celt[PERIOD], celt[TAPSET], past[GAIN] = now.period, now.tapset, now.gain


@inner_kernel("void(float32[::1], int64, int64, int64, float32[:, ::1])")
def write_out(
    past: NDArray[np.float32],
    samples: int,
    channels: int,
    divisor: int,
    out: NDArray[np.float32],
) -> None:
    """De-emphasise the newest `samples` of each channel into `out`.

    past  (CELT_FLOAT_SIZE,) float32, history at 16-bit scale, 48 kHz
    out   (samples / divisor or more, channels) float32, full scale 1.0
    """
    for channel in range(channels):
        at = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES - samples
        de_emphasise(past, at, samples, channel, divisor, out)
