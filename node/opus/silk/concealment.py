"""Sound for a lost SILK frame, and a smooth way back (RFC 6716, section 4.4, first half).

Not normative. The last pitch cycle of the residual runs on through the long-term filter, with
noise drawn from the last excitation beside it; both fade, and the pitch slowly falls. Settled by
comparison with the sound of libopus 1.6.1 on the `fec_` and `dtx_` streams: equal to the sample.
(1.3.1 differs: there noise after an inactive frame does not fade.)
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import ilog
from node.opus.silk import state as f
from node.opus.silk.fixed_point import (
    approximate_root,
    clamp16,
    clamp32,
    inverse_q,
    next_random,
    round_shift,
    wrap16,
    wrap32,
)
from node.opus.silk.lpc import inverse_gain_q30, whiten, widen_q12

_PITCH_GAIN_MIN_Q14: Final = 11469  # 0.7
_PITCH_GAIN_MAX_Q14: Final = 15565  # 0.95
_NOISE_MIN_Q14: Final = 3277  # 0.2
_NOISE_SAMPLES: Final = 128
_WIDEN_Q16: Final = 64881  # 0.99
_DRIFT_Q16: Final = 655  # 1 % longer per subframe
_LAG_MAX_MS: Final = 18


@inner_kernel("void(int64[::1], int64)")
def reset_concealment(silk: NDArray[np.int64], channel: int) -> None:
    """Forget the pitch and the gains that concealment would go on with.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    """
    silk[channel + f.PITCH_Q8] = silk[channel + f.FRAME_SAMPLES] << 7
    silk[channel + f.GAINS_BEFORE_Q16] = 1 << 16
    silk[channel + f.GAINS_BEFORE_Q16 + 1] = 1 << 16
    silk[channel + f.CONCEAL_SUBFRAME] = 20
    silk[channel + f.CONCEAL_SUBFRAMES] = 2
    silk[channel + f.CONCEAL_RATE_KHZ] = silk[channel + f.RATE_KHZ]


@inner_kernel("void(int64[::1], int64, int64[::1])")
def remember_frame(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Keep of a good frame what concealment of the next one needs.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    """
    subframes = silk[channel + f.SUBFRAMES]
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    ltp = channel + f.CONCEAL_LTP_Q14
    for i in range(f.LTP_TAPS):
        silk[ltp + i] = 0
    if scratch[f.SIGNAL] == f.VOICED:
        best = 0
        last_lag = scratch[f.LAGS + subframes - 1]
        for j in range(subframes):
            if j * samples >= last_lag:
                break
            k = subframes - 1 - j
            gain = 0
            for i in range(f.LTP_TAPS):
                gain += scratch[f.LTP_Q14 + f.LTP_TAPS * k + i]
            if gain > best:
                best = gain
                silk[channel + f.PITCH_Q8] = scratch[f.LAGS + k] << 8
        silk[ltp + 2] = best
        if best < _PITCH_GAIN_MIN_Q14:
            # The factor has 16 bits: a gain below 2 % comes out negative in every libopus.
            factor_q10 = wrap16((_PITCH_GAIN_MIN_Q14 << 10) // max(best, 1))
            silk[ltp + 2] = (best * factor_q10) >> 10
        elif best > _PITCH_GAIN_MAX_Q14:
            silk[ltp + 2] = (best * ((_PITCH_GAIN_MAX_Q14 << 14) // best)) >> 14
    else:
        silk[channel + f.PITCH_Q8] = _LAG_MAX_MS * silk[channel + f.RATE_KHZ] << 8
    for k in range(f.ORDER_MAX):
        silk[channel + f.LPC_BEFORE_Q12 + k] = scratch[f.LPC_Q12 + k]
    silk[channel + f.LTP_SCALE_BEFORE_Q14] = scratch[f.LTP_SCALE]
    for k in range(2):
        gain_q16 = scratch[f.GAINS_Q16 + subframes - 2 + k]
        silk[channel + f.GAINS_BEFORE_Q16 + k] = gain_q16
    silk[channel + f.CONCEAL_SUBFRAME] = samples
    silk[channel + f.CONCEAL_SUBFRAMES] = subframes


@inner_kernel("UniTuple(int64, 2)(int64[::1], int64, int64)")
def energy(signal: NDArray[np.int64], begin: int, count: int) -> tuple[int, int]:
    """Return the energy of 16-bit samples and by how many bits it was shifted down to fit.

    signal  (begin + count or more,) int64, 16-bit samples
    """
    shift = ilog(count) - 1
    total = count
    for attempt in range(2):
        for i in range(0, count, 2):
            pair = signal[begin + i] * signal[begin + i]
            if i + 1 < count:
                pair += signal[begin + i + 1] * signal[begin + i + 1]
            total += pair >> shift
        if attempt == 0:
            shift = max(0, shift + 3 - (32 - ilog(total)))
            total = 0
    return total, shift


@inner_kernel("int64(int64[::1], int64, int64[::1])")
def _quieter_noise(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> int:
    """Return where in the last excitation the noise is to be drawn from."""
    # The energies are of the frame size wanted now, which need not be that of the last frame:
    # so has every decoder done it since the first.
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    subframes = silk[channel + f.SUBFRAMES]
    excitation = channel + f.EXCITATION_Q14
    for k in range(2):
        gain_q10 = silk[channel + f.GAINS_BEFORE_Q16 + k] >> 6
        for i in range(samples):
            value = silk[excitation + (subframes - 2 + k) * samples + i] * gain_q10 >> 16
            scratch[f.WHITENED + k * samples + i] = clamp16(wrap32(value) >> 8)
    first, first_shift = energy(scratch, f.WHITENED, samples)
    second, second_shift = energy(scratch, f.WHITENED + samples, samples)
    last = silk[channel + f.CONCEAL_SUBFRAMES]
    if first >> second_shift < second >> first_shift:
        last -= 1
    samples = silk[channel + f.CONCEAL_SUBFRAME]
    return int(excitation + max(0, last * samples - _NOISE_SAMPLES))


@inner_kernel("UniTuple(int64, 2)(int64[::1], int64, int64[::1])")
def _noise_gains(
    silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]
) -> tuple[int, int]:
    """Return how loud the noise is (Q14) and how fast it fades (Q15 per subframe)."""
    lost = min(silk[channel + f.LOST_FRAMES], 1)
    voiced = silk[channel + f.SIGNAL_BEFORE] == f.VOICED
    fade_q15 = t.NOISE_FADE_VOICED_Q15[lost] if voiced else t.NOISE_FADE_UNVOICED_Q15[lost]
    if lost > 0:
        return silk[channel + f.NOISE_SCALE_Q14], fade_q15
    if not voiced:
        order = silk[channel + f.ORDER]
        inverse_q30 = inverse_gain_q30(scratch, f.LPC_Q12, order)
        down_q30 = min(max(inverse_q30, 1 << 22), 1 << 27) << 3
        return 1 << 14, ((down_q30 * fade_q15) >> 16) >> 14
    scale_q14 = 1 << 14
    for i in range(f.LTP_TAPS):
        scale_q14 -= silk[channel + f.CONCEAL_LTP_Q14 + i]
    scale_q14 = max(_NOISE_MIN_Q14, scale_q14)
    return (scale_q14 * silk[channel + f.LTP_SCALE_BEFORE_Q14]) >> 14, fade_q15


@inner_kernel("int64(int64[::1], int64, int64[::1], int64, int64, int64)")
def _run_pitch_on(
    silk: NDArray[np.int64],
    channel: int,
    scratch: NDArray[np.int64],
    noise: int,
    noise_q14: int,
    fade_q15: int,
) -> int:
    """Extend the residual by long-term prediction and noise; return the lag it ended with."""
    ltp = channel + f.CONCEAL_LTP_Q14
    seed = silk[channel + f.PITCH_SEED]
    pitch_q8 = silk[channel + f.PITCH_Q8]
    longest_q8 = _LAG_MAX_MS * silk[channel + f.RATE_KHZ] << 8
    harmonic_q15 = t.HARMONIC_FADE_Q15[min(silk[channel + f.LOST_FRAMES], 1)]
    lag = round_shift(pitch_q8, 8)
    now = f.RESIDUAL_Q15 + silk[channel + f.MEMORY_SAMPLES]
    for _ in range(silk[channel + f.SUBFRAMES]):
        for _ in range(silk[channel + f.SUBFRAME_SAMPLES]):
            predicted_q12 = 2
            for k in range(f.LTP_TAPS):
                tap = scratch[now - lag + f.LTP_TAPS // 2 - k]
                predicted_q12 += (tap * silk[ltp + k]) >> 16
            seed = next_random(seed)
            drawn = silk[noise + ((seed >> 25) & (_NOISE_SAMPLES - 1))]
            value = wrap32(predicted_q12 + ((drawn * noise_q14) >> 16))
            scratch[now] = wrap32(value << 2)
            now += 1
        for k in range(f.LTP_TAPS):
            silk[ltp + k] = (harmonic_q15 * silk[ltp + k]) >> 15
        noise_q14 = (noise_q14 * fade_q15) >> 15
        pitch_q8 = min(pitch_q8 + ((pitch_q8 * _DRIFT_Q16) >> 16), longest_q8)
        lag = round_shift(pitch_q8, 8)
    silk[channel + f.PITCH_SEED] = seed
    silk[channel + f.PITCH_Q8] = pitch_q8
    silk[channel + f.NOISE_SCALE_Q14] = noise_q14
    return lag


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def conceal(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], out: int) -> None:
    """Make up one lost frame at scratch[out]; LAGS is set to the lag it ended with.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    """
    order = silk[channel + f.ORDER]
    memory = silk[channel + f.MEMORY_SAMPLES]
    noise = _quieter_noise(silk, channel, scratch)
    if silk[channel + f.FRESH] == 1:
        for k in range(f.ORDER_MAX):
            silk[channel + f.LPC_BEFORE_Q12 + k] = 0
    widen_q12(silk, channel + f.LPC_BEFORE_Q12, order, _WIDEN_Q16)
    for k in range(order):
        scratch[f.LPC_Q12 + k] = silk[channel + f.LPC_BEFORE_Q12 + k]
    noise_q14, fade_q15 = _noise_gains(silk, channel, scratch)
    lag = round_shift(silk[channel + f.PITCH_Q8], 8)
    need = lag + f.LTP_TAPS // 2
    residual = f.RESIDUAL_Q15
    history = channel + f.HISTORY + memory - need
    end = residual + memory
    whiten(
        silk[history - order : history + need],
        scratch[f.LPC_Q12 : f.LPC_Q12 + order],
        scratch[end - need : end],
    )
    inverse_q30 = min(inverse_q(silk[channel + f.GAINS_BEFORE_Q16 + 1], 46), 0x3FFFFFFF)
    for i in range(residual + memory - need, residual + memory):
        scratch[i] = wrap32((inverse_q30 * scratch[i]) >> 16)
    lag = _run_pitch_on(silk, channel, scratch, noise, noise_q14, fade_q15)
    for k in range(f.ORDER_MAX):
        scratch[f.LPC_RUN_Q14 + k] = silk[channel + f.LPC_TAIL_Q14 + k]
    samples = silk[channel + f.FRAME_SAMPLES]
    gain_q10 = silk[channel + f.GAINS_BEFORE_Q16 + 1] >> 6
    for i in range(samples):
        at = f.LPC_RUN_Q14 + f.ORDER_MAX + i
        predicted_q10 = order >> 1
        for j in range(order):
            predicted_q10 += (scratch[at - 1 - j] * scratch[f.LPC_Q12 + j]) >> 16
        predicted_q14 = clamp32(wrap32(predicted_q10) << 4)
        scratch[at] = clamp32(scratch[residual + memory + i] + predicted_q14)
        value = wrap32((scratch[at] * gain_q10) >> 16)
        scratch[out + i] = clamp16(round_shift(value, 8))
    for k in range(f.ORDER_MAX):
        silk[channel + f.LPC_TAIL_Q14 + k] = scratch[f.LPC_RUN_Q14 + samples + k]
    for k in range(f.SUBFRAMES_MAX):
        scratch[f.LAGS + k] = lag


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def join_frames(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], at: int) -> None:
    """Ramp up the first good frame after a loss if it is louder than the concealment was.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    at       where in `scratch` the frame's 16-bit samples begin
    """
    samples = silk[channel + f.FRAME_SAMPLES]
    if silk[channel + f.LOST_FRAMES] > 0:
        lost, lost_shift = energy(scratch, at, samples)
        silk[channel + f.CONCEALED_ENERGY] = lost
        silk[channel + f.CONCEALED_SHIFT] = lost_shift
        silk[channel + f.CONCEALED_BEFORE] = 1
        return
    if silk[channel + f.CONCEALED_BEFORE] == 0:
        return
    silk[channel + f.CONCEALED_BEFORE] = 0
    good, good_shift = energy(scratch, at, samples)
    lost = silk[channel + f.CONCEALED_ENERGY]
    lost_shift = silk[channel + f.CONCEALED_SHIFT]
    if good_shift > lost_shift:
        lost >>= good_shift - lost_shift
    else:
        good >>= lost_shift - good_shift
    if good <= lost:
        return
    zeros = 31 - ilog(lost)
    ratio_q24 = (lost << zeros) // max(good >> max(24 - zeros, 0), 1)
    gain_q16 = approximate_root(ratio_q24) << 4
    step_q16 = (((1 << 16) - gain_q16) // samples) << 2
    for i in range(samples):
        scratch[at + i] = (gain_q16 * scratch[at + i]) >> 16
        gain_q16 += step_q16
        if gain_q16 > 1 << 16:
            return
