"""The slope between two clocks under which the outermost packets of both directions fit best.

Each direction has a floor that no packet is faster than, a line, and one rises as the other falls.
Of all slopes the one is taken under which the floors lie highest (Moon, Skelly and Towsley,
"Estimation and removal of clock skew from network delay measurements", INFOCOM 1999, for one
direction). With both directions there is always one such slope, and a queue, which only lifts
transits, of one direction or both, early or late in the window, turns nothing. Its error falls with
the number of packets, not with the root of it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel

# The four edges, first index of the points: floors, then ceilings with the sign reversed, so that
# each is a least value. The floor forward rises with the slope, the floor backward falls.
THERE: Final = 0
BACK: Final = 1
THERE_TOP: Final = 2
BACK_TOP: Final = 3
EDGES: Final = 4

_SKEW_USUAL: Final = 50e-6  # between two crystals; a slope is trusted as far as it is surer
_SHOWN: Final = 1.0  # most clocks are nearly right: below its own error a slope is hardly believed
_SLOPE_MAX: Final = 600e-6
_HALVINGS: Final = 20  # of 1200 ppm: to within 0.001 ppm


@kernel("float64(float64[::1], float64[::1], int64, float64, int64)")
def support(
    x: NDArray[np.float64], y: NDArray[np.float64], n: int, slope: float, is_place: int
) -> float:
    """Return the least y - slope * x; with `is_place` 1 the x where it is."""
    least = np.inf
    place = 0.0
    for i in range(n):
        height = y[i] - slope * x[i]
        if height < least:
            least = height
            place = x[i]
    return place if is_place else least


@kernel("float64(float64[:, :, ::1], int64[::1], float64, float64)")
def _height(
    points: NDArray[np.float64], counts: NDArray[np.int64], weight: float, slope: float
) -> float:
    """Return the sum of all edges under this slope; the true slope makes it highest."""
    height = 0.0
    for edge in range(EDGES):
        if counts[edge] > 0:
            own = slope if edge in (THERE, BACK_TOP) else -slope
            height += (weight if edge % 2 else 1.0) * support(
                points[edge, 0], points[edge, 1], counts[edge], own, 0
            )
    return height


@kernel("float64(float64[:, :, ::1], int64[::1], float64, float64)")
def _lever(
    points: NDArray[np.float64], counts: NDArray[np.int64], weight: float, slope: float
) -> float:
    """Return how fast the height grows with the slope."""
    lever = 0.0
    for edge in range(EDGES):
        if counts[edge] > 0:
            sign = 1.0 if edge in (THERE, BACK_TOP) else -1.0
            place = support(points[edge, 0], points[edge, 1], counts[edge], sign * slope, 1)
            lever -= (weight if edge % 2 else 1.0) * sign * place
    return lever


@kernel("float64(float64[:, :, ::1], int64[::1], float64, float64, float64, float64)")
def _where_height(
    points: NDArray[np.float64],
    counts: NDArray[np.int64],
    weight: float,
    inside: float,
    outside: float,
    height: float,
) -> float:
    """Return the slope between both at which the edges are still this high."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (inside + outside)
        if _height(points, counts, weight, middle) >= height:
            inside = middle
        else:
            outside = middle
    return inside


@kernel("float64(float64[:, :, ::1], int64[::1], float64, float64)")
def meeting_slope(
    points: NDArray[np.float64], counts: NDArray[np.int64], weight: float, noise: float
) -> float:
    """Return the slope under which the edges lie highest, drawn to 0 as far as it is unsure.

    points  (EDGES, 2, >= n): x and transit of the outermost packets of each edge
    counts  (EDGES,) points of each; floors 1 or more, ceilings 0 where they are none
    weight  of the backward edges beside the forward ones
    noise   how far apart the outermost forward packets lie, on average
    """
    low = -_SLOPE_MAX
    high = _SLOPE_MAX
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        lever = _lever(points, counts, weight, middle)
        if lever > 0.0:
            low = middle
        elif lever < 0.0:
            high = middle
        else:
            break
    best = 0.5 * (low + high)
    enough = _height(points, counts, weight, best) - noise
    low = _where_height(points, counts, weight, best, -_SLOPE_MAX, enough)
    high = _where_height(points, counts, weight, best, _SLOPE_MAX, enough)
    slope = 0.5 * (low + high)
    doubt = 0.25 * (high - low) * (high - low)
    shown = slope * slope / (slope * slope + _SHOWN * doubt + 1e-18)
    return shown * slope / (1.0 + doubt / (_SKEW_USUAL * _SKEW_USUAL))
