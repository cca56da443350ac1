"""How many orders a key may give: a valid signature does not buy the disk, nor the CPU."""

from typing import Final

from node.units import NS_PER_S

ORDINARY: Final = (128, NS_PER_S // 2)
URGENT: Final = (512, NS_PER_S // 8)
"""Orders at once, and the time in which one more is earned. An office in a flood sends tens."""

STRANGERS: Final = (8, 60 * NS_PER_S)
"""Of what nobody known has signed: enough to say that it is there."""

TOO_MANY: Final = "too many orders"
"""The fate of an order beyond its key's limit."""


class Rates:
    """Token buckets, one per key and limit."""

    def __init__(self) -> None:
        self._full_ns: dict[tuple[bytes, tuple[int, int]], int] = {}

    def has_room(self, key: bytes, limit: tuple[int, int], now_ns: int) -> bool:
        """Return whether `key` may do one more thing under `limit` now."""
        most, each_ns = limit
        return self._full_at_ns(key, limit, now_ns) - now_ns <= (most - 1) * each_ns

    def allow(self, key: bytes, limit: tuple[int, int], now_ns: int) -> bool:
        """Return whether `key` may do one more thing under `limit` now, and count it."""
        if not self.has_room(key, limit, now_ns):
            return False
        self._full_ns[key, limit] = self._full_at_ns(key, limit, now_ns) + limit[1]
        return True

    def _full_at_ns(self, key: bytes, limit: tuple[int, int], now_ns: int) -> int:
        """Return when the bucket is full again: a number of orders is a stretch of time."""
        return max(self._full_ns.get((key, limit), now_ns), now_ns)

    def forget(self, key: bytes) -> None:
        """Drop what is known of a key that lost its authority."""
        for limit in (ORDINARY, URGENT):
            self._full_ns.pop((key, limit), None)
