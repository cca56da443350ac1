"""The side information of one SILK frame (RFC 6716, sections 4.2.7.3 to 4.2.7.7): parsing only."""

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import RangeDecoder, rc_icdf
from node.opus.silk import state as f


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64)")
def _parse_gains(
    rc: RangeDecoder,
    scratch: NDArray[np.int64],
    subframes: int,
    coding: int,
) -> None:
    """Read the gain of each subframe (4.2.7.4)."""
    if coding == f.CONDITIONAL:
        first = rc_icdf(rc, t.ICDF, t.GAIN_DELTA, 8)
    else:
        first = rc_icdf(rc, t.ICDF, t.GAIN + 8 * scratch[f.SIGNAL], 8) << 3
        first += rc_icdf(rc, t.ICDF, t.UNIFORM_8, 8)
    scratch[f.GAIN_INDICES] = first
    for k in range(1, subframes):
        scratch[f.GAIN_INDICES + k] = rc_icdf(rc, t.ICDF, t.GAIN_DELTA, 8)


@inner_kernel("void(RangeDecoder, int64[::1], int64)")
def _parse_nlsf(rc: RangeDecoder, scratch: NDArray[np.int64], order: int) -> None:
    """Read the line spectral frequencies' codebook vector and residuals (4.2.7.5.1, 4.2.7.5.2)."""
    wide = order == f.ORDER_MAX
    first = (t.NLSF_1_WB if wide else t.NLSF_1_NB) + (scratch[f.SIGNAL] >> 1) * 32
    vector = rc_icdf(rc, t.ICDF, first, 8)
    scratch[f.NLSF_INDICES] = vector
    second = t.NLSF_2_WB if wide else t.NLSF_2_NB
    for i in range(order):
        at = (vector * order + i) >> 1
        select = (t.NLSF_SELECT_WB[at] if wide else t.NLSF_SELECT_NB[at]) >> (4 * (i & 1))
        residual = rc_icdf(rc, t.ICDF, second + 9 * ((select >> 1) & 7), 8) - 4
        if residual == -4:
            residual -= rc_icdf(rc, t.ICDF, t.NLSF_EXTENSION, 8)
        elif residual == 4:
            residual += rc_icdf(rc, t.ICDF, t.NLSF_EXTENSION, 8)
        scratch[f.NLSF_INDICES + 1 + i] = residual


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64[::1], int64)")
def _parse_pitch(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    coding: int,
) -> None:
    """Read the primary lag and the contour around it (4.2.7.6.1)."""
    rate_khz = silk[channel + f.RATE_KHZ]
    delta = 0
    if coding == f.CONDITIONAL and silk[channel + f.CODED_SIGNAL_BEFORE] == f.VOICED:
        delta = rc_icdf(rc, t.ICDF, t.PITCH_DELTA, 8)
    if delta > 0:
        lag = silk[channel + f.CODED_LAG_BEFORE] + delta - 9
    else:
        low = t.UNIFORM_8
        if rate_khz == 8:
            low = t.UNIFORM_4
        elif rate_khz == 12:
            low = t.UNIFORM_6
        lag = rc_icdf(rc, t.ICDF, t.PITCH_LAG, 8) * (rate_khz >> 1)
        lag += rc_icdf(rc, t.ICDF, low, 8)
    scratch[f.LAG_INDEX] = lag
    silk[channel + f.CODED_LAG_BEFORE] = lag
    if silk[channel + f.SUBFRAMES] == f.SUBFRAMES_MAX:
        contour = t.CONTOUR_20_NB if rate_khz == 8 else t.CONTOUR_20
    else:
        contour = t.CONTOUR_10_NB if rate_khz == 8 else t.CONTOUR_10
    scratch[f.CONTOUR_INDEX] = rc_icdf(rc, t.ICDF, contour, 8)


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64)")
def _parse_ltp(
    rc: RangeDecoder,
    scratch: NDArray[np.int64],
    subframes: int,
    coding: int,
) -> None:
    """Read the long-term filters and their scale (4.2.7.6.2, 4.2.7.6.3)."""
    periodicity = rc_icdf(rc, t.ICDF, t.LTP_PERIODICITY, 8)
    scratch[f.PERIODICITY] = periodicity
    table = t.LTP_GAIN_0
    if periodicity == 1:
        table = t.LTP_GAIN_1
    elif periodicity == 2:
        table = t.LTP_GAIN_2
    for k in range(subframes):
        scratch[f.LTP_INDICES + k] = rc_icdf(rc, t.ICDF, table, 8)
    scale = 0
    if coding == f.INDEPENDENT:
        scale = rc_icdf(rc, t.ICDF, t.LTP_SCALE, 8)
    scratch[f.LTP_SCALE_INDEX] = scale


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64[::1], boolean, int64)")
def parse_indices(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    active: bool,
    coding: int,
) -> None:
    """Read everything of a frame but its excitation into `scratch`.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64; the frame's indices, as coded
    active   whether the frame's VAD flag is set or it is an LBRR frame
    coding   INDEPENDENT, INDEPENDENT_NO_LTP_SCALE or CONDITIONAL
    """
    if active:
        kind = rc_icdf(rc, t.ICDF, t.TYPE_ACTIVE, 8) + 2
    else:
        kind = rc_icdf(rc, t.ICDF, t.TYPE_INACTIVE, 8)
    scratch[f.SIGNAL] = kind >> 1
    scratch[f.OFFSET_TYPE] = kind & 1
    _parse_gains(rc, scratch, silk[channel + f.SUBFRAMES], coding)
    _parse_nlsf(rc, scratch, silk[channel + f.ORDER])
    if silk[channel + f.SUBFRAMES] == f.SUBFRAMES_MAX:
        scratch[f.INTERPOLATION_Q2] = rc_icdf(rc, t.ICDF, t.NLSF_INTERPOLATION, 8)
    else:
        scratch[f.INTERPOLATION_Q2] = 4
    if kind >> 1 == f.VOICED:
        _parse_pitch(rc, silk, channel, scratch, coding)
        _parse_ltp(rc, scratch, silk[channel + f.SUBFRAMES], coding)
    silk[channel + f.CODED_SIGNAL_BEFORE] = kind >> 1
    scratch[f.SEED] = rc_icdf(rc, t.ICDF, t.UNIFORM_4, 8)
