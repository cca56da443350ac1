"""What playout delay a node would need: a long-memory quantile of how late its packets come.

A histogram of the transits above the line, in steps of 2 ms up to 128 ms, 8 ms up to 512 ms and
32 ms up to 2 s. It forgets a sixteenth every 8192 packets (with 20 ms packets: 44 minutes to 1/e),
so that a stall once in ten minutes is remembered and one of yesterday is not.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.units import NS_PER_MS

NEED_BINS: Final = 161
NEED_COUNT: Final = 0
"""Place of the packets since the last forgetting; the bins follow."""
NEED_SIZE: Final = 1 + NEED_BINS

_FINE: Final = 64
_MIDDLE: Final = 112
_WEIGHT: Final = 256
_FORGET_PACKETS: Final = 8192


@inner_kernel("int64(int64)")
def _bin_of(delay_ns: int) -> int:
    delay_ms = max(0, delay_ns) // NS_PER_MS
    if delay_ms < 128:
        return int(delay_ms // 2)
    if delay_ms < 512:
        return int(_FINE + (delay_ms - 128) // 8)
    return int(min(_MIDDLE + (delay_ms - 512) // 32, NEED_BINS - 1))


@inner_kernel("int64(int64)")
def _upper_edge_ns(place: int) -> int:
    if place < _FINE:
        return int((place + 1) * 2 * NS_PER_MS)
    if place < _MIDDLE:
        return int((128 + (place - _FINE + 1) * 8) * NS_PER_MS)
    return int((512 + (place - _MIDDLE + 1) * 32) * NS_PER_MS)


@kernel("void(int64[::1], int64)")
def note_delay(need: NDArray[np.int64], delay_ns: int) -> None:
    """Add a packet that came `delay_ns` after its capture, or after the floor.

    need  (NEED_SIZE,) int64, state: a count, then weighted counts of packets by delay
    """
    need[1 + _bin_of(delay_ns)] += _WEIGHT
    need[NEED_COUNT] += 1
    if need[NEED_COUNT] >= _FORGET_PACKETS:
        need[NEED_COUNT] = 0
        for place in range(1, NEED_SIZE):
            need[place] -= need[place] >> 4


@kernel("int64(int64[::1], int64)")
def needed_delay_ns(need: NDArray[np.int64], late_ppm: int) -> int:
    """Return the least playout delay at which at most `late_ppm` of the packets were late; 0 new.

    need      (NEED_SIZE,) int64: a count, then weighted counts of packets by delay
    late_ppm  share of packets, in millionths
    """
    total = 0
    for place in range(1, NEED_SIZE):
        total += need[place]
    if total == 0:
        return 0
    allowed = total * late_ppm // 1_000_000
    above = 0
    for place in range(NEED_BINS - 1, -1, -1):
        above += need[1 + place]
        if above > allowed:
            return _upper_edge_ns(place)
    return 0
