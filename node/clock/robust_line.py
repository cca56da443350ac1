"""A line through points of which some are wrong: Theil-Sen, on arrays that are passed in.

The slope is the median of the slopes between pairs of points, so that up to 29 % of the points may
lie anywhere (Theil 1950, Sen 1968). Pairs that are close together say little about the slope and
much about the noise; a least distance in rank leaves them out.
"""

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel


@kernel("float64(float64[::1], int64, int64)")
def select(values: NDArray[np.float64], n: int, rank: int) -> float:
    """Return the value with `rank` smaller ones among the first `n`, reordering them.

    values  (>= n,) float64, no NaN; reordered
    n       1 or more
    rank    0 (smallest) to n - 1 (largest)
    """
    low = 0
    high = n
    while high - low > 1:
        count = high - low
        first = values[low + count // 4]
        second = values[low + count // 2]
        third = values[low + 3 * count // 4]
        pivot = max(min(first, second), min(max(first, second), third))
        # Without a branch that depends on a value: each wrong guess at one costs as much as ten
        # comparisons.
        split = low
        for i in range(low, high):
            value = values[i]
            values[i] = values[split]
            values[split] = value
            split += value < pivot
        if rank < split:
            high = split
        elif split > low:
            low = split
        else:  # the pivot is the smallest: leave all out that are equal to it
            for i in range(low, high):
                value = values[i]
                values[i] = values[split]
                values[split] = value
                split += value == pivot
            if rank < split:
                return float(pivot)
            low = split
    return float(values[rank])


@kernel("float64(float64[::1], float64[::1], int64, int64, float64[::1])")
def theil_sen_slope(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    n: int,
    distance_min: int,
    scratch: NDArray[np.float64],
) -> float:
    """Return the median slope over the pairs at least `distance_min` apart in rank; 0.0 without.

    x, y          (n or more,) float64, any one unit each, x ascending
    n             points
    distance_min  least distance in rank, >= 1
    scratch       (pairs or more,) float64, slopes in the unit of y by that of x
    """
    pairs = 0
    for i in range(n):
        for j in range(i + distance_min, n):
            if x[j] > x[i]:
                scratch[pairs] = (y[j] - y[i]) / (x[j] - x[i])
                pairs += 1
    if pairs == 0:
        return 0.0
    return select(scratch, pairs, pairs // 2)
