"""Mid and side to left and right (RFC 6716, sections 4.2.7.1, 4.2.7.2 and 4.2.8)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.range_decoder import RangeDecoder, rc_icdf
from node.opus.silk import state as f
from node.opus.silk.fixed_point import clamp16, round_shift, wrap16

_TENTH_Q16: Final = 6554
_BLEND_MS: Final = 8


@inner_kernel("void(RangeDecoder, int64[::1])")
def parse_weights(rc: RangeDecoder, silk: NDArray[np.int64]) -> None:
    """Read the prediction weights into silk[WEIGHTS_Q13] (4.2.7.1).

    silk  (STATE_SIZE,) int64; WEIGHTS_Q13
    """
    joint = rc_icdf(rc, t.ICDF, t.STEREO_JOINT, 8)
    for i in range(2):
        part = joint // 5 if i == 0 else joint % 5
        low = rc_icdf(rc, t.ICDF, t.UNIFORM_3, 8) + 3 * part
        between = rc_icdf(rc, t.ICDF, t.UNIFORM_5, 8)
        weight = t.STEREO_WEIGHT_Q13[low]
        step = ((t.STEREO_WEIGHT_Q13[low + 1] - weight) * _TENTH_Q16) >> 16
        silk[f.WEIGHTS_Q13 + i] = weight + step * (2 * between + 1)
    silk[f.WEIGHTS_Q13] -= silk[f.WEIGHTS_Q13 + 1]


@inner_kernel("int64(RangeDecoder)")
def parse_mid_only(rc: RangeDecoder) -> int:
    """Return 1 if the side channel is not coded for this interval (4.2.7.2)."""
    return rc_icdf(rc, t.ICDF, t.MID_ONLY, 8)


@inner_kernel("void(int64[::1], int64[::1], int64, int64)")
def unmix(silk: NDArray[np.int64], scratch: NDArray[np.int64], rate_khz: int, samples: int) -> None:
    """Turn the mid and side in scratch[FRAME_OUT] into left and right, one sample late (4.2.8).

    Each channel's room begins with two samples of the frame before; the result begins at the
    second of them.

    silk     (STATE_SIZE,) int64; tails as 16-bit samples, weights in Q13
    scratch  (SCRATCH_SIZE,) int64; FRAME_OUT, 16-bit samples
    """
    mid = f.FRAME_OUT
    side = f.FRAME_OUT + f.FRAME_OUT_SIZE
    for i in range(2):
        scratch[mid + i] = silk[f.MID_TAIL + i]
        scratch[side + i] = silk[f.SIDE_TAIL + i]
        silk[f.MID_TAIL + i] = scratch[mid + samples + i]
        silk[f.SIDE_TAIL + i] = scratch[side + samples + i]
    blend = _BLEND_MS * rate_khz
    share_q16 = (1 << 16) // blend
    w0 = silk[f.STEREO_Q13]
    w1 = silk[f.STEREO_Q13 + 1]
    # Every decoder takes the change as 16 bits, though the largest ones do not fit.
    step0 = round_shift(wrap16(silk[f.WEIGHTS_Q13] - w0) * share_q16, 16)
    step1 = round_shift(wrap16(silk[f.WEIGHTS_Q13 + 1] - w1) * share_q16, 16)
    for i in range(samples):
        if i < blend:
            w0 += step0
            w1 += step1
        elif i == blend:
            w0 = silk[f.WEIGHTS_Q13]
            w1 = silk[f.WEIGHTS_Q13 + 1]
        centre = scratch[mid + i + 1]
        smooth_q11 = (scratch[mid + i] + 2 * centre + scratch[mid + i + 2]) << 9
        sum_q8 = (scratch[side + i + 1] << 8) + ((smooth_q11 * wrap16(w0)) >> 16)
        sum_q8 += ((centre << 11) * wrap16(w1)) >> 16
        scratch[side + i + 1] = clamp16(round_shift(sum_q8, 8))
    for i in range(1, samples + 1):
        left = scratch[mid + i] + scratch[side + i]
        right = scratch[mid + i] - scratch[side + i]
        scratch[mid + i] = clamp16(left)
        scratch[side + i] = clamp16(right)
    silk[f.STEREO_Q13] = silk[f.WEIGHTS_Q13]
    silk[f.STEREO_Q13 + 1] = silk[f.WEIGHTS_Q13 + 1]


@inner_kernel("void(int64[::1], int64[::1], int64)")
def delay_mono(silk: NDArray[np.int64], scratch: NDArray[np.int64], samples: int) -> None:
    """Give mono the delay of one sample that stereo has, so that both join without a step.

    silk     (STATE_SIZE,) int64; MID_TAIL, 16-bit samples
    scratch  (SCRATCH_SIZE,) int64; FRAME_OUT, 16-bit samples
    """
    for i in range(2):
        scratch[f.FRAME_OUT + i] = silk[f.MID_TAIL + i]
        silk[f.MID_TAIL + i] = scratch[f.FRAME_OUT + samples + i]
