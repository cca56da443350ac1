"""Energy of the bands: coarse, fine, and what the last bits buy (RFC 6716, section 4.3.2)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import ENERGY, CeltFrame
from node.opus.celt.tables_celt import (
    BANDS,
    ENERGY_MODEL,
    ICDF,
    INTER_ALPHA,
    INTER_BETA,
    INTRA_BETA,
    SMALL_ENERGY_BITS,
    SMALL_ENERGY_ICDF,
)
from node.opus.range_decoder import (
    RangeDecoder,
    rc_bit_logp,
    rc_bits,
    rc_decode_bin,
    rc_tell,
    rc_update,
)

FINE_BITS_MAX: Final = 8
_LAPLACE_BITS: Final = 15
_LAPLACE_TOTAL: Final = 1 << _LAPLACE_BITS
_LAPLACE_FLOOR: Final = 1
"""Smallest frequency of a value: the tails of the distribution are flat."""
_LAPLACE_FLAT: Final = 16
"""Values on each side whose floor is set aside before the rest is shared out."""
_ENERGY_MIN: Final = np.float32(-9.0)
"""Floor of the prediction, so that decoders of limited range stay together."""


@inner_kernel("int64(RangeDecoder, int64, int64)")
def rc_celt_icdf(rc: RangeDecoder, offset: int, ftb: int) -> int:
    """Return a symbol of the inverse cumulative table at `ICDF[offset]` (section 4.1.3.3)."""
    total = 1 << ftb
    place = total - 1 - rc_decode_bin(rc, ftb)
    k = offset
    high = total
    while place < ICDF[k]:
        high = ICDF[k]
        k += 1
    rc_update(rc, total - high, total - ICDF[k], total)
    return k - offset


@inner_kernel("int64(RangeDecoder, int64, int64)")
def _laplace(rc: RangeDecoder, zero: int, decay: int) -> int:
    """Return a Laplace-distributed integer.

    zero    probability of 0, Q15
    decay   ratio of the probabilities of n + 1 and n, Q14
    """
    place = rc_decode_bin(rc, _LAPLACE_BITS)
    if place < zero:
        rc_update(rc, 0, zero, _LAPLACE_TOTAL)
        return 0
    low = zero
    rest = _LAPLACE_TOTAL - 2 * _LAPLACE_FLAT * _LAPLACE_FLOOR - zero
    width = ((rest * (16384 - decay)) >> 15) + _LAPLACE_FLOOR
    value = 1
    while width > _LAPLACE_FLOOR and place >= low + 2 * width:
        low += 2 * width
        width = (((width - _LAPLACE_FLOOR) * 2 * decay) >> 15) + _LAPLACE_FLOOR
        value += 1
    if width <= _LAPLACE_FLOOR:
        steps = (place - low) >> 1
        value += steps
        low += 2 * steps * _LAPLACE_FLOOR
    if place < low + width:
        value = -value
    else:
        low += width
    rc_update(rc, low, min(low + width, _LAPLACE_TOTAL), _LAPLACE_TOTAL)
    return value


@inner_kernel("void(float32[::1], CeltFrame, int64)")
def decode_coarse_energy(past: NDArray[np.float32], frame: CeltFrame, intra: int) -> None:
    """Update the energies to the integer part of their log2, predicted both ways (4.3.2.1).

    past  (CELT_FLOAT_SIZE,) float32; ENERGY, log2
    """
    rc = frame.rc[0]
    frame_bits = rc.end * 8
    lm = frame.lm
    alpha = np.float32(0.0) if intra else INTER_ALPHA[lm]
    beta = np.float32(INTRA_BETA) if intra else INTER_BETA[lm]
    across_0 = np.float32(0.0)
    across_1 = np.float32(0.0)
    for band in range(frame.start, frame.end):
        model = 2 * ((2 * lm + intra) * BANDS + band)
        for channel in range(frame.coded_channels):
            left = frame_bits - rc_tell(rc)
            if left >= 15:
                step = _laplace(rc, ENERGY_MODEL[model] << 7, ENERGY_MODEL[model + 1] << 6)
            elif left >= 2:
                zigzag = rc_celt_icdf(rc, SMALL_ENERGY_ICDF, SMALL_ENERGY_BITS)
                step = (zigzag >> 1) ^ -(zigzag & 1)
            elif left >= 1:
                step = -rc_bit_logp(rc, 1)
            else:
                step = -1
            at = ENERGY + channel * BANDS + band
            across = across_1 if channel else across_0
            past[at] = alpha * max(_ENERGY_MIN, past[at]) + across + np.float32(step)
            across += np.float32(step) * (np.float32(1.0) - beta)
            if channel:
                across_1 = across
            else:
                across_0 = across


@inner_kernel("void(float32[::1], CeltFrame)")
def decode_fine_energy(past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Refine each energy by the raw bits that the allocation gave it (4.3.2.2).

    past  (CELT_FLOAT_SIZE,) float32; ENERGY, log2
    """
    rc = frame.rc[0]
    for band in range(frame.start, frame.end):
        bits = frame.fine_bits[band]
        if bits > 0:
            scale = np.float32(1.0) / np.float32(1 << bits)
            for channel in range(frame.coded_channels):
                step = np.float32(rc_bits(rc, bits)) + np.float32(0.5)
                past[ENERGY + channel * BANDS + band] += step * scale - np.float32(0.5)


@inner_kernel("void(float32[::1], CeltFrame, int64)")
def finish_energy(past: NDArray[np.float32], frame: CeltFrame, left_bits: int) -> None:
    """Spend the frame's last bits on one more bit of energy, by priority, from below (4.3.2.2).

    past  (CELT_FLOAT_SIZE,) float32; ENERGY, log2
    """
    channels = frame.coded_channels
    for priority in range(2):
        for band in range(frame.start, frame.end):
            bits = frame.fine_bits[band]
            wanted = bits < FINE_BITS_MAX and frame.fine_last[band] == priority
            if wanted and left_bits >= channels:
                scale = np.float32(1.0) / np.float32(1 << (bits + 1))
                for channel in range(channels):
                    step = np.float32(rc_bits(frame.rc[0], 1)) - np.float32(0.5)
                    past[ENERGY + channel * BANDS + band] += step * scale
                left_bits -= channels
