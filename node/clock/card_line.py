"""When a sample leaves the sound card's converter, from time stamps that a busy machine makes late.

Between two callbacks of a card exactly its period passes, by its own crystal, so the stamps lie on
a line, and most of what is off that line is late: the machine called late. The line lies along the
earliest stamps. Of each half second one stamp is kept as a point, the third earliest, so that two
stamps that are simply wrong bend nothing; the slope is Theil-Sen's over 32 s, the height the median
of the last 8 s. However late or how many the others are, they say nothing.

```
y = stamp - samples / rate
│        .    .  .                  late: the machine
│  .   .    .         │ . ___.__.__
│_.__.___.__.__.__._: │.  .   .       a card that played without us goes on later from there:
│                     ▲               the line is moved, its slope is kept
└─────────────────────────────── x
```

A card that lost periods shows in stamps that are all late, eight of them alike, or for 0.2 s: the
line is put through the earliest of these, and moved once more by what the next half second shows
to be left. What is earlier than the line by as much is one wrong stamp, or, three times in a row,
a line that was moved by mistake. Where a line was moved its points come along: no stall bends the
slope.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.robust_line import select, theil_sen_slope
from node.kernel import inner_kernel, kernel
from node.kernel.conversions import samples_to_ns
from node.units import NS_PER_MS, RATE_HZ

# Of the exact half of the state, (CARD_INTS,) int64.
RUNNING: Final = 0
ORIGIN_NS: Final = 1
"""The stamp that the line is counted from; moved with it."""
SAMPLES: Final = 2
"""Played since the beginning."""
POINTS: Final = 3
BLOCK_SAMPLES: Final = 4
BLOCK_STAMPS: Final = 5
LATE_SAMPLES: Final = 6
NEAR_STAMPS: Final = 7
"""Of these, the ones that are nearly as late as the least late."""
EARLY_STAMPS: Final = 8
UNSETTLED: Final = 9
"""1 since the line was moved, until the next half second shows by how much it was wrong."""
CARD_JUMPS: Final = 10
CARD_INTS: Final = 11

# Of the measured half, (CARD_FLOATS,) float64; times in ns since the origin.
SLOPE: Final = 0
HEIGHT_NS: Final = 1
HEIGHT_X_NS: Final = 2
OFF_LEAST_NS: Final = 3
"""Of the stamps in a row that were late, or early, the nearest to the line."""
FIRST_NS: Final = 4
"""Of the block, the earliest: how far it is off the line, and its x; then the next two."""
EARLIEST: Final = 3
CARD_FLOATS: Final = FIRST_NS + 2 * EARLIEST

CARD_POINTS_MAX: Final = 64
CARD_SCRATCH: Final = CARD_POINTS_MAX // 2 * (CARD_POINTS_MAX // 2 + 1) // 2

_BLOCK_SAMPLES: Final = RATE_HZ // 2
_OFF_NS: Final = 1.0 * NS_PER_MS
"""Further off the line than what a machine at ease adds."""
_LATE_SAMPLES: Final = RATE_HZ // 5
_NEAR_NS: Final = 0.2 * NS_PER_MS
_NEAR_STAMPS: Final = 8
_EARLY_STAMPS: Final = 3
_HEIGHT_POINTS: Final = 16
_SLOPE_POINTS_MIN: Final = 4
_SLOPE_USUAL: Final = 100e-6
"""Crystals are sold as +-20 to +-50 ppm: a slope is believed as far as its points are surer."""
_SPREAD_MIN_NS: Final = 5000.0


@kernel("void(int64[::1])")
def _begin_block(ints: NDArray[np.int64]) -> None:
    ints[BLOCK_SAMPLES] = 0
    ints[BLOCK_STAMPS] = 0


@inner_kernel("void(int64[::1])")
def _forget_late(ints: NDArray[np.int64]) -> None:
    ints[LATE_SAMPLES] = 0
    ints[NEAR_STAMPS] = 0


@kernel("float64(int64[::1], float64[::1], float64, int64)")
def _follow(
    ints: NDArray[np.int64], floats: NDArray[np.float64], off_ns: float, samples: int
) -> float:
    """Move the line where the stamps have left it for good; return how far this one is off."""
    if off_ns <= _OFF_NS:
        _forget_late(ints)
    if off_ns >= -_OFF_NS:
        ints[EARLY_STAMPS] = 0
    if abs(off_ns) <= _OFF_NS:
        return off_ns
    if ints[LATE_SAMPLES] + ints[EARLY_STAMPS] == 0 or abs(off_ns) < abs(floats[OFF_LEAST_NS]):
        ints[NEAR_STAMPS] *= floats[OFF_LEAST_NS] - off_ns < _NEAR_NS
        floats[OFF_LEAST_NS] = off_ns
    if off_ns > 0.0:
        ints[NEAR_STAMPS] += off_ns - floats[OFF_LEAST_NS] < _NEAR_NS
        ints[LATE_SAMPLES] += samples
    else:
        ints[EARLY_STAMPS] += 1
    is_late = ints[NEAR_STAMPS] >= _NEAR_STAMPS or ints[LATE_SAMPLES] >= _LATE_SAMPLES
    if not is_late and ints[EARLY_STAMPS] < _EARLY_STAMPS:
        return off_ns
    by_ns = int(floats[OFF_LEAST_NS])
    ints[ORIGIN_NS] += by_ns
    _begin_block(ints)
    _forget_late(ints)
    ints[EARLY_STAMPS] = 0
    ints[CARD_JUMPS] += 1
    ints[UNSETTLED] = 1
    return off_ns - by_ns


@inner_kernel("void(int64[::1], float64[::1], float64, float64)")
def _put_into_block(
    ints: NDArray[np.int64], floats: NDArray[np.float64], off_ns: float, x_ns: float
) -> None:
    """Keep a stamp if it is among the earliest of its block."""
    place = min(ints[BLOCK_STAMPS], EARLIEST)
    ints[BLOCK_STAMPS] += 1
    while place > 0 and off_ns < floats[FIRST_NS + 2 * place - 2]:
        if place < EARLIEST:
            floats[FIRST_NS + 2 * place] = floats[FIRST_NS + 2 * place - 2]
            floats[FIRST_NS + 2 * place + 1] = floats[FIRST_NS + 2 * place - 1]
        place -= 1
    if place < EARLIEST:
        floats[FIRST_NS + 2 * place] = off_ns
        floats[FIRST_NS + 2 * place + 1] = x_ns


@inner_kernel("float64(float64[:, ::1], int64, float64, float64[::1])")
def _spread_ns(
    points: NDArray[np.float64], n: int, slope: float, scratch: NDArray[np.float64]
) -> float:
    """Return the median distance of the points from the middle line of this slope."""
    for i in range(n):
        scratch[i] = points[1, i] - slope * points[0, i]
    middle = select(scratch, n, n // 2)
    for i in range(n):
        scratch[i] = abs(points[1, i] - slope * points[0, i] - middle)
    return select(scratch, n, n // 2)


@kernel("void(float64[::1], float64[:, ::1], int64, float64[::1])")
def _fit(
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    n: int,
    scratch: NDArray[np.float64],
) -> None:
    """Put the line through `n` points."""
    x = points[0]
    y = points[1]
    slope = 0.0
    if n >= _SLOPE_POINTS_MIN:
        slope = theil_sen_slope(x, y, n, max(1, n // 2), scratch)
        spread_ns = max(_spread_ns(points, n, slope, scratch), _SPREAD_MIN_NS)
        # Of a slope through n points: 12 spread^2 / (n span^2); half the points as good as all.
        error = spread_ns * spread_ns * 24.0 / (n * (x[n - 1] - x[0]) * (x[n - 1] - x[0]))
        slope *= _SLOPE_USUAL * _SLOPE_USUAL / (_SLOPE_USUAL * _SLOPE_USUAL + error)
    recent = min(n, _HEIGHT_POINTS)
    for i in range(recent):
        k = n - 1 - i
        scratch[i] = y[k] - slope * (x[k] - x[n - 1])
    floats[SLOPE] = slope
    floats[HEIGHT_X_NS] = x[n - 1]
    floats[HEIGHT_NS] = select(scratch, recent, recent // 2)


@inner_kernel("void(int64[::1], float64[::1], float64[:, ::1], float64[::1])")
def _close_block(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
) -> None:
    """Make the third earliest stamp of the block a point, and put the line through the points."""
    stamps = ints[BLOCK_STAMPS]
    _begin_block(ints)
    if stamps < EARLIEST:
        return
    off_ns = floats[FIRST_NS + 2 * EARLIEST - 2]
    x_ns = floats[FIRST_NS + 2 * EARLIEST - 1]
    if off_ns > _OFF_NS:
        return  # the machine was never on time: nothing is known of the card
    y_ns = off_ns + floats[HEIGHT_NS] + floats[SLOPE] * (x_ns - floats[HEIGHT_X_NS])
    if ints[UNSETTLED] == 1:
        ints[UNSETTLED] = 0
        by_ns = int(off_ns)
        ints[ORIGIN_NS] += by_ns  # and with it all points
        y_ns -= by_ns
    n = ints[POINTS]
    if n == CARD_POINTS_MAX:
        n -= 1
        for i in range(n):
            points[0, i] = points[0, i + 1]
            points[1, i] = points[1, i + 1]
    points[0, n] = x_ns
    points[1, n] = y_ns
    ints[POINTS] = n + 1
    _fit(floats, points, n + 1, scratch)


@kernel("int64(int64[::1], float64[::1], float64[:, ::1], float64[::1], int64, int64)")
def card_presentation_ns(
    ints: NDArray[np.int64],
    floats: NDArray[np.float64],
    points: NDArray[np.float64],
    scratch: NDArray[np.float64],
    stamp_ns: int,
    samples: int,
) -> int:
    """Return when a period of `samples` leaves the converter, whose stamp is `stamp_ns`.

    ints     (CARD_INTS,) int64, state: units by the fields' names
    floats   (CARD_FLOATS,) float64, state: units by the fields' names
    points   (2, CARD_POINTS_MAX) float64, state: x and y of points, ns
    scratch  (CARD_SCRATCH,) float64, scratch, ns
    """
    if ints[RUNNING] == 0:
        ints[RUNNING] = 1
        ints[ORIGIN_NS] = stamp_ns
        _begin_block(ints)
    x_ns = samples_to_ns(ints[SAMPLES])
    line_ns = floats[HEIGHT_NS] + floats[SLOPE] * (x_ns - floats[HEIGHT_X_NS])
    off_ns = float(stamp_ns - ints[ORIGIN_NS] - x_ns) - line_ns
    if off_ns < 0.0 and ints[POINTS] == 0:  # nothing is known yet: the earliest is right
        ints[ORIGIN_NS] += int(off_ns)
        for i in range(EARLIEST):
            floats[FIRST_NS + 2 * i] -= off_ns
        off_ns = 0.0
    off_ns = _follow(ints, floats, off_ns, samples)
    if off_ns >= -_OFF_NS:
        _put_into_block(ints, floats, off_ns, float(x_ns))
    leaves_ns = ints[ORIGIN_NS] + x_ns + int(line_ns)
    ints[SAMPLES] += samples
    ints[BLOCK_SAMPLES] += samples
    if ints[BLOCK_SAMPLES] >= _BLOCK_SAMPLES:
        _close_block(ints, floats, points, scratch)
    return int(leaves_ns)


class CardLine:
    """The line of one card, and the state of its kernel."""

    def __init__(self) -> None:
        self._ints = np.zeros(CARD_INTS, np.int64)
        self._floats = np.zeros(CARD_FLOATS, np.float64)
        self._points = np.zeros((2, CARD_POINTS_MAX), np.float64)
        self._scratch = np.zeros(CARD_SCRATCH, np.float64)

    def presentation_ns(self, stamp_ns: int, samples: int) -> int:
        """Return when a period of `samples` leaves the converter, whose stamp is `stamp_ns`."""
        return int(
            card_presentation_ns(
                self._ints, self._floats, self._points, self._scratch, stamp_ns, samples
            )
        )

    @property
    def jumps(self) -> int:
        """Return how often the card left its line: it played without us, or was suspended."""
        return int(self._ints[CARD_JUMPS])

    @property
    def skew_ppm(self) -> float:
        """Return the card's crystal against the node's clock, positive is fast."""
        slope = float(self._floats[SLOPE])
        return -1e6 * slope / (1.0 + slope)
