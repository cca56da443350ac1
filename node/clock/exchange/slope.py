"""The slope between two clocks under which the outermost packets of both directions fit best.

Each direction has a floor that no packet is faster than, a line, and one rises as the other falls.
Of all slopes the one is taken under which the floors lie highest (Moon, Skelly and Towsley,
"Estimation and removal of clock skew from network delay measurements", INFOCOM 1999, for one
direction). With both directions there is always one such slope, and a queue, which only lifts
transits, of one direction or both, early or late in the window, turns nothing. Its error falls with
the number of packets, not with the root of it.

What is returned is not that slope but the mean of all that packets and a crystal leave possible:
near its bound a direction's delays are as dense as they are, so that each slope is the less likely
by e for each distance between outermost packets by which its bounds lie lower. While the packets
say little, crystals are known to be nearly right.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel

# The four bounds, first index of the points: floors, then ceilings with the sign reversed, so that
# each is a least value. The floor forward rises with the slope, the floor backward falls.
THERE: Final = 0
BACK: Final = 1
THERE_TOP: Final = 2
BACK_TOP: Final = 3
BOUNDS: Final = 4

_SKEW_STEERED: Final = 1e-6
"""Of two clocks that NTP steers: chrony and its like move the rate of CLOCK_MONOTONIC too, and
about 1 ppm is left (docs/why.md, "Clocks"). That is believed of half of all
pairs."""
_SKEW_USUAL: Final = 20e-6
"""Of the others half differ by less: parts are sold as +-20 to +-50 ppm over all of their
temperatures and years. Both are Cauchy distributions, whose tails let 300 ppm be believed soon."""
_SLOPE_MAX: Final = 600e-6
_HALVINGS: Final = 20  # of 1200 ppm: to within 0.001 ppm
_LOWER_MAX: Final = 16.0  # of slopes whose bounds lie lower than that nothing is left
_INNER_NS: Final = 1.0
"""By so much a point lies above what joins two others that is never the least: more than the last
bits of all that is computed of them."""
_SLOPES: Final = 64
_DENSE: Final = 10e-6  # of the slopes tried, as many lie nearer to none as further off


@inner_kernel("float64(float64[::1], float64[::1], int64, float64, int64)")
def support(
    x: NDArray[np.float64], y: NDArray[np.float64], n: int, slope: float, is_place: int
) -> float:
    """Return the least y - slope * x; with `is_place` 1 the x where it is.

    x, y  (n or more,) float64, ns
    """
    least = np.inf
    place = 0.0
    for i in range(n):
        height = y[i] - slope * x[i]
        if height < least:
            least = height
            place = x[i]
    return place if is_place else least


@inner_kernel("int64(float64[:, ::1], int64, int64)")
def without_inner(points: NDArray[np.float64], first: int, n: int) -> int:
    """Leave out the points from `first` on that no slope makes the least; return how many stay.

    points  (2, >= n) float64, ns: x, ascending from `first` on, and height
    """
    kept = first
    for i in range(first, n):
        while kept > first + 1:
            wide = points[0, i] - points[0, kept - 2]
            part = points[0, kept - 1] - points[0, kept - 2]
            rise = points[1, i] - points[1, kept - 2]
            above = points[1, kept - 1] - points[1, kept - 2] - _INNER_NS
            if above * wide <= rise * part:
                break
            kept -= 1
        points[0, kept] = points[0, i]
        points[1, kept] = points[1, i]
        kept += 1
    return kept


@inner_kernel("float64(float64[:, :, ::1], int64[::1], float64[::1], float64)")
def _height(
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    slope: float,
) -> float:
    """Return the sum of all bounds under this slope; the likeliest slope makes it highest."""
    height = 0.0
    for bound in range(BOUNDS):
        if counts[bound] > 0:
            own = slope if bound in (THERE, BACK_TOP) else -slope
            height += weights[bound] * support(
                points[bound, 0], points[bound, 1], counts[bound], own, 0
            )
    return height


@inner_kernel("float64(float64[:, :, ::1], int64[::1], float64[::1], float64)")
def _lever(
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    slope: float,
) -> float:
    """Return how fast the height grows with the slope."""
    lever = 0.0
    for bound in range(BOUNDS):
        if counts[bound] > 0:
            sign = 1.0 if bound in (THERE, BACK_TOP) else -1.0
            place = support(points[bound, 0], points[bound, 1], counts[bound], sign * slope, 1)
            lever -= weights[bound] * sign * place
    return lever


@inner_kernel("float64(float64[:, :, ::1], int64[::1], float64[::1], float64, float64, float64)")
def _where_height(
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    weights: NDArray[np.float64],
    inside: float,
    outside: float,
    height: float,
) -> float:
    """Return the slope between both at which the bounds are still this high."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if _height(points, counts, weights, middle) >= height:
            inside = middle
        else:
            outside = middle
    return inside


@inner_kernel("float64(float64[:, :, ::1], int64[::1], float64[::1])")
def _highest(
    points: NDArray[np.float64], counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """Return the slope under which the bounds lie highest."""
    low = -_SLOPE_MAX
    high = _SLOPE_MAX
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        lever = _lever(points, counts, weights, middle)
        if lever > 0.0:
            low = middle
        elif lever < 0.0:
            high = middle
        else:
            return middle
    return 0.5 * (low + high)


@inner_kernel("float64(float64[:, :, ::1], int64[::1], float64[::1])")
def meeting_slope(
    points: NDArray[np.float64], counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """Return the mean of the slopes that the bounds leave possible.

    points   (BOUNDS, 2, n or more) float64, ns: x and transit of each bound's outermost packets
    counts   (BOUNDS,) int64, counts of points; floors 1 or more, ceilings 0 where they are none
    weights  (BOUNDS,) float64, 1/ns: by bound, one over the distance between its outermost packets;
             both floors alike and both ceilings alike, or a queue of one direction would turn the
             slope
    """
    best = _highest(points, counts, weights)
    top = _height(points, counts, weights, best)
    enough = top - _LOWER_MAX
    low = _where_height(points, counts, weights, best, -_SLOPE_MAX, enough)
    high = _where_height(points, counts, weights, best, _SLOPE_MAX, enough)
    total = 0.0
    moment = 0.0
    first = low / (_DENSE + abs(low))
    last = high / (_DENSE + abs(high))
    for step in range(_SLOPES + 1):
        place = first + (last - first) * step / _SLOPES
        slope = _DENSE * place / (1.0 - abs(place))
        lower = min((top - _height(points, counts, weights, slope)) / _LOWER_MAX, 1.0)
        # exp(-16 lower), nearly, and the same to the last bit on every processor.
        likely = (1.0 - lower) * (1.0 - lower)
        likely *= likely
        likely *= likely
        likely *= likely
        steered = _SKEW_STEERED / (_SKEW_STEERED * _SKEW_STEERED + slope * slope)
        usual = _SKEW_USUAL / (_SKEW_USUAL * _SKEW_USUAL + slope * slope)
        likely *= steered + usual
        likely /= (1.0 - abs(place)) * (1.0 - abs(place))  # so many slopes this one stands for
        total += likely
        moment += likely * slope
    return moment / total if total > 0.0 else best
