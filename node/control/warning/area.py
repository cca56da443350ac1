"""Where a warning is meant for: polygons, circles and codes, and which clusters lie in them."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

EARTH_RADIUS_M: Final = 6_371_009.0
"""Mean radius (IUGG)."""

Point = tuple[float, float]
"""Latitude and longitude in degrees (WGS 84)."""


@dataclass(frozen=True, slots=True)
class Circle:
    """All within `radius_m` of `centre`."""

    centre: Point
    radius_m: float


@dataclass(frozen=True, slots=True)
class Area:
    """Union of its parts (CAP 1.2, section 3.2.4). Empty: nowhere."""

    polygons: tuple[tuple[Point, ...], ...] = ()
    """Closed: the first point is also the last."""

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


def contains(area: Area, site: Site) -> bool:
    """Return whether a cluster at `site` is meant by `area`."""
    if area.everywhere or any(code in site.geocodes for code in area.geocodes):
        return True
    if site.position is None:
        return False
    return any(in_polygon(site.position, polygon) for polygon in area.polygons) or any(
        distance_m(site.position, circle.centre) <= circle.radius_m for circle in area.circles
    )


def in_polygon(point: Point, polygon: tuple[Point, ...]) -> bool:
    """Return whether `point` lies in `polygon` (crossings of a ray to the east)."""
    lat, lon = point
    inside = False
    for (lat0, lon0), (lat1, lon1) in pairwise(polygon):
        if (lat0 > lat) != (lat1 > lat):
            crossing_lon = lon0 + (lat - lat0) * (lon1 - lon0) / (lat1 - lat0)
            inside ^= lon < crossing_lon
    return inside


def distance_m(a: Point, b: Point) -> int:
    """Return the distance on the sphere, in whole metres: no last bit decides."""
    lat0, lon0, lat1, lon1 = (math.radians(degree) for degree in (*a, *b))
    h = (
        math.sin((lat1 - lat0) / 2) ** 2
        + math.cos(lat0) * math.cos(lat1) * math.sin((lon1 - lon0) / 2) ** 2
    )
    return round(2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(h))))
