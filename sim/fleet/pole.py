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
from node.kernel.record import inner
from node.source.state import PERIOD_SAMPLES_MAX, Played
from node.units import NS_PER_S
from sim.drive.tally import Tally
from sim.drive.trace import Trace
from sim.fleet import listening
from sim.fleet.around import BEFORE, PLAY, TICK, UNHEARD, set_right
from sim.fleet.desk import Desk, Seat
from sim.fleet.newcomer import Newcomer
from sim.fleet.on_stack import places_of
from sim.fleet.speech import Speech
from sim.fleet.state import Listener
from sim.fleet.surroundings import Surroundings
from sim.gateway.crystal import Crystal, Minutes
from sim.gateway.power import Uptime, uptimes
from sim.links.channel import Channel
from sim.links.kernel import LOST_NS
from sim.station.programme import Sender, Sending
from sim.village.places import Place
from sim.village.scenario import Scenario

Seconds = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Whole seconds of media time, and when each was played, true time in ns: (n,) int64 both."""

_ROW_BYTES: Final = Played.dtype.itemsize

_NO_ROWS: Final[NDArray[Any]] = np.zeros(0, np.dtype((np.void, _ROW_BYTES)))

_AT: Final = places_of(Listener)
_PHASE, _FRESH, _ROWS, _PACKET, _PACKETS, _ON_PROBATION = (
    _AT[one] for one in ("phase", "fresh", "rows", "packet", "packets", "on_probation")
)
_PROGRESS: Final = np.array([_AT[one] for one in ("packet", "come", "period", "until", "periods")])
"""Which of the numbers of a listener those are."""

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
    seat : Seat
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
        seat: Seat,
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
        self._ways = seat.ways
        self._ways.forget()
        self._seat = seat
        self._numbers = seat.listener_numbers
        self._numbers[:] = 0
        self.speech = speech
        self._counts = new_counts()
        self._total: NDArray[np.int64] | None = None
        """What it counted, once it is at its end."""
        self._later = _NO_ROWS
        self._right = 0
        self._trace = Trace()
        self.is_beyond = False
        """Whether its network does what only T2 can follow."""

    def counts(self) -> NDArray[np.int64]:
        """Return what it counted, over all its boots: (COUNTS,) int64, only to look at."""
        if self._total is not None:
            return self._total
        total = self._counts.copy()
        told, again = (0, 0) if self.speech is None else self.speech.heard
        total[Count.DATAGRAMS_RECEIVED] += told + again
        total[Count.RTCP_RECEIVED] += told
        total[Count.PACKETS_RECEIVED] += again + self._numbers[_PACKETS]
        total[Count.PACKETS_DISCARDED_PROBATION] += self._numbers[_ON_PROBATION]
        if self._hears:
            self._add_source(total)
        return total

    def source_skew_ppm(self) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it hears nobody."""
        if not self._hears:
            return None
        return round(skew_ppm(float(self._seat.slope[0])), 3)

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
        self._remember(sending.send_ns, depart_ns, arrive_ns)
        around, tally = self._around, self._tally
        desk.make_room(around.waiting + arrive_ns.size, around.period_ns)
        begin, end = around.gather(sending.first, arrive_ns, end_ns, desk.arrivals, desk.periods)
        tally.packets_lost += around.lost
        tally.deadline_misses += around.missed
        spans = self._spans(desk.periods[TICK, begin:end], begin)
        self._mark_unheard(desk.periods[:, begin:end], spans, begin)
        if self.speech is not None:
            clock = inner(inner(around.record, "clock", Crystal), "minutes", Minutes)
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
            come = around.come
            if last == end and not self._stays(up):
                come = int(desk.periods[BEFORE, end - 1])
            self._go_on(before, come, first, last, end)
            self._listen(desk.arrivals, desk, seconds)
        if end_ns < self._end_ns:
            came = around.come
            self._behind = desk.arrivals[:, int(desk.periods[BEFORE, end - 1]) : came].copy()
            seconds.append(self._book(desk))
            around.keep(desk.periods, end)
        else:
            around.end()
            seconds.append(self._book(desk))
            tally.coverage.finish()
            self._total = self.counts()
        return seconds

    @property
    def _hears(self) -> bool:
        return bool(self._numbers[_PHASE] == listening.SOURCE)

    def _arrivals(self, first: int, depart_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        sequence = np.arange(first, first + depart_ns.size, dtype=np.int64)
        arrive_ns = self._channel.carry(depart_ns, sequence)
        for cut_ns, back_ns in self._place.link_cuts_ns:
            arrive_ns[(arrive_ns >= cut_ns) & (arrive_ns < back_ns)] = LOST_NS
        return arrive_ns

    def _remember(
        self, send_ns: NDArray[np.int64], depart_ns: NDArray[np.int64], arrive_ns: NDArray[np.int64]
    ) -> None:
        """Note when packets are sent, depart and arrive: (n,) int64 all, ns, LOST_NS."""
        if self.speech is not None and arrive_ns.size:
            self.speech.forget(self._ways, self._sheet)
        self._ways.add(send_ns, depart_ns, arrive_ns)
        if arrive_ns.size:
            self._tally.note_fastest(send_ns, arrive_ns)

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
        next_ns = self._around.next_play_ns - self._around.lead_ns
        return up.end_ns == self._end_ns or next_ns < up.end_ns

    def _go_on(self, packet: int, come: int, period: int, until: int, periods: int) -> None:
        """Say from which of the packets and periods to which the listener goes on."""
        self._numbers[_PROGRESS] = packet, come, period, until, periods

    def _boot(self, up: Uptime) -> None:
        if self._up is not None:
            self._counts = self.counts()
        rows = self._numbers[_ROWS]
        question_bytes = 0
        if self.speech is not None:
            self.speech.begin()
            question_bytes = self.speech.question_bytes
        self._newcomer.begin(
            self._seat, self._around.period_samples, self._around.lead_ns, question_bytes
        )
        self._numbers[_ROWS] = rows
        self._up = up

    def _listen(self, arrivals: NDArray[np.int64], desk: Desk, seconds: list[Seconds]) -> None:
        """Let the kernel go on to the end of a span; add the seconds that had to be booked.

        arrivals  (2, n) int64, ns and counts: of the desk, or of the chunk before
        """
        went = listening.FULL
        while went != listening.WHOLE and not self.is_beyond:
            began = int(self._numbers[_PACKET])
            went = listening.listen(
                self._seat.hearing, self._ways.values, self._sheet, desk.room, arrivals,
                desk.periods, desk.journal,
            )  # fmt: skip
            self._counts[Count.DATAGRAMS_RECEIVED] += int(self._numbers[_PACKET]) - began
            if went == listening.ADMITS:
                self._newcomer.hear(self._seat)
                self._numbers[_PHASE], self._numbers[_FRESH] = listening.SOURCE, 1
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
        counts[_COUNTED] += self._seat.jitter_numbers[_COUNTED_AT]
        counts[Count.HARD_RESYNCS] += self._seat.hard_resyncs[0]

    def _put_later(self, desk: Desk) -> None:
        """Put the rows that wait for a later chunk before those that are to come."""
        self._right = self._later.size
        if self._right:
            desk.journal_rows[: self._right] = self._later
        self._numbers[_ROWS] = self._right

    def _book(self, desk: Desk) -> Seconds:
        """Book the rows of the journal whose periods are known; the others wait."""
        count = int(self._numbers[_ROWS])
        known = set_right(self._around.record, self._trace.mixed, desk.journal[:count], self._right)
        self._later = desk.journal_rows[known:count].copy() if known < count else _NO_ROWS
        found = self._tally.book(
            desk.journal[:known],
            self._ways.values,
            desk.periods,
            desk.seconds,
            first_packet=self._ways.first,
        )
        self._put_later(desk)
        return found
