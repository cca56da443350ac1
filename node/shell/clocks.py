"""The clocks of the machine, and the filter that finds when a sample leaves the converter."""

import time
from typing import Final

from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

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


class PresentationClock:
    """Smooth the sound card's own time stamps: a delay-locked loop of second order.

    Each callback gives a noisy instant at which its first sample will leave the converter.
    Between callbacks exactly `frames` samples pass, so the instants lie on a line whose slope
    is the card's real rate. The loop follows offset and slope; the noise of scheduling stays out.

    Parameters
    ----------
    bandwidth_hz : float
        Natural frequency of the loop. 0.1 Hz settles within some seconds and passes only what
        changes as slowly as a crystal does.

    Notes
    -----
    F. Adriaensen, "Using a DLL to filter time", Linux Audio Conference 2005: b = sqrt(2) w,
    c = w^2 with w = 2 pi f T. Until the loop has seen its first second the bandwidth is ten
    times wider, so that a first sound is in its place.
    """

    def __init__(self, *, bandwidth_hz: float = 0.1) -> None:
        self._bandwidth_hz = bandwidth_hz
        self._reset = True
        self._next_ns = 0.0
        self._ns_per_sample = 0.0
        self._settling_samples = 0
        self.jumps = 0
        """How often the card's time stamps left the line: underruns, suspended machine."""

    def presentation_ns(self, noisy_ns: int, samples: int) -> int:
        """Return the smoothed instant for a period of `samples` whose stamp is `noisy_ns`."""
        if self._reset:
            self._start(noisy_ns)
        error = noisy_ns - self._next_ns
        if abs(error) > _JUMP_NS:
            self.jumps += 1
            self._start(noisy_ns)
            error = 0.0
        now = self._next_ns
        wide = 10.0 if self._settling_samples < RATE_HZ else 1.0
        omega = 2 * 3.141592653589793 * self._bandwidth_hz * wide * samples / RATE_HZ
        omega = min(omega, 0.3)
        self._ns_per_sample += omega * omega * error / samples
        self._next_ns = now + 1.4142135623730951 * omega * error + samples * self._ns_per_sample
        self._settling_samples += samples
        return int(now + 1.4142135623730951 * omega * error)

    def _start(self, noisy_ns: int) -> None:
        self._reset = False
        self._next_ns = float(noisy_ns)
        self._ns_per_sample = NS_PER_S / RATE_HZ
        self._settling_samples = 0


_JUMP_NS: Final = 20 * NS_PER_MS
"""Further off than two usual periods is no noise of scheduling: the line starts anew."""
