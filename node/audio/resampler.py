"""Resample by a ratio next to one that moves all the time: the node's clock against the sender's.

The receiver owns a FIFO of decoded sound, (capacity, channels) float32. It begins with
`HISTORY_SAMPLES` zeros, so that output *n* at step 1.0 is input *n*, copied bit by bit, with no
delay at all; what the filter costs is that `LOOKAHEAD_SAMPLES` (0.25 ms) more must be decoded
before a sample can leave.

```
FIFO index   start                    start + HISTORY_SAMPLES              filled
             │  history (11)          │ media sample `media`               │
             ├────────────────────────┼──────────────────────┬─────────────┤
             └───── 24 taps around the position media + fraction ──┘
```

Windowed sinc, 24 taps, 512 phases, straight lines between phases. Measured by
`python -m benchmarks resampler`. Within a stretch of output in which the phase stays in one row
of the table, all samples use the same 24 pairs of coefficients; the loop over samples is then the
inner one and runs on the vector unit, without reordering any sum.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, new, whole

TAPS: Final = 24
PHASES: Final = 512
HISTORY_SAMPLES: Final = TAPS // 2 - 1
"""Samples before the position that the filter reads: zeros that the FIFO begins with."""
LOOKAHEAD_SAMPLES: Final = TAPS // 2
"""Samples after the position that the filter reads: 0.25 ms at 48 kHz."""

UNITY_Q32: Final = 1 << 32
"""Step of one input sample per output sample."""
STEP_DEVIATION_MAX_Q32: Final = UNITY_Q32 // 50
"""2 %: beyond this the filter would alias; no clock and no slew of the playout delay needs it."""

_PHASE_SHIFT: Final = 23  # 2^32 / 512
_FRACTION_MASK: Final = UNITY_Q32 - 1
_ROW_SCALE: Final = np.float32(2.0**-_PHASE_SHIFT)
# Kaiser window. 11.4 weighs 1 kHz (window's far side lobes) against 17 kHz (its width).
_KAISER_BETA: Final = 11.4


def coefficient_table() -> NDArray[np.float32]:
    """Return the filter: (PHASES, 2 TAPS) float32, coefficients, then slopes to the next phase.

    Notes
    -----
    Row 0 is a single one, so that at phase 0 samples are copied. Rounding to float32 hides what
    CPUs differ in the last bit of sin and I0.
    """
    phase = np.arange(PHASES + 1, dtype=np.float64) / PHASES
    offset = np.arange(-HISTORY_SAMPLES, LOOKAHEAD_SAMPLES + 1, dtype=np.float64)
    distance = offset[np.newaxis, :] - phase[:, np.newaxis]
    inside = np.clip(1.0 - (2.0 * distance / TAPS) ** 2, 0.0, 1.0)
    rows = np.sinc(distance) * np.i0(_KAISER_BETA * np.sqrt(inside)) / np.i0(_KAISER_BETA)
    rows /= rows.sum(axis=1, keepdims=True)
    rows[0] = offset == 0.0
    rows[-1] = offset == 1.0
    rounded = rows.astype(np.float32)
    table = np.empty((PHASES, 2 * TAPS), np.float32)
    table[:, :TAPS] = rounded[:-1]
    table[:, TAPS:] = np.diff(rounded, axis=0)
    return table


TABLE: Final = coefficient_table()


class Resampling(Record):
    """Where a resampler is, in the FIFO and in the media."""

    fraction_q32: int = whole(
        "samples / 2^32", "Position between two input samples, 0 <= it < 2^32."
    )
    start: int = whole("", "FIFO index of the first tap of the next output sample.")
    media: int = whole(
        "samples", "Media position of the next output sample; `fraction_q32` adds to it."
    )


@kernel("int64(Resampling[::1], int64, int64)")
def samples_needed(places: Records[Resampling], n: int, step_q32: int) -> int:
    """Return how many FIFO rows, counted from row 0, must be filled to make `n` outputs.

    n         output samples wanted; 0 needs nothing
    step_q32  input samples per output sample, Q32
    """
    if n <= 0:
        return 0
    place = places[0]
    last = (place.fraction_q32 + (n - 1) * step_q32) >> 32
    return int(place.start + last + TAPS)


@kernel("int64(float32[:, ::1], Resampling[::1], int64)")
def compact(fifo: NDArray[np.float32], places: Records[Resampling], filled: int) -> int:
    """Move what is still needed to the front of the FIFO; return the rows then filled.

    fifo    (capacity, channels) float32, full scale 1.0
    places  (1,); `start` becomes 0, or what `filled` lacked to reach it
    filled  rows of the FIFO that hold sound
    """
    place = places[0]
    start = min(place.start, filled)
    kept = filled - start
    if start > 0:
        for i in range(kept):
            for channel in range(fifo.shape[1]):
                fifo[i, channel] = fifo[start + i, channel]
    place.start -= start
    return int(kept)


@inner_kernel("void(float32[::1], float32[::1], float32[::1], int64, int64, int64)")
def _filter_run(
    window: NDArray[np.float32],
    row: NDArray[np.float32],
    out: NDArray[np.float32],
    channels: int,
    remainder: int,
    deviation: int,
) -> None:
    """Fill `out` with values whose positions lie in one row of the table.

    window     flat FIFO from the first value's first tap on
    row        (2 TAPS,) coefficients and slopes
    out        (samples times channels,) flat
    channels   1 or 2
    remainder  Q32 position within the row of the first value
    deviation  Q32 change of the position per sample, less one whole sample
    """
    # Unsigned indices cannot be negative: without that check the loop runs on the vector unit.
    stride = np.uint64(channels)
    halving = channels - 1
    for j in range(np.uint64(out.shape[0])):
        weight = np.float32(remainder + (np.int64(j) >> halving) * deviation) * _ROW_SCALE
        straight = np.float32(0.0)
        slope = np.float32(0.0)
        for k in range(np.uint64(TAPS)):
            value = window[j + k * stride]
            straight += row[k] * value
            slope += row[k + np.uint64(TAPS)] * value
        out[j] = straight + weight * slope


@kernel("int64(float32[:, ::1], Resampling[::1], float32[:, ::1], float32[:, ::1], int64)")
def resample(
    fifo: NDArray[np.float32],
    places: Records[Resampling],
    table: NDArray[np.float32],
    out: NDArray[np.float32],
    step_q32: int,
) -> int:
    """Fill `out` from the FIFO; return how many input samples are no longer needed.

    fifo      (capacity, channels) float32, full scale 1.0, filled as `samples_needed` says; 1 or 2
              channels
    places    (1,), moves on
    table     (PHASES, 2 * TAPS) float32, a ratio: `TABLE`
    out       (n, channels) float32, full scale 1.0
    step_q32  input samples per output sample, Q32, within STEP_DEVIATION_MAX_Q32 of UNITY_Q32
    """
    place = places[0]
    channels = fifo.shape[1]
    source = fifo.reshape(-1)
    flat = out.reshape(-1)
    n = out.shape[0]
    deviation = step_q32 - UNITY_Q32
    i = 0
    while i < n:
        position = place.fraction_q32 + i * step_q32
        base = place.start + (position >> 32)
        fraction = position & _FRACTION_MASK
        phase = fraction >> _PHASE_SHIFT
        remainder = fraction - (phase << _PHASE_SHIFT)
        run = n - i
        if deviation > 0:
            run = min(run, ((1 << _PHASE_SHIFT) - remainder + deviation - 1) // deviation)
        elif deviation < 0:
            run = min(run, remainder // -deviation + 1)
        window = source[base * channels :]
        part = flat[i * channels : (i + run) * channels]
        _filter_run(window, table[phase], part, channels, remainder, deviation)
        i += run
    position = place.fraction_q32 + n * step_q32
    consumed = position >> 32
    place.fraction_q32 = position & _FRACTION_MASK
    place.start += consumed
    place.media += consumed
    return int(consumed)


class Resampler:
    """A resampler with its own FIFO, for tests, benchmarks and tools."""

    def __init__(self, channels: int, *, capacity_samples: int = 16_384) -> None:
        self.place = new(Resampling)
        self._fifo = np.zeros((capacity_samples, channels), np.float32)
        self._filled = HISTORY_SAMPLES

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append decoded sound.

        samples  (n, channels) float32, full scale 1.0; n at most what the FIFO still holds
        """
        self._filled = compact(self._fifo, self.place, self._filled)
        assert self._filled + len(samples) <= len(self._fifo), "more written than the FIFO holds"
        self._fifo[self._filled : self._filled + len(samples)] = samples
        self._filled += len(samples)

    def missing_samples(self, n: int, step_q32: int) -> int:
        """Return how many samples must still be written to make `n` outputs."""
        return max(0, samples_needed(self.place, n, step_q32) - self._filled)

    def read(self, out: NDArray[np.float32], step_q32: int) -> None:
        """Fill `out`, (n, channels) float32; what was not written yet counts as zero."""
        needed = samples_needed(self.place, len(out), step_q32)
        if needed > self._filled:
            self._fifo[self._filled : needed] = 0.0
            self._filled = needed
        resample(self._fifo, self.place, TABLE, out, step_q32)
