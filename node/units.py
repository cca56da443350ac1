"""Units of time and sound, and exact conversions between them."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 48_000
"""Media clock of every Opus stream, whatever its bandwidth (RFC 7587, section 4.1)."""

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
SAMPLES_PER_MS: Final = RATE_HZ // 1000
SAMPLES_PER_10_MS: Final = RATE_HZ // 100
"""The unit in which output is counted: each 10 ms of output has exactly one origin."""

NS_PER_3_SAMPLES: Final = 3 * NS_PER_S // RATE_HZ
"""The shortest time that is whole both in samples and in ns."""

PACKET_SAMPLES_MAX: Final = 120 * SAMPLES_PER_MS
"""Longest Opus packet: 120 ms (RFC 6716, section 3.2.5)."""


T = TypeVar("T", int, NDArray[np.int64])


def samples_to_ns(samples: T) -> T:
    """Return the duration of `samples` at 48 kHz in ns, rounded down.

    Parameters
    ----------
    samples : int, or (n,) int64
        Of a duration or a media time. 64 bits hold the product for 97 years.

    Returns
    -------
    int, or (n,) int64
        ns; exact per 3 samples.
    """
    return samples * NS_PER_3_SAMPLES // 3


def ns_to_samples(duration_ns: T) -> T:
    """Return how many whole samples at 48 kHz fit into `duration_ns`, rounded down.

    Parameters
    ----------
    duration_ns : int, or (n,) int64
        A duration, or a time of a clock. 64 bits hold the product for 97 years.

    Returns
    -------
    int, or (n,) int64
        samples.
    """
    return duration_ns * 3 // NS_PER_3_SAMPLES
