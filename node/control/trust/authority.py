"""Who may order what, where: the chain from the offline root down to the hamlet.

A certificate is a message of its parent that names a key, a tier, an area and the highest class.
A child cannot widen any of them. Tiers are data and may be skipped. Areas are paths:
`vn/lang-son/huu-lien` contains `vn/lang-son/huu-lien/lang-coc`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from node.control.precedence import MessageClass
from node.control.trust.message import Message
from node.control.trust.signature import PUBLIC_KEY_BYTES, key_id, verified

AUTHORITIES_MAX: Final = 256
REVOKED_MAX: Final = 1024
ROOT_LEVEL: Final = -1


class Certificate(msgspec.Struct, frozen=True):
    """Content of a CERTIFICATE message."""

    name: str
    public_key: bytes
    tier: str
    area: str
    class_max: int
    until_s: int


class Revocation(msgspec.Struct, frozen=True):
    """Content of a REVOCATION message."""

    key_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A key that may order something."""

    name: str
    key_id: bytes
    public_key: bytes
    level: int
    """Index into the tiers; `ROOT_LEVEL` for the root."""
    area: str
    class_max: MessageClass
    until_s: int
    parent: bytes
    """Key id; empty for the root."""


def within(inner: str, outer: str) -> bool:
    """Return whether area `inner` lies in area `outer`; the empty one is everywhere."""
    return outer in ("", inner) or inner.startswith(outer + "/")


def proper_area(area: str) -> bool:
    """Return whether `area` is a path that can be compared."""
    return area == "" or all(part and part == part.strip() for part in area.split("/"))


class AuthorityBook:
    """The authorities that a node knows, from its root key on."""

    def __init__(self, root_public_key: bytes, tiers: tuple[str, ...]) -> None:
        self._tiers = tiers
        root = Authority(
            name="root",
            key_id=key_id(root_public_key),
            public_key=root_public_key,
            level=ROOT_LEVEL,
            area="",
            class_max=MessageClass.URGENT,
            until_s=1 << 40,
            parent=b"",
        )
        self._known = {root.key_id: root}
        self._revoked: set[bytes] = set()

    def authorise(self, message: Message, *, utc_s: int | None) -> Authority | str:
        """Return who ordered `message` if they may, or why not.

        Parameters
        ----------
        message : Message
            Its signature is checked here.
        utc_s : int or None
            Civil time, when it is trusted: certificates end.
        """
        authority = self._known.get(message.key_id)
        if authority is None:
            return "unknown key"
        if not verified(authority.public_key, message.signature, message.signed):
            return "wrong signature"
        if utc_s is not None and utc_s >= authority.until_s:
            return "the certificate has ended"
        if not proper_area(message.area) or not within(message.area, authority.area):
            return "outside its area"
        if message.message_class > authority.class_max:
            return "above its class"
        return authority

    def receive_certificate(self, parent: Authority, content: bytes) -> Authority | str:
        """Learn the authority that an authorised message of `parent` names, or say why not."""
        try:
            claim = msgspec.json.decode(content, type=Certificate)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "no certificate"
        if len(claim.public_key) != PUBLIC_KEY_BYTES or claim.tier not in self._tiers:
            return "no key or unknown tier"
        key = key_id(claim.public_key)
        level = self._tiers.index(claim.tier)
        if key in self._revoked:
            return "revoked"
        if level <= parent.level:
            return "not below its parent"
        if not proper_area(claim.area) or not within(claim.area, parent.area):
            return "wider than its parent's area"
        if not 0 <= claim.class_max <= parent.class_max:
            return "above its parent's class"
        known = self._known.get(key)
        if known is not None and known.parent != parent.key_id:
            return "known from another parent"
        if known is None and len(self._known) >= AUTHORITIES_MAX:
            return "too many authorities"
        authority = Authority(
            name=claim.name[:64],
            key_id=key,
            public_key=claim.public_key,
            level=level,
            area=claim.area,
            class_max=MessageClass(claim.class_max),
            until_s=min(claim.until_s, parent.until_s),
            parent=parent.key_id,
        )
        self._known[key] = authority
        # What it certified before it was narrowed must not be wider than it is now.
        self._drop_where(
            lambda a: (
                (p := self._known.get(a.parent)) is not None
                and (not within(a.area, p.area) or a.class_max > p.class_max or a.level <= p.level)
            )
        )
        return authority

    def receive_revocation(self, issuer: Authority, content: bytes) -> tuple[bytes, ...] | str:
        """Forget the keys that an authorised message of `issuer`, their ancestor, names."""
        try:
            claim = msgspec.json.decode(content, type=Revocation)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "no revocation"
        root = issuer.level == ROOT_LEVEL
        mine = tuple(
            key
            for key in claim.key_ids
            if (root and key != issuer.key_id) or self._is_ancestor(issuer.key_id, key)
        )
        if len(self._revoked) + len(mine) > REVOKED_MAX:
            return "too many revocations"
        self._revoked.update(mine)
        self._drop_where(lambda a: a.key_id in self._revoked)
        return mine

    def level_name(self, authority: Authority) -> str:
        """Return the tier of `authority`; the root speaks as the highest one."""
        return self._tiers[max(authority.level, 0)]

    def _is_ancestor(self, ancestor: bytes, key: bytes) -> bool:
        known = self._known.get(key)
        while known is not None and known.parent:
            if known.parent == ancestor:
                return True
            known = self._known.get(known.parent)
        return False

    def _drop_where(self, bad: Callable[[Authority], bool]) -> None:
        """Drop authorities that are `bad`, and all below them."""
        while gone := [
            key
            for key, one in self._known.items()
            if one.parent and (bad(one) or one.parent not in self._known)
        ]:
            for key in gone:
                del self._known[key]
