"""From a SILK frame's parameters and pulses to sound (RFC 6716, 4.2.7.8.6 and 4.2.7.9).

WHITENED and RESIDUAL_Q15 have one time axis, which begins 20 ms before the frame:

    0                      MEMORY_SAMPLES             + FRAME_SAMPLES
    |------- history ------|----------- frame ---------|
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.silk import state as f
from node.opus.silk.fixed_point import (
    clamp16,
    clamp32,
    divide_q,
    inverse_q,
    next_random,
    round_shift,
    wrap32,
)
from node.opus.silk.lpc import whiten

_OFFSETS_Q10: Final = np.array([100, 240, 100, 240, 32, 100], np.int64)  # Table 53, Q23 / 2^13
_LEVEL_ADJUST_Q10: Final = 80
_BRIDGE_TAP_Q14: Final = 4096


@inner_kernel("void(int64[::1], int64, int64[::1])")
def make_excitation(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Make the excitation of the frame from its pulses, in Q14 (4.2.7.8.6).

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    """
    kind = 2 * scratch[f.SIGNAL] + scratch[f.OFFSET_TYPE]
    offset_q14 = _OFFSETS_Q10[kind] << 4
    seed = scratch[f.SEED]
    for i in range(silk[channel + f.FRAME_SAMPLES]):
        pulse = scratch[f.PULSES + i]
        seed = next_random(seed)
        value = pulse << 14
        if pulse > 0:
            value -= _LEVEL_ADJUST_Q10 << 4
        elif pulse < 0:
            value += _LEVEL_ADJUST_Q10 << 4
        value += offset_q14
        silk[channel + f.EXCITATION_Q14 + i] = -value if seed < 0 else value
        seed = wrap32(seed + pulse)


@inner_kernel("void(int64[::1], int64, int64, int64)")
def _predict_short(scratch: NDArray[np.int64], lpc: int, order: int, samples: int) -> None:
    """Run the short-term synthesis filter over one subframe, in Q14 (4.2.7.9.2)."""
    for i in range(samples):
        at = f.LPC_RUN_Q14 + f.ORDER_MAX + i
        predicted_q10 = order >> 1
        for j in range(order):
            predicted_q10 += (scratch[at - 1 - j] * scratch[lpc + j]) >> 16
        predicted_q14 = clamp32(wrap32(predicted_q10) << 4)
        scratch[at] = clamp32(scratch[f.RESIDUAL_Q14 + i] + predicted_q14)


@inner_kernel("boolean(int64[::1], int64, int64[::1], int64)")
def _bridge(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], k: int) -> bool:
    """Let a little of the concealed pitch run on into an unvoiced frame after a loss."""
    if silk[channel + f.SIGNAL_BEFORE] != f.VOICED:
        return False
    taps = f.LTP_Q14 + f.LTP_TAPS * k
    for i in range(f.LTP_TAPS):
        scratch[taps + i] = 0
    scratch[taps + 2] = _BRIDGE_TAP_Q14
    scratch[f.LAGS + k] = silk[channel + f.LAG_BEFORE]
    return True


@inner_kernel("void(int64[::1], int64, int64[::1], int64, int64, int64)")
def _prepare_history(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    k: int,
    adjust_q16: int,
    out: int,
) -> None:
    """Bring the residual before subframe `k` to its filter and gain (4.2.7.9.1)."""
    memory = silk[channel + f.MEMORY_SAMPLES]
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    lag = scratch[f.LAGS + k]
    end = memory + k * samples
    if k == 0 or (k == 2 and scratch[f.INTERPOLATION_Q2] < 4):
        order = silk[channel + f.ORDER]
        inverse_q31 = inverse_q(scratch[f.GAINS_Q16 + k], 47)
        if k == 0:
            inverse_q31 = wrap32(((inverse_q31 * scratch[f.LTP_SCALE]) >> 16) << 2)
        need = lag + f.LTP_TAPS // 2
        # WHITENED holds the output around `end`; its residual goes behind it, 640 values in all.
        for i in range(need + order):
            at = end - need - order + i
            if at < memory:
                scratch[f.WHITENED + i] = silk[channel + f.HISTORY + at]
            else:
                scratch[f.WHITENED + i] = scratch[out + at - memory]
        lpc = f.LPC_FIRST_Q12 if k < 2 else f.LPC_Q12
        residual = f.RESIDUAL_Q15 + end - need
        whiten(
            scratch[f.WHITENED : f.WHITENED + order + need],
            scratch[lpc : lpc + order],
            scratch[residual : residual + need],
        )
        for i in range(need):
            scratch[residual + i] = wrap32((inverse_q31 * scratch[residual + i]) >> 16)
    elif adjust_q16 != 1 << 16:
        for i in range(end - lag - f.LTP_TAPS // 2, end):
            at = f.RESIDUAL_Q15 + i
            scratch[at] = wrap32((adjust_q16 * scratch[at]) >> 16)


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def _predict_long(
    silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], k: int
) -> None:
    """Add the long-term prediction to the excitation of subframe `k` (4.2.7.9.1)."""
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    now = f.RESIDUAL_Q15 + silk[channel + f.MEMORY_SAMPLES] + k * samples
    past = now - scratch[f.LAGS + k] + f.LTP_TAPS // 2
    excitation = channel + f.EXCITATION_Q14 + k * samples
    taps = f.LTP_Q14 + f.LTP_TAPS * k
    b0 = scratch[taps]
    b1 = scratch[taps + 1]
    b2 = scratch[taps + 2]
    b3 = scratch[taps + 3]
    b4 = scratch[taps + 4]
    for i in range(samples):
        p = past + i
        predicted_q13 = (
            2
            + ((scratch[p] * b0) >> 16)
            + ((scratch[p - 1] * b1) >> 16)
            + ((scratch[p - 2] * b2) >> 16)
            + ((scratch[p - 3] * b3) >> 16)
            + ((scratch[p - 4] * b4) >> 16)
        )
        value = wrap32(silk[excitation + i] + (wrap32(predicted_q13) << 1))
        scratch[f.RESIDUAL_Q14 + i] = value
        scratch[now + i] = wrap32(value << 1)


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def synthesise(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], out: int) -> None:
    """Filter the excitation into sound at scratch[out], 16 bits (4.2.7.9).

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    out      FRAME_SAMPLES samples at the channel's own rate
    """
    for k in range(f.ORDER_MAX):
        scratch[f.LPC_RUN_Q14 + k] = silk[channel + f.LPC_TAIL_Q14 + k]
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    for k in range(silk[channel + f.SUBFRAMES]):
        gain_q16 = scratch[f.GAINS_Q16 + k]
        gain_before_q16 = silk[channel + f.GAIN_BEFORE_Q16]
        adjust_q16 = 1 << 16
        if gain_q16 != gain_before_q16:
            adjust_q16 = divide_q(gain_before_q16, gain_q16, 16)
            for i in range(f.ORDER_MAX):
                at = f.LPC_RUN_Q14 + i
                scratch[at] = wrap32((adjust_q16 * scratch[at]) >> 16)
            silk[channel + f.GAIN_BEFORE_Q16] = gain_q16
        voiced = scratch[f.SIGNAL] == f.VOICED
        if silk[channel + f.LOST_FRAMES] > 0 and not voiced and k < 2:
            voiced = _bridge(silk, channel, scratch, k)
        if voiced:
            _prepare_history(silk, channel, scratch, k, adjust_q16, out)
            _predict_long(silk, channel, scratch, k)
        else:
            for i in range(samples):
                at = channel + f.EXCITATION_Q14 + k * samples + i
                scratch[f.RESIDUAL_Q14 + i] = silk[at]
        lpc = f.LPC_FIRST_Q12 if k < 2 else f.LPC_Q12
        _predict_short(scratch, lpc, silk[channel + f.ORDER], samples)
        gain_q10 = gain_q16 >> 6
        for i in range(samples):
            value = wrap32((scratch[f.LPC_RUN_Q14 + f.ORDER_MAX + i] * gain_q10) >> 16)
            scratch[out + k * samples + i] = clamp16(round_shift(value, 8))
        for i in range(f.ORDER_MAX):
            scratch[f.LPC_RUN_Q14 + i] = scratch[f.LPC_RUN_Q14 + samples + i]
    for k in range(f.ORDER_MAX):
        silk[channel + f.LPC_TAIL_Q14 + k] = scratch[f.LPC_RUN_Q14 + k]
