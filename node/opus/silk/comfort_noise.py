"""Background noise under concealed SILK frames, learnt in the pauses of speech.

Not normative (RFC 6716, section 4.4). Settled by comparison with the sound of libopus 1.6.1 on
the `dtx_` streams: equal to the sample. (1.3.1 differs: there the gain only follows slowly.)
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.silk import state as f
from node.opus.silk.fixed_point import (
    approximate_root,
    clamp16,
    clamp32,
    next_random,
    round_shift,
    wrap32,
)
from node.opus.silk.lpc import nlsf_to_lpc

_NLSF_SMOOTHING_Q16: Final = 16348
_GAIN_SMOOTHING_Q16: Final = 4634
_GAIN_STEP_Q16: Final = 46396  # 3 dB: a gain that falls by more is followed at once
_SEED: Final = 3176576


@inner_kernel("void(int64[::1], int64)")
def reset_comfort_noise(silk: NDArray[np.int64], channel: int) -> None:
    """Forget the background: flat and silent.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    """
    order = silk[channel + f.ORDER]
    step_q15 = 32767 // (order + 1)
    for k in range(order):
        silk[channel + f.COMFORT_NLSF_Q15 + k] = step_q15 * (k + 1)
    silk[channel + f.COMFORT_GAIN_Q16] = 0
    silk[channel + f.COMFORT_SEED] = _SEED
    silk[channel + f.COMFORT_RATE_KHZ] = silk[channel + f.RATE_KHZ]


@inner_kernel("int64(int64, int64)")
def _missing_gain_q10(concealed_q16: int, smooth_q16: int) -> int:
    """Return the gain that fills concealment of one gain up to the background's."""
    if concealed_q16 >= 1 << 21 or smooth_q16 > 1 << 23:
        rest = (smooth_q16 >> 16) * (smooth_q16 >> 16)
        rest -= ((concealed_q16 >> 16) * (concealed_q16 >> 16)) << 5
        return (approximate_root(wrap32(rest)) << 16) >> 6
    rest = (smooth_q16 * smooth_q16) >> 16
    rest -= ((concealed_q16 * concealed_q16) >> 16) << 5
    return (approximate_root(wrap32(rest)) << 8) >> 6


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def _add_noise(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], out: int) -> None:
    """Add as much background as the fading concealment lacks."""
    order = silk[channel + f.ORDER]
    samples = silk[channel + f.FRAME_SAMPLES]
    concealed_q16 = silk[channel + f.NOISE_SCALE_Q14] * silk[channel + f.GAINS_BEFORE_Q16 + 1]
    gain_q10 = _missing_gain_q10(concealed_q16 >> 16, silk[channel + f.COMFORT_GAIN_Q16])
    mask = 255
    while mask > samples:
        mask >>= 1
    for k in range(order):
        scratch[f.NLSF_Q15 + k] = silk[channel + f.COMFORT_NLSF_Q15 + k]
    nlsf_to_lpc(scratch, f.NLSF_Q15, f.LPC_Q12, order)
    for k in range(f.ORDER_MAX):
        scratch[f.LPC_RUN_Q14 + k] = silk[channel + f.COMFORT_LPC_Q14 + k]
    seed = silk[channel + f.COMFORT_SEED]
    for i in range(samples):
        at = f.LPC_RUN_Q14 + f.ORDER_MAX + i
        predicted_q10 = order >> 1
        for j in range(order):
            predicted_q10 += (scratch[at - 1 - j] * scratch[f.LPC_Q12 + j]) >> 16
        seed = next_random(seed)
        drawn = silk[channel + f.COMFORT_EXCITATION_Q14 + ((seed >> 24) & mask)]
        scratch[at] = clamp32(drawn + clamp32(wrap32(predicted_q10) << 4))
        noise = clamp16(round_shift(wrap32((scratch[at] * gain_q10) >> 16), 8))
        scratch[out + i] = clamp16(scratch[out + i] + noise)
    silk[channel + f.COMFORT_SEED] = seed
    for k in range(f.ORDER_MAX):
        silk[channel + f.COMFORT_LPC_Q14 + k] = scratch[f.LPC_RUN_Q14 + samples + k]


@inner_kernel("void(int64[::1], int64, int64[::1])")
def _learn(silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64]) -> None:
    """Follow the spectrum, the gain and the excitation of an inactive frame."""
    for k in range(silk[channel + f.ORDER]):
        at = channel + f.COMFORT_NLSF_Q15 + k
        step = silk[channel + f.NLSF_BEFORE_Q15 + k] - silk[at]
        silk[at] += (step * _NLSF_SMOOTHING_Q16) >> 16
    subframes = silk[channel + f.SUBFRAMES]
    samples = silk[channel + f.SUBFRAME_SAMPLES]
    loudest = 0
    for k in range(1, subframes):
        if scratch[f.GAINS_Q16 + k] > scratch[f.GAINS_Q16 + loudest]:
            loudest = k
    noise = channel + f.COMFORT_EXCITATION_Q14
    for i in range((subframes - 1) * samples - 1, -1, -1):
        silk[noise + samples + i] = silk[noise + i]
    for i in range(samples):
        silk[noise + i] = silk[channel + f.EXCITATION_Q14 + loudest * samples + i]
    smooth_q16 = silk[channel + f.COMFORT_GAIN_Q16]
    for k in range(subframes):
        gain_q16 = scratch[f.GAINS_Q16 + k]
        smooth_q16 += ((gain_q16 - smooth_q16) * _GAIN_SMOOTHING_Q16) >> 16
        if (smooth_q16 * _GAIN_STEP_Q16) >> 16 > gain_q16:
            smooth_q16 = gain_q16
    silk[channel + f.COMFORT_GAIN_Q16] = smooth_q16


@inner_kernel("void(int64[::1], int64, int64[::1], int64)")
def comfort_noise(
    silk: NDArray[np.int64], channel: int, scratch: NDArray[np.int64], out: int
) -> None:
    """Learn from a good frame, or add noise to the concealed one at scratch[out].

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    """
    if silk[channel + f.COMFORT_RATE_KHZ] != silk[channel + f.RATE_KHZ]:
        reset_comfort_noise(silk, channel)
    if silk[channel + f.LOST_FRAMES] > 0:
        _add_noise(silk, channel, scratch, out)
        return
    if silk[channel + f.SIGNAL_BEFORE] == f.INACTIVE:
        _learn(silk, channel, scratch)
    # libopus clears the oldest values only when the order is 10: harmless, and kept the same.
    for k in range(silk[channel + f.ORDER]):
        silk[channel + f.COMFORT_LPC_Q14 + k] = 0
