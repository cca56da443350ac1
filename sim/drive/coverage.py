"""What a node played, measured against what the station captured (docs/glossary.md).

The programme is covered from its first to its last sample: what no journal row covers was silence
that the listener heard. All sums are whole numbers, so that a figure is the same on every machine.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from node.kernel import inner_kernel, kernel
from node.kernel.record import zeros_apart
from node.units import RATE_HZ

DELAY_BIN_NS: Final = 100_000
DELAY_BINS: Final = 80_000
"""8 s in steps of 0.1 ms: longer than any playout delay and queue together."""

_MILLION: Final = 1_000_000
_MADE_UP: Final = int(Origin.CONCEALED)
_SILENT: Final = int(Origin.SILENT)

_NO_BINS: Final = np.zeros(0, np.int64)
_GIVEN_BACK: Final[dict[int, list[NDArray[np.int64]]]] = {}
"""Empty bins by how many there are; no more than were in use at once."""

# State, (STATES,) int64.
COVERED: Final = 0
"""Samples of the programme that have an origin by now."""
GAP: Final = 1
LONGEST: Final = 2
EVENTS: Final = 3
LIMIT: Final = 4
"""Samples of the programme to cover at most."""
BIN: Final = 5
"""The bin of the raster that is being covered, ..."""
BIN_END: Final = 6
"""... the sample before which it ends, ..."""
BIN_SAMPLES: Final = 7
"""... and how long each is."""
BY_ORIGIN: Final = 8
STATES: Final = BY_ORIGIN + ORIGINS


@inner_kernel("void(int64[::1], uint8[::1], int64, int64, int64)")
def _mark(
    state: NDArray[np.int64], raster: NDArray[np.uint8], begin: int, end: int, origin: int
) -> None:
    """Book [begin, end) of the programme under one origin; what is before it is booked."""
    state[BY_ORIGIN + origin] += end - begin
    if origin < _MADE_UP:
        state[GAP] = 0
    else:
        state[EVENTS] += state[GAP] == 0
        state[GAP] += end - begin
        state[LONGEST] = max(state[LONGEST], state[GAP])
    while state[BIN_END] <= begin:
        state[BIN] += 1
        state[BIN_END] += state[BIN_SAMPLES]
    raster[state[BIN]] = max(raster[state[BIN]], np.uint8(origin))
    while state[BIN_END] < end:
        state[BIN] += 1
        state[BIN_END] += state[BIN_SAMPLES]
        raster[state[BIN]] = max(raster[state[BIN]], np.uint8(origin))
    state[COVERED] = end


@kernel("void(int64[::1], uint8[::1], int64, int64, int64)")
def cover(
    state: NDArray[np.int64], raster: NDArray[np.uint8], start: int, samples: int, origin: int
) -> None:
    """Cover the programme with a played chunk; a hole before it was silence.

    state    (STATES,) int64, counts of samples, of events and of bins
    raster   (bins,) uint8, index of the worst `counters.Origin` in each bin
    start    media time of its first sample, counted from the programme's first
    samples  its length
    origin   index of its `counters.Origin`
    """
    begin = max(start, state[COVERED])
    end = min(start + samples, state[LIMIT])
    if begin >= end:
        return
    if begin > state[COVERED]:
        _mark(state, raster, state[COVERED], begin, _SILENT)
    _mark(state, raster, begin, end, origin)


@kernel("void(int64[::1], int64, int64[::1], int64[::1], int64[::1])")
def _count(
    bins: NDArray[np.int64],
    bin_ns: int,
    values_ns: NDArray[np.int64],
    weights: NDArray[np.int64],
    ends_ns: NDArray[np.int64],
) -> None:
    """Count values in bins of `bin_ns` from 0 on; what lies beyond is in the first or the last.

    bins       (bins,) int64, counts: added to
    values_ns  (n,) int64, at least one
    weights    (n,) int64, counts of each
    ends_ns    (2,) int64, the least and the largest of the values: filled
    """
    ends_ns[0] = ends_ns[1] = values_ns[0]
    for i in range(values_ns.shape[0]):
        at_ns = values_ns[i]
        ends_ns[0] = min(ends_ns[0], at_ns)
        ends_ns[1] = max(ends_ns[1], at_ns)
        bins[min(max(at_ns // bin_ns, 0), bins.shape[0] - 1)] += weights[i]


@kernel("void(int64[::1])")
def _clear(weights: NDArray[np.int64]) -> None:
    """Empty bins; what was never written to is not.

    weights  (n,) int64, counts of each: 0 from now on
    """
    for i in range(weights.shape[0]):
        if weights[i] != 0:
            weights[i] = 0


@kernel("int64(int64[::1], int64, int32[::1], int64[::1])")
def _pick(
    weights: NDArray[np.int64], first: int, bins: NDArray[np.int32], kept: NDArray[np.int64]
) -> int:
    """Pick the bins with something in them; return how many those are.

    weights  (n,) int64, counts of each
    first    index of the first
    bins     (n,) int32, indices: filled
    kept     (n,) int64, counts: filled
    """
    count = 0
    for i in range(weights.shape[0]):
        if weights[i] != 0:
            bins[count] = first + i
            kept[count] = weights[i]
            count += 1
    return count


@kernel("int64(int64[::1], int64[::1], int64[::1])")
def _reach(
    weights: NDArray[np.int64], millionths: NDArray[np.int64], places: NDArray[np.int64]
) -> int:
    """Find where the sum of counts reaches each share of all; return how many all are.

    At least one count, so that share 0 is the smallest value and not the first bin.

    weights     (n,) int64, counts
    millionths  (k,) int64, shares, ascending, at most all
    places      (k,) int64, indices: filled where there is any count
    """
    total = np.int64(0)
    for i in range(weights.shape[0]):
        total += weights[i]
    at, reached = -1, np.int64(0)
    for i in range(millionths.shape[0] if total > 0 else 0):
        # In two parts, for the product may have more than 64 bits.
        more = -(-millionths[i] * (total % _MILLION) // _MILLION)
        rank = max(1, millionths[i] * (total // _MILLION) + more)
        while reached < rank:
            at += 1
            reached += weights[at]
        places[i] = at
    return int(total)


@cache
def _millionths(shares: tuple[float, ...]) -> NDArray[np.int64]:
    """Return shares, ascending, in whole millionths: (k,) int64."""
    return np.array([round(share * _MILLION) for share in shares], np.int64)


class Coverage:
    """The programme as one node played it."""

    def __init__(self, programme_samples: int, *, bins: int, bin_samples: int) -> None:
        self.state = np.zeros(STATES, np.int64)
        """(STATES,) int64: counts of samples, of events and of bins, for kernels."""
        self.state[LIMIT] = programme_samples
        self.state[BIN_END] = self.state[BIN_SAMPLES] = bin_samples
        self.raster = np.zeros(bins, np.uint8)
        """(bins,) uint8: worst origin in each bin."""

    def finish(self) -> None:
        """Book what was never played, up to the programme's end, as silence."""
        covered, limit = self.state[COVERED], self.state[LIMIT]
        cover(self.state, self.raster, covered, limit - covered, _SILENT)

    def origins_ms(self) -> list[float]:
        """Return how much of the programme has each origin, in ms."""
        return [samples * 1000 / RATE_HZ for samples in self.state[BY_ORIGIN:].tolist()]

    @property
    def dropout_ms(self) -> float:
        """Programme that did not come from received audio, in ms."""
        made_up: list[int] = self.state[BY_ORIGIN + _MADE_UP :].tolist()
        return sum(made_up) * 1000 / RATE_HZ

    @property
    def longest_gap_ms(self) -> float:
        """Longest dropout without received audio in it."""
        return int(self.state[LONGEST]) * 1000 / RATE_HZ

    @property
    def events(self) -> int:
        """Dropouts, one after the other."""
        return int(self.state[EVENTS])


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A histogram that keeps the bins with something in them."""

    bin_ns: int
    bins: NDArray[np.int32]
    """(n,) int32: which bins, ascending."""

    weights: NDArray[np.int64]
    """(n,) int64: counts of each."""

    size: int
    """How many bins there are."""

    max_ns: int | None

    def quantiles_ms(self, shares: list[float]) -> "list[float] | list[None]":
        """Return the values below which these shares of the weight lie, in ms; None when empty."""
        found = quantiles_ms(self.weights, self.bin_ns, shares, max_ns=self.max_ns, bins=self.bins)
        return found or [None] * len(shares)


class Histogram:
    """Weighted counts in bins of equal width, from 0; what lies beyond is in the last bin."""

    def __init__(self, bin_ns: int, bins: int) -> None:
        self.bin_ns = bin_ns
        # Hardly any of them is ever touched: what was looked at before costs no new page.
        given_back = _GIVEN_BACK.setdefault(bins, [])
        try:
            self.weights = given_back.pop()
        except IndexError:
            self.weights = zeros_apart((bins,), np.int64)
        self.min_ns: int | None = None
        self.max_ns: int | None = None

    def add(self, values_ns: NDArray[np.int64], weights: NDArray[np.int64]) -> None:
        """Count `values_ns` (n,) int64 with `weights` (n,) int64."""
        if values_ns.size == 0:
            return
        ends_ns = np.empty(2, np.int64)
        _count(self.weights, self.bin_ns, values_ns, weights, ends_ns)
        self.note(*ends_ns.tolist())

    def note(self, min_ns: int, max_ns: int) -> None:
        """Note the least and the largest of values that are counted: between them it is not empty.

        Whoever counts in `weights` by himself says so.
        """
        self.min_ns = min_ns if self.min_ns is None else min(self.min_ns, min_ns)
        self.max_ns = max_ns if self.max_ns is None else max(self.max_ns, max_ns)

    def sparse(self) -> Sparse:
        """Return what is in it."""
        first, last = self._ends()
        weights = self.weights[first : last + 1]
        bins, kept = np.empty(weights.size, np.int32), np.empty(weights.size, np.int64)
        count = _pick(weights, first, bins, kept)
        bins, kept = bins[:count].copy(), kept[:count].copy()
        return Sparse(self.bin_ns, bins, kept, self.weights.size, self.max_ns)

    def give_back(self) -> None:
        """Let another one have the bins: nobody asks this one for anything any more."""
        first, last = self._ends()
        weights, self.weights = self.weights, _NO_BINS
        _clear(weights[first : last + 1])
        _GIVEN_BACK[weights.size].append(weights)

    def _ends(self) -> tuple[int, int]:
        """Return the first bin that may have something in it, and the last."""
        first, last = 0, self.weights.size - 1
        if self.max_ns is None:
            last = -1
        elif self.min_ns is not None:
            # Most bins were never touched: to look at them costs more than all that is done here.
            first = min(max(self.min_ns // self.bin_ns, 0), last)
            last = min(max(self.max_ns // self.bin_ns, 0), last)
        return first, last

    @property
    def max_ms(self) -> float | None:
        """Largest value, in ms, exact; None when empty."""
        return None if self.max_ns is None else self.max_ns / 1e6


def quantiles_ms(
    weights: NDArray[np.int64],
    bin_ns: int,
    shares: list[float],
    *,
    max_ns: int | None,
    bins: NDArray[np.int32] | None = None,
) -> list[float]:
    """Return the upper end of the bin in which each share of the weight is reached, in ms.

    weights  (n,) int64, counts
    shares   ascending
    bins     (n,) int32, index of the bin of each, ascending; None: of all, from the first on

    No more than the largest value `max_ns`, which lies somewhere in its bin. Empty when there is
    no weight.
    """
    places = np.empty(len(shares), np.int64)
    if _reach(weights, _millionths(tuple(shares)), places) == 0:
        return []
    found = places.tolist() if bins is None else bins[places].tolist()
    ends_ns = [(place + 1) * bin_ns for place in found]
    return [(end if max_ns is None else min(end, max_ns)) / 1e6 for end in ends_ns]
