"""The period of the newest sound, for concealment (RFC 6716, section 4.4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.opus.celt.layout import ANALYSIS_SAMPLES, HISTORY, HISTORY_SAMPLES, HISTORY_STRIDE, SLOW

PERIOD_MIN: Final = 100
"""480 Hz: higher voices repeat several of their periods."""
PERIOD_MAX: Final = 720
"""67 Hz."""
_SLOWER: Final = 4
_SLOW_SAMPLES: Final = HISTORY_SAMPLES // _SLOWER
_REFINE: Final = 5


@kernel("float32(float32[::1], float32[::1], int64, int64, int64)")
def dot(a: NDArray[np.float32], b: NDArray[np.float32], i: int, j: int, n: int) -> np.float32:
    """Return the inner product of `n` values at `a[i]` and `b[j]`, in four sums."""
    s0 = s1 = s2 = s3 = np.float32(0.0)
    for k in range(0, n - 3, 4):
        s0 += a[i + k] * b[j + k]
        s1 += a[i + k + 1] * b[j + k + 1]
        s2 += a[i + k + 2] * b[j + k + 2]
        s3 += a[i + k + 3] * b[j + k + 3]
    for k in range(n & ~3, n):
        s0 += a[i + k] * b[j + k]
    return np.float32((s0 + s1) + (s2 + s3))


@kernel("float64(float32[::1], int64, int64, int64)")
def _likeness(sound: NDArray[np.float32], end: int, samples: int, period: int) -> float:
    """Return how well the newest `samples` before `end` repeat: 1 exactly, 0 or less not."""
    begin = end - samples
    cross = float(dot(sound, sound, begin, begin - period, samples))
    if cross <= 0.0:
        return 0.0
    power = float(dot(sound, sound, begin - period, begin - period, samples))
    return cross * cross / (power + 1.0)


@kernel("void(float32[::1], float32[::1], int64)")
def _slow_down(past: NDArray[np.float32], work: NDArray[np.float32], channels: int) -> None:
    """Mix the channels and keep every 4th sample, after a triangular low-pass of 7 taps."""
    for i in range(_SLOW_SAMPLES):
        total = np.float32(0.0)
        for channel in range(channels):
            at = HISTORY + channel * HISTORY_STRIDE + _SLOWER * i
            total += past[at] * np.float32(4.0)
            for tap in range(1, _SLOWER):
                weight = np.float32(_SLOWER - tap)
                before = past[at - tap] if i > 0 else np.float32(0.0)
                total += weight * (before + past[at + tap])
        work[SLOW + i] = total


@kernel("int64(float32[::1], float32[::1], int64)")
def find_period(past: NDArray[np.float32], work: NDArray[np.float32], channels: int) -> int:
    """Return the period in samples, PERIOD_MIN to PERIOD_MAX, at which the history repeats best."""
    _slow_down(past, work, channels)
    end = SLOW + _SLOW_SAMPLES
    samples = _SLOW_SAMPLES - PERIOD_MAX // _SLOWER
    best = PERIOD_MIN // _SLOWER
    best_score = -1.0
    for period in range(PERIOD_MIN // _SLOWER, PERIOD_MAX // _SLOWER + 1):
        score = _likeness(work, end, samples, period)
        if score > best_score:
            best_score = score
            best = period
    middle = best * _SLOWER
    best = middle
    best_score = -1.0
    for period in range(max(PERIOD_MIN, middle - _REFINE), min(PERIOD_MAX, middle + _REFINE) + 1):
        score = 0.0
        for channel in range(channels):
            end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
            score += _likeness(past, end, ANALYSIS_SAMPLES, period)
        if score > best_score:
            best_score = score
            best = period
    return best
