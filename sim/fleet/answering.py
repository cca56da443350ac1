"""The station's side of what a node of tier T3 and it say to each other, as kernels.

It is `sim.station.conversation` with the sender's `SenderReports`, `Retransmitter` and
`RepairBudget` for one node, without the bytes: a test holds every count to theirs.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange.answering import BURST_MAX, RATE_PER_S
from node.kernel import inner_kernel, kernel
from node.kernel.record import Records
from node.rtp.packet import HEADER_BYTES
from node.rtp.retransmission import ORIGINAL_BYTES
from node.units import NS_PER_S
from sim.fleet.desk import ARRIVED, SENT
from sim.fleet.state import ANSWERS_MAX, NOT_AGAIN, Answer, Station, Talk
from sim.gateway.crystal import WINDOW_MINUTES, shown_ns
from sim.links.kernel import LOST_NS
from sim.sender.repair import retransmitter
from sim.sender.repair.repair_budget import PAUSE_MAX_NS, SAVED_BYTES_MAX, UDP_BYTES
from sim.sender.repair.retransmitter import HISTORY_PACKETS
from sim.station.conversation import HELD_NS

_NACK_BYTES: Final = 12
_ENTRY_BYTES: Final = 4
_ENTRY_BITS: Final = 16
_MINUTE_NS: Final = 60 * NS_PER_S
_NEVER_NS: Final = 1 << 62


@inner_kernel("int64(Station, int64[:, ::1], int64)")
def _sent_before(station: Station, ways: NDArray[np.int64], at_ns: int) -> int:
    """Return how many of the packets that are known of left before `at_ns`.

    ways  (3, n) int64, ns: see `sim.fleet.desk`
    """
    low = 0
    high = station.known
    while low < high:
        middle = (low + high) // 2
        if ways[SENT, middle] < at_ns:
            low = middle + 1
        else:
            high = middle
    return low


@inner_kernel("int64(Station, int64[:, ::1], int64)")
def _travels_ns(station: Station, ways: NDArray[np.int64], left_ns: int) -> int:
    """Return how long something sent now is under way, or LOST_NS.

    It is what the packet meets that leaves the station next.

    ways  (3, n) int64, ns: see `sim.fleet.desk`
    """
    packet = _sent_before(station, ways, left_ns)
    if packet >= station.known or ways[ARRIVED, packet] == LOST_NS:
        return LOST_NS
    return int(ways[ARRIVED, packet] - ways[SENT, packet])


@inner_kernel("void(Answer[::1], int64, int64)")
def _copy(answers: Records[Answer], here: int, there: int) -> None:
    """Write an answer over another one."""
    answers[there].at_ns = answers[here].at_ns
    answers[there].again = answers[here].again
    answers[there].left_ns = answers[here].left_ns
    answers[there].asked_ns = answers[here].asked_ns


@inner_kernel("boolean(Talk, int64)")
def _send(talk: Talk, arrive_ns: int) -> bool:
    """Put the answer behind all others to where it comes; return False if that is too far off.

    arrive_ns  true time
    """
    clock = talk.clock[0]
    at = arrive_ns // _MINUTE_NS - clock.first
    if at < 0 or at >= WINDOW_MINUTES or clock.knots_ns[at] == _NEVER_NS:
        return False
    at_ns = shown_ns(clock, arrive_ns)
    last = talk.waiting
    again = talk.answers[last].again
    left_ns = talk.answers[last].left_ns
    asked_ns = talk.answers[last].asked_ns
    place = last
    while place > 0 and talk.answers[place - 1].at_ns > at_ns:
        _copy(talk.answers[:], place - 1, place)
        place -= 1
    talk.answers[place].at_ns = at_ns
    talk.answers[place].again = again
    talk.answers[place].left_ns = left_ns
    talk.answers[place].asked_ns = asked_ns
    talk.waiting += 1
    return True


@inner_kernel("boolean(Station, Talk, int64[:, ::1], int64, int64)")
def tell_time(
    station: Station, talk: Talk, ways: NDArray[np.int64], asked_ns: int, true_ns: int
) -> bool:
    """Answer a question for the time; return whether all is as this tier can follow.

    ways      (3, n) int64, ns: see `sim.fleet.desk`
    asked_ns  when it was asked, on the node's clock, as it stands in the question
    true_ns   and in truth
    """
    came_ns = true_ns + station.way_ns + station.questions_ns[station.question]
    station.question += 1
    left_ns = came_ns + HELD_NS
    travels_ns = _travels_ns(station, ways, left_ns)
    if travels_ns == LOST_NS:
        return True
    # A leaky bucket kept as one time: it moves on by one interval per answer.
    full_ns = came_ns - BURST_MAX * NS_PER_S // RATE_PER_S
    spent_ns = max(station.spent_ns, full_ns) + NS_PER_S // RATE_PER_S
    if spent_ns > came_ns:
        station.spent_ns = spent_ns - NS_PER_S // RATE_PER_S
        return True
    station.spent_ns = spent_ns
    if talk.waiting == ANSWERS_MAX:
        return False
    answer = talk.answers[talk.waiting]
    answer.again = NOT_AGAIN
    answer.left_ns = left_ns
    answer.asked_ns = asked_ns
    return bool(_send(talk, left_ns + travels_ns))


@inner_kernel("void(Station, int64[:, ::1], int64[:, ::1], int64)")
def _remember(
    station: Station, ways: NDArray[np.int64], sheet: NDArray[np.int64], sent: int
) -> None:
    """Let the station have sent all packets before `sent`; nobody asked before.

    ways   (3, n) int64, ns: see `sim.fleet.desk`
    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    for number in range(max(station.remembered, station.first), sent):
        packet_bytes = sheet[1, number % sheet.shape[1]] + HEADER_BYTES
        earned = station.share * (packet_bytes + UDP_BYTES)
        if station.rate_bit_s > 0:
            sent_ns = ways[SENT, number - station.first]
            last_ns = sent_ns if station.earned_ns < 0 else station.earned_ns
            passed_ns = min(max(sent_ns - last_ns, 0), PAUSE_MAX_NS)
            station.earned_ns = max(last_ns, sent_ns)
            earned = station.rate_bit_s / 8 * passed_ns / NS_PER_S - packet_bytes - UDP_BYTES
        left_bytes = max(station.left_bytes + earned, -float(SAVED_BYTES_MAX))
        station.left_bytes = min(left_bytes, float(SAVED_BYTES_MAX))
    station.remembered = max(station.remembered, sent)


@inner_kernel("int64(Station, int64[:, ::1], int64)")
def _newest_ns(station: Station, ways: NDArray[np.int64], left_ns: int) -> int:
    """Return the arrival of the last packet that left before and came through.

    ways  (3, n) int64, ns: see `sim.fleet.desk`
    """
    packet = _sent_before(station, ways, left_ns) - 1
    while packet >= 0 and ways[ARRIVED, packet] == LOST_NS:
        packet -= 1
    return int(ways[ARRIVED, packet]) if packet >= 0 else LOST_NS


@inner_kernel("int64(Station, int64[:, ::1], int64, int64)")
def _may_send(station: Station, sheet: NDArray[np.int64], sequence: int, came_ns: int) -> int:
    """Return the number of a packet that is sent again now, and pay for it; -1: it is not.

    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    """
    newest = station.remembered - 1
    number = newest - ((newest - (sequence - station.first_sequence)) & 0xFFFF)
    if number < 0 or number <= newest - HISTORY_PACKETS:
        return -1
    at = number % HISTORY_PACKETS
    if station.numbers[at] != number or station.times[at] == 0:
        station.numbers[at] = number
        station.times[at] = 0
        station.times_ns[at] = -(1 << 62)
    if station.times[at] >= retransmitter.ANSWERS_MAX:
        return -1
    if came_ns - station.times_ns[at] < retransmitter.REPEAT_NS:
        return -1
    cost_bytes = sheet[1, number % sheet.shape[1]] + HEADER_BYTES + ORIGINAL_BYTES + UDP_BYTES
    if station.left_bytes < cost_bytes:
        return -1
    station.left_bytes -= cost_bytes
    station.repair_bytes += cost_bytes
    station.times[at] += 1
    station.times_ns[at] = came_ns
    return int(number)


@inner_kernel("boolean(Station, Talk, int64[:, ::1], int64[:, ::1], int64[::1], int64)")
def send_again(
    station: Station,
    talk: Talk,
    ways: NDArray[np.int64],
    sheet: NDArray[np.int64],
    asked: NDArray[np.int64],
    true_ns: int,
) -> bool:
    """Answer a request for lost packets; return whether all is as this tier can follow.

    ways     (3, n) int64, ns: see `sim.fleet.desk`
    sheet    (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    asked    (m,) int64, counts: their 16-bit sequence numbers, in the order of the request
    true_ns  when it was asked
    """
    entries = 0
    first = -1
    for i in range(asked.shape[0]):
        if first < 0 or (asked[i] - first - 1) & 0xFFFF >= _ENTRY_BITS:
            first = asked[i]
            entries += 1
    station.repair_bytes += _NACK_BYTES + _ENTRY_BYTES * entries + UDP_BYTES
    came_ns = true_ns + station.way_ns + station.requests_ns[station.request]
    is_lost = station.lost[station.request] != 0
    station.request += 1
    if is_lost:
        return True
    _remember(station, ways, sheet, station.first + _sent_before(station, ways, came_ns + 1))
    left_ns = came_ns + HELD_NS
    travels_ns = _travels_ns(station, ways, left_ns)
    arrive_ns = LOST_NS
    if travels_ns != LOST_NS:
        arrive_ns = max(left_ns + travels_ns, _newest_ns(station, ways, left_ns))
    # Each entry names its first number, then those of its bits: in their order.
    begin = 0
    while begin < asked.shape[0]:
        first = asked[begin]
        bits = 0
        end = begin + 1
        while end < asked.shape[0] and (asked[end] - first - 1) & 0xFFFF < _ENTRY_BITS:
            bits |= 1 << ((asked[end] - first - 1) & 0xFFFF)
            end += 1
        for ahead in range(_ENTRY_BITS + 1):
            if ahead == 0 or (bits >> (ahead - 1)) & 1:
                number = _may_send(station, sheet, (first + ahead) & 0xFFFF, came_ns)
                if number >= 0 and arrive_ns != LOST_NS:
                    if talk.waiting == ANSWERS_MAX:
                        return False
                    talk.answers[talk.waiting].again = number
                    if not _send(talk, arrive_ns):
                        return False
        begin = end
    return True


@inner_kernel("void(Talk)")
def drop_first(talk: Talk) -> None:
    """Await the next answer no longer: it has come."""
    talk.waiting -= 1
    for i in range(talk.waiting):
        _copy(talk.answers[:], i + 1, i)


@kernel("void(Station[::1], int64[:, ::1], int64[:, ::1], int64)")
def forget(
    stations: Records[Station], ways: NDArray[np.int64], sheet: NDArray[np.int64], count: int
) -> None:
    """Earn by the oldest packets, which are forgotten then: nobody asks for them any more.

    ways   (3, n) int64, ns: see `sim.fleet.desk`
    sheet  (3, packets of the sound) int64: marks, bytes, and what else it reads as, of each
    count  how many are
    """
    _remember(stations[0], ways, sheet, stations[0].first + count)
