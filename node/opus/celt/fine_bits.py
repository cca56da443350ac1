"""Division of each band's bits between fine energy and shape (RFC 6716, section 4.3.3)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.energy import FINE_BITS_MAX
from node.opus.celt.layout import (
    CAP,
    CODED_BANDS,
    DUAL,
    FINE_BITS,
    FINE_LAST,
    INTENSITY,
    SHAPE_BITS,
)
from node.opus.celt.tables_celt import BAND_EDGES, LOG_WIDTH_Q3

_FINE_OFFSET_Q3: Final = 21
"""Bias per degree of freedom: how much finer the shape is coded than the energy."""


@inner_kernel("void(int64[::1], int64, int64, int64, int64)")
def _split_wide(plan: NDArray[np.int64], band: int, bins: int, channels: int, lm: int) -> None:
    """Take the fine bits of a band of `bins` > 1 out of its shape bits."""
    bits = plan[SHAPE_BITS + band]
    joint = channels == 2 and bins > 2 and plan[DUAL] == 0 and band < plan[INTENSITY]
    freedom = channels * bins + (1 if joint else 0)
    wide = freedom * (LOG_WIDTH_Q3[band] + (lm << 3))
    offset = (wide >> 1) - freedom * _FINE_OFFSET_Q3
    if bins == 2:
        offset += freedom * 2
    if bits + offset < freedom * 2 * BIT:
        offset += wide >> 2
    elif bits + offset < freedom * 3 * BIT:
        offset += wide >> 3
    fine = max(0, bits + offset + freedom * (BIT // 2)) // (freedom * BIT)
    if channels * fine > bits >> 3:
        fine = bits >> (channels - 1) >> 3
    fine = min(fine, FINE_BITS_MAX)
    plan[FINE_BITS + band] = fine
    plan[FINE_LAST + band] = 1 if fine * freedom * BIT >= bits + offset else 0
    plan[SHAPE_BITS + band] = bits - channels * fine * BIT


@inner_kernel("int64(int64[::1], int64, int64, int64, int64)")
def split_fine_bits(plan: NDArray[np.int64], start: int, end: int, channels: int, lm: int) -> int:
    """Set FINE_BITS and FINE_LAST, reduce SHAPE_BITS; return what no band could use.

    plan  (PLAN_SIZE,) int64; SHAPE_BITS in eighths of a bit, FINE_BITS in bits
    """
    coded = plan[CODED_BANDS]
    balance = 0
    for band in range(start, coded):
        bins = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << lm
        wanted = plan[SHAPE_BITS + band] + balance
        if bins > 1:
            excess = max(wanted - plan[CAP + band], 0)
            plan[SHAPE_BITS + band] = wanted - excess
            _split_wide(plan, band, bins, channels, lm)
        else:
            excess = max(wanted - channels * BIT, 0)
            plan[SHAPE_BITS + band] = wanted - excess
            plan[FINE_BITS + band] = 0
            plan[FINE_LAST + band] = 1
        if excess > 0:
            more = min(excess >> (channels + 2), FINE_BITS_MAX - plan[FINE_BITS + band])
            plan[FINE_BITS + band] += more
            plan[FINE_LAST + band] = 1 if more * channels * BIT >= excess - balance else 0
            excess -= more * channels * BIT
        balance = excess
    for band in range(coded, end):
        fine = plan[SHAPE_BITS + band] >> (channels - 1) >> 3
        plan[FINE_BITS + band] = fine
        plan[FINE_LAST + band] = 1 if fine < 1 else 0
        plan[SHAPE_BITS + band] = 0
    return int(balance)
