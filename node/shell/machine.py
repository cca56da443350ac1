"""What the daemon takes from the machine it runs on beside sockets and files: time, and chance.

Each daemon of a simulated village runs on a machine of its own, whose clocks are as wrong as their
crystals; there it is set with `running_on`, for the daemon's task and everything that it begins.
"""

import ctypes
import os
import random
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Final, Protocol

_TIMEX_BYTES: Final = 512
"""More than struct timex has on any Linux (208 on 64 bits)."""
_NONCE_BYTES: Final = 16
_TIME_ERROR: Final = 5  # <sys/timex.h>


class Machine(Protocol):
    """A machine."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC."""

    def utc_ns(self) -> int:
        """Return civil time."""

    def clock_synchronised(self) -> bool:
        """Return whether civil time was set from a source that is right."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high` by chance."""

    def nonce(self) -> bytes:
        """Return 16 bytes that nobody can guess."""


class RealMachine:
    """The machine that this process runs on."""

    def now_ns(self) -> int:
        """Return CLOCK_MONOTONIC: chrony slews it but never steps it."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Return civil time."""
        return time.time_ns()

    def clock_synchronised(self) -> bool:
        """Return whether the kernel holds the civil clock for synchronised (adjtimex)."""
        try:
            adjtimex = ctypes.CDLL(None).adjtimex
        except (AttributeError, OSError):
            return False  # no Linux: nobody can say
        state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # modes = 0 only asks
        return state not in (-1, _TIME_ERROR)

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high` by chance."""
        return random.uniform(low, high)

    def nonce(self) -> bytes:
        """Return 16 bytes that nobody can guess."""
        return os.urandom(_NONCE_BYTES)


_MACHINE: ContextVar[Machine] = ContextVar("machine", default=RealMachine())  # noqa: B039  # has no state


def machine() -> Machine:
    """Return the machine that the daemon whose code this is runs on."""
    return _MACHINE.get()


class _RunningOn:
    """A frame of code that runs on one machine."""

    __slots__ = ("_one", "_token")

    def __init__(self, one: Machine) -> None:
        self._one = one

    def __enter__(self) -> None:
        self._token = _MACHINE.set(self._one)

    def __exit__(self, *_: object) -> None:
        _MACHINE.reset(self._token)


def running_on(one: Machine) -> AbstractContextManager[None]:
    """Let what is begun here, and all that it begins, run on `one`."""
    return _RunningOn(one)
