"""Random CAP documents with what they mean, and the many ways in which publishers write one thing.

`draw_document` makes the meaning, `write` its bytes: valid by the schema with `plain`, else with
blanks, encodings, orders, markup and decimals as they are really found. Ground truth is where the
areas were made, not what somebody reads out of them.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import numpy as np

Point = tuple[float, float]

SENT_S: Final = 1_795_000_000
ISSUED_S: Final = SENT_S + 300
"""When the order was signed: what a document without a time is dated by."""

MISSING: Final = (
    *("urgency", "severity", "certainty", "language", "category", "event", "headline", "area"),
    *("identifier", "sender", "sent", "status", "msgType", "scope"),
)
"""Elements that one in four documents lacks, one at a time."""

_STATUS: Final = ("Actual", "Actual", "Actual", "Actual", "Exercise", "Test", "System", "Draft")
_SCOPE: Final = ("Public", "Public", "Public", "Public", "Public", "Restricted", "Private")
_URGENCY: Final = ("Immediate", "Expected", "Future", "Past", "Unknown")
_SEVERITY: Final = ("Extreme", "Severe", "Moderate", "Minor", "Unknown")
_CERTAINTY: Final = ("Observed", "Likely", "Possible", "Unlikely", "Unknown")
_CODES: Final = ("FFW", "SVR", "TSW", "")
_LANGUAGES: Final = ("vi-VN", "tyz", "en-US", "nut")
_ENCODINGS: Final = ("UTF-8", "UTF-8", "UTF-8", "utf-8-sig", "UTF-16", "UTF-16BE", "ISO-8859-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A polygon: its corners as they are meant, longitudes running on over 180 degrees."""

    corners: tuple[Point, ...]
    pole: float = 0.0
    """90 or -90 when the ring goes round that pole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """One block, with the truth about its place."""

    language: str
    urgency: str
    severity: str
    certainty: str
    code: str = ""
    effective_s: int | None = None
    onset_s: int | None = None
    expires_s: int | None = None
    rings: tuple[Ring, ...] = ()
    circles: tuple[tuple[Point, float], ...] = ()
    """Centre, and radius in km."""

    codes: tuple[str, ...] = ()
    missing: str = ""
    """Name of an element that it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document."""

    identifier: str
    sender: str = "pctt@langson.gov.vn"
    sent_s: int = SENT_S
    status: str = "Actual"
    kind: str = "Alert"
    scope: str = "Public"
    references: tuple[str, ...] = ()
    infos: tuple[Info, ...] = ()
    missing: str = ""


def draw_document(number: int, site: Point, rng: np.random.Generator) -> Document:
    """Return a document of one to five blocks; about half of its areas have `site` in them."""
    kind = str(rng.choice(("Alert", "Alert", "Alert", "Update", "Cancel")))
    shapes = [_draw_info(site, rng) for _ in range(int(rng.integers(1, 4)))]
    missing = str(rng.choice(MISSING)) if rng.random() < 0.25 else ""
    shapes = [replace(one, missing=missing) if rng.random() < 0.7 else one for one in shapes]
    infos: list[Info] = []
    for one in shapes:
        infos.append(replace(one, language="vi-VN"))
        if rng.random() < 0.4:  # the same in another language
            infos.append(replace(one, language=str(rng.choice(_LANGUAGES[1:]))))
    return Document(
        identifier=f"urn:oid:2.49.0.1.704.0.{'0123456789' * int(rng.integers(0, 6))}.{number}",
        status=str(rng.choice(_STATUS)),
        kind=kind,
        scope=str(rng.choice(_SCOPE)),
        references=() if kind == "Alert" else tuple(f"A-{n}" for n in range(rng.integers(1, 4))),
        infos=tuple(infos),
        missing=missing,
    )


def _draw_info(site: Point, rng: np.random.Generator) -> Info:
    begin_s = SENT_S + int(rng.integers(-7200, 7200))
    end_s = begin_s + int(rng.integers(600, 40_000))
    given = rng.random(3) < (0.7, 0.5, 0.9)
    kind = int(rng.integers(0, 6))
    return Info(
        language="vi-VN",
        urgency=str(rng.choice(_URGENCY)),
        severity=str(rng.choice(_SEVERITY)),
        certainty=str(rng.choice(_CERTAINTY)),
        code=str(rng.choice(_CODES)),
        effective_s=begin_s if given[0] else None,
        onset_s=begin_s + 600 if given[1] else None,
        expires_s=end_s if given[2] else None,
        rings=tuple(_draw_ring(site, rng) for _ in range(int(rng.integers(1, 3)) * (kind > 1))),
        circles=(_draw_circle(site, rng),) if kind in (1, 5) else (),
        codes=(str(rng.choice(("06637", "06640"))),) if kind in (0, 4) else (),
    )


def _draw_ring(site: Point, rng: np.random.Generator) -> Ring:
    """Return a star around a point near `site` or far from it, or a ring round a pole."""
    corners = int(rng.integers(3, 40))
    turns = np.sort(rng.random(corners))
    if rng.random() < 0.1:
        pole = 90.0 if rng.random() < 0.5 else -90.0
        lats = np.sign(pole) * (40.0 + 45.0 * rng.random(corners))
        lons = (np.arange(corners) + 0.5 * rng.random(corners)) / corners * 360.0
        if corners < 5:
            lats, lons = np.tile(lats, 2), np.concatenate((lons, lons + 360.0)) / 2.0
        return Ring(corners=tuple(zip(lats.tolist(), lons.tolist(), strict=True)), pole=pole)
    far = rng.random() < 0.4
    lat, lon = (rng.uniform(-60, 60), rng.uniform(-180, 180)) if far else site
    size = float(10 ** rng.uniform(-1.5, 1.2))
    radii = size * (0.2 + 0.8 * rng.random(corners))
    lat += (0.0 if far else 0.7) * size * float(rng.uniform(-1, 1))
    lon += (0.0 if far else 0.7) * size * float(rng.uniform(-1, 1))
    angles = 2.0 * np.pi * turns
    lats = np.clip(lat + radii * np.sin(angles), -89.9, 89.9)
    lons = lon + radii * np.cos(angles)
    return Ring(corners=tuple(zip(lats.tolist(), lons.tolist(), strict=True)))


def _draw_circle(site: Point, rng: np.random.Generator) -> tuple[Point, float]:
    lat = float(np.clip(site[0] + rng.normal(0, 2), -89, 89))
    return (lat, site[1] + float(rng.normal(0, 2))), float(10 ** rng.uniform(0, 2.7))


@dataclass(slots=True)
class _Writer:
    """Writes elements, plainly or as publishers do."""

    rng: np.random.Generator
    plain: bool
    ascii_only: bool = False
    prefix: str = ""
    lines: list[str] = field(default_factory=list)

    def often(self, chance: float) -> bool:
        return not self.plain and bool(self.rng.random() < chance)

    def element(self, name: str, text: str, *, free: bool = False) -> str:
        """Return one element with text; `free` is text for people."""
        said = escape(text)
        if free and self.often(0.1):
            said = f"<![CDATA[{text}]]>"
        elif free and self.often(0.1):
            said = "".join(f"&#{ord(one)};" if ord(one) > 127 else escape(one) for one in text)
        elif free and self.often(0.1):
            said = f"{said} & <b>nguy hiểm</b>" if not self.ascii_only else f"{said} & <b>!</b>"
        if self.often(0.2):
            said = f"\n      {said}\t\r\n"
        if self.often(0.05):
            said += "<!-- 06637 -->"
        return f"<{self.prefix}{name}>{said}</{self.prefix}{name}>"

    def without(self, missing: str, parts: list[str]) -> list[str]:
        """Return `parts` but those of the name `missing`: left out, or with nothing in them."""
        if not missing:
            return parts
        start = (f"<{self.prefix}{missing}>", f"<{self.prefix}{missing}/>")
        blank = [start[1]] if self.often(0.3) and missing != "area" else []
        return [one for one in parts if not one.startswith(start)] + blank

    def group(self, name: str, parts: list[str]) -> str:
        """Return an element with elements in it, in whatever order."""
        if self.often(0.1):
            parts = [parts[at] for at in self.rng.permutation(len(parts))]
        if self.often(0.1):
            parts.append(
                f'<x:extra xmlns:x={quoteattr("urn:other")} a="1"><x:y>Past</x:y></x:extra>'
            )
        between = "\n" if self.often(0.5) else ""
        return f"<{self.prefix}{name}>{between.join(parts)}{between}</{self.prefix}{name}>"

    def value(self, name: str, text: str) -> str:
        """Return an element with one of the values of CAP."""
        if text == "Likely" and self.often(0.2):
            text = "Very Likely"
        return self.element(name, text.lower() if self.often(0.05) else text)

    def time(self, name: str, at_s: int | None) -> list[str]:
        if at_s is None:
            return [self.element(name, "")] if self.often(0.1) else []
        hours = 7 if self.plain else int(self.rng.choice((7, 0, -5)))
        zone = timezone(timedelta(hours=hours))
        at = datetime.fromtimestamp(at_s, UTC).astimezone(zone)
        text = at.isoformat()
        if self.often(0.2):
            text = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        elif self.often(0.2):
            text = at.isoformat(timespec="milliseconds")
        elif at.utcoffset() == timedelta(0):
            text = text.replace("+00:00", "-00:00")  # as CAP wants it
        return [self.element(name, text)]

    def point(self, lat: float, lon: float) -> str:
        lon = (lon + 180.0) % 360.0 - 180.0 if not self.often(0.1) else lon % 360.0
        between = "," if not self.often(0.1) else str(self.rng.choice((", ", " , ", ",\n")))
        return f"{lat!r}{between}{lon!r}"

    def ring(self, ring: Ring) -> str:
        points = [self.point(lat, lon) for lat, lon in ring.corners]
        if not self.often(0.2):
            points.append(points[0])
        return self.element("polygon", ("\n  " if self.often(0.2) else " ").join(points))


def write(document: Document, rng: np.random.Generator, *, plain: bool = False) -> bytes:
    """Return `document` as bytes; with `plain` as the schema has it, in UTF-8."""
    encoding = "UTF-8" if plain else str(rng.choice(_ENCODINGS))
    one = _Writer(rng, plain, encoding == "ISO-8859-1")
    if one.often(0.3):
        one.prefix = "cap:"
    parts = [
        one.element("identifier", document.identifier),
        one.element("sender", document.sender),
        *one.time("sent", document.sent_s),
        one.value("status", document.status),
        one.value("msgType", document.kind),
        one.value("scope", document.scope),
        *_references(one, document),
        *(_info(one, info) for info in document.infos),
    ]
    space = "urn:oasis:names:tc:emergency:cap:1.2"
    body = one.group("alert", one.without(document.missing, parts))
    name = f"{one.prefix}alert"
    given = f"xmlns:{one.prefix[:-1]}" if one.prefix else "xmlns"
    body = body.replace(f"<{name}>", f"<{name} {given}={quoteattr(space)}>", 1)
    declared = "UTF-8" if encoding == "utf-8-sig" else encoding.removesuffix("BE")
    text = f'<?xml version="1.0" encoding="{declared}"?>\n{body}'
    return text.encode(encoding, "xmlcharrefreplace")


def _references(one: _Writer, document: Document) -> list[str]:
    sent = datetime.fromtimestamp(document.sent_s, UTC).isoformat().replace("+00:00", "-00:00")
    if not document.references:
        return []
    sender = document.sender.upper() if one.often(0.1) else document.sender
    every = [f"{sender},{name},{sent}" for name in document.references]
    if one.often(0.1):
        every = [name.rpartition(",")[0] for name in every]
    text = ("\n " if one.often(0.3) else " ").join(every)
    return [one.element("references", text.replace(",", ", ") if one.often(0.1) else text)]


def _info(one: _Writer, info: Info) -> str:
    event = "Flood" if one.ascii_only else "Lũ quét"
    pair = [one.element("valueName", "SAME"), one.element("value", info.code)]
    areas = [one.ring(ring) for ring in info.rings]
    areas += [
        one.element("circle", f"{one.point(*centre)} {radius_km!r}")
        for centre, radius_km in info.circles
    ]
    areas += [
        one.group("geocode", [one.element("valueName", "GSO"), one.element("value", code)])
        for code in info.codes
    ]
    return one.group(
        "info",
        one.without(
            info.missing,
            [
                one.element("language", info.language),
                one.element("category", "Met"),
                one.element("event", event, free=True),
                one.value("urgency", info.urgency),
                one.value("severity", info.severity),
                one.value("certainty", info.certainty),
                *([one.group("eventCode", pair)] if info.code else []),
                *one.time("effective", info.effective_s),
                *one.time("onset", info.onset_s),
                *one.time("expires", info.expires_s),
                one.element("headline", f"{event} & nguy cap", free=True),
                one.group("area", [one.element("areaDesc", "x"), *areas]),
            ],
        ),
    )
