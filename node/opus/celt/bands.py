"""The shapes of all bands, from below, each with what the ones before left over (4.3.4.1)."""

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.band import decode_band
from node.opus.celt.layout import (
    BAND,
    CODED_BANDS,
    DUAL,
    FRAME_MAX,
    INTENSITY,
    MASK,
    NORM,
    REMAINING,
    SHAPE,
    SHAPE_BITS,
    SPREAD,
    TF,
)
from node.opus.celt.partition import NOTHING
from node.opus.celt.stereo import decode_joint_band
from node.opus.celt.tables_celt import BAND_EDGES
from node.opus.range_decoder import rc_tell_frac

_BAND_BITS_MAX: int = 16383
_SPREAD_FULL: int = 3


@inner_kernel("UniTuple(int64, 3)(int64[::1], int64, int64, int64, int64, int64, int64)")
def _find_source(
    plan: NDArray[np.int64],
    start: int,
    source_band: int,
    band: int,
    channels: int,
    blocks: int,
    lm: int,
) -> tuple[int, int, int]:
    """Return where `band` folds from, as an offset in NORM, and the masks of both channels.

    The source ends where `source_band` begins: the highest part of the spectrum so far that
    was coded finely. Without one the band gets noise.
    """
    every = (1 << blocks) - 1
    plain = plan[SPREAD] == _SPREAD_FULL and blocks == 1 and plan[TF + band] >= 0
    if source_band == 0 or plain:
        return NOTHING, every, every
    n = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << lm
    origin = BAND_EDGES[start] << lm
    begin = max(0, (BAND_EDGES[source_band] << lm) - origin - n)
    low = source_band - 1
    while BAND_EDGES[low] << lm > begin + origin:
        low -= 1
    mask_x = 0
    mask_y = 0
    while True:
        mask_x |= plan[MASK + low * 2]
        mask_y |= plan[MASK + low * 2 + channels - 1]
        low += 1
        reached = low >= source_band and BAND_EDGES[low] << lm >= begin + origin + n
        if low >= band or reached:
            break
    return begin, mask_x, mask_y


@inner_kernel("void(float32[::1], int64, int64, int64)")
def _stretch_first_band(work: NDArray[np.float32], start: int, channels: int, lm: int) -> None:
    """Repeat the end of the first band, so that a wider second one can fold (RFC 8251, 9)."""
    first = (BAND_EDGES[start + 1] - BAND_EDGES[start]) << lm
    second = (BAND_EDGES[start + 2] - BAND_EDGES[start + 1]) << lm
    for channel in range(channels):
        at = NORM + channel * FRAME_MAX
        for i in range(second - first):
            work[at + first + i] = work[at + 2 * first - second + i]


@inner_kernel(
    "void(int64[::1], uint8[::1], int64[::1], float32[::1], int64, int64, int64, int64, int64, "
    "int64, int64)"
)
def decode_shapes(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    start: int,
    end: int,
    channels: int,
    blocks: int,
    lm: int,
    total: int,
    balance: int,
) -> None:
    """Decode the unit vectors of bands `start` to `end` to SHAPE, and their masks to MASK.

    rc       (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data     (n,) uint8, bytes of the payload
    plan     (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work     (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    total    eighths of a bit in the frame, less what comes after the shapes
    balance  eighths of a bit that the allocation could not place
    """
    coded = plan[CODED_BANDS]
    dual = plan[DUAL]
    origin = BAND_EDGES[start] << lm
    source_band = 0
    fine = True
    for band in range(start, end):
        plan[BAND] = band
        at = BAND_EDGES[band] << lm
        n = (BAND_EDGES[band + 1] << lm) - at
        used = rc_tell_frac(rc)
        if band != start:
            balance -= used
        plan[REMAINING] = total - used - 1
        bits = 0
        if band < coded:
            share = min(3, coded - band)
            extra = balance // share if balance >= 0 else -(-balance // share)
            bits = min(plan[REMAINING] + 1, plan[SHAPE_BITS + band] + extra)
            bits = max(0, min(_BAND_BITS_MAX, bits))
        if (at - n >= origin or band == start + 1) and (fine or source_band == 0):
            source_band = band
        if band == start + 1:
            _stretch_first_band(work, start, channels, lm)
        begin, mask_x, mask_y = _find_source(plan, start, source_band, band, channels, blocks, lm)
        if dual and band == plan[INTENSITY]:
            dual = 0
            for i in range(NORM, NORM + at - origin):
                work[i] = np.float32(0.5) * (work[i] + work[i + FRAME_MAX])
        source = begin if begin == NOTHING else NORM + begin
        target = NOTHING if band == end - 1 else NORM + at - origin
        x = SHAPE + at
        y = x + FRAME_MAX
        if dual:
            other = begin if begin == NOTHING else source + FRAME_MAX
            into = NOTHING if target == NOTHING else target + FRAME_MAX
            half = bits // 2
            mask_x = decode_band(
                rc, data, plan, work, x, n, half, blocks, source, target, lm, 1.0, mask_x
            )
            mask_y = decode_band(
                rc, data, plan, work, y, n, half, blocks, other, into, lm, 1.0, mask_y
            )
        elif channels == 2:
            fill = mask_x | mask_y
            mask_x = decode_joint_band(
                rc, data, plan, work, x, y, n, bits, blocks, source, target, lm, fill
            )
            mask_y = mask_x
        else:
            mask_x = decode_band(
                rc, data, plan, work, x, n, bits, blocks, source, target, lm, 1.0, mask_x | mask_y
            )
            mask_y = mask_x
        plan[MASK + band * 2] = mask_x
        plan[MASK + band * 2 + 1] = mask_y
        balance += plan[SHAPE_BITS + band] + used
        fine = bits > n << 3
