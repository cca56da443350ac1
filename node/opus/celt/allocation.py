"""Bit allocation: how many eighths of a bit each band's shape and energy get (RFC 6716, 4.3.3).

Encoder and decoder must come to the same numbers from the same few symbols, so every division
and shift here is part of the format.
"""

from typing import Final

from node.kernel import inner_kernel
from node.opus.celt.layout import CeltFrame
from node.opus.celt.tables_celt import (
    ALLOCATION,
    ALLOCATION_ROWS,
    BAND_EDGES,
    BANDS,
    CAPS,
    LOG2_FRAC,
)
from node.opus.range_decoder import rc_bit_logp, rc_tell_frac, rc_uint

BIT: Final = 8
"""Eighths in a bit."""
_STEPS_BITS: Final = 6
"""Interpolation between two rows of the table goes in 1/64."""


@inner_kernel("void(CeltFrame)")
def set_caps(frame: CeltFrame) -> None:
    """Set the most that each band can use: `cap`."""
    channels = frame.coded_channels
    row = BANDS * (2 * frame.lm + channels - 1)
    for band in range(frame.start, frame.end):
        bins = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << frame.lm
        frame.cap[band] = (CAPS[row + band] + 64) * channels * bins >> 2


@inner_kernel("int64(CeltFrame)")
def decode_boosts(frame: CeltFrame) -> int:
    """Read how much each band gets on top; return the frame's eighths of a bit less all that."""
    rc = frame.rc[0]
    left = rc.end * 8 * BIT
    first_logp = 6
    for band in range(frame.start, frame.end):
        width = frame.coded_channels * (BAND_EDGES[band + 1] - BAND_EDGES[band]) << frame.lm
        quantum = min(width << 3, max(6 * BIT, width))
        logp = first_logp
        boost = 0
        while (
            rc_tell_frac(rc) + logp * BIT < left
            and boost < frame.cap[band]
            and rc_bit_logp(rc, logp) == 1
        ):
            boost += quantum
            left -= quantum
            logp = 1
        frame.boost[band] = boost
        if boost > 0:
            first_logp = max(2, first_logp - 1)
    return int(left)


@inner_kernel("void(CeltFrame, int64)")
def _set_minimums(frame: CeltFrame, trim: int) -> None:
    """Set what a band must reach to be worth a shape, and the tilt that the trim asks for."""
    channels, lm = frame.coded_channels, frame.lm
    for band in range(frame.start, frame.end):
        width = BAND_EDGES[band + 1] - BAND_EDGES[band]
        frame.threshold[band] = max(channels * BIT, (3 * width << lm << 3) >> 4)
        above = frame.end - band - 1
        tilt = channels * width * (trim - 5 - lm) * above * (1 << (lm + 3)) >> 6
        if width << lm == 1:
            tilt -= channels * BIT
        frame.tilt[band] = tilt


@inner_kernel("int64(CeltFrame, int64, int64)")
def _row_bits(frame: CeltFrame, row: int, band: int) -> int:
    """Return what row `row` of the table gives `band`, tilted, before its boost."""
    if row >= ALLOCATION_ROWS:
        bits = frame.cap[band]
    else:
        width = BAND_EDGES[band + 1] - BAND_EDGES[band]
        bits = frame.coded_channels * width * ALLOCATION[row * BANDS + band] << frame.lm >> 2
    if bits > 0:
        bits = max(0, bits + frame.tilt[band])
    return int(bits)


@inner_kernel("int64(CeltFrame, int64)")
def _find_row(frame: CeltFrame, total: int) -> int:
    """Return the first row of the table that needs more than `total`."""
    floor = frame.coded_channels * BIT
    low = 1
    high = ALLOCATION_ROWS - 1
    while low <= high:
        middle = (low + high) >> 1
        used = 0
        reached = False
        for band in range(frame.end - 1, frame.start - 1, -1):
            bits = _row_bits(frame, middle, band) + frame.boost[band]
            if reached or bits >= frame.threshold[band]:
                reached = True
                used += min(bits, frame.cap[band])
            elif bits >= floor:
                used += floor
        if used > total:
            high = middle - 1
        else:
            low = middle + 1
    return low


@inner_kernel("int64(CeltFrame, int64)")
def _interpolate(frame: CeltFrame, step: int) -> int:
    """Set the bits at `step`/64 of the way between two rows; return their sum.

    From the top: up to the first band over its threshold a band gets a bit per channel or nothing.
    """
    floor = frame.coded_channels * BIT
    used = 0
    reached = False
    for band in range(frame.end - 1, frame.start - 1, -1):
        bits = frame.bits_low[band] + (step * frame.bits_more[band] >> _STEPS_BITS)
        if reached or bits >= frame.threshold[band]:
            reached = True
            bits = min(bits, frame.cap[band])
        else:
            bits = floor if bits >= floor else 0
        frame.shape_bits[band] = bits
        used += bits
    return int(used)


@inner_kernel("UniTuple(int64, 2)(CeltFrame, int64)")
def _search(frame: CeltFrame, total: int) -> tuple[int, int]:
    """Set the largest allocation within `total`; return its sum and the band skips end at."""
    row = _find_row(frame, total)
    skip_start = frame.start
    for band in range(frame.start, frame.end):
        low = _row_bits(frame, row - 1, band)
        high = _row_bits(frame, row, band) + frame.boost[band]
        if row > 1:
            low += frame.boost[band]
        if frame.boost[band] > 0:
            skip_start = band
        frame.bits_low[band] = low
        frame.bits_more[band] = max(0, high - low)
    below = 0
    above = 1 << _STEPS_BITS
    for _ in range(_STEPS_BITS):
        middle = (below + above) >> 1
        if _interpolate(frame, middle) > total:
            above = middle
        else:
            below = middle
    return _interpolate(frame, below), skip_start


@inner_kernel("UniTuple(int64, 3)(CeltFrame, int64, int64, int64, int64, int64)")
def _skip_bands(
    frame: CeltFrame, skip_start: int, total: int, used: int, reserved: int, skip_reserve: int
) -> tuple[int, int, int]:
    """Read from the top which bands get no shape; return total, sum and intensity's reserve.

    skip_start     no band up to this one is skipped
    total, used    eighths of a bit for shapes and fine energy, and how many bands have of them
    reserved       of those, for the intensity band; shrinks with the number of bands
    skip_reserve   given back when the flag is not needed
    """
    start = frame.start
    floor = frame.coded_channels * BIT
    coded = frame.end
    while True:
        band = coded - 1
        if band <= skip_start:
            total += skip_reserve
            break
        width = BAND_EDGES[coded] - BAND_EDGES[start]
        each = (total - used) // width
        rest = (total - used) - width * each
        rest = max(rest - (BAND_EDGES[band] - BAND_EDGES[start]), 0)
        bits = frame.shape_bits[band] + rest
        bits += each * (BAND_EDGES[coded] - BAND_EDGES[band])
        if bits >= max(frame.threshold[band], floor + BIT):
            if rc_bit_logp(frame.rc[0], 1) == 1:
                break
            used += BIT
            bits -= BIT
        used -= frame.shape_bits[band] + reserved
        if reserved > 0:
            reserved = LOG2_FRAC[band - start]
        frame.shape_bits[band] = floor if bits >= floor else 0
        used += reserved + frame.shape_bits[band]
        coded -= 1
    frame.coded_bands = coded
    return total, used, reserved


@inner_kernel("void(CeltFrame, int64)")
def _share_out(frame: CeltFrame, left: int) -> None:
    """Spread what is left over the coded bands by width, the remainder from below."""
    start, coded = frame.start, frame.coded_bands
    width = BAND_EDGES[coded] - BAND_EDGES[start]
    each = left // width
    left -= each * width
    for band in range(start, coded):
        bins = BAND_EDGES[band + 1] - BAND_EDGES[band]
        more = min(left, bins)
        frame.shape_bits[band] += each * bins + more
        left -= more


@inner_kernel("void(CeltFrame, int64, int64)")
def decode_allocation(frame: CeltFrame, trim: int, total: int) -> None:
    """Set `shape_bits`, `coded_bands`, `intensity` and `dual`; `total` is in eighths of a bit.

    What a band gets here is for shape and fine energy together: `split_fine_bits` comes next.
    """
    start = frame.start
    total = max(total, 0)
    skip_reserve = BIT if total >= BIT else 0
    total -= skip_reserve
    intensity_reserve = 0
    dual_reserve = 0
    if frame.coded_channels == 2:
        intensity_reserve = LOG2_FRAC[frame.end - start]
        if intensity_reserve > total:
            intensity_reserve = 0
        else:
            total -= intensity_reserve
            dual_reserve = BIT if total >= BIT else 0
            total -= dual_reserve
    _set_minimums(frame, trim)
    used, skip_start = _search(frame, total)
    total, used, intensity_reserve = _skip_bands(
        frame, skip_start, total, used, intensity_reserve, skip_reserve
    )
    frame.intensity = 0
    if intensity_reserve > 0:
        frame.intensity = start + rc_uint(frame.rc[0], frame.coded_bands + 1 - start)
    if frame.intensity <= start:
        total += dual_reserve
        dual_reserve = 0
    frame.dual = rc_bit_logp(frame.rc[0], 1) if dual_reserve > 0 else 0
    _share_out(frame, total - used)
