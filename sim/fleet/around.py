"""What comes to a node in a chunk of time, and when its CPU gets to it: one kernel for all of it.

```
true time   arrive ─line up─► CPU ─► done     tick ─wake─► ready ─CPU─► finish      play
node's own                            now_ns                             presentation_ns
```
It is `Site.plan` of `sim.drive.site` after the link: its queues, crystals and draws, in one pass.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, inner, nested, new, octets, whole
from node.source.state import Played
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, one_between, stream
from sim.drive.site import crystals, line_up
from sim.drive.sums import PERIOD_ROWS
from sim.drive.trace import Mixed, mix
from sim.gateway.cpu import Costs, Host, wake_ns
from sim.gateway.crystal import WINDOW_MINUTES, Minutes, minute_of, read_ns, show_all
from sim.links.kernel import LOST_NS
from sim.village.places import Place
from sim.village.scenario import Scenario

# Rows of arrivals, (2, n) int64.
AT: Final = 0
"""When a packet comes, then when it is in the jitter buffer on the node's clock; ns."""
NUMBER: Final = 1
"""Which packet of the run it is."""

# Rows of periods, (6, m) int64: those that `sim.drive.sums` looks at (true ns, and a flag), and two
# more.
TICK: Final = 0
FINISH: Final = 1
PLAY: Final = 2
UNHEARD: Final = 3
BEFORE: Final = PERIOD_ROWS
"""How many of the packets come before it."""
PRESENTATION: Final = PERIOD_ROWS + 1
"""When its first sample leaves the converter, on the node's clock; ns."""

_NEVER_NS: Final = 1 << 62
_MINUTE_NS: Final = 60 * NS_PER_S
_PPB: Final = 1_000_000_000
_KEPT_NS: Final = NS_PER_S
"""What plays in a chunk began so much before it at the most: two packets, and more than that."""
_MORE_PERIODS: Final = 8


class Around(Record):
    """A node's CPU and clocks, and what came of a chunk."""

    costs: Records[Costs] = nested(Costs, "Of its CPU.", (1,))
    clock: Records[Minutes] = nested(Minutes, "Its monotonic clock.", (1,))
    card: Records[Minutes] = nested(Minutes, "Its sound card's crystal.", (1,))
    phase_ns: int = whole("ns", "When the card asked for period 0, by its crystal.")
    lead_ns: int = whole("ns", "From asking for a period to its presentation.")
    period_ns: int = whole("ns", "From a period to the next.")
    queued_ns: int = whole("ns", "Who finishes later than that after he was asked is too late.")
    first_packet: int = whole("", "Number of the first packet of the chunk.")
    waiting: int = whole("", "Packets that wait from before.")
    kept: int = whole("", "Periods of the chunk before that are still known.")
    next_period: int = whole("", "Number of the next period.")
    end_ns: int = whole("ns", "What the CPU could begin before is in.")
    lined: int = whole("", "Packets that came or wait: filled.")
    come: int = whole("", "Those that came before the end: filled.")
    periods: int = whole("", "Periods of the chunk: filled.")
    next_play_ns: int = whole("ns", "When the one after them plays: filled.")
    lost: int = whole("", "Packets that never come: filled.")
    missed: int = whole("", "Periods that the CPU did not finish in time: filled.")


@inner_kernel("void(Around, uint64[::1], uint64[::1], int64[:, ::1], int64[:, ::1])")
def _serve(
    own: Around,
    left: NDArray[np.uint64],
    wakes: NDArray[np.uint64],
    arrivals: NDArray[np.int64],
    periods: NDArray[np.int64],
) -> None:
    """Let the card ask, and the CPU serve packets and periods: `serve` and what is around it.

    left      (l,) uint64, bits as they were drawn, for each period from the next one on
    wakes     (w,) uint64, bits as they were drawn, for those after them
    arrivals  (2, a) int64, ns and counts: when each comes, then when the CPU has it, true time
    periods   (6, m) int64, ns, flags and counts: filled behind those that are kept
    """
    # Read once: what is written below may lie anywhere, so each further look would be a load.
    costs, card = own.costs[0], own.card[0]
    receive_ns, render_ns, end_ns, come = costs.receive_ns, costs.render_ns, own.end_ns, own.come
    into_ns = own.next_period * costs.period_ns % costs.packet_ns
    card_ns = own.phase_ns + own.lead_ns + own.next_period * own.period_ns
    # The card's time is read as by `read_ns`. From period to period a quotient grows by the same
    # step and its remainder likewise, so that within a minute nothing is divided.
    minute = knot_ns = slow_ns = rest = step_ns = step_rest = 0
    till_ns, rate = card_ns, 1
    before_ns, free_ns = -_NEVER_NS, costs.free_ns
    served = missed = 0
    at, fresh = own.kept, own.kept + left.shape[0]
    while True:
        if card_ns >= till_ns:
            minute = minute_of(card, card_ns, minute)
            knot_ns = card.knots_ns[minute]
            till_ns = card.knots_ns[minute + 1] if minute + 1 < WINDOW_MINUTES else _NEVER_NS
            ppb, rate = card.ppb[minute], _PPB + card.ppb[minute]
            slow_ns, rest = (card_ns - knot_ns) * ppb // rate, (card_ns - knot_ns) * ppb % rate
            step_ns, step_rest = own.period_ns * ppb // rate, own.period_ns * ppb % rate
        play_ns = (card.first + minute) * _MINUTE_NS + card_ns - knot_ns - slow_ns
        tick_ns = play_ns - own.lead_ns
        if tick_ns >= end_ns:
            break
        raw = wakes[at - fresh] if at >= fresh else left[at - own.kept]
        before_ns = max(before_ns, tick_ns + wake_ns(costs, raw))
        if before_ns >= end_ns:
            break
        while served < come and arrivals[AT, served] <= before_ns:
            free_ns = max(free_ns, arrivals[AT, served]) + receive_ns
            arrivals[AT, served] = free_ns
            served += 1
        free_ns = max(free_ns, before_ns)
        in_time = free_ns - before_ns <= costs.buffer_ns
        free_ns += render_ns if in_time else 0
        into_ns += costs.period_ns
        while into_ns >= costs.packet_ns:
            into_ns -= costs.packet_ns
            free_ns += costs.decode_ns if in_time else 0
        earlier = served
        while earlier > 0 and arrivals[AT, earlier - 1] >= free_ns:
            earlier -= 1  # who renders at no cost is done in the same instant
        is_late = free_ns > tick_ns + own.queued_ns
        missed += is_late
        periods[TICK, at], periods[FINISH, at], periods[PLAY, at] = tick_ns, free_ns, play_ns
        periods[UNHEARD, at], periods[BEFORE, at] = is_late, earlier
        at, card_ns = at + 1, card_ns + own.period_ns
        slow_ns += step_ns
        rest += step_rest
        if rest >= rate:
            rest -= rate
            slow_ns += 1
    for i in range(served, come):
        free_ns = max(free_ns, arrivals[AT, i]) + receive_ns
        arrivals[AT, i] = free_ns
    costs.free_ns = free_ns
    own.next_play_ns = play_ns
    own.missed = missed
    own.periods = at - own.kept
    own.next_period += own.periods
    periods[PLAY, at] = _NEVER_NS  # nobody looks beyond it


@kernel("void(Around[::1], int64[::1], uint64[::1], uint64[::1], int64[:, ::1], int64[:, ::1])")
def gather(
    arounds: Records[Around],
    arrive_ns: NDArray[np.int64],
    left: NDArray[np.uint64],
    wakes: NDArray[np.uint64],
    arrivals: NDArray[np.int64],
    periods: NDArray[np.int64],
) -> None:
    """Line up what arrives, let the card ask for its periods, and the CPU serve both.

    arrive_ns  (n,) int64, when each packet of the chunk comes, or LOST_NS
    left       (l,) uint64, bits as they were drawn, for each period from the next one on
    wakes      (w,) uint64, bits as they were drawn, for those after them
    arrivals   (2, a) int64, ns and counts: those that wait, then room
    periods    (6, m) int64, ns, flags and counts: those that are still known, then room
    """
    own = arounds[0]
    own.lined = line_up(arrive_ns, own.first_packet, own.waiting, arrivals[AT], arrivals[NUMBER])
    own.lost = 0
    for i in range(arrive_ns.shape[0]):
        own.lost += arrive_ns[i] == LOST_NS
    come = own.lined
    while come > 0 and arrivals[AT, come - 1] >= own.end_ns:
        come -= 1
    own.come = come
    _serve(own, left, wakes, arrivals, periods)
    show_all(own.clock[0], arrivals[AT, :come], arrivals[AT, :come])
    first, end = own.kept, own.kept + own.periods
    show_all(own.clock[0], periods[PLAY, first:end], periods[PRESENTATION, first:end])


@kernel("int64(Around[::1], Mixed[::1], Played[::1], int64)")
def set_right(
    arounds: Records[Around], mixed: Records[Mixed], journal: Records[Played], first: int
) -> int:
    """Put the instants of a journal in true time from row `first` on, where they are on the clock.

    mixed    (1,), the trace: those rows are added as they stand
    journal  (n,), rows before `first` are right

    Returned is how many rows are known to have been asked for before the chunk's end.
    """
    clock = arounds[0].clock[0]
    came = played = 0
    for i in range(first, journal.shape[0]):
        row = journal[i]
        mix(mixed[0], row)
        if row.arrival_ns >= 0:
            came = minute_of(clock, row.arrival_ns, came)
            row.arrival_ns = read_ns(clock, came, row.arrival_ns)
        if row.presentation_ns >= 0:
            played = minute_of(clock, row.presentation_ns, played)
            row.presentation_ns = read_ns(clock, played, row.presentation_ns)
    known = 0
    while known < journal.shape[0] and journal[known].presentation_ns < arounds[0].next_play_ns:
        known += 1
    return known


class Surroundings:
    """The CPU and the clocks of one node, chunk by chunk.

    Parameters
    ----------
    place : Place
        What it is made of.
    scenario : Scenario
        For the length of a packet, and the seed of the run.
    """

    def __init__(self, place: Place, scenario: Scenario) -> None:
        at = (scenario.seed, place.commune, place.node)
        self._host = Host(
            place.profile,
            seed=scenario.seed,
            commune=place.commune,
            node=place.node,
            packet_ms=scenario.sender.packet_ms,
        )
        self._clock, self._card = crystals(place, *at, uptime_ns=0)
        card = place.profile.sound_card
        self.period_samples = card.period_samples.value
        self.period_ns = self.period_samples * NS_PER_S // card.rate_hz.value
        self.lead_ns = self._host.queued_ns + round(card.device_latency_ms.value * NS_PER_MS)
        """From the moment at which a period is asked for to its presentation."""
        bits = stream(scenario.seed, Purpose.PHASE, commune=place.commune, node=place.node)
        self.record = new(Around)
        self.record["costs"] = self._host.costs
        self.record["phase_ns"] = one_between(bits, 0, self.period_ns - 1)
        self.record["lead_ns"] = self.lead_ns
        self.record["period_ns"] = self.period_ns
        self.record["queued_ns"] = self._host.queued_ns
        crystals_of = (("clock", self._clock), ("card", self._card))
        self._minutes = [
            (one, octets(inner(self.record, name, Minutes)).view(np.int64))
            for name, one in crystals_of
        ]
        self._waiting = np.zeros((2, 0), np.int64)
        self._kept = np.zeros((PERIOD_ROWS, 0), np.int64)
        self._wakes = np.zeros(0, np.uint64)

    @property
    def waiting(self) -> int:
        """How many packets wait from before."""
        return self._waiting.shape[1]

    def gather(
        self,
        first: int,
        arrive_ns: NDArray[np.int64],
        end_ns: int,
        arrivals: NDArray[np.int64],
        periods: NDArray[np.int64],
    ) -> tuple[int, int]:
        """Fill in what comes up to `end_ns`, and what the CPU could begin before that.

        Parameters
        ----------
        first : int
            Number of the first packet that was sent since the last call.
        arrive_ns : (n,) int64
            When each of them arrives, LOST_NS where it never does.
        end_ns : int
            True time.
        arrivals : (2, a) int64
            ns and counts: filled, as `gather` does.
        periods : (6, m) int64
            ns, flags and counts: filled likewise.

        Returns
        -------
        int, int
            How many periods at the front are of before this chunk, and how many there are in all.
        """
        waiting, kept = self._waiting.shape[1], self._kept.shape[1]
        arrivals[:, :waiting] = self._waiting
        periods[:PERIOD_ROWS, :kept] = self._kept
        record = self.record
        for crystal, minutes in self._minutes:
            minutes[:] = crystal.minutes(end_ns)
        for name, value in (
            ("first_packet", first), ("waiting", waiting), ("kept", kept), ("end_ns", end_ns),
        ):  # fmt: skip
            record[name] = value
        begun = int(record["next_period"][0])
        # A card may be fast: draw some more, and keep what is left.
        most = end_ns // self.period_ns - begun + end_ns // (1000 * self.period_ns) + _MORE_PERIODS
        left, wakes = self._wakes, self._host.draw(max(0, most - self._wakes.size))
        gather(record, arrive_ns, left, wakes, arrivals, periods)
        count = int(record["periods"][0])
        self._wakes = np.concatenate([left[count:], wakes[max(0, count - left.size) :]])
        come, lined = int(record["come"][0]), int(record["lined"][0])
        self._waiting = arrivals[:, come:lined].copy()
        return kept, kept + count

    def keep(self, periods: NDArray[np.int64], end: int) -> None:
        """Remember the last of the periods, which are looked at once more in the next chunk.

        periods  (6, m) int64, ns, flags and counts, as they were filled, and marked unheard
        end      how many there are
        """
        first = max(0, end - _KEPT_NS // self.period_ns)
        self._kept = periods[:PERIOD_ROWS, first:end].copy()

    def restore(self, periods: NDArray[np.int64]) -> None:
        """Put what is remembered of periods back, and nothing after it.

        periods  (6, m) int64, ns, flags and counts: filled
        """
        kept = self._kept.shape[1]
        periods[:PERIOD_ROWS, :kept] = self._kept
        periods[PLAY, kept] = _NEVER_NS
        self.record["next_play_ns"] = _NEVER_NS
