"""One band of one channel: resolution changes around its shape (RFC 6716, section 4.3.4.5)."""

from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import BAND, FOLD, REMAINING, TF, TURN
from node.opus.celt.partition import NOTHING, decode_partition
from node.opus.celt.tables_celt import HADAMARD_ORDER, MASK_MERGE, MASK_SPREAD
from node.opus.range_decoder import rc_bits

_HALF_POWER: Final = np.float32(0.70710678)


@kernel("void(float32[::1], int64, int64, int64)")
def _haar(work: NDArray[np.float32], x: int, n: int, stride: int) -> None:
    """Replace pairs of values `stride` apart by their sum and difference, energy kept."""
    for i in range(n >> 1):
        for j in range(x + 2 * stride * i, x + 2 * stride * i + stride):
            first = _HALF_POWER * work[j]
            second = _HALF_POWER * work[j + stride]
            work[j] = first + second
            work[j + stride] = first - second


@kernel("void(float32[::1], int64, int64, int64, int64, int64)")
def _gather_blocks(
    work: NDArray[np.float32], x: int, size: int, blocks: int, ordered: int, back: int
) -> None:
    """Bring the values of each block together, or `back` to where they interleave.

    ordered   1 for blocks in sequency order: they came from a transform, not from time
    """
    n = size * blocks
    for block in range(blocks):
        place = HADAMARD_ORDER[blocks - 2 + block] if ordered else block
        for i in range(size):
            if back:
                work[TURN + i * blocks + block] = work[x + place * size + i]
            else:
                work[TURN + place * size + i] = work[x + i * blocks + block]
    for i in range(n):
        work[x + i] = work[TURN + i]


@kernel("void(int64[::1], uint8[::1], int64[::1], float32[::1], int64)")
def decode_sign(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    x: int,
) -> None:
    """Decode a band of one bin: all that is left of its shape is a sign."""
    negative = 0
    if plan[REMAINING] >= BIT:
        negative = rc_bits(rc, data, 1)
        plan[REMAINING] -= BIT
    work[x] = np.float32(1 - 2 * negative)


@kernel("int64(float32[::1], int64, int64, int64, int64, int64)")
def _change_source(
    work: NDArray[np.float32], source: int, n: int, blocks: int, merge: int, divide: int
) -> int:
    """Copy the folding source to the band's resolution; return where it is now."""
    if source == NOTHING or (merge == 0 and divide == 0 and blocks == 1):
        return source
    for i in range(n):
        work[FOLD + i] = work[source + i]
    for level in range(merge):
        _haar(work, FOLD, n >> level, 1 << level)
    size = n // blocks << merge
    count = blocks >> merge
    for _ in range(divide):
        _haar(work, FOLD, size, count)
        count <<= 1
        size >>= 1
    if count > 1:
        _gather_blocks(work, FOLD, size >> merge, count << merge, blocks == 1, 0)
    return FOLD


@kernel(
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

    target   where in `work` later bands fold from, or NOTHING
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
    source = _change_source(work, source, n, blocks, merge, divide)
    mask = decode_partition(rc, data, plan, work, x, n, bits, count, source, lm, gain, fill)
    if count > 1:
        _gather_blocks(work, x, size >> merge, count << merge, blocks == 1, 1)
    for _ in range(divide):
        count >>= 1
        size <<= 1
        mask |= mask >> count
        _haar(work, x, size, count)
    for level in range(merge):
        mask = MASK_SPREAD[mask]
        _haar(work, x, n >> level, 1 << level)
    if target != NOTHING:
        scale = np.float32(sqrt(n))
        for i in range(n):
            work[target + i] = scale * work[x + i]
    count <<= merge
    return int(mask & ((1 << count) - 1))
