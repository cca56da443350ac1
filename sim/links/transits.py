"""Transits in the order of their sequence numbers, and what a trace may hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import ConfigError
from node.units import NS_PER_MS
from sim.links.kernel import LOST_NS

DELAY_MAX_MS: Final = 86_400_000
"""A day: what is longer is a slip, and no number that a run could count in."""

SEQUENCES_MAX: Final = 100_000_000
"""Packets that a trace may span, lost ones among them."""

GAP_MAX: Final = 3_000_000
"""Packets that may be lost in a row: 16 hours of 20 ms."""

_ALIKE: Final = 50
"""Two intervals that differ by less than this part are one that two clocks measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What a file tells of a network."""

    transit_ns: NDArray[np.int64]
    """(n,) transit per packet in the order of sending, LOST_NS where it is lost."""

    interval_ns: int | None = None
    """From one packet to the next; None where the file does not say."""

    skew_ppm: float = 0.0
    """By so much its two clocks ran apart: that is taken out."""


def in_order(
    path: Path,
    sequence: NDArray[np.int64],
    transit_ns: NDArray[np.int64],
    number: NDArray[np.int64],
    *,
    what: str,
) -> NDArray[np.int64]:
    """Return the transits in the order of sending; what is missing is lost.

    Parameters
    ----------
    path : Path
        Named in what is raised.
    sequence : (n,) int64
        Extended sequence number of each packet, n >= 1. Of equal ones the first that came counts.
    transit_ns : (n,) int64
        Transit of each in ns, LOST_NS where it is known to be lost.
    number : (n,) int64
        Where each stands in the file: the number of its packet or line, as `what` says.
    what : str
        What is numbered.

    Returns
    -------
    (m,) int64
        Transit in ns per packet, LOST_NS where it is lost.

    Raises
    ------
    ConfigError
        If a transit, a gap or the whole is too long.
    """
    slow = np.flatnonzero(transit_ns > DELAY_MAX_MS * NS_PER_MS)
    if slow.size:
        raise ConfigError(
            f"{path}: {what} {number[slow[0]]} takes {transit_ns[slow[0]] / NS_PER_MS:.6g} ms more "
            f"than the fastest: at most {DELAY_MAX_MS}"
        )
    order = np.lexsort((transit_ns == LOST_NS, sequence))  # stable
    first = order[np.diff(sequence[order], prepend=sequence.min() - 1) > 0]
    gap = np.diff(sequence[first])
    wide = np.flatnonzero(gap > GAP_MAX)
    if wide.size:
        raise ConfigError(
            f"{path}: {what} {number[first[wide[0] + 1]]} is {gap[wide[0]]} sequence numbers after "
            f"the one before it: at most {GAP_MAX}"
        )
    length = int(sequence[first[-1]] - sequence[first[0]]) + 1
    if length > SEQUENCES_MAX:
        raise ConfigError(
            f"{path}: {what} {number[first[-1]]} ends a span of {length} sequence numbers: at most "
            f"{SEQUENCES_MAX}"
        )
    in_order_ns = np.full(length, LOST_NS, np.int64)
    in_order_ns[sequence[first] - sequence[first[0]]] = transit_ns[first]
    return in_order_ns


def per_packet(path: Path, recording: Recording, packet_ns: int) -> NDArray[np.int64]:
    """Return the transits as packets meet them that are so far apart.

    Where the recording does not say how far its own were, each is met by one packet. The result is
    (n,) int64 in ns, LOST_NS where lost.

    Raises
    ------
    ConfigError
        If they are more than a trace may span.
    """
    transit_ns, interval_ns = recording.transit_ns, recording.interval_ns
    if interval_ns is None or abs(interval_ns - packet_ns) * _ALIKE <= packet_ns:
        return transit_ns
    length = max(1, transit_ns.size * interval_ns // packet_ns)
    if length > SEQUENCES_MAX:
        raise ConfigError(
            f"{path}: lasts {length} packets of {packet_ns / NS_PER_MS:g} ms: at most "
            f"{SEQUENCES_MAX}"
        )
    at = np.arange(length, dtype=np.int64) * packet_ns // interval_ns
    found: NDArray[np.int64] = transit_ns[np.minimum(at, transit_ns.size - 1)]
    return found
