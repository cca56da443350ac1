"""What a SILK frame's indices mean: gains, filters and lags (RFC 6716, 4.2.7.4 to 4.2.7.6)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.silk import state as f
from node.opus.silk.fixed_point import exponential_q7
from node.opus.silk.lpc import nlsf_to_lpc, widen_q12
from node.opus.silk.nlsf import reconstruct_nlsf

_GAIN_SCALE_Q16: Final = 0x1D1C71
_GAIN_OFFSET_Q7: Final = 2090
_LAG_MIN_MS: Final = 2
_LAG_MAX_MS: Final = 18
_WIDEN_AFTER_LOSS_Q16: Final = 63570


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def _decode_gains(
    silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], coding: int
) -> None:
    """Dequantise the gain of each subframe (4.2.7.4)."""
    log_gain = silk[channel + f.GAIN_INDEX_BEFORE]
    for k in range(silk[channel + f.SUBFRAMES]):
        index = scratch[f.GAIN_INDICES + k]
        if k == 0 and coding != f.CONDITIONAL:
            log_gain = max(index, log_gain - 16)
        else:
            log_gain = max(2 * index - 16, log_gain + index - 4)
        log_gain = min(max(log_gain, 0), 63)
        log_q7 = ((_GAIN_SCALE_Q16 * log_gain) >> 16) + _GAIN_OFFSET_Q7
        scratch[f.GAINS_Q16 + k] = exponential_q7(log_q7)
    silk[channel + f.GAIN_INDEX_BEFORE] = log_gain


@inner_kernel("void(int64[::1], int64, int64[::1])")
def _decode_filters(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Make the short-term filters of both halves of the frame (4.2.7.5)."""
    order = silk[channel + f.ORDER]
    reconstruct_nlsf(scratch, order)
    nlsf_to_lpc(scratch, f.NLSF_Q15, f.LPC_Q12, order)
    if silk[channel + f.FRESH] == 1:
        scratch[f.INTERPOLATION_Q2] = 4
    before = channel + f.NLSF_BEFORE_Q15
    factor_q2 = scratch[f.INTERPOLATION_Q2]
    if factor_q2 < 4:
        for k in range(order):
            step = scratch[f.NLSF_Q15 + k] - silk[before + k]
            # The residual is made later: until then its room is free.
            scratch[f.RESIDUAL_Q14 + k] = silk[before + k] + ((factor_q2 * step) >> 2)
        nlsf_to_lpc(scratch, f.RESIDUAL_Q14, f.LPC_FIRST_Q12, order)
    else:
        for k in range(order):
            scratch[f.LPC_FIRST_Q12 + k] = scratch[f.LPC_Q12 + k]
    for k in range(order):
        silk[before + k] = scratch[f.NLSF_Q15 + k]
    if silk[channel + f.LOST_FRAMES] > 0:
        widen_q12(scratch, f.LPC_FIRST_Q12, order, _WIDEN_AFTER_LOSS_Q16)
        widen_q12(scratch, f.LPC_Q12, order, _WIDEN_AFTER_LOSS_Q16)


@inner_kernel("void(int64[::1], int64, int64[::1])")
def _decode_lags(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Find the pitch lag of each subframe (4.2.7.6.1)."""
    rate_khz = silk[channel + f.RATE_KHZ]
    subframes = silk[channel + f.SUBFRAMES]
    lowest = _LAG_MIN_MS * rate_khz
    highest = _LAG_MAX_MS * rate_khz
    for k in range(subframes):
        at = subframes * scratch[f.CONTOUR_INDEX] + k
        if subframes == f.SUBFRAMES_MAX:
            offset = t.CONTOUR_OFFSETS_20_NB[at] if rate_khz == 8 else t.CONTOUR_OFFSETS_20[at]
        else:
            offset = t.CONTOUR_OFFSETS_10_NB[at] if rate_khz == 8 else t.CONTOUR_OFFSETS_10[at]
        lag = lowest + scratch[f.LAG_INDEX] + offset
        scratch[f.LAGS + k] = min(max(lag, lowest), highest)


@inner_kernel("void(int64[::1], int64, int64[::1])")
def _decode_ltp(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Look up the long-term filter of each subframe and their scale (4.2.7.6.2, 4.2.7.6.3)."""
    codebook = 0
    if scratch[f.PERIODICITY] == 1:
        codebook = 8
    elif scratch[f.PERIODICITY] == 2:
        codebook = 8 + 16
    for k in range(silk[channel + f.SUBFRAMES]):
        vector = f.LTP_TAPS * (codebook + scratch[f.LTP_INDICES + k])
        for i in range(f.LTP_TAPS):
            scratch[f.LTP_Q14 + f.LTP_TAPS * k + i] = t.LTP_TAPS_Q7[vector + i] << 7
    scratch[f.LTP_SCALE] = t.LTP_SCALE_Q14[scratch[f.LTP_SCALE_INDEX]]


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def decode_parameters(
    silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], coding: int
) -> None:
    """Turn the indices in `scratch` into GAINS_Q16, LPC filters, LAGS, LTP_Q14 and LTP_SCALE.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    coding   INDEPENDENT, INDEPENDENT_NO_LTP_SCALE or CONDITIONAL
    """
    _decode_gains(silk, channel, scratch, coding)
    _decode_filters(silk, channel, scratch)
    if scratch[f.SIGNAL] == f.VOICED:
        _decode_lags(silk, channel, scratch)
        _decode_ltp(silk, channel, scratch)
    else:
        for k in range(f.SUBFRAMES_MAX):
            scratch[f.LAGS + k] = 0
        for k in range(f.SUBFRAMES_MAX * f.LTP_TAPS):
            scratch[f.LTP_Q14 + k] = 0
        scratch[f.LTP_SCALE] = 0
