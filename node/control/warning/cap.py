"""CAP 1.2: from a document to what it orders, or to the reason why it orders nothing.

Common Alerting Protocol, OASIS Standard, version 1.2, sections 3.2 and 3.4. Stricter than the
schema in one thing: a polygon must be closed and of at least four points, as the text demands.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from node.control.warning.area import Area, Circle, Point
from node.control.warning.cap_reader import Element, RefusedError, read

POINTS_MAX: Final = 2000
"""Points of all polygons of a document."""

REFERENCES_MAX: Final = 256

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)([+-])(\d\d):(\d\d)", re.ASCII
)
_IDENTITY: Final = re.compile(r"[^\s,<&]{1,256}")
_DEGREES: Final = re.compile(r"[+-]?\d{1,3}(\.\d{1,12})?", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class CapResource:
    """Something to fetch: audio of the spoken text."""

    mime_type: str
    size_bytes: int | None
    uri: str
    digest_sha1: str


@dataclass(frozen=True, slots=True)
class CapInfo:
    """One `info`: one language, one urgency, its areas."""

    language: str
    event: str
    event_codes: tuple[tuple[str, str], ...]
    urgency: str
    severity: str
    certainty: str
    effective_s: int | None
    onset_s: int | None
    expires_s: int | None
    headline: str
    areas: tuple[Area, ...]
    resources: tuple[CapResource, ...]


@dataclass(frozen=True, slots=True)
class CapAlert:
    """One document."""

    identifier: str
    sender: str
    sent_s: int
    status: str
    message_type: str
    scope: str
    references: tuple[tuple[str, str], ...]
    """(sender, identifier) of the documents that it is about."""

    infos: tuple[CapInfo, ...]


def parse_cap(data: bytes) -> CapAlert | str:
    """Return what the document says, or why it is refused. Never raises.

    Parameters
    ----------
    data : bytes
        Up to 256 KiB, UTF-8.
    """
    try:
        return _alert(read(data))
    except RefusedError as fault:
        return str(fault)


def _alert(root: Element) -> CapAlert:
    identifier, sender = _text(root, "identifier"), _text(root, "sender")
    if not _IDENTITY.fullmatch(identifier) or not _IDENTITY.fullmatch(sender):
        raise RefusedError("identifier or sender with a space, comma, < or &")
    scope, message_type = _text(root, "scope"), _text(root, "msgType")
    references = _references(root.one("references") or "")
    if message_type in ("Update", "Cancel", "Ack", "Error") and not references:
        raise RefusedError(f"{message_type} without references")
    polygons = [p for i in root.all("info") for a in i.all("area") for p in a.all("polygon")]
    if sum(polygon.text.count(",") for polygon in polygons) > POINTS_MAX:
        raise RefusedError(f"more than {POINTS_MAX} points")
    infos = tuple(_info(element) for element in root.all("info"))
    sent_s = _time(root, "sent")
    assert sent_s is not None, "the schema's sequence has it"
    return CapAlert(
        identifier, sender, sent_s, _text(root, "status"), message_type, scope, references, infos
    )


def _info(element: Element) -> CapInfo:
    codes = tuple((_text(e, "valueName"), _text(e, "value")) for e in element.all("eventCode"))
    return CapInfo(
        language=element.one("language") or "en-US",
        event=_text(element, "event"),
        event_codes=codes,
        urgency=_text(element, "urgency"),
        severity=_text(element, "severity"),
        certainty=_text(element, "certainty"),
        effective_s=_time(element, "effective"),
        onset_s=_time(element, "onset"),
        expires_s=_time(element, "expires"),
        headline=element.one("headline") or "",
        areas=tuple(_area(one) for one in element.all("area")),
        resources=tuple(_resource(one) for one in element.all("resource")),
    )


def _area(element: Element) -> Area:
    return Area(
        polygons=tuple(_polygon(one.text) for one in element.all("polygon")),
        circles=tuple(_circle(one.text) for one in element.all("circle")),
        geocodes=tuple(
            (_text(one, "valueName"), _text(one, "value")) for one in element.all("geocode")
        ),
    )


def _resource(element: Element) -> CapResource:
    size, digest = element.one("size"), element.one("digest") or ""
    if size is not None and not re.fullmatch(r"\s*\d{1,12}\s*", size, re.ASCII):
        raise RefusedError("size of a resource is no number")
    return CapResource(
        mime_type=_text(element, "mimeType"),
        size_bytes=None if size is None else int(size),
        uri=element.one("uri") or "",
        digest_sha1=digest.lower() if _DIGEST.fullmatch(digest) else "",
    )


def _text(element: Element, name: str) -> str:
    text = element.one(name)
    assert text is not None, "the schema's sequence has it"
    return text


def _time(element: Element, name: str) -> int | None:
    text = element.one(name)
    if text is None:
        return None
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise RefusedError(f"{name} is no time with offset")
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    offset_s = int(match[8]) * 3600 + int(match[9]) * 60
    try:
        civil = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise RefusedError(f"{name} is no time") from None
    if int(match[9]) > 59 or offset_s > 14 * 3600:
        raise RefusedError(f"{name} has no such offset")
    return int(civil.timestamp()) + (offset_s if match[7] == "-" else -offset_s)


def _references(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    if text.count(",") > 2 * REFERENCES_MAX:
        raise RefusedError(f"more than {REFERENCES_MAX} references")
    for one in text.split():
        parts = one.split(",")
        if len(parts) != 3 or not all(parts):
            raise RefusedError("references are sender,identifier,sent")
        found.append((parts[0], parts[1]))
    return tuple(found)


def _polygon(text: str) -> tuple[Point, ...]:
    points = tuple(_point(one) for one in text.split())
    if len(points) < 4 or points[0] != points[-1]:
        raise RefusedError("a polygon needs four points and must be closed")
    return points


def _circle(text: str) -> Circle:
    parts = text.split()
    if len(parts) != 2 or not re.fullmatch(r"\d{1,5}(\.\d{1,9})?", parts[1], re.ASCII):
        raise RefusedError("a circle is lat,lon radius")
    return Circle(_point(parts[0]), float(parts[1]) * 1000.0)


def _point(text: str) -> Point:
    parts = text.split(",")
    if len(parts) != 2 or not all(_DEGREES.fullmatch(one) for one in parts):
        raise RefusedError("a point is lat,lon")
    lat, lon = float(parts[0]), float(parts[1])
    if abs(lat) > 90 or abs(lon) > 180:
        raise RefusedError("a point beyond 90,180")
    return (lat, lon)
