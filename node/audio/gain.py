"""Gain in decibels, and ramps: a gain never jumps, it moves at a constant rate in dB/s.

A constant rate in dB is a constant factor per sample, so the kernel multiplies and needs no power.
Silence has no decibels: a ramp from zero starts at `SILENCE_GAIN`, and one to zero ends there.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.units import RATE_HZ

SILENCE_DB: Final = -100.0
"""Below this a gain is zero: 16 bits end at -98 dBFS."""
SILENCE_GAIN: Final = 1e-5
RAMP_DB_PER_S_MAX: Final = 2400.0
"""0.05 dB per sample at 48 kHz: no step that is audible as a click."""

# Powers differ in the last bit between C libraries; a grid of 2^-40 hides it (0.00000001 dB).
_GRID: Final = float(1 << 40)


def gain_of_db(gain_db: float) -> float:
    """Return the linear gain of `gain_db`; 0.0 at or below `SILENCE_DB`."""
    if gain_db <= SILENCE_DB:
        return 0.0
    return float(round(10.0 ** (gain_db / 20.0) * _GRID) / _GRID)


def ramp_factor(ramp_db_per_s: float) -> float:
    """Return the factor per sample at 48 kHz of a ramp of `ramp_db_per_s` > 0.

    Raises
    ------
    ValueError
        If the rate is not above 0 and within `RAMP_DB_PER_S_MAX`.
    """
    if not 0.0 < ramp_db_per_s <= RAMP_DB_PER_S_MAX:
        raise ValueError(
            f"ramp_db_per_s is {ramp_db_per_s}: it must be above 0 and at most {RAMP_DB_PER_S_MAX}"
        )
    return float(round(10.0 ** (ramp_db_per_s / RATE_HZ / 20.0) * _GRID) / _GRID)


@inner_kernel("float64(float64, float64, float64)")
def next_gain(gain: float, target: float, factor: float) -> float:
    """Return the gain one sample later on the way to `target`."""
    if gain < target:
        return min(max(gain, SILENCE_GAIN) * factor, target)
    if gain > target:
        lower = gain / factor
        if lower <= target:
            return target
        return lower if lower > SILENCE_GAIN else 0.0
    return gain


@kernel("float64(float32[:, ::1], float64, float64, float64)")
def apply_ramp(samples: NDArray[np.float32], gain: float, target: float, factor: float) -> float:
    """Scale `samples` in place while the gain moves to `target` in dB; return the last gain.

    samples       (n, channels) float32, C-contiguous, full scale 1.0
    gain, target  linear gain >= 0 before the first sample, and at the end of the ramp
    factor        of `ramp_factor`: gain change per sample, > 1

    At unity gain without a ramp the samples are not touched; at zero they become exact zero.
    """
    n = samples.shape[0]
    channels = samples.shape[1]
    done = 0
    while done < n and gain != target:
        gain = next_gain(gain, target, factor)
        for channel in range(channels):
            samples[done, channel] = np.float32(samples[done, channel] * gain)
        done += 1
    if gain == 1.0:
        return gain
    scale = np.float32(gain)
    for i in range(done, n):
        for channel in range(channels):
            samples[i, channel] *= scale
    return gain
