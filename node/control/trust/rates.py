"""How much a key or an address may cost: a valid signature does not buy the disk, nor the CPU."""

from typing import Final

from node.units import NS_PER_S

ORDINARY: Final = (128, NS_PER_S // 2)
URGENT: Final = (512, NS_PER_S // 8)
"""Orders at once, and the time in which one more is earned. An office in a flood sends tens."""

STRANGERS: Final = (8, 60 * NS_PER_S)
"""Of what nobody known has signed: enough to say that it is there."""

ADDRESSES_MAX: Final = 64
"""Addresses whose checks are counted; beyond it the oldest is forgotten."""

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


class ChecksOfHosts:
    """The checks of this second, by host: they are dear, and addresses are forged.

    Parameters
    ----------
    each_per_s : int
        So many of one host.
    """

    def __init__(self, each_per_s: int) -> None:
        self._each_per_s = each_per_s
        self._checks: dict[str, tuple[int, int]] = {}

    def may(self, host: str, now_ns: int) -> bool:
        """Return whether another one of `host` may be made in this second, and count it."""
        second = now_ns // NS_PER_S
        known = self._checks.get(host, (second, 0))
        count = known[1] if known[0] == second else 0
        if host not in self._checks and len(self._checks) >= ADDRESSES_MAX:
            del self._checks[next(iter(self._checks))]
        self._checks[host] = (second, count + 1)
        return count < self._each_per_s
