"""Intervals for shares, odds and differences, from throws that may come from sampled villages.

Throws of one village resemble each other, so a village counts as one unit; with the village as it
is written, each throw is one. What varies not at all among few units is not taken for certain.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL: Final = 0.9
"""Share of the sweeps in which an interval contains what endless many throws would say."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and where the truth may lie."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the interval's width."""
        return (self.high - self.low) / 2


def share(
    values: NDArray[np.float64], villages: NDArray[np.int64], *, level: float = LEVEL
) -> Estimate:
    """Return the mean of values from 0 to 1 with its interval.

    Parameters
    ----------
    values : (n,) float64, n >= 1
        One per throw: 0 or 1 for odds, the share of the clusters, a mean of such.
    villages : (n,) int64
        Index of the village that each is of.
    level : float
        Of the interval.

    Notes
    -----
    Wilson's interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927) with as many throws as would,
    independent, have the variance that the units have (Kish's effective sample size).
    """
    units = _units(values, villages)
    count = units.size
    mean = float(values.mean())
    # Of throws that are 0 or 1 the mean tells the variance too; else that is estimated as well.
    plain = not _has_villages(villages) and bool(np.isin(values, (0.0, 1.0)).all())
    z = _quantile(level, 0 if plain else count)
    spread = float(units.var(ddof=0 if plain or count == 1 else 1)) / count
    inside = mean * (1 - mean)
    size = float(count)
    if spread > 1e-15 and inside > 0:
        size = max(1.0, inside / spread)
    return _wilson(mean, size, z)


def difference(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    villages: NDArray[np.int64],
    *,
    level: float = LEVEL,
    is_share: bool = True,
) -> Estimate:
    """Return the mean of `ours` minus `theirs`, throw by throw, with its interval.

    ours, theirs  (n,) float64, shares from 0 to 1, or any one unit
    villages      (n,) int64, index of the village that each throw is of

    Both met the same chance, so most of it falls out of the difference. Without `is_share` the
    values may be any, and what does not vary is taken as it is.

    Notes
    -----
    For throws that are 0 or 1 the interval of Bonett and Price (Stat. Med. 31, 2012): one more
    throw for each side. Else Student's, over the units.
    """
    apart = ours - theirs
    mean = float(apart.mean())
    villaged = _has_villages(villages)
    units = _units(apart, villages)
    count = units.size
    z = _quantile(level, count if villaged else 0)
    plain = is_share and not villaged and bool(np.isin(apart, (-1.0, 0.0, 1.0)).all())
    spread = float(units.var(ddof=1)) / count if count > 1 else 0.0
    if not plain and (spread > 1e-15 or not is_share):
        half = _quantile(level, count) * math.sqrt(spread)
        return Estimate(mean, mean - half, mean + half)
    up = (float((units > 0).sum()) + 1) / (count + 2) if plain else 1 / (count + 2)
    down = (float((units < 0).sum()) + 1) / (count + 2) if plain else 1 / (count + 2)
    middle = up - down if plain else mean
    half = z * math.sqrt(max(0.0, up + down - (up - down) ** 2) / (count + 2))
    return Estimate(mean, max(-1.0, middle - half), min(1.0, middle + half))


def mean(
    values: NDArray[np.float64],
    villages: NDArray[np.int64],
    *,
    level: float = LEVEL,
    most: float | None = None,
) -> Estimate:
    """Return the mean of any values with Student's interval over the units.

    values    (n,) float64, any one unit
    villages  (n,) int64, index of the village that each is of
    most      they are from 0 to that: what then does not vary at all is as sure as a share
    """
    units = _units(values, villages)
    middle = float(values.mean())
    if most is not None and (units.size < 2 or float(units.var()) <= 1e-15 * most**2):
        one = share(values / most, villages, level=level)
        return Estimate(middle, most * one.low, most * one.high)
    if units.size < 2:
        return Estimate(middle, -math.inf, math.inf)
    half = _quantile(level, units.size) * math.sqrt(float(units.var(ddof=1)) / units.size)
    return Estimate(middle, middle - half, middle + half)


def _wilson(p: float, size: float, z: float) -> Estimate:
    middle = (p + z * z / (2 * size)) / (1 + z * z / size)
    half = z / (1 + z * z / size) * math.sqrt(p * (1 - p) / size + z * z / (4 * size * size))
    return Estimate(p, max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half)))


def _has_villages(villages: NDArray[np.int64]) -> bool:
    return bool((villages != villages[0]).any())


def _units(values: NDArray[np.float64], villages: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of each village, or the values where there is one village."""
    if not _has_villages(villages):
        return values
    _, index = np.unique(villages, return_inverse=True)
    units: NDArray[np.float64] = np.bincount(index, weights=values) / np.bincount(index)
    return units


@cache
def _quantile(level: float, units: int) -> float:
    """Return Student's quantile for the mean of `units`, the normal one for 0."""
    tail = 0.5 + level / 2
    if units == 0:
        return float(stats.norm.ppf(tail))
    return float(stats.t.ppf(tail, max(1, units - 1)))
