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

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.true_peak import PEAK_TABLE, TAPS, true_peaks
from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, new, number, whole
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
CHANNELS_MAX: Final = 5
"""Of the sound whose loudness the standard defines: a pair and its centre, and two behind."""

# Tables 1 and 2, for 48 kHz: b0, b1, b2, a1, a2.
_SHELF: Final = (
    1.53512485958697,
    -2.69169618940638,
    1.19839281085285,
    -1.69065929318241,
    0.73248077421585,
)
_HIGH_PASS: Final = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)


class Measurement(Record):
    """What has been heard of a programme."""

    samples: int = whole("samples", "In the step of 10 ms that is not over.")
    steps: int = whole("", "Steps so far.")
    weights: NDArray[np.float64] = number("", "Of each channel, a ratio.", (CHANNELS_MAX,))
    filters: NDArray[np.float64] = number(
        "",
        "Of each channel: states of both biquads, the step's sum of squares.",
        (5 * CHANNELS_MAX,),
    )
    energies: NDArray[np.float64] = number(
        "", "Mean squares of the last steps, a ring.", (_SHORT_TERM_STEPS,)
    )
    momentary_max: float = number("", "Greatest mean square of 400 ms so far.")
    short_term_max: float = number("", "Greatest mean square of 3 s so far.")
    counts: NDArray[np.float64] = number("", "Blocks of 400 ms, by loudness.", (BINS,))
    sums: NDArray[np.float64] = number("", "The sum of their mean squares.", (BINS,))


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


@inner_kernel("void(float64, Measurement, float64[::1])")
def _count_block(mean: float, heard: Measurement, edges: NDArray[np.float64]) -> None:
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
    heard.counts[low] += 1.0
    heard.sums[low] += mean


@inner_kernel("void(Measurement, int64, float64[::1])")
def _close_step(heard: Measurement, channels: int, edges: NDArray[np.float64]) -> None:
    """End a step of 10 ms; follow both loudnesses, and every tenth time count a block."""
    energies = heard.energies[:]
    energy = 0.0
    for channel in range(channels):
        energy += heard.weights[channel] * heard.filters[5 * channel + 4] / _STEP_SAMPLES
        heard.filters[5 * channel + 4] = 0.0
    energies[heard.steps % _SHORT_TERM_STEPS] = energy
    heard.steps += 1
    steps = heard.steps
    if steps >= _SHORT_TERM_STEPS:
        mean = _mean_of_last(energies, steps, _SHORT_TERM_STEPS)
        heard.short_term_max = max(heard.short_term_max, mean)
    if steps >= _MOMENTARY_STEPS:
        mean = _mean_of_last(energies, steps, _MOMENTARY_STEPS)
        heard.momentary_max = max(heard.momentary_max, mean)
        if steps % STEPS_PER_BLOCK == 0:
            _count_block(mean, heard, edges)


@kernel("void(float32[:, ::1], Measurement[::1], float64[::1])")
def measure(
    samples: NDArray[np.float32], measurements: Records[Measurement], edges: NDArray[np.float64]
) -> None:
    """Add `samples` to a measurement.

    samples       (n, channels) float32, full scale 1.0
    measurements  (1,)
    edges         (BINS + 1,) float64, mean square of full scale 1.0: where each bin begins
    """
    heard = measurements[0]
    channels = samples.shape[1]
    for i in range(samples.shape[0]):
        for channel in range(channels):
            f = heard.filters[5 * channel : 5 * channel + 5]
            x = samples[i, channel] - _SHELF[3] * f[0] - _SHELF[4] * f[1]
            y = _SHELF[0] * x + _SHELF[1] * f[0] + _SHELF[2] * f[1]
            f[1] = f[0]
            f[0] = x
            x = y - _HIGH_PASS[3] * f[2] - _HIGH_PASS[4] * f[3]
            y = _HIGH_PASS[0] * x + _HIGH_PASS[1] * f[2] + _HIGH_PASS[2] * f[3]
            f[3] = f[2]
            f[2] = x
            f[4] += y * y
        heard.samples += 1
        if heard.samples == _STEP_SAMPLES:
            heard.samples = 0
            _close_step(heard, channels, edges)


@kernel("float64(Measurement[::1])")
def gated_energy(measurements: Records[Measurement]) -> float:
    """Return the mean energy of the blocks above both gates, 0.0 where there are none.

    measurements  (1,)
    """
    counts, sums = measurements[0].counts[:], measurements[0].sums[:]
    count = 0.0
    total = 0.0
    for i in range(BINS):
        count += counts[i]
        total += sums[i]
    if count == 0.0:
        return 0.0
    gate = 0.1 * total / count
    count = 0.0
    total = 0.0
    for i in range(BINS):
        if counts[i] > 0.0 and sums[i] > gate * counts[i]:
            count += counts[i]
            total += sums[i]
    return float(total / count)


def new_measurement(weights: Sequence[float]) -> Records[Measurement]:
    """Return a measurement that has heard nothing, of as many channels as there are weights."""
    assert len(weights) <= CHANNELS_MAX, "more channels than the standard knows"
    heard = new(Measurement)
    heard["weights"][0, : len(weights)] = weights
    return heard


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
        self._heard = new_measurement(weights if weights is not None else (1.0,) * channels)
        self._tail = np.zeros((TAPS - 1, channels), np.float32)
        self._peak = 0.0

    def add(self, samples: NDArray[np.float32]) -> None:
        """Measure sound.

        samples  (n, channels) float32, C-contiguous, full scale 1.0
        """
        measure(samples, self._heard, EDGES)
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
        return lufs_of_energy(float(self._heard["momentary_max"][0]))

    @property
    def short_term_max_lufs(self) -> float:
        """Return the loudest 3 s so far."""
        return lufs_of_energy(float(self._heard["short_term_max"][0]))

    @property
    def integrated_lufs(self) -> float:
        """Return the gated loudness of all that was measured."""
        return lufs_of_energy(float(gated_energy(self._heard)))

    @property
    def true_peak_dbtp(self) -> float:
        """Return the highest peak, between samples too; LOUDNESS_MIN_LUFS for silence."""
        return 20.0 * float(np.log10(self._peak)) if self._peak > 1e-6 else LOUDNESS_MIN_LUFS

    def _last_lufs(self, steps: int) -> float:
        done = int(self._heard["steps"][0])
        if done < steps:
            return LOUDNESS_MIN_LUFS
        return lufs_of_energy(float(_mean_of_last(self._heard["energies"][0], done, steps)))


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
