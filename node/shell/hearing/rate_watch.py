"""Whether a capture gives as many samples a second as it should.

`arecord` takes a card's own rate where that has no other, and says so to nobody; a FIFO has what is
written. At another rate nothing that comes back is like what was played, and a good horn would
be called dead.
"""

from typing import Final

from node.units import NS_PER_MS, NS_PER_S

_SKIPPED_NS: Final = NS_PER_S
"""What waited in buffers comes all at once."""
_FIRST: Final = (3 * NS_PER_S, 0.05)
_LATER: Final = (10 * NS_PER_S, 0.03)
"""Time to count for, and by how much the count may be wrong: blocks come late on a busy machine."""
_PAUSE_NS: Final = 500 * NS_PER_MS
"""Without samples: some were lost, and counting begins anew."""


class RateWatch:
    """Count the samples of a capture.

    Parameters
    ----------
    rate_hz : int
        That it should have.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._since_ns = self._last_ns = 0
        self._count, self._counts = 0, False
        self._rule = _FIRST
        self.fault: str | None = None
        """What is wrong by the last count."""

    def receive(self, n: int, now_ns: int) -> None:
        """Note that `n` samples came now."""
        if self._last_ns == 0 or now_ns - self._last_ns > _PAUSE_NS:
            self._since_ns, self._count, self._counts = now_ns + _SKIPPED_NS, 0, False
        self._last_ns = now_ns
        if not self._counts:
            if now_ns > self._since_ns:
                self._since_ns, self._counts = now_ns, True  # counted is what follows this block
            return
        self._count += n
        whole_ns, share = self._rule
        if now_ns - self._since_ns < whole_ns:
            return
        rate_hz = self._count * NS_PER_S / (now_ns - self._since_ns)
        is_wrong = abs(rate_hz / self._rate_hz - 1) > share
        told = f"it gives {rate_hz:.0f} samples a second, and rate_hz is {self._rate_hz}"
        self.fault = told if is_wrong else None
        self._since_ns, self._count, self._rule = now_ns, 0, _LATER
