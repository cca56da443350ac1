"""An event loop whose time is a whole number of nanoseconds that jumps to what is due next.

Daemons, broker and station run on it unmodified: what they await, call later or read as time is
virtual. Callbacks of one instant run in the order in which they were asked for, so that a run is
the same each time. Nothing real may be waited for: who asks for a socket, a thread or a process
gets `NotVirtualError`.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple, Unpack, cast

from node.shell.machine import RealMachine, machine
from node.units import NS_PER_S

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STEPS_MAX: Final = 1_000_000
"""Callbacks within one instant; 10,000 nodes that boot together need a tenth of it."""

_CANCELLED_MIN: Final = 512
"""So many cancelled timers, and more than half of all, are swept out of the heap."""


class NotVirtualError(RuntimeError):
    """Something of the real world was asked for in a simulated run."""


class DeadlockError(RuntimeError):
    """Everybody waits and nothing is due: the run would never end."""


class LivelockError(RuntimeError):
    """So much happens at one instant that time does not go on: somebody asks again and again."""


class MachineClock(Protocol):
    """The clocks of one of several machines that run on the loop."""

    def now_ns(self) -> int:
        """Return its monotonic clock."""

    def true_ns(self, local_ns: int) -> int:
        """Return the true time at which it shows `local_ns`."""


class _Timer(asyncio.TimerHandle):
    """A timer by whole nanoseconds; the float that asyncio shows people is only its text."""

    __slots__ = ("when_ns",)

    def __init__(
        self,
        when_ns: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: "VirtualLoop",
        context: Context | None,
    ) -> None:
        # What its base classes do, without the look for a debugger: a node sets five a second.
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = None
        self._source_traceback = None
        self._when = when_ns / NS_PER_S
        self._scheduled = True
        self.when_ns = when_ns


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one run.

    Parameters
    ----------
    start_ns : int
        What its clock shows at first.
    """

    def __init__(self, start_ns: int = 0) -> None:
        super().__init__()
        self._now_ns = start_ns
        self._heap: list[tuple[int, int, _Timer]] = []
        self._queue: deque[asyncio.Handle] = deque()
        self._serial = 0
        self._cancelled = 0
        self._readers_of: dict[int, tuple[Callable[..., object], tuple[Any, ...], Context]] = {}
        self._instant_steps = 0
        self.steps = 0
        """Callbacks that were run."""

    @property
    def now_ns(self) -> int:
        """Return the virtual time."""
        return self._now_ns

    def time(self) -> float:
        """Return the clock of the machine whose code asks, in seconds; else the true time."""
        clock = machine()
        now_ns = self._now_ns if isinstance(clock, RealMachine) else clock.now_ns()
        return now_ns / NS_PER_S

    def call_at_ns(
        self, when_ns: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts
    ) -> asyncio.TimerHandle:
        """Call `callback` at that instant, or at once where it is over."""
        return self._add(when_ns, callback, args, None)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call `callback` when the asking machine's clock shows `when` seconds."""
        clock, when_ns = machine(), round(when * NS_PER_S)
        if not isinstance(clock, RealMachine):
            when_ns = cast(MachineClock, clock).true_ns(when_ns)
        return self._add(when_ns, callback, args, context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call `callback` `delay` seconds from now, by the true clock: crystals err by 1e-4.

        Time goes on by a nanosecond at least for who waits at all: one that waits again for what
        its own clock says is left would else do so for ever.
        """
        delay_ns = max(round(delay * NS_PER_S), delay > 0)
        return self._add(self._now_ns + delay_ns, callback, args, context)

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call `callback` at this instant, after what was asked for before."""
        self._check_closed()  # type: ignore[attr-defined]  # of BaseEventLoop; typeshed hides it
        handle = asyncio.Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def run_for(self, duration_ns: int) -> None:
        """Run everything that is due until so much time has passed; nobody need be waited for."""
        end_ns = self._now_ns + duration_ns
        self._add(end_ns, self.stop, (), None)
        self.run_forever()

    # What a daemon asks of a loop beside time, as far as it can be virtual.

    def add_reader(self, fd: Any, callback: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Call `callback` whenever `wake_reader(fd)` is called: the socket is a virtual one."""
        self._readers_of[fd] = (callback, args, copy_context())

    def remove_reader(self, fd: Any) -> bool:
        """Forget a reader."""
        return self._readers_of.pop(fd, None) is not None

    def wake_reader(self, fd: int) -> None:
        """Let the reader of a virtual socket run, if there is one."""
        reader = self._readers_of.get(fd)
        if reader is not None:
            self.call_soon(reader[0], *reader[1], context=reader[2])

    def add_signal_handler(
        self, sig: int, callback: Callable[[Unpack[Ts]], object], *args: *Ts
    ) -> None:
        """Take note of nothing: a power cut sends no signal."""

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> Any:
        """Refuse."""
        raise NotVirtualError("a thread was asked for in a simulated run")

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call soon: there is one thread, so nobody needs waking."""
        return self.call_soon(callback, *args, context=context)

    def _add(
        self,
        when_ns: int,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context | None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(when_ns, callback, args, self, context)
        self._serial += 1
        heapq.heappush(self._heap, (when_ns, self._serial, timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Count what is in the heap for nothing (asyncio calls this)."""
        self._cancelled += 1
        if self._cancelled > _CANCELLED_MIN and 2 * self._cancelled > len(self._heap):
            self._heap = [one for one in self._heap if not one[2].cancelled()]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _run_once(self) -> None:
        """Run what is due at this instant; with nothing due let time jump (asyncio calls this)."""
        queue, heap = self._queue, self._heap
        if not queue:
            while heap and heap[0][2].cancelled():
                heapq.heappop(heap)
                self._cancelled = max(0, self._cancelled - 1)
            if heap:
                if heap[0][0] > self._now_ns:
                    self._instant_steps = self.steps
                self._now_ns = max(self._now_ns, heap[0][0])
            elif not self._stopping:  # type: ignore[attr-defined]
                raise DeadlockError("everybody waits and nothing is due")
        now_ns = self._now_ns
        while heap and heap[0][0] <= now_ns:
            timer = heapq.heappop(heap)[2]
            timer._scheduled = False
            if not timer.cancelled():
                queue.append(timer)
        if self.steps - self._instant_steps > STEPS_MAX:
            raise LivelockError(f"{STEPS_MAX} callbacks at {now_ns} ns; next is {queue[0]!r}")
        for _ in range(len(queue)):
            handle = queue.popleft()
            if not handle.cancelled():
                self.steps += 1
                handle._run()

    def _process_events(self, event_list: object) -> None:
        raise NotVirtualError("a selector was asked in a simulated run")

    def _write_to_self(self) -> None:
        return  # there is one thread
