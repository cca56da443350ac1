"""Gated loudness and true peak of a programme while it plays (ITU-R BS.1770-4, EBU R 128).

1. K-weighting: a shelf for the head, a high-pass for the ear (tables 1 and 2).
2. Mean square of each 10 ms. Forty make the momentary loudness, 300 the short-term one; both are
   followed every 10 ms, so that a tone of 400 ms is seen whole wherever it begins (EBU Tech 3341).
3. Every 100 ms the last 400 ms are a block, overlapping by 75 %. Blocks below -70 LUFS do not
   count; nor do those 10 LU below the mean of the rest.

Blocks are kept as a histogram of 0.1 LU with the exact energy of each bin, so that the measurement
of a day takes no more memory than that of a minute; only a block within 0.1 LU of the gate may be
judged differently.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.true_peak import PEAK_TABLE, TAPS, true_peaks
from node.kernel import kernel
from node.units import RATE_HZ

LOUDNESS_MIN_LUFS: Final = -120.0
"""What is told of silence."""
SURROUND_WEIGHT: Final = 1.41
"""Of a channel behind the listener (table 3); all others have 1."""

_OFFSET_DB: Final = -0.691
_GATE_LUFS: Final = -70.0
_BINS_PER_LU: Final = 10
BINS: Final = 90 * _BINS_PER_LU  # to +20 LUFS
_STEP_SAMPLES: Final = RATE_HZ // 100
STEPS_PER_BLOCK: Final = 10
_MOMENTARY_STEPS: Final = 40
_SHORT_TERM_STEPS: Final = 300
_MOMENTARY_MAX: Final = _SHORT_TERM_STEPS
_SHORT_TERM_MAX: Final = _SHORT_TERM_STEPS + 1
ENERGIES: Final = _SHORT_TERM_STEPS + 2
"""The last steps, a ring; behind it the greatest means so far."""

# Tables 1 and 2, for 48 kHz: b0, b1, b2, a1, a2.
_SHELF: Final = (
    1.53512485958697,
    -2.69169618940638,
    1.19839281085285,
    -1.69065929318241,
    0.73248077421585,
)
_HIGH_PASS: Final = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)

_SAMPLES: Final = 0
STEPS: Final = 1
INTS: Final = 2


def energy_of_lufs(loudness_lufs: float) -> float:
    """Return the weighted mean square of a loudness."""
    return float(10.0 ** ((loudness_lufs - _OFFSET_DB) / 10.0))


def lufs_of_energy(energy: float) -> float:
    """Return the loudness of a weighted mean square; LOUDNESS_MIN_LUFS for silence."""
    if energy <= 1e-12:
        return LOUDNESS_MIN_LUFS
    return float(_OFFSET_DB + 10.0 * np.log10(energy))


EDGES: Final = np.array(
    [energy_of_lufs(_GATE_LUFS + i / _BINS_PER_LU) for i in range(BINS + 1)]
).astype(np.float32).astype(np.float64)  # fmt: skip


@kernel("float64(float64[::1], int64, int64)")
def _mean_of_last(energies: NDArray[np.float64], steps: int, count: int) -> float:
    total = 0.0
    for i in range(steps - count, steps):
        total += energies[i % _SHORT_TERM_STEPS]
    return float(total / count)


@kernel("void(float64, float64[:, ::1], float64[::1])")
def _count_block(mean: float, histogram: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
    """Put a block of 400 ms into the histogram, unless it is below the absolute gate."""
    if mean < edges[0]:
        return
    low = 0
    high = BINS - 1
    while low < high:
        middle = (low + high + 1) // 2
        if mean >= edges[middle]:
            low = middle
        else:
            high = middle - 1
    histogram[0, low] += 1.0
    histogram[1, low] += mean


@kernel(
    "void(float64[:, ::1], float64[::1], int64[::1], float64[::1], float64[:, ::1], float64[::1])"
)
def _close_step(
    filters: NDArray[np.float64],
    weights: NDArray[np.float64],
    ints: NDArray[np.int64],
    energies: NDArray[np.float64],
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> None:
    """End a step of 10 ms; follow both loudnesses, and every tenth time count a block."""
    energy = 0.0
    for channel in range(filters.shape[0]):
        energy += weights[channel] * filters[channel, 4] / _STEP_SAMPLES
        filters[channel, 4] = 0.0
    energies[ints[STEPS] % _SHORT_TERM_STEPS] = energy
    ints[STEPS] += 1
    steps = ints[STEPS]
    if steps >= _SHORT_TERM_STEPS:
        mean = _mean_of_last(energies, steps, _SHORT_TERM_STEPS)
        energies[_SHORT_TERM_MAX] = max(energies[_SHORT_TERM_MAX], mean)
    if steps >= _MOMENTARY_STEPS:
        mean = _mean_of_last(energies, steps, _MOMENTARY_STEPS)
        energies[_MOMENTARY_MAX] = max(energies[_MOMENTARY_MAX], mean)
        if steps % STEPS_PER_BLOCK == 0:
            _count_block(mean, histogram, edges)


@kernel(
    "void(float32[:, ::1], float64[:, ::1], float64[::1], int64[::1], float64[::1],"
    " float64[:, ::1], float64[::1])"
)
def measure(
    samples: NDArray[np.float32],
    filters: NDArray[np.float64],
    weights: NDArray[np.float64],
    ints: NDArray[np.int64],
    energies: NDArray[np.float64],
    histogram: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> None:
    """Add `samples` to a measurement.

    samples    (n, channels) float32, full scale 1.0
    filters    (channels, 5) float64, full scale 1.0: states of both biquads, and the sum of squares
    weights    (channels,) float64, a ratio
    ints       (INTS,) int64, state: counts of samples and steps
    energies   (ENERGIES,) float64, state: mean square, full scale 1.0
    histogram  (2, BINS) float64: count of blocks of 400 ms, and the sum of their energies
    edges      (BINS + 1,) float64, mean square at the lower end of each bin, rising; full scale 1.0
    """
    for i in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            f = filters[channel]
            x = samples[i, channel] - _SHELF[3] * f[0] - _SHELF[4] * f[1]
            y = _SHELF[0] * x + _SHELF[1] * f[0] + _SHELF[2] * f[1]
            f[1] = f[0]
            f[0] = x
            x = y - _HIGH_PASS[3] * f[2] - _HIGH_PASS[4] * f[3]
            y = _HIGH_PASS[0] * x + _HIGH_PASS[1] * f[2] + _HIGH_PASS[2] * f[3]
            f[3] = f[2]
            f[2] = x
            f[4] += y * y
        ints[_SAMPLES] += 1
        if ints[_SAMPLES] == _STEP_SAMPLES:
            ints[_SAMPLES] = 0
            _close_step(filters, weights, ints, energies, histogram, edges)


@kernel("float64(float64[:, ::1])")
def gated_energy(histogram: NDArray[np.float64]) -> float:
    """Return the mean energy of the blocks above both gates, 0.0 where there are none.

    histogram  (2, BINS) float64: blocks of 400 ms, and the sum of their energies
    """
    count = 0.0
    total = 0.0
    for i in range(histogram.shape[1]):
        count += histogram[0, i]
        total += histogram[1, i]
    if count == 0.0:
        return 0.0
    gate = 0.1 * total / count
    count = 0.0
    total = 0.0
    for i in range(histogram.shape[1]):
        if histogram[0, i] > 0.0 and histogram[1, i] > gate * histogram[0, i]:
            count += histogram[0, i]
            total += histogram[1, i]
    return float(total / count)


class LoudnessMeter:
    """Loudness of one programme, of any length.

    Parameters
    ----------
    channels : int
        Of the sound. One channel alone is 3 dB less loud than the same in both of a pair.
    weights : sequence of float, optional
        Of the channels, 1 each unless said otherwise.
    """

    def __init__(self, channels: int, *, weights: tuple[float, ...] | None = None) -> None:
        self._weights = np.array(weights if weights is not None else (1.0,) * channels)
        assert len(self._weights) == channels, "a weight for each channel"
        self._filters = np.zeros((channels, 5), np.float64)
        self._ints = np.zeros(INTS, np.int64)
        self._energies = np.zeros(ENERGIES, np.float64)
        self._histogram = np.zeros((2, BINS), np.float64)
        self._tail = np.zeros((TAPS - 1, channels), np.float32)
        self._peak = 0.0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Measure sound.

        samples  (n, channels) float32, C-contiguous, full scale 1.0
        """
        measure(
            samples,
            self._filters,
            self._weights,
            self._ints,
            self._energies,
            self._histogram,
            EDGES,
        )
        line = np.concatenate([self._tail, samples])
        peaks = np.zeros(samples.size, np.float32)
        true_peaks(line.reshape(-1), PEAK_TABLE, samples.shape[1], samples.size, peaks)
        self._peak = max(self._peak, float(peaks.max(initial=0.0)))
        self._tail = line[len(samples) :]

    @property
    def momentary_lufs(self) -> float:
        """Return the loudness of the last 400 ms."""
        return self._last_lufs(_MOMENTARY_STEPS)

    @property
    def short_term_lufs(self) -> float:
        """Return the loudness of the last 3 s."""
        return self._last_lufs(_SHORT_TERM_STEPS)

    @property
    def momentary_max_lufs(self) -> float:
        """Return the loudest 400 ms so far."""
        return lufs_of_energy(float(self._energies[_MOMENTARY_MAX]))

    @property
    def short_term_max_lufs(self) -> float:
        """Return the loudest 3 s so far."""
        return lufs_of_energy(float(self._energies[_SHORT_TERM_MAX]))

    @property
    def integrated_lufs(self) -> float:
        """Return the gated loudness of all that was measured."""
        return lufs_of_energy(float(gated_energy(self._histogram)))

    @property
    def true_peak_dbtp(self) -> float:
        """Return the highest peak, between samples too; LOUDNESS_MIN_LUFS for silence."""
        return 20.0 * float(np.log10(self._peak)) if self._peak > 1e-6 else LOUDNESS_MIN_LUFS

    def _last_lufs(self, steps: int) -> float:
        done = int(self._ints[STEPS])
        if done < steps:
            return LOUDNESS_MIN_LUFS
        return lufs_of_energy(float(_mean_of_last(self._energies, done, steps)))


def normalising_gain_db(
    integrated_lufs: float, true_peak_dbtp: float, *, target_lufs: float, limit_dbtp: float
) -> float:
    """Return the gain that brings a programme to `target_lufs`, as far as its peaks allow.

    Parameters
    ----------
    integrated_lufs, true_peak_dbtp : float
        Of the programme as it is.
    target_lufs, limit_dbtp : float
        Wanted loudness, and the highest peak that may come out.
    """
    if integrated_lufs <= _GATE_LUFS:
        return 0.0  # silence is not made loud
    return min(target_lufs - integrated_lufs, limit_dbtp - true_peak_dbtp)
