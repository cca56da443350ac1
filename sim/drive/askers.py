"""What a node asks for while a stream comes to it, and what the station has for it, as kernels.

It is the node's exchange, its repair and the station's budget with as little as a model of how
packets fare knows: `sim.drive.crossing` says when something came, and lets pass what is asked.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange import pace
from node.clock.exchange.asked import BURST_REQUESTS, OUTSTANDING_MAX, Asking, ask
from node.clock.exchange.pace import Pace
from node.jitter.repair import AHEAD_MAX, PATIENCE_NS, SILENCE_JITTERS, SILENCE_NS, WANTED_MAX
from node.kernel import inner_kernel
from node.kernel.record import Record, Records, nested, number, whole
from node.source.receiver import FORGET_NS
from node.units import NS_PER_MS, NS_PER_S
from sim.links.kernel import LOST_NS
from sim.sender.repair.repair_budget import PAUSE_MAX_NS, SAVED_BYTES_MAX

AWAY_NS: Final = -2
"""In place of what a last link takes: the node is off or cut off, and asks for nothing."""

WAITS: Final = 512
"""Longer waits than so many ms count as these."""

_NEVER_NS: Final = 1 << 62


class Lost(Record):
    """A packet that a node misses."""

    packet: int = whole("", "Its number.")
    sent_ns: int = whole("ns", "When it left the station.")
    ask_ns: int = whole("ns", "When the node asks for it, next time.")
    comes_ns: int = whole("ns", "When it comes after all; 0: it does not.")
    tries: int = whole("", "How often it was asked for.")
    jitter_ns: int = whole("ns", "What the node knew of jitter as it missed it, 16 times.")


class Asker(Record):
    """A node that asks for what it misses, and what the station has for it."""

    rate: int = whole("", "Which rate its cell is; -1: none that is scarce.")
    way_ns: int = whole("ns", "Between it and the station, one way, idle.")
    delay_ns: int = whole("ns", "After a packet left the station it must be there.")
    newest_ns: int = whole("ns", "When the last copy reached what comes after the backhaul.")
    newest: int = whole("", "Newest packet that came.")
    came_ns: int = whole("ns", "When that was.")
    transit_ns: int = whole("ns", "What it took.")
    least_ns: int = whole("ns", "The least that any took since answers come.")
    began_ns: int = whole("ns", "When the first one came.")
    highest: int = whole("", "The last one before a silence that lasts or was the last; -1: none.")
    quiet_ns: int = whole("ns", "When that began.")
    loud_ns: int = whole("ns", "When it ended.")
    calm_ns: int = whole("ns", "The jitter before it, 16 times.")
    jitter_ns: int = whole("ns", "Interarrival jitter, 16 times (RFC 3550, 6.4.1).")
    left_bytes: float = number("bytes", "On the account of its repair.")
    again: int = whole("", "Packets sent again to it.")
    misses: int = whole("", "Rows of `lost` that are in use.")
    lost: Records[Lost] = nested(Lost, "What it misses.", (WANTED_MAX,))
    period_ns: int = whole("ns", "Of its card: at whole ones it asks what is due.")
    question_bits: int = whole("", "Of a question for the time and its answer, with headers.")
    spread_ns: int = whole("ns", "How far the median of such a way lies above the least, idle.")
    asked: int = whole("", "Questions that came through since it hears the stream.")
    waits: NDArray[np.int64] = whole("", "How many waited so many ms in queues.", (WAITS,))
    said_bits: int = whole("", "What it said and was told beside the stream and its repair.")
    next_ns: int = whole("ns", "When it asks for the time, next time.")
    begin_ns: int = whole("ns", "When it began to.")
    burst_left: int = whole("", "Questions of the first burst that are still to come.")
    unanswered: int = whole("", "Questions since the last answer.")
    replies: int = whole("", "Answers so far.")
    first: int = whole("", "Place of the next answer.")
    waiting: int = whole("", "Answers on their way.")
    answers_ns: NDArray[np.int64] = whole("ns", "When each comes.", (OUTSTANDING_MAX,))
    questions: NDArray[np.int64] = whole("", "Which question each answers.", (OUTSTANDING_MAX,))
    questions_ns: NDArray[np.int64] = whole("ns", "When that was asked.", (OUTSTANDING_MAX,))
    told: int = whole("", "Questions so far.")
    pace: Records[Pace] = nested(Pace, "What is under way.", (1,))


class Crowd(Record):
    """What is the same for all."""

    backhaul: int = whole("", "1: rate 0 is the backhaul, which is scarce.")
    for_all: int = whole("", "1: one copy is for all, once through each rate.")
    asks: int = whole("", "1: what is lost is asked for.")
    reports: int = whole("", "1: the time is asked for.")
    packet_ns: int = whole("ns", "From a packet to the next.")
    packet_bits: int = whole("", "Of a copy, with headers.")
    request_bits: int = whole("", "Of a request for one packet, with headers.")
    answer_bits: int = whole("", "Of a packet that is sent again.")
    held_ns: int = whole("ns", "The station answers after so long.")
    share: float = number("", "Of the stream's bytes that repair may cost.")
    rate_bit_s: int = whole("", "Stream and repair together; 0: repair gets a share.")
    earned_ns: int = whole("ns", "When the last packet was sent; -1: none was.")
    asking: Records[Asking] = nested(Asking, "Of whoever asks for the time.", (1,))
    packet: int = whole("", "Number of the packet that is sent now.")
    send_ns: int = whole("ns", "When that is.")
    copy_bits: int = whole("", "Of a copy of it: more where it has copies of others in it.")
    wait_ns: int = whole("ns", "What its copy to one node waited before the backhaul; LOST_NS.")
    way_ns: int = whole("ns", "What the backhaul takes where nobody waits; LOST_NS.")
    last_ns: int = whole("ns", "What that node's last link takes; LOST_NS, AWAY_NS.")


@inner_kernel("void(Asker, int64)")
def forget(asker: Asker, at: int) -> None:
    """Miss one packet no longer."""
    asker.misses -= 1
    last = asker.lost[asker.misses]
    one = asker.lost[at]
    one.packet = last.packet
    one.sent_ns = last.sent_ns
    one.ask_ns = last.ask_ns
    one.comes_ns = last.comes_ns
    one.tries = last.tries
    one.jitter_ns = last.jitter_ns


@inner_kernel("int64(Asker)")
def _waits_apart_ns(asker: Asker) -> int:
    """Return how far the median of what questions waited lies above the least."""
    least = -1
    count = 0
    for i in range(WAITS):
        count += asker.waits[i]
        if least < 0 and count > 0:
            least = i
        if 2 * count > asker.asked:
            return (i - least) * NS_PER_MS
    return 0


@inner_kernel("void(Asker, int64, int64)")
def hear_time(asker: Asker, until_ns: int, held_ns: int) -> None:
    """Take all answers that come until then: they make room for questions.

    held_ns  the station answers after so long
    """
    while asker.waiting > 0 and asker.answers_ns[asker.first] <= until_ns:
        now_ns, later = asker.answers_ns[asker.first], asker.told - 1 - asker.questions[asker.first]
        took_ns = now_ns - asker.questions_ns[asker.first] - held_ns
        asker.next_ns = pace.hear(asker.pace[0], later, took_ns, asker.next_ns, now_ns)
        until_ns = min(until_ns, asker.next_ns)
        asker.first = (asker.first + 1) % OUTSTANDING_MAX
        asker.waiting -= 1
        asker.replies += 1
        asker.unanswered = 0


@inner_kernel("void(Asker, int64, int64)")
def await_time(asker: Asker, now_ns: int, answer_ns: int) -> None:
    """Note when the answer comes to the question that was asked at `now_ns`, the last one."""
    at = (asker.first + asker.waiting) % OUTSTANDING_MAX
    asker.answers_ns[at] = answer_ns
    asker.questions[at], asker.questions_ns[at] = asker.told - 1, now_ns
    asker.waiting += 1


@inner_kernel("void(Asking, Asker, int64)")
def ask_time(asking: Asking, asker: Asker, now_ns: int) -> None:
    """Ask for the time, as the node does; `asking` is anybody's."""
    asking.next_ns, asking.begin_ns = asker.next_ns, asker.begin_ns
    asking.burst_left, asking.unanswered = asker.burst_left, asker.unanswered
    asking.outstanding = 0
    asking.replies[0].count = asker.replies
    asking.replies[0].spread_ns = asker.spread_ns + _waits_apart_ns(asker)
    pace.copy(asking.pace[0], asker.pace[0])
    ask(asking, now_ns)
    pace.copy(asker.pace[0], asking.pace[0])
    asker.told += 1
    asker.next_ns, asker.begin_ns = asking.next_ns, asking.begin_ns
    asker.burst_left, asker.unanswered = asking.burst_left, asking.unanswered


@inner_kernel("void(Crowd, Asker, int64, int64)")
def _miss(crowd: Crowd, asker: Asker, ask_ns: int, comes_ns: int) -> None:
    """Note that a node misses the packet that is sent now.

    ask_ns    when it asks for it
    comes_ns  when it comes after all; 0: it does not
    """
    if asker.misses == WANTED_MAX:
        return
    one = asker.lost[asker.misses]
    one.packet = crowd.packet
    one.sent_ns = crowd.send_ns
    one.ask_ns = ask_ns
    one.comes_ns = comes_ns
    one.tries = 0
    one.jitter_ns = asker.calm_ns
    asker.misses += 1


@inner_kernel("int64(Crowd, Asker)")
def _asks_ns(crowd: Crowd, asker: Asker) -> int:
    """Return when a silence has lasted so long that the packet sent now is asked for."""
    behind = crowd.packet - asker.highest
    if behind > AHEAD_MAX:
        return _NEVER_NS
    silence_ns = SILENCE_NS + SILENCE_JITTERS * (asker.calm_ns >> 4)
    return int(asker.quiet_ns + silence_ns + behind * crowd.packet_ns)


@inner_kernel("void(Crowd, Asker, int64)")
def _begin(crowd: Crowd, asker: Asker, came_ns: int) -> None:
    """Let a node hear the stream from the packet on that is sent now."""
    asker.highest = asker.newest = crowd.packet
    asker.quiet_ns = asker.came_ns = asker.began_ns = came_ns
    asker.loud_ns = _NEVER_NS
    asker.least_ns = asker.transit_ns = came_ns - crowd.send_ns
    asker.jitter_ns = asker.calm_ns = 0
    asker.misses = 0
    asker.asked = asker.waiting = 0
    asker.waits[:] = 0
    asker.next_ns = asker.begin_ns = came_ns
    asker.burst_left = BURST_REQUESTS
    asker.unanswered = asker.replies = 0
    pace.begin(asker.pace[0])


@inner_kernel("void(Crowd, Asker, int64)")
def note(crowd: Crowd, asker: Asker, came_ns: int) -> None:
    """Note how a packet fared: when it came, LOST_NS, or AWAY_NS.

    What comes tells of what did not come before it. So does a silence, be it that what is missed
    comes late.
    """
    if came_ns == AWAY_NS:
        asker.highest = -1
        asker.misses = 0
        return
    if asker.highest < 0 or came_ns - asker.came_ns >= FORGET_NS:
        if came_ns != LOST_NS:
            _begin(crowd, asker, came_ns)
        return
    ask_ns = _asks_ns(crowd, asker)
    if ask_ns >= asker.loud_ns:  # it was heard again before
        asker.highest, asker.quiet_ns, asker.loud_ns = asker.newest, asker.came_ns, _NEVER_NS
        asker.calm_ns = asker.jitter_ns
        ask_ns = _asks_ns(crowd, asker)
    if came_ns == LOST_NS:
        _miss(crowd, asker, ask_ns, 0)
        return
    transit_ns = came_ns - crowd.send_ns
    asker.jitter_ns += abs(transit_ns - asker.transit_ns) - (asker.jitter_ns + 8 >> 4)
    asker.transit_ns = transit_ns
    # Who asks for the time as the first packet comes gets no answer before one that left then.
    is_told = crowd.send_ns >= asker.began_ns + 2 * asker.way_ns
    asker.least_ns = min(asker.least_ns, transit_ns) if is_told else transit_ns
    if ask_ns < came_ns:
        _miss(crowd, asker, ask_ns, came_ns)
    for i in range(asker.misses):
        one = asker.lost[i]
        if one.tries == 0 and one.packet < crowd.packet:
            one.ask_ns = min(one.ask_ns, came_ns + PATIENCE_NS)
    asker.loud_ns = min(asker.loud_ns, came_ns)
    asker.newest = crowd.packet
    asker.came_ns = came_ns


@inner_kernel("void(Crowd, Asker[::1])")
def earn(crowd: Crowd, askers: Records[Asker]) -> None:
    """Let all accounts earn by a packet, as `RepairBudget` does."""
    earned = crowd.share * crowd.packet_bits / 8
    if crowd.rate_bit_s > 0:
        passed_ns = 0 if crowd.earned_ns < 0 else min(crowd.send_ns - crowd.earned_ns, PAUSE_MAX_NS)
        earned = crowd.rate_bit_s / 8 * passed_ns / NS_PER_S - crowd.packet_bits / 8
    crowd.earned_ns = crowd.send_ns
    for j in range(askers.shape[0]):
        left_bytes = max(askers[j].left_bytes + earned, -float(SAVED_BYTES_MAX))
        askers[j].left_bytes = min(left_bytes, float(SAVED_BYTES_MAX))
