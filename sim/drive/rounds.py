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
from sim.drive.alignment import Alignment
from sim.drive.outgoing import CHUNK_NS, Outgoing
from sim.drive.pole import Pole
from sim.drive.shared_decoder import SharedPath
from sim.drive.site import Chunk
from sim.drive.tally import Departures, Recent, Tally
from sim.drive.trace import Trace
from sim.station.programme import Programme, Sender, Sending
from sim.village.places import Place, Village
from sim.village.scenario import Scenario

_BINS_MAX: Final = 720

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
        self._outgoing = outgoing = self._new_outgoing(village, programme)
        self.sender, self.capacity, self.end_ns = (
            outgoing.sender, outgoing.capacity, outgoing.end_ns,
        )  # fmt: skip
        self._path = SharedPath(decoder) if decoder is not None else None
        self.poles = [self._pole(place) for place in self.places]
        self.bin_s = bin_s(scenario)
        kept = packets_kept(outgoing)
        self.tallies = [
            tally_of(self.sender, place, self.bin_s, kept=kept) for place in self.places
        ]
        self.alignment = Alignment(len(self.places))
        self._traces = [Trace() for _ in self.places]
        self._audio = [hashlib.sha256() for _ in self.places]
        self._sent = Recent(kept=kept)
        self._departs = Departures([place.node for place in self.places], kept=kept)

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
            departs = self._departs.of(self.places[number].node)
            self.alignment.add(number, *tally.finish(self._sent, departs))
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
        copies = self._outgoing.copies_bytes
        return self._outgoing.stream_bytes, copies + (0 if spoken is None else spoken.repair_bytes)

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
        sent = self._outgoing.send_until(stop_ns)
        sending = sent.sending
        self._sent.add(sending.first, sending.send_ns)
        self._departs.add(sending.first, sent.depart_ns)
        for number, pole in enumerate(self.poles):
            node = pole.place.node
            chunk = pole.run_chunk(sending, sent.depart_ns[node], stop_ns, sound)
            played = self.tallies[number].add(chunk, self._sent, self._departs.of(node))
            self.alignment.add(number, *played)
            if self._watcher is not None:
                self._watcher(number, sending, chunk)
            self._traces[number].add(chunk.raw_journal)
            if self._path is not None:
                rendered = sound[: chunk.plan.tick_ns.size * pole.period_samples]
                self._audio[number].update(rendered.data)
                if self._listener is not None:
                    self._listener(number, chunk.plan.first_period * pole.period_samples, rendered)
            yield start_ns + (stop_ns - start_ns) * (number + 1) // len(self.poles)
        self._sent.forget()
        self._departs.forget()

    def _new_outgoing(self, village: Village, programme: Programme) -> Outgoing:
        return Outgoing(self.scenario, village, programme, self.places)

    def _pole(self, place: Place) -> Pole:
        return Pole(
            place,
            self.scenario,
            self._outgoing.channel(place),
            end_ns=self.end_ns,
            decoder_factory=self._path.new_decoder if self._path is not None else None,
            conversation=self._outgoing.conversation(place),
        )

    def _nodes(self, number: int) -> list[SpeakerNode]:
        pole = self.poles[number]
        return [*pole.ended_nodes, *([pole.node] if pole.node is not None else [])]


def bin_s(scenario: Scenario) -> float:
    """Return the width of one bin of the raster of dropouts."""
    return float(max(1, -(-round(scenario.duration_s * NS_PER_S) // (_BINS_MAX * NS_PER_S))))


def packets_kept(outgoing: Outgoing) -> int:
    """Return how many packets are remembered beside the chunk under way."""
    return -(-outgoing.reach_ns // outgoing.sender.packet_ns)


def tally_of(sender: Sender, place: Place, bin_s: float, *, kept: int = 0) -> Tally:
    """Return the empty sums of one place; see there."""
    samples = sender.packets * sender.packet_samples
    bin_samples = int(bin_s * RATE_HZ)
    return Tally(
        sender,
        programme_samples=samples,
        bins=-(-samples // bin_samples),
        bin_samples=bin_samples,
        own_delay_ns=place.delay_ms * NS_PER_MS,
        kept=kept,
    )
