"""A line through points of which some are wrong: Theil-Sen, on arrays that are passed in.

The slope is the median of the slopes between pairs of points, so that up to 29 % of the points may
lie anywhere (Theil 1950, Sen 1968). Pairs that are close together say little about the slope and
much about the noise; a least distance in rank leaves them out.
"""

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel


@inner_kernel("float64(float64[::1], int64, int64, int64)")
def select_between(values: NDArray[np.float64], low: int, high: int, rank: int) -> float:
    """Return what stands at `rank` when the values from `low` on, before `high`, are in order.

    values  (>= high,) float64, no NaN; reordered
    """
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


@kernel("float64(float64[::1], int64, int64)")
def select(values: NDArray[np.float64], n: int, rank: int) -> float:
    """Return the value with `rank` smaller ones among the first `n`, reordering them.

    values  (>= n,) float64, no NaN; reordered
    n       1 or more
    rank    0 (smallest) to n - 1 (largest)
    """
    return float(select_between(values, 0, n, rank))


@inner_kernel("float64(float64[::1], int64, int64, float64, float64)")
def select_near(
    values: NDArray[np.float64], n: int, rank: int, guess: float, reach: float
) -> float:
    """Return what `select` does: sooner where it lies within `reach` of `guess`.

    values  (>= n,) float64, no NaN; reordered
    """
    low = guess - reach
    high = guess + reach
    below = 0
    near = 0
    for i in range(n):
        value = values[i]
        below += value < low
        if low <= value <= high:
            values[i] = values[near]
            values[near] = value
            near += 1
    at = rank - below
    if at < 0 or at >= near:
        return float(select_between(values, 0, n, rank))
    return float(select_between(values, 0, near, at))


@inner_kernel("float64(float64[::1], int64, int64, float64, float64)")
def pick_near(values: NDArray[np.float64], n: int, rank: int, guess: float, reach: float) -> float:
    """Return what `select_near` does, in a third of the time where the guess is good.

    values  (>= n,) float64, no NaN; afterwards anything
    """
    low = guess - reach
    high = guess + reach
    below = 0
    near = 0
    for i in range(n):
        below += values[i] < low
        near += (low <= values[i]) & (values[i] <= high)
    at = rank - below
    if at < 0 or at >= near:
        return float(select_between(values, 0, n, rank))
    kept = 0
    for i in range(n):
        value = values[i]
        values[kept] = value
        kept += (low <= value) & (value <= high)
    return float(select_between(values, 0, near, at))


@inner_kernel("int64(float64[::1], int64, float64, int64, float64[::1])")
def highest_below(
    values: NDArray[np.float64], n: int, limit: float, count: int, found: NDArray[np.float64]
) -> int:
    """Return how many of the first `n` are not above `limit`; write the highest of those.

    values  (>= n,) float64, no NaN
    count   so many of the highest are wanted
    found   (>= count,) float64: gets them, the least first
    """
    kept = 0
    for i in range(n):
        value = values[i]
        if value <= limit:
            if kept < count:
                at = kept
                while at > 0 and found[at - 1] > value:
                    found[at] = found[at - 1]
                    at -= 1
                found[at] = value
            elif value > found[0]:
                at = 0
                while at + 1 < count and found[at + 1] < value:
                    found[at] = found[at + 1]
                    at += 1
                found[at] = value
            kept += 1
    return kept


@inner_kernel("void(float64[::1], int64, int64, float64[::1])")
def lowest(values: NDArray[np.float64], n: int, count: int, found: NDArray[np.float64]) -> None:
    """Write the lowest of the first `n` values.

    values  (>= n,) float64, no NaN
    count   so many of the lowest are wanted, 1 to n
    found   (>= count,) float64: gets them, the least first
    """
    for i in range(n):
        value = values[i]
        if i < count or value < found[count - 1]:
            at = min(i, count - 1)
            while at > 0 and found[at - 1] > value:
                found[at] = found[at - 1]
                at -= 1
            found[at] = value


@inner_kernel("int64(float64[::1], float64[::1], int64, int64, float64[::1])")
def pair_slopes(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    n: int,
    distance_min: int,
    slopes: NDArray[np.float64],
) -> int:
    """Write the slopes between pairs at least `distance_min` apart in rank; return how many.

    x, y    (n or more,) float64, any one unit each, x ascending
    slopes  (pairs or more,) float64, in the unit of y by that of x
    """
    pairs = 0
    is_rising = True
    for i in range(1, n):
        is_rising &= x[i] > x[i - 1]
    if is_rising:  # as nearly always: then several are divided at once
        for i in range(n - distance_min):
            far_x, far_y = x[i + distance_min : n], y[i + distance_min : n]
            found = slopes[pairs : pairs + far_x.shape[0]]
            for j in range(far_x.shape[0]):
                found[j] = (far_y[j] - y[i]) / (far_x[j] - x[i])
            pairs += far_x.shape[0]
        return pairs
    for i in range(n):
        for j in range(i + distance_min, n):
            if x[j] > x[i]:
                slopes[pairs] = (y[j] - y[i]) / (x[j] - x[i])
                pairs += 1
    return pairs


@inner_kernel("float64(float64[::1], float64[::1], int64, int64, float64[::1])")
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
    pairs = pair_slopes(x, y, n, distance_min, scratch)
    return float(select(scratch, pairs, pairs // 2)) if pairs > 0 else 0.0
