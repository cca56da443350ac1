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
from node.kernel import inner_kernel, kernel
from node.kernel.bound import bound
from node.kernel.record import Record, Records, new, whole
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
LOOK_SAMPLES: Final = 48
"""Between samples is looked only where one of so many, or of those beside them, is loud."""

_ONE_Q30: Final = 1 << 30
_WINDOW: Final = LOOK_AHEAD_SAMPLES + 2 * GUARD_SAMPLES + 1
_HISTORY: Final = LATENCY_SAMPLES + TAPS // 2 - 1
_RING: Final = 512  # a power of two above _WINDOW
_RELEASE_Q30: Final = round((10.0 ** (RELEASE_DB_PER_S / 20.0 / RATE_HZ) - 1.0) * _ONE_Q30)
_SANE_MAX: Final = np.float32(1e6)
_MISSED_GAIN: Final = 10.0 ** (-0.12 / 20.0)


class Limiting(Record):
    """Where a limiter is: the gains that the peaks ahead want, and what became of them."""

    at: int = whole("samples", "How many have left.")
    quiet: int = whole("samples", "Since the last that could reach the limit between samples.")
    calm: int = whole("samples", "Since the last that wanted less than a gain of one.")
    released_q30: int = whole("ratio / 2^30", "Gain after the release.")
    sum_q30: int = whole("ratio / 2^30", "Sum of `ring`.")
    ring: NDArray[np.int64] = whole(
        "ratio / 2^30", "The last of these gains.", (LOOK_AHEAD_SAMPLES,)
    )
    head: int = whole("", "Where the queue begins: the least gain of the window.")
    tail: int = whole("", "Where it ends.")
    queue_q30: NDArray[np.int64] = whole("ratio / 2^30", "Candidates for it, rising.", (_RING,))
    queue_at: NDArray[np.int64] = whole("samples", "When each of them came.", (_RING,))


@inner_kernel("int64(Limiting, int64)")
def _least_of_window(state: Limiting, wanted_q30: int) -> int:
    """Return the least of the last _WINDOW gains; the queue holds the candidates."""
    mask = _RING - 1
    gains, came_at = state.queue_q30[:], state.queue_at[:]
    head = state.head
    tail = state.tail
    while tail > head and gains[(tail - 1) & mask] >= wanted_q30:
        tail -= 1
    gains[tail & mask] = wanted_q30
    came_at[tail & mask] = state.at
    tail += 1
    while came_at[head & mask] <= state.at - _WINDOW:
        head += 1
    state.head = head
    state.tail = tail
    return int(gains[head & mask])


@inner_kernel("int64(Limiting, int64)")
def _next_sum(state: Limiting, wanted_q30: int) -> int:
    """Return LOOK_AHEAD_SAMPLES times the gain for the sample that leaves now."""
    least = _least_of_window(state, wanted_q30)
    released = state.released_q30
    released = min(least, released + ((released * _RELEASE_Q30) >> 30) + 1)
    state.released_q30 = released
    place = state.at % LOOK_AHEAD_SAMPLES
    state.sum_q30 += released - state.ring[place]
    state.ring[place] = released
    state.at += 1
    return int(state.sum_q30)


@inner_kernel("void(float32[:, ::1], float32[:, ::1], float32[::1], Limiting, float64)")
def _follow(
    samples: NDArray[np.float32],
    line: NDArray[np.float32],
    peaks: NDArray[np.float32],
    state: Limiting,
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
        total = _next_sum(state, wanted_q30)
        gain = total / (float(LOOK_AHEAD_SAMPLES) * _ONE_Q30)
        for channel in range(channels):
            value = np.float32(line[_HISTORY - LATENCY_SAMPLES + i, channel] * gain)
            samples[i, channel] = min(max(value, np.float32(-limit)), np.float32(limit))


@inner_kernel("float64(float32[::1])")
def _loudest(values: NDArray[np.float32]) -> float:
    """Return the largest magnitude of values, of which none is no number.

    values  (n,) float32, full scale 1.0
    """
    # Four at once: each maximum waits for the one before it.
    n = values.shape[0]
    a = b = c = d = np.float32(0.0)
    whole = n - n % 4
    for j in range(np.uint64(0), np.uint64(whole), np.uint64(4)):
        a = max(a, abs(values[j]))
        b = max(b, abs(values[j + np.uint64(1)]))
        c = max(c, abs(values[j + np.uint64(2)]))
        d = max(d, abs(values[j + np.uint64(3)]))
    for j in range(np.uint64(whole), np.uint64(n)):
        a = max(a, abs(values[j]))
    return float(max(a, b, c, d))


@inner_kernel("float64(float32[::1], float32[:, ::1], int64, float64, float32[::1])")
def _loud_peaks(
    source: NDArray[np.float32],
    table: NDArray[np.float32],
    channels: int,
    ceiling: float,
    peaks: NDArray[np.float32],
) -> float:
    """Write `true_peaks` where they may be above the ceiling, elsewhere zeros; return the highest.

    source    flat ((n + TAPS - 1) * channels,) float32, full scale 1.0; as there
    table     (phases, TAPS) float32, a ratio: `PEAK_TABLE`
    channels  1 or more
    ceiling   linear
    peaks     (n * channels,) float32, full scale 1.0
    """
    beside = (TAPS - 1) * channels
    highest = 0.0
    for first in range(0, peaks.shape[0], LOOK_SAMPLES * channels):
        end = min(peaks.shape[0], first + LOOK_SAMPLES * channels)
        if _loudest(source[first : end + beside]) * OVERSHOOT_MAX <= ceiling:
            peaks[first:end] = np.float32(0.0)
        else:
            true_peaks(source[first:], table, channels, end - first, peaks[first:end])
            highest = max(highest, _loudest(peaks[first:end]))
    return highest


@inner_kernel(
    "void(float32[:, ::1], float32[::1], float32[:, ::1], Limiting[::1], float32[:, ::1], float64)"
)
def _limit_chunk(
    line: NDArray[np.float32],
    peaks: NDArray[np.float32],
    table: NDArray[np.float32],
    states: Records[Limiting],
    samples: NDArray[np.float32],
    limit: float,
) -> None:
    """Limit up to CHUNK_SAMPLES samples in place, LATENCY_SAMPLES later.

    line     (_HISTORY + CHUNK_SAMPLES, channels) float32, full scale 1.0, state
    peaks    (CHUNK_SAMPLES * channels,) float32, full scale 1.0, scratch
    table    (phases, TAPS) float32, a ratio: `PEAK_TABLE`
    states   (1,)
    samples  (n, channels) float32, full scale 1.0, n <= CHUNK_SAMPLES
    limit    linear, > 0
    """
    state = states[0]
    n = samples.shape[0]
    channels = samples.shape[1]
    count = np.uint64(n * channels)
    flat, delayed = samples.reshape(-1), line.reshape(-1)
    came = delayed[_HISTORY * channels :]
    for j in range(count):
        value = flat[j]
        came[j] = value if abs(value) <= _SANE_MAX else np.float32(0.0)
    ceiling = limit * _MISSED_GAIN
    quiet = _loudest(came[: n * channels]) * OVERSHOOT_MAX <= ceiling
    state.quiet = state.quiet + n if quiet else 0
    found = peaks[: n * channels]
    highest = 0.0
    if state.quiet > TAPS + n:
        found[:] = np.float32(0.0)
    else:
        near = delayed[(_HISTORY - (TAPS - 1)) * channels : (_HISTORY + n) * channels]
        highest = _loud_peaks(near, table, channels, ceiling, found)
    state.calm = state.calm + n if highest <= ceiling else 0
    if state.calm > _WINDOW + n and state.sum_q30 == LOOK_AHEAD_SAMPLES * _ONE_Q30:
        # Every gain of the window is one: nothing to weigh, only to delay.
        state.at += n
        leaves = delayed[(_HISTORY - LATENCY_SAMPLES) * channels :]
        for j in range(count):
            flat[j] = leaves[j]
    else:
        _follow(samples, line, peaks, state, limit)
    stays = delayed[n * channels :]
    for j in range(np.uint64(_HISTORY * channels)):
        delayed[j] = stays[j]


@kernel(
    "void(float32[:, ::1], float32[::1], float32[:, ::1], Limiting[::1], float32[:, :, ::1],"
    " float64)"
)
def limit_periods(
    line: NDArray[np.float32],
    peaks: NDArray[np.float32],
    table: NDArray[np.float32],
    states: Records[Limiting],
    periods: NDArray[np.float32],
    limit: float,
) -> None:
    """Limit periods in place, each in chunks of CHUNK_SAMPLES; see `_limit_chunk`.

    line     (_HISTORY + CHUNK_SAMPLES, channels) float32, full scale 1.0, state
    peaks    (CHUNK_SAMPLES * channels,) float32, full scale 1.0, scratch
    table    (phases, TAPS) float32, a ratio: `PEAK_TABLE`
    states   (1,)
    periods  (periods, n, channels) float32, full scale 1.0
    limit    linear, > 0
    """
    for i in range(periods.shape[0]):
        samples = periods[i]
        for first in range(0, samples.shape[0], CHUNK_SAMPLES):
            _limit_chunk(line, peaks, table, states, samples[first : first + CHUNK_SAMPLES], limit)


class Limiter:
    """A limiter for one output; `process` works in place."""

    def __init__(self, channels: int, *, limit_dbfs: float) -> None:
        self._limit = gain_of_db(limit_dbfs)
        self.line = np.zeros((_HISTORY + CHUNK_SAMPLES, channels), np.float32)
        self.state = new(Limiting)
        self.state["sum_q30"] = LOOK_AHEAD_SAMPLES * _ONE_Q30
        self.state["released_q30"] = self.state["ring"] = _ONE_Q30
        self.peaks = np.zeros(CHUNK_SAMPLES * channels, np.float32)
        self._limit_periods = bound(limit_periods, self.line, self.peaks, PEAK_TABLE, self.state)

    def process(self, samples: NDArray[np.float32]) -> None:
        """Limit sound in place; it comes out LATENCY_SAMPLES later.

        samples  (n, channels) float32, full scale 1.0
        """
        self.process_periods(samples[np.newaxis])

    def process_periods(self, periods: NDArray[np.float32]) -> None:
        """Do the same with many periods, one after the other.

        periods  (periods, n, channels) float32, full scale 1.0
        """
        assert periods.flags.c_contiguous and periods.ndim == 3, "no kernel looks for gaps"
        self._limit_periods(periods, self._limit)

    @property
    def reduction_db(self) -> float:
        """Return by how much the gain is lowered now, 0 or more."""
        mean_q30 = int(self.state["sum_q30"][0]) / LOOK_AHEAD_SAMPLES
        return float(-20.0 * np.log10(max(mean_q30, 1.0) / _ONE_Q30))
