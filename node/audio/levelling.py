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
    EDGES,
    STEPS_PER_BLOCK,
    Measurement,
    energy_of_lufs,
    gated_energy,
    measure,
    new_measurement,
)
from node.kernel import kernel
from node.kernel.record import Records

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


@kernel("void(float32[:, ::1], Measurement[::1], float64[::1], float64[::1], float64)")
def level(
    samples: NDArray[np.float32],
    measurements: Records[Measurement],
    edges: NDArray[np.float64],
    state: NDArray[np.float64],
    wanted: float,
) -> None:
    """Measure `samples` and bring them towards a loudness, in place.

    samples       (n, channels) float32, full scale 1.0
    measurements  (1,)
    edges         (BINS + 1,) float64, mean square, full scale 1.0; as of `measure`
    state         (_STATE,) float64, linear gain: now, and where it is going
    wanted        energy of the loudness that is wanted
    """
    blocks = measurements[0].steps // STEPS_PER_BLOCK
    measure(samples, measurements, edges)
    if measurements[0].steps // STEPS_PER_BLOCK != blocks:
        energy = gated_energy(measurements)
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
        self._heard = new_measurement((1.0,) * channels)
        self._state = np.array([1.0, 1.0])

    def begin(self) -> None:
        """Forget what was measured: another programme begins, with the gain of the last one."""
        self._heard["counts"] = self._heard["sums"] = 0.0

    def process(self, samples: NDArray[np.float32]) -> None:
        """Level sound in place.

        samples  (n, channels) float32, C-contiguous, full scale 1.0
        """
        level(samples, self._heard, EDGES, self._state, self._wanted)

    @property
    def gain_db(self) -> float:
        """Return by how much the sound is raised now; below 0 it is lowered."""
        return 20.0 * math.log10(self._state[_GAIN])
