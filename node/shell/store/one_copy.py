"""One copy of what survives a power cut: batches that are only ever added, each with its digest.

```
 file   "loalang-store-2" and a line feed, then records
 0     4      5         9         17        33
 ┌─────┬──────┬─────────┬─────────┬─────────┬──────────────────────────────────┐
 │magic│ kind │ bytes n │ number  │ BLAKE2b │ n bytes of content               │
 └─────┴──────┴─────────┴─────────┴─────────┴──────────────────────────────────┘
 BATCH   changes that are all there or none: (key, value) ...
 HEAD    a file that was written anew: every key with the number of its batch
 VALUE   after it, one for each key: its value, under the number of its batch
```
A damaged record is passed over and the next one is looked for by its magic: one flipped bit costs
one batch, and the other copy of the file has that. Integers are big-endian.
"""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from node.shell.store.turns import may_wait

FILE_MAGIC: Final = b"loalang-store-2\n"
FILE_BYTES_MAX: Final = 128 * 1024 * 1024
"""More is not read: the core keeps some megabytes, and a file is written anew long before."""

KEY_BYTES_MAX: Final = 255
VALUE_BYTES_MAX: Final = 1 << 22

_RECORD_MAGIC: Final = b"\xf1LLr"
_HEAD: Final = struct.Struct(">4sBIQ")
_DIGEST_BYTES: Final = 16
_PREFIX_BYTES: Final = _HEAD.size + _DIGEST_BYTES
_ENTRY: Final = struct.Struct(">BI")
_KNOWN: Final = struct.Struct(">BQ")


class RecordKind(IntEnum):
    """What a record holds."""

    BATCH = 0
    HEAD = 1
    VALUE = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """A value, and the number of the batch that wrote it."""

    number: int
    value: bytes


@dataclass(slots=True)
class FileContent:
    """What could be read of one copy."""

    values: dict[str, Kept] = field(default_factory=dict)
    batches: set[int] = field(default_factory=set)
    """Numbers of the batches that could be read."""
    alone: set[int] = field(default_factory=set)
    """Those of them that the other copy may get later."""
    heads: list[tuple[int, dict[str, int]]] = field(default_factory=list)
    """Number up to which the file was written anew, and the keys that were there then."""
    good_bytes: int = 0
    """Length without what was cut off within its last record."""
    damaged: bool = False
    """Something between good records, or the begin of the file, could not be read."""
    torn: bool = False
    """The end is half a record: a power cut does that, and so may damage."""

    @property
    def end(self) -> int:
        """Number of the last batch that the file tells of."""
        return max((*self.batches, *(number for number, _ in self.heads)), default=0)


def batch_record(number: int, changes: Mapping[str, bytes]) -> bytes:
    """Return the record of one batch."""
    return _record(RecordKind.BATCH, number, b"".join(_entries(changes)))


def whole_file(values: Mapping[str, Kept], number: int) -> bytes:
    """Return a file that holds `values` and nothing from before, as after batch `number`."""
    parts = [FILE_MAGIC]
    known = (_known(key, kept.number) for key, kept in sorted(values.items()))
    parts.append(_record(RecordKind.HEAD, number, b"".join(known)))
    for key, kept in sorted(values.items()):
        content = b"".join(_entries({key: kept.value}))
        parts.append(_record(RecordKind.VALUE, kept.number, content))
    return b"".join(parts)


def read_file(data: bytes) -> FileContent:
    """Return what can be read of a copy, whatever its bytes are. Never raises."""
    content = FileContent()
    content.damaged = not data.startswith(FILE_MAGIC)
    at = len(FILE_MAGIC) if not content.damaged else 0
    while at < len(data):
        found = _record_at(data, at)
        if found is None:
            after = data.find(_RECORD_MAGIC, at + 1)
            if after < 0:
                break
            content.damaged = True
            at = after
            continue
        kind, number, body, end = found
        _take(content, kind, number, body)
        at = content.good_bytes = end
    content.torn = content.good_bytes < len(data)
    return content


def _record(kind: RecordKind, number: int, body: bytes) -> bytes:
    head = _HEAD.pack(_RECORD_MAGIC, kind, len(body), number)
    return head + _digest(head, body) + body


def _digest(head: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(head + body, digest_size=_DIGEST_BYTES).digest()


def _entries(changes: Mapping[str, bytes]) -> Iterator[bytes]:
    for key, value in changes.items():
        name = key.encode()
        assert 0 < len(name) <= KEY_BYTES_MAX and len(value) <= VALUE_BYTES_MAX, key
        yield _ENTRY.pack(len(name), len(value)) + name + value


def _known(key: str, number: int) -> bytes:
    name = key.encode()
    return _KNOWN.pack(len(name), number) + name


def _record_at(data: bytes, at: int) -> tuple[RecordKind, int, bytes, int] | None:
    """Return kind, number, content and end of the record that begins at `at`, if it is whole."""
    if len(data) - at < _PREFIX_BYTES:
        return None
    magic, kind, body_bytes, number = _HEAD.unpack_from(data, at)
    end = at + _PREFIX_BYTES + body_bytes
    if magic != _RECORD_MAGIC or kind not in set(RecordKind) or end > len(data):
        return None
    body = data[at + _PREFIX_BYTES : end]
    digest = data[at + _HEAD.size : at + _PREFIX_BYTES]
    if digest != _digest(data[at : at + _HEAD.size], body):
        return None
    return RecordKind(kind), number, body, end


def _take(content: FileContent, kind: RecordKind, number: int, body: bytes) -> None:
    """Take a whole record: its digest vouches for its form."""
    if kind is RecordKind.HEAD:
        content.heads.append((number, dict(_read_known(body))))
        return
    if kind is RecordKind.BATCH:
        content.batches.add(number)
        content.alone |= {number} if may_wait(dict(_read_entries(body))) else set()
    for key, value in _read_entries(body):
        before = content.values.get(key)
        if before is None or before.number <= number:
            content.values[key] = Kept(number, value)


def _read_entries(body: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(body):
        name_bytes, value_bytes = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        key = body[at : at + name_bytes].decode()
        at += name_bytes
        yield key, body[at : at + value_bytes]
        at += value_bytes


def _read_known(body: bytes) -> Iterator[tuple[str, int]]:
    at = 0
    while at < len(body):
        name_bytes, number = _KNOWN.unpack_from(body, at)
        at += _KNOWN.size
        yield body[at : at + name_bytes].decode(), number
        at += name_bytes
