"""Whether what is lost comes as it came: as much at a time, and not only as much in all."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_S
from sim.links.kernel import LOST_NS

_ALIKE: Final = 0.1
"""Parts of the packets of a second that differ by no more are one."""

_APART: Final = 0.3
"""Two distributions that are never further apart are one."""

_LEAST: Final = 0.005
"""What is lost of all that matters how it comes."""

_CHANCE: Final = 1.63
"""Kolmogorov's: so far apart, over the root of half their number, are 1 % of two samples of one."""


def lost_otherwise(
    trace_ns: NDArray[np.int64], drawn_ns: NDArray[np.int64], interval_ns: int
) -> float:
    """Return how far apart it is what else was lost in the second of a lost packet; 0 by chance.

    trace_ns, drawn_ns  (n,) int64, transits, LOST_NS where lost
    interval_ns         from one packet to the next
    """
    parts = [_per_second(one, interval_ns) for one in (trace_ns, drawn_ns)]
    some, others = ((np.sort(one[one > 0]), float(one.mean() if one.size else 0)) for one in parts)
    if min(some[1], others[1]) < _LEAST:
        return 0.0
    both = np.concatenate([some[0], others[0]])
    gaps = []
    for one, other in ((some[0], others[0]), (others[0], some[0])):
        gaps.append(float((_below(one, both) - _below(other, both + _ALIKE)).max()))
    most = max(*gaps, 0.0)
    chance = _CHANCE * math.sqrt(1 / some[0].size + 1 / others[0].size)
    return most if most > max(_APART, chance) else 0.0


def _below(parts: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of the lost packets is of seconds that lost at most so much."""
    sums = np.concatenate([[0.0], np.cumsum(parts)])
    found: NDArray[np.float64] = sums[np.searchsorted(parts, at, side="right")] / sums[-1]
    return found


def _per_second(transit_ns: NDArray[np.int64], interval_ns: int) -> NDArray[np.float64]:
    each = max(1, NS_PER_S // interval_ns)
    whole = transit_ns.size // each * each
    found: NDArray[np.float64] = (transit_ns[:whole] == LOST_NS).reshape(-1, each).mean(axis=1)
    return found
