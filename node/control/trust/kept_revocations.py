"""Revocations on the disk: as signed bytes, checked again at every start once their key is known.

```
 revocation/ISSUER            the newest list with a number: it holds all before it
 revocation/ISSUER-COUNTER    some keys more, without a number
 revoker/ISSUER               where it stood when it first revoked: whose place that takes
```
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from node.control.trust.authority import Authority, AuthorityBook
from node.control.trust.message import Message
from node.control.trust.revocations import Held, Place
from node.control.trust.signature import KEY_ID_BYTES
from node.events import Persist

REVOCATION_PREFIX: Final = "revocation/"
REVOKER_PREFIX: Final = "revoker/"


class KeptRevocations:
    """What of them is on the disk, and which still wait for their key."""

    def __init__(self, stored: Mapping[str, bytes], book: AuthorityBook) -> None:
        self._book = book
        self._waiting = {
            name: sealed
            for name, sealed in sorted(stored.items())
            if name.startswith(REVOCATION_PREFIX) and sealed
        }
        """Of keys that are not known; no more than there were at the start."""
        self._names: dict[str, list[str]] = {}
        """By issuer: under which names its revocations are kept."""
        for name in self._waiting:
            self._names.setdefault(_issuer_in(name), []).append(name)
        book.restore_places(dict(_places(stored, self._names)))

    def recall(self, signed: Callable[[bytes], tuple[Message, Authority] | str]) -> None:
        """Take the revocations of those whose key is known; the others wait until it is.

        What an authority took back it has taken back, also where it lost its own right since.
        """
        for name, sealed in list(self._waiting.items()):
            found = signed(sealed)
            if found == "unknown key":
                continue
            del self._waiting[name]
            if not isinstance(found, str):  # else it is damaged
                message, signer = found
                self._book.receive_revocation(signer, message.content, kept=True)

    def keep(self, message: Message, sealed: bytes, before: Held) -> list[Persist]:
        """Return what to keep of a revocation that was obeyed; `before` it so much was held."""
        after = self._book.revoked_by(message.key_id)
        issuer = message.key_id.hex()
        names = self._names.setdefault(issuer, [])
        kept: list[Persist] = []
        if after.place is not None and before.place is None:
            kept.append(Persist(REVOKER_PREFIX + issuer, msgspec.json.encode(after.place)))
        name = REVOCATION_PREFIX + issuer
        if after.number != before.number:  # the list holds them all
            kept.append(Persist(name, sealed))
            kept += [Persist(single, b"") for single in names if single != name]
            names[:] = [name]
        elif after.keys != before.keys:  # some more beside it
            names.append(f"{name}-{message.counter}")
            kept.append(Persist(names[-1], sealed))
        if not names:
            del self._names[issuer]
        return kept

    def let_go(self) -> list[Persist]:
        """Return what to take off the disk: lists that may never hold again."""
        gone: list[str] = []
        for issuer in self._book.take_let_go():
            gone += self._names.pop(issuer.hex(), [])
            gone.append(REVOKER_PREFIX + issuer.hex())
        for name in gone:
            self._waiting.pop(name, None)
        return [Persist(name, b"") for name in gone]


def _issuer_in(name: str) -> str:
    return name.removeprefix(REVOCATION_PREFIX)[: 2 * KEY_ID_BYTES]


def _places(
    stored: Mapping[str, bytes], names: Mapping[str, list[str]]
) -> Iterator[tuple[bytes, Place]]:
    """Yield the place of each issuer of which something is kept; a damaged one counts for none."""
    for issuer in names:
        try:
            place = msgspec.json.decode(stored.get(REVOKER_PREFIX + issuer, b""), type=Place)
            yield bytes.fromhex(issuer), place
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
