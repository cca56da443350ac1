"""What a commune's backhaul and cells carry: copies of a stream, and all that passes beside them.

```
 copies ───────────┐
 sent again ───────┼─► backhaul ─► cell ─► last link ─► node         each rate has one queue
 answers, MQTT ────┘                           │         │
    ▲                                          lost      asks a round trip before
    └──────────────────────────────────────────┴─────────┘
```
What nodes ask is worked out here and not by the nodes, which come to it later: by their rules and
the station's (questions for the time; holes, silence, tries, what is still in time, its memory and
its budget), on what this model knows: what is lost in a queue and what waits there, and what the
last link does to a packet that comes when nobody waits. It differs from what nodes really ask by
what docs/scenario.md says. A request and its answer are one packet of both sizes that passes down,
for a rate has to carry both ways. What a link to the station does to it is left out.
"""

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.asked import BURST_INTERVAL_NS, OUTSTANDING_MAX, READY_REPLIES
from node.jitter.repair import MARGIN_NS, TRIES_MAX
from node.kernel import inner_kernel, kernel
from node.kernel.record import Record, Records, whole
from node.source.receiver import FORGET_NS, JITTERS
from node.units import NS_PER_MS
from sim.drive.askers import (
    WAITS,
    Asker,
    Crowd,
    ask_time,
    await_time,
    earn,
    forget,
    hear_time,
    note,
)
from sim.links.kernel import LOST_NS
from sim.sender.repair.retransmitter import HISTORY_PACKETS


class Rate(Record):
    """A backhaul or a cell."""

    queue_ns: int = whole("ns", "Who would wait longer is dropped.")
    free_ns: int = whole("ns", "When what came before has left.")
    step: int = whole("", "Which of its steps holds.")
    dropped: int = whole("", "Copies of the stream that found no room.")
    others_dropped: int = whole("", "What passes beside it and found none.")
    came_bits: int = whole("", "All that came to it, with what found no room.")
    passed: int = whole("", "Packets of which a copy for all has come.")
    left_ns: int = whole("ns", "When that of the last one was through; LOST_NS.")


@inner_kernel("int64(Rate, int64[:, ::1], int64, int64, int64)")
def _serve(rate: Rate, steps: NDArray[np.int64], come_ns: int, bits: int, packet_bits: int) -> int:
    """Let something pass; return when it is through, or LOST_NS.

    steps  (s, 2) int64, ns: from when on a copy of the stream takes how long; ascending
    """
    rate.came_bits += bits
    start_ns = max(come_ns, rate.free_ns)
    if start_ns - come_ns > rate.queue_ns:
        return LOST_NS
    while rate.step + 1 < steps.shape[0] and steps[rate.step + 1, 0] <= come_ns:
        rate.step += 1
    takes_ns = steps[rate.step, 1]
    rate.free_ns = start_ns + (takes_ns if bits == packet_bits else takes_ns * bits // packet_bits)
    return int(rate.free_ns)


@inner_kernel("int64(Rate, int64[:, ::1], Crowd, int64)")
def _serve_copy(rate: Rate, steps: NDArray[np.int64], crowd: Crowd, come_ns: int) -> int:
    """Let a copy of the stream pass, once where it is for all; return as `_serve` does.

    steps  (s, 2) int64, ns: see `_serve`
    """
    if crowd.for_all != 0 and rate.passed > crowd.packet:
        return rate.left_ns
    rate.left_ns = _serve(rate, steps, come_ns, crowd.copy_bits, crowd.packet_bits)
    rate.passed = crowd.packet + 1
    rate.dropped += rate.left_ns == LOST_NS
    return rate.left_ns


@inner_kernel("int64(Rate[::1], int64[:, :, ::1], Crowd, int64, int64, int64)")
def _cross(
    rates: Records[Rate],
    steps: NDArray[np.int64],
    crowd: Crowd,
    cell: int,
    come_ns: int,
    bits: int,
) -> int:
    """Let something pass beside the stream; return when it reaches a last link, or LOST_NS.

    steps    (rates, s, 2) int64, ns: see `_serve`
    cell     which rate; -1: none that is scarce
    come_ns  when it comes to the backhaul
    """
    packet_bits = crowd.packet_bits
    if crowd.backhaul != 0:
        left_ns = _serve(rates[0], steps[0], come_ns, bits, packet_bits)
        if left_ns == LOST_NS:
            rates[0].others_dropped += 1
            return LOST_NS
        come_ns = left_ns
    if crowd.way_ns == LOST_NS:
        return LOST_NS
    come_ns += crowd.way_ns
    if cell >= 0:
        left_ns = _serve(rates[cell], steps[cell], come_ns, bits, packet_bits)
        if left_ns == LOST_NS:
            rates[cell].others_dropped += 1
        return left_ns
    return come_ns


@inner_kernel("void(Rate[::1], int64[:, :, ::1], Crowd, Asker)")
def _repair(
    rates: Records[Rate],
    steps: NDArray[np.int64],
    crowd: Crowd,
    asker: Asker,
) -> None:
    """Let all pass that a node asked for by now, and the answers.

    steps  (rates, s, 2) int64, ns: see `_serve`
    """
    least_ns = asker.way_ns + asker.least_ns
    ready_ns = asker.began_ns + least_ns + READY_REPLIES * BURST_INTERVAL_NS
    i = 0
    while i < asker.misses:
        one = asker.lost[i]
        asked_ns = max(one.ask_ns, ready_ns)
        came_ns = asked_ns + asker.way_ns + crowd.held_ns
        if came_ns > crowd.send_ns:
            i += 1
            continue
        round_ns = least_ns + JITTERS * (one.jitter_ns >> 4)
        is_there = one.comes_ns > 0 and one.comes_ns <= asked_ns
        is_hopeless = asked_ns + round_ns + MARGIN_NS > one.sent_ns + asker.delay_ns
        if is_there or is_hopeless or one.tries >= TRIES_MAX:
            forget(asker, i)
            continue
        one.tries += 1
        one.ask_ns = asked_ns + round_ns + MARGIN_NS
        cost_bytes = crowd.answer_bits // 8
        bits = crowd.request_bits
        is_sent = one.packet > crowd.packet - HISTORY_PACKETS and asker.left_bytes >= cost_bytes
        if is_sent:
            bits += crowd.answer_bits
            asker.left_bytes -= cost_bytes
            asker.again += 1
        reach_ns = LOST_NS
        if crowd.wait_ns != LOST_NS:
            come_ns = came_ns + crowd.wait_ns
            reach_ns = _cross(rates, steps, crowd, asker.rate, come_ns, bits)
        if is_sent and reach_ns != LOST_NS and crowd.last_ns >= 0:
            comes_ns = reach_ns + crowd.last_ns
            one.comes_ns = comes_ns if one.comes_ns == 0 else min(one.comes_ns, comes_ns)
        i += 1


@inner_kernel("void(Rate[::1], int64[:, :, ::1], Crowd, Asker)")
def _question(rates: Records[Rate], steps: NDArray[np.int64], crowd: Crowd, asker: Asker) -> None:
    """Let all questions for the time pass that reach the station by now, and the answers.

    steps  (rates, s, 2) int64, ns: see `_serve`

    As the node asks, by how many answers it has and how far their delays lie apart.
    """
    while asker.highest >= 0 and asker.next_ns - asker.came_ns < FORGET_NS:
        hear_time(asker, asker.next_ns, crowd.held_ns)
        now_ns = -(-asker.next_ns // asker.period_ns) * asker.period_ns
        come_ns = now_ns + asker.way_ns + crowd.held_ns
        if come_ns > crowd.send_ns:
            return
        hear_time(asker, now_ns, crowd.held_ns)
        ask_time(crowd.asking[0], asker, now_ns)
        asker.said_bits += asker.question_bits
        if crowd.wait_ns == LOST_NS:
            continue
        come_ns += crowd.wait_ns
        reach_ns = _cross(rates, steps, crowd, asker.rate, come_ns, asker.question_bits)
        if reach_ns == LOST_NS or crowd.last_ns < 0 or asker.waiting == OUTSTANDING_MAX:
            continue
        waited_ns = reach_ns - come_ns - crowd.way_ns
        asker.waits[min(max(waited_ns, 0) // NS_PER_MS, WAITS - 1)] += 1
        asker.asked += 1
        await_time(asker, now_ns, reach_ns + crowd.last_ns)


@inner_kernel("int64(Rate[::1], int64[:, :, ::1], Crowd, Asker)")
def _copy(
    rates: Records[Rate],
    steps: NDArray[np.int64],
    crowd: Crowd,
    asker: Asker,
) -> int:
    """Let a copy of the stream pass; return when it reaches the last link, or LOST_NS.

    steps  (rates, s, 2) int64, ns: see `_serve`
    """
    if crowd.wait_ns == LOST_NS:
        return LOST_NS
    left_ns = crowd.send_ns + crowd.wait_ns
    if crowd.backhaul != 0:
        left_ns = _serve_copy(rates[0], steps[0], crowd, left_ns)
    if left_ns == LOST_NS:
        return LOST_NS
    if crowd.way_ns == LOST_NS:
        return LOST_NS
    # What was sent later does not overtake.
    asker.newest_ns = max(asker.newest_ns, left_ns + crowd.way_ns)
    if asker.rate < 0:
        return int(asker.newest_ns)
    return _serve_copy(rates[asker.rate], steps[asker.rate], crowd, asker.newest_ns)


@kernel(
    "int64(Rate[::1], int64[:, :, ::1], Crowd[::1], Asker[::1], int64[:, ::1], int64[:, ::1],"
    " int64[:, ::1], int64[:, ::1])"
)
def cross(
    rates: Records[Rate],
    steps: NDArray[np.int64],
    crowds: Records[Crowd],
    askers: Records[Asker],
    beside: NDArray[np.int64],
    times_ns: NDArray[np.int64],
    last_ns: NDArray[np.int64],
    own_ns: NDArray[np.int64],
) -> int:
    """Let packets pass, a copy for each node, and what passes beside them; return how much did.

    rates     (r,), move on
    steps     (r, s, 2) int64, ns: from when on a copy of the stream takes how long; ascending
    crowds    (1,), moves on
    askers    (k,), each node, move on
    beside    (m, 3) int64: when else something leaves, ns; whose it is; its bits. In order
    times_ns  (n, 3) int64, when each packet leaves, and when it is through a backhaul on which
              nobody waits, or LOST_NS; and no time, but the bits of copies of others in it
    last_ns   (n, k) int64, what the last link takes; LOST_NS, AWAY_NS. Not looked at without
              reports
    own_ns    (n, k) int64, in: how long each copy waited before the backhaul, or LOST_NS; out: when
              it reaches the last link, or LOST_NS

    Something that leaves between two packets meets what the second of them meets.
    """
    crowd = crowds[0]
    passed = 0
    for i in range(times_ns.shape[0]):
        send_ns, depart_ns = times_ns[i, 0], times_ns[i, 1]
        crowd.send_ns = send_ns
        crowd.copy_bits = crowd.packet_bits + times_ns[i, 2]
        crowd.way_ns = LOST_NS if depart_ns == LOST_NS else depart_ns - send_ns
        while passed < beside.shape[0] and beside[passed, 0] <= send_ns:
            at_ns, j, bits = beside[passed, 0], beside[passed, 1], beside[passed, 2]
            passed += 1
            askers[j].said_bits += bits
            if own_ns[i, j] != LOST_NS:
                _cross(rates, steps, crowd, askers[j].rate, at_ns + own_ns[i, j], bits)
        if crowd.asks != 0:
            earn(crowd, askers)
        if crowd.reports != 0:
            for j in range(askers.shape[0]):
                crowd.wait_ns, crowd.last_ns = own_ns[i, j], last_ns[i, j]
                _question(rates, steps, crowd, askers[j])
                if crowd.asks != 0:
                    _repair(rates, steps, crowd, askers[j])
        for j in range(askers.shape[0]):
            crowd.wait_ns = own_ns[i, j]
            own_ns[i, j] = _copy(rates, steps, crowd, askers[j])
            if crowd.reports != 0:
                came_ns = last_ns[i, j]
                if came_ns >= 0:
                    came_ns = LOST_NS if own_ns[i, j] == LOST_NS else own_ns[i, j] + came_ns
                note(crowd, askers[j], came_ns)
        crowd.packet += 1
    return passed
