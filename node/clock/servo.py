"""Turn the position error of a source into the step of its resampler: PI, bounded, at rest exact.

The loop is critically damped with a time constant of 10 s, slow enough to average the jitter of a
sound card's time stamps and fast enough for any crystal. What is known of the wanted rate (the
sender's skew, a slew of the playout delay) is fed forward, so that the loop only has to find the
card's own skew. With equal clocks the error stays within the dead band, the step is exactly one
sample per sample, and the resampler copies bit by bit.
"""

from typing import Final

import numpy as np

from node.clock.line import JUMP_NS
from node.kernel import inner_kernel
from node.kernel.record import Record, Records, new, number
from node.units import NS_PER_MS, RATE_HZ, SAMPLES_PER_MS

UNITY_Q32: Final = 1 << 32
HARD_RESYNC_Q16: Final = ((JUMP_NS // NS_PER_MS - 2) * SAMPLES_PER_MS) << 16
"""48 ms. A larger position error is not steered away but jumped, faded and counted: by then two
horns are heard as two (the precedence effect: docs/why.md). What the line takes at once is larger
even where the sound was a millisecond nearer to it: steered, it would last for 100 s."""

CLAMP_PPM: Final = 500.0
"""Bound of the loop's own correction; what is fed forward comes on top."""

_DEAD_BAND_SAMPLES: Final = 0.1  # 2 us: above the rounding of positions, below any target
_PROPORTIONAL_PER_S: Final = 0.2  # critically damped: two poles at 1 / (10 s)
_INTEGRAL_PER_S2: Final = 0.01
_PPM_PER_SAMPLE_PER_S: Final = 1e6 / RATE_HZ
_Q16: Final = 65536.0


class Servo(Record):
    """The loop that steers a source's resampler."""

    integral_ppm: float = number(
        "ppm", "Learned by the loop: the card's skew against the node's clock, sign reversed."
    )
    clamp_ppm: float = number("ppm", "Bound of the loop's own correction.")
    feed_forward_ppm: float = number(
        "ppm", "Wanted rate that is known already; set before each step, 0 if nothing is."
    )
    correction_ppm: float = number("ppm", "Last total correction, to publish.")


def new_servo(clamp_ppm: float = CLAMP_PPM) -> Records[Servo]:
    """Return a servo at rest: an array of one."""
    found = new(Servo)
    found["clamp_ppm"] = clamp_ppm
    return found


@inner_kernel("int64(Servo[::1], int64, int64)")
def servo_step(servos: Records[Servo], error_q16: int, n: int) -> int:
    """Return the resampler step for the next `n` samples, Q32.

    error_q16  wanted less actual media position now, Q16 samples; positive speeds up
    n          samples until the next call
    """
    servo = servos[0]
    away = error_q16 / _Q16
    # No branch: the error hovers about the edge of the band, and who guesses wrongly there waits
    # for all of it once more.
    error_samples = away - min(max(away, -_DEAD_BAND_SAMPLES), _DEAD_BAND_SAMPLES)
    error_ppm_s = error_samples * _PPM_PER_SAMPLE_PER_S
    clamp = servo.clamp_ppm
    integral = servo.integral_ppm + error_ppm_s * _INTEGRAL_PER_S2 * (n / RATE_HZ)
    correction = integral + error_ppm_s * _PROPORTIONAL_PER_S
    if -clamp <= correction <= clamp:
        servo.integral_ppm = integral  # it does not wind up while the clamp holds
    correction = min(max(correction, -clamp), clamp)
    total = correction + servo.feed_forward_ppm
    servo.correction_ppm = total
    return UNITY_Q32 + int(np.rint(total * (UNITY_Q32 * 1e-6)))
