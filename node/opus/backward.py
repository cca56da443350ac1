"""The sound after a hole, run backwards into it: what concealment does, in the other direction.

    ...... hole ......|..... sound after it .....
    <- its first period, again and again, through its own short-term filter

Turned round in time, the sound after the hole is whitened by its linear predictor; the period
nearest to the hole is repeated in the residual, and the filter makes it sound again, so that it
meets the sound after it without a seam. Where nothing repeats, the residual is mirrored instead.
"""

from math import pi, sin, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import ANALYSIS_SAMPLES, CORRELATION, CUT
from node.opus.celt.pitch import correlate, dot, solve_predictor

ORDER_MAX: Final = 24
NEXT_MAX: Final = 2048
"""Samples of the sound after the hole that are looked at."""
BACK_MAX: Final = 4096

# Room to work in: the beginning is laid out as `correlate` wants it.
_PREDICTOR: Final = CORRELATION + 64
_TURNED: Final = _PREDICTOR + 32
_RESIDUAL: Final = _TURNED + NEXT_MAX
_RUN: Final = _RESIDUAL + NEXT_MAX
BACKWARD_SIZE: Final = _RUN + ORDER_MAX + BACK_MAX

_PERIODIC: Final = 0.4
"""Likeness of one period to the next from which on a sound is taken to repeat."""
_PREFERENCE: Final = 0.1
"""So much less alike may a period be that is near the one before the hole."""
_LONGER: Final = 0.02
"""By so much must a longer period be more alike than a shorter one: its multiples are."""
_TAPER: Final = np.array(
    [sin(pi * (i + 0.5) / ANALYSIS_SAMPLES) for i in range(ANALYSIS_SAMPLES)]
).astype(np.float32)


@inner_kernel("Tuple((int64, float64))(float32[::1], int64, int64, int64, int64)")
def _best_period(
    sound: NDArray[np.float32], least: int, first: int, last: int, step: int
) -> tuple[int, float]:
    """Return the period in `first` .. `last` at which the sound is most like itself, and how."""
    best = 0.0
    found = 0
    for period in range(first, last + 1, step):
        n = min(sound.size - period, max(period, 2 * least))
        if n < least:
            break
        both = float(dot(sound, sound, 0, period, n))
        if both <= 0.0:
            continue
        here = float(dot(sound, sound, 0, 0, n))
        there = float(dot(sound, sound, period, period, n))
        alike = both / sqrt(here * there + 1e-9)
        if alike > best + _LONGER:
            best, found = alike, period
    return found, best


@inner_kernel("int64(float32[::1], int64, int64)")
def first_period(sound: NDArray[np.float32], rate_khz: int, expected: int) -> int:
    """Return the period at which the sound begins, or 0 where it does not repeat.

    sound     (n,) float32, any unit: what is known after the hole
    expected  period before the hole: one near it goes before a likelier one elsewhere
    """
    least = 2 * rate_khz
    longest = min(20 * rate_khz, sound.size - least)
    step = max(1, rate_khz // 16)
    period, alike = _best_period(sound, least, least, longest, step)
    first = max(least, 4 * expected // 5)
    last = min(5 * expected // 4, longest)
    near, near_alike = _best_period(sound, least, first, last, step)
    if near_alike > alike - _PREFERENCE:
        period, alike = near, near_alike
    if alike < _PERIODIC:
        return 0
    first, last = max(least, period - step + 1), min(longest, period + step - 1)
    period, _ = _best_period(sound, least, first, last, 1)
    return period


@inner_kernel("void(float32[::1], int64, int64, float32[::1], float32[::1])")
def run_backwards(
    sound: NDArray[np.float32],
    period: int,
    order: int,
    work: NDArray[np.float32],
    back: NDArray[np.float32],
) -> None:
    """Fill `back` with what could have come before `sound`.

    sound   (n,) float32, any unit; n more than `order`, at most NEXT_MAX
    period  of `first_period`; 0 mirrors
    work    (BACKWARD_SIZE or more,) float32, scratch in the unit of `sound`
    back    (n,) float32, unit as of `sound`; BACK_MAX at most
    """
    count, samples = sound.size, back.size
    for i in range(count):
        work[_TURNED + i] = sound[count - 1 - i]
    span = min(count, ANALYSIS_SAMPLES)
    for i in range(span):
        taper = _TAPER[i * ANALYSIS_SAMPLES // span]
        work[CUT + i] = taper * work[_TURNED + count - span + i]
    correlate(work, CUT, span, order)
    solve_predictor(work, _PREDICTOR, order)
    kept = count - order
    for i in range(order, count):
        rest = work[_TURNED + i]
        for k in range(order):
            rest -= work[_PREDICTOR + k] * work[_TURNED + i - 1 - k]
        work[_RESIDUAL + i] = rest
    for k in range(order):
        work[_RUN + k] = work[_TURNED + kept + k]
    cycle = min(period, kept)
    place = 0
    turn = 1
    for i in range(samples):
        if period > 0:
            value = work[_RESIDUAL + count - cycle + place]
            place = place + 1 if place + 1 < cycle else 0
        else:
            value = work[_RESIDUAL + count - 1 - place]
            if not 0 <= place + turn < kept:
                turn = -turn
            place += turn
        now = _RUN + order + i
        for k in range(order - 1, -1, -1):
            value += work[_PREDICTOR + k] * work[now - 1 - k]
        work[now] = value
    for i in range(samples):
        back[i] = work[_RUN + order + samples - 1 - i]
