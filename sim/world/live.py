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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pylibsrtp
from numpy.typing import NDArray

from node.control.trust.packet_guard import SRTP_KEY_BYTES, srtp_policy
from node.counters import new_counts
from node.governed import GovernedSpeaker
from node.kernel.record import Records, new, together
from node.opus.protocol import DecoderFactory
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import NS_PER_S, ns_to_samples
from sim.drive.outgoing import Outgoing, Sent
from sim.drive.roll_up import node_row
from sim.drive.rounds import bin_s, tally_of
from sim.drive.site import Plan, Site
from sim.drive.tally import Alignment, Recent
from sim.drive.virtual_shell import VirtualShell
from sim.result.run import NodeRow
from sim.station import payloads
from sim.station.programme import ADDRESS, Sending
from sim.village.places import Place, Village
from sim.village.scenario import Scenario, sound_file
from sim.world.brought import Brought, Spoken
from sim.world.live_clock import LiveClock
from sim.world.live_speaker import LiveSpeaker
from sim.world.loop import VirtualLoop

UPTIME_NS: Final = 3600 * NS_PER_S
"""How long a node's clock has run at the least when the programme begins, with what is drawn."""

_CHUNK_NS: Final = 2 * NS_PER_S
"""Planned at once: what is planned lies in memory at each node."""

_JOURNAL_ROWS: Final = 8192
_ROWS: Final = new(Played, _JOURNAL_ROWS)
"""What one turn tells: all nodes of a process take turns."""
_RTCP_TYPES: Final = range(192, 224)

Hear = Callable[[NDArray[np.float32], int], None]


class LivePole:
    """The stream at one pole, over all its boots; times are true ns from its begin on."""

    def __init__(self, programme: "LiveProgramme", site: Site, decoder: bool) -> None:
        self.site = site
        self._programme = programme
        self._decodes = decoder
        self._plan: Plan | None = None
        self._brought: Brought | None = None
        """What the plan brings."""
        self._period = 0
        """The next of the plan."""
        self._down = np.zeros(0, np.bool_)
        self._journals: list[Records[Played]] = []
        self._speaker: LiveSpeaker | None = None
        self._governor: GovernedSpeaker | None = None
        self._shell: VirtualShell | None = None
        self._hear: Hear = lambda sound, presentation_ns: None
        self._begin: Callable[[], None] = lambda: None
        self._has_card: Callable[[], bool] = lambda: True
        self._answers = pylibsrtp.Session(srtp_policy(programme.key, inbound=False))
        """Seals what only this node gets: its repairs have numbers of their own."""
        self.ended: list[SpeakerNode] = []
        """Speakers that a power cut ended."""

    @property
    def runs(self) -> bool:
        """Whether the programme is under way, so that the card's periods are those of its plan."""
        return self._plan is not None

    @property
    def clock(self) -> LiveClock:
        """Return the node's clock, in the time of the world."""
        return LiveClock(self.site.clock, self._programme.begin_ns)

    @property
    def speakers(self) -> list[SpeakerNode]:
        """Return the speakers of all boots."""
        return [*self.ended, *([] if self._speaker is None else [self._speaker])]

    def source(self, ssrc: int) -> dict[str, object] | None:
        """Return what the node tells of the stream now, or None."""
        sources = self.speakers[-1].status()["sources"] if self.speakers else []
        assert isinstance(sources, list)
        return next((one for one in sources if one["ssrc"] == ssrc), None)

    def attach(
        self,
        speaker: LiveSpeaker,
        governor: GovernedSpeaker,
        *,
        hear: Hear,
        begin: Callable[[], None],
        has_card: Callable[[], bool],
    ) -> None:
        """Take the speaker of a boot; `hear` gets what it plays, `begin` is called per while."""
        self._begin, self._has_card = begin, has_card
        self._speaker, self._governor, self._hear = speaker, governor, hear
        self._shell = VirtualShell(
            speaker,
            self.site.clock,
            self.site.conversation,
            period_samples=self.site.period_samples,
            lead_ns=self.site.lead_ns,
            counts_only=not self._decodes,
            take=self._take,
            passed=speaker.kept.append,
        )
        speaker.runs = not self.runs
        if self._plan is not None:
            at = int(np.searchsorted(self._plan.tick_ns, self._programme.now_ns()))
            self._skip(max(self._period, at))

    def detach(self) -> None:
        """Lose the power."""
        if self._speaker is not None:
            self.catch_up()
            self.ended.append(self._speaker)
        self._speaker = self._governor = self._shell = None

    def begin_chunk(
        self, spoken: Spoken, sending: Sending, depart_ns: NDArray[np.int64], end_ns: int
    ) -> None:
        """Go on with another while; see `Site.plan`.

        depart_ns  (n,) int64, true ns; LOST_NS
        """
        plan = self.site.plan(sending, depart_ns, end_ns)
        datagrams = self.site.datagrams(sending, plan)
        self._brought = Brought(spoken, datagrams, plan.heard, lead_ns=self.site.lead_ns)
        self._plan, self._period = plan, 0
        self._down = np.zeros(plan.tick_ns.size, np.bool_)
        if self._speaker is not None:
            self._speaker.runs = False
            self._begin()

    def end_chunk(self) -> tuple[Plan, NDArray[np.bool_], Records[Played]]:
        """Run what is left of it; return it with what became of it.

        The periods without sound, (periods,) bool, flags; and the journal, times in ns.
        """
        plan = self._plan
        assert plan is not None, "it has begun"
        self._run_to(plan.tick_ns.size, plays=self._has_card())
        if self._governor is not None:
            brought = self._brought
            assert self._shell is not None and self._speaker is not None and brought is not None
            self._speaker.runs = True
            for i in range(brought.span(0, plan.tick_ns.size)[1], len(brought.datagrams)):
                now_ns = int(brought.now_ns[i])
                data = self._governor.admit(brought.sealed[i], ADDRESS, now_ns)
                if data is not None:
                    self._speaker.receive_datagram(data, ADDRESS, now_ns, is_authentic=True)
            self._shell.look_soon()
        self._plan = None
        if self._speaker is not None:
            self._speaker.runs = True
        journals, self._journals = self._journals, []
        return plan, self._down, together(journals, Played)

    def receive_goodbye(self, data: bytes) -> None:
        """Hear that the station has ended, unless the power is off."""
        if self._governor is not None:
            now_ns = self.clock.local_ns(self._programme.begin_ns + self._programme.now_ns())
            self._take(data, ADDRESS, now_ns)

    def catch_up(self, *, plays: bool = True) -> None:
        """Run all that is due by now; without `plays` the card is gone, and packets still come."""
        if self._plan is not None:
            now_ns = self._programme.now_ns()
            last = int(np.searchsorted(self._plan.finish_ns, now_ns, side="right"))
            self._run_to(last, plays=plays)

    def _run_to(self, last: int, *, plays: bool) -> None:
        if self._speaker is None or self._shell is None:
            self._skip(max(self._period, last))
            return
        while self._period < last:
            end = min(last, self._period + self.site.turn_periods)
            self._run_turn(self._speaker, self._shell, end, plays=plays)

    def _run_turn(
        self, speaker: LiveSpeaker, shell: VirtualShell, end: int, *, plays: bool
    ) -> None:
        assert self._brought is not None and self._governor is not None, "it plays"
        brought, admit = self._brought, self._governor.admit
        first, self._period = self._period, end
        begin, past = brought.span(first, end)
        datagrams, now_ns = brought.datagrams[begin:past], brought.now_ns[begin:past].tolist()
        sealed_ones = zip(brought.sealed[begin:past], now_ns, strict=True)
        opened = [admit(one, ADDRESS, at_ns) for one, at_ns in sealed_ones]
        is_whole = opened == datagrams
        if is_whole:
            work = brought.work(first, end, datagrams, now_ns)
        else:
            work = brought.work_without(first, end, opened)
        speaker.runs = True
        if plays:
            sound = self._programme.scratch
            if is_whole and not self._decodes:
                shell.run_batch(work, brought.batch(first, end), sound)
            else:
                shell.run(work, 0, 0, end - first, sound)
            if self._decodes:
                samples = (end - first) * self.site.period_samples
                self._hear(sound[:samples], work.presentation_ns[0])
            if count := speaker.take_journal(_ROWS):
                rows = _ROWS[:count]
                self._journals.append(rows[rows["ssrc"] == self._programme.ssrc])
        else:
            self._down[first:end] = True
            for data, at_ns in zip(work.datagrams, work.now_ns, strict=True):
                speaker.receive_datagram(data, ADDRESS, at_ns, is_authentic=True)
        speaker.runs = False

    def _skip(self, period: int) -> None:
        self._down[self._period : period] = True
        self._period = period

    def _take(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Give one datagram of the station to the node."""
        assert self._governor is not None and self._speaker is not None, "it has power"
        packet = self._governor.admit(sealed(self._answers, data), source, now_ns)
        if packet is not None:
            self._speaker.receive_datagram(packet, source, now_ns, is_authentic=True)


def session_key(seed: int) -> bytes:
    """Return the SRTP key of the programme's session: one for all who hear it."""
    return hashlib.sha256(f"loalang-sim/{seed}/live".encode()).digest()[:SRTP_KEY_BYTES]


def sealed(session: pylibsrtp.Session, packet: bytes) -> bytes:
    """Return SRTP or SRTCP of a packet."""
    protect = session.protect_rtcp if packet[1] in _RTCP_TYPES else session.protect
    return bytes(protect(packet))


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
        self.unicast = scenario.sender.delivery == "unicast"
        self.kbit_s = self.sender.packet_bits * 1e6 / self.sender.packet_ns
        """Of one copy."""
        self._alignment = Alignment(len(self.places))
        self.sources: list[dict[str, object] | None] = [None] * len(self.places)
        """What each node tells of the stream in the end; None where it has none."""
        width_s = bin_s(scenario)
        chunks = 1 - -self._outgoing.reach_ns // _CHUNK_NS
        self.tallies = [
            tally_of(self.sender, place, width_s, chunks=chunks) for place in self.places
        ]
        self._send = Recent(chunks=chunks)
        self._departs = [Recent(chunks=chunks) for _ in self.places]
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
        """Return what one place counted, over all its boots: (COUNTS,) int64."""
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
                played = self.tallies[number].add(chunk, self._send, self._departs[number])
                self._alignment.add(number, *played)
            self._alignment.settle(self._done_ns // NS_PER_S, self.tallies)
        if self._done_ns >= self.end_ns:
            self._finish(poles)
            return
        self._done_ns = min(self._done_ns + _CHUNK_NS, self.end_ns)
        sent: Sent = self._outgoing.send_until(self._done_ns)
        self._send.add(sent.sending.first, sent.sending.send_ns)
        waiting = [one.site.oldest_waiting for one in poles]
        oldest = min([sent.sending.first, *(number for number in waiting if number is not None)])
        spoken = self._spoken = Spoken(sent.sending, self.seal, self._spoken, oldest)
        for number, pole in enumerate(poles):
            depart_ns = sent.depart_ns[pole.site.place.node]
            self._departs[number].add(sent.sending.first, depart_ns)
            pole.begin_chunk(spoken, sent.sending, depart_ns, self._done_ns)
        self._loop.call_at_ns(self.begin_ns + self._done_ns, self._go_on)

    def _finish(self, poles: list[LivePole]) -> None:
        """Close the books."""
        for number, tally in enumerate(self.tallies):
            self._alignment.add(number, *tally.finish(self._send, self._departs[number]))
        self._alignment.settle(1 << 62, self.tallies)
        self.sources = [one.source(self.ssrc) for one in poles]
        goodbye = self.sender.goodbye(self.now_ns())
        for one in poles:
            one.receive_goodbye(goodbye)
