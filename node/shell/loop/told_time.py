"""When the core is told what the machine's civil clock shows."""

from collections.abc import Callable
from typing import Final

from node.shell.clocks import now_ns, utc_ns
from node.shell.loop.core_sound import CoreLock
from node.shell.loop.looks import NEVER_NS
from node.units import NS_PER_S

EVERY_NS: Final = NS_PER_S
"""Unless the core asks for less."""


class ToldTime:
    """Tell the core: so often as it asks, and before it does what is due.

    Parameters
    ----------
    tell : callable or None
        Told (utc_ns, now_ns); returns when it wants to be told next, None: in a second.
    lock : CoreLock
        Of the core.
    """

    def __init__(self, tell: Callable[[int, int], int | None] | None, lock: CoreLock) -> None:
        self._tell = tell
        self._lock = lock
        self._told_ns = -EVERY_NS
        self.next_ns = NEVER_NS if tell is None else 0
        """When it is to be told next, monotonic."""

    def look(self, now: int) -> None:
        """Tell, if it is time."""
        if self._tell is None or now < self.next_ns:
            return
        self._told_ns = now
        with self._lock:
            wish_ns = self._tell(utc_ns(), now_ns())
        self.next_ns = now + EVERY_NS if wish_ns is None else wish_ns

    def renew(self) -> None:
        """Tell within a second of the last time, however late the core has asked for it."""
        self.next_ns = min(self.next_ns, self._told_ns + EVERY_NS)
