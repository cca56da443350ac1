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

from node.kernel import inlined, inner_kernel, kernel
from node.kernel.record import Record, Records, nested, whole
from node.source.state import Played
from node.units import NS_PER_S
from sim.chance.bits import Bits, next_raw, raw_of, stepped
from sim.chance.rng import drawn_between
from sim.drive.site import BOOT_MAX_NS, BOOT_MIN_NS, line_up
from sim.drive.sums import PERIOD_ROWS
from sim.drive.trace import Mixed, mix
from sim.gateway.cpu import Costs, wake_ns
from sim.gateway.crystal import (
    WINDOW_MINUTES,
    Crystal,
    cut,
    look_about,
    minute_of,
    read_ns,
    show_all,
)
from sim.links.kernel import LOST_NS

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

CLOCK, WAKE, START, PHASE, CARD = range(5)
"""Places of a node's streams of chance."""

NEVER_NS: Final = 1 << 62
_MINUTE_NS: Final = 60 * NS_PER_S
_PPB: Final = 1_000_000_000


class Around(Record):
    """A node's CPU and clocks, and what came of a chunk."""

    costs: Records[Costs] = nested(Costs, "Of its CPU.", (1,))
    clock: Records[Crystal] = nested(Crystal, "Its monotonic clock.", (1,))
    card: Records[Crystal] = nested(Crystal, "Its sound card's crystal.", (1,))
    chance: Records[Bits] = nested(
        Bits, "Both crystals, what wake-ups take, when the clock began, and the card.", (5,)
    )
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


@inlined
def nth(place: int) -> int:
    """Return a place, never less than 0, so that nobody asks whether it counts from the end."""
    return np.uint64(place)  # type: ignore[return-value]  # as an index it is one like any other


@kernel("void(Around[::1], int64[::1], int64[::1])")
def set_up(arounds: Records[Around], table: NDArray[np.int64], figures: NDArray[np.int64]) -> None:
    """Draw what a node is, of which all else is there: its crystals, and when they began.

    table    (1025,) int64, quantiles in Q16 of the normal distribution
    figures  (3,) int64, spread of the clock's crystal, of the card's, and where both are cut; ppb
    """
    own = arounds[0]
    clock, card = own.clock[0], own.card[0]
    clock.next_ns = drawn_between(BOOT_MIN_NS, BOOT_MAX_NS, next_raw(own.chance[START]))
    cut(clock, own.chance[CLOCK], table, figures[0], figures[2])
    cut(card, own.chance[CARD], table, figures[1], figures[2])
    own.phase_ns = drawn_between(0, own.period_ns - 1, next_raw(own.chance[PHASE]))


@inlined
def _let_in(
    arrivals: NDArray[np.int64], served: int, come: int, until_ns: int, times_ns: tuple[int, int]
) -> tuple[int, int]:
    """Let the CPU have what came until then; return how many it has had, and when it is free.

    arrivals  (2, a) int64, ns and counts: when each comes, then when the CPU has it
    times_ns  when it is free, and what one takes
    """
    free_ns, receive_ns = times_ns
    while served < come and arrivals[AT, nth(served)] <= until_ns:
        free_ns = max(free_ns, arrivals[AT, nth(served)]) + receive_ns
        arrivals[AT, nth(served)] = free_ns
        served += 1
    return served, free_ns


@inner_kernel("void(Around, int64[:, ::1], int64[:, ::1])")
def _serve(own: Around, arrivals: NDArray[np.int64], periods: NDArray[np.int64]) -> None:
    """Let the card ask, and the CPU serve packets and periods: `serve` and what is around it.

    arrivals  (2, a) int64, ns and counts: when each comes, then when the CPU has it, true time
    periods   (6, m) int64, ns, flags and counts: filled behind those that are kept
    """
    # Read once: what is written below may lie anywhere, so each further look would be a load.
    costs, card, wakes = own.costs[0], own.card[0].minutes[0], own.chance[WAKE]
    high, low, step_high, step_low = wakes.high, wakes.low, wakes.step_high, wakes.step_low
    receive_ns, render_ns, end_ns, come = costs.receive_ns, costs.render_ns, own.end_ns, own.come
    lead_ns, queued_ns, period_ns = own.lead_ns, own.queued_ns, own.period_ns
    into_ns = own.next_period * costs.period_ns % costs.packet_ns
    card_ns = own.phase_ns + own.lead_ns + own.next_period * own.period_ns
    # The card's time is read as by `read_ns`. From period to period a quotient grows by the same
    # step and its remainder likewise, so that within a minute nothing is divided.
    minute = begun_ns = slow_ns = rest = step_ns = step_rest = 0
    till_ns, rate = card_ns, 1
    before_ns, free_ns = -NEVER_NS, costs.free_ns
    served, missed, at = 0, 0, own.kept
    while True:
        if card_ns >= till_ns:
            minute = minute_of(card, card_ns, minute)
            knot_ns = card.knots_ns[minute]
            till_ns = card.knots_ns[minute + 1] if minute + 1 < WINDOW_MINUTES else NEVER_NS
            ppb, rate = card.ppb[minute], _PPB + card.ppb[minute]
            slow_ns, rest = (card_ns - knot_ns) * ppb // rate, (card_ns - knot_ns) * ppb % rate
            step_ns, step_rest = period_ns * ppb // rate, period_ns * ppb % rate
            begun_ns = (card.first + minute) * _MINUTE_NS - knot_ns
        play_ns = begun_ns + card_ns - slow_ns
        tick_ns = play_ns - lead_ns
        if tick_ns >= end_ns:
            break
        next_high, next_low = stepped(high, low, step_high, step_low)
        before_ns = max(before_ns, tick_ns + wake_ns(costs, raw_of(next_high, next_low)))
        if before_ns >= end_ns:
            break  # it is in the next chunk, with that draw
        high, low = next_high, next_low
        served, free_ns = _let_in(arrivals, served, come, before_ns, (free_ns, receive_ns))
        free_ns = max(free_ns, before_ns)
        in_time = free_ns - before_ns <= costs.buffer_ns
        free_ns += render_ns if in_time else 0
        into_ns += costs.period_ns
        while into_ns >= costs.packet_ns:
            into_ns -= costs.packet_ns
            free_ns += costs.decode_ns if in_time else 0
        earlier = served
        while earlier > 0 and arrivals[AT, nth(earlier - 1)] >= free_ns:
            earlier -= 1  # who renders at no cost is done in the same instant
        is_late = free_ns > tick_ns + queued_ns
        missed += is_late
        row = nth(at)
        periods[TICK, row], periods[FINISH, row], periods[PLAY, row] = tick_ns, free_ns, play_ns
        periods[UNHEARD, row], periods[BEFORE, row] = is_late, earlier
        at, card_ns = at + 1, card_ns + period_ns
        slow_ns, rest = slow_ns + step_ns, rest + step_rest
        if rest >= rate:
            rest -= rate
            slow_ns += 1
    served, free_ns = _let_in(arrivals, served, come, NEVER_NS, (free_ns, receive_ns))
    wakes.high, wakes.low = high, low
    costs.free_ns, own.next_play_ns = free_ns, play_ns
    own.missed, own.periods = missed, at - own.kept
    own.next_period += own.periods
    periods[PLAY, at] = NEVER_NS  # nobody looks beyond it


@kernel("void(Around[::1], int64[::1], int64[::1], int64[:, ::1], int64[:, ::1])")
def gather(
    arounds: Records[Around],
    table: NDArray[np.int64],
    arrive_ns: NDArray[np.int64],
    arrivals: NDArray[np.int64],
    periods: NDArray[np.int64],
) -> None:
    """Line up what arrives, let the card ask for its periods, and the CPU serve both.

    table      (1025,) int64, quantiles in Q16 of the normal distribution
    arrive_ns  (n,) int64, when each packet of the chunk comes, or LOST_NS
    arrivals   (2, a) int64, ns and counts: those that wait, then room
    periods    (6, m) int64, ns, flags and counts: those that are still known, then room
    """
    own = arounds[0]
    look_about(own.clock[0], own.chance[CLOCK], table, own.end_ns)
    look_about(own.card[0], own.chance[CARD], table, own.end_ns)
    clock = own.clock[0].minutes[0]
    own.lined = line_up(arrive_ns, own.first_packet, own.waiting, arrivals[AT], arrivals[NUMBER])
    own.lost = 0
    for i in range(arrive_ns.shape[0]):
        own.lost += arrive_ns[i] == LOST_NS
    come = own.lined
    while come > 0 and arrivals[AT, come - 1] >= own.end_ns:
        come -= 1
    own.come = come
    _serve(own, arrivals, periods)
    show_all(clock, arrivals[AT, :come], arrivals[AT, :come])
    first, end = own.kept, own.kept + own.periods
    show_all(clock, periods[PLAY, first:end], periods[PRESENTATION, first:end])


@kernel("int64(Around[::1], Mixed[::1], Played[::1], int64)")
def set_right(
    arounds: Records[Around], mixed: Records[Mixed], journal: Records[Played], first: int
) -> int:
    """Put the instants of a journal in true time from row `first` on, where they are on the clock.

    mixed    (1,), the trace: those rows are added as they stand
    journal  (n,), rows before `first` are right

    Returned is how many rows are known to have been asked for before the chunk's end.
    """
    clock = arounds[0].clock[0].minutes[0]
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
