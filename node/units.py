"""Units of time and sound, and exact conversions between them."""

from typing import Final

RATE_HZ: Final = 48_000
"""Media clock of every Opus stream, whatever its bandwidth (RFC 7587, section 4.1)."""

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
SAMPLES_PER_MS: Final = RATE_HZ // 1000
SAMPLES_PER_10_MS: Final = RATE_HZ // 100
"""The unit in which output is counted: each 10 ms of output has exactly one origin."""

PACKET_SAMPLES_MAX: Final = 120 * SAMPLES_PER_MS
"""Longest Opus packet: 120 ms (RFC 6716, section 3.2.5)."""


def samples_to_ns(samples: int) -> int:
    """Return the duration of `samples` at 48 kHz in ns, rounded down (exact per 3 samples)."""
    return samples * NS_PER_S // RATE_HZ


def ns_to_samples(duration_ns: int) -> int:
    """Return how many whole samples at 48 kHz fit into `duration_ns`, rounded down."""
    return duration_ns * RATE_HZ // NS_PER_S
