"""Bit allocation: how many eighths of a bit each band's shape and energy get (RFC 6716, 4.3.3).

Encoder and decoder must come to the same numbers from the same few symbols, so every division
and shift here is part of the format.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import (
    BITS_LOW,
    BITS_MORE,
    BOOST,
    CAP,
    CODED_BANDS,
    DUAL,
    INTENSITY,
    SHAPE_BITS,
    THRESHOLD,
    TILT,
)
from node.opus.celt.tables_celt import (
    ALLOCATION,
    ALLOCATION_ROWS,
    BAND_EDGES,
    BANDS,
    CAPS,
    LOG2_FRAC,
)
from node.opus.range_decoder import BEGIN, END, rc_bit_logp, rc_tell_frac, rc_uint

BIT: Final = 8
"""Eighths in a bit."""
_STEPS_BITS: Final = 6
"""Interpolation between two rows of the table goes in 1/64."""


@inner_kernel("void(int64[::1], int64, int64, int64, int64)")
def set_caps(plan: NDArray[np.int64], start: int, end: int, channels: int, lm: int) -> None:
    """Set the most that each band can use.

    plan  (PLAN_SIZE,) int64; CAP is set, in eighths of a bit
    """
    row = BANDS * (2 * lm + channels - 1)
    for band in range(start, end):
        bins = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << lm
        plan[CAP + band] = (CAPS[row + band] + 64) * channels * bins >> 2


@inner_kernel("int64(int64[::1], uint8[::1], int64[::1], int64, int64, int64, int64)")
def decode_boosts(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    channels: int,
    lm: int,
) -> int:
    """Read how much each band gets on top; return the frame's eighths of a bit less all that.

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    plan  (PLAN_SIZE,) int64; CAP is read, BOOST set, both in eighths of a bit
    """
    left = (rc[END] - rc[BEGIN]) * 8 * BIT
    first_logp = 6
    for band in range(start, end):
        width = channels * (BAND_EDGES[band + 1] - BAND_EDGES[band]) << lm
        quantum = min(width << 3, max(6 * BIT, width))
        logp = first_logp
        boost = 0
        while (
            rc_tell_frac(rc) + logp * BIT < left
            and boost < plan[CAP + band]
            and rc_bit_logp(rc, data, logp) == 1
        ):
            boost += quantum
            left -= quantum
            logp = 1
        plan[BOOST + band] = boost
        if boost > 0:
            first_logp = max(2, first_logp - 1)
    return int(left)


@inner_kernel("void(int64[::1], int64, int64, int64, int64, int64)")
def _set_minimums(
    plan: NDArray[np.int64], start: int, end: int, channels: int, lm: int, trim: int
) -> None:
    """Set what a band must reach to be worth a shape, and the tilt that the trim asks for."""
    for band in range(start, end):
        width = BAND_EDGES[band + 1] - BAND_EDGES[band]
        plan[THRESHOLD + band] = max(channels * BIT, (3 * width << lm << 3) >> 4)
        tilt = channels * width * (trim - 5 - lm) * (end - band - 1) * (1 << (lm + 3)) >> 6
        if width << lm == 1:
            tilt -= channels * BIT
        plan[TILT + band] = tilt


@inner_kernel("int64(int64[::1], int64, int64, int64, int64)")
def _row_bits(plan: NDArray[np.int64], row: int, band: int, channels: int, lm: int) -> int:
    """Return what row `row` of the table gives `band`, tilted, before its boost."""
    if row >= ALLOCATION_ROWS:
        bits = plan[CAP + band]
    else:
        width = BAND_EDGES[band + 1] - BAND_EDGES[band]
        bits = channels * width * ALLOCATION[row * BANDS + band] << lm >> 2
    if bits > 0:
        bits = max(0, bits + plan[TILT + band])
    return int(bits)


@inner_kernel("int64(int64[::1], int64, int64, int64, int64, int64)")
def _find_row(
    plan: NDArray[np.int64], start: int, end: int, channels: int, lm: int, total: int
) -> int:
    """Return the first row of the table that needs more than `total`."""
    low = 1
    high = ALLOCATION_ROWS - 1
    while low <= high:
        middle = (low + high) >> 1
        used = 0
        reached = False
        for band in range(end - 1, start - 1, -1):
            bits = _row_bits(plan, middle, band, channels, lm) + plan[BOOST + band]
            if reached or bits >= plan[THRESHOLD + band]:
                reached = True
                used += min(bits, plan[CAP + band])
            elif bits >= channels * BIT:
                used += channels * BIT
        if used > total:
            high = middle - 1
        else:
            low = middle + 1
    return low


@inner_kernel("int64(int64[::1], int64, int64, int64, int64)")
def _interpolate(plan: NDArray[np.int64], start: int, end: int, floor: int, step: int) -> int:
    """Set the bits at `step`/64 of the way between two rows; return their sum.

    From the top: up to the first band over its threshold a band gets `floor` or nothing.
    """
    used = 0
    reached = False
    for band in range(end - 1, start - 1, -1):
        bits = plan[BITS_LOW + band] + (step * plan[BITS_MORE + band] >> _STEPS_BITS)
        if reached or bits >= plan[THRESHOLD + band]:
            reached = True
            bits = min(bits, plan[CAP + band])
        else:
            bits = floor if bits >= floor else 0
        plan[SHAPE_BITS + band] = bits
        used += bits
    return int(used)


@inner_kernel("UniTuple(int64, 2)(int64[::1], int64, int64, int64, int64, int64)")
def _search(
    plan: NDArray[np.int64], start: int, end: int, channels: int, lm: int, total: int
) -> tuple[int, int]:
    """Set the largest allocation within `total`; return its sum and the band skips end at."""
    row = _find_row(plan, start, end, channels, lm, total)
    skip_start = start
    for band in range(start, end):
        low = _row_bits(plan, row - 1, band, channels, lm)
        high = _row_bits(plan, row, band, channels, lm) + plan[BOOST + band]
        if row > 1:
            low += plan[BOOST + band]
        if plan[BOOST + band] > 0:
            skip_start = band
        plan[BITS_LOW + band] = low
        plan[BITS_MORE + band] = max(0, high - low)
    below = 0
    above = 1 << _STEPS_BITS
    for _ in range(_STEPS_BITS):
        middle = (below + above) >> 1
        if _interpolate(plan, start, end, channels * BIT, middle) > total:
            above = middle
        else:
            below = middle
    return _interpolate(plan, start, end, channels * BIT, below), skip_start


@inner_kernel(
    "UniTuple(int64, 3)(int64[::1], uint8[::1], int64[::1], int64, int64, int64, int64, int64, "
    "int64, int64, int64)"
)
def _skip_bands(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    skip_start: int,
    floor: int,
    total: int,
    used: int,
    reserved: int,
    skip_reserve: int,
) -> tuple[int, int, int]:
    """Read from the top which bands get no shape; return total, sum and intensity's reserve.

    skip_start     no band up to this one is skipped
    floor          one bit per channel
    total, used    eighths of a bit for shapes and fine energy, and how many bands have of them
    reserved       of those, for the intensity band; shrinks with the number of bands
    skip_reserve   given back when the flag is not needed
    """
    coded = end
    while True:
        band = coded - 1
        if band <= skip_start:
            total += skip_reserve
            break
        width = BAND_EDGES[coded] - BAND_EDGES[start]
        each = (total - used) // width
        rest = (total - used) - width * each
        rest = max(rest - (BAND_EDGES[band] - BAND_EDGES[start]), 0)
        bits = plan[SHAPE_BITS + band] + rest
        bits += each * (BAND_EDGES[coded] - BAND_EDGES[band])
        if bits >= max(plan[THRESHOLD + band], floor + BIT):
            if rc_bit_logp(rc, data, 1) == 1:
                break
            used += BIT
            bits -= BIT
        used -= plan[SHAPE_BITS + band] + reserved
        if reserved > 0:
            reserved = LOG2_FRAC[band - start]
        plan[SHAPE_BITS + band] = floor if bits >= floor else 0
        used += reserved + plan[SHAPE_BITS + band]
        coded -= 1
    plan[CODED_BANDS] = coded
    return total, used, reserved


@inner_kernel("void(int64[::1], int64, int64)")
def _share_out(plan: NDArray[np.int64], start: int, left: int) -> None:
    """Spread what is left over the coded bands by width, the remainder from below."""
    coded = plan[CODED_BANDS]
    width = BAND_EDGES[coded] - BAND_EDGES[start]
    each = left // width
    left -= each * width
    for band in range(start, coded):
        bins = BAND_EDGES[band + 1] - BAND_EDGES[band]
        more = min(left, bins)
        plan[SHAPE_BITS + band] += each * bins + more
        left -= more


@inner_kernel("void(int64[::1], uint8[::1], int64[::1], int64, int64, int64, int64, int64, int64)")
def decode_allocation(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    channels: int,
    lm: int,
    trim: int,
    total: int,
) -> None:
    """Set SHAPE_BITS, CODED_BANDS, INTENSITY and DUAL; `total` is in eighths of a bit.

    What a band gets here is for shape and fine energy together: `split_fine_bits` comes next.

    rc    (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data  (n,) uint8, bytes of the payload
    plan  (PLAN_SIZE,) int64; CAP and BOOST are read, in eighths of a bit
    """
    total = max(total, 0)
    skip_reserve = BIT if total >= BIT else 0
    total -= skip_reserve
    intensity_reserve = 0
    dual_reserve = 0
    if channels == 2:
        intensity_reserve = LOG2_FRAC[end - start]
        if intensity_reserve > total:
            intensity_reserve = 0
        else:
            total -= intensity_reserve
            dual_reserve = BIT if total >= BIT else 0
            total -= dual_reserve
    _set_minimums(plan, start, end, channels, lm, trim)
    used, skip_start = _search(plan, start, end, channels, lm, total)
    total, used, intensity_reserve = _skip_bands(
        rc,
        data,
        plan,
        start,
        end,
        skip_start,
        channels * BIT,
        total,
        used,
        intensity_reserve,
        skip_reserve,
    )
    plan[INTENSITY] = 0
    if intensity_reserve > 0:
        plan[INTENSITY] = start + rc_uint(rc, data, plan[CODED_BANDS] + 1 - start)
    if plan[INTENSITY] <= start:
        total += dual_reserve
        dual_reserve = 0
    plan[DUAL] = rc_bit_logp(rc, data, 1) if dual_reserve > 0 else 0
    _share_out(plan, start, total - used)
