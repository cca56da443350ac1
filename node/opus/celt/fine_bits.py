"""Division of each band's bits between fine energy and shape (RFC 6716, section 4.3.3)."""

from typing import Final

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.energy import FINE_BITS_MAX
from node.opus.celt.layout import CeltFrame
from node.opus.celt.tables_celt import BAND_EDGES, LOG_WIDTH_Q3

_FINE_OFFSET_Q3: Final = 21
"""Bias per degree of freedom: how much finer the shape is coded than the energy."""


@inner_kernel("void(CeltFrame, int64, int64)")
def _split_wide(frame: CeltFrame, band: int, bins: int) -> None:
    """Take the fine bits of a band of `bins` > 1 out of its shape bits."""
    channels = frame.coded_channels
    bits = frame.shape_bits[band]
    joint = channels == 2 and bins > 2 and frame.dual == 0 and band < frame.intensity
    freedom = channels * bins + (1 if joint else 0)
    wide = freedom * (LOG_WIDTH_Q3[band] + (frame.lm << 3))
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
    frame.fine_bits[band] = fine
    frame.fine_last[band] = 1 if fine * freedom * BIT >= bits + offset else 0
    frame.shape_bits[band] = bits - channels * fine * BIT


@inner_kernel("int64(CeltFrame)")
def split_fine_bits(frame: CeltFrame) -> int:
    """Set `fine_bits` and `fine_last`, reduce `shape_bits`; return what no band could use."""
    channels = frame.coded_channels
    coded = frame.coded_bands
    balance = 0
    for band in range(frame.start, coded):
        bins = (BAND_EDGES[band + 1] - BAND_EDGES[band]) << frame.lm
        wanted = frame.shape_bits[band] + balance
        if bins > 1:
            excess = max(wanted - frame.cap[band], 0)
            frame.shape_bits[band] = wanted - excess
            _split_wide(frame, band, bins)
        else:
            excess = max(wanted - channels * BIT, 0)
            frame.shape_bits[band] = wanted - excess
            frame.fine_bits[band] = 0
            frame.fine_last[band] = 1
        if excess > 0:
            more = min(excess >> (channels + 2), FINE_BITS_MAX - frame.fine_bits[band])
            frame.fine_bits[band] += more
            frame.fine_last[band] = 1 if more * channels * BIT >= excess - balance else 0
            excess -= more * channels * BIT
        balance = excess
    for band in range(coded, frame.end):
        fine = frame.shape_bits[band] >> (channels - 1) >> 3
        frame.fine_bits[band] = fine
        frame.fine_last[band] = 1 if fine < 1 else 0
        frame.shape_bits[band] = 0
    return int(balance)
