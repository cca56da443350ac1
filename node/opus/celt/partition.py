"""One band's shape: halve while the code book is too large, then decode or fold (4.3.4.4)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import NOTHING, CeltFrame
from node.opus.celt.pulses import bits_to_pulses, decode_pulses, pulses_to_bits
from node.opus.celt.resolution import change_source
from node.opus.celt.tables_celt import BANDS, PULSE_COST, PULSE_INDEX
from node.opus.celt.theta import RIGHT_ANGLE, decode_theta, gains_and_tilt

REBALANCE_MIN: Final = 3 * BIT
"""What a half may leave over before the other half gets it."""
_SPLIT_MARGIN: Final = 12
_FOLD_NOISE: Final = np.float32(1 / 256)
_Q15: Final = 1.0 / 32768.0


@inner_kernel("int64(int64)")
def next_noise(seed: int) -> int:
    """Return the next state of the noise generator, 32 bits."""
    return (seed * 1664525 + 1013904223) & 0xFFFFFFFF


@inner_kernel("void(float32[::1], int64, int64, float64)")
def renormalise(work: NDArray[np.float32], x: int, n: int, gain: float) -> None:
    """Scale `n` values at `work[x]` to norm `gain`.

    work  (WORK_SIZE,) float32, any norm before
    """
    energy = np.float32(1e-15)
    for i in range(x, x + n):
        energy += work[i] * work[i]
    scale = np.float32(gain / sqrt(energy))
    for i in range(x, x + n):
        work[i] *= scale


@inner_kernel("int64(CeltFrame, int64, int64, int64, float64, int64)")
def _fold(frame: CeltFrame, x: int, n: int, blocks: int, gain: float, fill: int) -> int:
    """Fill values that got no pulses from lower bands or with noise; return the filled blocks."""
    work = frame.work[:]
    every = (1 << blocks) - 1
    fill &= every
    if fill == 0:
        for i in range(x, x + n):
            work[i] = np.float32(0.0)
        return 0
    if frame.fold_from != NOTHING:
        change_source(frame)
    is_noise = frame.source == NOTHING
    source = x + frame.source_shift
    seed = frame.noise
    for i in range(n):
        seed = next_noise(seed)
        if is_noise:
            work[x + i] = np.float32(((seed ^ 0x80000000) >> 20) - 2048)  # the top bits, signed
        elif seed & 0x8000:
            work[x + i] = work[source + i] + _FOLD_NOISE
        else:
            work[x + i] = work[source + i] - _FOLD_NOISE
    frame.noise = seed
    renormalise(work, x, n, gain)
    return every if is_noise else fill


@inner_kernel("int64(CeltFrame, int64, int64, int64, float64, int64)")
def _decode_whole(
    frame: CeltFrame, x: int, halvings: int, bits: int, gain: float, fill: int
) -> int:
    """Decode values that are not split: pulses if the frame can pay for any, else fold."""
    n = frame.bins >> halvings
    blocks = max(1, frame.split_blocks >> halvings)
    row = PULSE_INDEX[(frame.lm - halvings + 1) * BANDS + frame.band]
    pseudo = bits_to_pulses(row, bits)
    cost = pulses_to_bits(row, pseudo)
    left = frame.remaining
    while cost > left and pseudo > 0:
        pseudo -= 1
        cost = pulses_to_bits(row, pseudo)
    frame.remaining = left - cost
    if pseudo == 0:
        return _fold(frame, x, n, blocks, gain, fill)
    pulses = pseudo if pseudo < 8 else (8 + (pseudo & 7)) << ((pseudo >> 3) - 1)
    return decode_pulses(frame, x, n, pulses, blocks, gain)


@inner_kernel("int64(CeltFrame, int64, int64, int64, float64, int64)")
def decode_partition(
    frame: CeltFrame, x: int, halvings: int, bits: int, gain: float, fill: int
) -> int:
    """Decode a part of the frame's band to `work[x]`; return the mask of filled blocks.

    halvings  how often the band has been halved: the part is `bins` >> halvings values
    bits      eighths of a bit that may be spent
    gain      norm of the result; fill: mask of the source's filled blocks
    """
    n = frame.bins >> halvings
    lm = frame.lm - halvings
    row = PULSE_INDEX[(lm + 1) * BANDS + frame.band]
    if lm < 0 or n <= 2 or bits <= PULSE_COST[row + PULSE_COST[row]] + _SPLIT_MARGIN:
        return _decode_whole(frame, x, halvings, bits, gain, fill)
    blocks = max(1, frame.split_blocks >> halvings)
    n >>= 1
    lm -= 1
    if blocks == 1:
        fill = (fill & 1) | (fill << 1)
    half = (blocks + 1) >> 1
    theta, cost, _ = decode_theta(frame, n, bits, blocks, lm, 0)
    bits -= cost
    mid, side, tilt = gains_and_tilt(theta, n)
    if theta == 0:
        fill &= (1 << half) - 1
    elif theta == RIGHT_ANGLE:
        fill &= ((1 << half) - 1) << half
    elif blocks > 1:
        if theta > 8192:
            tilt -= tilt >> (4 - lm)  # rough approximation of pre-echo masking
        else:
            tilt = min(0, tilt + (n << 3 >> (5 - lm)))
    bits_mid = max(0, min(bits, (bits - tilt) >> 1))
    bits_side = bits - bits_mid
    frame.remaining -= cost
    gain_mid = gain * mid * _Q15
    gain_side = gain * side * _Q15
    up = blocks >> 1
    deeper = halvings + 1
    before = frame.remaining
    if bits_mid >= bits_side:
        mask = decode_partition(frame, x, deeper, bits_mid, gain_mid, fill)
        spare = bits_mid - (before - frame.remaining)
        if spare > REBALANCE_MIN and theta != 0:
            bits_side += spare - REBALANCE_MIN
        return mask | (
            decode_partition(frame, x + n, deeper, bits_side, gain_side, fill >> half) << up
        )
    mask = decode_partition(frame, x + n, deeper, bits_side, gain_side, fill >> half)
    spare = bits_side - (before - frame.remaining)
    if spare > REBALANCE_MIN and theta != RIGHT_ANGLE:
        bits_mid += spare - REBALANCE_MIN
    return mask << up | decode_partition(frame, x, deeper, bits_mid, gain_mid, fill)
