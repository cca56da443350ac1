"""What is around a node: its link, its clocks, its sound card and its CPU, chunk by chunk.

```
true time   send ─uplink─► depart ─downlink─► arrive ─CPU─► done      tick ─CPU─► finish   play
                                               network card   buffer   card asks            DAC
node's own                                                    now_ns              presentation_ns
```
Both tiers, the drive and the world, let their nodes live by it.
"""

from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.kernel.record import Records, together
from node.source.state import Played
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, one_between, stream
from sim.drive.virtual_shell import Work
from sim.gateway.cpu import Host
from sim.gateway.crystal import Oscillator
from sim.links.channel import Channel
from sim.links.kernel import LOST_NS
from sim.links.trouble import AFTER_NS, Troubled
from sim.station.conversation import Conversation
from sim.station.programme import Sending
from sim.village.places import Place
from sim.village.scenario import Scenario

TURN_NS: Final = 5 * NS_PER_S
"""Between two looks at the node's journal: it must fit 4096 rows even when each is 5 ms, and a
source that is forgotten, ten seconds after its last packet, takes the rows of its turn along."""

BOOT_MIN_NS: Final = NS_PER_S
BOOT_MAX_NS: Final = 3600 * NS_PER_S
"""A node's monotonic clock shows so much at the start of the run."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Packets and periods of a chunk in the order in which the CPU gets to them."""

    numbers: NDArray[np.int64]
    """(n,) int64: which packet of the run each is."""

    now_ns: NDArray[np.int64]
    """(n,) int64: when each is in the jitter buffer, on the node's clock."""

    before: NDArray[np.int64]
    """(m,) int64: how many of the packets come before each period."""

    presentation_ns: NDArray[np.int64]
    """(m,) int64: when the first sample of each period leaves the converter, on that clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What comes to one node in one chunk of time, whatever it makes of it; true ns."""

    first_packet: int
    arrive_ns: NDArray[np.int64]
    """Arrival of each packet sent in this chunk, LOST_NS where it never comes."""

    heard: Heard
    first_period: int
    tick_ns: NDArray[np.int64]
    finish_ns: NDArray[np.int64]
    play_ns: NDArray[np.int64]
    next_play_ns: int
    """When the first period of the next chunk plays."""

    silent: NDArray[np.bool_]
    """Periods that the CPU did not finish in time."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What one node did in one chunk of time; all times are true ns."""

    plan: Plan
    """What came to it."""

    silent: NDArray[np.bool_]
    """(periods,) bool: those without sound: the CPU was late, or the node was down."""

    journal: Records[Played]
    """What `SpeakerNode.take_journal` gives, its instants in true time."""

    raw_journal: Records[Played]
    """The rows as the node wrote them, for the trace."""


@kernel("int64(int64[::1], int64, int64, int64[::1], int64[::1])")
def line_up(
    arrive_ns: NDArray[np.int64],
    first: int,
    waiting: int,
    all_ns: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> int:
    """Put what comes behind what waits, in the order of arrival; return how many there are.

    arrive_ns  (n,) int64, when each packet comes, or LOST_NS
    first      number of the first of them
    waiting    how many wait
    all_ns     (waiting + n,) int64, those that wait, in their order; the others are put in
    numbers    (waiting + n,) int64, counts from the first packet of the run: likewise

    Of those that come in one instant the lower number is first. A link keeps the order, so hardly
    any packet moves far.
    """
    count = waiting
    for i in range(arrive_ns.shape[0]):
        at_ns = arrive_ns[i]
        if at_ns == LOST_NS:
            continue
        place = count
        while place > 0 and all_ns[place - 1] > at_ns:
            all_ns[place] = all_ns[place - 1]
            numbers[place] = numbers[place - 1]
            place -= 1
        all_ns[place] = at_ns
        numbers[place] = first + i
        count += 1
    return count


@kernel("void(int64[::1], int64[::1], int64[::1])")
def count_before(
    done_ns: NDArray[np.int64], finish_ns: NDArray[np.int64], before: NDArray[np.int64]
) -> None:
    """Count the packets that are done before each period is finished.

    done_ns    (n,) int64, ascending
    finish_ns  (m,) int64, ascending
    before     (m,) int64, counts: filled
    """
    count = 0
    for i in range(finish_ns.shape[0]):
        while count < done_ns.shape[0] and done_ns[count] < finish_ns[i]:
            count += 1
        before[i] = count


class Site:
    """All that is around one node.

    Parameters
    ----------
    place : Place
        What it is made of.
    scenario : Scenario
        For the length of a packet, and the seed of the run.
    channel : Channel
        Its downlink.
    conversation : Conversation or None
        With the station; None when it answers no requests.
    uptime_ns : int
        How much longer its clock has been running than is drawn.
    """

    def __init__(
        self,
        place: Place,
        scenario: Scenario,
        channel: Channel,
        *,
        conversation: Conversation | None,
        uptime_ns: int = 0,
    ) -> None:
        self.place = place
        self._channel = channel
        self.conversation = conversation
        at = (scenario.seed, place.commune, place.node)
        self._host = Host(
            place.profile,
            seed=scenario.seed,
            commune=place.commune,
            node=place.node,
            packet_ms=scenario.sender.packet_ms,
            left=[
                (one.start_ns - place.live_ns, one.end_ns - place.live_ns, one.fault.amount)
                for one in place.befallen
                if one.fault.kind == "cpu_throttle"
            ],
        )
        self.clock, self._card = crystals(place, *at, uptime_ns=uptime_ns)
        card = place.profile.sound_card
        self.period_samples = card.period_samples.value
        self._period_ns = self.period_samples * NS_PER_S // card.rate_hz.value
        self.turn_periods = max(1, TURN_NS // self._period_ns)
        """Periods between two looks at the node's journal."""
        device_ns = round(card.device_latency_ms.value * NS_PER_MS)
        self.lead_ns = self._host.queued_ns + device_ns
        """From the moment at which a period is asked for to its presentation."""
        bits = stream(scenario.seed, Purpose.PHASE, commune=place.commune, node=place.node)
        self._phase_ns = one_between(bits, 0, self._period_ns - 1)
        self._next_period = 0
        self._waiting_ns = np.zeros(0, np.int64)
        self._waiting = np.zeros(0, np.int64)
        self._doubled = np.zeros(0, np.int64)
        """Packets that come twice, and have not come yet."""
        self._sendings: list[Sending] = []
        """Those of which a packet is still on its way: all nodes have the same ones."""

    def plan(self, sending: Sending, depart_ns: NDArray[np.int64], end_ns: int) -> Plan:
        """Return what comes up to `end_ns`, and what the CPU could begin before that.

        Parameters
        ----------
        sending : Sending
            What the station sent since the last call; some of it may be sent after `end_ns`.
        depart_ns : (n,) int64
            When each of it reaches the downlink, LOST_NS where it does not.
        end_ns : int
            True time.
        """
        sequence = np.arange(sending.first, sending.first + depart_ns.size, dtype=np.int64)
        arrive_ns = self._channel.carry(depart_ns, sequence)
        for cut_ns, back_ns in self.place.link_cuts_ns:
            arrive_ns[(arrive_ns >= cut_ns) & (arrive_ns < back_ns)] = LOST_NS
        if self.conversation is not None:
            self.conversation.note_chunk(sending, arrive_ns)
        here_ns, numbers = self._arrivals(sending.first, arrive_ns, end_ns)
        if isinstance(self._channel, Troubled):
            here_ns, numbers = self._twice(here_ns, numbers, sequence[self._channel.doubled])
        first, tick_ns, play_ns, ready_ns, next_play_ns = self._periods(end_ns)
        done_ns, finish_ns = self._host.run(here_ns, first, ready_ns)
        before = np.empty(finish_ns.size, np.int64)
        count_before(done_ns, finish_ns, before)
        heard = Heard(
            numbers=numbers,
            now_ns=self.clock.to_local(done_ns),
            before=before,
            presentation_ns=self.clock.to_local(play_ns),
        )
        return Plan(
            first_packet=sending.first,
            arrive_ns=arrive_ns,
            heard=heard,
            first_period=first,
            tick_ns=tick_ns,
            finish_ns=finish_ns,
            play_ns=play_ns,
            next_play_ns=next_play_ns,
            silent=finish_ns > tick_ns + self._host.queued_ns,
        )

    def work(self, sending: Sending, plan: Plan) -> Work:
        """Return the packets and periods of a plan as a node takes them; see `datagrams`."""
        heard = plan.heard
        return Work(
            self.datagrams(sending, plan),
            heard.now_ns.tolist(),
            heard.before.tolist(),
            heard.presentation_ns.tolist(),
        )

    @property
    def oldest_waiting(self) -> int | None:
        """Return the number of the first packet still on its way after the last plan, or None."""
        return int(self._waiting.min()) if self._waiting.size else None

    def datagrams(self, sending: Sending, plan: Plan) -> list[bytes]:
        """Return the packets of a plan as a node takes them.

        Called once for each plan, in order: some of it arrives after its chunk.
        """
        sendings = [*self._sendings, sending]
        first = sendings[0].first
        sent = list(chain.from_iterable(one.datagrams for one in sendings))
        oldest = self.oldest_waiting
        self._sendings = [
            one
            for one in sendings
            if oldest is not None and one.first + len(one.datagrams) > oldest
        ]
        return [sent[number - first] for number in plan.heard.numbers.tolist()]

    def _twice(
        self, here_ns: NDArray[np.int64], numbers: NDArray[np.int64], doubled: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what comes with the copies of some packets; one comes in the chunk of its packet.

        here_ns  (n,) int64, ascending; numbers  (n,) int64; doubled  (m,) int64, numbers
        """
        self._doubled = np.concatenate([self._doubled, doubled])
        again = np.isin(numbers, self._doubled)
        self._doubled = np.setdiff1d(self._doubled, numbers)
        last_ns = here_ns[-1] if here_ns.size else 0
        all_ns = np.concatenate([here_ns, np.minimum(here_ns[again] + AFTER_NS, last_ns)])
        order = np.argsort(all_ns, kind="stable")
        return all_ns[order], np.concatenate([numbers, numbers[again]])[order]

    def chunk(self, plan: Plan, down: NDArray[np.bool_], raw: Records[Played]) -> Chunk:
        """Return what became of a plan.

        down  (periods,) bool, flags: without power
        raw   (rows,) Played, the node's journal as it wrote it; times in ns
        """
        silent = plan.silent | down
        for cut_ns, back_ns in self.place.card_cuts_ns:
            silent |= (plan.play_ns >= cut_ns) & (plan.play_ns < back_ns)
        journal = together([raw], Played)
        for name in ("arrival_ns", "presentation_ns"):
            local_ns = journal[name]
            local_ns[:] = np.where(local_ns >= 0, self.clock.to_true(local_ns), local_ns)
        return Chunk(plan, silent, journal, raw)

    def _arrivals(
        self, first: int, arrive_ns: NDArray[np.int64], end_ns: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return when what arrives before `end_ns` does, in order, and the numbers of its packets;
        keep the rest for the next chunk.
        """
        waiting = self._waiting_ns.size
        all_ns = np.empty(waiting + arrive_ns.size, np.int64)
        numbers = np.empty(all_ns.size, np.int64)
        all_ns[:waiting], numbers[:waiting] = self._waiting_ns, self._waiting
        count = line_up(arrive_ns, first, waiting, all_ns, numbers)
        all_ns, numbers = all_ns[:count], numbers[:count]
        now = int(np.searchsorted(all_ns, end_ns))
        self._waiting_ns, self._waiting = all_ns[now:].copy(), numbers[now:].copy()
        return all_ns[:now], numbers[:now]

    def _periods(
        self, end_ns: int
    ) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], int]:
        """Return the first period's number; when each is asked for, plays, and is begun; and when
        the one after them plays.

        The card's own crystal counts the periods. Those that are begun before `end_ns` are in.
        """
        first = self._next_period
        lead_ns = self.lead_ns
        # A card may be fast: take some more, and cut.
        count = max(0, end_ns // self._period_ns - first + end_ns // (1000 * self._period_ns) + 8)
        number = np.arange(first, first + count, dtype=np.int64)
        play_ns = self._card.to_true(self._phase_ns + lead_ns + number * self._period_ns)
        tick_ns = play_ns - lead_ns
        tick_ns = tick_ns[: int(np.searchsorted(tick_ns, end_ns))]
        ready_ns = self._host.ready_ns(first, tick_ns)
        cut = int(np.searchsorted(ready_ns, end_ns))
        self._next_period = first + cut
        assert cut < play_ns.size, "some more were taken"
        return first, tick_ns[:cut], play_ns[:cut], ready_ns[:cut], int(play_ns[cut])


def crystals(
    place: Place, seed: int, commune: str, node: str, *, uptime_ns: int
) -> tuple[Oscillator, Oscillator]:
    """Return the node's monotonic clock and the sound card's."""
    board, card = place.profile.board, place.profile.sound_card
    bits = stream(seed, Purpose.START, commune=commune, node=node)
    offset_ns = one_between(bits, BOOT_MIN_NS, BOOT_MAX_NS) + uptime_ns

    def crystal(name: str, sigma_ppm: float, offset_ns: int) -> Oscillator:
        return Oscillator(
            stream(seed, Purpose.CRYSTAL, commune=commune, node=name),
            sigma_ppm=sigma_ppm,
            max_ppm=board.clock_max_ppm.value,
            curve_ppb_per_k2=board.clock_curve_ppb_per_k2.value,
            wander_ppb=board.clock_wander_ppb.value,
            ambient_c=place.ambient_c,
            fixed_ppm=place.skew_ppm,
            offset_ns=offset_ns,
        )

    clock = crystal(node, board.clock_sigma_ppm.value, offset_ns)
    if card.own_crystal.value:
        return clock, crystal(f"{node}/card", card.clock_sigma_ppm.value, 0)
    # The same crystal drives both: same stream, same frequency, another zero.
    return clock, crystal(node, board.clock_sigma_ppm.value, 0)
