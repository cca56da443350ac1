"""Read the areas of a CAP document: polygons, circles and codes (CAP 1.2, section 3.2.4).

Numbers may have as many decimals as a computer prints, and blanks wherever they please. A ring that
is not closed is closed. Longitudes go from -360 to 360, for rings that cross 180 degrees.
"""

import re
from typing import Final
from xml.etree.ElementTree import Element

from node.control.warning.area import Area, Circle, Point
from node.control.warning.cap_reader import RefusedError, pairs, text_of

RADIUS_MAX_KM: Final = 1e6

_NUMBERS: Final = re.compile(r"[-+.,0-9eE\s]*", re.ASCII)
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
    numbers = _floats(text)
    # A comma in each pair and nowhere else: neither altitudes nor decimal commas are points.
    if len(numbers) % 2 or text.count(",") * 2 != len(numbers):
        raise RefusedError(f"{text[:40]!r}: points are lat,lon with blanks between them")
    lats, lons = numbers[::2], numbers[1::2]
    _check(lats, lons)
    points = tuple(zip(lats, lons, strict=True))
    if points[0] != points[-1]:
        points = (*points, points[0])
    if len(points) < 4:
        raise RefusedError("a polygon has three corners or more")
    return points


def _circle(text: str) -> Circle:
    numbers = _floats(text)
    if len(numbers) != 3 or text.count(",") != 1:
        raise RefusedError(f"{text[:40]!r}: a circle is lat,lon and a radius in km")
    centre, radius_km = (numbers[0], numbers[1]), numbers[2]
    _check(numbers[:1], numbers[1:2])
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
