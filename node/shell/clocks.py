"""The clocks of the machine, and the filter that finds when a sample leaves the converter."""

import ctypes
import math
import time
from typing import Final

from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

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


class PresentationClock:
    """Smooth the sound card's own time stamps: a delay-locked loop that knows who is late.

    Each callback gives a noisy instant at which its first sample will leave the converter.
    Between callbacks exactly `samples` samples pass, so the instants lie on a line whose slope
    is the card's real rate. The loop follows offset and slope. The noise is one-sided: a busy
    machine calls late, never early. So an early stamp is believed at once while the loop is
    young, and a late one weighs little: the line lies along the earliest stamps.

    Parameters
    ----------
    bandwidth_hz : float
        Natural frequency of the loop. 0.2 Hz settles within some seconds and passes only what
        changes as slowly as a crystal does.

    Notes
    -----
    F. Adriaensen, "Using a DLL to filter time", Linux Audio Conference 2005: b = sqrt(2) w,
    c = w^2 with w = 2 pi f T.
    """

    def __init__(self, *, bandwidth_hz: float = 0.2) -> None:
        self._omega_per_sample = 2 * math.pi * bandwidth_hz / RATE_HZ
        self._running = False
        self._next_ns = 0.0
        self._ns_per_sample = NS_PER_S / RATE_HZ
        self._age_samples = 0
        self._late_run = 0
        self.jumps = 0
        """How often the card's time stamps left the line: underruns, suspended machine."""

    def presentation_ns(self, noisy_ns: int, samples: int) -> int:
        """Return the smoothed instant for a period of `samples` whose stamp is `noisy_ns`."""
        error = noisy_ns - self._next_ns
        self._late_run = self._late_run + 1 if error > _LATE_NS else 0
        if not self._running or abs(error) > _JUMP_NS or self._late_run >= _LATE_RUN:
            self.jumps += self._running
            self._start(noisy_ns)
            error = 0.0
        if error < 0.0 and self._age_samples < _YOUNG_SAMPLES:
            self._next_ns += error
            error = 0.0
        now_ns = self._next_ns
        error = error if error < 0.0 else _LATE_WEIGHT * min(error, _LATE_NS)
        omega = self._omega_per_sample * samples
        if self._age_samples >= _YOUNG_SAMPLES:
            # The slope is not learnt from a line whose offset is still to be found.
            self._ns_per_sample += omega * omega * error / samples
        self._next_ns = now_ns + math.sqrt(2) * omega * error + samples * self._ns_per_sample
        self._age_samples += samples
        return int(now_ns)

    def _start(self, noisy_ns: int) -> None:
        """Begin a new line; the card's rate is still what it was."""
        self._running = True
        self._next_ns = float(noisy_ns)
        self._age_samples = 0
        self._late_run = 0


_JUMP_NS: Final = 20 * NS_PER_MS
"""Further off than two usual periods is no noise of scheduling: the line starts anew."""
_LATE_NS: Final = NS_PER_MS // 2
"""More than so late was the scheduler, not the crystal; so many in a row are the card."""
_LATE_RUN: Final = 20
_LATE_WEIGHT: Final = 0.2
_YOUNG_SAMPLES: Final = RATE_HZ // 2
