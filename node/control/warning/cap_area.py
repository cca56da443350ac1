"""Read the areas of a CAP document: polygons, circles and codes (CAP 1.2, section 3.2.4).

Numbers may have as many decimals as a computer prints, and blanks wherever they please. A ring that
is not closed is closed. Longitudes go from -360 to 360, for rings that cross 180 degrees. What maps
and their converters write is read where it can mean nothing else: semicolons between points, a
height of 0 behind each, and the longitude first where no latitude could be that large.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element

from node.control.warning.area import Area, Circle, Point
from node.control.warning.cap_reader import RefusedError, pairs, text_of

RADIUS_MAX_KM: Final = 1e6

_NUMBERS: Final = re.compile(r"[-+.,0-9eE\s]*", re.ASCII)
_COMMA: Final = re.compile(r"\s*,\s*")
_UNIT: Final = re.compile(r"\s*km\s*$", re.ASCII | re.IGNORECASE)
_LIST: Final = re.compile(r"[\s,;]+")


def read_area(element: Element) -> tuple[Area, list[str]]:
    """Return the area, and what of it cannot be read."""
    polygons: list[tuple[Point, ...]] = []
    circles: list[Circle] = []
    faults: list[str] = []
    for child in element:
        try:
            if child.tag == "polygon" and (text := text_of(child)):
                polygons.append(_polygon(text))
            elif child.tag == "circle" and (text := text_of(child)):
                circles.append(_circle(text))
        except RefusedError as fault:
            faults.append(f"{child.tag}: {fault}")
    return Area(tuple(polygons), tuple(circles), tuple(_geocodes(element))), faults


def _geocodes(element: Element) -> list[tuple[str, str]]:
    """Return the codes; several in one value are several."""
    found: list[tuple[str, str]] = []
    for name, value in pairs(element, "geocode"):
        found.append((name, value))
        if _LIST.search(value):
            found += [(name, part) for part in _LIST.split(value) if part]
    return found


def _polygon(text: str) -> tuple[Point, ...]:
    text = text.replace(";", " ")
    numbers = _floats(text)
    if _has_heights(text, numbers):
        lats, lons = numbers[::3], numbers[1::3]
    # A comma in each pair and nowhere else: decimal commas are no points.
    elif len(numbers) % 2 or text.count(",") * 2 != len(numbers):
        raise RefusedError(f"{text[:40]!r}: points are lat,lon with blanks between them")
    else:
        lats, lons = numbers[::2], numbers[1::2]
    lats, lons = _in_order(lats, lons)
    _check(lats, lons)
    points = tuple(zip(lats, lons, strict=True))
    if points[0] != points[-1]:
        points = (*points, points[0])
    if len(points) < 4:
        raise RefusedError("a polygon has three corners or more")
    return points


def _has_heights(text: str, numbers: list[float]) -> bool:
    """Return whether each point is three numbers, the third of them 0: no map has decimals so."""
    if text.count(",") * 3 != len(numbers) * 2:
        return False
    points = _COMMA.sub(",", text).split()
    is_triple = len(points) * 3 == len(numbers) and all(one.count(",") == 2 for one in points)
    return is_triple and not any(numbers[2::3])


def _in_order(lats: list[float], lons: list[float]) -> tuple[list[float], list[float]]:
    """Return latitudes and longitudes, exchanged where only that can be meant."""
    is_turned = bool(lats) and min(map(abs, lats)) > 90.0 and max(map(abs, lons)) <= 90.0
    return (lons, lats) if is_turned else (lats, lons)


def _circle(text: str) -> Circle:
    numbers = _floats(_UNIT.sub("", text).replace(";", " "))
    if len(numbers) != 3 or text.count(",") > 2 or "," not in text:
        raise RefusedError(f"{text[:40]!r}: a circle is lat,lon and a radius in km")
    (lat,), (lon,) = _in_order(numbers[:1], numbers[1:2])
    centre, radius_km = (lat, lon), numbers[2]
    _check([lat], [lon])
    if not 0.0 <= radius_km <= RADIUS_MAX_KM:
        raise RefusedError(f"radius {radius_km:g} km: 0 to {RADIUS_MAX_KM:g}")
    return Circle(centre, radius_km * 1000.0)


def _check(lats: list[float], lons: list[float]) -> None:
    for numbers, most in ((lats, 90.0), (lons, 360.0)):
        for one in (min(numbers, default=0.0), max(numbers, default=0.0)):
            if abs(one) > most:
                raise RefusedError(f"{one:g} degrees: latitude to 90, then longitude to 180")


def _floats(text: str) -> list[float]:
    try:
        if _NUMBERS.fullmatch(text):
            return [float(number) for number in text.replace(",", " ").split()]
    except ValueError:
        pass
    raise RefusedError(f"{text[:40]!r}: numbers like 21.65 and blanks are what it has")
