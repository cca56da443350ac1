"""Bring each programme to the same loudness while it plays (ITU-R BS.1770-4, gated).

What has been heard of a programme says how loud it is; the gain that brings it to the target moves
slowly, so that nobody hears it move. Sound is measured before the gain and before the volume that
people set. Peaks are the limiter's.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import apply_ramp, gain_of_db, ramp_factor
from node.audio.loudness import (
    BINS,
    EDGES,
    ENERGIES,
    INTS,
    STEPS,
    STEPS_PER_BLOCK,
    energy_of_lufs,
    gated_energy,
    measure,
)
from node.kernel import kernel

RAISE_DB_PER_S: Final = 3.0
LOWER_DB_PER_S: Final = 12.0
RAISE_MAX_DB: Final = 12.0
"""A programme that is softer than the target by more stays softer: its noise would be heard."""
LOWER_MAX_DB: Final = 24.0

_GAIN: Final = 0
_TARGET: Final = 1
_STATE: Final = 2

_LEAST: Final = gain_of_db(-LOWER_MAX_DB)
_MOST: Final = gain_of_db(RAISE_MAX_DB)
_RAISE: Final = ramp_factor(RAISE_DB_PER_S)
_LOWER: Final = ramp_factor(LOWER_DB_PER_S)


@kernel(
    "void(float32[:, ::1], float64[:, ::1], float64[::1], int64[::1], float64[::1],"
    " float64[:, ::1], float64[::1], float64[::1], float64)"
)
def level(
    samples: NDArray[np.float32],
    filters: NDArray[np.float64],
    weights: NDArray[np.float64],
    ints: NDArray[np.int64],
    energies: NDArray[np.float64],
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
    state: NDArray[np.float64],
    wanted: float,
) -> None:
    """Measure `samples` and bring them towards a loudness, in place.

    samples    (n, channels) float32, full scale 1.0
    filters    (channels, 5) float64, full scale 1.0; this and the next five as of `measure`
    weights    (channels,) float64, a ratio
    ints       (INTS,) int64, counts of samples and steps
    energies   (ENERGIES,) float64, mean square, full scale 1.0
    histogram  (2, BINS) float64: counts, and sums of mean squares
    edges      (BINS + 1,) float64, mean square, full scale 1.0
    state      (_STATE,) float64, linear gain: now, and where it is going
    wanted     energy of the loudness that is wanted
    """
    blocks = ints[STEPS] // STEPS_PER_BLOCK
    measure(samples, filters, weights, ints, energies, histogram, edges)
    if ints[STEPS] // STEPS_PER_BLOCK != blocks:
        energy = gated_energy(histogram)
        if energy > 0.0:
            state[_TARGET] = min(max(math.sqrt(wanted / energy), _LEAST), _MOST)
    factor = _RAISE if state[_TARGET] > state[_GAIN] else _LOWER
    state[_GAIN] = apply_ramp(samples, state[_GAIN], state[_TARGET], factor)


class Leveller:
    """Loudness and gain of one source.

    Parameters
    ----------
    channels : int
        Of the sound.
    target_lufs : float
        Wanted loudness of each programme.
    """

    def __init__(self, channels: int, *, target_lufs: float) -> None:
        self._wanted = energy_of_lufs(target_lufs)
        self._weights = np.ones(channels, np.float64)
        self._filters = np.zeros((channels, 5), np.float64)
        self._ints = np.zeros(INTS, np.int64)
        self._energies = np.zeros(ENERGIES, np.float64)
        self._histogram = np.zeros((2, BINS), np.float64)
        self._state = np.array([1.0, 1.0])

    def begin(self) -> None:
        """Forget what was measured: another programme begins, with the gain of the last one."""
        self._histogram[:] = 0.0

    def process(self, samples: NDArray[np.float32]) -> None:
        """Level sound in place.

        samples  (n, channels) float32, C-contiguous, full scale 1.0
        """
        level(
            samples,
            self._filters,
            self._weights,
            self._ints,
            self._energies,
            self._histogram,
            EDGES,
            self._state,
            self._wanted,
        )

    @property
    def gain_db(self) -> float:
        """Return by how much the sound is raised now; below 0 it is lowered."""
        return 20.0 * math.log10(self._state[_GAIN])
