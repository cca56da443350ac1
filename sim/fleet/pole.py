"""One node of tier T3: what comes to it, what it makes of that, and its books, chunk by chunk.

```
            carry            gather               listen                set_right, book
depart ────────────► arrive ────────► packets ──────────────► journal ──────────────────► tally
                              └─────► periods ─┘                 └─► hash
```
Its links, clocks, CPU and books are T2's, and what it is made of comes from the node's own
`Receiver`: so it begins as a node on a pole does, and is counted as that one is.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node.clock.timebase import skew_ppm
from node.counters import Count, new_counts
from node.jitter.buffer import COUNTED
from node.jitter.state import Jitter
from node.kernel.record import Records, as_bytes, inner, octets
from node.source.state import PERIOD_SAMPLES_MAX, Played, Playout, Source
from node.units import NS_PER_S
from sim.drive.tally import Tally
from sim.drive.trace import Trace
from sim.fleet import listening
from sim.fleet.around import BEFORE, PLAY, TICK, UNHEARD, Surroundings, set_right
from sim.fleet.desk import Desk, Ways
from sim.fleet.newcomer import Newcomer
from sim.fleet.on_stack import places_of
from sim.fleet.speech import Speech
from sim.fleet.state import Hearing, Listener
from sim.gateway.crystal import Minutes
from sim.gateway.power import Uptime, uptimes
from sim.links.channel import Channel
from sim.links.kernel import LOST_NS
from sim.station.programme import Sender, Sending
from sim.village.places import Place
from sim.village.scenario import Scenario

Seconds = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Whole seconds of media time, and when each was played, true time in ns: (n,) int64 both."""

_ROW_BYTES: Final = Played.dtype.itemsize

_COUNTED: Final = np.array([*COUNTED], np.int64)
_COUNTED_AT: Final = np.array([places_of(Jitter)[one] for one in COUNTED.values()])
"""Which of the numbers of a jitter buffer is which count."""


class FleetPole:
    """One node that only counts, and hears one station.

    Parameters
    ----------
    place : Place
        What it is made of.
    scenario : Scenario
        For the length of a packet, and the seed of the run.
    channel : Channel
        Its downlink.
    end_ns : int
        End of the run.
    sender : Sender
        The station.
    tally : Tally
        Its books.
    newcomer : Newcomer
        What nodes of its configuration begin as.
    sheet : (3, packets of the sound) int64
        Of `packet_sheet`: bits, bytes.
    hearing : Records[Hearing]
        Its records, whatever is in them.
    speech : Speech or None
        What it and the station say to each other beside the sound; None: nothing.
    """

    def __init__(
        self,
        place: Place,
        scenario: Scenario,
        channel: Channel,
        *,
        end_ns: int,
        sender: Sender,
        tally: Tally,
        newcomer: Newcomer,
        sheet: NDArray[np.int64],
        hearing: Records[Hearing],
        speech: Speech | None,
    ) -> None:
        self._place = place
        self._channel = channel
        self._tally = tally
        self._newcomer = newcomer
        self._sheet = sheet
        self._around = Surroundings(place, scenario)
        assert self._around.period_samples <= PERIOD_SAMPLES_MAX, "the profiles bound it"
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        self._uptimes = uptimes(place.power_cuts_ns, boot_ns=boot_ns, end_ns=end_ns)
        self._end_ns = end_ns
        self._up: Uptime | None = None
        self._behind = np.zeros((2, 0), np.int64)
        """(2, n) int64: of `arrivals`, what came after the last period so far."""
        self._ways = Ways()
        self._hearing = hearing
        self.speech = speech
        self._listener = inner(hearing, "listener", Listener)
        octets(self._listener)[:] = 0
        self._source = inner(self._hearing, "source", Source)
        self._counts = new_counts()
        self._later: NDArray[Any] = np.zeros(0, np.dtype((np.void, _ROW_BYTES)))
        self._right = 0
        self._trace = Trace()
        self.is_beyond = False
        """Whether its network does what only T2 can follow."""

    def counts(self) -> NDArray[np.int64]:
        """Return what it counted, over all its boots: (COUNTS,) int64."""
        total = self._counts.copy()
        told, again = (0, 0) if self.speech is None else self.speech.heard
        total[Count.DATAGRAMS_RECEIVED] += told + again
        total[Count.RTCP_RECEIVED] += told
        total[Count.PACKETS_RECEIVED] += again + self._listener["packets"][0]
        total[Count.PACKETS_DISCARDED_PROBATION] += self._listener["on_probation"][0]
        if self._hears:
            self._add_source(total)
        return total

    def source_skew_ppm(self) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it hears nobody."""
        if not self._hears:
            return None
        return round(skew_ppm(float(self._source["line"]["slope"][0, 0])), 3)

    def trace(self) -> bytes:
        """Return the hash of its journal."""
        return self._trace.digest()

    def run_chunk(
        self, sending: Sending, depart_ns: NDArray[np.int64], end_ns: int, desk: Desk
    ) -> list[Seconds]:
        """Run up to `end_ns`; return the media seconds that were played, in one part or several.

        Parameters
        ----------
        sending : Sending
            What the station sent since the last call; some of it may be sent after `end_ns`.
        depart_ns : (n,) int64
            When each of it reaches the downlink, LOST_NS where it does not.
        end_ns : int
            What the CPU could begin before this true time is run.
        desk : Desk
            Room.
        """
        arrive_ns = self._arrivals(sending.first, depart_ns)
        if self.speech is not None and arrive_ns.size:
            self.speech.forget(self._ways, self._sheet)
        self._ways.add(sending.send_ns, depart_ns, arrive_ns)
        around, tally = self._around, self._tally
        desk.make_room(around.waiting + arrive_ns.size, around.period_ns)
        begin, end = around.gather(sending.first, arrive_ns, end_ns, desk.arrivals, desk.periods)
        tally.packets_lost += int(around.record["lost"][0])
        tally.deadline_misses += int(around.record["missed"][0])
        if arrive_ns.size:
            tally.note_fastest(sending.send_ns, arrive_ns)
        spans = self._spans(desk.periods[TICK, begin:end], begin)
        self._mark_unheard(desk.periods[:, begin:end], spans, begin)
        if self.speech is not None:
            clock = inner(around.record, "clock", Minutes)
            self.speech.note_chunk(sending.send_ns, self._ways, clock)
        self._put_later(desk)
        seconds: list[Seconds] = []
        for up, first, last in spans:
            if self._up is not up:
                self._boot(up)
                if first == begin:
                    self._go_on(0, self._behind.shape[1], 0, 0, 0)
                    self._listen(self._behind, desk, seconds)
            before = int(desk.periods[BEFORE, first - 1]) if first > begin else 0
            come = int(around.record["come"][0])
            if last == end and not self._stays(up):
                come = int(desk.periods[BEFORE, end - 1])
            self._go_on(before, come, first, last, end)
            self._listen(desk.arrivals, desk, seconds)
        came = int(around.record["come"][0])
        self._behind = desk.arrivals[:, int(desk.periods[BEFORE, end - 1]) : came].copy()
        seconds.append(self._book(desk))
        around.keep(desk.periods, end)
        return seconds

    def finish(self, desk: Desk) -> Seconds:
        """End the run; return the media seconds that waited for a chunk that never came."""
        self._around.restore(desk.periods)
        self._put_later(desk)
        found = self._book(desk)
        self._tally.coverage.finish()
        return found

    @property
    def _hears(self) -> bool:
        return bool(self._listener["phase"][0] == listening.SOURCE)

    def _arrivals(self, first: int, depart_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        sequence = np.arange(first, first + depart_ns.size, dtype=np.int64)
        arrive_ns = self._channel.carry(depart_ns, sequence)
        for cut_ns, back_ns in self._place.link_cuts_ns:
            arrive_ns[(arrive_ns >= cut_ns) & (arrive_ns < back_ns)] = LOST_NS
        return arrive_ns

    def _spans(self, tick_ns: NDArray[np.int64], begin: int) -> list[tuple[Uptime, int, int]]:
        """Return when it was up: from which of the periods on, and to which, counts."""
        found = []
        for up in self._uptimes:
            first, last = np.searchsorted(tick_ns, (up.start_ns, up.end_ns)).tolist()
            if first < last:
                found.append((up, begin + first, begin + last))
        return found

    def _mark_unheard(
        self, periods: NDArray[np.int64], spans: list[tuple[Uptime, int, int]], begin: int
    ) -> None:
        """Mark the periods in which it was down, or its card.

        periods  (6, m) int64, ns, flags and counts: those of the chunk
        """
        if sum(last - first for _, first, last in spans) < periods.shape[1]:
            down = np.ones(periods.shape[1], np.bool_)
            for _, first, last in spans:
                down[first - begin : last - begin] = False
            periods[UNHEARD] |= down
        for cut_ns, back_ns in self._place.card_cuts_ns:
            periods[UNHEARD] |= (periods[PLAY] >= cut_ns) & (periods[PLAY] < back_ns)

    def _stays(self, up: Uptime) -> bool:
        """Return whether the first period after the chunk finds it up, or there is none."""
        next_play_ns = int(self._around.record["next_play_ns"][0])
        return up.end_ns == self._end_ns or next_play_ns - self._around.lead_ns < up.end_ns

    def _go_on(self, packet: int, come: int, period: int, until: int, periods: int) -> None:
        """Say from which of the packets and periods to which the listener goes on."""
        for name, value in (
            ("packet", packet), ("come", come),
            ("period", period), ("until", until), ("periods", periods),
        ):  # fmt: skip
            self._listener[name] = value

    def _boot(self, up: Uptime) -> None:
        if self._up is not None:
            self._counts = self.counts()
        rows = int(self._listener["rows"][0])
        question_bytes = 0
        if self.speech is not None:
            self.speech.begin()
            question_bytes = self.speech.question_bytes
        self._newcomer.begin(
            self._listener, self._around.period_samples, self._around.lead_ns, question_bytes
        )
        self._listener["rows"] = rows
        self._up = up

    def _listen(self, arrivals: NDArray[np.int64], desk: Desk, seconds: list[Seconds]) -> None:
        """Let the kernel go on to the end of a span; add the seconds that had to be booked.

        arrivals  (2, n) int64, ns and counts: of the desk, or of the chunk before
        """
        went = listening.FULL
        while went != listening.WHOLE and not self.is_beyond:
            began = int(self._listener["packet"][0])
            went = listening.listen(
                self._hearing, self._ways.values, self._sheet, desk.room, arrivals,
                desk.periods, desk.journal,
            )  # fmt: skip
            self._counts[Count.DATAGRAMS_RECEIVED] += int(self._listener["packet"][0]) - began
            if went == listening.ADMITS:
                self._newcomer.hear(self._source)
                self._listener["phase"], self._listener["fresh"] = listening.SOURCE, 1
            elif went == listening.FORGETS:
                self._add_source(self._counts)
            elif went == listening.FULL:
                seconds.append(self._book(desk))
            elif went == listening.UNDRAWN and self.speech is not None:
                self.speech.draw()
            self.is_beyond |= went == listening.BEYOND

    def _add_source(self, counts: NDArray[np.int64]) -> None:
        """Add what its source counted, as `Playable.add_counts` does.

        counts  (COUNTS,) int64, counts by `counters.Count`
        """
        numbers = as_bytes(inner(self._source, "jitter", Jitter)).view(np.int64)
        counts[_COUNTED] += numbers[_COUNTED_AT]
        counts[Count.HARD_RESYNCS] += inner(self._source, "playout", Playout)["hard_resyncs"][0]

    def _put_later(self, desk: Desk) -> None:
        """Put the rows that wait for a later chunk before those that are to come."""
        self._right = self._later.size
        desk.journal_rows[: self._right] = self._later
        self._listener["rows"] = self._right

    def _book(self, desk: Desk) -> Seconds:
        """Book the rows of the journal whose periods are known; the others wait."""
        count = int(self._listener["rows"][0])
        known = set_right(self._around.record, self._trace.mixed, desk.journal[:count], self._right)
        self._later = desk.journal_rows[known:count].copy()
        found = self._tally.book(
            desk.journal[:known],
            self._ways.values,
            desk.periods,
            desk.seconds,
            first_packet=self._ways.first,
        )
        self._put_later(desk)
        return found
