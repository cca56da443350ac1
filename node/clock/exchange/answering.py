"""The sender's half of the exchange: answer each request once, soon, and never more than asked.

An answer must not be longer than its request and each source has an allowance, so that requests
with a forged address turn no sender into an amplifier. What is beyond is counted and dropped.
"""

from collections import OrderedDict
from typing import Final

from msgspec import Struct

from node.units import NS_PER_S

SOURCES_MAX: Final = 4096
ANSWERS_WAITING_MAX: Final = 1024
BURST_MAX: Final = 64
"""Two bursts at the start of a node."""
RATE_PER_S: Final = 44
"""A node asks forty times a second while it warms up."""


class AnswerTime(Struct, frozen=True):
    """Answer `source` now: its request came at `received_ns` and carried `request`."""

    source: tuple[str, int]
    ssrc: int
    request: int
    received_ns: int


class ExchangeResponder:
    """Decides which requests for time are answered."""

    def __init__(self) -> None:
        self.refused = 0
        self._events: list[AnswerTime] = []
        self._allowance_ns: OrderedDict[tuple[str, int], int] = OrderedDict()

    def receive_request(
        self,
        source: tuple[str, int],
        *,
        ssrc: int,
        request: int,
        spare_bytes: int,
        now_ns: int,
    ) -> None:
        """Take a request for time.

        Parameters
        ----------
        source : (str, int)
            Where it came from, and the answer goes to.
        ssrc : int
            Of the node that asks.
        request : int
            What it carried; the answer repeats it.
        spare_bytes : int
            Bytes of the datagram that asked, less those of the answer; below 0 is refused.
        now_ns : int
            When it arrived, on the sender's monotonic clock.
        """
        if spare_bytes < 0 or len(self._events) >= ANSWERS_WAITING_MAX:
            self.refused += 1
            return
        # A leaky bucket kept as one time: it moves on by one interval per answer.
        full_ns = now_ns - BURST_MAX * NS_PER_S // RATE_PER_S
        spent_ns = max(self._allowance_ns.pop(source, full_ns), full_ns) + NS_PER_S // RATE_PER_S
        if spent_ns > now_ns:
            self.refused += 1
            self._allowance_ns[source] = spent_ns - NS_PER_S // RATE_PER_S
            return
        self._allowance_ns[source] = spent_ns
        if len(self._allowance_ns) > SOURCES_MAX:
            self._allowance_ns.popitem(last=False)
        self._events.append(AnswerTime(source, ssrc, request, now_ns))

    def next_event(self) -> AnswerTime | None:
        """Return the oldest request not yet answered, or None."""
        return self._events.pop(0) if self._events else None
