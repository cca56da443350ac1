"""Who may order what, where: the chain from the offline root down to the hamlet.

A certificate is a message of its parent that names a key, a tier, an area and the highest class.
A child cannot widen any of them. Tiers are data and may be skipped. Areas are paths:
`vn/lang-son/huu-lien` contains `vn/lang-son/huu-lien/lang-coc`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from node.control.civil_time import FAR_S, NO_TIME, Least
from node.control.precedence import MessageClass
from node.control.trust.message import Message
from node.control.trust.revocations import Held, Place, Revocation, Revocations
from node.control.trust.shares import Claim, Shares
from node.control.trust.signature import PUBLIC_KEY_BYTES, key_id, verified

__all__ = ["Authority", "AuthorityBook", "Certificate", "Revocation", "Warrant", "within"]

AUTHORITIES_MAX: Final = 256
CHILDREN_MAX: Final = 64
"""Authorities that one key may have certified here."""

EMERGENCY_S: Final = 1800
"""What a sealed key ordered ends after so long: time to reach somebody who may order more."""

ROOT_LEVEL: Final = -1
LOWEST: Final = 1 << 30
"""A level below all tiers."""

_ROOT_UNTIL_S: Final = 1 << 40


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
    gives_time: bool = False
    """By its own certificate: `AuthorityBook.may_give_time` asks those above it too."""
    emergency: bool = False
    """It orders nothing but warnings and voices, none of them for longer than `EMERGENCY_S`."""
    counter: int = 0
    """Of the certificate: a later one of the same parent holds, in whatever order they come."""

    def may_as_much(self, other: "Authority") -> bool:
        """Return whether it may order as high a class as `other` of its tier, as far."""
        return self.class_max >= other.class_max and within(other.area, self.area)


@dataclass(frozen=True, slots=True)
class Warrant:
    """On whose word something acts, kept with it for as long as it does."""

    key_id: bytes
    area: str
    """That the order was for."""
    level: int = LOWEST
    """Tier that it acts as; who has come down below it since may cause it no more."""
    sealed_may: bool = False
    """It is a warning or a voice: a key that is sealed may have ordered it."""


def within(inner: str, outer: str) -> bool:
    """Return whether area `inner` lies in area `outer`; the empty one is everywhere."""
    return outer in ("", inner) or inner.startswith(outer + "/")


def proper_area(area: str) -> bool:
    """Return whether `area` is a path that can be compared."""
    return area == "" or all(part and part == part.strip() for part in area.split("/"))


def _gives_time(claim: Certificate) -> bool:
    if claim.gives_time is None:
        return claim.class_max >= MessageClass.URGENT
    return claim.gives_time


class AuthorityBook:
    """The authorities that a node knows, from its root key on.

    Parameters
    ----------
    root_public_key : bytes
        Ed25519 key of the offline root.
    tiers : tuple of str
        Names of the tiers, the highest first.
    here : str
        Area of the node: authorities elsewhere take no place. Empty: all are remembered.
    """

    def __init__(self, root_public_key: bytes, tiers: tuple[str, ...], here: str = "") -> None:
        self._tiers = tiers
        self._here = here
        self._shares = Shares(AUTHORITIES_MAX, len(tiers), CHILDREN_MAX)
        root = Authority(
            name="root",
            key_id=key_id(root_public_key),
            public_key=root_public_key,
            level=ROOT_LEVEL,
            area="",
            class_max=MessageClass.URGENT,
            until_s=_ROOT_UNTIL_S,
            parent=b"",
            gives_time=True,
        )
        self._known = {root.key_id: root}
        self._revocations = Revocations(root.key_id)
        self._dropped: list[bytes] = []
        self._verified: tuple[bytes, bytes, bytes] | None = None
        """Key, signature and what is signed of the last message that was genuine."""

    def signer_of(self, message: Message) -> Authority | str:
        """Return the authority whose key signed `message`, or why it is none of ours."""
        authority = self._known.get(message.key_id)
        if authority is None:
            return "unknown key"
        asked = (authority.public_key, message.signature, message.signed)
        if asked != self._verified:  # an order is looked at twice: before it is kept, and after
            if not verified(*asked):
                return "wrong signature"
            self._verified = asked
        return authority

    def may(self, warrant: Warrant, message_class: MessageClass, least: Least) -> Authority | str:
        """Return who may cause an effect of this class now by `warrant`, or why nobody may.

        The one question that every effect asks, when it happens and as long as it lasts.

        Parameters
        ----------
        warrant : Warrant
            Whose key ordered it, and for which area.
        message_class : MessageClass
            Of the effect.
        least : Least
            The least that civil time can be now: certificates end.
        """
        authority = self._known.get(warrant.key_id)
        if authority is None:
            return "unknown key"
        if not proper_area(warrant.area) or not within(warrant.area, authority.area):
            return "outside its area"
        if message_class > authority.class_max:
            return "above its class"
        if authority.level > warrant.level:
            return "above its tier"
        if authority.emergency and not warrant.sealed_may:
            return "only warnings and voices"
        # Last: it may be renewed, and must not hide what never comes back.
        if any(least.at(one.level) >= one.until_s for one in self._chain(authority)):
            return "the certificate has ended"
        return authority

    def next_end_s(self, least: Least) -> int:
        """Return in how many seconds the next certificate ends, if time goes on from `least`."""
        left_s = (one.until_s - least.at(one.level) for one in self._known.values() if one.parent)
        return min((seconds for seconds in left_s if seconds > 0), default=FAR_S)

    def gives_way(self, warrant: Warrant, other: Authority) -> bool:
        """Return whether what was ordered by `warrant` gives way to an order of `other`.

        It does to its own key, to a higher tier, and within its tier to who may order as much, of
        as high a class and in as wide an area.
        """
        holder = self.may(warrant, MessageClass.NORMAL, NO_TIME)
        if isinstance(holder, str) or holder.key_id == other.key_id:
            return True
        if other.level != warrant.level:
            return other.level < warrant.level
        return other.may_as_much(holder)

    def may_give_time(self, authority: Authority) -> bool:
        """Return whether its beacons are believed: nobody has that right from who has it not."""
        return all(one.gives_time for one in self._chain(authority))

    def receive_certificate(
        self, parent: Authority, content: bytes, *, counter: int = 0
    ) -> Authority | str:
        """Learn the authority that an authorised message of `parent` names, or say why not.

        `counter` is that of the message: an older certificate that comes later changes nothing.
        """
        try:
            claim = msgspec.json.decode(content, type=Certificate)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "no certificate"
        if len(claim.public_key) != PUBLIC_KEY_BYTES or claim.tier not in self._tiers:
            return "no key or unknown tier"
        authority = Authority(
            name=claim.name[:64],
            key_id=key_id(claim.public_key),
            public_key=claim.public_key,
            level=self._tiers.index(claim.tier),
            area=claim.area,
            class_max=MessageClass(min(max(claim.class_max, 0), MessageClass.URGENT)),
            until_s=claim.until_s,
            parent=parent.key_id,
            gives_time=_gives_time(claim) and not claim.emergency,
            emergency=claim.emergency,
            counter=counter,
        )
        refusal = self._narrower(authority, claim, parent) or self._in_the_way(authority, parent)
        if refusal is not None:
            return refusal
        self._known[authority.key_id] = authority
        # What it certified before it was narrowed must not be wider than it is now.
        self._drop_where(self._wider_than_its_parent)
        return authority

    def receive_revocation(
        self, issuer: Authority, content: bytes, *, kept: bool = False
    ) -> tuple[bytes, ...] | str:
        """Forget the keys that an authorised message of `issuer`, their ancestor, names.

        A key that is not known yet is remembered: it will not be believed when it comes. One that
        was `kept` already needs no place.
        """
        claim = self._revocations.read(content)
        if isinstance(claim, str):
            return claim
        mine = tuple(key for key in claim.key_ids if self._is_ancestor(issuer.key_id, key))
        place = None if kept else self._place_of(issuer)
        refusal = self._revocations.add(issuer.key_id, claim, place)
        if refusal is not None:
            return refusal
        self._drop_where(self._is_revoked)
        return mine

    def level_name(self, authority: Authority) -> str:
        """Return the tier of `authority`; the root speaks as the highest one."""
        return self._tiers[max(authority.level, 0)]

    def revoked_by(self, issuer: bytes) -> Held:
        """Return how many keys `issuer` has revoked here, and the number of its newest list."""
        return self._revocations.held(issuer)

    def restore_places(self, places: Mapping[bytes, Place]) -> None:
        """Keep the places of those whose revocations are kept, known or not."""
        self._revocations.restore(places)

    def take_let_go(self) -> list[bytes]:
        """Return whose revocations were let go since the last call: they may never hold again."""
        return self._revocations.take_let_go()

    def revocation_numbers(self) -> dict[str, int]:
        """Return the number of the newest list of each issuer: who lacks one is sent it again."""
        return self._revocations.numbers()

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def take_dropped(self) -> list[bytes]:
        """Return the keys that lost their authority since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _narrower(self, new: Authority, claim: Certificate, parent: Authority) -> str | None:
        """Return why `claim` would be wider than `parent` is, or None."""
        if new.level <= parent.level:
            return "not below its parent"
        if not proper_area(new.area) or not within(new.area, parent.area):
            return "wider than its parent's area"
        if not 0 <= claim.class_max <= parent.class_max:
            return "above its parent's class"
        return None

    def _in_the_way(self, new: Authority, parent: Authority) -> str | None:
        """Return why there is no place for `new`, or None when there is: others may have gone."""
        if self._revocations.holds(new.key_id, self._chain(parent)):
            return "revoked"
        known = self._known.get(new.key_id)
        if known is not None:
            owner = self._known.get(known.parent)
            if owner is None or (known.parent != new.parent and owner.level <= parent.level):
                return "known from another parent"  # who is above that one may take it over
            older = known.parent == new.parent and new.counter < known.counter
            return "older than the certificate in force" if older else None
        if not within(new.area, self._here) and not within(self._here, new.area):
            return "not for here"
        held = [one for one in self._known.values() if one.parent]
        claims = [Claim(one.level, 0, one.parent) for one in held]
        gone = self._shares.make_room(claims, Claim(new.level, 0, new.parent))
        if gone is None:
            return "too many authorities"
        for index in gone:
            self._forget(held[index].key_id)
        self._drop_where(lambda one: False)
        return None

    def _place_of(self, issuer: Authority) -> Place:
        above = [one.key_id for one in self._chain(issuer) if one.parent]
        return Place(issuer.level, tuple(above[1:]))

    def _wider_than_its_parent(self, one: Authority) -> bool:
        parent = self._known.get(one.parent)
        return parent is not None and (
            parent.emergency  # a sealed key certifies nobody
            or not within(one.area, parent.area)
            or one.class_max > parent.class_max
            or one.level <= parent.level
        )

    def _is_revoked(self, one: Authority) -> bool:
        parent = self._known.get(one.parent)
        return parent is not None and self._revocations.holds(one.key_id, self._chain(parent))

    def _is_ancestor(self, ancestor: bytes, key: bytes) -> bool:
        known = self._known.get(key)
        return known is not None and any(one.parent == ancestor for one in self._chain(known))

    def _chain(self, authority: Authority | None) -> Iterator[Authority]:
        """Yield `authority` and those above it up to the root: levels rise, so it ends."""
        while authority is not None:
            yield authority
            authority = self._known.get(authority.parent)

    def _drop_where(self, bad: Callable[[Authority], bool]) -> None:
        """Drop authorities that are `bad`, and all below them."""
        while gone := [
            key
            for key, one in self._known.items()
            if one.parent and (bad(one) or one.parent not in self._known)
        ]:
            for key in gone:
                self._forget(key)

    def _forget(self, key: bytes) -> None:
        del self._known[key]
        self._dropped.append(key)
