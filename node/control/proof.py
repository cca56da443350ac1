"""Proof of play: records in a chain of hashes, so that none can be changed, moved or left out.

```
 entry n = {"number": n, "previous": h(n-1), "record": {...}}      h(n) = SHA-256 of its line
```
A verifier finds any edit, deletion or reorder between two known heads; that the newest entries are
missing shows only against a head that was published before (reliability.md, section 3, audit).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from node.control.play_state import Record

KEY_PREFIX: Final = "proof/"
ENTRIES_MAX: Final = 10_000
"""Entries kept; EN 60849 asks for 99 failures, reliability.md for this."""

GENESIS: Final = "0" * 64


class Entry(msgspec.Struct, frozen=True):
    """One line of the chain."""

    number: int
    previous: str
    record: Record


def line_of(entry: Entry) -> bytes:
    """Return the line that is kept, published and hashed."""
    return msgspec.json.encode(entry)


def hash_of(line: bytes) -> str:
    """Return the hash that the next entry carries."""
    return hashlib.sha256(line).hexdigest()


class ProofChain:
    """The newest end of a node's chain."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self.number = 0
        self.head = GENESIS
        self.damaged = 0
        """Stored lines that could not be read."""
        self._serials: dict[str, int] = {}
        for key in sorted(k for k in stored if k.startswith(KEY_PREFIX)):
            entry = _decode(stored[key])
            if entry is None:
                self.damaged += 1
                continue
            self.number, self.head = entry.number, hash_of(stored[key])
            self._note(entry.record)

    def add(self, record: Record) -> list[tuple[str, bytes]]:
        """Append `record`; return what to keep under which key (empty: forget), oldest last.

        A record told again after a power cut is known by its writer and serial: nothing is
        returned for it.
        """
        if record.serial <= self._serials.get(record.writer, 0):
            return []
        line = line_of(Entry(self.number + 1, self.head, record))
        self.number += 1
        self.head = hash_of(line)
        self._note(record)
        kept = [(_key(self.number), line)]
        if self.number > ENTRIES_MAX:
            kept.append((_key(self.number - ENTRIES_MAX), b""))
        return kept

    def _note(self, record: Record) -> None:
        known = self._serials.get(record.writer, 0)
        self._serials[record.writer] = max(known, record.serial)


def verify_chain(lines: Iterable[bytes], *, previous: str = GENESIS, number: int = 0) -> str | None:
    """Return what is wrong with `lines` that should follow (`number`, `previous`), or None."""
    for line in lines:
        entry = _decode(line)
        number += 1
        if entry is None:
            return f"entry {number} cannot be read"
        if entry.number != number:
            return f"entry {number} is missing or out of order"
        if entry.previous != previous:
            return f"entry {number} does not follow the one before it"
        previous = hash_of(line)
    return None


def _key(number: int) -> str:
    return f"{KEY_PREFIX}{number:09}"


def _decode(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
