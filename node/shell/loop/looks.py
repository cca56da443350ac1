"""When the loop looks at what does not wake it: at each tick, or at those that somebody wishes for.

```
 a part that says nothing (a real card, a disk, a clock) ─► each tick
 all parts tell that they changed ─► the tick after that, and the ticks that are wished for
```
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Final

from node.shell.clocks import now_ns
from node.shell.machine import machine
from node.shell.pace import Pace
from node.units import NS_PER_S

NEVER_NS: Final = 1 << 62


class Ended(asyncio.Event):
    """The end of the service, which stirs the loop."""

    def __init__(self, stirred: asyncio.Event) -> None:
        super().__init__()
        self._stirred = stirred

    def set(self) -> None:
        """End."""
        super().set()
        self._stirred.set()


class Looks:
    """Let the loop sleep until the next look.

    Parameters
    ----------
    pace : Pace
        When the ticks are.
    parts : iterable
        What is looked at beside the machine. A part that has `tell_changes` calls what that is
        given whenever there is something new to see.
    note_change : callable
        What they call; it calls `look_soon`.
    """

    def __init__(
        self, pace: Pace, parts: Iterable[object], note_change: Callable[[], None]
    ) -> None:
        self._pace = pace
        self._parts = tuple(parts)
        self._note_change = note_change
        self._is_polled = True
        self._is_wanted = False
        """Something changed while the loop looked."""
        self._may_rest = False
        self._timer: asyncio.TimerHandle | None = None
        self._look_ns = NEVER_NS
        self.stirred = asyncio.Event()
        """Set to look now."""

    def begin(self, *, watched: bool) -> None:
        """Find out whether all parts tell; a supervisor that is fed wants each tick."""
        tell = [getattr(part, "tell_changes", None) for part in (*self._parts, machine())]
        self._is_polled = watched or None in tell
        if not self._is_polled:
            for one in tell:
                assert one is not None, "found just now"
                one(self._note_change)

    def look_soon(self) -> None:
        """Look at the next tick."""
        self._is_wanted = True
        if self._timer is not None and not self._is_polled:
            self._arm(self._pace.tick_ns(now_ns(), may_rest=self._may_rest))

    async def sleep(self, wish_ns: int, now: int, *, may_rest: bool, end_ns: int | None) -> None:
        """Return when it is time to look again: the first tick that is not before `wish_ns`."""
        self._may_rest = may_rest
        if self._is_polled:
            look_ns = self._pace.next_ns(now, may_rest=may_rest)
        else:
            wish_ns = now if self._is_wanted else wish_ns
            look_ns = self._pace.tick_ns(wish_ns, may_rest=may_rest)
        self._look_ns = NEVER_NS
        self._arm(look_ns if end_ns is None else min(look_ns, end_ns))
        try:
            await self.stirred.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.stirred.clear()
        self._is_wanted = False
        if not self._is_polled:
            self._pace.note_tick(self._look_ns)

    def _arm(self, look_ns: int) -> None:
        if look_ns >= self._look_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._look_ns = look_ns
        # By the machine's own clock: a tick is where it would be had each before it been looked at.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(look_ns / NS_PER_S, self.stirred.set)


def soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Let the loop call, from another thread."""
    with contextlib.suppress(RuntimeError):  # the loop has ended before the store's thread
        loop.call_soon_threadsafe(call)
