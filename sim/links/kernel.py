"""One direction of one link, packet by packet: loss, outage, queue, stall, transit, order kept."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel, kernel
from node.kernel.record import Record, Records, nested, whole
from sim.chance.bits import Bits, next_raw, raw_of, stepped
from sim.chance.rng import drawn, drawn_between

LOST_NS: Final = -1
"""Arrival of a packet that never comes."""

NEVER_NS: Final = 1 << 62


class Direction(Record):
    """One direction of a link: what it is, and what it was left in by the packets before."""

    enter_loss: int = whole(
        "2^-32",
        "Chance per packet to go from good to bad (Gilbert-Elliott; in the bad state all go).",
    )
    leave_loss: int = whole("2^-32", "Chance per packet to go from bad to good.")
    one_way_ns: int = whole("ns", "What the fastest packet takes, its transmission left out.")
    transmit_ns: int = whole("ns", "Time that one packet takes at the rate of the link.")
    queue_ns: int = whole("ns", "Who would wait longer is dropped.")
    bad: int = whole("", "1 in the bad state.")
    free_ns: int = whole("ns", "When the packets before have left the queue.")
    newest_ns: int = whole("ns", "Latest arrival so far: the link keeps the order.")


class Passing(Record):
    """One packet on its way through."""

    raw: int = whole("", "Bits of one draw, used or not.", of=np.uint64)
    jitter_ns: int = whole("ns", "What comes on top of its way, >= 0.")
    depart_ns: int = whole("ns", "When it leaves; LOST_NS if it was lost before. In order.")
    arrive_ns: int = whole("ns", "When it arrives, or LOST_NS: filled.")


class Coming(Record):
    """Spells that come by themselves, of which each is drawn when the one before is over."""

    interval_us: int = whole("us", "Mean time from one end to the next start; 0: none comes.")
    shortest_ns: int = whole("ns", "Least length.")
    longest_ns: int = whole("ns", "Largest length.")
    delay_us: int = whole("us", "Mean of what one adds to each packet.")
    start_ns: int = whole("ns", "When the one that is looked at begins.")
    end_ns: int = whole("ns", "When it ends.")
    delay_ns: int = whole("ns", "What it adds.")


class Passage(Record):
    """One direction of a link with all its chance."""

    link: Records[Direction] = nested(Direction, "What it is, and where.", (1,))
    chance: Records[Bits] = nested(
        Bits, "What is lost, what comes on top of a way, when it stalls.", (3,)
    )
    stall: Records[Coming] = nested(Coming, "Its stalls.", (1,))
    scale_us: int = whole("us", "What 1.0 of the table of what comes on top stands for.")


LOSS: Final = 0
JITTER: Final = 1
STALL: Final = 2
"""Places of a link's streams of chance."""


@inner_kernel("int64(int64[:, ::1], int64, int64)")
def find_spell(spells: NDArray[np.int64], first: int, at_ns: int) -> int:
    """Return the row of the first spell from `first` on that ends after `at_ns`.

    spells  (n, 3) int64: start ns, end ns, delay ns; sorted, not overlapping
    first   row to begin at
    """
    while first < spells.shape[0] and spells[first, 1] <= at_ns:
        first += 1
    return first


@kernel("boolean(int64[::1], int64[::1])")
def span(depart_ns: NDArray[np.int64], ends_ns: NDArray[np.int64]) -> bool:
    """Find when the first and the last of some packets left; return False where none did.

    depart_ns  (n,) int64, ns, LOST_NS for what was lost before
    ends_ns    (2,) int64, ns: filled
    """
    first_ns = last_ns = np.int64(LOST_NS)
    for i in range(depart_ns.shape[0]):
        at_ns = depart_ns[i]
        if at_ns != LOST_NS:
            first_ns = at_ns if first_ns == LOST_NS else min(first_ns, at_ns)
            last_ns = max(last_ns, at_ns)
    ends_ns[0], ends_ns[1] = first_ns, last_ns
    return bool(last_ns != LOST_NS)


@inner_kernel("void(Coming, Bits, int64[::1])")
def come(own: Coming, bits: Bits, table: NDArray[np.int64]) -> None:
    """Draw the next spell: the pause before it, its length, its delay.

    table  (1025,) int64, quantiles in Q16 of the exponential distribution
    """
    own.start_ns = own.end_ns + 1000 * drawn(table, own.interval_us, next_raw(bits))
    own.end_ns = own.start_ns + drawn_between(own.shortest_ns, own.longest_ns, next_raw(bits))
    own.delay_ns = 1000 * drawn(table, own.delay_us, next_raw(bits))


@inlined
def _is_lost(link: Direction, raw: int) -> bool:
    """Let the loss process go on by one packet; return whether that one is lost.

    raw  bits of one draw, uint64
    """
    draw = np.int64(raw >> np.uint64(32))
    if link.bad != 0:
        if draw < link.leave_loss:
            link.bad = 0
    elif draw < link.enter_loss:
        link.bad = 1
    return bool(link.bad != 0)


@inlined
def _arrival_ns(link: Direction, start_ns: int, jitter_ns: int) -> int:
    """Return when a packet arrives that leaves the queue at `start_ns`.

    What was sent later does not overtake: one queue per bearer and class (3GPP, RLC in order; one
    AP queue for Wi-Fi).
    """
    link.free_ns = start_ns + link.transmit_ns
    link.newest_ns = max(link.newest_ns, link.free_ns + link.one_way_ns + jitter_ns)
    return link.newest_ns


@inlined
def _within(spells: NDArray[np.int64], at: int, at_ns: int) -> bool:
    """Return whether a time lies in the spell of that row, which ends after it."""
    return bool(at < spells.shape[0] and at_ns >= spells[at, 0])


@kernel("void(Direction[::1], Passing[::1], int64[:, ::1], int64[:, ::1], int64[:, ::1])")
def traverse(
    directions: Records[Direction],
    packets: Records[Passing],
    stalls: NDArray[np.int64],
    busy: NDArray[np.int64],
    outages: NDArray[np.int64],
) -> None:
    """Send packets through a link; each gets its arrival, or LOST_NS.

    directions             (1,), moves on
    packets                (n,), their arrivals are filled
    stalls, busy, outages  (m, 3) int64: start, end, added delay in ns
    """
    link = directions[0]
    stall = spell = outage = 0
    for i in range(packets.shape[0]):
        packet = packets[i]
        packet.arrive_ns = LOST_NS
        is_lost = _is_lost(link, packet.raw)
        if packet.depart_ns == LOST_NS or is_lost:
            continue
        at_ns = packet.depart_ns
        outage = find_spell(outages, outage, at_ns)
        if _within(outages, outage, at_ns):
            continue
        start_ns = max(at_ns, link.free_ns)
        stall = find_spell(stalls, stall, start_ns)
        if _within(stalls, stall, start_ns):
            start_ns = stalls[stall, 1]
        if start_ns - at_ns > link.queue_ns:
            continue
        spell = find_spell(busy, spell, start_ns)
        more_ns = busy[spell, 2] if _within(busy, spell, start_ns) else 0
        packet.arrive_ns = _arrival_ns(link, start_ns, packet.jitter_ns + more_ns)


@kernel("void(Passage[::1], float64)")
def enter(passages: Records[Passage], bad: float) -> None:
    """Let a link be in the long-run state of its loss process, as its first packet meets it.

    bad  2^-32, chance to be in the bad state
    """
    own = passages[0]
    draw = np.int64(next_raw(own.chance[LOSS]) >> np.uint64(32))
    own.link[0].bad = 1 if draw < bad else 0


@kernel("void(Passage[::1], int64[:, ::1], int64[::1], int64[::1], int64[:, ::1], int64[:, ::1])")
def send(
    passages: Records[Passage],
    tables: NDArray[np.int64],
    depart_ns: NDArray[np.int64],
    arrive_ns: NDArray[np.int64],
    busy: NDArray[np.int64],
    outages: NDArray[np.int64],
) -> None:
    """Send packets through a link, as `traverse` does, with draws of its own for each.

    passages       (1,), moves on
    tables         (2, 1025) int64, quantiles in Q16 of what comes on top, and exponential ones
    depart_ns      (n,) int64, ns, LOST_NS for what was lost before; in order, as of all before
    arrive_ns      (n,) int64, ns or LOST_NS, filled
    busy, outages  (m, 3) int64: start, end, added delay in ns
    """
    own, link = passages[0], passages[0].link[0]
    loss, jitter, stall = own.chance[LOSS], own.chance[JITTER], own.stall[0]
    high, low, step_high, step_low = loss.high, loss.low, loss.step_high, loss.step_low
    more_high, more_low = jitter.high, jitter.low
    more_step_high, more_step_low = jitter.step_high, jitter.step_low
    scale_us, spell, outage = own.scale_us, 0, 0
    for i in range(depart_ns.shape[0]):
        high, low = stepped(high, low, step_high, step_low)
        more_high, more_low = stepped(more_high, more_low, more_step_high, more_step_low)
        is_lost = _is_lost(link, raw_of(high, low))
        at_ns = depart_ns[i]
        arrive_ns[i] = LOST_NS
        if at_ns == LOST_NS or is_lost:
            continue
        outage = find_spell(outages, outage, at_ns)
        if _within(outages, outage, at_ns):
            continue
        start_ns = max(at_ns, link.free_ns)
        while stall.end_ns <= start_ns:
            come(stall, own.chance[STALL], tables[1])
        if start_ns >= stall.start_ns:
            start_ns = stall.end_ns
        if start_ns - at_ns > link.queue_ns:
            continue
        spell = find_spell(busy, spell, start_ns)
        more_ns = busy[spell, 2] if _within(busy, spell, start_ns) else 0
        more_ns += 1000 * drawn(tables[0], scale_us, raw_of(more_high, more_low))
        arrive_ns[i] = _arrival_ns(link, start_ns, more_ns)
    loss.high, loss.low, jitter.high, jitter.low = high, low, more_high, more_low
