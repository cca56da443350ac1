"""Where a warning is meant for: polygons, circles and codes, and which clusters lie in them."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_M: Final = 6_371_009.0
"""Mean radius (IUGG)."""

Point = tuple[float, float]
"""Latitude and longitude in degrees (WGS 84)."""

Degrees = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Circle:
    """All within `radius_m` of `centre`."""

    centre: Point
    radius_m: float


@dataclass(frozen=True, slots=True)
class Area:
    """Union of its parts (CAP 1.2, section 3.2.4). Empty: nowhere."""

    polygons: tuple[tuple[Point, ...], ...] = ()
    """Closed: the first point is also the last; longitudes from -360 to 360."""

    circles: tuple[Circle, ...] = ()
    geocodes: tuple[tuple[str, str], ...] = ()
    """(name of the code, value), for instance ("GSO", "06637")."""

    everywhere: bool = False
    """All that the issuer has authority over; only signed bytes say so, CAP cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a cluster stands, and the codes that it belongs to."""

    position: Point | None = None
    geocodes: tuple[tuple[str, str], ...] = ()

    @property
    def codes(self) -> frozenset[tuple[str, str]]:
        """Its codes as they are compared: upper and lower case are one."""
        return frozenset(map(_folded, self.geocodes))


def contains(area: Area, site: Site) -> bool:
    """Return whether a cluster at `site` is meant by `area`."""
    codes = site.codes
    if area.everywhere or any(_folded(code) in codes for code in area.geocodes):
        return True
    if site.position is None:
        return False
    return any(in_polygon(site.position, polygon) for polygon in area.polygons) or any(
        distance_m(site.position, circle.centre) <= circle.radius_m for circle in area.circles
    )


def in_polygon(point: Point, polygon: tuple[Point, ...]) -> bool:
    """Return whether `point` lies in `polygon`, straight in latitude and longitude.

    Each side goes the shorter way round, so that a ring may cross 180 degrees. A ring that goes
    round the earth once has a pole in it: the one that it touches, or else the nearer one.
    ```
            170   180  -170                      90 ┌───────────────┐  added
        ┌────┼─────┼────┼────┐                      │   the pole    │
     lat│    ·─────┼────·    │   read as         75 ├─·──·──·──·──·─┤  the ring
        │    ·─────┼────·    │   170 .. 190         0             360
    ```
    """
    lats, lons = np.array(polygon, np.float64).T
    steps = np.diff(lons)
    turns = np.round(steps / 360.0)  # half way round goes as it is written
    whole = np.abs(steps) == 360.0
    if np.count_nonzero(whole) % 2 == 0:
        turns[whole] = 0.0  # there and back along a whole parallel; a single one only closes a ring
    lons[1:] -= 360.0 * np.cumsum(turns)
    if abs(lons[-1] - lons[0]) >= 180.0:
        nearest = lats[np.argmax(np.abs(lats))]
        pole = math.copysign(90.0, nearest if abs(nearest) == 90.0 else lats.mean())
        lats = np.concatenate((lats, (pole, pole, lats[0])))
        lons = np.concatenate((lons, (lons[-1], lons[0], lons[0])))
    first = math.ceil((lons.min() - point[1]) / 360.0)
    last = math.floor((lons.max() - point[1]) / 360.0)
    return any(
        _odd_crossings(point[0], point[1] + 360.0 * turn, lats, lons)
        for turn in range(first, last + 1)
    )


def _odd_crossings(lat: float, lon: float, lats: Degrees, lons: Degrees) -> bool:
    """Return whether a ray to the east crosses the ring an odd number of times."""
    crossed = np.flatnonzero((lats[:-1] > lat) != (lats[1:] > lat))
    lat0, lon0 = lats[crossed], lons[crossed]
    at = lon0 + (lat - lat0) * (lons[crossed + 1] - lon0) / (lats[crossed + 1] - lat0)
    return bool(np.count_nonzero(lon < at) % 2)


def _folded(code: tuple[str, str]) -> tuple[str, str]:
    return code[0].casefold(), code[1].casefold()


def distance_m(a: Point, b: Point) -> int:
    """Return the distance on the sphere, in whole metres: no last bit decides."""
    lat0, lon0, lat1, lon1 = (math.radians(degree) for degree in (*a, *b))
    h = (
        math.sin((lat1 - lat0) / 2) ** 2
        + math.cos(lat0) * math.cos(lat1) * math.sin((lon1 - lon0) / 2) ** 2
    )
    return round(2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h))))
