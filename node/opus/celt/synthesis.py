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
    NEW_GAIN_Q5,
    NEW_PERIOD,
    NEW_TAPSET,
    PERIOD,
    PERIOD_OLD,
    SILENCE,
    SPECTRUM,
    TAPSET,
    TAPSET_OLD,
    TRANSIENT,
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


@inner_kernel(
    "void(int64[::1], float32[::1], int64[::1], float32[::1], int64, int64, int64, int64, int64, "
    "int64)"
)
def synthesise(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    start: int,
    end: int,
    lm: int,
    coded: int,
    channels: int,
    bins: int,
) -> None:
    """Add the frame to the history of each output channel, before post-filter.

    celt             (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past             (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    plan             (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work             (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    coded, channels  channels in the frame and of the output: one is copied to both, and two are
                     mixed to one by their spectra
    """
    samples = SHORT_SAMPLES << lm
    for channel in range(coded):
        scale_bands(past, work, channel, start, end, lm, bins, plan[SILENCE])
    if coded > channels:
        for i in range(SPECTRUM, SPECTRUM + samples):
            work[i] = _HALF * (work[i] + work[i + FRAME_MAX])
    blocks = 1 << lm if plan[TRANSIENT] else 1
    block_lm = 0 if plan[TRANSIENT] else lm
    for channel in range(channels):
        advance(past, channel, samples)
    for source in range(min(coded, channels)):
        for block in range(blocks):
            inverse_core(work, SPECTRUM + source * FRAME_MAX + block, blocks, block_lm)
            at = HISTORY + HISTORY_SAMPLES - samples + block * (SHORT_SAMPLES << block_lm)
            for channel in range(source, channels if coded < channels else source + 1):
                overlap_add(past, work, at + channel * HISTORY_STRIDE, SHORT_SAMPLES << block_lm)


@inner_kernel("void(int64[::1], float32[::1], int64[::1], int64, int64)")
def filter_pitch(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    plan: NDArray[np.int64],
    lm: int,
    channels: int,
) -> None:
    """Post-filter the frame: 2.5 ms as the last one ended, then over to what this one says.

    celt  (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past  (CELT_FLOAT_SIZE,) float32; history at 16-bit scale, GAIN a ratio
    plan  (PLAN_SIZE,) int64; NEW_PERIOD in samples, NEW_GAIN_Q5
    """
    samples = SHORT_SAMPLES << lm
    gain = np.float32(plan[NEW_GAIN_Q5]) / np.float32(32.0)
    for channel in range(channels):
        at = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES - samples
        post_filter(
            past,
            at,
            SHORT_SAMPLES,
            celt[PERIOD_OLD],
            celt[PERIOD],
            past[GAIN_OLD],
            past[GAIN],
            celt[TAPSET_OLD],
            celt[TAPSET],
        )
        if lm > 0:
            post_filter(
                past,
                at + SHORT_SAMPLES,
                samples - SHORT_SAMPLES,
                celt[PERIOD],
                plan[NEW_PERIOD],
                past[GAIN],
                gain,
                celt[TAPSET],
                plan[NEW_TAPSET],
            )
    celt[PERIOD_OLD], celt[TAPSET_OLD], past[GAIN_OLD] = celt[PERIOD], celt[TAPSET], past[GAIN]
    celt[PERIOD], celt[TAPSET], past[GAIN] = plan[NEW_PERIOD], plan[NEW_TAPSET], gain
    if lm > 0:
        celt[PERIOD_OLD], celt[TAPSET_OLD], past[GAIN_OLD] = celt[PERIOD], celt[TAPSET], gain


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
