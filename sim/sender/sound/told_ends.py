"""Where a file ends by what stands in it: behind that the next one begins, or what is no sound.

A size of 0 or of all ones is that of a file written into a pipe: it goes on to the end.
"""

import struct
from collections.abc import Callable
from typing import Final

from sim.sender.sound.beginnings import MARK_BYTES, next_beginning

_UNKNOWN_FROM: Final = 0x7FFFF000
"""Programs that cannot go back write 32-bit sizes from here on, or 0."""
_LONG_UNKNOWN_FROM: Final = 1 << 62
_PIECES_MAX: Final = 100_000
"""Boxes or chunks of one file; a day of fragments of a second."""
_BOX: Final = struct.Struct(">I4sQ")
_CHUNK: Final = struct.Struct(">4sQ")
_NAME: Final = frozenset(range(0x20, 0x7F)) | {0xA9}
_PLAIN_CAF: Final = frozenset({b"lpcm", b"alaw", b"ulaw"})
_EBML: Final = b"\x1aE\xdf\xa3"
_SEGMENT: Final = b"\x18S\x80g"
_CAF_FORMAT_AT: Final = 28
_HEAD_BYTES: Final = 48

ReadAt = Callable[[int, int], bytes]
"""Returns so many bytes from a place, fewer at the end."""


def told_end(read_at: ReadAt, begin: int) -> int | None:
    """Return where the file that begins at `begin` says that it ends; None where it does not."""
    head = read_at(_HEAD_BYTES, begin)
    if head.startswith(b"caff"):
        return _end_of_chunks(read_at, begin + 8)
    return _end_of_boxes(read_at, begin) if is_boxes(head) else end_in_head(read_at, begin)


def end_in_head(read_at: ReadAt, begin: int) -> int | None:
    """Return the same, of what says it in its first bytes."""
    head = read_at(_HEAD_BYTES, begin).ljust(_HEAD_BYTES, b"\0")
    kind = head[:4]
    if kind == b"RIFF":
        return _even_end(begin, int.from_bytes(head[4:8], "little"))
    if kind == b"FORM":
        return _even_end(begin, int.from_bytes(head[4:8], "big"))
    if kind in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        return _long_end(begin + 8, int.from_bytes(head[20:28], "little"))
    if kind == b"riff":
        return _long_end(begin, int.from_bytes(head[16:24], "little"))
    if kind == b".snd":
        size = int.from_bytes(head[8:12], "big")
        is_told = 0 < size < _UNKNOWN_FROM
        return begin + int.from_bytes(head[4:8], "big") + size if is_told else None
    return _end_of_segment(read_at, begin) if kind == _EBML else None


def is_boxes(head: bytes) -> bool:
    """Return whether a file that begins so is of the family of MP4 and QuickTime."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp")


def wants_seeking(read_at: ReadAt) -> bool:
    """Return whether what tells of the sound may stand behind it, from the beginning of a file."""
    head = read_at(_HEAD_BYTES, 0)
    if head.startswith(b"caff"):
        return head[_CAF_FORMAT_AT : _CAF_FORMAT_AT + 4] not in _PLAIN_CAF
    if not is_boxes(head):
        return False
    at = 0
    for _ in range(_PIECES_MAX):
        length, name = _box(read_at, at)
        if name in (b"moov", b"moof"):
            return False
        if name == b"mdat" or not length:
            return True
        at += length
    return True


def _even_end(begin: int, size: int) -> int | None:
    return begin + 8 + size + size % 2 if 0 < size < _UNKNOWN_FROM else None


def _long_end(begin: int, size: int) -> int | None:
    return begin + size if 0 < size < _LONG_UNKNOWN_FROM else None


def _end_of_chunks(read_at: ReadAt, at: int) -> int | None:
    """Return where the chunks of a CAF file end."""
    for _ in range(_PIECES_MAX):
        head = read_at(_CHUNK.size, at)
        is_chunk = len(head) == _CHUNK.size and _NAME.issuperset(head[:4])
        if not is_chunk or next_beginning(read_at(MARK_BYTES, at)) == 0:
            return at
        size = _CHUNK.unpack(head)[1]
        if size >= _LONG_UNKNOWN_FROM:
            return None
        at += _CHUNK.size + size
    return None


def _end_of_boxes(read_at: ReadAt, begin: int) -> int | None:
    """Return where the boxes of an MP4 file end (ISO/IEC 14496-12, 4.2)."""
    at = begin
    for _ in range(_PIECES_MAX):
        length, name = _box(read_at, at)
        if not _NAME.issuperset(name) or (name == b"ftyp" and at > begin):
            return at
        if not length:
            return None if name else at
        at += length
    return None


def _end_of_segment(read_at: ReadAt, begin: int) -> int | None:
    """Return where the segment of a Matroska file ends (RFC 8794, section 4; RFC 9559)."""
    length, size_bytes = _ebml_size(read_at(8, begin + 4))
    at = begin + 4 + size_bytes + length
    if not size_bytes or read_at(4, at) != _SEGMENT:
        return None
    length, size_bytes = _ebml_size(read_at(8, at + 4))
    is_told = 0 < size_bytes and length < (1 << 7 * size_bytes) - 1
    return at + 4 + size_bytes + length if is_told else None


def _ebml_size(data: bytes) -> tuple[int, int]:
    """Return the size that `data` begins with, and how many bytes tell it; 0, 0 of none."""
    size_bytes = 9 - data[0].bit_length() if data else 9
    if size_bytes > min(8, len(data)):
        return 0, 0
    return int.from_bytes(data[:size_bytes], "big") & ((1 << 7 * size_bytes) - 1), size_bytes


def _box(read_at: ReadAt, at: int) -> tuple[int, bytes]:
    """Return how long the box is that begins at `at`, 0 for all that follows, and its name."""
    head = read_at(_BOX.size, at)
    if len(head) < 8:
        return 0, b""
    length, name, long_length = _BOX.unpack(head.ljust(_BOX.size, b"\0"))
    if length == 1:
        length = long_length
    return (length if length >= 8 else 0), name
