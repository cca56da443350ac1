"""The sender's clock against the node's own, from four time stamps over standard RTCP.

```
sender   ─────────t2──held──t3─────────►      t1, t4 on the node's monotonic clock
                 ╱            ╲               t2, t3 on the sender's
node     ──────t1──────────────t4──────►      offset = ((t2 - t1) + (t3 - t4)) / 2
             RR + XR RRTR   SR + XR DLRR      delay  = (t4 - t1) - (t3 - t2)
```

A burst of requests at the start, more on a link that jitters, then one a second. Queues delay one
way or the other and bend the offset by up to half of what they add; `node.clock.offset_filter`
finds the floor of each direction and a line through it. From sender to node the sound itself comes
fifty times a second: its fastest packet stands in where all answers were slower. What no exchange
can see is a constant asymmetry: the uncertainty is half of the least delay.

Three replies in a row that no delay explains mean that the sender's clock was set, or another
sender answers: the window begins anew.

This module knows neither RTCP nor sockets: requests are events, replies are calls.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from node.clock.offset_filter import OffsetFilter
from node.units import NS_PER_MS, NS_PER_S

BURST_REQUESTS: Final = 30
BURST_INTERVAL_NS: Final = 10 * NS_PER_MS
"""All of the burst is answered before the first sound, at a playout delay of 400 ms."""
WARM_REQUESTS: Final = 600
WARM_INTERVAL_NS: Final = 50 * NS_PER_MS
WARM_ENOUGH_NS: Final = 70_000
"""Then, on a link that jitters, until the floor is known: n replies show it to within the spread
of the delay divided by n. A quiet link needs none of it; 40 +- 20 ms need half a minute."""
SETTLE_NS: Final = 15 * NS_PER_S
SETTLE_INTERVAL_NS: Final = 250 * NS_PER_MS
"""And four times a second at first: a slope rests on replies far apart, not on the burst."""
INTERVAL_NS: Final = NS_PER_S
UNANSWERED_INTERVAL_NS: Final = 10 * NS_PER_S
"""Interval while nobody answers: a foreign sender is not pestered, a new one found."""
READY_REPLIES: Final = 4

_OUTSTANDING_MAX: Final = 64
_UNANSWERED_MAX: Final = 48
_MATCH_NS: Final = 20_000  # requests are known by 1/65536 s
_STEP_NS: Final = 30 * NS_PER_MS
_STEP_REPLIES: Final = 3
_AGEING: Final = 1e-6
_FIT_AT: Final = (1, 2, READY_REPLIES, 8, 16, BURST_REQUESTS)
_FIT_INTERVAL_NS: Final = 500 * NS_PER_MS  # a clock does not change faster than that


@dataclass(frozen=True, slots=True)
class RequestTime:
    """Send a request that carries `at_ns`, the node's monotonic clock."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class ClockEstimate:
    """The sender's clock as a node knows it: sender = local + offset."""

    offset_ns: int
    skew_ppm: float
    """Of the sender's clock against the node's, positive is fast."""
    uncertainty_ns: int
    """Half of the least delay: no asymmetry can bend the offset by more."""
    age_ns: int
    """Since the last reply."""


class ClockExchange:
    """The node's half: asks, filters, publishes."""

    def __init__(self, start_ns: int) -> None:
        self.steps = 0
        self.replies = 0
        self._events: deque[RequestTime] = deque(maxlen=_OUTSTANDING_MAX)
        self._outstanding: deque[int] = deque(maxlen=_OUTSTANDING_MAX)
        self._next_ns = start_ns
        self._quick_left = BURST_REQUESTS + WARM_REQUESTS
        self._settle_until_ns = start_ns + SETTLE_NS
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
        interval_ns = INTERVAL_NS
        if self._unanswered > _UNANSWERED_MAX:
            interval_ns = UNANSWERED_INTERVAL_NS
        elif self._quick_left > WARM_REQUESTS:
            interval_ns = BURST_INTERVAL_NS
        elif self._quick_left > 0 and not self._floor_known():
            interval_ns = WARM_INTERVAL_NS
        elif now_ns < self._settle_until_ns:
            interval_ns = SETTLE_INTERVAL_NS
        self._quick_left = max(0, self._quick_left - 1)
        self._next_ns = now_ns + interval_ns

    def next_deadline_ns(self) -> int:
        """Return when the next request is due."""
        return self._next_ns

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
        floor_ns: int | None = None,
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
        floor_ns : int or None
            Transit of the sound's fastest packet, like t4 - t3 from one clock to the other.
        """
        sent_ns = next((t for t in self._outstanding if abs(t - request_ns) <= _MATCH_NS), None)
        if sent_ns is None:
            return False
        delay_ns = now_ns - sent_ns - held_ns
        if held_ns < 0 or delay_ns < -_MATCH_NS:
            return False
        self._outstanding.remove(sent_ns)
        if self._unanswered > _UNANSWERED_MAX:  # somebody is there again: ask as at the start
            self._quick_left = BURST_REQUESTS + WARM_REQUESTS
            self._settle_until_ns = now_ns + SETTLE_NS
            self._next_ns = now_ns
        self._unanswered = 0
        self.replies += 1
        forward_ns = answered_ns - held_ns - sent_ns
        backward_ns = now_ns - answered_ns
        self._accept(now_ns, forward_ns, backward_ns)
        if self._filter.count in _FIT_AT or now_ns - self._fitted_ns >= _FIT_INTERVAL_NS:
            self._fitted_ns = now_ns
            self._filter.fit()
            if self._plausible(floor_ns):
                self._filter.fit(floor_ns)
        return True

    def estimate(self, now_ns: int) -> ClockEstimate | None:
        """Return offset and skew now, or None before READY_REPLIES replies."""
        if self._filter.count < READY_REPLIES:
            return None
        age_ns = max(0, now_ns - self._reply_ns)
        return ClockEstimate(
            self._filter.offset_ns(now_ns),
            1e6 * self._filter.slope,
            self._filter.least_delay_ns // 2 + round(_AGEING * age_ns),
            age_ns,
        )

    def local_ns(self, sender_ns: int) -> int:
        """Return the node's time at which the sender's clock shows `sender_ns`."""
        return self._filter.local_ns(sender_ns)

    def _plausible(self, floor_ns: int | None) -> bool:
        """Return whether the sound's floor may stand in for the answers' floor.

        A sender that stamps its sound ahead of time would seem nearer than it is: a floor is
        refused that is below the answers by more than their own spread explains.
        """
        if floor_ns is None:
            return False
        replies = self._filter
        return floor_ns >= replies.least_backward_ns - max(NS_PER_MS, replies.spread_ns // 2)

    def _floor_known(self) -> bool:
        return self._filter.spread_ns < WARM_ENOUGH_NS * self._filter.count

    def _accept(self, now_ns: int, forward_ns: int, backward_ns: int) -> None:
        """Put a reply into the filter, unless it is one of a few that contradict it."""
        self._reply_ns = now_ns
        replies = self._filter
        if replies.count >= READY_REPLIES:
            offset_ns = (forward_ns - backward_ns) // 2
            beyond_ns = abs(offset_ns - replies.offset_ns(now_ns)) - _STEP_NS
            queued_ns = abs(forward_ns + backward_ns - replies.least_delay_ns)
            # What this reply's own queue may have bent is no contradiction, nor what the queue of
            # all before it had bent: a node that joins in the middle of a jam learns better.
            if beyond_ns > queued_ns // 2:
                self._suspects.append((now_ns, forward_ns, backward_ns))
                if len(self._suspects) < _STEP_REPLIES:
                    return
                self.steps += 1
                replies.clear()
                for suspect in self._suspects[:-1]:
                    replies.add(*suspect)
        self._suspects.clear()
        replies.add(now_ns, forward_ns, backward_ns)
