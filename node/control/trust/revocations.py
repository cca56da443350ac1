"""Which keys were taken back by whom: lists that only grow, remembered before their key is known.

A revocation holds where its issuer stands above the key, now or when the key comes: the order in
which certificate and revocation arrive makes no difference. Nobody's revocations take another
authority's places.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from node.control.trust.signature import KEY_ID_BYTES

EACH_MAX: Final = 512
"""Keys that one authority may have revoked; a list of them all fits into one order."""

SINGLES_MAX: Final = 32
"""Revocations without a number that are kept of one authority; then it is to send its list."""


class Revocation(msgspec.Struct, frozen=True):
    """Content of a REVOCATION message."""

    key_ids: tuple[bytes, ...]
    number: int = 0
    """Of a list that holds all that this authority ever revoked; 0: some keys, beside others."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is remembered of one issuer."""

    keys: int
    number: int
    """0: no list yet."""


class _Keyed(Protocol):
    @property
    def key_id(self) -> bytes: ...


class Revocations:
    """The revoked keys that a node remembers, by who revoked them."""

    def __init__(self, root_key_id: bytes) -> None:
        self._root = root_key_id
        self._keys: dict[bytes, set[bytes]] = {}
        self._numbers: dict[bytes, int] = {}
        self._singles: dict[bytes, int] = {}

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

    def add(self, issuer: bytes, claim: Revocation) -> str | None:
        """Remember that `issuer` revoked keys, or return why that cannot be."""
        held, number = self._keys.get(issuer, set()), claim.number
        wanted = {key for key in claim.key_ids if key not in (issuer, self._root)}
        newest = self._numbers.get(issuer, 0)
        if number and number < newest:
            return f"older than list {newest}, which this node has"
        if number and held - wanted:
            left_out = ", ".join(sorted(key.hex() for key in held - wanted)[:4])
            return f"the list leaves out what was revoked before: {left_out}"
        if len(held | wanted) > EACH_MAX:
            return "too many revocations"
        if not number and wanted - held:
            if self._singles.get(issuer, 0) >= SINGLES_MAX:
                return "too many single revocations"
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
        return Held(len(self._keys.get(issuer, ())), self._numbers.get(issuer, 0))

    def numbers(self) -> dict[str, int]:
        """Return the number of the newest list of each issuer, by its key in hexadecimal."""
        return {issuer.hex(): number for issuer, number in self._numbers.items()}
