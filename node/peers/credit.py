"""What may be sent to an address that has answered nothing: no more bytes than came from there.

Anybody can write another's address into a datagram. Who answers a question that was sent there has
read it, and is no stranger any more; until then nothing is sent that did not come.

A sender whose packets are authenticated is asked before it has sent enough, so that its clock is
known with its first sound. Even that is bounded, for all senders of a node together: a packet that
was overheard can be sent once from another address.
"""

from typing import Final

from node.clock.exchange.asking import ClockExchange
from node.units import NS_PER_MS, NS_PER_S

HEADERS_BYTES: Final = 48
"""IPv6 and UDP. What goes out costs them; what came in is counted without, as headers are shorter
on some ways than on others."""

ADVANCE_BYTES: Final = 1 << 15
"""Three first bursts of questions, ..."""
ADVANCE_BYTES_PER_S: Final = 1 << 10
"""... and one more each ten seconds."""

NEVER_NS: Final = 1 << 62
_LOOK_NS: Final = 200 * NS_PER_MS
"""The advance grows by a question in that time."""


class Advance:
    """What a node may send before it came, to all authenticated senders together."""

    def __init__(self) -> None:
        self._bytes = ADVANCE_BYTES
        self._at_ns = 0

    def left_bytes(self, now_ns: int) -> int:
        """Return how much is left."""
        grown = max(now_ns - self._at_ns, 0) * ADVANCE_BYTES_PER_S // NS_PER_S
        return min(self._bytes + grown, ADVANCE_BYTES)

    def take(self, wanted_bytes: int, now_ns: int) -> None:
        """Take what `left_bytes` has."""
        self._bytes = self.left_bytes(now_ns) - wanted_bytes
        self._at_ns = now_ns
        assert self._bytes >= 0, "more is taken than is left"


class Credit:
    """The account of one address; `exchange` knows how many questions it has answered."""

    def __init__(self, exchange: ClockExchange) -> None:
        self._exchange = exchange
        self._advance: Advance | None = None
        self._bytes = 0
        self._replies_before = 0
        self._look_ns = 0

    def earn(self, datagram_bytes: int) -> None:
        """Note a datagram from there."""
        self._bytes += datagram_bytes
        self._look_ns = 0

    def covers(self, datagram_bytes: int, now_ns: int) -> bool:
        """Return whether a datagram may go there."""
        missing = datagram_bytes + HEADERS_BYTES - self._bytes
        if missing <= 0 or self._answers:
            return True
        if self._advance is not None and self._advance.left_bytes(now_ns) >= missing:
            return True
        self._look_ns = NEVER_NS if self._advance is None else now_ns + _LOOK_NS
        return False

    def pay(self, datagram: bytes, now_ns: int) -> bool:
        """Return whether a datagram may go there, and count it."""
        if not self.covers(len(datagram), now_ns):
            return False
        if not self._answers:
            self._bytes -= len(datagram) + HEADERS_BYTES
            if self._bytes < 0 and self._advance is not None:
                self._advance.take(-self._bytes, now_ns)
                self._bytes = 0
        return True

    def move(self) -> None:
        """Begin anew: the source speaks from another address now."""
        self._bytes, self._replies_before = 0, self._exchange.replies
        self._look_ns = 0

    def trust(self, advance: Advance) -> None:
        """Let `advance` pay what is missing: what came from there is authenticated."""
        if self._advance is None:
            self._advance, self._look_ns = advance, 0

    @property
    def not_before_ns(self) -> int:
        """When to ask `covers` again, that has said no; what comes from there brings it nearer."""
        return 0 if self._exchange.replies > self._replies_before else self._look_ns

    @property
    def _answers(self) -> bool:
        return self._exchange.replies > self._replies_before
