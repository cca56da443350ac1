"""CAP 1.2: from a document to what it says, as far as it can be read.

Common Alerting Protocol, OASIS Standard, version 1.2, section 3.2. What cannot be read costs no
more than itself: an `info` with a fault is left out beside the others, with its reason, a time that
is none counts as not given, and a Cancel is judged by its references alone.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from node.control.warning.area import Area
from node.control.warning.cap_area import read_area
from node.control.warning.cap_reader import RefusedError, one, pairs, read, text_of
from node.control.warning.tables_cap import OLD_VALUES, VALUES

INFOS_MAX: Final = 200
"""Of more blocks the first are read, and the others may have been for here."""

REFERENCES_MAX: Final = 500
"""Of more, the first and the last count, half of each."""

IDENTITY_MAX: Final = 256
"""Letters of an identifier or sender; a longer one is known by its beginning and its digest."""

_NEAR_S: Final = 86_400
"""A time to hold from that lies further back says nothing about when a document was sent."""

_GRAVITY: Final = ("urgency", "severity", "certainty")
_PLACES: Final = frozenset({"areaDesc", "polygon", "circle", "geocode"})

_UNKNOWN: Final = "Unknown"
"""Of urgency, severity and certainty: also where an info says none, which the standard forbids."""

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d{1,12})?)?"
    r" ?(?:Z|([+-])(\d\d):?(\d\d)?)",
    re.ASCII | re.IGNORECASE,
)
_OFFSET: Final = re.compile(r"(?:Z|[+-]\d\d:?(?:\d\d)?)\Z", re.ASCII | re.IGNORECASE)
_SIZE: Final = re.compile(r"\d{1,12}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-fA-F]{40}")
_CHOICES: Final = {
    name: {value.lower(): value for value in values} for name, values in VALUES.items()
}


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
    """0 when it cannot be read."""

    status: str
    message_type: str
    scope: str
    references: tuple[tuple[str, str], ...]
    """(sender, identifier) of the documents that it is about."""

    infos: tuple[CapInfo, ...]
    faults: tuple[str, ...] = ()
    """What of its infos and areas could not be read. It may have been for here."""

    notes: tuple[str, ...] = ()
    """What it does not say and should, and what it is read as."""


def parse_cap(data: bytes) -> CapAlert | str:
    """Return what the document says, or why it is refused. Never raises.

    Parameters
    ----------
    data : bytes
        Up to 256 KiB.
    """
    try:
        return _alert(read(data))
    except RefusedError as fault:
        return str(fault)


def dated(cap: CapAlert, issued_s: int) -> CapAlert:
    """Return `cap` with when it was sent, where it does not say: it was ordered at `issued_s`.

    What one of its infos says to hold from shortly before that, all of them hold from: so that its
    translations stay one warning, and a repeat is the same.
    """
    if cap.sent_s:
        return cap
    said = [info.effective_s for info in cap.infos if info.effective_s is not None]
    near = [at_s for at_s in said if issued_s - _NEAR_S <= at_s <= issued_s]
    return replace(cap, sent_s=min(near, default=issued_s))


def _alert(root: Element) -> CapAlert:
    identifier, sender = _identity(_needed(root, "identifier")), _identity(_needed(root, "sender"))
    message_type = _choice(root, "msgType")
    references = _references(" ".join(map(text_of, root.findall("references"))), sender)
    if message_type in ("Update", "Cancel") and not references:
        raise RefusedError(f"{message_type} without references: sender,identifier,sent of each")
    infos: list[CapInfo] = []
    faults: list[str] = []
    sent = _loose(root, "sent")
    sent_s = _time(sent) or 0
    notes = [] if sent_s else ["no sent that can be read: it counts as sent when it was ordered"]
    for number, element in enumerate(root.findall("info"), 1):
        if number > INFOS_MAX:
            faults.append(f"of more than {INFOS_MAX} info blocks the first were read")
            break
        lacks = [name for name in _GRAVITY if not _loose(element, name)]
        notes += [f"info {number}: no {name}: it is read as {_UNKNOWN}" for name in lacks]
        try:
            info = _info(element, faults)
            ends_s, doubted = _end(element, sent, max(sent_s, info.effective_s or 0))
            infos.append(replace(info, expires_s=ends_s))
            notes += [f"info {number}: {why}" for why in doubted]
        except RefusedError as fault:
            faults.append(f"info {number}: {fault}")
    return CapAlert(
        identifier=identifier,
        sender=sender,
        sent_s=sent_s,
        status=_choice(root, "status"),
        message_type=message_type,
        scope=_choice(root, "scope"),
        references=references,
        infos=tuple(infos),
        faults=tuple(faults),
        notes=tuple(notes),
    )


def _info(element: Element, faults: list[str]) -> CapInfo:
    areas: list[Area] = []
    for area in element.findall("area"):
        found, wrong = read_area(area)
        areas.append(found)
        faults += wrong
    if not areas and any(inner.tag in _PLACES for inner in element.iter()):
        raise RefusedError("its place stands in no area")
    if not areas:  # who signed the order said where it is for
        areas.append(Area(everywhere=True))
    return CapInfo(
        language=_loose(element, "language") or "en-US",
        event=_loose(element, "event"),
        event_codes=tuple(pair for pair in pairs(element, "eventCode") if pair[1]),
        urgency=_choice(element, "urgency", missing=_UNKNOWN),
        severity=_choice(element, "severity", missing=_UNKNOWN),
        certainty=_choice(element, "certainty", missing=_UNKNOWN),
        effective_s=_time(_loose(element, "effective")),
        onset_s=_time(_loose(element, "onset")),
        expires_s=None,
        headline=_loose(element, "headline"),
        areas=tuple(areas),
        resources=tuple(_resource(one) for one in element.findall("resource")),
    )


def _end(element: Element, sent: str, begins_s: int) -> tuple[int | None, tuple[str, ...]]:
    """Return when an info ends, None where it does not say, and what is to be doubted of it.

    A time without an offset is meant as that of `sent`, unless it were over by then: so it is
    where a machine wrote one in UTC and the other as the clock on the wall has it.
    """
    text = _loose(element, "expires")
    ends_s = _time(text)
    if ends_s is not None or not text:
        return ends_s, ()
    said, offset = f"expires = {text[:40]!r}", _OFFSET.search(sent)
    ends_s = _time(text + offset[0]) if offset else None
    if ends_s is not None and ends_s > begins_s:
        return ends_s, (f"{said} has no offset from UTC: it is read with the offset of sent",)
    return None, (f"{said} is no time with an offset from UTC: it counts as not given",)


def _resource(element: Element) -> CapResource:
    said = dict.fromkeys(("mimeType", "size", "uri", "digest"), "")
    for child in element:  # one look at each: a document may have thousands
        if said.get(child.tag) == "":
            said[child.tag] = text_of(child)
    size, digest = said["size"], said["digest"]
    return CapResource(
        mime_type=said["mimeType"].lower(),
        size_bytes=int(size) if size and _SIZE.fullmatch(size) else None,
        uri=said["uri"],
        digest_sha1=digest.lower() if digest and _DIGEST.fullmatch(digest) else "",
    )


def _needed(parent: Element, name: str) -> str:
    text = one(parent, name)
    if not text:
        raise RefusedError(f"no {name} in {parent.tag}")
    return text


def _loose(parent: Element, name: str) -> str:
    """Return the text of the first child `name` that has one: doubling it changes no order."""
    return next(filter(None, map(text_of, parent.findall(name))), "")


def _choice(parent: Element, name: str, *, missing: str = "") -> str:
    """Return which of the values of `name` stands there; only the case of letters may differ.

    Where none stands it is `missing`, or the document is refused.
    """
    text = one(parent, name) or missing or _needed(parent, name)
    found = _CHOICES[name].get(text.lower()) or OLD_VALUES.get((name, text.lower()))
    if found is None:
        raise RefusedError(f"{name} = {text[:40]!r}: must be one of {', '.join(VALUES[name])}")
    return found


def _identity(text: str) -> str:
    if len(text) <= IDENTITY_MAX:
        return text
    return f"{text[: IDENTITY_MAX - 33]}#{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _time(text: str) -> int | None:
    """Return seconds since 1970, or None for what is no time with an offset."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[i] or 0) for i in range(1, 7))
    offset_s = int(match[8] or 0) * 3600 + int(match[9] or 0) * 60
    midnight = (hour, minute, second) == (24, 0, 0)
    try:
        civil = datetime(
            year, month, day, 0 if midnight else hour, minute, min(second, 59), tzinfo=UTC
        ) + timedelta(days=midnight)
    except (ValueError, OverflowError):
        return None
    if int(match[9] or 0) > 59 or offset_s > 14 * 3600:
        return None
    return int(civil.timestamp()) + (offset_s if match[7] == "-" else -offset_s)


def _references(text: str, own: str) -> tuple[tuple[str, str], ...]:
    """Return (sender, identifier) of each; without a sender it is that of the document."""
    # No pattern for the blanks around commas: for 250,000 of them it takes longer than all else.
    words = ",".join(map(str.strip, text.split(","))).split()
    if len(words) > REFERENCES_MAX:
        words = words[: REFERENCES_MAX // 2] + words[-REFERENCES_MAX // 2 :]
    found: dict[tuple[str, str], None] = {}
    odd = False
    for word in words:
        parts = [part for part in word.split(",") if part][: 3 * REFERENCES_MAX]
        odd |= len(parts) != 3
        if len(parts) == 1:
            found[own, parts[0]] = None
        for at in range(0, len(parts) - 1, 3):
            found[parts[at], parts[at + 1]] = None
    if odd:  # an identifier may have blanks in it
        fields = [field.split() for field in " ".join(words).split(",")[: 3 * REFERENCES_MAX]]
        for before, name in zip(fields[::2], fields[1::2], strict=False):
            if before and name:
                found[before[-1], " ".join(name)] = None
    some = list(found)[: 2 * REFERENCES_MAX]  # read in both ways
    return tuple((_identity(sender), _identity(name)) for sender, name in some)
