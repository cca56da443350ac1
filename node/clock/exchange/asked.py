"""What a node asked its sender, what came of it, and when it asks again: the exchange's state.

Kernels over a record: a node has one, by `asking.ClockExchange`, the simulator thousands.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.clock.exchange import pace as paces
from node.clock.exchange.bounds import SOUND_MAX, Fitting
from node.clock.exchange.pace import Pace
from node.clock.exchange.replies import (
    Replies,
    add,
    clear,
    fit,
    is_congested,
    offset_ns,
)
from node.clock.exchange.replies import (
    begin as begin_replies,
)
from node.kernel import inner_kernel
from node.kernel.record import Record, Records, nested, whole
from node.units import NS_PER_MS, NS_PER_S

BURST_REQUESTS: Final = 56
BURST_INTERVAL_NS: Final = 6 * NS_PER_MS
"""All of the burst is answered before the first sound, at a playout delay of 400 ms."""
WARM_INTERVAL_NS: Final = 25 * NS_PER_MS
WARM_SHARE: Final = 200
"""Then, on a link that jitters, every 25 ms for the first 5 s, and ever more rarely: each interval
is that part of the time since the start. A slope rests on replies far apart, and one reply says the
less the more there are."""
WARM_ENOUGH_NS: Final = 50_000
"""... until the floor is known: n replies show it to within the spread of the delay divided by n. A
quiet link needs none of it; 40 +- 20 ms need a minute."""
SETTLE_NS: Final = 15 * NS_PER_S
SETTLE_INTERVAL_NS: Final = 250 * NS_PER_MS
"""And four times a second at first on every link."""
INTERVAL_NS: Final = NS_PER_S
UNANSWERED_INTERVAL_NS: Final = 10 * NS_PER_S
"""Interval while nobody answers: a foreign sender is not pestered, a new one found."""
READY_REPLIES: Final = 4
QUIET_REPLIES: Final = 16
"""So many show that a link is quiet, and end the burst."""

OUTSTANDING_MAX: Final = 128
_UNANSWERED_MAX: Final = BURST_REQUESTS + 24  # answers held up for a second are still on their way
_MATCH_NS: Final = 20_000  # requests are known by 1/65536 s
_STEP_NS: Final = 30 * NS_PER_MS
_STEP_REPLIES: Final = 3
_AGEING: Final = 1e-6
_FIT_AT: Final = (1, 2, READY_REPLIES, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56)
_FIT_INTERVAL_NS: Final = 500 * NS_PER_MS  # a clock does not change faster than that


class Asking(Record):
    """One node's half of an exchange with one sender."""

    next_ns: int = whole("ns", "When the next request is due.")
    begin_ns: int = whole("ns", "When it began to ask as often as at the start.")
    fitted_ns: int = whole("ns", "Reply upon which the line was put last.")
    reply_ns: int = whole("ns", "The newest reply.")
    burst_left: int = whole("", "Requests of the first burst that are still to come.")
    unanswered: int = whole("", "Requests since the last reply.")
    steps: int = whole("", "How often the sender's clock was set.")
    answered: int = whole("", "Replies so far.")
    outstanding: int = whole("", "Requests that an answer may come to.")
    suspects: int = whole("", "Replies in a row that contradict all that are kept.")
    sounds: int = whole("", "Outermost packets of the sound that the next reply is fitted with.")
    asked_ns: NDArray[np.int64] = whole(
        "ns", "When each outstanding request was sent, in that order.", (OUTSTANDING_MAX,)
    )
    suspected: NDArray[np.int64] = whole(
        "ns", "Of each suspect its arrival, t2 - t1 and t4 - t3.", (_STEP_REPLIES, 3)
    )
    sound: NDArray[np.int64] = whole(
        "ns", "Of the sound, as `replies.fit` wants it: arrivals, transits.", (4, SOUND_MAX)
    )
    replies: Records[Replies] = nested(Replies, "Those that are believed.", (1,))
    pace: Records[Pace] = nested(Pace, "What is under way.", (1,))


@inner_kernel("void(Asking, int64)")
def begin(asking: Asking, start_ns: int) -> None:
    """Have asked nothing: the first request is due at `start_ns`."""
    asking.next_ns = start_ns
    asking.begin_ns = start_ns
    asking.fitted_ns = start_ns
    asking.reply_ns = start_ns
    asking.burst_left = BURST_REQUESTS
    asking.unanswered = 0
    asking.steps = 0
    asking.answered = 0
    asking.outstanding = 0
    asking.suspects = 0
    asking.sounds = 0
    begin_replies(asking.replies[0])
    paces.begin(asking.pace[0])


@inner_kernel("void(Asking, int64)")
def _take_out(asking: Asking, at: int) -> None:
    """Await the answer to one request no longer."""
    asking.outstanding -= 1
    for i in range(at, asking.outstanding):
        asking.asked_ns[i] = asking.asked_ns[i + 1]


@inner_kernel("int64(Asking, int64)")
def _interval_ns(asking: Asking, since_ns: int) -> int:
    """Return how long to wait for the next request, `since_ns` after the first one."""
    if asking.unanswered > _UNANSWERED_MAX:
        return UNANSWERED_INTERVAL_NS
    replies = asking.replies[0]
    is_known = replies.spread_ns < WARM_ENOUGH_NS * replies.count
    if asking.burst_left > 0 and not (replies.count >= QUIET_REPLIES and is_known):
        return BURST_INTERVAL_NS
    if not is_known:
        return min(max(since_ns // WARM_SHARE, WARM_INTERVAL_NS), INTERVAL_NS)
    return SETTLE_INTERVAL_NS if since_ns < SETTLE_NS else INTERVAL_NS


@inner_kernel("boolean(Asking, int64)")
def ask(asking: Asking, now_ns: int) -> bool:
    """Return whether a request that carries `now_ns` is to be sent; it is noted."""
    if now_ns < asking.next_ns:
        return False
    if asking.outstanding == OUTSTANDING_MAX:
        _take_out(asking, 0)
    asking.asked_ns[asking.outstanding] = now_ns
    asking.outstanding += 1
    asking.unanswered += 1
    asking.burst_left = max(0, asking.burst_left - 1)
    interval_ns = _interval_ns(asking, now_ns - asking.begin_ns)
    asking.next_ns = paces.ask(asking.pace[0], now_ns, interval_ns)
    return True


@inner_kernel("void(Asking, int64, int64, int64)")
def hear(asking: Asking, later: int, took_ns: int, now_ns: int) -> None:
    """Let an answer make room for the next question.

    later    how many questions were asked after the one that it answers
    took_ns  from that one to its answer
    """
    asking.next_ns = paces.hear(asking.pace[0], later, took_ns, asking.next_ns, now_ns)


@inner_kernel("void(Asking, int64)")
def ask_by(asking: Asking, at_ns: int) -> None:
    """Ask at `at_ns` at the latest, if anybody answers."""
    if asking.unanswered <= _UNANSWERED_MAX:
        asking.next_ns = min(asking.next_ns, at_ns)


@inner_kernel("boolean(Asking, int64, int64)")
def _fits_at(asking: Asking, count: int, now_ns: int) -> bool:
    """Return whether the line is put anew upon the reply of that number."""
    return bool(count in _FIT_AT or now_ns - asking.fitted_ns >= _FIT_INTERVAL_NS)


@inner_kernel("boolean(Asking, int64)")
def wants_sound(asking: Asking, now_ns: int) -> bool:
    """Return whether a reply that is taken now would make use of the sound."""
    return bool(_fits_at(asking, asking.replies[0].count + 1, now_ns))


@inner_kernel("int64(Asking, int64, int64)")
def uncertainty_ns(asking: Asking, now_ns: int, replies_min: int) -> int:
    """Return the estimate's uncertainty, or -1 before `replies_min` replies (1 at least)."""
    replies = asking.replies[0]
    if replies.count < max(1, replies_min):
        return -1
    # A delay shorter than what times are rounded to may come out below zero.
    least_ns = max(0, replies.least_delay_ns // 2)
    return int(least_ns + np.int64(np.rint(_AGEING * max(0, now_ns - asking.reply_ns))))


@inner_kernel("boolean(Asking, Fitting, int64, int64, int64)")
def _contradicts(
    asking: Asking, room: Fitting, now_ns: int, forward_ns: int, backward_ns: int
) -> bool:
    """Return whether no delay explains this reply.

    What its own queue may have bent is no contradiction, nor what the queue of all before it
    had bent: a node that joins during congestion learns better, with each reply.
    """
    replies = asking.replies[0]
    for fitted in range(2):
        away_ns = abs((forward_ns - backward_ns) // 2 - offset_ns(replies, now_ns))
        queued_ns = abs(forward_ns + backward_ns - replies.least_delay_ns) + replies.spread_ns
        if away_ns <= _STEP_NS + queued_ns // 2:
            return False
        if fitted == 0:
            # The line may be as old as half a second, and the queue drains.
            fit(replies, room, asking.sound[:], 0)
    return True


@inner_kernel("void(Asking, Fitting, int64, int64, int64)")
def _accept(asking: Asking, room: Fitting, now_ns: int, forward_ns: int, backward_ns: int) -> None:
    """Put a reply with the others, unless it is one of a few that contradict them."""
    asking.reply_ns = now_ns
    replies = asking.replies[0]
    is_known = replies.count >= READY_REPLIES
    if is_known and _contradicts(asking, room, now_ns, forward_ns, backward_ns):
        suspect = asking.suspected[asking.suspects]
        suspect[0], suspect[1], suspect[2] = now_ns, forward_ns, backward_ns
        asking.suspects += 1
        if asking.suspects < _STEP_REPLIES:
            return
        # While all replies came through a queue, no clock was known that could have been set.
        asking.steps += not is_congested(replies)
        clear(replies)
        for i in range(_STEP_REPLIES - 1):
            suspect = asking.suspected[i]
            add(replies, suspect[0], suspect[1], suspect[2])
    asking.suspects = 0
    add(replies, now_ns, forward_ns, backward_ns)


@inner_kernel("boolean(Replies, int64)")
def _drains(replies: Replies, delay_ns: int) -> bool:
    """Return whether this reply shows that all before it had waited in a queue."""
    is_known = replies.count > READY_REPLIES
    return bool(is_known and delay_ns < replies.least_delay_ns - _STEP_NS)


@inner_kernel("boolean(Asking, Fitting, int64, int64, int64, int64)")
def receive_reply(
    asking: Asking, room: Fitting, request_ns: int, held_ns: int, answered_ns: int, now_ns: int
) -> bool:
    """Take the answer to a request, see `ClockExchange`; of the sound what lies there is used."""
    at = 0
    while at < asking.outstanding and abs(asking.asked_ns[at] - request_ns) > _MATCH_NS:
        at += 1
    if at == asking.outstanding:
        return False
    sent_ns = asking.asked_ns[at]
    if held_ns < 0 or now_ns - sent_ns - held_ns < -_MATCH_NS:
        return False
    _take_out(asking, at)
    if asking.unanswered > _UNANSWERED_MAX:  # somebody is there again: ask as at the start
        asking.begin_ns = now_ns
        asking.burst_left = BURST_REQUESTS
        asking.next_ns = now_ns
        paces.begin(asking.pace[0])
    asking.unanswered = 0
    asking.answered += 1
    hear(asking, asking.outstanding - at, now_ns - sent_ns - held_ns, now_ns)
    forward_ns = answered_ns - held_ns - sent_ns
    backward_ns = now_ns - answered_ns
    _accept(asking, room, now_ns, forward_ns, backward_ns)
    replies = asking.replies[0]
    if _fits_at(asking, replies.count, now_ns) or _drains(replies, forward_ns + backward_ns):
        asking.fitted_ns = now_ns
        fit(replies, room, asking.sound[:], asking.sounds)
    return True
