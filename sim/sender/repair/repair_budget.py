"""What repair may cost: one account for copies and for what is sent again.

It earns with each packet of the stream and is spent on repair, so nobody who asks, and no report,
makes a stream dearer than this: not even one that lies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.units import NS_PER_S

UDP_BYTES: Final = 28
"""IPv4 and UDP headers, which a data budget also pays."""

SAVED_BYTES_MAX: Final = 6000
"""What a stream may save up for a bad moment: some forty packets of speech."""

PAUSE_MAX_NS: Final = NS_PER_S
"""A pause earns no more than this."""


@dataclass(slots=True, kw_only=True)
class RepairBudget:
    """The account of one stream to one destination."""

    share_max: float = 0.15
    """Without `rate_bit_s`: repair costs at most this share of the stream's bytes."""

    rate_bit_s: int | None = None
    """The stream and its repair together may have so much, headers of IPv4 and UDP included."""

    bytes_left: float = SAVED_BYTES_MAX / 2
    link_bytes: int = 0
    """Sent of the stream itself, headers of IPv4 and UDP included."""

    repair_bytes: int = 0
    """Beside it."""

    _last_ns: int | None = None

    def earn(self, packet_bytes: int, now_ns: int) -> None:
        """Note a packet of the stream."""
        self.link_bytes += packet_bytes + UDP_BYTES
        earned = self.share_max * (packet_bytes + UDP_BYTES)
        if self.rate_bit_s is not None:
            last_ns = now_ns if self._last_ns is None else self._last_ns
            passed_ns = min(max(now_ns - last_ns, 0), PAUSE_MAX_NS)
            self._last_ns = max(last_ns, now_ns)
            earned = self.rate_bit_s / 8 * passed_ns / NS_PER_S - packet_bytes - UDP_BYTES
        # A stream that is dearer than its rate for a while is in debt, and pays that first.
        self.bytes_left = min(max(self.bytes_left + earned, -SAVED_BYTES_MAX), SAVED_BYTES_MAX)

    def earn_all(self, packets_bytes: Sequence[int], times_ns: Sequence[int]) -> None:
        """Note packets of the stream, one after the other."""
        if self.rate_bit_s is not None:
            for packet_bytes, now_ns in zip(packets_bytes, times_ns, strict=True):
                self.earn(packet_bytes, now_ns)
            return
        left, share = self.bytes_left, self.share_max
        for packet_bytes in packets_bytes:
            left += share * (packet_bytes + UDP_BYTES)
            if left > SAVED_BYTES_MAX:
                left = SAVED_BYTES_MAX
            elif left < -SAVED_BYTES_MAX:
                left = -SAVED_BYTES_MAX
        self.bytes_left = left
        self.link_bytes += sum(packets_bytes) + UDP_BYTES * len(packets_bytes)

    def spend(self, repair_bytes: int) -> bool:
        """Take so much from the account, or return False when there is not so much in it."""
        if self.bytes_left < repair_bytes:
            return False
        self.bytes_left -= repair_bytes
        self.repair_bytes += repair_bytes
        return True
