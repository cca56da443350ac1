"""Orders that a key gives only with others: who has signed, and how high that reaches.

Who signs alone is of a class below the one for which more are asked, in everything: what is
ordered, what is certified, what is taken from others. So nothing waits on the node for a signature
that is still to come; all come in one message (`node.control.trust.message`), which is refused and
may be sent again while too few are in it.

Each signer is asked for its own right when the effect happens and as long as it lasts: with the
right of one what is left may be too few, and ends.
"""

from collections.abc import Mapping
from dataclasses import replace

from node.control.civil_time import Least
from node.control.precedence import MessageClass
from node.control.trust.certificate import TRUST, Authority, Warrant, chain_of, within
from node.control.trust.message import COSIGNATURES_MAX, Message
from node.control.trust.signature import verified


class Signers:
    """What the signatures of several keys of one node's authorities are good for."""

    def __init__(self, known: Mapping[bytes, Authority]) -> None:
        self._known = known
        self._verified: list[tuple[bytes, bytes, bytes]] = []
        """Key, signature and what is signed of the last ones that were genuine."""

    def cosigners_of(self, message: Message) -> tuple[bytes, ...]:
        """Return who has signed `message` besides, where that is asked for and enough have."""
        first = self._known.get(message.key_id)
        if first is None or first.together is None:
            return ()
        found: dict[bytes, None] = {}
        for key, signature in message.cosignatures:
            one = self._known.get(key)
            if one is None or key not in first.together.among or key == first.key_id:
                continue
            asked = (one.public_key, signature, message.cosigned)
            if asked in self._verified:  # an order is looked at more than once
                found[key] = None
            elif verified(*asked):
                found[key] = None
                self._verified = [asked, *self._verified[: COSIGNATURES_MAX - 1]]
        return tuple(found) if 1 + len(found) >= first.together.signatures else ()

    def reaching(self, one: Authority, warrant: Warrant, least: Least) -> Authority:
        """Return an authority as one of the highest class for which enough have signed.

        Each signer counts once, and only for what it may order itself, there and now.
        """
        asked = one.together
        if asked is None:
            return one
        others = {key for key in warrant.cosigners if key in asked.among}
        for kind in range(one.class_max, asked.from_class - 1, -1):
            with_it = sum(self._counts(key, kind, warrant, least) for key in others)
            if 1 + with_it >= asked.signatures:
                return replace(one, class_max=MessageClass(kind))
        return replace(one, class_max=MessageClass(min(one.class_max, asked.from_class - 1)))

    def is_upheld(self, one: Authority, least: Least) -> bool:
        """Return whether enough of those who certified `one` could do so now."""
        parent = self._known.get(one.parent)
        if parent is None or parent.together is None:
            return True
        by = Warrant(parent.key_id, one.area, what=TRUST, cosigners=one.cosigners)
        return one.class_max <= self.reaching(parent, by, least).class_max

    def _counts(self, key: bytes, kind: int, warrant: Warrant, least: Least) -> bool:
        """Return whether the signature of `key` counts for an order of a class by `warrant`."""
        one = self._known.get(key)
        return (
            one is not None
            and kind <= one.class_max
            and within(warrant.area, one.area)
            and one.may_order(warrant.what)
            and all(least.at(up.level) < up.until_s for up in chain_of(one, self._known))
        )
