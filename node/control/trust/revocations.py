"""Which keys were taken back by whom: lists that only grow, remembered before their key is known.

A revocation holds where its issuer stands above the key, now or when the key comes: the order in
which certificate and revocation arrive makes no difference.

```
 root          one list
 each tier     TIER_MAX lists, of them EACH_TIER_MAX of one authority and all below it
 ───────────── no list takes the place of another tier's; one is let go only when the root has
               taken its own key back: that key comes no more, and nobody asks for its list
```
Whoever makes keys, lets them revoke and takes them back fills its own places and no others. What
finds none is refused; whoever stands above can revoke the same key.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from node.control.trust.signature import KEY_ID_BYTES

EACH_MAX: Final = 512
"""Keys that one authority may have revoked; a list of them all fits into one order."""

SINGLES_MAX: Final = 32
"""Revocations without a number that are kept of one authority; then it is to send its list."""

TIER_MAX: Final = 32
"""Authorities of one tier whose revocations are kept, known ones and such as were."""

EACH_TIER_MAX: Final = 8
"""Of them those of one authority and of all below it: a key that is renewed each year lasts so
long, and who gets hold of one takes no more from those that come after it."""

NO_PLACE: Final = "no place for the revocations of one more key"


class Revocation(msgspec.Struct, frozen=True):
    """Content of a REVOCATION message."""

    key_ids: tuple[bytes, ...]
    number: int = 0
    """Of a list that holds all that this authority ever revoked; 0: some keys, beside others."""


class Place(msgspec.Struct, frozen=True):
    """Where an issuer stood when it first revoked something: among those it has its place."""

    level: int
    above: tuple[bytes, ...] = ()
    """Key ids of those between it and the root."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of one issuer."""

    keys: int
    number: int
    """0: no list yet."""
    place: Place | None


class _Keyed(Protocol):
    @property
    def key_id(self) -> bytes: ...


class Revocations:
    """The revoked keys that a node remembers, by who revoked them."""

    def __init__(self, root_key_id: bytes) -> None:
        self._roots = {root_key_id}
        self._keys: dict[bytes, set[bytes]] = {}
        self._numbers: dict[bytes, int] = {}
        self._singles: dict[bytes, int] = {}
        self._places: dict[bytes, Place] = {}
        self._let_go: list[bytes] = []

    def add_root(self, key: bytes) -> None:
        """Note that `key` is a root too."""
        self._roots.add(key)

    def spare(self, protected: Callable[[bytes], set[bytes]]) -> None:
        """Forget what each issuer has said of what is `protected` from it by now."""
        for issuer, held in self._keys.items():
            held -= protected(issuer)

    def restore(self, places: Mapping[bytes, Place]) -> None:
        """Keep the places of those whose lists are kept, also while their keys are not known."""
        self._places.update(places)

    def read(self, content: bytes) -> Revocation | str:
        """Return the list in `content`, or what is wrong with it. Never raises."""
        try:
            claim = msgspec.json.decode(content, type=Revocation)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "no revocation"
        good = 0 <= claim.number < 1 << 63 and all(len(k) == KEY_ID_BYTES for k in claim.key_ids)
        if not good:
            return "no revocation"
        return claim

    def add(
        self, issuer: bytes, claim: Revocation, place: Place | None, protected: set[bytes]
    ) -> str | None:
        """Remember that `issuer` revoked keys, or return why that cannot be.

        Without a `place` it was kept already: it is remembered, however many there are. What is
        `protected` is left out: roots that it cannot revoke.
        """
        held, number = self._keys.get(issuer, set()), claim.number
        wanted = set(claim.key_ids) - protected
        newest = self._numbers.get(issuer, 0)
        if number and number < newest:
            return f"older than list {newest}, which this node has"
        if number and held - wanted:
            left_out = ", ".join(sorted(key.hex() for key in held - wanted)[:4])
            return f"the list leaves out what was revoked before: {left_out}"
        if len(held | wanted) > EACH_MAX:
            return "too many revocations"
        is_single = not number and bool(wanted - held)
        if is_single and self._singles.get(issuer, 0) >= SINGLES_MAX:
            return "too many single revocations"
        if place is not None and (number or wanted) and not self._take_place(issuer, place):
            return NO_PLACE
        if is_single:
            self._singles[issuer] = self._singles.get(issuer, 0) + 1
        if number:
            self._numbers[issuer], self._singles[issuer] = number, 0
        if wanted:
            self._keys[issuer] = held | wanted
        return None

    def holds(self, key: bytes, above: Iterable[_Keyed]) -> bool:
        """Return whether one of those `above` the key has revoked it."""
        return any(key in self._keys.get(one.key_id, ()) for one in above)

    def held(self, issuer: bytes) -> Held:
        """Return how many keys `issuer` has revoked here, and the number of its newest list."""
        keys = len(self._keys.get(issuer, ()))
        return Held(keys, self._numbers.get(issuer, 0), self._places.get(issuer))

    def numbers(self) -> dict[str, int]:
        """Return the number of the newest list of each issuer, by its key in hexadecimal."""
        return {issuer.hex(): number for issuer, number in self._numbers.items()}

    def take_let_go(self) -> list[bytes]:
        """Return whose lists were let go since the last call."""
        gone, self._let_go = self._let_go, []
        return gone

    def _take_place(self, issuer: bytes, place: Place) -> bool:
        """Return whether `issuer` has a place, or finds one."""
        if issuer in self._places:
            return True
        tier = [one for one, held in self._places.items() if held.level == place.level]
        branches = [
            [one for one in tier if above == one or above in self._places[one].above]
            for above in place.above
        ]
        limits = [(tier, TIER_MAX), *((one, EACH_TIER_MAX) for one in branches)]
        for among, most in limits:
            if not self._is_room(among, most):
                return False
        self._places[issuer] = place
        return True

    def _is_room(self, among: list[bytes], most: int) -> bool:
        """Return whether one more of these finds a place; one that the root took back may go."""
        left = [one for one in among if one in self._places]
        dead = set().union(*(self._keys.get(root, ()) for root in self._roots))
        gone = next((one for one in left if one in dead), None)
        if len(left) >= most and gone is not None:
            for table in (self._keys, self._numbers, self._singles, self._places):
                table.pop(gone, None)
            self._let_go.append(gone)
            left.remove(gone)
        return len(left) < most
