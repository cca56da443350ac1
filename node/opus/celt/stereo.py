"""One band of both channels, coded as mid and side (RFC 6716, sections 4.3 and 4.3.4.4)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.band import decode_band, decode_sign
from node.opus.celt.layout import FRAME_MAX, NOTHING, CeltFrame
from node.opus.celt.partition import REBALANCE_MIN
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


@inner_kernel("int64(CeltFrame, int64, int64, int64, int64, int64)")
def _decode_pair(frame: CeltFrame, x: int, bits: int, fill: int, theta: int, cost: int) -> int:
    """Decode two bins of each channel: the side is the mid turned by a right angle."""
    work = frame.work[:]
    y = x + FRAME_MAX
    turned = 0 < theta < RIGHT_ANGLE
    side_bits = BIT if turned else 0
    frame.remaining -= cost + side_bits
    main, other = (y, x) if theta > 8192 else (x, y)
    sign = np.float32(1 - 2 * rc_bits(frame.rc[0], 1) if turned else 1)
    mask = decode_band(frame, main, bits - side_bits, 1.0, fill)
    work[other] = -sign * work[main + 1]
    work[other + 1] = sign * work[main]
    mid, side, _ = gains_and_tilt(theta, 2)
    for i in range(2):
        middle = np.float32(mid * _Q15) * work[x + i]
        apart = np.float32(side * _Q15) * work[y + i]
        work[x + i] = middle - apart
        work[y + i] = middle + apart
    return mask


@inlined
def _decode_split(frame: CeltFrame, x: int, bits: int, fill: int, theta: int, cost: int) -> int:
    """Decode the mid to `work[x]` and the side to where the other channel is, and merge them."""
    n = frame.bins
    y = x + FRAME_MAX
    blocks, source, target = frame.blocks, frame.source, frame.target
    mid, side, tilt = gains_and_tilt(theta, n)
    every = (1 << blocks) - 1
    if theta == 0:
        fill &= every
    elif theta == RIGHT_ANGLE:
        fill &= every << blocks
    bits_mid = max(0, min(bits, (bits - tilt) >> 1))
    bits_side = bits - bits_mid
    frame.remaining -= cost
    before = frame.remaining
    mid_first = bits_mid >= bits_side
    mask = 0
    for turn in range(2):
        if (turn == 0) == mid_first:
            frame.source, frame.target = source, target
            mask |= decode_band(frame, x, bits_mid, 1.0, fill)
            spare = bits_mid - (before - frame.remaining)
            if turn == 0 and spare > REBALANCE_MIN and theta != 0:
                bits_side += spare - REBALANCE_MIN
        else:
            frame.source, frame.target = NOTHING, NOTHING
            mask |= decode_band(frame, y, bits_side, side * _Q15, fill >> blocks)
            spare = bits_side - (before - frame.remaining)
            if turn == 0 and spare > REBALANCE_MIN and theta != RIGHT_ANGLE:
                bits_mid += spare - REBALANCE_MIN
    _merge(frame.work[:], x, y, n, mid * _Q15)
    return mask


@inner_kernel("int64(CeltFrame, int64, int64, int64)")
def decode_joint_band(frame: CeltFrame, x: int, bits: int, fill: int) -> int:
    """Decode the band of both channels, FRAME_MAX apart from `work[x]`; return the filled blocks.

    The arguments are `decode_band`'s; what goes to the frame's `target` is the mid.
    """
    n = frame.bins
    work = frame.work[:]
    y = x + FRAME_MAX
    if n == 1:
        decode_sign(frame, x)
        decode_sign(frame, y)
        if frame.target != NOTHING:
            work[frame.target] = work[x]
        return 1
    theta, cost, inverted = decode_theta(frame, n, bits, frame.blocks, frame.lm, 1)
    bits -= cost
    if n == 2:
        mask = _decode_pair(frame, x, bits, fill, theta, cost)
    else:
        mask = _decode_split(frame, x, bits, fill, theta, cost)
    if inverted:
        for i in range(y, y + n):
            work[i] = -work[i]
    return mask
