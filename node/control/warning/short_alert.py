"""A warning in a few signed bytes, for when 4G is congested: the node holds the sounds.

```
 0  1  2          10         18         26         30 31
 ┌──┬──┬──────────┬──────────┬──────────┬──────────┬──┬─────────────────────────────┐
 │ 1│fl│ event    │ number   │ about    │ lasts s  │ p│ lat 1e-5°, lon 1e-5°, rad m │
 └──┴──┴──────────┴──────────┴──────────┴──────────┴──┴─────────────────────────────┘
   fl: 0 alert, 1 update, 2 cancel; + 128 exercise      p: 0 all of the area, 1 the circle
```
Class, area, time and issuer are in the envelope (`node.control.message`).
"""

import struct
from typing import Final, Literal

from node.control.precedence import MessageClass
from node.control.trust.authority import Authority
from node.control.trust.message import Message
from node.control.warning.alert import Alert
from node.control.warning.alert_blocks import ANY_EVENT
from node.control.warning.area import Area, Circle, Site, contains

VERSION: Final = 1

_FIXED: Final = struct.Struct(">BB8sQQIB")
_CIRCLE: Final = struct.Struct(">iiI")
_EXERCISE: Final = 0x80
_KINDS: Final[tuple[Literal["alert", "update", "cancel"], ...]] = ("alert", "update", "cancel")
_PER_DEGREE: Final = 100_000


def identifier_of(number: int) -> str:
    """Return what records and references call the warning with that number."""
    return f"#{number:016x}"


def encode_short(
    kind: Literal["alert", "update", "cancel"],
    number: int,
    *,
    event_code: str = "",
    about: int = 0,
    lasts_s: int = 3600,
    circle: Circle | None = None,
    exercise: bool = False,
) -> bytes:
    """Return the content of a SHORT_ALERT message.

    Parameters
    ----------
    kind : str
        `alert`, `update` or `cancel`.
    number : int
        64 bits that name this warning among those of its issuer; `alert.number_of` where a CAP
        document follows, so that the warning sounds once.
    event_code : str
        Up to 8 ASCII characters; empty for "any".
    about : int
        The number that an update or cancel is about.
    lasts_s : int
        How long it is in force, from its issue.
    circle : Circle or None
        Only there, within the area of the envelope.
    exercise : bool
        Marked as such in sound.
    """
    flags = _KINDS.index(kind) | (_EXERCISE if exercise else 0)
    code = event_code.encode("ascii").ljust(8, b"\0")
    data = _FIXED.pack(VERSION, flags, code, number, about, lasts_s, circle is not None)
    if circle is not None:
        lat, lon = (round(degree * _PER_DEGREE) for degree in circle.centre)
        data += _CIRCLE.pack(lat, lon, round(circle.radius_m))
    return data


def decode_short(message: Message, authority: Authority, site: Site, level: str) -> Alert | str:
    """Return what an authorised SHORT_ALERT orders at `site`, or why nothing. Never raises."""
    data = message.content
    if len(data) < _FIXED.size or data[0] != VERSION:
        return "no short alert of this version"
    _, flags, code, number, about, lasts_s, place = _FIXED.unpack_from(data)
    if flags & 0x7F >= len(_KINDS) or place > 1 or not lasts_s:
        return "unknown kind of short alert"
    if len(data) != _FIXED.size + place * _CIRCLE.size:
        return "short alert of a wrong length"
    kind: Literal["alert", "update", "cancel", "leave"] = _KINDS[flags & 0x7F]
    if place and kind != "cancel":
        lat, lon, radius_m = _CIRCLE.unpack_from(data, _FIXED.size)
        circle = Circle((lat / _PER_DEGREE, lon / _PER_DEGREE), float(radius_m))
        if not contains(Area(circles=(circle,)), site):
            if kind == "alert":
                return "not for this place"
            kind = "leave"  # an update that no longer means us
    if kind != "alert" and about == number:
        return "a short alert about itself"
    event_code = code.rstrip(b"\0").decode("ascii", "replace")
    exercise = bool(flags & _EXERCISE)
    highest = MessageClass.PRIORITY if exercise else MessageClass.URGENT
    return Alert(
        sender=authority.name,
        identifier=identifier_of(number),
        kind=kind,
        message_class=int(min(message.message_class, highest)),
        level=level,
        event_code=event_code or ANY_EVENT,
        sent_s=message.issued_s,
        effective_s=message.issued_s,
        expires_s=message.issued_s + lasts_s,
        exercise=exercise,
        references=() if kind == "alert" else ((authority.name, identifier_of(about)),),
    )
