"""Spectrum to sound: energies, inverse MDCT, window and overlap (RFC 6716, 4.3.6 and 4.3.7).

The inverse MDCT of N bins gives 2 N values, but half of them are the mirror of the other half:
`core` holds the N that differ, between the middles of the two overlaps.

    block        |<- overlap ->|                      |<- overlap ->|
    core                |0 ........................ N-1|
    kept between frames |60|  (raw, before the window)        |60|
"""

from math import cos, pi, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.fourier import POINTS_MAX, transform
from node.opus.celt.layout import (
    CORE,
    ENERGY,
    FRAME_MAX,
    HALF_OVERLAP,
    OVERLAP,
    SHAPE,
    SPECTRUM,
    TRANSFORM,
    CeltFrame,
)
from node.opus.celt.tables_celt import BAND_EDGES, BANDS, LM_MAX, MEAN_ENERGY, SHORT_SAMPLES, WINDOW

_ENERGY_MAX: Final = 32.0
"""Cap of the log2 amplitude (RFC 8251, section 8)."""
_POWER_MIN: Final = -60
_POWERS: Final = np.array([2.0**i for i in range(_POWER_MIN, 33)])
_SIZES: Final = [SHORT_SAMPLES << lm for lm in range(LM_MAX + 1)]
_TURNS: Final = [pi * (i + 0.125) / n for n in _SIZES for i in range(n // 2)]
TURN_RE: Final = np.array([cos(a) for a in _TURNS]).astype(np.float32)
TURN_IM: Final = np.array([-sin(a) for a in _TURNS]).astype(np.float32)


@inner_kernel("float64(float64)")
def exp2(x: float) -> float:
    """Return 2^x for x <= 32, the same on every machine; 0 is not reached: 2^-60 is the least."""
    x = max(x, float(_POWER_MIN))
    whole = int(x - _POWER_MIN)
    y = (x - _POWER_MIN - whole) * 0.6931471805599453
    series = 1 / 720 + y * (1 / 5040 + y * (1 / 40320 + y * (1 / 362880)))
    series = 1.0 + y * (1.0 + y * (1 / 2 + y * (1 / 6 + y * (1 / 24 + y * (1 / 120 + y * series)))))
    return float(_POWERS[whole] * series)


@inner_kernel("void(float32[::1], float32[::1], float32)")
def scale_values(
    target: NDArray[np.float32], source: NDArray[np.float32], gain: np.float32
) -> None:
    """Set `target` to `gain` times `source`. Views as arguments let the vector unit work.

    target, source  (n,) float32, any one unit; they do not overlap
    """
    for i in range(target.size):
        target[i] = gain * source[i]


@inner_kernel("void(float32[::1], float32[::1])")
def copy_values(target: NDArray[np.float32], source: NDArray[np.float32]) -> None:
    """Set `target` to `source`.

    target, source  (n,) float32, any one unit; they do not overlap
    """
    for i in range(target.size):
        target[i] = source[i]


@inner_kernel("void(float32[::1], CeltFrame, int64, int64)")
def scale_bands(past: NDArray[np.float32], frame: CeltFrame, channel: int, bins: int) -> None:
    """Give the shapes of one channel their energies: SPECTRUM (section 4.3.6).

    past  (CELT_FLOAT_SIZE,) float32; ENERGY is read, log2
    bins  how many are wanted: those above are zero, and those of no band
    """
    lm = frame.lm
    work = frame.work[:]
    shape = SHAPE + channel * FRAME_MAX
    spectrum = SPECTRUM + channel * FRAME_MAX
    first = BAND_EDGES[frame.start] << lm
    last = min(bins, BAND_EDGES[frame.end] << lm)
    if frame.silence:
        last = first
    for i in range(spectrum, spectrum + first):
        work[i] = np.float32(0.0)
    for i in range(spectrum + last, spectrum + (SHORT_SAMPLES << lm)):
        work[i] = np.float32(0.0)
    for band in range(frame.start, frame.end):
        low = BAND_EDGES[band] << lm
        high = min(last, BAND_EDGES[band + 1] << lm)
        if low < high:
            energy = past[ENERGY + channel * BANDS + band] + MEAN_ENERGY[band]
            gain = np.float32(exp2(min(_ENERGY_MAX, float(energy))))
            source = work[shape + low : shape + high]
            scale_values(work[spectrum + low : spectrum + high], source, gain)


@inner_kernel("void(float32[::1], int64, int64, int64)")
def inverse_core(work: NDArray[np.float32], spectrum: int, blocks: int, lm: int) -> None:
    """Transform one block of 120 << `lm` bins that lie `blocks` apart, into CORE.

    It is a DCT-IV, reversed and negated, by a complex transform of half its size.

    work  (WORK_SIZE,) float32; SPECTRUM and CORE at 16-bit scale
    """
    n = SHORT_SAMPLES << lm
    half = n >> 1
    table = (SHORT_SAMPLES >> 1) * ((1 << lm) - 1)
    turn_re = TURN_RE[table : table + half]
    turn_im = TURN_IM[table : table + half]
    ar = work[TRANSFORM : TRANSFORM + half]
    ai = work[TRANSFORM + POINTS_MAX : TRANSFORM + POINTS_MAX + half]
    br = work[TRANSFORM + 2 * POINTS_MAX : TRANSFORM + 2 * POINTS_MAX + half]
    bi = work[TRANSFORM + 3 * POINTS_MAX : TRANSFORM + 3 * POINTS_MAX + half]
    last = spectrum + (n - 1) * blocks
    for i in range(half):
        even = work[spectrum + 2 * i * blocks]
        odd = work[last - 2 * i * blocks]
        ar[i] = even * turn_re[i] - odd * turn_im[i]
        ai[i] = even * turn_im[i] + odd * turn_re[i]
    if transform(ar, ai, br, bi, half) == 1:
        ar, ai = br, bi
    for i in range(half):
        work[CORE + n - 1 - 2 * i] = ai[i] * turn_im[i] - ar[i] * turn_re[i]
        work[CORE + 2 * i] = ar[i] * turn_im[i] + ai[i] * turn_re[i]


@inner_kernel("void(float32[::1], float32[::1], int64, int64)")
def overlap_add(
    past: NDArray[np.float32], work: NDArray[np.float32], begin: int, samples: int
) -> None:
    """Join CORE to the raw tail at `past[begin]`; its own tail stays raw after the block.

    past  (CELT_FLOAT_SIZE,) float32, sound at 16-bit scale
    work  (WORK_SIZE,) float32; CORE at 16-bit scale
    """
    for i in range(HALF_OVERLAP):
        old = past[begin + i]
        new = work[CORE + HALF_OVERLAP - 1 - i]
        rising = WINDOW[i]
        falling = WINDOW[OVERLAP - 1 - i]
        past[begin + i] = falling * old - rising * new
        past[begin + OVERLAP - 1 - i] = rising * old + falling * new
    copy_values(
        past[begin + OVERLAP : begin + HALF_OVERLAP + samples],
        work[CORE + HALF_OVERLAP : CORE + samples],
    )
