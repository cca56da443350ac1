"""Who may order what, where: the chain from the offline root down to the hamlet.

A child cannot widen what its certificate says. Tiers are data and may be skipped. Of some keys it
may be asked that others sign with them (`Together`): who signs alone is then of a lower class, in
whatever is ordered. A root may be followed by another (`node.control.trust.roots`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from node.control.civil_time import FAR_S, NO_TIME, Least
from node.control.precedence import MessageClass
from node.control.trust.certificate import (
    LOWEST,
    ROOT_LEVEL,
    TRUST,
    Authority,
    Certificate,
    Together,
    Warrant,
    chain_of,
    gives_time,
    orders_of,
    proper_area,
    read_certificate,
    root_of,
    within,
)
from node.control.trust.fates import BY_NEWER_ROOT, NOT_ITS_KIND, TOO_FEW
from node.control.trust.message import Kind, Message
from node.control.trust.order import warrant_of
from node.control.trust.revocations import Held, Place, Revocation, Revocations
from node.control.trust.roots import RootChange, Roots
from node.control.trust.shares import Claim, Shares
from node.control.trust.signature import PUBLIC_KEY_BYTES, key_id, verified
from node.control.trust.signers import Signers

__all__ = [
    "LOWEST",
    "ROOT_LEVEL",
    "Authority",
    "AuthorityBook",
    "Certificate",
    "Revocation",
    "Together",
    "Warrant",
    "proper_area",
    "within",
]

AUTHORITIES_MAX: Final = 256
CHILDREN_MAX: Final = 64
"""Authorities that one key may have certified here."""

EMERGENCY_S: Final = 1800
"""What a sealed key ordered ends after so long: time to reach somebody who may order more."""


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
    next_root : bytes
        SHA-256 of the public key of the root that may follow; empty: none may.
    """

    def __init__(
        self,
        root_public_key: bytes,
        tiers: tuple[str, ...],
        here: str = "",
        next_root: bytes = b"",
    ) -> None:
        self._tiers = tiers
        self._here = here
        self._shares = Shares(AUTHORITIES_MAX, len(tiers), CHILDREN_MAX)
        root = root_of(root_public_key)
        self._known = {root.key_id: root}
        self._roots = Roots(root_public_key, next_root)
        self._former: dict[bytes, Authority] = {}
        """Roots that are followed: what they took back stays taken back."""
        self._revocations = Revocations(root.key_id)
        self._dropped: list[bytes] = []
        self._together = Signers(self._known)
        self._verified: tuple[bytes, bytes, bytes] | None = None
        """Key, signature and what is signed of the last message that was genuine."""

    def signer_of(
        self, message: Message, least: Least = NO_TIME, *, kept: bool = False
    ) -> Authority | str:
        """Return the authority whose key signed `message`, or why it is none of ours.

        Where it may order some classes only with others, it is one of the class that it reaches
        with those who have signed too. What was `kept` may be of a root that has lost its right.
        """
        authority = self._known.get(message.key_id)
        if authority is None and (kept or message.kind is Kind.ROOT):
            authority = self._former.get(message.key_id)
        if authority is None:
            return "unknown key"
        asked = (authority.public_key, message.signature, message.signed)
        if asked != self._verified:  # an order is looked at twice: before it is kept, and after
            if not verified(*asked):
                return "wrong signature"
            self._verified = asked
        if authority.together is None:
            return authority
        by = self.cosigners_of(message)
        warrant = warrant_of(message, by)
        return self._together.reaching(authority, warrant, least)

    def cosigners_of(self, message: Message) -> tuple[bytes, ...]:
        """Return who has signed `message` besides, where that is asked for and enough have."""
        return self._together.cosigners_of(message)

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
        if not authority.may_order(warrant.what):
            return NOT_ITS_KIND
        if authority.together is not None:
            authority = self._together.reaching(authority, warrant, least)
            if authority.class_max < message_class:
                return TOO_FEW
        # Last: it may be renewed, and must not hide what never comes back.
        if any(self._has_ended(one, least) for one in chain_of(authority, self._known)):
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
        if isinstance(holder, str):
            return True
        if holder.key_id == other.key_id:  # what several signed, one of them alone does not end
            return not warrant.cosigners or other.class_max >= holder.class_max
        if other.level != warrant.level:
            return other.level < warrant.level
        return other.may_as_much(holder)

    def may_give_time(self, authority: Authority) -> bool:
        """Return whether its beacons are believed: nobody has that right from who has it not."""
        return all(one.gives_time for one in chain_of(authority, self._known))

    def receive_certificate(
        self,
        parent: Authority,
        content: bytes,
        *,
        counter: int = 0,
        cosigners: tuple[bytes, ...] = (),
    ) -> Authority | str:
        """Learn the authority that an authorised message of `parent` names, or say why not.

        `counter` is that of the message: an older certificate that comes later changes nothing.
        `cosigners` have signed it besides.
        """
        claim = read_certificate(content)
        if claim is None:
            return "no certificate"
        if len(claim.public_key) != PUBLIC_KEY_BYTES or claim.tier not in self._tiers:
            return "no key or unknown tier"
        orders, together = orders_of(claim), claim.together or None
        if orders is None:
            return "allows nothing"
        if together is not None and (fault := together.fault(key_id(claim.public_key))):
            return fault
        authority = Authority(
            name=claim.name[:64],
            key_id=key_id(claim.public_key),
            public_key=claim.public_key,
            level=self._tiers.index(claim.tier),
            area=claim.area,
            class_max=MessageClass(min(max(claim.class_max, 0), MessageClass.URGENT)),
            until_s=claim.until_s,
            parent=parent.key_id,
            gives_time=gives_time(claim) and not claim.emergency,
            emergency=claim.emergency,
            counter=counter,
            together=together,
            cosigners=cosigners,
            orders=orders,
        )
        refusal = self._narrower(authority, claim, parent) or self._in_the_way(authority, parent)
        if refusal is not None:
            return refusal
        self._known[authority.key_id] = authority
        self._settle()
        return authority

    def receive_root(self, message: Message) -> str | bool:
        """Take a ROOT message whose first signature holds; return why it is refused, or whether it
        changes anything.
        """
        change = self._roots.receive(message)
        if not isinstance(change, RootChange):
            return change or False
        following = root_of(change.next_public_key)
        # One that is followed itself hangs on the next, which may have taken it back.
        known = self._known.get(following.key_id) or self._former.get(following.key_id)
        if known is not None and known.level == ROOT_LEVEL:
            following = known
        self._known[following.key_id] = replace(following, from_s=change.from_s)
        ended = self._known.get(message.key_id) or root_of(change.public_key)
        ended = replace(ended, parent=following.key_id, until_s=change.until_s)
        self._known[ended.key_id] = self._former[ended.key_id] = ended
        self._revocations.add_root(following.key_id)
        self._revocations.spare(self._roots.protected_from)
        self._settle()
        return True

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
        protected = self._roots.protected_from(issuer.key_id)
        refusal = self._revocations.add(issuer.key_id, claim, place, protected)
        if refusal is not None:
            return refusal
        self._settle()
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

    @property
    def roots(self) -> Roots:
        """The roots that it has followed, and which may follow."""
        return self._roots

    def __contains__(self, key: object) -> bool:
        return key in self._known

    def take_dropped(self) -> list[bytes]:
        """Return the keys that lost their authority since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _narrower(self, new: Authority, claim: Certificate, parent: Authority) -> str | None:
        """Return why `claim` would be wider than `parent` is, or None."""
        parent = self._known.get(parent.key_id, parent)  # whatever it reaches alone
        if new.level <= parent.level:
            return "not below its parent"
        if not proper_area(new.area) or not within(new.area, parent.area):
            return "wider than its parent's area"
        if not 0 <= claim.class_max <= parent.class_max:
            return "above its parent's class"
        if not parent.may_all_of(new):
            return "more than its parent may order"
        return None if self._together.is_upheld(new, NO_TIME) else TOO_FEW

    def _in_the_way(self, new: Authority, parent: Authority) -> str | None:
        """Return why there is no place for `new`, or None when there is: others may have gone."""
        if self._revocations.holds(new.key_id, self._above(parent)):
            return "revoked"
        if self._roots.is_root(new.key_id):
            return "the key of a root"
        known = self._known.get(new.key_id)
        if known is not None and self._roots.follows(known.parent, parent.key_id):
            return BY_NEWER_ROOT
        if known is not None and not self._roots.follows(parent.key_id, known.parent):
            owner = self._known.get(known.parent)
            if owner is None or (known.parent != new.parent and owner.level <= parent.level):
                return "known from another parent"  # who is above that one may take it over
            older = known.parent == new.parent and new.counter < known.counter
            return "older than the certificate in force" if older else None
        if known is not None:
            return None  # the root that follows has certified it too
        if not within(new.area, self._here) and not within(self._here, new.area):
            return "not for here"
        held = [one for one in self._known.values() if one.level > ROOT_LEVEL]
        claims = [Claim(one.level, 0, one.parent) for one in held]
        gone = self._shares.make_room(claims, Claim(new.level, 0, new.parent))
        if gone is None:
            return "too many authorities"
        for index in gone:
            self._forget(held[index].key_id)
        self._settle()
        return None

    def _place_of(self, issuer: Authority) -> Place:
        above = [one.key_id for one in chain_of(issuer, self._known) if one.level > ROOT_LEVEL]
        return Place(issuer.level, tuple(above[1:]))

    def _has_ended(self, one: Authority, least: Least) -> bool:
        is_over = least.at(one.level) >= one.until_s
        return is_over or (bool(one.cosigners) and not self._together.is_upheld(one, least))

    def _settle(self) -> None:
        """Drop what has lost its right, and all below it."""
        self._drop_where(self._is_revoked)
        # What it certified before it was narrowed must not be wider than it is now.
        self._drop_where(self._wider_than_its_parent)

    def _wider_than_its_parent(self, one: Authority) -> bool:
        parent = self._known.get(one.parent)
        if one.level == ROOT_LEVEL:
            return False
        return parent is not None and (
            parent.emergency  # a sealed key certifies nobody
            or not (parent.may_order(TRUST) and parent.may_all_of(one))
            or not within(one.area, parent.area)
            or one.class_max > parent.class_max
            or one.level <= parent.level
            or not self._together.is_upheld(one, NO_TIME)
        )

    def _is_revoked(self, one: Authority) -> bool:
        parent = self._known.get(one.parent)
        return parent is not None and self._revocations.holds(one.key_id, self._above(parent))

    def _is_ancestor(self, ancestor: bytes, key: bytes) -> bool:
        known = self._known.get(key)
        return known is not None and any(
            one.parent == ancestor for one in chain_of(known, self._known)
        )

    def _above(self, authority: Authority) -> Iterator[Authority]:
        """Yield `authority` and whose revocations hold for what it certifies."""
        yield from chain_of(authority, self._known)
        yield from self._former.values()

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
