"""Proof of play: records in a chain of hashes, so that none can be changed, moved or left out.

```
 entry n = {"number": n, "previous": h(n-1), "record": {...}}      h(n) = SHA-256 of its line
```
A verifier finds any edit, deletion or reorder between two known heads; that the newest entries are
missing shows only against a head that was published before (docs/why.md).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from node.control.calendar.play_state import Record

KEY_PREFIX: Final = "proof/"
BLOCK_ENTRIES: Final = 16
"""Entries under one key: the store holds few keys, and a block of 8 KB is one write."""

BLOCKS: Final = 640
"""Blocks in the ring, 10,240 entries; EN 60849 asks for 99 faults (docs/why.md)."""

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
        self._serials: dict[str, int] = {}
        self._block: list[bytes] = []
        lines = [
            line
            for key, block in stored.items()
            if key.startswith(KEY_PREFIX)
            for line in block.split(b"\n")
        ]
        entries = [(entry, line) for line in lines if (entry := _decode(line)) is not None]
        self.damaged = len(lines) - len(entries)  # lines that could not be read
        for entry, line in sorted(entries, key=lambda pair: pair[0].number):
            self._append(entry, line)

    def add(self, record: Record) -> tuple[str, bytes, bytes] | None:
        """Append `record`; return (key, block to keep, its line to publish).

        A record told again after a power cut is known by its writer and serial: None.
        """
        if record.serial <= self._serials.get(record.writer, 0):
            return None
        entry = Entry(self.number + 1, self.head, record)
        line = line_of(entry)
        self._append(entry, line)
        return key_of(entry.number), b"\n".join(self._block), line

    def serial_of(self, writer: str) -> int:
        """Return the highest serial number that the chain has of `writer`."""
        return self._serials.get(writer, 0)

    def told(self) -> dict[str, object]:
        """Return how many entries there are, and the hash of the last, for the status."""
        return {"proof_number": self.number, "proof_head": self.head}

    def _append(self, entry: Entry, line: bytes) -> None:
        if (entry.number - 1) % BLOCK_ENTRIES == 0:
            self._block = []
        self._block.append(line)
        self.number, self.head = entry.number, hash_of(line)
        self._note(entry.record)

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


def key_of(number: int) -> str:
    """Return the key under which entry `number` is kept, with its neighbours."""
    return f"{KEY_PREFIX}{(number - 1) // BLOCK_ENTRIES % BLOCKS:03}"


def lines_of(stored: Mapping[str, bytes]) -> list[bytes]:
    """Return the kept lines in the order of their numbers."""
    blocks = [block for key, block in stored.items() if key.startswith(KEY_PREFIX)]
    lines = [line for block in blocks for line in block.split(b"\n")]
    known = [(entry.number, line) for line in lines if (entry := _decode(line)) is not None]
    return [line for _, line in sorted(known)]


def _decode(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
