"""Normalised line spectral frequencies from their indices (RFC 6716, 4.2.7.5.3 and .4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus import tables_silk as t
from node.opus.silk import state as f
from node.opus.silk.fixed_point import approximate_root

_STEP_NB_Q16: Final = 11796
_STEP_WB_Q16: Final = 9830
_REPAIRS: Final = 20
_ONE_Q15: Final = 32768


def _weights_q9(codebook_q8: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    """Return the weight of each residual, which only depends on the codebook (4.2.7.5.3)."""
    vectors = codebook_q8.reshape(-1, order)
    weights = np.empty_like(vectors)
    for row, vector in enumerate(vectors.tolist()):
        edges = [0, *vector, 256]
        for k in range(order):
            below, above = edges[k + 1] - edges[k], edges[k + 2] - edges[k + 1]
            weights[row, k] = approximate_root((1024 // below + 1024 // above) << 16)
    return weights.reshape(-1)


_WEIGHT_NB_Q9: Final = _weights_q9(t.NLSF_CODEBOOK_NB_Q8, 10)
_WEIGHT_WB_Q9: Final = _weights_q9(t.NLSF_CODEBOOK_WB_Q8, 16)


@inner_kernel("int64(int64, int64)")
def _spacing_q15(order: int, k: int) -> int:
    """Return the smallest distance between frequencies k - 1 and k (Table 25)."""
    if order == f.ORDER_MAX:
        return int(t.NLSF_SPACING_WB_Q15[k])
    return int(t.NLSF_SPACING_NB_Q15[k])


@inner_kernel("void(int64[::1], int64)")
def _sort_apart(scratch: NDArray[np.int64], order: int) -> None:
    """Enforce all distances at once, whatever it costs; RFC 8251, section 7, for the limit."""
    base = f.NLSF_Q15
    for i in range(1, order):
        value = scratch[base + i]
        k = i - 1
        while k >= 0 and scratch[base + k] > value:
            scratch[base + k + 1] = scratch[base + k]
            k -= 1
        scratch[base + k + 1] = value
    scratch[base] = max(scratch[base], _spacing_q15(order, 0))
    for k in range(1, order):
        least = min(scratch[base + k - 1] + _spacing_q15(order, k), 32767)
        scratch[base + k] = max(scratch[base + k], least)
    most = _ONE_Q15 - _spacing_q15(order, order)
    for k in range(order - 1, -1, -1):
        scratch[base + k] = min(scratch[base + k], most)
        most = scratch[base + k] - _spacing_q15(order, k)


@inner_kernel("void(int64[::1], int64, int64)")
def _move_apart(scratch: NDArray[np.int64], order: int, at: int) -> None:
    """Centre the pair `at` - 1, `at` where there is room for it and all others."""
    base = f.NLSF_Q15
    spacing = _spacing_q15(order, at)
    low = spacing >> 1
    for k in range(at):
        low += _spacing_q15(order, k)
    high = _ONE_Q15 - (spacing >> 1)
    for k in range(at + 1, order + 1):
        high -= _spacing_q15(order, k)
    centre = (scratch[base + at - 1] + scratch[base + at] + 1) >> 1
    centre = min(max(centre, low), high)
    scratch[base + at - 1] = centre - (spacing >> 1)
    scratch[base + at] = scratch[base + at - 1] + spacing


@inner_kernel("void(int64[::1], int64)")
def stabilise_nlsf(scratch: NDArray[np.int64], order: int) -> None:
    """Move frequencies apart that are too close for a stable filter (4.2.7.5.4).

    scratch  (SCRATCH_SIZE,) int64; NLSF_Q15
    """
    base = f.NLSF_Q15
    for _ in range(_REPAIRS):
        worst = 0
        worst_gap = scratch[base] - _spacing_q15(order, 0)
        for k in range(1, order + 1):
            above = scratch[base + k] if k < order else _ONE_Q15
            gap = above - scratch[base + k - 1] - _spacing_q15(order, k)
            if gap < worst_gap:
                worst = k
                worst_gap = gap
        if worst_gap >= 0:
            return
        if worst == 0:
            scratch[base] = _spacing_q15(order, 0)
        elif worst == order:
            scratch[base + order - 1] = _ONE_Q15 - _spacing_q15(order, order)
        else:
            _move_apart(scratch, order, worst)
    _sort_apart(scratch, order)


@inner_kernel("void(int64[::1], int64)")
def reconstruct_nlsf(scratch: NDArray[np.int64], order: int) -> None:
    """Make scratch[NLSF_Q15] from scratch[NLSF_INDICES] (4.2.7.5.3).

    scratch  (SCRATCH_SIZE,) int64; NLSF_INDICES as coded, NLSF_Q15
    """
    wide = order == f.ORDER_MAX
    vector = scratch[f.NLSF_INDICES]
    step_q16 = _STEP_WB_Q16 if wide else _STEP_NB_Q16
    residual_q10 = 0
    for k in range(order - 1, -1, -1):
        at = vector * order + k
        predicted_q10 = 0
        if k < order - 1:
            select = (t.NLSF_SELECT_WB[at >> 1] if wide else t.NLSF_SELECT_NB[at >> 1]) >> (
                4 * (k & 1)
            )
            entry = k + (select & 1) * (order - 1)
            weight = t.NLSF_PREDICTION_WB_Q8[entry] if wide else t.NLSF_PREDICTION_NB_Q8[entry]
            predicted_q10 = (residual_q10 * weight) >> 8
        index = scratch[f.NLSF_INDICES + 1 + k]
        level_q10 = index << 10
        if index > 0:
            level_q10 -= 102
        elif index < 0:
            level_q10 += 102
        residual_q10 = predicted_q10 + ((level_q10 * step_q16) >> 16)
        weight_q9 = _WEIGHT_WB_Q9[at] if wide else _WEIGHT_NB_Q9[at]
        moved = (abs(residual_q10) << 14) // weight_q9
        if residual_q10 < 0:
            moved = -moved
        codebook = t.NLSF_CODEBOOK_WB_Q8[at] if wide else t.NLSF_CODEBOOK_NB_Q8[at]
        scratch[f.NLSF_Q15 + k] = min(max((codebook << 7) + moved, 0), 32767)
    stabilise_nlsf(scratch, order)
