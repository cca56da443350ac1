"""Certificates, the authorities that they name, and what may be demanded of them.

A certificate is a message of its parent that names a key, a tier, an area and the highest class.
Areas are paths: `vn/lang-son/huu-lien` contains `vn/lang-son/huu-lien/lang-coc`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec

from node.control.precedence import MessageClass
from node.control.trust.message import COSIGNATURES_MAX, Kind
from node.control.trust.signature import KEY_ID_BYTES, key_id

ROOT_LEVEL: Final = -1
LOWEST: Final = 1 << 30
"""A level below all tiers."""

_ROOT_UNTIL_S: Final = 1 << 40

WARNING: Final = "warning"
VOICE: Final = "voice"
TRUST: Final = "trust"
GRANT: Final = "grant"
"""No order: what a station gives a node."""

WHAT: Final = {
    Kind.CERTIFICATE: TRUST,
    Kind.REVOCATION: TRUST,
    Kind.BEACON: TRUST,
    Kind.ROOT: TRUST,
    Kind.CAP: WARNING,
    Kind.SHORT_ALERT: WARNING,
    Kind.SESSION: VOICE,
    Kind.SESSION_END: VOICE,
    Kind.CALENDAR: "calendar",
    Kind.VOLUME: "volume",
    Kind.MUTE: "mute",
    Kind.UNMUTE: "mute",
    Kind.SELF_TEST: "self-test",
}
"""The word for each order in a certificate that allows some alone."""

_SEALED_MAY: Final = frozenset({WARNING, VOICE, GRANT})
"""Of a sealed key: a grant by it is refused elsewhere, with a reason of its own."""


class Together(msgspec.Struct, frozen=True):
    """Which orders of a key act only where others have signed them too: `signatures` in all."""

    signatures: int
    among: tuple[bytes, ...]
    """Key ids of those who may sign besides; the key's own does not count twice."""
    from_class: int
    """Orders of this class and above, and certificates that give it; below it one is enough."""

    def fault(self, key: bytes) -> str | None:
        """Return what is wrong with it in the certificate of `key`, or None."""
        others = set(self.among) - {key}
        good = (
            all(len(one) == KEY_ID_BYTES for one in self.among)
            and len(others) <= COSIGNATURES_MAX
            and 2 <= self.signatures <= 1 + len(others)
            and MessageClass.PRIORITY <= self.from_class <= MessageClass.URGENT
        )
        return None if good else "asks for signatures that nobody can give"


class Certificate(msgspec.Struct, frozen=True):
    """Content of a CERTIFICATE message."""

    name: str
    public_key: bytes
    tier: str
    area: str
    class_max: int
    until_s: int
    gives_time: bool | None = None
    """Whether its beacons are believed; not said: those of keys that may order urgent messages."""
    emergency: bool = False
    """A sealed key for when nobody above can be reached: warnings and voices alone, and short."""
    together: Together | msgspec.UnsetType | None = msgspec.UNSET
    """What it orders only with others; not said: nothing, in as many bytes as ever."""
    orders: tuple[str, ...] | msgspec.UnsetType | None = msgspec.UNSET
    """What alone it orders, in the words of `WHAT`; not said: everything."""


def read_certificate(content: bytes) -> Certificate | None:
    """Return the content of a CERTIFICATE message, None where it has none. Never raises."""
    try:
        return msgspec.json.decode(content, type=Certificate)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A key that may order something."""

    name: str
    key_id: bytes
    public_key: bytes
    level: int
    """Index into the tiers; `ROOT_LEVEL` for a root."""
    area: str
    class_max: MessageClass
    """Of who signed an order: what that reaches with the signatures that it has."""
    until_s: int
    parent: bytes
    """Key id; empty for the root, and the one that follows for a root that is followed."""
    gives_time: bool = False
    """By its own certificate: `AuthorityBook.may_give_time` asks those above it too."""
    emergency: bool = False
    """It orders nothing but warnings and voices, none of them for longer than `EMERGENCY_S`."""
    counter: int = 0
    """Of the certificate: a later one of the same parent holds, in whatever order they come."""
    together: Together | None = None
    cosigners: tuple[bytes, ...] = ()
    """Who signed its certificate besides, where that was asked for."""
    from_s: int = 0
    """It has signed nothing before: of a root that follows another."""
    orders: frozenset[str] = frozenset()
    """What alone it orders; empty: everything."""

    def may_order(self, what: str) -> bool:
        """Return whether its certificate allows this kind of order."""
        return not self.orders or what in self.orders

    def may_all_of(self, other: "Authority") -> bool:
        """Return whether it may give every kind of order that `other` may."""
        return not self.orders or (bool(other.orders) and other.orders <= self.orders)

    def may_as_much(self, other: "Authority") -> bool:
        """Return whether it may order as high a class as `other` of its tier, as far, and all."""
        is_as_high = self.class_max >= other.class_max and within(other.area, self.area)
        return is_as_high and self.may_all_of(other)


@dataclass(frozen=True, slots=True)
class Warrant:
    """On whose word something acts, kept with it for as long as it does."""

    key_id: bytes
    area: str
    """That the order was for."""
    level: int = LOWEST
    """Tier that it acts as; who has come down below it since may cause it no more."""
    what: str = ""
    """Kind of order, in the words of `WHAT`."""
    cosigners: tuple[bytes, ...] = ()
    """Who signed besides, where that was asked for: their rights are asked with the first's."""

    @property
    def sealed_may(self) -> bool:
        """Return whether a key that is sealed may have ordered it."""
        return self.what in _SEALED_MAY


def root_of(public_key: bytes) -> Authority:
    """Return the authority of a root that no other one follows yet."""
    return Authority(
        name="root",
        key_id=key_id(public_key),
        public_key=public_key,
        level=ROOT_LEVEL,
        area="",
        class_max=MessageClass.URGENT,
        until_s=_ROOT_UNTIL_S,
        parent=b"",
        gives_time=True,
    )


def chain_of(authority: Authority | None, known: Mapping[bytes, Authority]) -> Iterator[Authority]:
    """Yield `authority` and those above it up to the newest root: levels rise, so it ends."""
    while authority is not None:
        yield authority
        authority = known.get(authority.parent)


def within(inner: str, outer: str) -> bool:
    """Return whether area `inner` lies in area `outer`; the empty one is everywhere."""
    return outer in ("", inner) or inner.startswith(outer + "/")


@lru_cache(maxsize=256)  # asked of the same few areas again and again
def proper_area(area: str) -> bool:
    """Return whether `area` is a path that can be compared."""
    return area == "" or all(part and part == part.strip() for part in area.split("/"))


def gives_time(claim: Certificate) -> bool:
    """Return whether the beacons of who is certified so are believed."""
    if claim.gives_time is None:
        return claim.class_max >= MessageClass.URGENT
    return claim.gives_time


def orders_of(claim: Certificate) -> frozenset[str] | None:
    """Return what alone is allowed to who is certified so, empty for everything; None: nothing."""
    if not isinstance(claim.orders, tuple):
        return frozenset()
    return frozenset(claim.orders) & frozenset(WHAT.values()) or None
