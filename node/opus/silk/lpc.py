"""Short-term prediction filters from line spectral frequencies (RFC 6716, 4.2.7.5.6 to .8)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import ilog
from node.opus.silk import state as f
from node.opus.silk.fixed_point import clamp16, clamp32

_ORDERING_NB: Final = np.array([0, 9, 6, 3, 4, 5, 8, 1, 2, 7], np.int64)  # Table 27
_ORDERING_WB: Final = np.array([0, 15, 8, 7, 4, 11, 12, 3, 2, 13, 10, 5, 6, 9, 14, 1], np.int64)

_FIT_ROUNDS: Final = 10
_STABLE_ROUNDS: Final = 16
_MAXIMUM_Q12: Final = 163838
_REFLECTION_MAX_Q24: Final = 16773022
_INVERSE_GAIN_MIN_Q30: Final = 107374

# Rooms in scratch[WORK], 96 values.
_COSINES: Final = f.WORK
_P: Final = f.WORK + 16
_Q: Final = f.WORK + 32
_A32: Final = f.WORK + 48
_ROW: Final = f.WORK + 64


@inner_kernel("void(int64[::1], int64, int64, int64)")
def _multiply_out(scratch: NDArray[np.int64], cosines: int, out: int, half: int) -> None:
    """Multiply the root pairs of every second cosine into one polynomial in Q16 (4.2.7.5.6)."""
    scratch[out] = 1 << 16
    scratch[out + 1] = -scratch[cosines]
    for k in range(1, half):
        c = scratch[cosines + 2 * k]
        scratch[out + k + 1] = 2 * scratch[out + k - 1] - ((c * scratch[out + k] + 32768) >> 16)
        for j in range(k, 1, -1):
            product = (c * scratch[out + j - 1] + 32768) >> 16
            scratch[out + j] += scratch[out + j - 2] - product
        scratch[out + 1] -= c


@inner_kernel("void(int64[::1], int64, int64, int64)")
def _widen(scratch: NDArray[np.int64], at: int, order: int, chirp_q16: int) -> None:
    """Expand the bandwidth of the 32-bit filter at scratch[at] (4.2.7.5.7)."""
    factor_q16 = chirp_q16
    for k in range(order):
        scratch[at + k] = (scratch[at + k] * factor_q16) >> 16
        factor_q16 = (chirp_q16 * factor_q16 + 32768) >> 16


@inner_kernel("void(int64[::1], int64)")
def _fit_16_bits(scratch: NDArray[np.int64], order: int) -> None:
    """Expand the bandwidth until the filter in Q12 fits into 16 bits (4.2.7.5.7)."""
    for _ in range(_FIT_ROUNDS):
        largest = 0
        where = 0
        for k in range(order):
            if abs(scratch[_A32 + k]) > largest:
                largest = abs(scratch[_A32 + k])
                where = k
        largest_q12 = min((largest + 16) >> 5, _MAXIMUM_Q12)
        if largest_q12 <= 32767:
            return
        chirp = ((largest_q12 - 32767) << 14) // ((largest_q12 * (where + 1)) >> 2)
        _widen(scratch, _A32, order, 65470 - chirp)
    for k in range(order):
        scratch[_A32 + k] = clamp16((scratch[_A32 + k] + 16) >> 5) << 5


@inner_kernel("boolean(int64[::1], int64, int64, int64)")
def _step_down(scratch: NDArray[np.int64], k: int, reflection_q31: int, divisor_q30: int) -> bool:
    """Replace row k of the recursion by row k - 1; False if it leaves 32 bits (RFC 8251, 6)."""
    b1 = ilog(divisor_q30)
    b2 = b1 - 16
    inverse = ((1 << 29) - 1) // (divisor_q30 >> (b2 + 1))
    error_q29 = (1 << 29) - (((divisor_q30 << (15 - b2)) * inverse) >> 16)
    gain = (inverse << 16) + ((error_q29 * inverse) >> 13)
    for n in range((k + 1) >> 1):
        front = scratch[_ROW + n]
        back = scratch[_ROW + k - n - 1]
        for side in range(2):
            own, other = (front, back) if side == 0 else (back, front)
            product = (other * reflection_q31 + (1 << 30)) >> 31
            value = (clamp32(own - product) * gain + (1 << (b1 - 1))) >> b1
            if value != clamp32(value):
                return False
            scratch[_ROW + (n if side == 0 else k - n - 1)] = value
    return True


@inner_kernel("int64(int64[::1], int64, int64)")
def inverse_gain_q30(scratch: NDArray[np.int64], lpc: int, order: int) -> int:
    """Return one over the filter's prediction gain, or 0 if it is unstable (4.2.7.5.8).

    scratch  (SCRATCH_SIZE,) int64; the filter of `order` values in Q12 at scratch[lpc]
    """
    response = 0
    for n in range(order):
        response += scratch[lpc + n]
        scratch[_ROW + n] = scratch[lpc + n] << 12
    if response > 4096:
        return 0
    inverse_q30 = 1 << 30
    for k in range(order - 1, -1, -1):
        if abs(scratch[_ROW + k]) > _REFLECTION_MAX_Q24:
            return 0
        reflection_q31 = -scratch[_ROW + k] << 7
        divisor_q30 = (1 << 30) - ((reflection_q31 * reflection_q31) >> 32)
        inverse_q30 = ((inverse_q30 * divisor_q30) >> 32) << 2
        if inverse_q30 < _INVERSE_GAIN_MIN_Q30:
            return 0
        if k > 0 and not _step_down(scratch, k, reflection_q31, divisor_q30):
            return 0
    return inverse_q30


@inner_kernel("void(int64[::1], int64, int64, int64)")
def nlsf_to_lpc(scratch: NDArray[np.int64], nlsf: int, lpc: int, order: int) -> None:
    """Make the filter at scratch[lpc], in Q12, from the frequencies at scratch[nlsf] in Q15.

    scratch  (SCRATCH_SIZE,) int64; frequencies in Q15, the filter in Q12
    """
    for k in range(order):
        i = scratch[nlsf + k] >> 8
        fraction = scratch[nlsf + k] & 255
        step = t.COSINE_Q12[i + 1] - t.COSINE_Q12[i]
        place = _ORDERING_WB[k] if order == f.ORDER_MAX else _ORDERING_NB[k]
        scratch[_COSINES + place] = (t.COSINE_Q12[i] * 256 + step * fraction + 4) >> 3
    half = order >> 1
    _multiply_out(scratch, _COSINES, _P, half)
    _multiply_out(scratch, _COSINES + 1, _Q, half)
    for k in range(half):
        even = scratch[_P + k + 1] + scratch[_P + k]
        odd = scratch[_Q + k + 1] - scratch[_Q + k]
        scratch[_A32 + k] = -odd - even
        scratch[_A32 + order - 1 - k] = odd - even
    _fit_16_bits(scratch, order)
    for i in range(_STABLE_ROUNDS + 1):
        for k in range(order):
            scratch[lpc + k] = (scratch[_A32 + k] + 16) >> 5
        if i == _STABLE_ROUNDS or inverse_gain_q30(scratch, lpc, order) != 0:
            return
        _widen(scratch, _A32, order, 65536 - (2 << i))


@inner_kernel("void(int64[::1], int64, int64, int64)")
def widen_q12(values: NDArray[np.int64], at: int, order: int, chirp_q16: int) -> None:
    """Expand the bandwidth of the 16-bit filter at values[at].

    values  (at + order or more,) int64, filter in Q12
    """
    factor_q16 = chirp_q16
    for k in range(order):
        values[at + k] = (values[at + k] * factor_q16 + 32768) >> 16
        factor_q16 += ((factor_q16 * (chirp_q16 - 65536)) + 32768) >> 16


@inner_kernel("void(int64[::1], int64[::1], int64[::1])")
def whiten(signal: NDArray[np.int64], lpc_q12: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Write the prediction error of the newest samples of `signal` to `out`.

    signal   (order + n,) int64, 16-bit samples: the filter looks `order` samples back
    lpc_q12  (order,) int64, the filter
    out      (n,) int64, 16-bit samples
    """
    order = lpc_q12.size
    for i in range(out.size):
        at = order + i
        predicted_q12 = 0
        for k in range(order):
            predicted_q12 += signal[at - 1 - k] * lpc_q12[k]
        # 16-bit samples and filters of order 16 at most stay within 36 bits; the register has 32.
        error_q12 = ((signal[at] << 12) - predicted_q12 + 0x80000000) & 0xFFFFFFFF
        out[i] = clamp16((((error_q12 - 0x80000000) >> 11) + 1) >> 1)
