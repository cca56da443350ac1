"""The running sums of one node: delays by stage, coverage, what was late, where it was apart."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, new, octets, together
from node.source.state import Played
from sim.drive.coverage import DELAY_BIN_NS, DELAY_BINS, Coverage, Histogram
from sim.drive.site import Chunk
from sim.drive.sums import NEVER, PERIOD_ROWS, Sums, fastest, sum_up
from sim.links.kernel import LOST_NS
from sim.links.known import cached_by_self
from sim.result.run import STAGES
from sim.station.programme import Sender

_SKEW_BIN_NS: Final = 20_000
_SKEW_BINS: Final = 25_000

_AT: Final = {name: int(one[1]) // 8 for name, one in (Sums.dtype.fields or {}).items()}
"""Which number of sums each field begins with."""

_ADDED: Final = np.array(
    [*range(_AT["stages"], _AT["stages"] + len(STAGES))]
    + [_AT[name] for name in ("waited", "samples", "delay_min_ns", "delay_max_ns")]
)
"""Which of the numbers of sums are of one call, and the ends of all delays."""

_NO_ROWS: Final = new(Played, 0)

_PERIODS: Final = 128
"""Periods that are remembered beside a chunk: a row plays in it, of a packet that may have begun up
to 120 ms before. Two minutes of 10 ms periods were half of what a node of tier T2 held."""


class Recent:
    """The last of series that are numbered through: one, or several in step.

    rows : int
        How many series.
    kept : int
        How many of them `forget` leaves.
    """

    def __init__(self, rows: int = 1, *, kept: int) -> None:
        self.first = 0
        """The number of the first that is remembered."""
        self.values = _nothing(rows)
        """(rows, n) int64: ns, or flags that are 0 or 1."""
        self._kept = kept
        self._newest = 0

    def add(self, first: int, *series: NDArray[np.int64] | NDArray[np.bool_]) -> None:
        """Add a chunk of values, numbered from `first` on.

        series  (n,) int64 or bool for each row: ns, or flags that are 0 or 1
        """
        size = series[0].size
        if size == 0:
            return
        kept = self.values
        self._newest = kept.shape[1]
        self.values = np.empty((len(series), self._newest + size), np.int64)
        self.values[:, : self._newest] = kept
        for row, values in zip(self.values, series, strict=True):
            row[self._newest :] = values
        self.first = first - self._newest

    def copy(self) -> "Recent":
        """Return another one that remembers the same; what is remembered is never written to."""
        other = Recent(len(self.values), kept=self._kept)
        other.first, other.values, other._newest = self.first, self.values, self._newest
        return other

    def forget(self) -> None:
        """Remember the last few only: this is what a node costs while others take their turns."""
        more = self.values.shape[1] - self._kept
        if more > 0:
            self.values = self.values[:, more:].copy()
            self.first += more
            self._newest = max(0, self._newest - more)

    @property
    def newest(self) -> NDArray[np.int64]:
        """Return what was added last and is remembered: (rows, n) int64, ns, or flags 0 or 1."""
        return self.values[:, self._newest :]


@cache
def _nothing(rows: int) -> NDArray[np.int64]:
    """Return series of which nothing is remembered: (rows, 0) int64."""
    return np.zeros((rows, 0), np.int64)


class Departures:
    """When packets reached the last link of each node; where that is alike it is kept once.

    Parameters
    ----------
    nodes : sequence of str
        Their names.
    kept : int
        How many packets `forget` leaves.
    """

    def __init__(self, nodes: Sequence[str], *, kept: int) -> None:
        self._of = dict.fromkeys(nodes, Recent(kept=kept))

    def add(self, first: int, depart_ns: Mapping[str, NDArray[np.int64]]) -> None:
        """Add a chunk of packets, numbered from `first` on.

        depart_ns  (n,) int64 by node, ns, LOST_NS: one array for all of which it is the same
        """
        parts: dict[Recent, dict[int, Recent]] = {}
        for node, before in self._of.items():
            new_ns = depart_ns[node]
            part = parts.setdefault(before, {})
            if id(new_ns) not in part:
                part[id(new_ns)] = before.copy()
                part[id(new_ns)].add(first, new_ns)
            self._of[node] = part[id(new_ns)]

    def of(self, node: str) -> Recent:
        """Return those of one node."""
        return self._of[node]

    def forget(self) -> None:
        """Remember the last few only."""
        for one in set(self._of.values()):
            one.forget()


@cached_by_self
def _sums_of(sender: Sender) -> NDArray[np.int64]:
    """Return empty sums of what a station sends: (n,) int64, to be copied."""
    sums = new(Sums)
    for name, value in (
        ("timestamp", sender.timestamp),
        ("packet_samples", sender.packet_samples),
        ("packet_ns", sender.packet_ns),
        ("look_ahead_ns", sender.look_ahead_ns),
        ("delay_min_ns", -NEVER),
        ("delay_max_ns", NEVER),
        ("first_sound_ns", NEVER),
    ):
        sums[name] = value
    return octets(sums).view(np.int64)


class Tally:
    """What one node did so far.

    Parameters
    ----------
    sender : Sender
        Of the run.
    programme_samples : int
        Length of the programme.
    bins, bin_samples : int
        Raster of its dropouts.
    own_delay_ns : int
        What this cluster plays later on purpose.
    kept : int
        Packets that are remembered beside a chunk; `send` and `depart` remember as many.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        programme_samples: int,
        bins: int,
        bin_samples: int,
        own_delay_ns: int,
        kept: int,
    ) -> None:
        self.coverage = Coverage(programme_samples, bins=bins, bin_samples=bin_samples)
        self.delay = Histogram(DELAY_BIN_NS, DELAY_BINS)
        self.skew = Histogram(_SKEW_BIN_NS, _SKEW_BINS)
        self.packets_lost = 0
        self.deadline_misses = 0
        self._arrive = Recent(kept=kept)
        self._periods = Recent(PERIOD_ROWS, kept=_PERIODS)
        self._later = _NO_ROWS
        self._samples = 0
        self._stage_sums = [0] * len(STAGES)
        self._waited_sum = 0
        self._fastest_ns = -NEVER
        self._numbers = _sums_of(sender).copy()
        self._numbers[_AT["own_delay_ns"]] = own_delay_ns
        self._sums = cast("Records[Sums]", self._numbers.view(Sums.dtype))

    def add(
        self, chunk: Chunk, send: Recent, depart: Recent
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Add a chunk; return the media seconds in it, and when each was played.

        Both are (n,) int64: whole seconds of media time, and true time in ns. `send` and `depart`
        end with what was sent in this chunk, and forget as much after it as this does.
        """
        plan = chunk.plan
        self._arrive.add(plan.first_packet, plan.arrive_ns)
        self._periods.add(
            plan.first_period, plan.tick_ns, plan.finish_ns, plan.play_ns, chunk.silent
        )
        self.packets_lost += int(np.count_nonzero(plan.arrive_ns == LOST_NS))
        self.deadline_misses += int(np.count_nonzero(plan.silent))
        if plan.arrive_ns.size:
            self.note_fastest(send.newest[0], plan.arrive_ns)
        journal = together([self._later, chunk.journal], Played)
        # The resampler ends a row within a period, and the next one may begin with the period after
        # it: when that was asked for is in the next chunk.
        later = journal["presentation_ns"] >= plan.next_play_ns
        known = int(later.argmax()) if later.any() else len(journal)
        self._later = journal[known:].copy()
        played = self._book(journal[:known], send, depart)
        self._arrive.forget()
        self._periods.forget()
        return played

    def finish(self, send: Recent, depart: Recent) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """End the run; return the media seconds that waited for a chunk that never came.

        And when each was played. Both are (n,) int64: whole seconds of media time, true time in ns.
        """
        played = self._book(self._later, send, depart)
        self.coverage.finish()
        return played

    @property
    def first_sound_ns(self) -> int | None:
        """True time at which the first received sound was heard; None without any."""
        first_ns = int(self._numbers[_AT["first_sound_ns"]])
        return None if first_ns == NEVER else first_ns

    def give_back(self) -> None:
        """Let others have the room of the histograms: nobody asks for these any more."""
        self.delay.give_back()
        self.skew.give_back()

    def stage_means_ms(self) -> dict[str, float | None]:
        """Return the mean of each stage over the received audio; None when there was none."""
        if self._samples == 0:
            return dict.fromkeys(STAGES, None)
        means_ms = [total / self._samples / 1e6 for total in self._stage_sums]
        return dict(zip(STAGES, means_ms, strict=True))

    @property
    def playout_delay_mean_ms(self) -> float | None:
        """Return what the jitter buffer added for the fastest packet, on average."""
        if self._samples == 0 or self._fastest_ns == -NEVER:
            return None
        return (self._waited_sum / self._samples - self._fastest_ns) / 1e6

    def note_fastest(self, send_ns: NDArray[np.int64], arrive_ns: NDArray[np.int64]) -> None:
        """Note what the fastest packet took, of these and before.

        send_ns, arrive_ns  (n,) int64, ns; LOST_NS for what never came
        """
        self._fastest_ns = fastest(send_ns, arrive_ns, self._fastest_ns)

    def book(
        self,
        journal: Records[Played],
        packets: NDArray[np.int64],
        periods: NDArray[np.int64],
        seconds: NDArray[np.int64],
        *,
        first_packet: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Book rows of a journal; return the media seconds in it, and when each was played.

        Parameters
        ----------
        journal : (n,) Played
            Its instants in true time.
        packets : (3, k) int64
            When each was sent, departed and arrived; ns, LOST_NS.
        periods : (PERIOD_ROWS or more, m) int64
            See `sim.drive.sums`; ns and flags.
        seconds : (2, n or more) int64
            Room: whole seconds of media time, and true time in ns.
        first_packet : int
            The number of the first of `packets`.

        Returns
        -------
        (s,) int64 and (s,) int64
            Whole seconds of media time, and true time in ns.
        """
        numbers, coverage = self._numbers, self.coverage
        numbers[_AT["first_packet"]] = first_packet
        count = sum_up(
            self._sums, coverage.state, coverage.raster, self.delay.weights, packets, periods,
            journal, seconds,
        )  # fmt: skip
        # Sums of a chunk fit 64 bits, those of a day may not.
        *stages, waited, samples, least_ns, most_ns = numbers[_ADDED].tolist()
        self._stage_sums = [
            one + added for one, added in zip(self._stage_sums, stages, strict=True)
        ]
        self._waited_sum += waited
        self._samples += samples
        if self._samples:
            self.delay.note(least_ns, most_ns)
        return seconds[0, :count].copy(), seconds[1, :count].copy()

    def _book(
        self, journal: Records[Played], send: Recent, depart: Recent
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        packets = np.concatenate([send.values, depart.values, self._arrive.values])
        seconds = np.empty((2, len(journal)), np.int64)
        first = self._arrive.first
        return self.book(journal, packets, self._periods.values, seconds, first_packet=first)
