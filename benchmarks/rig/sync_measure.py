"""How far two recordings of one programme are apart, window by window, to a part of a sample."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

WINDOW_S: Final = 0.25
LAG_MAX_S: Final = 0.1
_CLICK_LEVEL: Final = 0.3
_LEVEL_MIN: Final = 1e-3
_CORRELATION_MIN: Final = 0.7
"""Below it the two do not hold the same sound: one of them is concealment."""


def lag_samples(
    one: NDArray[np.float32], other: NDArray[np.float32], lag_max: int
) -> tuple[float, float]:
    """Return by how many samples `other` is later than `one`, and the correlation there.

    one, other  (n,) float32 of equal length, any one unit
    lag_max     searched on both sides
    """
    n = 1 << (2 * one.size - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(one, n)) * np.fft.rfft(other, n)
    score = np.fft.irfft(spectrum, n)
    score = np.concatenate([score[-lag_max:], score[: lag_max + 1]])
    peak = int(np.argmax(score))
    scale = float(np.linalg.norm(one) * np.linalg.norm(other)) or 1.0
    shift = 0.0
    if 0 < peak < score.size - 1:
        before, at, after = score[peak - 1 : peak + 2]
        bend = before - 2 * at + after
        shift = 0.5 * (before - after) / bend if bend else 0.0
    return peak - lag_max + float(shift), float(score[peak] / scale)


def sync_errors_ms(
    sound: NDArray[np.float32], rate_hz: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return begin in s and error in ms of each window in which both inputs sound.

    sound  (samples, 2) float32, full scale 1.0

    Both are (windows,) float64; positive errors mean that the second input is late.
    """
    size = int(WINDOW_S * rate_hz)
    lag_max = int(LAG_MAX_S * rate_hz)
    begins, errors = [], []
    for begin in range(0, sound.shape[0] - size, size):
        one, other = sound[begin : begin + size].T.astype(np.float32)
        if min(np.abs(one).max(), np.abs(other).max()) < _LEVEL_MIN:
            continue
        lag, correlation = lag_samples(one, other, lag_max)
        if correlation >= _CORRELATION_MIN:
            begins.append(begin / rate_hz)
            errors.append(1000 * lag / rate_hz)
    return np.array(begins), np.array(errors)


def latencies_ms(
    sound: NDArray[np.float32], programme: NDArray[np.float32], rate_hz: int, begin_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return begin in s and delay in ms of sound behind the programme sent at `begin_s`.

    sound      (n,) float32, any unit
    programme  (m,) float32, any unit

    Both are (windows,) float64. Windows in which the sound is not that of the programme within the
    last 2 s are left out.
    """
    size = int(WINDOW_S * rate_hz)
    reach = 2 * rate_hz
    begins, delays = [], []
    for begin in range(0, sound.size - size, size):
        window = sound[begin : begin + size]
        # Place of the window in the programme if there were no delay.
        at = begin - round(begin_s * rate_hz)
        low = max(0, at - reach)
        part = programme[low : at + size] if at + size > 0 else programme[:0]
        if np.abs(window).max() < _LEVEL_MIN or part.size < size:
            continue
        n = 1 << (part.size + size).bit_length()
        score = np.fft.irfft(np.fft.rfft(part, n) * np.conj(np.fft.rfft(window, n)), n)
        peak = int(np.argmax(score[: part.size - size + 1]))
        norm = np.linalg.norm(part[peak : peak + size]) * np.linalg.norm(window)
        if score[peak] >= 0.5 * norm:
            begins.append(begin / rate_hz)
            delays.append(1000 * (at - (low + peak)) / rate_hz)
    return np.array(begins), np.array(delays)


def first_click_ms(sound: NDArray[np.float32], rate_hz: int) -> float:
    """Return how much later the second input plays the first click that both played.

    sound  (n, 2) float32, full scale 1.0

    A click that fell to a lost packet is passed over; nan when there is none.
    """
    clicks = [_clicks(column, rate_hz) for column in sound.T]
    for one in clicks[0]:
        near = [other for other in clicks[1] if abs(other - one) < rate_hz // 4]
        if near:
            return 1000 * (near[0] - one) / rate_hz
    return float("nan")


def _clicks(column: NDArray[np.float32], rate_hz: int) -> list[int]:
    """Return where clicks begin."""
    loud = np.flatnonzero(np.abs(column) > _CLICK_LEVEL)
    if loud.size == 0:
        return []
    return [int(i) for i in loud[np.concatenate([[True], np.diff(loud) > rate_hz // 4])]]


def in_step_after_s(
    begins_s: NDArray[np.float64], errors_ms: NDArray[np.float64], *, bound_ms: float, from_s: float
) -> float:
    """Return how long after `from_s` the error stays within `bound_ms`; inf when it never does.

    begins_s   (windows,) float64
    errors_ms  (windows,) float64, signed
    """
    later = begins_s + WINDOW_S > from_s
    bad = np.flatnonzero(later & (np.abs(errors_ms) > bound_ms))
    good = np.flatnonzero(later & (np.abs(errors_ms) <= bound_ms))
    first = good[good > bad[-1]] if bad.size else good
    return float(max(0.0, begins_s[first[0]] - from_s)) if first.size else float("inf")
