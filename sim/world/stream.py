"""One ordered byte stream over lossy paths, as TCP makes it: nothing overtakes, loss is delay.

```
 send ─► segment ─► path ─► in order ─► delivered          lost: sent again after 1, 2, 4... x RTO
                      └─ lost ──┘ what follows waits       not through in 8 s: the stream breaks
```
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.units import NS_PER_MS, NS_PER_S
from sim.world.loop import VirtualLoop
from sim.world.path import LOST_NS, Path

HEADERS_BYTES: Final = 52
"""IPv4 and TCP with its time stamps."""

SEGMENT_BYTES: Final = 1400

RTO_FIRST_NS: Final = NS_PER_S
"""Before a round trip was measured (RFC 6298, section 2.1)."""

RTO_MIN_NS: Final = 200 * NS_PER_MS
"""Linux' lower bound (RFC 6298 says 1 s)."""

USER_TIMEOUT_NS: Final = 8 * NS_PER_S
"""As the node's own client sets it (TCP_USER_TIMEOUT)."""

Deliver = Callable[[Any], None]


@dataclass(slots=True)
class _Segment:
    number: int
    content: object
    size_bytes: int
    first_ns: int
    tries: int = 0


class Pipe:
    """One direction of a stream.

    Parameters
    ----------
    loop : VirtualLoop
        Of the run.
    there, back : Path
        The way of segments, and that of their acknowledgements.
    deliver : callable
        Gets each content, in order.
    broken : callable
        Called once when a segment is not through in `USER_TIMEOUT_NS`.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        there: Path,
        back: Path,
        *,
        deliver: Deliver,
        broken: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._there = there
        self._back = back
        self._deliver = deliver
        self._broken = broken
        self._next = 0
        self._expected = 0
        self._held: dict[int, object] = {}
        self._rtt_ns: int | None = None
        self._heard_ns = loop.now_ns
        self.open = True
        self.forgotten = False
        """Somebody on the way knows nothing of this stream any more: nothing comes through."""

    def send(self, content: object, size_bytes: int) -> None:
        """Send something that is so long; nothing is sent once the pipe is closed."""
        if not self.open:
            return
        segments = max(1, -(-size_bytes // SEGMENT_BYTES))
        size = size_bytes + segments * HEADERS_BYTES
        segment = _Segment(self._next, content, size, self._loop.now_ns)
        self._next += 1
        self._try(segment)

    def heard_ns(self) -> int | None:
        """Return how long ago the other end acknowledged something; None where all is.

        A lost acknowledgement counts: the next one would say as much.
        """
        return None if self._expected == self._next else self._loop.now_ns - self._heard_ns

    def reset(self, call: Callable[[], None]) -> None:
        """Tell the other end that there is no such stream here (RST): once, and it may be lost."""
        at_ns = self._there.carry(self._loop.now_ns, HEADERS_BYTES)
        if not self.forgotten and at_ns != LOST_NS:
            self._loop.call_at_ns(at_ns, call)

    def close(self) -> None:
        """Let nothing more arrive."""
        self.open = False

    def _try(self, segment: _Segment) -> None:
        if not self.open:
            return
        now_ns = self._loop.now_ns
        if now_ns - segment.first_ns > USER_TIMEOUT_NS:
            self.open = False
            self._broken()
            return
        arrive_ns = self._there.carry(now_ns, segment.size_bytes)
        if self.forgotten or arrive_ns == LOST_NS:
            wait_ns = min(self._rto_ns() << segment.tries, 60 * NS_PER_S)
            segment.tries += 1
            left_ns = segment.first_ns + USER_TIMEOUT_NS + 1 - now_ns
            self._loop.call_at_ns(now_ns + min(wait_ns, left_ns), self._try, segment)
            return
        self._loop.call_at_ns(arrive_ns, self._arrived, segment)

    def _arrived(self, segment: _Segment) -> None:
        if not self.open:
            return
        now_ns = self._loop.now_ns
        back_ns = self._back.carry(now_ns, HEADERS_BYTES)
        if back_ns != LOST_NS and not segment.tries:
            self._rtt_ns = back_ns - segment.first_ns
        self._heard_ns = now_ns
        self._held[segment.number] = segment.content
        while self._expected in self._held and self.open:
            content = self._held.pop(self._expected)
            self._expected += 1
            self._deliver(content)

    def _rto_ns(self) -> int:
        return RTO_FIRST_NS if self._rtt_ns is None else RTO_MIN_NS + self._rtt_ns
