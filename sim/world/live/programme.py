"""A live programme in the world: the station's stream to each pole, and what becomes of it there.

```
 Outgoing ─► Site ─► plan of a while ─► VirtualShell ─► speaker        as in the drive (T2)
                                              ▲ looked at by the governor, packet by packet:
 daemon: order, message, deadline, tick ──────┘ SRTP opened, is it announced, may it be heard
```
Sender, links, repair, clocks, CPU and sound card are those of the drive, from the same keyed
streams of chance, so that both tiers count the same. Between two things that happen at the daemon
nothing at the speaker hangs on it: its packets and periods are run together, at the latest before
the next of them. What the speaker's own deadlines ask for goes out at the card's next period, as
in the drive: up to 10 ms later than a daemon's timer would.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import pylibsrtp
from numpy.typing import NDArray

from node.control.trust.packet_guard import SRTP_KEY_BYTES, srtp_policy
from node.counters import new_counts
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S, ns_to_samples
from sim.drive.alignment import Alignment
from sim.drive.outgoing import Outgoing, Sent
from sim.drive.roll_up import node_row
from sim.drive.rounds import bin_s, packets_kept, tally_of
from sim.drive.site import Site
from sim.drive.tally import Departures, Recent
from sim.result.run import NodeRow
from sim.station import payloads
from sim.village.places import Place, Village
from sim.village.scenario import Scenario, sound_file
from sim.world.hop import Line
from sim.world.live.brought import Spoken
from sim.world.live.pole import LivePole, sealed
from sim.world.loop import VirtualLoop

UPTIME_NS: Final = 3600 * NS_PER_S
"""How long a node's clock has run at the least when the programme begins, with what is drawn."""

_CHUNK_NS: Final = 2 * NS_PER_S
"""Planned at once: what is planned lies in memory at each node."""


def session_key(seed: int) -> bytes:
    """Return the SRTP key of the programme's session: one for all who hear it."""
    return hashlib.sha256(f"loalang-sim/{seed}/live".encode()).digest()[:SRTP_KEY_BYTES]


def _shared(outgoing: Outgoing) -> dict[tuple[str, str, str], Line]:
    """Return kind, commune and bearer of what nodes share to its rate, what all the copies,
    questions and beats ask of it where there is room, and its queue.
    """
    queues_ns = outgoing.capacity.queues_ns()
    return {
        at: Line(one.rate_kbit_s, one.asked_kbit_s, queues_ns[at])
        for one in outgoing.capacity.rows({})
        if one.rate_kbit_s is not None and (at := (one.kind, one.commune, one.bearer))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePlan:
    """What is streamed in a world."""

    scenario: Scenario
    begin_ns: int
    """Capture of the first sample, in the time of the world."""
    decoder: DecoderFactory | None = None
    """Of the nodes; None counts without sound."""


class LiveProgramme:
    """The live programme of a village.

    Parameters
    ----------
    loop : VirtualLoop
        Of the world.
    village : Village
        Of the plan's scenario.
    plan : LivePlan
        What is streamed, and when.
    """

    def __init__(self, loop: VirtualLoop, village: Village, plan: LivePlan) -> None:
        scenario, decoder = plan.scenario, plan.decoder
        self._loop = loop
        self.begin_ns = begin_ns = plan.begin_ns
        path = sound_file(scenario)
        assert path is not None, "load() checks this"
        self.places = village.places
        self._outgoing = Outgoing(
            scenario, village, payloads.load(path, scenario.sender), self.places
        )
        self.sender = self._outgoing.sender
        self.ssrc = self.sender.ssrc
        self.end_ns = self._outgoing.end_ns
        self.ends_ns = begin_ns + round(scenario.duration_s * NS_PER_S)
        """When the station stops, in the time of the world."""
        self.kbit_s = self.sender.packet_bits * 1e6 / self.sender.packet_ns
        """Of one copy."""
        self.shared = _shared(self._outgoing)
        """All that nodes share, by kind, commune and bearer."""
        self._asked_kbit_s = {at: one.asked_kbit_s for at, one in self.shared.items()}
        self._alignment = Alignment(len(self.places))
        self.sources: list[dict[str, object] | None] = [None] * len(self.places)
        """What each node tells of the stream in the end; None where it has none."""
        self._counts: list[NDArray[np.int64]] = []
        """What each place counted until then: what a full queue keeps longer sounds, uncounted."""
        width_s = bin_s(scenario)
        kept = packets_kept(self._outgoing)
        self.tallies = [tally_of(self.sender, place, width_s, kept=kept) for place in self.places]
        self._send = Recent(kept=kept)
        self._departs = Departures([place.node for place in self.places], kept=kept)
        self.key = session_key(scenario.seed)
        self._session = pylibsrtp.Session(srtp_policy(self.key, inbound=False))
        self._spoken: Spoken | None = None
        self._done_ns = 0
        self.poles = {place.node: self._pole(scenario, place, decoder) for place in self.places}
        sites = [one.site for one in self.poles.values()]
        longest = max((one.turn_periods * one.period_samples for one in sites), default=1)
        self.scratch = np.zeros((max(longest, ns_to_samples(NS_PER_S)), 1), np.float32)
        loop.call_at_ns(begin_ns, self._go_on)

    def now_ns(self) -> int:
        """Return the true time since the begin."""
        return self._loop.now_ns - self.begin_ns

    def seal(self, packet: bytes) -> bytes:
        """Return what leaves the station to all for a packet of the stream."""
        return sealed(self._session, packet)

    def rows(self) -> list[NodeRow]:
        """Return what became of the stream at each place, as the drive says it."""
        return [node_row(self, number) for number in range(len(self.places))]

    def counts(self, number: int) -> NDArray[np.int64]:
        """Return what one place counted to the end, over all its boots: (COUNTS,) int64."""
        if self._counts:
            return self._counts[number]
        total = new_counts()
        for speaker in self.poles[self.places[number].node].speakers:
            total += speaker.counts
        return total

    def skew_ppm(self, number: int) -> float | None:
        """Return the sender's skew as the node estimated it in the end, None if it had not."""
        source = self.sources[number]
        return None if source is None else float(str(source["skew_ppm"]))

    def link_bytes(self, number: int) -> tuple[int, int]:
        """Return the bytes of the stream to one place, and of what repaired it, with headers."""
        spoken = self.poles[self.places[number].node].site.conversation
        repair = self._outgoing.copies_bytes + (0 if spoken is None else spoken.repair_bytes)
        return self._outgoing.stream_bytes, repair

    def audio_sha256(self, number: int) -> str:
        """Return nothing: who wants the sound has a witness."""
        return ""

    def _pole(self, scenario: Scenario, place: Place, decoder: DecoderFactory | None) -> LivePole:
        outgoing = self._outgoing
        site = Site(
            place,
            scenario,
            outgoing.channel(place),
            conversation=outgoing.conversation(place),
            uptime_ns=self.begin_ns + UPTIME_NS,
        )
        return LivePole(self, site, decoder is not None)

    def _go_on(self) -> None:
        """End a while at every pole, and begin the next."""
        poles = [self.poles[place.node] for place in self.places]
        if self._done_ns:
            for number, pole in enumerate(poles):
                chunk = pole.site.chunk(*pole.end_chunk())
                pole.note_chunk(chunk)
                departs = self._departs.of(pole.site.place.node)
                played = self.tallies[number].add(chunk, self._send, departs)
                self._alignment.add(number, *played)
            self._send.forget()
            self._departs.forget()
            self._alignment.settle(self._done_ns // NS_PER_S, self.tallies)
        if self._done_ns >= self.end_ns:
            self._finish(poles)
            return
        self._done_ns = min(self._done_ns + _CHUNK_NS, self.end_ns)
        sent: Sent = self._outgoing.send_until(self._done_ns)
        self._send.add(sent.sending.first, sent.sending.send_ns)
        overfull_kbit_s = self._outgoing.capacity.overfull_kbit_s()
        for at, asked_kbit_s in self._asked_kbit_s.items():
            self.shared[at].asked_kbit_s = max(asked_kbit_s, overfull_kbit_s.get(at, 0.0))
        waiting = [one.site.oldest_waiting for one in poles]
        oldest = min([sent.sending.first, *(number for number in waiting if number is not None)])
        spoken = self._spoken = Spoken(sent.sending, self.seal, self._spoken, oldest)
        self._departs.add(sent.sending.first, sent.depart_ns)
        for pole in poles:
            depart_ns = sent.depart_ns[pole.site.place.node]
            pole.begin_chunk(spoken, sent.sending, depart_ns, self._done_ns)
        self._loop.call_at_ns(self.begin_ns + self._done_ns, self._go_on)

    def _finish(self, poles: list[LivePole]) -> None:
        """Close the books."""
        for number, tally in enumerate(self.tallies):
            departs = self._departs.of(self.places[number].node)
            self._alignment.add(number, *tally.finish(self._send, departs))
        self._alignment.settle(1 << 62, self.tallies)
        self.sources = [one.source(self.ssrc) for one in poles]
        self._counts = [self.counts(number) for number in range(len(poles))]
        goodbye = self.sender.goodbye(self.now_ns())
        for one in poles:
            one.receive_goodbye(goodbye)
