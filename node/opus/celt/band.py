"""One band of one channel: resolution changes around its shape (RFC 6716, section 4.3.4.5)."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import (
    BAND,
    FOLD,
    FOLD_BINS,
    FOLD_BLOCKS,
    FOLD_DIVIDE,
    FOLD_FROM,
    FOLD_MERGE,
    REMAINING,
    TF,
)
from node.opus.celt.partition import NOTHING, decode_partition
from node.opus.celt.resolution import gather_blocks, haar
from node.opus.celt.tables_celt import MASK_MERGE, MASK_SPREAD
from node.opus.range_decoder import rc_bits


@inner_kernel("void(int64[::1], uint8[::1], int64[::1], float32[::1], int64)")
def decode_sign(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
) -> None:
    """Decode a band of one bin: all that is left of its shape is a sign.

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    plan  (PLAN_SIZE,) int64; REMAINING, in eighths of a bit
    work  (WORK_SIZE,) float32; work[x] becomes 1.0 or -1.0, unit norm
    """
    negative = 0
    if plan[REMAINING] >= BIT:
        negative = rc_bits(rc, data, 1)
        plan[REMAINING] -= BIT
    work[x] = np.float32(1 - 2 * negative)


@inner_kernel(
    "int64(int64[::1], uint8[::1], int64[::1], float32[::1], "
    "int64, int64, int64, int64, int64, int64, int64, float64, int64)"
)
def decode_band(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
    n: int,
    bits: int,
    blocks: int,
    source: int,
    target: int,
    lm: int,
    gain: float,
    fill: int,
) -> int:
    """Decode one band of `n` bins to `work[x]`; arguments as `decode_partition`.

    rc      (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data    (n,) uint8, bytes of the payload
    plan    (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work    (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    target  where in `work` later bands fold from, or NOTHING
    """
    if n == 1:
        decode_sign(rc, data, plan, work, x)
        if target != NOTHING:
            work[target] = work[x]
        return 1
    change = plan[TF + plan[BAND]]
    size = n // blocks
    merge = max(0, change)
    divide = 0
    while size >> divide & 1 == 0 and change + divide < 0:
        divide += 1
    for _ in range(merge):
        fill = MASK_MERGE[fill & 15] | MASK_MERGE[fill >> 4] << 2
    count = blocks >> merge
    size <<= merge
    for _ in range(divide):
        fill |= fill << count
        count <<= 1
        size >>= 1
    plan[FOLD_FROM] = NOTHING
    if source != NOTHING and (merge > 0 or divide > 0 or blocks > 1):
        # Most bands have pulses for everything: change the source when one needs it.
        plan[FOLD_FROM] = source
        plan[FOLD_BINS] = n
        plan[FOLD_BLOCKS] = blocks
        plan[FOLD_MERGE] = merge
        plan[FOLD_DIVIDE] = divide
        source = FOLD
    mask = decode_partition(rc, data, plan, work, x, n, bits, count, source, lm, gain, fill)
    if count > 1:
        gather_blocks(work, x, size >> merge, count << merge, blocks == 1, 1)
    for _ in range(divide):
        count >>= 1
        size <<= 1
        mask |= mask >> count
        haar(work, x, size, count)
    for level in range(merge):
        mask = MASK_SPREAD[mask]
        haar(work, x, n >> level, 1 << level)
    if target != NOTHING:
        scale = np.float32(sqrt(n))
        for i in range(n):
            work[target + i] = scale * work[x + i]
    count <<= merge
    return int(mask & ((1 << count) - 1))
