"""Turn the position error of a source into the step of its resampler: PI, bounded, at rest exact.

The loop is critically damped with a time constant of 10 s, slow enough to average the jitter of a
sound card's time stamps and fast enough for any crystal. What is known of the wanted rate (the
sender's skew, a slew of the playout delay) is fed forward, so that the loop only has to find the
card's own skew. With equal clocks the error stays within the dead band, the step is exactly one
sample per sample, and the resampler copies bit by bit.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.units import RATE_HZ, SAMPLES_PER_MS

UNITY_Q32: Final = 1 << 32
HARD_RESYNC_Q16: Final = (50 * SAMPLES_PER_MS) << 16
"""50 ms. A larger position error is not steered away but jumped, faded and counted: by then two
horns are heard as two (the precedence effect: docs/why.md)."""

CLAMP_PPM: Final = 500.0
"""Bound of the loop's own correction; what is fed forward comes on top."""

STATE_SIZE: Final = 4
INTEGRAL_PPM: Final = 0
"""What the loop has learned: the card's skew against the node's clock, sign reversed."""
CLAMP: Final = 1
FEED_FORWARD_PPM: Final = 2
"""Wanted rate that is known already; set before each step, 0 if nothing is."""
CORRECTION_PPM: Final = 3
"""Last total correction, to publish."""

_DEAD_BAND_SAMPLES: Final = 0.1  # 2 us: above the rounding of positions, below any target
_PROPORTIONAL_PER_S: Final = 0.2  # critically damped: two poles at 1 / (10 s)
_INTEGRAL_PER_S2: Final = 0.01
_PPM_PER_SAMPLE_PER_S: Final = 1e6 / RATE_HZ
_Q16: Final = 65536.0


def new_state(clamp_ppm: float = CLAMP_PPM) -> NDArray[np.float64]:
    """Return the state of a servo at rest: (STATE_SIZE,) float64, ppm."""
    state = np.zeros(STATE_SIZE, np.float64)
    state[CLAMP] = clamp_ppm
    return state


@kernel("int64(float64[::1], int64, int64)")
def servo_step(state: NDArray[np.float64], error_q16: int, n: int) -> int:
    """Return the resampler step for the next `n` samples, Q32.

    state      (STATE_SIZE,) float64, ppm
    error_q16  wanted less actual media position now, Q16 samples; positive speeds up
    n          samples until the next call
    """
    error_samples = error_q16 / _Q16
    if error_samples > _DEAD_BAND_SAMPLES:
        error_samples -= _DEAD_BAND_SAMPLES
    elif error_samples < -_DEAD_BAND_SAMPLES:
        error_samples += _DEAD_BAND_SAMPLES
    else:
        error_samples = 0.0
    error_ppm_s = error_samples * _PPM_PER_SAMPLE_PER_S
    clamp = state[CLAMP]
    integral = state[INTEGRAL_PPM] + error_ppm_s * _INTEGRAL_PER_S2 * (n / RATE_HZ)
    correction = integral + error_ppm_s * _PROPORTIONAL_PER_S
    if -clamp <= correction <= clamp:
        state[INTEGRAL_PPM] = integral  # it does not wind up while the clamp holds
    correction = min(max(correction, -clamp), clamp)
    total = correction + state[FEED_FORWARD_PPM]
    state[CORRECTION_PPM] = total
    return UNITY_Q32 + int(np.rint(total * (UNITY_Q32 * 1e-6)))
