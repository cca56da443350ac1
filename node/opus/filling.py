"""One channel's hole filled: what came before it run on, what comes after run back, blended."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Records
from node.opus.backward import ORDER_MAX, first_period, run_backwards
from node.opus.blend import Blending, blend

_LOUDEST: Final = np.float32(1 << 22)
"""42 dB above full scale of 16 bits: only damaged packets sound so."""


@inner_kernel("boolean(float32[::1])")
def _is_sane(sound: NDArray[np.float32]) -> bool:
    """Return whether all samples are numbers, and no louder than _LOUDEST."""
    sane = True
    for i in range(sound.size):
        sane = sane and abs(sound[i]) < _LOUDEST  # never true of what is not a number
    return sane


@kernel("boolean(Blending[::1], float32[::1], int64, float32[::1], float32[::1])")
def fill(
    ways: Records[Blending],
    front: NDArray[np.float32],
    begin: int,
    after: NDArray[np.float32],
    out: NDArray[np.float32],
) -> bool:
    """Fill `out`; return False when a damaged packet's sound cannot be built on.

    ways                one: how
    front, after, out   (n,) float32, any one unit, as in `blend`; so is begin
    """
    way = ways[0]
    hole, half = out.size, way.piece >> 1
    if after.size < half or after.size <= ORDER_MAX + 2 * way.rate_khz:
        return False
    if not _is_sane(front[: begin + hole + half]) or not _is_sane(after):
        return False
    back = way.back[: half + hole]
    found = first_period(after, way.rate_khz, way.period)
    run_backwards(after, found, way.order, way.backward[:], back)
    for i in range(half):
        way.back[half + hole + i] = after[i]
    if not _is_sane(back):
        return False
    blend(way, front, begin, after, out)
    return _is_sane(out)
