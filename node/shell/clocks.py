"""The clocks of the machine."""

import ctypes
import time
from typing import Final

from node.units import NS_PER_MS

_TIMEX_BYTES: Final = 512
"""More than struct timex has on any Linux (208 on 64 bits)."""
_TIME_ERROR: Final = 5  # <sys/timex.h>

_STAMP_AGE_MAX_NS: Final = 50 * NS_PER_MS
"""A kernel time stamp older than this was made before the civil clock was stepped."""


def now_ns() -> int:
    """Return the node's monotonic clock: CLOCK_MONOTONIC, chrony slews it but never steps it."""
    return time.monotonic_ns()


def utc_ns() -> int:
    """Return civil time; only for logs and messages, never for playout."""
    return time.time_ns()


def arrival_ns(stamp_utc_ns: int | None) -> int:
    """Return when a datagram came, from the kernel's civil time stamp of it, on our clock.

    The age is measured on the civil clock within this call; when that clock was stepped in
    between, the age makes no sense and the present is taken.
    """
    now = now_ns()
    if stamp_utc_ns is None:
        return now
    age = utc_ns() - stamp_utc_ns
    return now - age if 0 <= age <= _STAMP_AGE_MAX_NS else now


def clock_synchronised() -> bool:
    """Return whether the kernel holds the civil clock for synchronised (adjtimex, TIME_ERROR)."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (AttributeError, OSError):
        return False  # no Linux: nobody can say
    state = adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # modes = 0 only asks
    return state not in (-1, _TIME_ERROR)
