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
        What is looked at. A part that has `tell_changes` calls what that is given whenever
        there is something new to see.
    note_clock : callable
        What the machine calls when its civil clock has changed, where it tells that.
    """

    def __init__(self, pace: Pace, parts: Iterable[object], note_clock: Callable[[], None]) -> None:
        self._pace = pace
        self._parts = tuple(parts)
        self._note_clock = note_clock
        self._is_polled = True
        self._may_rest = False
        self._timer: asyncio.TimerHandle | None = None
        self._look_ns = NEVER_NS
        self.stirred = asyncio.Event()
        """Set to look now."""

    def begin(self, *, watched: bool) -> None:
        """Find out whether all parts tell; a supervisor that is fed wants each tick."""
        calls = [(part, self.look_soon) for part in self._parts]
        calls.append((machine(), self._note_clock))
        tell = [(getattr(part, "tell_changes", None), call) for part, call in calls]
        self._is_polled = watched or any(one is None for one, _ in tell)
        if not self._is_polled:
            for one, call in tell:
                assert one is not None, "found just now"
                one(call)

    def look_soon(self) -> None:
        """Look at the next tick."""
        if self._timer is not None and not self._is_polled:
            now = now_ns()
            self._arm(self._pace.tick_ns(now, may_rest=self._may_rest), now)

    async def sleep(self, wish_ns: int, now: int, *, may_rest: bool, end_ns: int | None) -> None:
        """Return when it is time to look again: the first tick that is not before `wish_ns`."""
        self._may_rest = may_rest
        if self._is_polled:
            look_ns = self._pace.next_ns(now, may_rest=may_rest)
        else:
            look_ns = self._pace.tick_ns(wish_ns, may_rest=may_rest)
        self._look_ns = NEVER_NS
        self._arm(look_ns if end_ns is None else min(look_ns, end_ns), now_ns())
        try:
            await self.stirred.wait()
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.stirred.clear()
        if not self._is_polled:
            self._pace.note_tick(self._look_ns)

    def _arm(self, look_ns: int, now: int) -> None:
        if look_ns >= self._look_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._look_ns = look_ns
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0, look_ns - now) / NS_PER_S, self.stirred.set)


def soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Let the loop call, from another thread."""
    with contextlib.suppress(RuntimeError):  # the loop has ended before the store's thread
        loop.call_soon_threadsafe(call)
