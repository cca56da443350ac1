"""Make sound longer or shorter without changing its pitch: waveform-similarity overlap-add.

After Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA)",
ICASSP 1993: a stretch about as long as wanted is taken out, or played twice, where the sound is
most like itself, and the seam is cross-faded over 5 ms.

::

    shorten:  ── A ══════ B ──      B follows where A was; lag samples are gone
    lengthen: ── B ══════ A ──      after A's beginning, go back to B; lag samples play twice
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
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


@kernel("float64(float32[:, ::1], int64, int64, int64, int64)")
def similarity(sound: NDArray[np.float32], a: int, b: int, n: int, step: int) -> float:
    """Return the normalised correlation of `n` samples from `a` and from `b`, -1 to 1.

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


@kernel("int64(float32[:, ::1], int64, int64, int64, int64, int64)")
def best_lag(
    sound: NDArray[np.float32], at: int, direction: int, shortest: int, longest: int, n: int
) -> int:
    """Return the lag in `shortest` .. `longest` at which the sound is most like itself.

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


@kernel("float32(float32, float64)")
def fade_gain(weight: np.float32, alike: float) -> np.float32:
    """Return the gain that keeps the power of a cross-fade steady.

    Two segments that are alike add up by themselves; unlike ones (noise) would dip by 3 dB.
    """
    w = np.float64(weight)
    power = (1.0 - w) * (1.0 - w) + w * w + 2.0 * w * (1.0 - w) * max(alike, 0.0)
    return np.float32(1.0 / np.sqrt(power))


@kernel("void(float32[:, ::1], int64, int64, int64)")
def _cross_fade(sound: NDArray[np.float32], into: int, a: int, b: int) -> None:
    """Write at `into` (which may be `a`) a fade from the segment at `a` to the one at `b`."""
    alike = similarity(sound, a, b, OVERLAP_SAMPLES, 1)
    for i in range(OVERLAP_SAMPLES):
        weight = FADE[i]
        gain = fade_gain(weight, alike)
        for channel in range(sound.shape[1]):
            faded = (np.float32(1.0) - weight) * sound[a + i, channel]
            sound[into + i, channel] = (faded + weight * sound[b + i, channel]) * gain


@kernel("int64(float32[:, ::1], int64, int64, int64)")
def _shorten(sound: NDArray[np.float32], begin: int, filled: int, wanted: int) -> int:
    """Take about `wanted` samples out after `begin`; return how many."""
    longest = min(max(2 * wanted, LAG_MAX_SAMPLES), filled - begin - OVERLAP_SAMPLES)
    shortest = max(LAG_MIN_SAMPLES, wanted // 2)
    if longest < shortest:
        return 0
    longest = min(longest, max(shortest, 3 * wanted))
    lag = best_lag(sound, begin, 1, shortest, longest, OVERLAP_SAMPLES)
    _cross_fade(sound, begin, begin, begin + lag)
    for row in range(begin + OVERLAP_SAMPLES, filled - lag):
        sound[row] = sound[row + lag]
    return lag


@kernel("int64(float32[:, ::1], int64, int64, int64)")
def _lengthen(sound: NDArray[np.float32], begin: int, filled: int, wanted: int) -> int:
    """Play about `wanted` samples before `begin` once more; return how many."""
    longest = min(max(wanted, LAG_MAX_SAMPLES), begin, sound.shape[0] - filled)
    shortest = max(OVERLAP_SAMPLES, wanted // 2)
    if longest < shortest or filled - begin < OVERLAP_SAMPLES:
        return 0
    lag = best_lag(sound, begin, -1, shortest, longest, OVERLAP_SAMPLES)
    for row in range(filled - 1, begin - 1, -1):
        sound[row + lag] = sound[row]
    # Now A lies at begin + lag, and what goes before it in the repetition at begin.
    alike = similarity(sound, begin + lag, begin - lag, OVERLAP_SAMPLES, 1)
    for i in range(OVERLAP_SAMPLES):
        weight = FADE[i]
        gain = fade_gain(weight, alike)
        for channel in range(sound.shape[1]):
            faded = (np.float32(1.0) - weight) * sound[begin + lag + i, channel]
            faded += weight * sound[begin - lag + i, channel]
            sound[begin + i, channel] = faded * gain
    for row in range(begin + OVERLAP_SAMPLES, begin + lag):
        sound[row] = sound[row - lag]
    return lag


@kernel("int64(float32[:, ::1], int64, int64, int64)")
def stretch(sound: NDArray[np.float32], filled: int, samples: int, wanted: int) -> int:
    """Change the length of the newest `samples` of `sound` by about `wanted`; return by how much.

    sound    (rows, channels) float32; rows before the newest are history and are not changed
    filled   rows that hold sound; the caller adds the result to it
    samples  the newest chunk, just decoded
    wanted   > 0 longer, < 0 shorter; what the jitter buffer asks for in ACTION_STRETCH_SAMPLES

    0 when there is too little sound to work with. Longer by more than 12.5 ms is done in several
    places, evenly spread.
    """
    begin = filled - samples
    if wanted < 0:
        return -_shorten(sound, begin, filled, -wanted)
    pieces = max(1, (wanted + 599) // 600)
    longer = 0
    for piece in range(pieces):
        at = begin + longer + piece * samples // pieces
        longer += _lengthen(sound, at, filled + longer, (wanted - longer) // (pieces - piece))
    return longer
