"""The running sums of one node: delays by stage, coverage, what was late, where it was apart."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.audio.resampler import LOOKAHEAD_SAMPLES
from node.counters import Origin
from node.kernel.record import Records, new, together
from node.source.state import Played
from node.units import RATE_HZ, samples_to_ns
from sim.drive.coverage import DELAY_BIN_NS, DELAY_BINS, Coverage, Histogram
from sim.drive.site import Chunk
from sim.links.kernel import LOST_NS
from sim.result.run import STAGES
from sim.station.programme import Sender

_SKEW_BIN_NS: Final = 20_000
_SKEW_BINS: Final = 25_000
_MADE_UP: Final = int(Origin.CONCEALED)
_RESAMPLER_NS: Final = samples_to_ns(LOOKAHEAD_SAMPLES)


class Recent:
    """The last two chunks of a series that is numbered through."""

    def __init__(self) -> None:
        self._first = 0
        self._values = np.zeros(0, np.int64)
        self._newest = 0

    def add(self, first: int, values: NDArray[np.int64]) -> None:
        """Add the values numbered from `first` on; forget the chunk before the last.

        values  (n,) int64, ns, or flags that are 0 or 1
        """
        if values.size == 0:
            return
        self._values = np.concatenate([self._values[self._newest :], values])
        self._newest = self._values.size - values.size
        self._first = first - self._newest

    def at(self, number: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the values with these numbers, LOST_NS for those out of reach.

        number  (n,) int64, counts from the first of the series

        The result is (n,) int64 in the unit of the series.
        """
        index = number - self._first
        known = (index >= 0) & (index < self._values.size)
        found = self._values[np.where(known, index, 0)] if self._values.size else index
        return np.where(known, found, LOST_NS)

    def last_before(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the newest value that is at or before each of `values`.

        values  (n,) int64, in the unit of the series

        The result is (n,) int64, counts from the first of the series.
        """
        return self._first + np.searchsorted(self._values, values, side="right") - 1


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
    """

    def __init__(
        self,
        sender: Sender,
        *,
        programme_samples: int,
        bins: int,
        bin_samples: int,
        own_delay_ns: int,
    ) -> None:
        self._sender = sender
        self._own_delay_ns = own_delay_ns
        self.coverage = Coverage(programme_samples, bins=bins, bin_samples=bin_samples)
        self.delay = Histogram(DELAY_BIN_NS, DELAY_BINS)
        self.skew = Histogram(_SKEW_BIN_NS, _SKEW_BINS)
        self.packets_lost = 0
        self.deadline_misses = 0
        self.first_sound_ns: int | None = None
        self._arrive = Recent()
        self._tick = Recent()
        self._finish = Recent()
        self._play = Recent()
        self._silent = Recent()
        self._later = new(Played, 0)
        self._samples = 0
        self._stage_sums = dict.fromkeys(STAGES, 0)
        self._waited_sum = 0
        self._fastest_ns: int | None = None

    def add(
        self, chunk: Chunk, send: Recent, depart: Recent
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Add a chunk; return the media seconds in it, and when each was played.

        Both are (n,) int64: whole seconds of media time, and true time in ns.
        """
        plan = chunk.plan
        self._arrive.add(plan.first_packet, plan.arrive_ns)
        for series, values in (
            (self._tick, plan.tick_ns),
            (self._finish, plan.finish_ns),
            (self._play, plan.play_ns),
            (self._silent, chunk.silent.astype(np.int64)),
        ):
            series.add(plan.first_period, values)
        self.packets_lost += int(np.count_nonzero(plan.arrive_ns == LOST_NS))
        self.deadline_misses += int(np.count_nonzero(plan.silent))
        first, end = plan.first_packet, plan.first_packet + plan.arrive_ns.size
        sent = send.at(np.arange(first, end))
        came = plan.arrive_ns != LOST_NS
        if came.any():
            fastest_ns = int((plan.arrive_ns - sent)[came].min())
            self._fastest_ns = min(fastest_ns, self._fastest_ns or fastest_ns)
        journal = together([self._later, chunk.journal], Played)
        # The resampler ends a row within a period, and the next one may begin with the period after
        # it: when that was asked for is in the next chunk.
        later = journal["presentation_ns"] >= plan.next_play_ns
        known = int(later.argmax()) if later.any() else len(journal)
        self._later = journal[known:].copy()
        return self._book(journal[:known], send, depart)

    def finish(self, send: Recent, depart: Recent) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """End the run; return the media seconds that waited for a chunk that never came.

        And when each was played. Both are (n,) int64: whole seconds of media time, true time in ns.
        """
        played = self._book(self._later, send, depart)
        self.coverage.finish()
        return played

    def stage_means_ms(self) -> dict[str, float | None]:
        """Return the mean of each stage over the received audio; None when there was none."""
        if self._samples == 0:
            return dict.fromkeys(STAGES, None)
        return {name: total / self._samples / 1e6 for name, total in self._stage_sums.items()}

    @property
    def playout_delay_mean_ms(self) -> float | None:
        """Return what the jitter buffer added for the fastest packet, on average."""
        if self._samples == 0 or self._fastest_ns is None:
            return None
        return (self._waited_sum / self._samples - self._fastest_ns) / 1e6

    def _book(
        self, journal: Records[Played], send: Recent, depart: Recent
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        media = (journal["media"] - self._sender.timestamp + (1 << 31)) & 0xFFFF_FFFF
        start = media - (1 << 31)
        samples = journal["samples"].copy()
        origin = journal["origin"].copy()
        play_ns = journal["presentation_ns"].copy()
        period = self._play.last_before(play_ns)
        unheard = self._silent.at(period) == 1
        origin[unheard & (origin < _MADE_UP)] = Origin.SILENT
        self.coverage.add(np.stack([start, samples, origin], axis=1))
        heard = (origin < _MADE_UP) & (start >= 0)
        if not heard.any():
            return start[:0], start[:0]
        start, samples, play_ns = start[heard], samples[heard], play_ns[heard]
        if self.first_sound_ns is None:
            self.first_sound_ns = int(play_ns[0])
        self._add_delays(start, samples, play_ns, journal[heard], send=send, depart=depart)
        return _whole_seconds(start, samples, play_ns - self._own_delay_ns)

    def _add_delays(
        self,
        start: NDArray[np.int64],
        samples: NDArray[np.int64],
        play_ns: NDArray[np.int64],
        journal: Records[Played],
        *,
        send: Recent,
        depart: Recent,
    ) -> None:
        """Split the way of each chunk's packet, from the capture of its first sample on."""
        sender = self._sender
        packet = start // sender.packet_samples
        within_ns = samples_to_ns(start - packet * sender.packet_samples)
        captured_ns = packet * sender.packet_ns - sender.look_ahead_ns
        begins_ns = play_ns - within_ns
        period = self._play.last_before(begins_ns)
        sent_ns, departed_ns = send.at(packet), depart.at(packet)
        tick_ns, finish_ns = self._tick.at(period), self._finish.at(period)
        stored_ns = journal["arrival_ns"].copy()
        own = journal["origin"] == Origin.RECEIVED
        # Repaired audio came with another packet: its own never arrived.
        arrived_ns = np.where(own, self._arrive.at(packet), stored_ns)
        departed_ns = np.where(departed_ns == LOST_NS, sent_ns, departed_ns)
        parts = (
            sent_ns - captured_ns,
            departed_ns - sent_ns,
            arrived_ns - departed_ns,
            tick_ns - stored_ns - _RESAMPLER_NS,
            finish_ns - tick_ns + stored_ns - arrived_ns,
            np.full(start.size, _RESAMPLER_NS),
            begins_ns - finish_ns,
        )
        for name, part in zip(STAGES, parts, strict=True):
            self._stage_sums[name] += int((part * samples).sum())
        played_ns = self._play.at(period)
        self._waited_sum += int(((tick_ns + begins_ns - played_ns - sent_ns) * samples).sum())
        self._samples += int(samples.sum())
        self.delay.add(begins_ns - captured_ns, samples)


def _whole_seconds(
    start: NDArray[np.int64], samples: NDArray[np.int64], play_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the media seconds that begin within the chunks, and when each was played."""
    second = -(-start // RATE_HZ)
    ahead = second * RATE_HZ - start
    inside = ahead < samples
    return second[inside], (play_ns + samples_to_ns(ahead))[inside]


class Alignment:
    """When each node played the start of each media second, and how far that was apart."""

    _NEVER: Final = -(1 << 62)
    _WAIT_S: Final = 20
    """By then every node has played a second, or never will."""

    def __init__(self, nodes: int) -> None:
        self._nodes = nodes
        self._first_s = 0
        self._played_ns = np.zeros((0, nodes), np.int64)

    def add(self, node: int, second: NDArray[np.int64], play_ns: NDArray[np.int64]) -> None:
        """Note when `node` played some media seconds.

        second   (n,) int64, whole seconds of media time
        play_ns  (n,) int64, true time in ns
        """
        known = second >= self._first_s
        if not known.any():
            return
        row = second[known] - self._first_s
        missing = int(row.max()) + 1 - len(self._played_ns)
        if missing > 0:
            more = np.full((missing, self._nodes), self._NEVER, np.int64)
            self._played_ns = np.concatenate([self._played_ns, more])
        self._played_ns[row, node] = play_ns[known]

    def settle(self, before_s: int, tallies: list[Tally]) -> None:
        """Count the distance to the group's median for the seconds that are complete."""
        done = min(max(0, before_s - self._WAIT_S - self._first_s), len(self._played_ns))
        played_ns, self._played_ns = self._played_ns[:done], self._played_ns[done:]
        self._first_s += done
        came = played_ns != self._NEVER
        counts = np.count_nonzero(came, axis=1)
        together = counts >= 2
        played_ns, came, counts = played_ns[together], came[together], counts[together]
        ordered = np.sort(played_ns, axis=1)  # those that never came are first
        rows, before = np.arange(counts.size), self._nodes - counts
        # Of two in the middle the mean, cut to a whole ns.
        low, high = ordered[rows, before + (counts - 1) // 2], ordered[rows, before + counts // 2]
        middle_ns = np.trunc((low + high) / 2).astype(np.int64)
        apart_ns = np.abs(played_ns - middle_ns[:, np.newaxis])
        for node, tally in enumerate(tallies):
            own = apart_ns[came[:, node], node]
            tally.skew.add(own, np.ones(own.size, np.int64))
