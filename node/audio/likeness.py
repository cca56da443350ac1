"""Where a sound is most like itself: what time-scale modification and concealment join by."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.units import SAMPLES_PER_MS

OVERLAP_SAMPLES: Final = 5 * SAMPLES_PER_MS
LAG_MAX_SAMPLES: Final = 15 * SAMPLES_PER_MS
"""The lowest voice has 66 Hz; a lag this long holds one period of it."""

LAG_MIN_SAMPLES: Final = 5 * SAMPLES_PER_MS // 2
"""The highest has 400 Hz."""

_COARSE: Final = 4
"""The first search takes every fourth lag and sample; sound for horns has little above 6 kHz."""

_QUIET: Final = 1e-9
"""Mean square below which there is nothing to align (-90 dBFS)."""

FADE: Final = (np.arange(OVERLAP_SAMPLES) + 0.5).astype(np.float32) / np.float32(OVERLAP_SAMPLES)


@inner_kernel("float64(float32[:, ::1], int64, int64, int64, int64)")
def similarity(sound: NDArray[np.float32], a: int, b: int, n: int, step: int) -> float:
    """Return the normalised correlation of `n` samples from `a` and from `b`, -1 to 1.

    sound  (m, channels) float32, full scale 1.0

    Every `step`-th sample is looked at. Both quiet: 1.
    """
    both = 0.0
    energy_a = 0.0
    energy_b = 0.0
    for channel in range(sound.shape[1]):
        for i in range(0, n, step):
            x = np.float64(sound[a + i, channel])
            y = np.float64(sound[b + i, channel])
            both += x * y
            energy_a += x * x
            energy_b += y * y
    floor = _QUIET * n / step
    if energy_a <= floor and energy_b <= floor:
        return 1.0
    if energy_a <= floor or energy_b <= floor:
        return 0.0
    return float(both / np.sqrt(energy_a * energy_b))


@inner_kernel("int64(float32[:, ::1], int64, int64, int64, int64, int64)")
def best_lag(
    sound: NDArray[np.float32], at: int, direction: int, shortest: int, longest: int, n: int
) -> int:
    """Return the lag in `shortest` .. `longest` at which the sound is most like itself.

    sound      (m, channels) float32, full scale 1.0
    at         where the first of the two segments begins
    direction  +1: the other one lies later, -1: earlier
    n          length of the segments
    """
    best = shortest
    highest = -2.0
    for lag in range(shortest, longest + 1, _COARSE):
        found = similarity(sound, at, at + direction * lag, n, _COARSE)
        if found > highest:
            highest = found
            best = lag
    highest = -2.0
    coarse = best
    for lag in range(max(shortest, coarse - _COARSE), min(longest, coarse + _COARSE) + 1):
        found = similarity(sound, at, at + direction * lag, n, 1)
        if found > highest:
            highest = found
            best = lag
    return best


@inner_kernel("float32(float32, float64)")
def fade_gain(weight: np.float32, alike: float) -> np.float32:
    """Return the gain that keeps the power of a cross-fade steady.

    Two segments that are alike add up by themselves; unlike ones (noise) would dip by 3 dB.
    """
    w = np.float64(weight)
    power = (1.0 - w) * (1.0 - w) + w * w + 2.0 * w * (1.0 - w) * max(alike, 0.0)
    return np.float32(1.0 / np.sqrt(power))
