"""The clocks of the machine."""

from typing import Final

from node.shell.machine import machine
from node.units import NS_PER_MS

_STAMP_AGE_MAX_NS: Final = 50 * NS_PER_MS
"""A kernel time stamp older than this was made before the civil clock was stepped."""


def now_ns() -> int:
    """Return the node's monotonic clock: CLOCK_MONOTONIC, chrony slews it but never steps it."""
    return machine().now_ns()


def utc_ns() -> int:
    """Return civil time; only for logs and messages, never for playout."""
    return machine().utc_ns()


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
    """Return whether the machine holds its civil clock for synchronised."""
    return machine().clock_synchronised()
