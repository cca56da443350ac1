"""One band of both channels, coded as mid and side (RFC 6716, sections 4.3 and 4.3.4.4)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.band import decode_band, decode_sign
from node.opus.celt.layout import REMAINING
from node.opus.celt.partition import NOTHING, REBALANCE_MIN
from node.opus.celt.theta import RIGHT_ANGLE, decode_theta, gains_and_tilt
from node.opus.range_decoder import rc_bits

_Q15: Final = 1.0 / 32768.0
_ENERGY_MIN: Final = 6e-4
"""A channel with less than this of the pair's energy is taken for a copy of the other."""


@inner_kernel("void(float32[::1], int64, int64, int64, float64)")
def _merge(work: NDArray[np.float32], x: int, y: int, n: int, mid: float) -> None:
    """Turn a unit mid (to be scaled by `mid`) and a scaled side into two unit channels."""
    cross = np.float32(0.0)
    side = np.float32(0.0)
    for i in range(n):
        cross += work[x + i] * work[y + i]
        side += work[y + i] * work[y + i]
    left = mid * mid + side - 2.0 * mid * cross
    right = mid * mid + side + 2.0 * mid * cross
    if left < _ENERGY_MIN or right < _ENERGY_MIN:
        for i in range(n):
            work[y + i] = work[x + i]
        return
    gain_left = np.float32(1.0 / sqrt(left))
    gain_right = np.float32(1.0 / sqrt(right))
    gain_mid = np.float32(mid)
    for i in range(n):
        middle = gain_mid * work[x + i]
        apart = work[y + i]
        work[x + i] = gain_left * (middle - apart)
        work[y + i] = gain_right * (middle + apart)


@inner_kernel(
    "int64(int64[::1], uint8[::1], int64[::1], float32[::1], "
    "int64, int64, int64, int64, int64, int64, int64, int64, int64, int64)"
)
def _decode_pair(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    y: int,
    bits: int,
    blocks: int,
    source: int,
    target: int,
    lm: int,
    fill: int,
    theta: int,
    cost: int,
) -> int:
    """Decode two bins of each channel: the side is the mid turned by a right angle."""
    turned = 0 < theta < RIGHT_ANGLE
    side_bits = BIT if turned else 0
    plan[REMAINING] -= cost + side_bits
    main, other = (y, x) if theta > 8192 else (x, y)
    sign = np.float32(1 - 2 * rc_bits(rc, data, 1) if turned else 1)
    mask = decode_band(
        rc, data, plan, work, main, 2, bits - side_bits, blocks, source, target, lm, 1.0, fill
    )
    work[other] = -sign * work[main + 1]
    work[other + 1] = sign * work[main]
    mid, side, _ = gains_and_tilt(theta, 2)
    for i in range(2):
        middle = np.float32(mid * _Q15) * work[x + i]
        apart = np.float32(side * _Q15) * work[y + i]
        work[x + i] = middle - apart
        work[y + i] = middle + apart
    return mask


@inner_kernel(
    "int64(int64[::1], uint8[::1], int64[::1], float32[::1], "
    "int64, int64, int64, int64, int64, int64, int64, int64, int64)"
)
def decode_joint_band(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    y: int,
    n: int,
    bits: int,
    blocks: int,
    source: int,
    target: int,
    lm: int,
    fill: int,
) -> int:
    """Decode `n` bins of both channels to `work[x]` and `work[y]`; return the filled blocks.

    The other arguments are `decode_band`'s; what goes to `target` is the mid.

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    plan  (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work  (WORK_SIZE,) float32, unit vectors
    """
    if n == 1:
        decode_sign(rc, data, plan, work, x)
        decode_sign(rc, data, plan, work, y)
        if target != NOTHING:
            work[target] = work[x]
        return 1
    theta, cost, inverted = decode_theta(rc, data, plan, n, bits, blocks, lm, 1)
    bits -= cost
    if n == 2:
        mask = _decode_pair(
            rc, data, plan, work, x, y, bits, blocks, source, target, lm, fill, theta, cost
        )
    else:
        mid, side, tilt = gains_and_tilt(theta, n)
        every = (1 << blocks) - 1
        if theta == 0:
            fill &= every
        elif theta == RIGHT_ANGLE:
            fill &= every << blocks
        bits_mid = max(0, min(bits, (bits - tilt) >> 1))
        bits_side = bits - bits_mid
        plan[REMAINING] -= cost
        before = plan[REMAINING]
        mid_first = bits_mid >= bits_side
        mask = 0
        for turn in range(2):
            if (turn == 0) == mid_first:
                mask |= decode_band(
                    rc, data, plan, work, x, n, bits_mid, blocks, source, target, lm, 1.0, fill
                )
                spare = bits_mid - (before - plan[REMAINING])
                if turn == 0 and spare > REBALANCE_MIN and theta != 0:
                    bits_side += spare - REBALANCE_MIN
            else:
                mask |= decode_band(
                    rc,
                    data,
                    plan,
                    work,
                    y,
                    n,
                    bits_side,
                    blocks,
                    NOTHING,
                    NOTHING,
                    lm,
                    side * _Q15,
                    fill >> blocks,
                )
                spare = bits_side - (before - plan[REMAINING])
                if turn == 0 and spare > REBALANCE_MIN and theta != RIGHT_ANGLE:
                    bits_mid += spare - REBALANCE_MIN
        _merge(work, x, y, n, mid * _Q15)
    if inverted:
        for i in range(y, y + n):
            work[i] = -work[i]
    return mask
