"""From the SILK layer's 8, 12 or 16 kHz to the output rate (RFC 6716, section 4.2.9).

Not normative, but what every encoder's delay is made for: first twice the rate by two all-pass
chains, then 8 taps of one of 12 phases. At the layer's own rate samples are only delayed.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.silk import state as f
from node.opus.silk.fixed_point import clamp16, round_shift

_COPY: Final = 0
_DOUBLE: Final = 1
_INTERPOLATE: Final = 2
_REDUCE: Final = 3

_PHASES: Final = 12
_TAPS: Final = 8
_BATCH_MS: Final = 10
_OUTPUT_KHZ: Final = (8, 12, 16, 24, 48)

# Two poles in Q14, then the first half of each phase of a symmetric filter. The RFC's text does
# not print these numbers: a test holds them to libopus sample for sample.
# fmt: off
_REDUCING: Final = np.array([
    -20694, -13867,
    -49, 64, 17, -157, 353, -496, 163, 11047, 22205,
    -39, 6, 91, -170, 186, 23, -896, 6336, 19928,
    -19, -36, 102, -89, -24, 328, -951, 2568, 15909,
    -14457, -14019,
    64, 128, -122, 36, 310, -768, 584, 9267, 17733,
    12, 128, 18, -142, 288, -117, -865, 4123, 14459,
    616, -14323,
    -10, 39, 58, -46, -84, 120, 184, -315, -541, 1284, 5380, 9024,
], np.int64)
# fmt: on
_TWO_THIRDS: Final = 29  # 12 to 8 kHz; before it 16 to 12 kHz
_HALF: Final = 49  # 16 to 8 kHz


@inner_kernel("void(int64[::1], int64, int64, int64)")
def start_resampler(silk: NDArray[np.int64], channel: int, rate_khz: int, output_khz: int) -> None:
    """Prepare a channel's resampler, with silence in it.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    """
    column = 4
    for k in range(5):
        if _OUTPUT_KHZ[k] == output_khz:
            column = k
    silk[channel + f.RESAMPLER_DELAYED] = t.RESAMPLER_DELAY[5 * ((rate_khz >> 2) - 2) + column]
    mode = _INTERPOLATE
    if output_khz == rate_khz:
        mode = _COPY
    elif output_khz == 2 * rate_khz:
        mode = _DOUBLE
    elif output_khz < rate_khz:
        mode = _REDUCE
    # Rounded up, so that a batch never yields one sample too many.
    input_khz = 2 * rate_khz if mode == _INTERPOLATE else rate_khz
    step_q16 = ((input_khz << 16) + output_khz - 1) // output_khz
    silk[channel + f.RESAMPLER_MODE] = mode
    silk[channel + f.RESAMPLER_STEP_Q16] = step_q16
    for k in range(f.RESAMPLER_IIR, f.NLSF_BEFORE_Q15):
        silk[channel + k] = 0


@inner_kernel("int64(int64[::1], int64, int64, int64, int64, int64)")
def _all_pass(silk: NDArray[np.int64], at: int, x: int, c0: int, c1: int, c2: int) -> int:
    """Send one sample through three all-pass sections; `c2` counts from -1."""
    y = x - silk[at]
    step = (y * c0) >> 16
    first = silk[at] + step
    silk[at] = x + step
    y = first - silk[at + 1]
    step = (y * c1) >> 16
    second = silk[at + 1] + step
    silk[at + 1] = first + step
    y = second - silk[at + 2]
    step = y + ((y * c2) >> 16)
    third = silk[at + 2] + step
    silk[at + 2] = second + step
    return int(third)


@inner_kernel("void(int64[::1], int64, int64[::1], int64, int64, int64)")
def _double(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    begin: int,
    samples: int,
    out: int,
) -> None:
    """Write two samples for each one."""
    even = t.RESAMPLER_EVEN_Q16
    odd = t.RESAMPLER_ODD_Q16
    state = channel + f.RESAMPLER_IIR
    for i in range(samples):
        x = scratch[begin + i] << 10
        y = _all_pass(silk, state, x, even[0], even[1], even[2])
        scratch[out + 2 * i] = clamp16(round_shift(y, 10))
        y = _all_pass(silk, state + 3, x, odd[0], odd[1], odd[2])
        scratch[out + 2 * i + 1] = clamp16(round_shift(y, 10))


@inner_kernel("void(int64[::1], int64, int64[::1], int64, int64, int64)")
def _interpolate(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    begin: int,
    samples: int,
    out: int,
) -> None:
    """Write one batch at the output rate, by way of twice the input's."""
    for k in range(_TAPS):
        scratch[f.DOUBLED + k] = silk[channel + f.RESAMPLER_FIR + k]
    _double(silk, channel, scratch, begin, samples, f.DOUBLED + _TAPS)
    step_q16 = silk[channel + f.RESAMPLER_STEP_Q16]
    end_q16 = 2 * samples << 16
    position_q16 = 0
    while position_q16 < end_q16:
        at = f.DOUBLED + (position_q16 >> 16)
        phase = ((position_q16 & 0xFFFF) * _PHASES) >> 16
        front = 4 * phase
        back = 4 * (_PHASES - 1 - phase)
        total_q15 = 0
        for k in range(4):
            total_q15 += scratch[at + k] * t.RESAMPLER_FIR_Q15[front + k]
            total_q15 += scratch[at + 7 - k] * t.RESAMPLER_FIR_Q15[back + k]
        scratch[out] = clamp16(round_shift(total_q15, 15))
        out += 1
        position_q16 += step_q16
    for k in range(_TAPS):
        silk[channel + f.RESAMPLER_FIR + k] = scratch[f.DOUBLED + 2 * samples + k]


@inner_kernel("void(int64[::1], int64, int64[::1], int64, int64, int64)")
def _reduce(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    begin: int,
    samples: int,
    out: int,
) -> None:
    """Write one batch at a rate below the input's: two poles, then a symmetric filter."""
    table = 0
    fractions = 3
    if silk[channel + f.OUTPUT_KHZ] == 8:
        table = _HALF if silk[channel + f.RATE_KHZ] == 16 else _TWO_THIRDS
        fractions = 1 if table == _HALF else 2
    taps = 12 if table == _HALF else 9
    fir = channel + f.RESAMPLER_FIR
    iir = channel + f.RESAMPLER_IIR
    for k in range(2 * taps):
        scratch[f.DOUBLED + k] = silk[fir + k]
    for i in range(samples):
        x = silk[iir] + (scratch[begin + i] << 8)
        scratch[f.DOUBLED + 2 * taps + i] = x
        silk[iir] = silk[iir + 1] + (((x << 2) * _REDUCING[table]) >> 16)
        silk[iir + 1] = ((x << 2) * _REDUCING[table + 1]) >> 16
    step_q16 = silk[channel + f.RESAMPLER_STEP_Q16]
    position_q16 = 0
    while position_q16 < samples << 16:
        at = f.DOUBLED + (position_q16 >> 16)
        phase = ((position_q16 & 0xFFFF) * fractions) >> 16
        front = table + 2 + taps * phase
        back = table + 2 + taps * (fractions - 1 - phase)
        total_q6 = 0
        for k in range(taps):
            last = scratch[at + 2 * taps - 1 - k]
            if fractions == 1:
                total_q6 += ((scratch[at + k] + last) * _REDUCING[front + k]) >> 16
            else:
                total_q6 += (scratch[at + k] * _REDUCING[front + k]) >> 16
                total_q6 += (last * _REDUCING[back + k]) >> 16
        scratch[out] = clamp16(round_shift(total_q6, 6))
        out += 1
        position_q16 += step_q16
    for k in range(2 * taps):
        silk[fir + k] = scratch[f.DOUBLED + samples + k]


@inner_kernel("void(int64[::1], int64, int64[::1], int64, int64, int64)")
def resample(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    begin: int,
    samples: int,
    out: int,
) -> None:
    """Resample scratch[begin : begin + samples] to scratch[out], both 16 bits.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    """
    delayed = silk[channel + f.RESAMPLER_DELAYED]
    delay = channel + f.RESAMPLER_DELAY
    first = f.DELAYED
    for i in range(delayed):
        scratch[first + i] = silk[delay + i]
    for i in range(samples - delayed):
        scratch[first + delayed + i] = scratch[begin + i]
    for i in range(delayed):
        silk[delay + i] = scratch[begin + samples - delayed + i]
    mode = silk[channel + f.RESAMPLER_MODE]
    if mode == _COPY:
        for i in range(samples):
            scratch[out + i] = scratch[first + i]
    elif mode == _DOUBLE:
        _double(silk, channel, scratch, first, samples, out)
    else:
        batch = _BATCH_MS * silk[channel + f.RATE_KHZ]
        made = _BATCH_MS * silk[channel + f.OUTPUT_KHZ]
        for k in range(samples // batch):
            if mode == _INTERPOLATE:
                _interpolate(silk, channel, scratch, first + k * batch, batch, out + k * made)
            else:
                _reduce(silk, channel, scratch, first + k * batch, batch, out + k * made)
