"""Anti-collapse: no short block of a transient is left empty (RFC 6716, section 4.3.5)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.inverse_mdct import exp2
from node.opus.celt.layout import ENERGY, ENERGY_1, ENERGY_2, FRAME_MAX, SHAPE, CeltFrame
from node.opus.celt.partition import next_noise, renormalise
from node.opus.celt.tables_celt import BAND_EDGES, BANDS

_SQRT_2: Final = 1.41421356


@inner_kernel("float64(float32[::1], CeltFrame, int64, int64)")
def _noise_level(past: NDArray[np.float32], frame: CeltFrame, band: int, channel: int) -> float:
    """Return the amplitude to fill with: that of the quieter of two past frames, but bounded."""
    lm = frame.lm
    width = BAND_EDGES[band + 1] - BAND_EDGES[band]
    depth = (1 + frame.shape_bits[band]) // width >> lm
    bound = 0.5 * exp2(-0.125 * depth)
    at = channel * BANDS + band
    before = past[ENERGY_1 + at]
    before_2 = past[ENERGY_2 + at]
    if frame.coded_channels == 1:
        before = max(before, past[ENERGY_1 + BANDS + band])
        before_2 = max(before_2, past[ENERGY_2 + BANDS + band])
    fallen = max(0.0, float(past[ENERGY + at] - min(before, before_2)))
    level = 2.0 * exp2(-fallen)
    if lm == 3:
        level *= _SQRT_2
    return min(bound, level) / sqrt(width << lm)


@inner_kernel("void(float32[::1], CeltFrame)")
def fill_collapsed(past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Put noise into the empty blocks of SHAPE and scale each such band to unit norm again.

    past  (CELT_FLOAT_SIZE,) float32; energies of three frames, log2
    """
    lm = frame.lm
    work = frame.work[:]
    seed = frame.noise
    for band in range(frame.start, frame.end):
        width = BAND_EDGES[band + 1] - BAND_EDGES[band]
        for channel in range(frame.coded_channels):
            mask = frame.mask[band * 2 + channel]
            if mask == (1 << (1 << lm)) - 1:
                continue
            level = np.float32(_noise_level(past, frame, band, channel))
            at = SHAPE + channel * FRAME_MAX + (BAND_EDGES[band] << lm)
            for block in range(1 << lm):
                if mask >> block & 1 == 0:
                    for i in range(width):
                        seed = next_noise(seed)
                        work[at + (i << lm) + block] = level if seed & 0x8000 else -level
            renormalise(work, at, width << lm, 1.0)
    frame.noise = seed
