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

This module knows neither RTCP nor sockets: requests are events, replies are calls. What is kept and
decided is in `exchange.asked`.
"""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from node.clock.exchange.asked import (
    BURST_REQUESTS,
    OUTSTANDING_MAX,
    READY_REPLIES,
    Asking,
    ask,
    ask_by,
    begin,
    receive_reply,
    uncertainty_ns,
    wants_sound,
)
from node.clock.exchange.bounds import Fitting
from node.clock.exchange.replies import local_ns, offset_ns
from node.kernel import kernel
from node.kernel.bound import bound
from node.kernel.record import Records, new, new_apart

__all__ = [
    "BURST_REQUESTS",
    "READY_REPLIES",
    "ClockEstimate",
    "ClockExchange",
    "RequestTime",
]


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
        self.asking = new_apart(Asking)
        _begin(self.asking, start_ns)
        self._events: list[RequestTime] = []
        self._ask = bound(_ask, self.asking)
        self._receive_reply = bound(_receive_reply, self.asking)
        self._wants_sound = bound(_wants_sound, self.asking)
        self._uncertainty_ns = bound(_uncertainty_ns, self.asking)
        self._offset_ns = bound(_offset_ns, self.asking)
        self._local_ns = bound(_local_ns, self.asking)
        # A field of an array of records is looked up by name each time: told each question.
        self._next_ns: NDArray[np.int64] = self.asking["next_ns"]
        self._reply_ns: NDArray[np.int64] = self.asking["reply_ns"]
        self._answered: NDArray[np.int64] = self.asking["answered"]
        self._steps: NDArray[np.int64] = self.asking["steps"]
        self._sounds: NDArray[np.int64] = self.asking["sounds"]
        self._sound: NDArray[np.int64] = self.asking["sound"][0]
        self._slope: NDArray[np.float64] = self.asking["replies"]["slope"][0]
        replies = self.asking["replies"]
        self._least_delay_ns: NDArray[np.int64] = replies["least_delay_ns"][0]
        self._path_max_ns: NDArray[np.int64] = replies["path_max_ns"][0]

    def handle_deadline(self, now_ns: int) -> None:
        """Ask when it is time."""
        if now_ns >= self._next_ns[0] and self._ask(now_ns):
            del self._events[: 1 - OUTSTANDING_MAX]
            self._events.append(RequestTime(now_ns))

    def ask_by(self, at_ns: int) -> None:
        """Ask at `at_ns` at the latest, if anybody answers."""
        if at_ns < self._next_ns[0]:
            _ask_by(self.asking, at_ns)

    def next_deadline_ns(self) -> int:
        """Return when the next request is due."""
        return self._next_ns.item()

    def begin_sound(self, now_ns: int) -> None:
        """Ask at once, and as often as at the start: an exchange that had run idle is needed."""
        self.asking["begin_ns"] = now_ns
        self._next_ns[0] = now_ns
        self.asking["pace"] = 0

    def rest_until(self, at_ns: int) -> None:
        """Ask no more before `at_ns`: nothing sounds, and answers cost data."""
        self._next_ns[0] = max(self.next_deadline_ns(), at_ns)

    def forget_questions(self) -> None:
        """Take no answer to what was asked so far."""
        self.asking["outstanding"] = 0
        self.asking["pace"] = 0
        self._events.clear()

    def next_event(self) -> RequestTime | None:
        """Return the oldest request not yet sent, or None."""
        return self._events.pop(0) if self._events else None

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
        self._sounds[0] = 0 if sound_ns is None else sound_ns.shape[1]
        if sound_ns is not None:
            self._sound[:, : sound_ns.shape[1]] = sound_ns
        room = new(Fitting)
        return bool(self._receive_reply(room, request_ns, held_ns, answered_ns, now_ns))

    def wants_sound(self, now_ns: int) -> bool:
        """Return whether a reply that is taken now would make use of `sound_ns`."""
        return bool(self._wants_sound(now_ns))

    def estimate(self, now_ns: int, *, replies_min: int = READY_REPLIES) -> ClockEstimate | None:
        """Return offset and skew now, or None before `replies_min` replies (1 at least)."""
        uncertainty_ns = self._uncertainty_ns(now_ns, replies_min)
        if uncertainty_ns < 0:
            return None
        return ClockEstimate(
            self._offset_ns(now_ns),
            1e6 * self._slope.item(),
            uncertainty_ns,
            max(0, now_ns - self._reply_ns.item()),
            bool(self._least_delay_ns[0] > self._path_max_ns[0]),
        )

    def uncertainty_ns(self, now_ns: int, *, replies_min: int = READY_REPLIES) -> int | None:
        """Return the estimate's alone, or None before `replies_min` replies (1 at least)."""
        found: int = self._uncertainty_ns(now_ns, replies_min)
        return None if found < 0 else found

    @property
    def steps(self) -> int:
        """How often the sender's clock was set."""
        return self._steps.item()

    @property
    def replies(self) -> int:
        """How many replies came."""
        return self._answered.item()

    @property
    def is_doubted(self) -> bool:
        """Return whether the last reply contradicts all that are kept: the clock may be set."""
        return bool(self.asking["suspects"][0])

    def local_ns(self, sender_ns: int) -> int:
        """Return the node's time at which the sender's clock shows `sender_ns`."""
        return int(self._local_ns(sender_ns))


@kernel("void(Asking[::1], int64)")
def _begin(asking: Records[Asking], start_ns: int) -> None:
    """See `begin`."""
    begin(asking[0], start_ns)


@kernel("boolean(Asking[::1], int64)")
def _ask(asking: Records[Asking], now_ns: int) -> bool:
    """See `ask`."""
    return ask(asking[0], now_ns)


@kernel("void(Asking[::1], int64)")
def _ask_by(asking: Records[Asking], at_ns: int) -> None:
    """See `ask_by`."""
    ask_by(asking[0], at_ns)


@kernel("boolean(Asking[::1], Fitting[::1], int64, int64, int64, int64)")
def _receive_reply(
    asking: Records[Asking],
    room: Records[Fitting],
    request_ns: int,
    held_ns: int,
    answered_ns: int,
    now_ns: int,
) -> bool:
    """See `receive_reply`."""
    return receive_reply(asking[0], room[0], request_ns, held_ns, answered_ns, now_ns)


@kernel("boolean(Asking[::1], int64)")
def _wants_sound(asking: Records[Asking], now_ns: int) -> bool:
    """See `wants_sound`."""
    return wants_sound(asking[0], now_ns)


@kernel("int64(Asking[::1], int64, int64)")
def _uncertainty_ns(asking: Records[Asking], now_ns: int, replies_min: int) -> int:
    """See `uncertainty_ns`."""
    return uncertainty_ns(asking[0], now_ns, replies_min)


@kernel("int64(Asking[::1], int64)")
def _offset_ns(asking: Records[Asking], now_ns: int) -> int:
    """See `replies.offset_ns`."""
    return offset_ns(asking[0].replies[0], now_ns)


@kernel("int64(Asking[::1], int64)")
def _local_ns(asking: Records[Asking], other_ns: int) -> int:
    """See `replies.local_ns`."""
    return local_ns(asking[0].replies[0], other_ns)
