"""Time-frequency resolution of each band (RFC 6716, section 4.3.4.5)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import FOLD, NOTHING, TURN, CeltFrame
from node.opus.celt.tables_celt import HADAMARD_ORDER, TF_ADJUST
from node.opus.range_decoder import rc_bit_logp, rc_tell

_HALF_POWER: Final = np.float32(0.70710678)


@inner_kernel("void(CeltFrame)")
def decode_resolution(frame: CeltFrame) -> None:
    """Set `tf`."""
    rc, lm, transient = frame.rc[0], frame.lm, frame.transient
    frame_bits = rc.end * 8
    logp = 2 if transient else 4
    selectable = lm > 0 and rc_tell(rc) + logp + 1 <= frame_bits
    if selectable:
        frame_bits -= 1
    change = 0
    changed = 0
    for band in range(frame.start, frame.end):
        if rc_tell(rc) + logp <= frame_bits:
            change ^= rc_bit_logp(rc, logp)
            changed |= change
        frame.tf[band] = change
        logp = 4 if transient else 5
    row = 8 * lm + 4 * transient
    if selectable and TF_ADJUST[row + changed] != TF_ADJUST[row + 2 + changed]:
        row += 2 * rc_bit_logp(rc, 1)
    for band in range(frame.start, frame.end):
        frame.tf[band] = TF_ADJUST[row + frame.tf[band]]


@inner_kernel("void(float32[::1], int64, int64, int64)")
def haar(work: NDArray[np.float32], x: int, n: int, stride: int) -> None:
    """Replace pairs of values `stride` apart by their sum and difference, energy kept.

    work  (WORK_SIZE,) float32, norm kept
    """
    for i in range(n >> 1):
        for j in range(x + 2 * stride * i, x + 2 * stride * i + stride):
            first = _HALF_POWER * work[j]
            second = _HALF_POWER * work[j + stride]
            work[j] = first + second
            work[j + stride] = first - second


@inner_kernel("void(float32[::1], int64, int64, int64, int64, int64)")
def gather_blocks(
    work: NDArray[np.float32], x: int, size: int, blocks: int, ordered: int, back: int
) -> None:
    """Bring the values of each block together, or `back` to where they interleave.

    work     (WORK_SIZE,) float32, norm kept; TURN is scratch
    ordered  1 for blocks in sequency order: they came from a transform, not from time
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


@inner_kernel("void(CeltFrame)")
def change_source(frame: CeltFrame) -> None:
    """Copy the folding source to FOLD at the resolution of the band, once per band."""
    work = frame.work[:]
    n, blocks, merge, source = frame.bins, frame.blocks, frame.fold_merge, frame.fold_from
    frame.fold_from = NOTHING
    for i in range(n):
        work[FOLD + i] = work[source + i]
    for level in range(merge):
        haar(work, FOLD, n >> level, 1 << level)
    size = n // blocks << merge
    count = blocks >> merge
    for _ in range(frame.fold_divide):
        haar(work, FOLD, size, count)
        count <<= 1
        size >>= 1
    if count > 1:
        gather_blocks(work, FOLD, size >> merge, count << merge, blocks == 1, 0)
