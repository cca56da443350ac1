"""The period of the newest sound, for concealment (RFC 6716, section 4.4).

Found in two steps on whitened sound, at a quarter and at half of the rate, so that a decoder
that loses the same frame as the reference decoder repeats the same period.

    half rate   |<- 360: longest period ->|<- 664 samples to find again ->|
                 offset 0 .. 309 ->        a pattern, `offset` = 360 - period
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import (
    CORRELATION,
    CUT,
    HISTORY,
    HISTORY_SAMPLES,
    HISTORY_STRIDE,
    RESIDUAL,
    SLOW,
)

PERIOD_MIN: Final = 100
"""480 Hz: higher voices repeat several of their periods."""
PERIOD_MAX: Final = 720
"""67 Hz."""
_HALF: Final = HISTORY_SAMPLES // 2
_PATTERN: Final = (HISTORY_SAMPLES - PERIOD_MAX) // 2
_OFFSETS: Final = (PERIOD_MAX - PERIOD_MIN) // 2
_NEAR: Final = 2
"""Offsets on each side of a coarse one that are looked at closely."""
_SHARPNESS: Final = np.float32(0.7)
_ORDER: Final = 4
_WIDENING: Final = np.float32(0.9)
_ZERO: Final = np.float32(0.8)
"""Extra zero of the whitening filter: less of the low end."""


@inner_kernel("float32(float32[::1], float32[::1], int64, int64, int64)")
def dot(a: NDArray[np.float32], b: NDArray[np.float32], i: int, j: int, n: int) -> np.float32:
    """Return the inner product of `n` values at `a[i]` and `b[j]`, in four sums.

    a  (i + n or more,) float32, any unit
    b  (j + n or more,) float32, any unit
    """
    s0 = s1 = s2 = s3 = np.float32(0.0)
    for k in range(0, n - 3, 4):
        s0 += a[i + k] * b[j + k]
        s1 += a[i + k + 1] * b[j + k + 1]
        s2 += a[i + k + 2] * b[j + k + 2]
        s3 += a[i + k + 3] * b[j + k + 3]
    for k in range(n & ~3, n):
        s0 += a[i + k] * b[j + k]
    return np.float32((s0 + s1) + (s2 + s3))


@inner_kernel("void(float32[::1], int64, int64)")
def solve_predictor(values: NDArray[np.float32], target: int, order: int) -> None:
    """Set `values[target:]` from the autocorrelation at CORRELATION (Levinson and Durbin).

    x[n] is predicted as the sum of `values[target + k] * x[n - 1 - k]`.

    values  (n,) float32, laid out as `layout` says: CORRELATION in the sound's unit squared; the
            result is a ratio
    """
    for k in range(order):
        values[target + k] = np.float32(0.0)
    error = float(values[CORRELATION])
    floor = 0.001 * error  # at 30 dB more coefficients are not worth their risk
    for step in range(order):
        if error <= floor:
            break
        rest = float(values[CORRELATION + step + 1])
        for k in range(step):
            rest -= float(values[target + k]) * float(values[CORRELATION + step - k])
        reflection = rest / error
        for k in range((step + 1) >> 1):
            low = float(values[target + k])
            high = float(values[target + step - 1 - k])
            values[target + k] = np.float32(low - reflection * high)
            values[target + step - 1 - k] = np.float32(high - reflection * low)
        values[target + step] = np.float32(reflection)
        error -= reflection * reflection * error


@inner_kernel("void(float32[::1], int64, int64, int64)")
def correlate(work: NDArray[np.float32], begin: int, samples: int, order: int) -> None:
    """Set CORRELATION of `work[begin:]`, its peaks widened and a noise floor 40 dB below.

    work  (n,) float32, laid out as `layout` says: sound of any unit, CORRELATION in its square
    """
    for lag in range(order + 1):
        narrow = np.float32(0.008) * np.float32(lag)
        power = dot(work, work, begin, begin + lag, samples - lag)
        work[CORRELATION + lag] = power - power * narrow * narrow
    work[CORRELATION] *= np.float32(1.0001)


@inner_kernel("void(float32[::1], float32[::1], int64)")
def _whiten(past: NDArray[np.float32], work: NDArray[np.float32], channels: int) -> None:
    """Set SLOW to the channels' sum at half the rate, its spectrum made flat."""
    for i in range(_HALF):
        total = np.float32(0.0)
        for channel in range(channels):
            at = HISTORY + channel * HISTORY_STRIDE + 2 * i
            before = past[at - 1] if i > 0 else np.float32(0.0)
            total += np.float32(0.5) * (np.float32(0.5) * (before + past[at + 1]) + past[at])
        work[CUT + i] = total
    correlate(work, CUT, _HALF, _ORDER)
    solve_predictor(work, RESIDUAL, _ORDER)
    gain = np.float32(1.0)
    for k in range(_ORDER):
        gain *= _WIDENING
        work[RESIDUAL + k] *= -gain
    work[RESIDUAL + _ORDER] = np.float32(0.0)
    for k in range(_ORDER, 0, -1):
        work[RESIDUAL + k] += _ZERO * work[RESIDUAL + k - 1]
    work[RESIDUAL] += _ZERO
    for i in range(_HALF):
        total = work[CUT + i]
        for k in range(min(i, _ORDER + 1)):
            total += work[RESIDUAL + k] * work[CUT + i - 1 - k]
        work[SLOW + i] = total


@inner_kernel("UniTuple(int64, 2)(float32[::1], int64, int64, int64, int64)")
def _best_offsets(
    work: NDArray[np.float32], scores: int, begin: int, samples: int, offsets: int
) -> tuple[int, int]:
    """Return the two offsets whose squared correlation is largest for their power.

    scores   where the correlations lie in `work`; not above 0 is no likeness
    begin    where the sound of offset 0 begins
    """
    first = 0
    second = 1
    first_score = second_score = -1.0
    first_power = second_power = 0.0
    power = 1.0 + float(dot(work, work, begin, begin, samples))
    for offset in range(offsets):
        cross = float(work[scores + offset])
        if cross > 0.0:
            score = cross * cross
            if score * first_power > first_score * power:
                second, second_score, second_power = first, first_score, first_power
                first, first_score, first_power = offset, score, power
            elif score * second_power > second_score * power:
                second, second_score, second_power = offset, score, power
        gone = float(work[begin + offset])
        new = float(work[begin + offset + samples])
        power = max(1.0, power + new * new - gone * gone)
    return first, second


@inner_kernel("int64(float32[::1], float32[::1], int64)")
def find_period(past: NDArray[np.float32], work: NDArray[np.float32], channels: int) -> int:
    """Return the period in samples, about PERIOD_MIN to PERIOD_MAX, that repeats best.

    past  (CELT_FLOAT_SIZE,) float32, history at 16-bit scale, 48 kHz
    work  (WORK_SIZE,) float32, scratch at 16-bit scale: whitened sound at half and quarter rate
    """
    _whiten(past, work, channels)
    quarter = CUT
    for i in range(_HALF // 2):
        work[quarter + i] = work[SLOW + 2 * i]
    pattern = quarter + PERIOD_MAX // 4
    for offset in range(_OFFSETS // 2):
        work[RESIDUAL + offset] = dot(work, work, pattern, quarter + offset, _PATTERN // 2)
    first, second = _best_offsets(work, RESIDUAL, quarter, _PATTERN // 2, _OFFSETS // 2)
    pattern = SLOW + PERIOD_MAX // 2
    for offset in range(_OFFSETS):
        work[RESIDUAL + offset] = np.float32(0.0)
        if min(abs(offset - 2 * first), abs(offset - 2 * second)) <= _NEAR:
            cross = dot(work, work, pattern, SLOW + offset, _PATTERN)
            work[RESIDUAL + offset] = max(np.float32(-1.0), cross)
    best, _ = _best_offsets(work, RESIDUAL, SLOW, _PATTERN, _OFFSETS)
    period = PERIOD_MAX - 2 * best
    if 0 < best < _OFFSETS - 1:  # to a single sample, by the neighbours
        left = work[RESIDUAL + best - 1]
        middle = work[RESIDUAL + best]
        right = work[RESIDUAL + best + 1]
        if right - left > _SHARPNESS * (middle - left):
            period -= -1
        elif left - right > _SHARPNESS * (middle - right):
            period += -1
    return period
