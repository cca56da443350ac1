"""The seam between made-up sound and what comes after it.

The decoder makes sound up (RFC 6716, 4.4) and goes on smoothly when the *next* packet follows.
When playout waited for a late packet, the real sound takes up where it had stopped, and the wave
jumps; so it does after sound that was faded out. `join` lets the made-up sound go on for 5 ms, by
repeating its last period, and cross-fades.

::

      made up     │ repeated, shifted to begin where the made-up sound ends, fading
    ──────────────┤
                  │ the new sound, rising
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
from node.kernel import kernel


@kernel("int64(float32[:, ::1], int64, int64)")
def join(sound: NDArray[np.float32], at: int, filled: int) -> int:
    """Cross-fade at row `at` from the sound before to the sound after it; return 1 when done.

    sound   (rows, channels) float32, C-contiguous
    at      first row of the new sound
    filled  rows that hold sound

    0 when there is no new sound, or less than 20 ms of old. New sound of less than 5 ms has a fade
    as short as itself.
    """
    before = at - OVERLAP_SAMPLES
    fade_samples = min(OVERLAP_SAMPLES, filled - at)
    if fade_samples <= 0 or before < LAG_MAX_SAMPLES:
        return 0
    lag = best_lag(sound, before, -1, LAG_MIN_SAMPLES, LAG_MAX_SAMPLES, OVERLAP_SAMPLES)
    # A period shorter than the fade is repeated as often as needed.
    while lag < OVERLAP_SAMPLES:
        lag += lag
    alike = similarity(sound, at - lag, at, fade_samples, 1)
    for channel in range(sound.shape[1]):
        # A voice is never quite periodic, and concealment decays: without the shift the wave would
        # jump where the repetition begins.
        shift = sound[at - 1, channel] - sound[at - lag - 1, channel]
        for i in range(fade_samples):
            weight = FADE[i * OVERLAP_SAMPLES // fade_samples]
            old = sound[at - lag + i, channel] + shift
            new = sound[at + i, channel]
            faded = (np.float32(1.0) - weight) * old + weight * new
            sound[at + i, channel] = faded * fade_gain(weight, alike)
    return 1
