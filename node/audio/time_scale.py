"""Make sound longer or shorter without changing its pitch: waveform-similarity overlap-add.

After Verhelst and Roelands, "An overlap-add technique based on waveform similarity (WSOLA)",
ICASSP 1993: a stretch about as long as wanted is taken out, or played twice, where the sound is
most like itself, and the seam is cross-faded over 5 ms.

::

    shorten:  ── A ══════ B ──      B follows where A was; lag samples are gone
    lengthen: ── B ══════ A ──      after A's beginning, go back to B; lag samples play twice
"""

import numpy as np
from numpy.typing import NDArray

from node.audio.likeness import (
    FADE,
    LAG_MAX_SAMPLES,
    LAG_MIN_SAMPLES,
    OVERLAP_SAMPLES,
    best_lag,
    fade_gain,
    similarity,
)
from node.kernel import inner_kernel, kernel


@inner_kernel("void(float32[:, ::1], int64, int64, int64)")
def _cross_fade(sound: NDArray[np.float32], into: int, a: int, b: int) -> None:
    """Write at `into` (which may be `a`) a fade from the segment at `a` to the one at `b`."""
    alike = similarity(sound, a, b, OVERLAP_SAMPLES, 1)
    for i in range(OVERLAP_SAMPLES):
        weight = FADE[i]
        gain = fade_gain(weight, alike)
        for channel in range(sound.shape[1]):
            faded = (np.float32(1.0) - weight) * sound[a + i, channel]
            sound[into + i, channel] = (faded + weight * sound[b + i, channel]) * gain


@inner_kernel("int64(float32[:, ::1], int64, int64, int64)")
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
        for channel in range(sound.shape[1]):
            sound[row, channel] = sound[row + lag, channel]
    return lag


@inner_kernel("int64(float32[:, ::1], int64, int64, int64)")
def _lengthen(sound: NDArray[np.float32], begin: int, filled: int, wanted: int) -> int:
    """Play about `wanted` samples before `begin` once more; return how many."""
    longest = min(max(wanted, LAG_MAX_SAMPLES), begin, sound.shape[0] - filled)
    shortest = max(OVERLAP_SAMPLES, wanted // 2)
    if longest < shortest or filled - begin < OVERLAP_SAMPLES:
        return 0
    lag = best_lag(sound, begin, -1, shortest, longest, OVERLAP_SAMPLES)
    for row in range(filled - 1, begin - 1, -1):
        for channel in range(sound.shape[1]):
            sound[row + lag, channel] = sound[row, channel]
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
        for channel in range(sound.shape[1]):
            sound[row, channel] = sound[row - lag, channel]
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
