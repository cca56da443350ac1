"""Join the sources that sound into one output, each at the gain that was decided for it.

The arbiter decides who has the horn; here every source has a gain that ramps to where the decision
wants it, in dB at a constant rate, lowered fast and raised slowly. A source at zero is skipped, and
with none sounding the output is exact zero.

Whoever is to be silent is there for as long as a fall from full level takes, however loud it was:
at what volume a node plays must not decide which packet it plays next.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import SILENCE_DB, next_gain, ramp_factor
from node.kernel import kernel
from node.units import RATE_HZ

SOURCES_MAX: Final = 32
"""16 streams and 16 stored sounds."""


@kernel("float64(float32[:, ::1], float32[:, ::1], float64, float64, float64)")
def mix_into(
    out: NDArray[np.float32],
    samples: NDArray[np.float32],
    gain: float,
    target: float,
    factor: float,
) -> float:
    """Add `samples` to `out` while their gain moves to `target`; return the last gain.

    out, samples  (n, channels) float32, full scale 1.0, the same shape
    gain, target  linear gain >= 0 before the first sample, and at the end of the ramp
    factor        of `node.audio.gain.ramp_factor`
    """
    n = samples.shape[0]
    channels = samples.shape[1]
    done = 0
    while done < n and gain != target:
        gain = next_gain(gain, target, factor)
        for channel in range(channels):
            out[done, channel] += np.float32(samples[done, channel] * gain)
        done += 1
    if gain == 0.0:
        return gain
    scale = np.float32(gain)
    for i in range(done, n):
        for channel in range(channels):
            out[i, channel] += samples[i, channel] * scale
    return gain


def fall_samples(attack_db_per_s: float) -> int:
    """Return how long a source is there that is to be silent, in samples."""
    return round(-SILENCE_DB / attack_db_per_s * RATE_HZ)


class Mixer:
    """Gains of up to SOURCES_MAX places; a place belongs to one source at a time.

    Parameters
    ----------
    places : int
        How many sources may sound at once.
    attack_db_per_s, release_db_per_s : float
        How fast a gain falls, and how fast it rises.
    """

    def __init__(self, places: int, *, attack_db_per_s: float, release_db_per_s: float) -> None:
        assert 1 <= places <= SOURCES_MAX, "the configuration bounds the sources"
        self._attack = ramp_factor(attack_db_per_s)
        self._release = ramp_factor(release_db_per_s)
        self.gains = np.zeros(places, np.float64)
        self.targets = np.zeros(places, np.float64)
        """Linear gain at which each place is wanted, by `aim`."""
        self._fall_samples = fall_samples(attack_db_per_s)
        self._fallen_samples = [self._fall_samples] * places
        """For how long each place was to be silent."""

    def clear(self, place: int) -> None:
        """Make `place` silent at once, for its source is gone and no sample of it will come."""
        self.gains[place] = 0.0
        self.targets[place] = 0.0
        self._fallen_samples[place] = self._fall_samples

    def aim(self, place: int, gain: float) -> None:
        """Let `place` be heard at a linear `gain` from its next period on, or fall silent at 0."""
        self.targets[place] = gain
        if gain > 0.0:
            self._fallen_samples[place] = 0

    def begin(self, place: int) -> None:
        """Let `place` start at its target: a source that begins by itself needs no ramp."""
        self.gains[place] = self.targets[place]

    def sounds(self, place: int) -> bool:
        """Return whether the source at `place` is there: it is to be heard, or was until lately."""
        return bool(self.targets[place] > 0.0) or self._fallen_samples[place] < self._fall_samples

    def mix(self, out: NDArray[np.float32], samples: NDArray[np.float32], place: int) -> None:
        """Add one period of the source at `place` to `out`.

        out, samples  (n, channels) float32, full scale 1.0
        """
        gain, target = float(self.gains[place]), float(self.targets[place])
        self._fallen_samples[place] += 0 if target > 0.0 else out.shape[0]
        factor = self._attack if target < gain else self._release
        self.gains[place] = mix_into(out, samples, gain, target, factor)
