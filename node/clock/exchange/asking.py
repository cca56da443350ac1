"""The sender's clock against the node's own, from four time stamps over standard RTCP.

```
sender   ─────────t2──held──t3─────────►      t1, t4 on the node's monotonic clock
                 ╱            ╲               t2, t3 on the sender's
node     ──────t1──────────────t4──────►      offset = ((t2 - t1) + (t3 - t4)) / 2
             RR + XR RRTR   SR + XR DLRR      delay  = (t4 - t1) - (t3 - t2)
```

A burst of requests at the start, more on a link that jitters, then one a second. Queues delay one
way or the other and bend the offset by up to half of what they add; `exchange.bounds` finds
the floor of each direction and a slope that fits both. From sender to node the sound itself comes
fifty times a second and counts like answers. What no exchange can see is a constant asymmetry: the
uncertainty is half of the least delay.

Three replies in a row that no delay explains mean that the sender's clock was set, or another
sender answers: the window begins anew.

This module knows neither RTCP nor sockets: requests are events, replies are calls.
"""

from collections import deque
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from node.clock.exchange.replies import OffsetFilter
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

_OUTSTANDING_MAX: Final = 128
_UNANSWERED_MAX: Final = BURST_REQUESTS + 24  # answers held up for a second are still on their way
_MATCH_NS: Final = 20_000  # requests are known by 1/65536 s
_STEP_NS: Final = 30 * NS_PER_MS
_STEP_REPLIES: Final = 3
_AGEING: Final = 1e-6
_FIT_AT: Final = (1, 2, READY_REPLIES, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56)
_FIT_INTERVAL_NS: Final = 500 * NS_PER_MS  # a clock does not change faster than that


class RequestTime(Struct, frozen=True):
    """Send a request that carries `at_ns`, the node's monotonic clock."""

    at_ns: int


class ClockEstimate(Struct, frozen=True):
    """The sender's clock as a node knows it: sender = local + offset."""

    offset_ns: int
    skew_ppm: float
    """Of the sender's clock against the node's, positive is fast."""
    uncertainty_ns: int
    """Half of the least delay: no asymmetry can bend the offset by more."""
    age_ns: int
    """Since the last reply."""
    is_congested: bool
    """All replies waited: the estimate is bent by up to its uncertainty, and of no use."""


class ClockExchange:
    """The node's half: asks, filters, publishes."""

    def __init__(self, start_ns: int) -> None:
        self.steps = 0
        self.replies = 0
        self._events: deque[RequestTime] = deque(maxlen=_OUTSTANDING_MAX)
        self._outstanding: deque[int] = deque(maxlen=_OUTSTANDING_MAX)
        self._next_ns = start_ns
        self._begin_ns = start_ns
        self._burst_left = BURST_REQUESTS
        self._unanswered = 0
        self._filter = OffsetFilter()
        self._fitted_ns = start_ns
        self._suspects: list[tuple[int, int, int]] = []
        self._reply_ns = start_ns

    def handle_deadline(self, now_ns: int) -> None:
        """Ask when it is time."""
        if now_ns < self._next_ns:
            return
        self._events.append(RequestTime(now_ns))
        self._outstanding.append(now_ns)
        self._unanswered += 1
        self._burst_left = max(0, self._burst_left - 1)
        self._next_ns = now_ns + self._interval_ns(now_ns - self._begin_ns)

    def ask_by(self, at_ns: int) -> None:
        """Ask at `at_ns` at the latest, if anybody answers."""
        if self._unanswered <= _UNANSWERED_MAX:
            self._next_ns = min(self._next_ns, at_ns)

    def next_deadline_ns(self) -> int:
        """Return when the next request is due."""
        return self._next_ns

    def begin_sound(self, now_ns: int) -> None:
        """Ask at once, and as often as at the start: an exchange that had run idle is needed."""
        self._begin_ns = now_ns
        self._next_ns = now_ns

    def rest_until(self, at_ns: int) -> None:
        """Ask no more before `at_ns`: nothing sounds, and answers cost data."""
        self._next_ns = max(self._next_ns, at_ns)

    def forget_questions(self) -> None:
        """Take no answer to what was asked so far."""
        self._outstanding.clear()
        self._events.clear()

    def next_event(self) -> RequestTime | None:
        """Return the oldest request not yet sent, or None."""
        return self._events.popleft() if self._events else None

    def receive_reply(
        self,
        request_ns: int,
        held_ns: int,
        answered_ns: int,
        now_ns: int,
        *,
        sound_ns: NDArray[np.int64] | None = None,
    ) -> bool:
        """Take the answer to a request; return False when nobody asked or it cannot be.

        Parameters
        ----------
        request_ns : int
            Time of the request as the answer names it, to within 1/65536 s (t1).
        held_ns : int
            Time between the arrival of the request and the answer (t3 - t2).
        answered_ns : int
            Time of the answer on the sender's clock (t3).
        now_ns : int
            Its arrival (t4).
        sound_ns : (4, n) int64 or None
            Of the sound's fastest packets arrivals (t4), ascending, and transits (t4 - t3), and of
            its slowest.
        """
        sent_ns = next((t for t in self._outstanding if abs(t - request_ns) <= _MATCH_NS), None)
        if sent_ns is None:
            return False
        delay_ns = now_ns - sent_ns - held_ns
        if held_ns < 0 or delay_ns < -_MATCH_NS:
            return False
        self._outstanding.remove(sent_ns)
        if self._unanswered > _UNANSWERED_MAX:  # somebody is there again: ask as at the start
            self._begin_ns = now_ns
            self._burst_left = BURST_REQUESTS
            self._next_ns = now_ns
        self._unanswered = 0
        self.replies += 1
        forward_ns = answered_ns - held_ns - sent_ns
        backward_ns = now_ns - answered_ns
        self._accept(now_ns, forward_ns, backward_ns)
        if self._fits_at(self._filter.count, now_ns) or self._drains(forward_ns + backward_ns):
            self._fitted_ns = now_ns
            self._filter.fit(sound_ns)
        return True

    def wants_sound(self, now_ns: int) -> bool:
        """Return whether a reply that is taken now would make use of `sound_ns`."""
        return self._fits_at(self._filter.count + 1, now_ns)

    def estimate(self, now_ns: int, *, replies_min: int = READY_REPLIES) -> ClockEstimate | None:
        """Return offset and skew now, or None before `replies_min` replies (1 at least)."""
        uncertainty_ns = self.uncertainty_ns(now_ns, replies_min=replies_min)
        if uncertainty_ns is None:
            return None
        return ClockEstimate(
            self._filter.offset_ns(now_ns),
            1e6 * self._filter.slope,
            uncertainty_ns,
            max(0, now_ns - self._reply_ns),
            self._filter.is_congested,
        )

    def uncertainty_ns(self, now_ns: int, *, replies_min: int = READY_REPLIES) -> int | None:
        """Return the estimate's alone, or None before `replies_min` replies (1 at least)."""
        if self._filter.count < max(1, replies_min):
            return None
        # A delay shorter than what times are rounded to may come out below zero.
        least_ns = max(0, self._filter.least_delay_ns // 2)
        return least_ns + round(_AGEING * max(0, now_ns - self._reply_ns))

    @property
    def is_doubted(self) -> bool:
        """Return whether the last reply contradicts all that are kept: the clock may be set."""
        return bool(self._suspects)

    def local_ns(self, sender_ns: int) -> int:
        """Return the node's time at which the sender's clock shows `sender_ns`."""
        return self._filter.local_ns(sender_ns)

    def _interval_ns(self, since_ns: int) -> int:
        """Return how long to wait for the next request, `since_ns` after the first one."""
        if self._unanswered > _UNANSWERED_MAX:
            return UNANSWERED_INTERVAL_NS
        known = self._floor_known()
        if self._burst_left > 0 and not (self._filter.count >= QUIET_REPLIES and known):
            return BURST_INTERVAL_NS
        if not known:
            return min(max(since_ns // WARM_SHARE, WARM_INTERVAL_NS), INTERVAL_NS)
        return SETTLE_INTERVAL_NS if since_ns < SETTLE_NS else INTERVAL_NS

    def _fits_at(self, count: int, now_ns: int) -> bool:
        return count in _FIT_AT or now_ns - self._fitted_ns >= _FIT_INTERVAL_NS

    def _drains(self, delay_ns: int) -> bool:
        """Return whether this reply shows that all before it had waited in a queue."""
        known = self._filter.count > READY_REPLIES
        return known and delay_ns < self._filter.least_delay_ns - _STEP_NS

    def _floor_known(self) -> bool:
        return self._filter.spread_ns < WARM_ENOUGH_NS * self._filter.count

    def _accept(self, now_ns: int, forward_ns: int, backward_ns: int) -> None:
        """Put a reply into the filter, unless it is one of a few that contradict it."""
        self._reply_ns = now_ns
        replies = self._filter
        if replies.count >= READY_REPLIES and self._contradicts(now_ns, forward_ns, backward_ns):
            self._suspects.append((now_ns, forward_ns, backward_ns))
            if len(self._suspects) < _STEP_REPLIES:
                return
            # While all replies came through a queue, no clock was known that could have been set.
            self.steps += not replies.is_congested
            replies.clear()
            for suspect in self._suspects[:-1]:
                replies.add(*suspect)
        self._suspects.clear()
        replies.add(now_ns, forward_ns, backward_ns)

    def _contradicts(self, now_ns: int, forward_ns: int, backward_ns: int) -> bool:
        """Return whether no delay explains this reply.

        What its own queue may have bent is no contradiction, nor what the queue of all before it
        had bent: a node that joins during congestion learns better, with each reply.
        """
        replies = self._filter
        for fitted in (False, True):
            away_ns = abs((forward_ns - backward_ns) // 2 - replies.offset_ns(now_ns))
            queued_ns = abs(forward_ns + backward_ns - replies.least_delay_ns) + replies.spread_ns
            if away_ns <= _STEP_NS + queued_ns // 2:
                return False
            if not fitted:
                replies.fit()  # the line may be as old as half a second, and the queue drains
        return True
