"""The seam between made-up sound and what comes after it.

The decoder makes sound up (RFC 6716, 4.4) and goes on smoothly when the *next* packet follows.
When playout waited for a late packet, the real sound takes up where it had stopped, and the wave
jumps. `join` lets the made-up sound go on for 5 ms, by repeating its last period, and cross-fades.
"""

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.likeness import (
    FADE,
    LAG_MAX_SAMPLES,
    LAG_MIN_SAMPLES,
    OVERLAP_SAMPLES,
    best_lag,
    fade_gain,
    similarity,
)


@kernel("int64(float32[:, ::1], int64, int64)")
def join(sound: NDArray[np.float32], at: int, filled: int) -> int:
    """Cross-fade at row `at` from the sound before to the sound after it; return 1 when done.

    sound   (rows, channels) float32, C-contiguous
    at      first row of the new sound
    filled  rows that hold sound

    0 when there is less than 5 ms of new sound or 20 ms of old.
    """
    before = at - OVERLAP_SAMPLES
    if filled - at < OVERLAP_SAMPLES or before < LAG_MAX_SAMPLES:
        return 0
    lag = best_lag(sound, before, -1, LAG_MIN_SAMPLES, LAG_MAX_SAMPLES, OVERLAP_SAMPLES)
    # A period shorter than the fade is repeated as often as needed.
    while lag < OVERLAP_SAMPLES:
        lag += lag
    alike = similarity(sound, at - lag, at, OVERLAP_SAMPLES, 1)
    for i in range(OVERLAP_SAMPLES):
        weight = FADE[i]
        gain = fade_gain(weight, alike)
        for channel in range(sound.shape[1]):
            old = sound[at - lag + i, channel]
            new = sound[at + i, channel]
            sound[at + i, channel] = ((np.float32(1.0) - weight) * old + weight * new) * gain
    return 1
