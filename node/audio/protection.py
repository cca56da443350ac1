"""Keep amplifier and horn alive: no low frequencies, and no more power than they can shed.

High-pass
    A horn driver has no load below its cut-off; what is sent there only moves the membrane. Two
    biquads, Butterworth of fourth order (24 dB per octave), designed by the bilinear transform.
Power limit
    The mean square of the sound over a minute says what the voice coil will come to. When it
    would pass the limit the gain follows it down, slowly enough not to be heard as pumping, so
    that a siren of two hours ends as loud as it may be for two hours, not in smoke.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.units import RATE_HZ

POWER_TIME_S: Final = 60.0
"""Thermal time constant of a voice coil with its magnet; of the order of a minute."""

_COLD_S: Final = 900
"""After so long nothing is warm any more."""

_GRID: Final = float(1 << 40)  # hides the last bits in which C libraries differ
_BUTTERWORTH_Q: Final = (0.5411961001461969, 1.3065629648763766)
_SECTION: Final = 5
_CHUNK_SAMPLES: Final = 480

# State of the power limit, (POWER_STATE,) float64.
MEAN_SQUARE: Final = 0
GAIN: Final = 1
POWER_STATE: Final = 2


def high_pass_sections(cutoff_hz: float) -> NDArray[np.float64]:
    """Return the two biquads as rows b0, b1, b2, a1, a2: (2, 5) float64.

    Raises
    ------
    ValueError
        If the cut-off is not between 20 Hz and 2 kHz.
    """
    if not 20.0 <= cutoff_hz <= 2000.0:
        raise ValueError(f"cutoff_hz is {cutoff_hz}: it must be 20 to 2000")
    warped = np.tan(np.pi * cutoff_hz / RATE_HZ)
    sections = np.empty((2, _SECTION))
    for row, q in enumerate(_BUTTERWORTH_Q):
        scale = 1.0 / (1.0 + warped / q + warped * warped)
        sections[row] = (
            scale,
            -2.0 * scale,
            scale,
            2.0 * (warped * warped - 1.0) * scale,
            (1.0 - warped / q + warped * warped) * scale,
        )
    return np.asarray(np.rint(sections * _GRID) / _GRID)


@kernel("void(float32[:, ::1], float64[:, ::1], float64[:, :, ::1])")
def high_pass(
    samples: NDArray[np.float32], sections: NDArray[np.float64], state: NDArray[np.float64]
) -> None:
    """Filter `samples` in place.

    samples   (n, channels) float32, full scale 1.0
    sections  (2, 5) float64, a ratio: `high_pass_sections`
    state     (channels, 2, 2) float64, full scale 1.0, zeros at the start
    """
    for channel in range(samples.shape[1]):
        for row in range(sections.shape[0]):
            b0, b1, b2, a1, a2 = (
                sections[row, 0],
                sections[row, 1],
                sections[row, 2],
                sections[row, 3],
                sections[row, 4],
            )
            first = state[channel, row, 0]
            second = state[channel, row, 1]
            for i in range(samples.shape[0]):
                x = float(samples[i, channel])
                y = b0 * x + first
                first = b1 * x - a1 * y + second
                second = b2 * x - a2 * y
                samples[i, channel] = np.float32(y)
            # Denormal numbers cost a hundred times the time of others, and are silence.
            state[channel, row, 0] = first if abs(first) > 1e-20 else 0.0
            state[channel, row, 1] = second if abs(second) > 1e-20 else 0.0


@kernel("void(float32[:, ::1], float64[::1], float64, float64)")
def limit_power(
    samples: NDArray[np.float32], state: NDArray[np.float64], limit: float, share: float
) -> None:
    """Hold the mean square of `samples` over POWER_TIME_S within `limit`, in place.

    samples  (n, channels) float32, full scale 1.0
    state    (POWER_STATE,) float64: mean square before the gain, and the gain, 1 at the start
    limit    mean square, full scale 1.0
    share    by how much one sample enters the mean: 1 / (POWER_TIME_S * rate)
    """
    n = samples.shape[0]
    channels = samples.shape[1]
    total = 0.0
    for i in range(n):
        for channel in range(channels):
            total += float(samples[i, channel]) * float(samples[i, channel])
    weight = min(1.0, share * n)
    power = total / max(1, n * channels)
    state[MEAN_SQUARE] += weight * (power - state[MEAN_SQUARE])
    gain = state[GAIN]
    target = 1.0
    if state[MEAN_SQUARE] > limit:
        target = np.sqrt(limit / state[MEAN_SQUARE])
    if gain != 1.0 or target != 1.0:
        step = (target - gain) / max(1, n)
        for i in range(n):
            for channel in range(channels):
                samples[i, channel] = np.float32(samples[i, channel] * (gain + step * (i + 1)))
    state[GAIN] = target


class Protection:
    """High-pass and power limit of one output.

    Parameters
    ----------
    channels : int
        Of the sound.
    cutoff_hz : float or None
        Of the high-pass; None for a speaker that needs none.
    power_limit_db : float
        Long-term mean square re full scale 1.0; a full sine has -3.
    """

    def __init__(self, channels: int, *, cutoff_hz: float | None, power_limit_db: float) -> None:
        self._sections = high_pass_sections(cutoff_hz) if cutoff_hz is not None else None
        self._limit = round(10.0 ** (power_limit_db / 10.0) * _GRID) / _GRID
        self._filters = np.zeros((channels, 2, 2), np.float64)
        self._power = np.array([0.0, 1.0])

    def process(self, samples: NDArray[np.float32]) -> None:
        """Protect amplifier and horn, in place and without delay.

        samples  (n, channels) float32, full scale 1.0
        """
        if self._sections is not None:
            high_pass(samples, self._sections, self._filters)
        share = 1.0 / (POWER_TIME_S * RATE_HZ)
        for first in range(0, len(samples), _CHUNK_SAMPLES):
            limit_power(samples[first : first + _CHUNK_SAMPLES], self._power, self._limit, share)

    def rest(self, samples: int) -> None:
        """Cool down over so many samples of silence; the filters come to rest."""
        for _ in range(min(samples // RATE_HZ, _COLD_S)):
            self._power[MEAN_SQUARE] *= 1.0 - 1.0 / POWER_TIME_S
        mean = float(self._power[MEAN_SQUARE])
        # Nothing sounds: the gain may jump.
        self._power[GAIN] = 1.0 if mean <= self._limit else math.sqrt(self._limit / mean)
        self._filters[:] = 0.0

    @property
    def reduction_db(self) -> float:
        """Return by how much the power limit lowers the gain now, 0 or more."""
        return -20.0 * float(np.log10(self._power[GAIN]))
