"""The rounds of tier T2: time in chunks, and within a chunk one node after the other.

So the links of a commune are drawn once, what is alike is decoded once, and memory does not grow
with the length of the run. Streams are addressed by name, so some of the places alone play exactly
what they play among all.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import new_counts
from node.opus.protocol import DecoderFactory
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, ns_to_samples
from sim.chance.rng import Purpose, stream
from sim.drive.capacity import Capacity
from sim.drive.pole import Chunk, Pole
from sim.drive.shared_decoder import SharedPath
from sim.drive.tally import Alignment, Recent, Tally
from sim.links.bearer import Bearer
from sim.links.channel import Channel, Link, Trace
from sim.links.spells import Spells, busy_of, outages_of
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.conversation import SENDER_CLOCK_NS, Conversation
from sim.station.copies import StationCopies
from sim.station.programme import Programme, Sender, Sending
from sim.village.places import Place, Village
from sim.village.scenario import Scenario

CHUNK_NS: Final = 60 * NS_PER_S
"""Two chunks are remembered: at least twice the longest playout delay, so that each packet that
plays is. Beyond that its length changes nothing."""

_TAIL_NS: Final = 2 * NS_PER_S
"""Beyond the playout delay: what is still on its way when the station stops."""

_AHEAD_NS: Final = 5 * NS_PER_S
"""Links run so far ahead of the nodes: what is asked at the end of a chunk is answered by the
state of the network after it. So where a chunk ends changes nothing."""

_BINS_MAX: Final = 720
_UPLINK: Final = "/uplink"
"""Stands for the node in the address of a backhaul's streams; no node can have this name."""

Listener = Callable[[int, int, NDArray[np.float32]], None]
"""Called with (number of the place, first sample since the start, (n, 1) float32) per chunk."""


Watcher = Callable[[int, Sending, Chunk], None]
"""Called with (number of the place, what the station sent, what came of it there) per chunk."""


class Rounds:
    """A run under way.

    Parameters
    ----------
    scenario : Scenario
        With the seed and the duration of this run.
    village : Village
        Of that scenario.
    programme : Programme
        What the station plays.
    decoder : callable or None
        The decoder of the nodes; None counts without sound.
    places : sequence of Place, optional
        Only these.
    listener : callable, optional
        Gets what is played.
    watcher : callable, optional
        Gets what was sent to a place and what the place did.
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        programme: Programme,
        *,
        decoder: DecoderFactory | None,
        places: Sequence[Place] | None = None,
        listener: Listener | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.scenario = scenario
        self.places = tuple(village.places if places is None else places)
        self._listener = listener
        self._watcher = watcher
        duration_ns = round(scenario.duration_s * NS_PER_S)
        self.sender = Sender(
            programme,
            seed=scenario.seed,
            duration_ns=duration_ns,
            pacing_max_us=scenario.sender.pacing_max_us,
        )
        self.end_ns = duration_ns + scenario.jitter.playout_delay_ms * NS_PER_MS + _TAIL_NS
        self._cells: dict[tuple[str, str], tuple[Spells, Spells]] = {}
        self._village = village
        self._uplinks = {
            commune: self._link(village.backhauls[commune], "/backhaul", commune, _UPLINK)
            for commune in dict.fromkeys(place.commune for place in self.places)
        }
        self._copies: StationCopies | None = None
        if scenario.sender.copies_possible:
            self._copies = StationCopies(
                self.sender, clock_ns=SENDER_CLOCK_NS, budget=self._new_budget()
            )
        self._path = SharedPath(decoder) if decoder is not None else None
        self.poles = [self._pole(place) for place in self.places]
        self.bin_s = float(max(1, -(-duration_ns // (_BINS_MAX * NS_PER_S))))
        self.tallies = [self._tally(place) for place in self.places]
        self.alignment = Alignment(len(self.places))
        self._traces = [hashlib.sha256() for _ in self.places]
        self._audio = [hashlib.sha256() for _ in self.places]
        self._sent = Recent()
        self.stream_bytes = 0
        self._departs = [Recent() for _ in self.places]
        unicast = scenario.sender.delivery == "unicast"
        self.capacity = Capacity(village, self.sender, unicast=unicast)

    def advance(self) -> Iterator[int]:
        """Run to the end; yield the true time in ns that all nodes together have reached."""
        longest = max(pole.period_samples for pole in self.poles)
        samples = ns_to_samples(CHUNK_NS) + 100 * longest
        sound = np.zeros((samples, 1), np.float32)
        start_ns = 0
        while start_ns < self.end_ns:
            stop_ns = min(start_ns + CHUNK_NS, self.end_ns)
            yield from self._round(start_ns, stop_ns, sound)
            self.alignment.settle(stop_ns // NS_PER_S, self.tallies)
            start_ns = stop_ns
        for number, tally in enumerate(self.tallies):
            self.alignment.add(number, *tally.finish(self._sent, self._departs[number]))
        self.alignment.settle(1 << 62, self.tallies)

    def counts(self, number: int) -> NDArray[np.int64]:
        """Return what one place counted, over all its boots: (COUNTS,) int64."""
        total = new_counts()
        for node in self._nodes(number):
            total += node.counts
        return total

    def skew_ppm(self, number: int) -> float | None:
        """Return the sender's skew as the node estimates it, or None when it never heard it."""
        nodes = self._nodes(number)
        sources = nodes[-1].status()["sources"] if nodes else []
        assert isinstance(sources, list)
        return float(sources[0]["skew_ppm"]) if sources else None

    def link_bytes(self, number: int) -> tuple[int, int]:
        """Return the bytes of the stream to one place, and of what repaired it, with headers."""
        spoken = self.poles[number].conversation
        copies = 0 if self._copies is None else self._copies.repair_bytes
        return self.stream_bytes, copies + (0 if spoken is None else spoken.repair_bytes)

    def audio_sha256(self, number: int) -> str:
        """Return the hash of what one place played, float32; empty without sound."""
        return self._audio[number].hexdigest() if self._path is not None else ""

    def trace_hash(self) -> str:
        """Return the hash over all journals, counts and, where there is any, sound, by place."""
        every = b"".join(self.trace(number) for number in range(len(self.places)))
        return hashlib.sha256(every).hexdigest()

    def trace(self, number: int) -> bytes:
        """Return what the hash of the trace is taken over, of one place."""
        told = self.places[number].node.encode() + b"\0" + self._traces[number].digest()
        told += self.counts(number).astype("<i8").tobytes()
        return told if self._path is None else told + self._audio[number].digest()

    def _round(self, start_ns: int, stop_ns: int, sound: NDArray[np.float32]) -> Iterator[int]:
        sending = self._send(stop_ns + _AHEAD_NS)
        self._sent.add(sending.first, sending.send_ns)
        sequence = np.arange(sending.first, sending.first + sending.send_ns.size)
        self.capacity.begin(sending.send_ns)
        departs = {}
        own: dict[str, NDArray[np.int64]] = {}
        for commune, uplink in self._uplinks.items():
            departs[commune] = uplink.carry(sending.send_ns, sequence)
            own |= self.capacity.carry(commune, sending.send_ns, departs[commune])
        for number, pole in enumerate(self.poles):
            depart_ns = own.get(pole.place.node, departs[pole.place.commune])
            self._departs[number].add(sending.first, depart_ns)
            chunk = pole.run_chunk(sending, depart_ns, stop_ns, sound)
            played = self.tallies[number].add(chunk, self._sent, self._departs[number])
            self.alignment.add(number, *played)
            if self._watcher is not None:
                self._watcher(number, sending, chunk)
            self._traces[number].update(chunk.raw_journal)
            if self._path is not None:
                rendered = sound[: chunk.tick_ns.size * pole.period_samples]
                self._audio[number].update(rendered.data)
                if self._listener is not None:
                    self._listener(number, chunk.first_period * pole.period_samples, rendered)
            yield start_ns + (stop_ns - start_ns) * (number + 1) // len(self.poles)

    def _send(self, end_ns: int) -> Sending:
        """Return what the station sends until then, and count it."""
        sending = self.sender.send_until(end_ns)
        self.stream_bytes += sending.stream_bytes
        return sending if self._copies is None else self._copies.carry(sending)

    def _pole(self, place: Place) -> Pole:
        return Pole(
            place,
            self.scenario,
            self._channel(place),
            seed=self.scenario.seed,
            end_ns=self.end_ns,
            decoder_factory=self._path.new_decoder if self._path is not None else None,
            conversation=self._conversation(place),
        )

    def _nodes(self, number: int) -> list[SpeakerNode]:
        pole = self.poles[number]
        return [*pole.ended_nodes, *([pole.node] if pole.node is not None else [])]

    def _channel(self, place: Place) -> Channel:
        if place.trace_ns is not None:
            return Trace(place.trace_ns)
        assert place.bearer is not None
        return self._link(place.bearer, place.bearer_name, place.commune, place.node)

    def _conversation(self, place: Place) -> Conversation | None:
        sender = self.scenario.sender
        if not sender.reports:
            return None
        again = sender.retransmission and sender.delivery == "unicast"
        one_way_ms = self._village.backhauls[place.commune].one_way_ms.value
        return Conversation(
            place,
            self.sender,
            backhaul_ns=round(one_way_ms * NS_PER_MS),
            seed=self.scenario.seed,
            budget=self._new_budget() if again else None,
            copies=self._copies,
        )

    def _new_budget(self) -> RepairBudget:
        rate_kbit_s = self.scenario.sender.data_budget_kbit_s
        return RepairBudget(rate_bit_s=None if rate_kbit_s is None else 1000 * rate_kbit_s)

    def _link(self, bearer: Bearer, name: str, commune: str, node: str) -> Link:
        if (commune, name) not in self._cells:
            seed = self.scenario.seed
            self._cells[commune, name] = (
                busy_of(bearer, stream(seed, Purpose.BUSY, commune=commune, node=name)),
                outages_of(bearer, stream(seed, Purpose.OUTAGE, commune=commune, node=name)),
            )
        busy, outages = self._cells[commune, name]
        return Link(
            bearer,
            seed=self.scenario.seed,
            commune=commune,
            node=node,
            packet_bits=self.sender.packet_bits,
            busy=busy,
            outages=outages,
        )

    def _tally(self, place: Place) -> Tally:
        samples = self.sender.packets * self.sender.packet_samples
        bin_samples = int(self.bin_s * RATE_HZ)
        return Tally(
            self.sender,
            programme_samples=samples,
            bins=-(-samples // bin_samples),
            bin_samples=bin_samples,
            own_delay_ns=place.delay_ms * NS_PER_MS,
        )
