"""CAP documents by the thousand: a warning for here sounds, whatever way it is written.

Three things are tried on each of `--documents`: written plainly and written as publishers do, it
orders the same, and that is what was meant when it was made; damaged, it raises nothing and takes
no longer. `python -m benchmarks warnings --documents 100000` is for the night.
"""

import math
import time
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.control.control_cap import LIMIT_MS, mutate
from benchmarks.control.control_documents import (
    ISSUED_S,
    Document,
    Info,
    Point,
    Ring,
    draw_document,
    write,
)
from benchmarks.options import count as positive_count
from benchmarks.options import parser_of
from node.control.precedence import MessageClass
from node.control.warning.alert import Alert, AlertConfig, PhraseConfig, alert_of
from node.control.warning.area import Site
from node.control.warning.cap import dated, parse_cap

CONFIG: Final = AlertConfig(
    phrases={code: PhraseConfig(siren="a" * 64) for code in ("any", "FFW", "SVR")}
)
BLOCKS_MAX: Final = 4
VIOLATIONS_SHOWN: Final = 20

_SITES: Final = ((21.65, 106.36), (-17.5, 179.9), (52.0, -179.8), (78.0, 15.0), (-77.8, 166.7))
_MARGIN: Final = 1e-6
"""Degrees from an edge within which nobody can say on which side a point is."""


@dataclass(slots=True)
class WarningsResult:
    """What became of the documents."""

    documents: int
    ordered: int = 0
    unclear: int = 0
    """The site lies on an edge."""

    slowest_ms: float = 0.0
    violations: list[str] = field(default_factory=list)
    cpu_s: float = 0.0


Block = tuple[int, int, int, str, frozenset[str]]
"""Class, begin, end, event, languages."""


def run(arguments: list[str]) -> int:
    """Try as many documents as were asked for; return 0 when each did what was meant."""
    parser = parser_of("warnings", __doc__)
    parser.add_argument("--documents", type=positive_count, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=2026, help="root of all randomness")
    options = parser.parse_args(arguments)
    result = run_documents(options.documents, seed=options.seed)
    for line in result.violations[:VIOLATIONS_SHOWN]:
        print(f"BROKEN  {line}")
    print(
        f"{result.documents} documents: {result.ordered} order something, {result.unclear} on an "
        f"edge, {len(result.violations)} read otherwise than meant; slowest "
        f"{result.slowest_ms:.1f} ms, {result.cpu_s:.0f} s of CPU"
    )
    return 1 if result.violations else 0


def run_documents(count: int, *, seed: int) -> WarningsResult:
    """Write, read and damage `count` documents; raising ends the run and is meant to be seen."""
    rng = np.random.default_rng(seed)
    result = WarningsResult(count)
    begin_s = time.process_time()
    other = b""
    for number in range(count):
        position = _SITES[int(rng.integers(0, len(_SITES)))]
        site = Site(position=position, geocodes=(("GSO", "06637"),))
        document = draw_document(number, position, rng)
        meant = meaning(document, position)
        for plain in (True, False):
            data = write(document, rng, plain=plain)
            ordered = _order(data, site, result)
            if meant is None:
                result.unclear += plain
            elif not _same(ordered, meant):
                result.violations.append(
                    f"document {number} of seed {seed}, {'plain' if plain else 'as found'}: "
                    f"{ordered} for {meant}"
                )
            result.ordered += plain and bool(ordered)
            _order(mutate(data, other or data, rng), site, result)
            other = data
    result.cpu_s = time.process_time() - begin_s
    return result


def _order(data: bytes, site: Site, result: WarningsResult) -> str | list[Block]:
    """Return what `data` orders at `site`, in the words of `meaning`."""
    took_ms = math.inf
    for _ in range(3):  # another program's time, or the garbage collector's, is not the parser's
        before_ns = time.thread_time_ns()
        cap = parse_cap(data)
        alert: Alert | str = ""
        if not isinstance(cap, str):
            most = MessageClass.URGENT
            alert = alert_of(dated(cap, ISSUED_S), site, CONFIG, level="province", class_max=most)
        took_ms = min(took_ms, (time.thread_time_ns() - before_ns) / 1e6)
        if took_ms <= LIMIT_MS:
            break
    result.slowest_ms = max(result.slowest_ms, took_ms)
    if took_ms > LIMIT_MS:
        result.violations.append(f"{took_ms:.0f} ms for {len(data)} bytes")
    if isinstance(alert, str):
        return ""
    if alert.kind in ("cancel", "leave"):
        return f"cancel {','.join(name for _, name in alert.references)}"
    return sorted(
        (
            one.message_class,
            one.effective_s,
            one.expires_s,
            one.event_code,
            frozenset(spoken.language for spoken in one.spoken),
        )
        for one in (alert, *alert.more)
    )


def _same(ordered: str | list[Block], meant: str | list[Block]) -> bool:
    """Return whether it is what was meant; where references lack their times more may be read."""
    if isinstance(ordered, list) or isinstance(meant, list) or not meant:
        return ordered == meant
    return set(meant.split(",")) <= set(ordered.split(","))


def meaning(document: Document, position: Point) -> str | list[Block] | None:
    """Return what `document` orders at `position`; None when that lies on an edge."""
    if document.status in ("System", "Draft") or document.scope != "Public":
        return ""
    if document.missing in ("identifier", "sender", "status", "msgType", "scope"):
        return ""  # nobody knows whose it is, or whether it is real
    cancel = f"cancel {','.join(document.references)}"
    if document.kind == "Cancel":
        return cancel
    places = [_here(info, position) for info in document.infos]
    if any(place is None for place in places):
        return None
    here = [info for info, place in zip(document.infos, places, strict=True) if place]
    found: dict[tuple[int, int, int, str, int], set[str]] = {}
    sent_s = _sent_s(document)
    for info in here:
        kind = _kind(info)
        if kind is None:
            continue
        kind = min(kind, 1) if document.status in ("Exercise", "Test") else kind
        begin_s = sent_s if info.effective_s is None else info.effective_s
        if _said(info, "urgency") == "Immediate" and _said(info, "severity") == "Extreme":
            begin_s = min(begin_s, sent_s)
        default_s = max(begin_s, sent_s) + CONFIG.expires_default_s
        end_s = default_s if info.expires_s is None else info.expires_s
        key = (kind, begin_s, end_s, info.code or "any", info.onset_s or 0)
        language = "en-US" if info.missing == "language" else info.language
        found.setdefault(key, set()).add(language.split("-")[0].lower())
    if not found:
        return "" if document.kind == "Alert" else cancel
    if len(found) > BLOCKS_MAX:
        return None
    return sorted((*key[:4], frozenset(languages)) for key, languages in found.items())


def _kind(info: Info) -> int | None:
    """Return the class that is meant: the table of the manual, by its exceptions."""
    urgency, severity, certainty = (_said(info, n) for n in ("urgency", "severity", "certainty"))
    if urgency == "Past" or certainty == "Unlikely":
        return None
    if "Unknown" in (urgency, severity, certainty) or severity == "Minor":
        return 0
    return 1 if urgency == "Future" or severity == "Moderate" or certainty == "Possible" else 2


def _said(info: Info, name: str) -> str:
    """Return what a block says; what it does not say is not known."""
    return "Unknown" if info.missing == name else str(getattr(info, name))


def _sent_s(document: Document) -> int:
    """Return when it was sent; not said: as its blocks hold from, or else as it was ordered."""
    if document.missing != "sent":
        return document.sent_s
    begin_s = [info.effective_s or 0 for info in document.infos]
    return min((at for at in begin_s if ISSUED_S - 86_400 <= at <= ISSUED_S), default=ISSUED_S)


def _here(info: Info, position: Point) -> bool | None:
    answers = [_in_ring(ring, position) for ring in info.rings]
    for centre, radius_km in info.circles:
        away_km = _distance_km(centre, position)
        answers.append(None if abs(away_km - radius_km) < 0.01 else away_km < radius_km)
    answers.append("06637" in info.codes or info.missing == "area")
    return True if any(answers) else None if None in answers else False


def _in_ring(ring: Ring, position: Point) -> bool | None:
    """Return whether the ring as it was made goes round `position`: the sum of the angles."""
    corners = np.array(ring.corners)
    if ring.pole:
        return _beyond(corners, position, ring.pole)
    inside: bool | None = False
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):
        y, x = (corners - (position[0], position[1] + turn)).T
        ends = np.arctan2(y, x)
        steps = np.diff(ends, append=ends[:1])
        steps = (steps + np.pi) % (2.0 * np.pi) - np.pi
        if np.any(np.abs(np.abs(steps) - np.pi) < _MARGIN):
            return None
        inside = inside or abs(steps.sum()) > np.pi
    return inside


def _beyond(corners: NDArray[np.float64], position: Point, pole: float) -> bool | None:
    """Return whether `position` is nearer to the pole than a ring round it, at its longitude."""
    lats, lons = corners.T
    lons = np.concatenate((lons[-1:] - 360.0, lons, lons[:1] + 360.0))
    lats = np.concatenate((lats[-1:], lats, lats[:1]))
    lat = float(np.interp(position[1] % 360.0, lons, lats))
    if abs(lat - position[0]) < _MARGIN:
        return None
    return position[0] > lat if pole > 0 else position[0] < lat


def _distance_km(a: Point, b: Point) -> float:
    """Return the distance on the sphere, by the angle between two vectors."""
    one, other = (
        np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
        for lat, lon in (np.radians(a), np.radians(b))
    )
    across = float(np.linalg.norm(np.cross(one, other)))
    return 6371.009 * math.atan2(across, float(np.dot(one, other)))
