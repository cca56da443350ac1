"""What the poles prove: records and answers that are believed by the keys of the list, no others.

A record comes unsigned, in a chain of hashes; the node signs the newest end of its chain. So a
record is believed when a signed head leads to it, however it came and whoever brought it:
```
 signed head (n, hash) ─► line n ─► line n-1 ─► ... ─► what was believed before, or a gap
```
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from node.control.orders import Acknowledgement
from node.control.proof.answers import ProofHead
from node.control.proof.proof import GENESIS, Entry, hash_of
from node.control.trust.message import Kind, Message, open_envelope
from node.shell.poles.pole_list import Pole, speaks_for
from node.shell.poles.roster import printable

NAMES_MAX: Final = 10_000
"""Names that somebody may make up, and each is told."""

WAITING_MAX: Final = 1024
"""Lines of one pole that no head has led to yet; the oldest make room."""

LINE_BYTES_MAX: Final = 1 << 16

KNOWN_MAX: Final = 20_000
"""Hashes of one pole that are remembered: twice what it keeps itself."""

_Told = TypeVar("_Told", ProofHead, Acknowledgement)

REPORTS: Final = ("proof", "proof-head", "acknowledgement")


@dataclass(frozen=True, slots=True)
class Believed:
    """Something that a pole's own key vouches for."""

    name: str
    text: str
    """One line for people."""
    line: bytes = b""
    """The record as the node hashed it; empty where it is an answer."""


@dataclass(slots=True)
class Proven:
    """What is known of one pole by its key."""

    number: int = 0
    """Of the newest entry that its key vouches for."""
    head: str = GENESIS
    sealed: bytes = b""
    """The signed head."""
    hashes: dict[int, str] = field(default_factory=dict)
    """Hash of each entry by its number, as far as the heads lead."""
    believed: int = 0
    """Entries that came too."""
    wanted: dict[str, int] = field(default_factory=dict)
    """Hash and number of entries that were not heard: the chain is proven down to there."""
    waiting: dict[str, tuple[Entry, bytes]] = field(default_factory=dict)
    """By their hash, lines that nothing leads to yet."""
    contradicts: bool = False
    """Its key has signed two histories: the chain began anew, or was changed."""

    def want(self, number: int, digest: str) -> None:
        """Note that the entry `number` is the one with this hash, whenever it comes."""
        if len(self.hashes) >= KNOWN_MAX:
            del self.hashes[next(iter(self.hashes))]
        if len(self.wanted) >= KNOWN_MAX:
            del self.wanted[next(iter(self.wanted))]
        self.hashes[number] = digest
        self.wanted[digest] = number


class Ledger:
    """The poles of a list, and what each has proven."""

    def __init__(self, poles: Mapping[str, Pole]) -> None:
        self._poles = poles
        self.proven: dict[str, Proven] = {name: Proven() for name in poles}
        self.forged: dict[str, int] = {}
        """Names in whose name somebody without their key spoke, and how often."""
        self.strangers: dict[str, int] = {}
        """Names that are not in the list."""
        self.unreadable = 0

    def take(self, topic: str, payload: bytes) -> list[Believed]:
        """Take a message of the broker; return what is believed now."""
        parts = topic.split("/")
        if len(parts) != 6 or parts[5] not in REPORTS:
            return []
        name, what = parts[4], parts[5]
        if name not in self._poles:
            _count(self.strangers, name)
            return []
        if len(payload) > LINE_BYTES_MAX:
            self.unreadable += 1
            return []
        if what == "acknowledgement":
            return self._take_answer(name, payload)
        lines = [payload] if what == "proof" else []
        return self.take_records(name, lines, head=b"" if lines else payload)

    def head_of(self, name: str) -> bytes:
        """Return the newest signed head of a pole; empty: there is none, or no such pole."""
        proven = self.proven.get(name)
        return proven.sealed if proven is not None else b""

    def take_records(self, name: str, lines: list[bytes], *, head: bytes = b"") -> list[Believed]:
        """Take records of a pole and a signed head, whoever brought them; return what is believed
        now: of these, and of those before that nothing had led to.
        """
        found = self._take_head(name, head) if head else []
        known = [(entry, line) for line in lines if (entry := self._read(line)) is not None]
        for entry, line in sorted(known, key=lambda one: -one[0].number):
            found += self._take_line(name, entry, line)
        return [Believed(name, _shown(name, line), line) for line in found]

    def _read(self, line: bytes) -> Entry | None:
        try:
            return msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return None

    def _take_line(self, name: str, entry: Entry, line: bytes) -> list[bytes]:
        proven, digest = self.proven[name], hash_of(line)
        if proven.hashes.get(entry.number) == digest and digest not in proven.wanted:
            return []  # told again
        proven.waiting.pop(digest, None)
        while len(proven.waiting) >= WAITING_MAX:
            del proven.waiting[next(iter(proven.waiting))]
        proven.waiting[digest] = (entry, line)
        return _follow(proven, digest)

    def _take_head(self, name: str, sealed: bytes) -> list[bytes]:
        found = self._signed(name, sealed, Kind.PROOF_HEAD, ProofHead)
        if found is None:
            return []
        proven = self.proven[name]
        known = proven.hashes.get(found.number)
        if found.number < 1 or known == found.head:
            return []
        # Older and not known: a broker may tell it again, and nothing hangs on it.
        if found.number <= proven.number:
            proven.contradicts |= known is not None
            return []
        proven.number, proven.head, proven.sealed = found.number, found.head, sealed
        proven.want(found.number, found.head)
        return _follow(proven, found.head)

    def _take_answer(self, name: str, sealed: bytes) -> list[Believed]:
        told = self._signed(name, sealed, Kind.ACKNOWLEDGEMENT, Acknowledgement)
        if told is None:
            return []
        order = f"order {told.counter} of {printable(told.issuer, 16)}"
        return [Believed(name, f"{name}: {order}: {printable(told.fate)}")]

    def _signed(self, name: str, sealed: bytes, kind: Kind, content: type[_Told]) -> _Told | None:
        """Return what a pole has signed, of this kind and under its own name; else count it."""
        message = open_envelope(sealed)
        if not isinstance(message, Message) or message.kind is not kind:
            self.unreadable += 1
            return None
        if not speaks_for(message, self._poles[name].public_key):
            _count(self.forged, name)
            return None
        try:
            told = msgspec.json.decode(message.content, type=content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.unreadable += 1
            return None
        if told.node != name:
            _count(self.forged, told.node)
            return None
        return told


def _follow(proven: Proven, digest: str) -> list[bytes]:
    """Go from a wanted entry down the chain as far as the lines reach; return those, oldest first.

    Its number is what the one above it says: a line with another one is a history of its own.
    """
    found: list[bytes] = []
    while digest in proven.wanted and digest in proven.waiting:
        number = proven.wanted.pop(digest)
        entry, line = proven.waiting.pop(digest)
        if entry.number != number:
            proven.contradicts = True
            break
        found.append(line)
        proven.believed += 1
        before = proven.hashes.get(number - 1)
        if number == 1:
            proven.contradicts |= entry.previous != GENESIS
            break
        if before is not None:
            proven.contradicts |= before != entry.previous
            break
        proven.want(number - 1, entry.previous)
        digest = entry.previous
    return found[::-1]


def _count(names: dict[str, int], name: str) -> None:
    name = printable(name, 64)
    if name in names or len(names) < NAMES_MAX:
        names[name] = names.get(name, 0) + 1


def _shown(name: str, line: bytes) -> str:
    return f"{name}: {printable(line.decode(errors='replace'), LINE_BYTES_MAX)}"
