"""A live programme at one pole of the world, over all its boots."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import pylibsrtp
from numpy.typing import NDArray

from node.control.trust.packet_guard import srtp_policy
from node.events import Event, SourceChanged
from node.governed import GovernedSpeaker
from node.kernel.record import Records, new, together
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import samples_to_ns
from sim.drive.batch import Batch
from sim.drive.site import Chunk, Plan, Site
from sim.drive.virtual_shell import VirtualShell, Work
from sim.station.programme import ADDRESS, Sending
from sim.world.live.brought import Brought, Spoken
from sim.world.live.clock import LiveClock
from sim.world.live.sounded import Spans, joined, sounded
from sim.world.live.speaker import LiveSpeaker

if TYPE_CHECKING:
    from sim.world.live.programme import LiveProgramme

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
        self._miss: Callable[[int], None] = lambda samples: None
        self._is_too_slow: Callable[[], bool] = lambda: False
        self._was_late = False
        """Whether the CPU did not finish the last period in time."""
        self._answers = pylibsrtp.Session(srtp_policy(programme.key, inbound=False))
        """Seals what only this node gets: its repairs have numbers of their own."""
        self._sounded: list[Spans] = []
        self.ended: list[SpeakerNode] = []
        """Speakers that a power cut ended."""

    @property
    def runs(self) -> bool:
        """Whether the programme is under way, so that the card's periods are those of its plan."""
        return self._plan is not None

    @property
    def is_late(self) -> bool:
        """Whether the card plays silence now, since the CPU does not keep up with it."""
        plan, period = self._plan, self._period
        if plan is None:
            return False
        overdue = period < plan.play_ns.size and plan.play_ns[period] <= self._programme.now_ns()
        return self._was_late or bool(overdue) or self._is_too_slow()

    @property
    def sounded(self) -> Spans:
        """Return from when to when it made sound, whoever had the horn.

        (n, 2) int64, ns of the world.
        """
        return joined(self._sounded) + self._programme.begin_ns

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
        miss: Callable[[int], None],
        is_too_slow: Callable[[], bool],
    ) -> None:
        """Take the speaker of a boot.

        `hear` gets what it plays, `miss` how many samples the card had to play without it, and
        `begin` is called per while. Of a CPU that is too slow nothing is heard, though some of its
        periods are done in time: that is no speech.
        """
        self._begin, self._has_card, self._miss = begin, has_card, miss
        self._is_too_slow = is_too_slow
        self._was_late = False
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

    def detach(self) -> list[SourceChanged]:
        """Lose the power; return who had the horn meanwhile, as far as nobody has taken it."""
        told: list[Event] = []
        if self._speaker is not None:
            self.catch_up()
            self.ended.append(self._speaker)
            told = self._speaker.kept
        self._speaker = self._governor = self._shell = None
        return [one for one in told if isinstance(one, SourceChanged)]

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
                if self._is_too_slow():
                    now_ns = min(now_ns, self._local_ns())
                data = self._governor.admit(brought.sealed[i], ADDRESS, now_ns)
                if data is not None:
                    self._speaker.receive_datagram(data, ADDRESS, now_ns, is_authentic=True)
            self._shell.look_soon()
        self._plan = None
        if self._speaker is not None:
            self._speaker.runs = True
        journals, self._journals = self._journals, []
        return plan, self._down, together(journals, Played)

    def note_chunk(self, chunk: Chunk) -> None:
        """Note what became of a while."""
        period_ns = samples_to_ns(self.site.period_samples)
        self._sounded.append(sounded(chunk, period_ns=period_ns))

    def receive_goodbye(self, data: bytes) -> None:
        """Hear that the station has ended, unless the power is off."""
        if self._governor is not None:
            self._take(data, ADDRESS, self._local_ns())

    def catch_up(self, *, plays: bool = True) -> None:
        """Run all that is due by now; without `plays` the card is gone, and packets still come."""
        if self._plan is not None:
            # Who is too slow is asked all the same, and is late with each answer.
            due_ns = self._plan.tick_ns if self._is_too_slow() else self._plan.finish_ns
            last = int(np.searchsorted(due_ns, self._programme.now_ns(), side="right"))
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
        assert self._plan is not None, "what is brought is of a plan"
        brought, admit = self._brought, self._governor.admit
        first, self._period = self._period, end
        begin, past = brought.span(first, end)
        is_slow, come_ns = self._is_too_slow(), brought.now_ns[begin:past]
        if is_slow:
            come_ns = np.minimum(come_ns, self._local_ns())
        datagrams, now_ns = brought.datagrams[begin:past], come_ns.tolist()
        sealed_ones = zip(brought.sealed[begin:past], now_ns, strict=True)
        opened = [admit(one, ADDRESS, at_ns) for one, at_ns in sealed_ones]
        is_whole = opened == datagrams
        if is_whole:
            work = brought.work(first, end, datagrams, now_ns)
        else:
            work = brought.work_without(first, end, opened, now_ns)
        speaker.runs = True
        if plays:
            late = self._plan.silent[first:end] | is_slow
            batch = brought.batch(first, end) if is_whole and not is_slow else None
            self._play(shell, work, batch, late)
            if count := speaker.take_journal(_ROWS):
                rows = _ROWS[:count]
                self._journals.append(rows[rows["ssrc"] == self._programme.ssrc])
            self._was_late, self._down[first:end] = bool(late[-1]), is_slow
            if count := int(np.count_nonzero(late)):
                self._miss(count * self.site.period_samples)
        else:
            self._down[first:end] = True
            for data, at_ns in zip(work.datagrams, work.now_ns, strict=True):
                speaker.receive_datagram(data, ADDRESS, at_ns, is_authentic=True)
        speaker.runs = False

    def _play(
        self, shell: VirtualShell, work: Work, batch: Batch | None, late: NDArray[np.bool_]
    ) -> None:
        """Let a turn sound, but for the periods that are late: (periods,) bool."""
        sound, periods = self._programme.scratch, late.size
        if batch is not None and not self._decodes:
            shell.run_batch(work, batch, sound)
        else:
            shell.run(work, 0, 0, periods, sound)
        if self._decodes:
            played = sound[: periods * self.site.period_samples]
            played.reshape(periods, -1)[late] = 0.0
            self._hear(played, work.presentation_ns[0])

    def _local_ns(self) -> int:
        return self.clock.local_ns(self._programme.begin_ns + self._programme.now_ns())

    def _skip(self, period: int) -> None:
        self._down[self._period : period] = True
        self._period = period

    def _take(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Give one datagram of the station to the node."""
        assert self._governor is not None and self._speaker is not None, "it has power"
        packet = self._governor.admit(sealed(self._answers, data), source, now_ns)
        if packet is not None:
            self._speaker.receive_datagram(packet, source, now_ns, is_authentic=True)


def sealed(session: pylibsrtp.Session, packet: bytes) -> bytes:
    """Return SRTP or SRTCP of a packet."""
    protect = session.protect_rtcp if packet[1] in _RTCP_TYPES else session.protect
    return bytes(protect(packet))
