"""The shapes of all bands, from below, each with what the ones before left over (4.3.4.1)."""

import numpy as np

from node.kernel import inlined, inner_kernel
from node.opus.celt.band import decode_band
from node.opus.celt.layout import FRAME_MAX, NORM, NOTHING, SHAPE, CeltFrame
from node.opus.celt.stereo import decode_joint_band
from node.opus.celt.tables_celt import BAND_EDGES
from node.opus.range_decoder import rc_tell_frac

_BAND_BITS_MAX: int = 16383
_SPREAD_FULL: int = 3


@inner_kernel("UniTuple(int64, 3)(CeltFrame, int64)")
def _find_source(frame: CeltFrame, source_band: int) -> tuple[int, int, int]:
    """Return where the band folds from, as an offset in NORM, and the masks of both channels.

    The source ends where `source_band` begins: the highest part of the spectrum so far that
    was coded finely. Without one the band gets noise.
    """
    band, lm = frame.band, frame.lm
    every = (1 << frame.blocks) - 1
    plain = frame.spread == _SPREAD_FULL and frame.blocks == 1 and frame.tf[band] >= 0
    if source_band == 0 or plain:
        return NOTHING, every, every
    n = frame.bins
    origin = BAND_EDGES[frame.start] << lm
    begin = max(0, (BAND_EDGES[source_band] << lm) - origin - n)
    low = source_band - 1
    while BAND_EDGES[low] << lm > begin + origin:
        low -= 1
    mask_x = 0
    mask_y = 0
    while True:
        mask_x |= frame.mask[low * 2]
        mask_y |= frame.mask[low * 2 + frame.coded_channels - 1]
        low += 1
        reached = low >= source_band and BAND_EDGES[low] << lm >= begin + origin + n
        if low >= band or reached:
            break
    return begin, mask_x, mask_y


@inner_kernel("void(CeltFrame)")
def _stretch_first_band(frame: CeltFrame) -> None:
    """Repeat the end of the first band, so that a wider second one can fold (RFC 8251, 9)."""
    start = frame.start
    work = frame.work[:]
    first = (BAND_EDGES[start + 1] - BAND_EDGES[start]) << frame.lm
    second = (BAND_EDGES[start + 2] - BAND_EDGES[start + 1]) << frame.lm
    for channel in range(frame.coded_channels):
        at = NORM + channel * FRAME_MAX
        for i in range(second - first):
            work[at + first + i] = work[at + 2 * first - second + i]


@inlined
def _decode_apart(frame: CeltFrame, x: int, bits: int, fill_x: int, fill_y: int) -> tuple[int, int]:
    """Decode the band of two channels that share nothing; return the mask of each."""
    mask_x = decode_band(frame, x, bits // 2, 1.0, fill_x)
    if frame.source != NOTHING:
        frame.source += FRAME_MAX
    if frame.target != NOTHING:
        frame.target += FRAME_MAX
    return mask_x, decode_band(frame, x + FRAME_MAX, bits // 2, 1.0, fill_y)


@inner_kernel("void(CeltFrame, int64, int64)")
def decode_shapes(frame: CeltFrame, total: int, balance: int) -> None:
    """Decode the unit vectors of all bands to SHAPE, and their masks to `mask`.

    total    eighths of a bit in the frame, less what comes after the shapes
    balance  eighths of a bit that the allocation could not place
    """
    start, coded, lm = frame.start, frame.coded_bands, frame.lm
    work = frame.work[:]
    dual = frame.dual
    origin = BAND_EDGES[start] << lm
    source_band = 0
    fine = True
    for band in range(start, frame.end):
        at = BAND_EDGES[band] << lm
        n = (BAND_EDGES[band + 1] << lm) - at
        frame.band = band
        frame.bins = n
        used = rc_tell_frac(frame.rc[0])
        if band != start:
            balance -= used
        frame.remaining = total - used - 1
        bits = 0
        if band < coded:
            share = min(3, coded - band)
            extra = balance // share if balance >= 0 else -(-balance // share)
            bits = min(frame.remaining + 1, frame.shape_bits[band] + extra)
            bits = max(0, min(_BAND_BITS_MAX, bits))
        if (at - n >= origin or band == start + 1) and (fine or source_band == 0):
            source_band = band
        if band == start + 1:
            _stretch_first_band(frame)
        begin, mask_x, mask_y = _find_source(frame, source_band)
        if dual and band == frame.intensity:
            dual = 0
            for i in range(NORM, NORM + at - origin):
                work[i] = np.float32(0.5) * (work[i] + work[i + FRAME_MAX])
        frame.source = begin if begin == NOTHING else NORM + begin
        frame.target = NOTHING if band == frame.end - 1 else NORM + at - origin
        if dual:
            mask_x, mask_y = _decode_apart(frame, SHAPE + at, bits, mask_x, mask_y)
        elif frame.coded_channels == 2:
            mask_x = decode_joint_band(frame, SHAPE + at, bits, mask_x | mask_y)
            mask_y = mask_x
        else:
            mask_x = decode_band(frame, SHAPE + at, bits, 1.0, mask_x | mask_y)
            mask_y = mask_x
        frame.mask[band * 2] = mask_x
        frame.mask[band * 2 + 1] = mask_y
        balance += frame.shape_bits[band] + used
        fine = bits > n << 3
