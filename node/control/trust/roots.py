"""One root follows another, with an overlap in which both hold.

```
 R1  ════════════════════════════════╡ until_s: all that R1 alone certified ends
 R2              from_s ╞═══════════════════════════════► promised: SHA-256 of R3
       └ ROOT, signed by R1 and by R2; R2 is the key that was promised to this node before
```
Who has stolen R1 cannot name its successor: the node knows the digest of R2 from the day on which
it was enrolled, while R2 itself has never been used and lies elsewhere. R2 signs too, so that
nobody promises a key that he has not. What R1 alone certified hangs on R2 from then on: R2 revokes
it, and R1 itself, like any other key. What R1 has taken back R2 does not give again.

A statement holds whenever it comes, and as often: it has no time to live, so a node that was off
for the whole overlap follows when somebody brings it.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

import msgspec

from node.control.trust.message import Message
from node.control.trust.signature import KEY_ID_BYTES, PUBLIC_KEY_BYTES, key_id, verified

ROOT_PREFIX: Final = "root/"
"""Statements are kept by the key id of the root that ends."""

DIGEST_BYTES: Final = 32

NOT_PROMISED: Final = "that root was not promised to this node"
NOT_THE_NEWEST: Final = "only the newest root names the next"
NOT_BY_NEXT: Final = "the root that follows has not signed it"


class RootChange(msgspec.Struct, frozen=True):
    """Content of a ROOT message."""

    number: int
    """Rises with each change."""
    public_key: bytes
    """Of the root that ends."""
    next_public_key: bytes
    from_s: int
    """The next root signs nothing before."""
    until_s: int
    """End of the root that signs."""
    promised: bytes = b""
    """SHA-256 of the public key of the root after the next; empty: no node will follow to one."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change that holds for this node."""

    change: RootChange
    counter: int
    """Of its envelope: of two about the same root the later one holds."""


def digest_of(public_key: bytes) -> bytes:
    """Return what is promised of a root: the SHA-256 of its public key."""
    return hashlib.sha256(public_key).digest()


def read_change(message: Message) -> RootChange | str:
    """Return the change in a ROOT message, or why it is none; no signature is checked."""
    try:
        change = msgspec.json.decode(message.content, type=RootChange)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no change of roots"
    good = (
        len(change.public_key) == len(change.next_public_key) == PUBLIC_KEY_BYTES
        and key_id(change.public_key) == message.key_id
        and change.public_key != change.next_public_key
        and len(change.promised) in (0, DIGEST_BYTES)
        and 0 < change.number < 1 << 32
        and 0 <= change.from_s <= change.until_s < 1 << 40
    )
    return change if good else "no change of roots"


def is_by_next(change: RootChange, message: Message) -> bool:
    """Return whether the root that is to follow has signed the change too."""
    next_id = key_id(change.next_public_key)
    return any(
        key == next_id and verified(change.next_public_key, signature, message.cosigned)
        for key, signature in message.cosignatures
    )


class Roots:
    """The roots of one node, the newest last.

    Parameters
    ----------
    public_key : bytes
        Of the root that the configuration names.
    promised : bytes
        SHA-256 of the public key of the one that may follow it; empty: none.
    """

    def __init__(self, public_key: bytes, promised: bytes) -> None:
        self._keys = [public_key]
        self._promised = promised
        self._steps: dict[bytes, Step] = {}
        """By the key id of the root that ends."""

    @property
    def newest(self) -> bytes:
        """Public key of the newest root."""
        return self._keys[-1]

    @property
    def promised(self) -> bytes:
        """SHA-256 of the public key of the root that may follow; empty: none."""
        return self._promised

    @property
    def number(self) -> int:
        """Number of the last change that this node has; 0: none."""
        return max((one.change.number for one in self._steps.values()), default=0)

    def told(self) -> dict[str, int]:
        """Return what the status says of them: nothing where no root was followed."""
        return {"root_number": self.number} if self.number else {}

    def ids(self) -> list[bytes]:
        """Return the key ids of all roots, the newest last."""
        return [key_id(one) for one in self._keys]

    def is_root(self, key: bytes) -> bool:
        """Return whether a key id is a root's, or that of the one that was promised."""
        return key in self.ids() or key == self._promised[:KEY_ID_BYTES]

    def follows(self, later: bytes, earlier: bytes) -> bool:
        """Return whether the root `later` follows the root `earlier`; both are key ids."""
        ids = self.ids()
        return later in ids and earlier in ids and ids.index(later) > ids.index(earlier)

    def protected_from(self, issuer: bytes) -> set[bytes]:
        """Return which roots `issuer` cannot revoke: itself and those that follow, or all."""
        ids = self.ids()
        first = ids.index(issuer) if issuer in ids else 0
        return {issuer, self._promised[:KEY_ID_BYTES], *ids[first:]}

    def receive(self, message: Message) -> RootChange | str | None:
        """Take a ROOT message whose first signature holds.

        Returns
        -------
        RootChange, str or None
            The change where it is new, why it is refused, None where the node has it already.
        """
        change = read_change(message)
        if isinstance(change, str):
            return change
        refusal = self._refusal(change)
        if refusal is not None:
            return refusal
        if not is_by_next(change, message):
            return NOT_BY_NEXT
        known = self._steps.get(message.key_id)
        if known is not None and message.counter <= known.counter:
            return None
        self._steps[message.key_id] = Step(change, message.counter)
        if known is None:
            self._keys.append(change.next_public_key)
        if change.next_public_key == self.newest:
            self._promised = change.promised
        return change

    def _refusal(self, change: RootChange) -> str | None:
        known = self._steps.get(key_id(change.public_key))
        if known is not None:
            same = known.change.next_public_key == change.next_public_key
            return None if same else NOT_PROMISED
        if change.public_key != self.newest or change.number <= self.number:
            return NOT_THE_NEWEST
        return None if digest_of(change.next_public_key) == self._promised else NOT_PROMISED
