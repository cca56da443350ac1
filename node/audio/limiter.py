"""Look-ahead limiter for true peaks: what leaves it stays below the limit between samples too.

```
in ──┬── 8x oversampled peak ──► gain wanted ──► least of a window ──► release ──► mean ──┐
     └──────────────────────── delay LATENCY_SAMPLES ───────────────────────────────────► × ──► out
```

The mean over the look-ahead of the least gain of a longer window reaches, at each peak, exactly
what that peak wants, and ramps towards it before (Q30 integers, so that a gain of one *is* one).
Sound at least `MARGIN_DB` below the limit is delayed and otherwise untouched, bit by bit.

8x oversampling misses at most 0.12 dB of a peak at 20 kHz (1/cos(pi f / (8 rate))); that is taken
off the limit. What is no number becomes zero: safe is silent.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.gain import gain_of_db
from node.audio.true_peak import OVERSHOOT_MAX, PEAK_TABLE, TAPS, true_peaks
from node.kernel import kernel
from node.units import RATE_HZ

LOOK_AHEAD_SAMPLES: Final = 144
"""3 ms: the ramp towards a peak."""
GUARD_SAMPLES: Final = 6
"""Samples on each side of a peak that get its full gain: the peak is made of them."""
LATENCY_SAMPLES: Final = LOOK_AHEAD_SAMPLES - 1 + GUARD_SAMPLES + TAPS // 2
"""161 samples, 3.4 ms."""
MARGIN_DB: Final = 0.3
RELEASE_DB_PER_S: Final = 100.0

CHUNK_SAMPLES: Final = 480
INTS: Final = 5
_SUM_Q30: Final = 0
_RELEASED_Q30: Final = 1
_AT: Final = 2
_QUIET: Final = 3
_CALM: Final = 4
"""Samples since the last that wanted less than a gain of one."""

_ONE_Q30: Final = 1 << 30
_WINDOW: Final = LOOK_AHEAD_SAMPLES + 2 * GUARD_SAMPLES + 1
_HISTORY: Final = LATENCY_SAMPLES + TAPS // 2 - 1
_RING: Final = 512  # a power of two above _WINDOW
_RELEASE_Q30: Final = round((10.0 ** (RELEASE_DB_PER_S / 20.0 / RATE_HZ) - 1.0) * _ONE_Q30)
_SANE_MAX: Final = np.float32(1e6)
_MISSED_GAIN: Final = 10.0 ** (-0.12 / 20.0)


@kernel("int64(int64[:, ::1], int64[::1], int64)")
def _least_of_window(queue: NDArray[np.int64], ints: NDArray[np.int64], wanted_q30: int) -> int:
    """Return the least of the last _WINDOW gains; `queue` holds the candidates, rising.

    queue  (2, _RING + 2) int64: gains and the indices they came at; the last column of each row
           holds where the queue begins and ends
    """
    mask = _RING - 1
    head = queue[0, _RING]
    tail = queue[1, _RING]
    while tail > head and queue[0, (tail - 1) & mask] >= wanted_q30:
        tail -= 1
    queue[0, tail & mask] = wanted_q30
    queue[1, tail & mask] = ints[_AT]
    tail += 1
    while queue[1, head & mask] <= ints[_AT] - _WINDOW:
        head += 1
    queue[0, _RING] = head
    queue[1, _RING] = tail
    return int(queue[0, head & mask])


@kernel("int64(int64[::1], int64[:, ::1], int64[::1], int64)")
def _next_sum(
    ints: NDArray[np.int64],
    queue: NDArray[np.int64],
    ring: NDArray[np.int64],
    wanted_q30: int,
) -> int:
    """Return LOOK_AHEAD_SAMPLES times the gain for the sample that leaves now."""
    least = _least_of_window(queue, ints, wanted_q30)
    released = ints[_RELEASED_Q30]
    released = min(least, released + ((released * _RELEASE_Q30) >> 30) + 1)
    ints[_RELEASED_Q30] = released
    place = ints[_AT] % LOOK_AHEAD_SAMPLES
    ints[_SUM_Q30] += released - ring[place]
    ring[place] = released
    ints[_AT] += 1
    return int(ints[_SUM_Q30])


@kernel(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], int64[:, ::1], int64[::1], float32[::1],"
    "float64)"
)
def _follow(
    samples: NDArray[np.float32],
    line: NDArray[np.float32],
    ints: NDArray[np.int64],
    queue: NDArray[np.int64],
    ring: NDArray[np.int64],
    peaks: NDArray[np.float32],
    limit: float,
) -> None:
    """Weigh each delayed sample with the gain that the peaks ahead of it want."""
    n = samples.shape[0]
    channels = samples.shape[1]
    ceiling = limit * _MISSED_GAIN
    for i in range(n):
        peak = np.float32(0.0)
        for channel in range(channels):
            peak = max(peak, peaks[i * channels + channel])
        wanted_q30 = _ONE_Q30 if peak <= ceiling else int(ceiling / peak * _ONE_Q30)
        total = _next_sum(ints, queue, ring, wanted_q30)
        gain = total / (float(LOOK_AHEAD_SAMPLES) * _ONE_Q30)
        for channel in range(channels):
            value = np.float32(line[_HISTORY - LATENCY_SAMPLES + i, channel] * gain)
            samples[i, channel] = min(max(value, np.float32(-limit)), np.float32(limit))


@kernel(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], int64[:, ::1], int64[::1], float32[::1],"
    "float32[:, ::1], float64)"
)
def limit_chunk(
    samples: NDArray[np.float32],
    line: NDArray[np.float32],
    ints: NDArray[np.int64],
    queue: NDArray[np.int64],
    ring: NDArray[np.int64],
    peaks: NDArray[np.float32],
    table: NDArray[np.float32],
    limit: float,
) -> None:
    """Limit up to CHUNK_SAMPLES samples in place, LATENCY_SAMPLES later.

    samples  (n, channels) float32, full scale 1.0, n <= CHUNK_SAMPLES
    line     (_HISTORY + CHUNK_SAMPLES, channels) float32, full scale 1.0, state
    ints     (INTS,) int64, state: gains in Q30, an index, counts of samples
    queue    (2, _RING + 1) int64, state: gains in Q30, and the indices they came at
    ring     (LOOK_AHEAD_SAMPLES,) int64, state: gains in Q30
    peaks    (CHUNK_SAMPLES * channels,) float32, full scale 1.0, scratch
    table    (phases, TAPS) float32, a ratio: `PEAK_TABLE`
    limit    linear, > 0
    """
    n = samples.shape[0]
    channels = samples.shape[1]
    loudest = np.float32(0.0)
    for i in range(n):
        for channel in range(channels):
            value = samples[i, channel]
            if not abs(value) <= _SANE_MAX:
                value = np.float32(0.0)
            line[_HISTORY + i, channel] = value
            loudest = max(loudest, abs(value))
    ceiling = limit * _MISSED_GAIN
    quiet = loudest * OVERSHOOT_MAX <= ceiling
    ints[_QUIET] = ints[_QUIET] + n if quiet else 0
    if ints[_QUIET] > TAPS + n:
        for j in range(n * channels):
            peaks[j] = 0.0
    else:
        first = _HISTORY - (TAPS - 1)
        true_peaks(line.reshape(-1)[first * channels :], table, channels, n * channels, peaks)
    highest = np.float32(0.0)
    for j in range(n * channels):
        highest = max(highest, peaks[j])
    ints[_CALM] = ints[_CALM] + n if highest <= ceiling else 0
    if ints[_CALM] > _WINDOW + n and ints[_SUM_Q30] == LOOK_AHEAD_SAMPLES * _ONE_Q30:
        # Every gain of the window is one: nothing to weigh, only to delay.
        ints[_AT] += n
        first = _HISTORY - LATENCY_SAMPLES
        for i in range(n):
            for channel in range(channels):
                samples[i, channel] = line[first + i, channel]
    else:
        _follow(samples, line, ints, queue, ring, peaks, limit)
    for i in range(_HISTORY):
        for channel in range(channels):
            line[i, channel] = line[i + n, channel]


class Limiter:
    """A limiter for one output; `process` works in place."""

    def __init__(self, channels: int, *, limit_dbfs: float) -> None:
        self._limit = gain_of_db(limit_dbfs)
        self.line = np.zeros((_HISTORY + CHUNK_SAMPLES, channels), np.float32)
        self.ints = np.zeros(INTS, np.int64)
        self.ints[_SUM_Q30] = LOOK_AHEAD_SAMPLES * _ONE_Q30
        self.ints[_RELEASED_Q30] = _ONE_Q30
        self.queue = np.zeros((2, _RING + 1), np.int64)
        self.ring = np.full(LOOK_AHEAD_SAMPLES, _ONE_Q30, np.int64)
        self.peaks = np.zeros(CHUNK_SAMPLES * channels, np.float32)

    def process(self, samples: NDArray[np.float32]) -> None:
        """Limit sound in place; it comes out LATENCY_SAMPLES later.

        samples  (n, channels) float32, full scale 1.0
        """
        for first in range(0, len(samples), CHUNK_SAMPLES):
            limit_chunk(
                samples[first : first + CHUNK_SAMPLES],
                self.line,
                self.ints,
                self.queue,
                self.ring,
                self.peaks,
                PEAK_TABLE,
                self._limit,
            )

    @property
    def reduction_db(self) -> float:
        """Return by how much the gain is lowered now, 0 or more."""
        mean_q30 = int(self.ints[_SUM_Q30]) / LOOK_AHEAD_SAMPLES
        return float(-20.0 * np.log10(max(mean_q30, 1.0) / _ONE_Q30))
