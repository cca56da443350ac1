"""One channel's hole filled: what came before it run on, what comes after run back, blended."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.opus.backward import BACKWARD_SIZE, ORDER_MAX, first_period, run_backwards
from node.opus.blend import blend

_LOUDEST: Final = np.float32(1 << 22)
"""42 dB above full scale of 16 bits: only damaged packets sound so."""


@inner_kernel("boolean(float32[::1], int64, int64)")
def _is_sane(sound: NDArray[np.float32], begin: int, count: int) -> bool:
    """Return whether all samples are numbers, and no louder than _LOUDEST."""
    sane = True
    for i in range(begin, begin + count):
        sane = sane and abs(sound[i]) < _LOUDEST  # never true of what is not a number
    return sane


@kernel(
    "boolean(float32[::1], int64, int64, float32[::1], int64, int64, int64, int64, int64, int64,"
    " float32[::1], float32[::1], float32[::1], boolean)"
)
def fill(
    front: NDArray[np.float32],
    begin: int,
    hole: int,
    after: NDArray[np.float32],
    after_begin: int,
    after_count: int,
    rate_khz: int,
    order: int,
    period: int,
    piece: int,
    work: NDArray[np.float32],
    back: NDArray[np.float32],
    out: NDArray[np.float32],
    is_short: bool,
) -> bool:
    """Fill out[:hole]; return False when a damaged packet's sound cannot be built on.

    front, after             (n,) float32, any one unit, as in `blend`; so are begin, piece,
                             after_begin and after_count
    rate_khz, order, period  of the layer: its rate, its filter's order, the period before the hole
    work                     (BACKWARD_SIZE + BLEND_SIZE,) float32, scratch in the same unit
    back                     (BACK_MAX,) float32, scratch in the same unit
    out                      (hole or more,) float32, same unit
    """
    half = piece >> 1
    if after_count < half or after_count <= ORDER_MAX + 2 * rate_khz:
        return False
    if not _is_sane(front, 0, begin + hole + half):
        return False
    if not _is_sane(after, after_begin, after_count):
        return False
    found = first_period(after, after_begin, after_count, rate_khz, period)
    run_backwards(
        after, after_begin, after_count, found, order, work[:BACKWARD_SIZE], back, half + hole
    )
    for i in range(half):
        back[half + hole + i] = after[after_begin + i]
    if not _is_sane(back, 0, half + hole):
        return False
    blend(
        front,
        begin,
        back,
        after,
        after_begin,
        after_count,
        hole,
        piece,
        work[BACKWARD_SIZE:],
        out,
        is_short,
    )
    return _is_sane(out, 0, hole)
