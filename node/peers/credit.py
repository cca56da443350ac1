"""What may be sent to an address that has answered nothing: no more bytes than came from there.

Anybody can write another's address into a datagram. Who answers a question that was sent there has
read it, and is no stranger any more; until then nothing is sent that did not come.
"""

from node.clock.exchange.asking import ClockExchange


class Credit:
    """The account of one address; `exchange` knows how many questions it has answered."""

    def __init__(self, exchange: ClockExchange) -> None:
        self._exchange = exchange
        self._bytes = 0
        self._replies_before = 0

    def earn(self, datagram_bytes: int) -> None:
        """Note a datagram from there."""
        self._bytes += datagram_bytes

    def spend(self, datagram_bytes: int) -> bool:
        """Return whether a datagram may go there, and count it."""
        if self._exchange.replies > self._replies_before:
            return True
        if self._bytes < datagram_bytes:
            return False
        self._bytes -= datagram_bytes
        return True

    def move(self) -> None:
        """Begin anew: the source speaks from another address now."""
        self._bytes, self._replies_before = 0, self._exchange.replies
