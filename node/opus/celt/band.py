"""One band of one channel: resolution changes around its shape (RFC 6716, section 4.3.4.5)."""

from math import sqrt

import numpy as np

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import FOLD, NOTHING, CeltFrame
from node.opus.celt.partition import decode_partition
from node.opus.celt.resolution import gather_blocks, haar
from node.opus.celt.tables_celt import MASK_MERGE, MASK_SPREAD
from node.opus.range_decoder import rc_bits


@inner_kernel("void(CeltFrame, int64)")
def decode_sign(frame: CeltFrame, x: int) -> None:
    """Decode a band of one bin: all that is left of its shape is a sign, at `work[x]`."""
    negative = 0
    if frame.remaining >= BIT:
        negative = rc_bits(frame.rc[0], 1)
        frame.remaining -= BIT
    frame.work[x] = np.float32(1 - 2 * negative)


@inner_kernel("int64(CeltFrame, int64, int64, float64, int64)")
def decode_band(frame: CeltFrame, x: int, bits: int, gain: float, fill: int) -> int:
    """Decode the band of one channel to `work[x]`; return the mask of filled blocks.

    The frame says which band it is, and `source` and `target`: where it folds from, and where
    later bands fold from what it becomes. The other arguments are those of `decode_partition`.
    """
    n, blocks = frame.bins, frame.blocks
    work = frame.work[:]
    source, target = frame.source, frame.target
    if n == 1:
        decode_sign(frame, x)
        if target != NOTHING:
            work[target] = work[x]
        return 1
    change = frame.tf[frame.band]
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
    frame.fold_from = NOTHING
    frame.source_shift = source - x
    if source != NOTHING and (merge > 0 or divide > 0 or blocks > 1):
        # Most bands have pulses for everything: change the source when one needs it.
        frame.fold_from = source
        frame.fold_merge = merge
        frame.fold_divide = divide
        frame.source_shift = FOLD - x
    frame.split_blocks = count
    mask = decode_partition(frame, x, 0, bits, gain, fill)
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
