"""One direction of one link, packet by packet: loss, outage, queue, stall, transit, order kept."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, whole
from sim.chance.rng import drawn

LOST_NS: Final = -1
"""Arrival of a packet that never comes."""


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


AT_ONCE: Final = 256
"""Packets that are looked at one after another before the next ones are: they stay in the cache."""


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


@kernel("void(uint64[::1], uint64[::1], int64[::1], int64, int64[::1], Passing[::1])")
def load_packets(
    loss: NDArray[np.uint64],
    jitter: NDArray[np.uint64],
    table: NDArray[np.int64],
    scale_us: int,
    depart_ns: NDArray[np.int64],
    packets: Records[Passing],
) -> None:
    """Put packets at the beginning of a link, each with its draws; `from_table`, one by one.

    loss, jitter  (n,) uint64, bits as they were drawn
    table         (1025,) int64, quantiles in Q16 of what comes on top; none: nothing does
    scale_us      what 1.0 of the table stands for
    depart_ns     (n,) int64, ns, LOST_NS for what was lost before
    packets       (n,), filled
    """
    for i in range(packets.shape[0]):
        packet = packets[i]
        packet.raw = loss[i]
        packet.depart_ns = depart_ns[i]
        packet.jitter_ns = 0
        if table.shape[0] > 0:
            packet.jitter_ns = 1000 * drawn(table, scale_us, jitter[i])


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
    stall = 0
    spell = 0
    outage = 0
    for i in range(packets.shape[0]):
        packet = packets[i]
        draw = np.int64(packet.raw >> np.uint64(32))
        if link.bad != 0:
            if draw < link.leave_loss:
                link.bad = 0
        elif draw < link.enter_loss:
            link.bad = 1
        packet.arrive_ns = LOST_NS
        if packet.depart_ns == LOST_NS or link.bad != 0:
            continue
        at_ns = packet.depart_ns
        outage = find_spell(outages, outage, at_ns)
        if outage < outages.shape[0] and at_ns >= outages[outage, 0]:
            continue
        start_ns = max(at_ns, link.free_ns)
        stall = find_spell(stalls, stall, start_ns)
        if stall < stalls.shape[0] and start_ns >= stalls[stall, 0]:
            start_ns = stalls[stall, 1]
        if start_ns - at_ns > link.queue_ns:
            continue
        link.free_ns = start_ns + link.transmit_ns
        reach_ns = link.free_ns + link.one_way_ns + packet.jitter_ns
        spell = find_spell(busy, spell, start_ns)
        if spell < busy.shape[0] and start_ns >= busy[spell, 0]:
            reach_ns += busy[spell, 2]
        # What was sent later does not overtake: one queue per bearer and class (3GPP, RLC in
        # order; one AP queue for Wi-Fi).
        link.newest_ns = max(link.newest_ns, reach_ns)
        packet.arrive_ns = link.newest_ns


@kernel(
    "void(Direction[::1], int64[::1], int64, Passing[::1], uint64[::1], uint64[::1], int64[::1],"
    " int64[::1], int64[:, ::1], int64[::1])"
)
def send(
    directions: Records[Direction],
    table: NDArray[np.int64],
    scale_us: int,
    room: Records[Passing],
    loss: NDArray[np.uint64],
    jitter: NDArray[np.uint64],
    depart_ns: NDArray[np.int64],
    arrive_ns: NDArray[np.int64],
    spells: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> None:
    """Load packets and let them traverse a link, some at a time.

    directions    (1,), moves on
    table         (1025,) int64, quantiles in Q16 of what comes on top; none: nothing does
    scale_us      what 1.0 of the table stands for
    room          (AT_ONCE or n, the lesser,)
    loss, jitter  (n,) uint64, bits as they were drawn
    depart_ns     (n,) int64, ns, LOST_NS for what was lost before
    arrive_ns     (n,) int64, ns or LOST_NS, filled
    spells        (m, 3) int64: start, end, added delay in ns; stalls, then busy times, then outages
    ends          (2,) int64, counts: where stalls and busy times end
    """
    for begin in range(0, depart_ns.shape[0], AT_ONCE):
        end = min(begin + AT_ONCE, depart_ns.shape[0])
        packets = room[: end - begin]
        load_packets(
            loss[begin:end], jitter[begin:end], table, scale_us, depart_ns[begin:end], packets
        )
        traverse(
            directions, packets, spells[: ends[0]], spells[ends[0] : ends[1]],
            spells[ends[1] :],
        )  # fmt: skip
        for i in range(end - begin):
            arrive_ns[begin + i] = packets[i].arrive_ns
