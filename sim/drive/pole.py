"""One node of tier T2: the real `SpeakerNode` in its site, chunk by chunk."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Records, new, together
from node.opus.protocol import DecoderFactory
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import NS_PER_S
from sim.drive.site import Chunk, Site
from sim.drive.virtual_shell import VirtualShell, Work
from sim.gateway.power import Uptime, uptimes
from sim.links.channel import Channel
from sim.station.conversation import Conversation
from sim.station.programme import Sending
from sim.village.places import Place, node_config
from sim.village.scenario import Scenario

_JOURNAL_ROWS: Final = 8192
_ROWS: Final = new(Played, _JOURNAL_ROWS)
"""What one turn tells: all nodes of a process take turns."""


class Pole:
    """One node and all around it.

    Parameters
    ----------
    place : Place
        What it is made of.
    scenario : Scenario
        For the node's configuration and the length of a packet.
    channel : Channel
        Its downlink.
    end_ns : int
        End of the run.
    decoder_factory : callable or None
        None counts without decoding.
    conversation : Conversation or None
        With the station; None when it answers no requests.
    """

    def __init__(
        self,
        place: Place,
        scenario: Scenario,
        channel: Channel,
        *,
        end_ns: int,
        decoder_factory: DecoderFactory | None,
        conversation: Conversation | None,
    ) -> None:
        self.place = place
        self._config = node_config(place, scenario)
        self._factory = decoder_factory
        self._site = Site(place, scenario, channel, conversation=conversation)
        self.conversation = conversation
        self.period_samples = self._site.period_samples
        self._turn_periods = self._site.turn_periods
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        self._uptimes = uptimes(place.power_cuts_ns, boot_ns=boot_ns, end_ns=end_ns)
        self.node: SpeakerNode | None = None
        self.ended_nodes: list[SpeakerNode] = []
        """Those that a power cut ended."""
        self._end_ns = end_ns
        self._up: Uptime | None = None
        self._behind: tuple[list[bytes], list[int]] = ([], [])
        """Datagrams that came after the last period so far, and when, on the node's clock."""
        self._shell: VirtualShell | None = None

    def skew_ppm(self) -> float:
        """Return the true frequency error of the node's clock at the start."""
        return self._site.clock.skew_ppm(0)

    def run_chunk(
        self,
        sending: Sending,
        depart_ns: NDArray[np.int64],
        end_ns: int,
        sound: NDArray[np.float32],
    ) -> Chunk:
        """Run up to `end_ns`; fill `sound` with what is played.

        Parameters
        ----------
        sending : Sending
            What the station sent since the last call; some of it may be sent after `end_ns`.
        depart_ns : (n,) int64
            When each of it reaches the downlink, LOST_NS where it does not.
        end_ns : int
            What the CPU could begin before this true time is run.
        sound : (samples, 1) float32
            Takes the output of the chunk's periods, from its start on.
        """
        plan = self._site.plan(sending, depart_ns, end_ns)
        work = self._site.work(sending, plan)
        down, raw = self._run_turns(work, plan.tick_ns, sound)
        self._keep_behind(work)
        if end_ns == self._end_ns and down.size and not down[-1]:
            self._take_behind()
        chunk = self._site.chunk(plan, down, raw)
        if self._factory is not None:
            size = plan.tick_ns.size
            sound[: size * self.period_samples].reshape(size, -1)[chunk.silent] = 0.0
        return chunk

    def _run_turns(
        self, work: Work, tick_ns: NDArray[np.int64], sound: NDArray[np.float32]
    ) -> tuple[NDArray[np.bool_], Records[Played]]:
        """Run the node turn by turn; return the periods in which it was down, and its journal."""
        down = np.ones(tick_ns.size, np.bool_)
        journals: list[Records[Played]] = []
        for up in self._uptimes:
            first = int(np.searchsorted(tick_ns, up.start_ns))
            last = int(np.searchsorted(tick_ns, up.end_ns))
            down[first:last] = False
            for at in range(first, last, self._turn_periods):
                end = min(at + self._turn_periods, last)
                if self._up is not up:
                    self._boot(up)
                if at == 0:
                    self._take_behind()
                journals.append(self._turn(work, at, end, sound))
        whole = together(journals, Played)
        return down, whole

    def _take_behind(self) -> None:
        assert self._shell is not None
        self._shell.receive(*self._behind)

    def _keep_behind(self, work: Work) -> None:
        """Keep what came after the last period: only the next one tells whether it finds power."""
        heard, at_ns = self._behind if not work.before else ([], [])
        last = work.before[-1] if work.before else 0
        self._behind = heard + work.datagrams[last:], at_ns + work.now_ns[last:]

    def _boot(self, up: Uptime) -> None:
        if self.node is not None:
            self.ended_nodes.append(self.node)
        self.node = SpeakerNode(self._config, decoder_factory=self._factory)
        self._shell = VirtualShell(
            self.node,
            self._site.clock,
            self.conversation,
            period_samples=self.period_samples,
            lead_ns=self._site.lead_ns,
            counts_only=self._factory is None,
        )
        self._up = up

    def _turn(
        self, work: Work, first: int, last: int, sound: NDArray[np.float32]
    ) -> Records[Played]:
        """Run periods `first` to `last` of the chunk with the datagrams before each."""
        assert self.node is not None and self._shell is not None
        self._shell.play(work, first, last, sound)
        return _ROWS[: self.node.take_journal(_ROWS)].copy()
