"""One band's shape: halve while the code book is too large, then decode or fold (4.3.4.4)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import BAND, FOLD_FROM, NOISE, REMAINING, SPREAD
from node.opus.celt.pulses import bits_to_pulses, decode_pulses, pulses_to_bits
from node.opus.celt.resolution import change_source
from node.opus.celt.tables_celt import BANDS, PULSE_COST, PULSE_INDEX
from node.opus.celt.theta import RIGHT_ANGLE, decode_theta, gains_and_tilt

NOTHING: Final = -1
"""Offset of a folding source that is not there."""
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


@inner_kernel("int64(int64[::1], float32[::1], int64, int64, int64, int64, float64, int64)")
def _fold(
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    n: int,
    blocks: int,
    source: int,
    gain: float,
    fill: int,
) -> int:
    """Fill values that got no pulses from lower bands or with noise; return the filled blocks."""
    every = (1 << blocks) - 1
    fill &= every
    if fill == 0:
        for i in range(x, x + n):
            work[i] = np.float32(0.0)
        return 0
    if source != NOTHING and plan[FOLD_FROM] != NOTHING:
        change_source(plan, work)
    seed = plan[NOISE]
    for i in range(n):
        seed = next_noise(seed)
        if source == NOTHING:
            work[x + i] = np.float32(((seed ^ 0x80000000) >> 20) - 2048)  # the top bits, signed
        elif seed & 0x8000:
            work[x + i] = work[source + i] + _FOLD_NOISE
        else:
            work[x + i] = work[source + i] - _FOLD_NOISE
    plan[NOISE] = seed
    renormalise(work, x, n, gain)
    return every if source == NOTHING else fill


@inner_kernel(
    "int64(int64[::1], uint8[::1], int64[::1], float32[::1], "
    "int64, int64, int64, int64, int64, int64, float64, int64)"
)
def _decode_whole(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    n: int,
    bits: int,
    blocks: int,
    source: int,
    row: int,
    gain: float,
    fill: int,
) -> int:
    """Decode values that are not split: pulses if the frame can pay for any, else fold.

    row   where the costs of pulses begin in PULSE_COST
    """
    pseudo = bits_to_pulses(row, bits)
    cost = pulses_to_bits(row, pseudo)
    left = plan[REMAINING]
    while cost > left and pseudo > 0:
        pseudo -= 1
        cost = pulses_to_bits(row, pseudo)
    plan[REMAINING] = left - cost
    if pseudo == 0:
        return _fold(plan, work, x, n, blocks, source, gain, fill)
    pulses = pseudo if pseudo < 8 else (8 + (pseudo & 7)) << ((pseudo >> 3) - 1)
    return decode_pulses(rc, data, work, x, n, pulses, blocks, plan[SPREAD], gain)


@inner_kernel(
    "int64(int64[::1], uint8[::1], int64[::1], float32[::1], "
    "int64, int64, int64, int64, int64, int64, float64, int64)"
)
def decode_partition(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    n: int,
    bits: int,
    blocks: int,
    source: int,
    lm: int,
    gain: float,
    fill: int,
) -> int:
    """Decode `n` values to `work[x]`; return the mask of filled blocks.

    rc      (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data    (n,) uint8, bytes of the payload
    plan    (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work    (WORK_SIZE,) float32, of norm `gain` where it was decoded
    bits    eighths of a bit that may be spent
    blocks  short blocks that the values interleave, one after the other
    source  where folding copies from in `work`, or NOTHING
    lm      halvings left, less 1
    gain    norm of the result; fill: mask of the source's filled blocks
    """
    row = PULSE_INDEX[(lm + 1) * BANDS + plan[BAND]]
    if lm < 0 or n <= 2 or bits <= PULSE_COST[row + PULSE_COST[row]] + _SPLIT_MARGIN:
        return _decode_whole(rc, data, plan, work, x, n, bits, blocks, source, row, gain, fill)
    n >>= 1
    lm -= 1
    if blocks == 1:
        fill = (fill & 1) | (fill << 1)
    half = (blocks + 1) >> 1
    theta, cost, _ = decode_theta(rc, data, plan, n, bits, blocks, lm, 0)
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
    plan[REMAINING] -= cost
    upper = source if source == NOTHING else source + n
    gain_mid = gain * mid * _Q15
    gain_side = gain * side * _Q15
    up = blocks >> 1
    before = plan[REMAINING]
    if bits_mid >= bits_side:
        mask = decode_partition(
            rc, data, plan, work, x, n, bits_mid, half, source, lm, gain_mid, fill
        )
        spare = bits_mid - (before - plan[REMAINING])
        if spare > REBALANCE_MIN and theta != 0:
            bits_side += spare - REBALANCE_MIN
        return mask | (
            decode_partition(
                rc, data, plan, work, x + n, n, bits_side, half, upper, lm, gain_side, fill >> half
            )
            << up
        )
    mask = decode_partition(
        rc, data, plan, work, x + n, n, bits_side, half, upper, lm, gain_side, fill >> half
    )
    spare = bits_side - (before - plan[REMAINING])
    if spare > REBALANCE_MIN and theta != RIGHT_ANGLE:
        bits_mid += spare - REBALANCE_MIN
    return mask << up | decode_partition(
        rc, data, plan, work, x, n, bits_mid, half, source, lm, gain_mid, fill
    )
