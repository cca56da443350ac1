"""The rounds of tier T3: those of T2, over nodes that are kernels.

Networks, clocks, CPUs and books are the same code on the same streams of chance, so that what T2
and T3 say of a node differs in nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records
from node.units import NS_PER_S
from sim.drive.alignment import Alignment
from sim.drive.outgoing import Outgoing
from sim.drive.rounds import bin_s, tally_of
from sim.fleet.desk import CHUNK_NS, LONGEST_NS, Desk
from sim.fleet.newcomer import Newcomer
from sim.fleet.pole import FleetPole
from sim.fleet.sheet import packet_sheet
from sim.fleet.speech import Speech
from sim.fleet.state import Hearing
from sim.station.programme import UDP_BYTES, Programme, Sending
from sim.village.places import Place, Village, node_config
from sim.village.scenario import Scenario

_RTP_BYTES = 12
_NEVER_S = 1 << 62


class FleetRounds:
    """A run under way; see `sim.drive.rounds.Rounds`.

    Parameters
    ----------
    scenario : Scenario
        With the seed and the duration of this run.
    village : Village
        Of that scenario.
    programme : Programme
        What the station plays.
    places : sequence of Place, optional
        Only these.
    sheet : (3, packets of the sound) int64, optional
        Of `packet_sheet`, where it has been made: bits, bytes.
    desk : Desk, optional
        Room, where there is some.
    newcomers : dict, optional
        What nodes begin as, by their own delay in ms, where some of the same run have.
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        programme: Programme,
        *,
        places: Sequence[Place] | None = None,
        sheet: NDArray[np.int64] | None = None,
        desk: Desk | None = None,
        newcomers: dict[int, Newcomer] | None = None,
    ) -> None:
        self.scenario = scenario
        self.places = tuple(village.places if places is None else places)
        self._sheet = packet_sheet(programme) if sheet is None else sheet
        self._desk = Desk() if desk is None else desk
        self._outgoing = _Counted(scenario, village, programme, self.places, sheet=self._sheet)
        self.sender, self.capacity = self._outgoing.sender, self._outgoing.capacity
        self.bin_s = bin_s(scenario)
        self.tallies = [tally_of(self.sender, place, self.bin_s) for place in self.places]
        self.alignment = Alignment(len(self.places))
        self._newcomers = {} if newcomers is None else newcomers
        self._poles = [self._pole(number) for number in range(len(self.places))]

    def advance(self) -> Iterator[int]:
        """Run to the end; yield the true time in ns that all nodes together have reached."""
        start_ns, end_ns = 0, self._outgoing.end_ns
        while start_ns < end_ns:
            stop_ns = start_ns + CHUNK_NS if end_ns - start_ns > LONGEST_NS else end_ns
            self._round(stop_ns)
            yield stop_ns
            settled_s = stop_ns // NS_PER_S if stop_ns < end_ns else _NEVER_S
            self.alignment.settle(settled_s, self.tallies)
            start_ns = stop_ns

    @property
    def is_beyond(self) -> bool:
        """Whether some node's network does what only T2 can follow."""
        return any(one.is_beyond for one in self._poles)

    def counts(self, number: int) -> NDArray[np.int64]:
        """Return what one place counted, over all its boots: (COUNTS,) int64."""
        return self._poles[number].counts()

    def skew_ppm(self, number: int) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it never heard it."""
        return self._poles[number].source_skew_ppm()

    def link_bytes(self, number: int) -> tuple[int, int]:
        """Return the bytes of the stream to one place, and of what repaired it, with headers."""
        speech = self._poles[number].speech
        return self._outgoing.stream_bytes, 0 if speech is None else speech.repair_bytes

    def audio_sha256(self, number: int) -> str:
        """Return nothing: there is no sound."""
        return ""

    def trace_hash(self) -> str:
        """Return the hash over all journals and counts, by place."""
        every = b"".join(self.trace(number) for number in range(len(self.places)))
        return hashlib.sha256(every).hexdigest()

    def trace(self, number: int) -> bytes:
        """Return what the hash of the trace is taken over, of one place."""
        told = self.places[number].node.encode() + b"\0" + self._poles[number].trace()
        return told + self.counts(number).astype("<i8").tobytes()

    def _round(self, stop_ns: int) -> None:
        sent = self._outgoing.send_until(stop_ns)
        for number, pole in enumerate(self._poles):
            depart_ns = sent.depart_ns[self.places[number].node]
            for seconds in pole.run_chunk(sent.sending, depart_ns, stop_ns, self._desk):
                self.alignment.add(number, *seconds)

    def _pole(self, number: int) -> FleetPole:
        place = self.places[number]
        # But for this and their names, and what has to do with sound alone, they are alike.
        if place.delay_ms not in self._newcomers:
            self._newcomers[place.delay_ms] = Newcomer(
                node_config(place, self.scenario),
                self.sender,
                speaks=self.scenario.sender.reports,
                again=self.scenario.sender.sends_again,
            )
        return FleetPole(
            place,
            self.scenario,
            self._outgoing.channel(place),
            end_ns=self._outgoing.end_ns,
            sender=self.sender,
            tally=self.tallies[number],
            newcomer=self._newcomers[place.delay_ms],
            sheet=self._sheet,
            seat=(seat := self._desk.seat(number)),
            speech=self._outgoing.speech(place, seat.hearing),
        )


class _Counted(Outgoing):
    """The station's stream without its packets: their times, and their bytes by the sheet."""

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        programme: Programme,
        places: Sequence[Place],
        *,
        sheet: NDArray[np.int64],
    ) -> None:
        super().__init__(scenario, village, programme, places)
        self._sheet = sheet

    def speech(self, place: Place, hearing: Records[Hearing]) -> Speech | None:
        """Return what a node there and the station say to each other; None: nothing."""
        if not self._scenario.sender.reports:
            return None
        return Speech(
            place,
            self.sender,
            hearing,
            backhaul_ns=self.backhaul_ns(place),
            seed=self._scenario.seed,
            budget=self.new_budget() if self._scenario.sender.sends_again else None,
        )

    def _sending(self, end_ns: int) -> Sending:
        first, send_ns = self.sender.times_until(end_ns)
        numbers = np.arange(first, first + send_ns.size) % self._sheet.shape[1]
        headers_bytes = (_RTP_BYTES + UDP_BYTES) * send_ns.size
        self.stream_bytes += int(self._sheet[1, numbers].sum()) + headers_bytes
        return Sending(first, [], send_ns)
