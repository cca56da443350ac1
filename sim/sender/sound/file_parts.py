"""The files that one file is made of: joined by `cat`, or with something before or behind them.

A demuxer that reads on would take the next one's header for sound, or stop before it. So each is
given to a demuxer of its own, and ends where the next one begins.
"""

import os
from collections.abc import Iterator
from typing import Any, Final

from sim.sender.sound.beginnings import (
    LOOK_BYTES,
    MARK_BYTES,
    begins,
    marks_within,
    next_beginning,
    padding_bytes,
    tag_bytes,
)
from sim.sender.sound.frame_chains import chain_at, chain_begin
from sim.sender.sound.ogg_links import PATTERN
from sim.sender.sound.told_ends import is_boxes, told_end

_JUNK_MAX: Final = 1 << 20
"""So many bytes of something else may stand before a sound."""
_TAGS_MAX: Final = 16
_SCAN_BYTES: Final = 1 << 20
_FOOTER_BYTES: Final = 32
"""So much of a format may stand behind its last packet."""
_ENDLESS: Final = 1 << 62
TELL_NO_END: Final = (
    *(b"fLaC", b"TTA1", b"wvpk"),
    *(b"Creative Voice", b"FLV\x01", b"nut/multimedia"),
)
"""Demuxers of these take all that follows for more of it, or look for more of it to the end."""
PARTS_MAX: Final = 10_000


class FilePart:
    """One of the files, for a demuxer to read and to seek in.

    Parameters
    ----------
    file : binary file
        Stays open as long as this is read.
    begin : int
        Where it stands in the file, in bytes.
    name : str
        Of the whole file: some formats are known by that alone.
    """

    def __init__(self, file: Any, begin: int, name: str) -> None:
        self._descriptor = file.fileno()
        self.begin = begin
        self.name = name
        self._at = begin
        self.head = self.read_at(LOOK_BYTES, begin)
        """What it begins with."""
        self.is_ogg = (
            PATTERN in self.head if not begins(self.head) else self.head.startswith(PATTERN)
        )
        self.marks_within = marks_within(self.head)
        """What begins no other file in this one."""
        self.seen = begin
        """Up to here all was looked at for the beginning of another file."""
        self.next_begin: int | None = None
        """Where that is, once it was come across."""
        self.heard_end: int | None = None
        """Where what was heard last ended."""
        self.told_end = told_end(self.read_at, begin)
        # Behind these, demuxers take anything for sound or for a header.
        is_trusted = self.head.startswith((b"caff", b".snd"))
        self._end = self.told_end if is_trusted and self.told_end else _ENDLESS
        self._chain = chain_at(self.head)
        self._tells_no_end = bool(self._chain) or self.head.startswith(TELL_NO_END)

    @property
    def is_open_ended(self) -> bool:
        """Whether it said nothing of its length, and another one follows."""
        return self.told_end is None and self.next_begin is not None

    def read_at(self, count: int, at: int) -> bytes:
        """Return up to `count` bytes from a place in the whole file."""
        return os.pread(self._descriptor, count, at)

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end of this part."""
        at = self._at
        count = max(0, min(count, self._end - at))
        if not count:
            return b""
        data = self.read_at(count + (LOOK_BYTES if self._tells_no_end else MARK_BYTES), at)
        first = max(0, self.begin + 1 - at)
        found = next_beginning(data[: count + MARK_BYTES], first, but=self.marks_within)
        if self._tells_no_end:
            last = count if found < 0 else min(found, count)
            chain = chain_begin(data, first, last, but=self._chain)
            found = found if chain < 0 else chain
        if 0 <= found < count:
            self._end = self.next_begin = at + found
            count = found
        given = data[:count]
        if at <= self.seen:
            self.seen = max(self.seen, at + len(given))
        self._at += len(given)
        return given

    def note_passed_over(self, count: int) -> None:
        """Note that so many bytes at its end are no sound."""
        self.heard_end = self.seen - count

    def note_heard(self, end: int) -> None:
        """Note that there was sound up to a place, counted from the beginning of this part."""
        self.heard_end = self.begin + end

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the beginning of this part, from here, or from its end."""
        size = os.fstat(self._descriptor).st_size
        end = min(self._end, size)
        base = {os.SEEK_SET: self.begin, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        self._at = max(self.begin, base + offset)
        return self.tell()

    def tell(self) -> int:
        """Return where this stands, counted from the beginning of this part."""
        return self._at - self.begin


class FileParts:
    """Give the files within a file, one after another, each to be read to its end.

    Parameters
    ----------
    file : binary file
        That can be read at any place.
    name : str
        As a demuxer is to know it.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name
        self._descriptor = file.fileno()
        self._size = os.fstat(self._descriptor).st_size
        self.left_bytes = 0
        """Behind the last one, of what is no sound."""
        self.lacking_bytes = 0
        """That the last one says it has, and has not."""

    def __iter__(self) -> Iterator[FilePart]:
        """Yield each."""
        begin: int | None = self._first()
        for _ in range(PARTS_MAX):
            if begin is None:
                return
            part = FilePart(self._file, begin, self._name)
            self.lacking_bytes = self._lacking(part)
            yield part
            begin = self._behind(part)
        self.left_bytes = 0 if begin is None else self._size - begin

    def _read_at(self, count: int, at: int) -> bytes:
        return os.pread(self._descriptor, count, at)

    def _first(self) -> int:
        """Return where the first one begins."""
        at = self._behind_tags(0)
        head = self._read_at(LOOK_BYTES, at)
        if begins(head):
            return at
        found = next_beginning(self._read_at(_JUNK_MAX, at))
        if found >= 0:
            return at + found
        return at if tag_bytes(self._read_at(LOOK_BYTES, 0)) and head else 0

    def _behind_tags(self, at: int) -> int:
        """Return where the tags end, and the zeros around them, that begin at `at`."""
        for _ in range(_TAGS_MAX):
            at = self._behind_padding(at)
            length = tag_bytes(self._read_at(LOOK_BYTES, at))
            if not length:
                break
            at += length
        return at

    def _behind(self, part: FilePart) -> int | None:
        """Return where the next one begins behind `part`, which was read to its end."""
        border = self._size if part.next_begin is None else part.next_begin
        end = self._end_of(part)
        begin = self._behind_tags(end)
        # What begins without a mark is found only where the last one ended.
        footer = 1 if part.told_end is not None else _FOOTER_BYTES
        data = self._read_at(LOOK_BYTES + footer, begin)
        found = next((i for i in range(footer) if begins(data[i:])), border)
        if part.begin < begin + found < border:
            return begin + found
        if part.next_begin is not None:
            return part.next_begin
        # A film, of which the sound alone was read, would be gone through at its end.
        at = max(part.seen, end) if is_boxes(part.head) else min(part.seen, end)
        while data := self._read_at(_SCAN_BYTES + MARK_BYTES, at):
            but = part.marks_within if at < end else frozenset()
            found = next_beginning(data, max(0, part.begin + 1 - at), but=but)
            if found >= 0:
                return at + found
            at += len(data[:_SCAN_BYTES])
        self.left_bytes = max(0, self._size - begin)
        return None

    def _end_of(self, part: FilePart) -> int:
        """Return where a part ended: by its header, or else by what was heard of it."""
        if part.told_end is not None:
            return min(part.told_end, self._size)
        return part.seen if part.heard_end is None else part.heard_end

    def _behind_padding(self, at: int) -> int:
        while (piece := self._read_at(_SCAN_BYTES, at)) and not piece.strip(b"\0"):
            at += len(piece)
        zeros = len(piece) - len(piece.lstrip(b"\0"))
        near = max(0, at + zeros - MARK_BYTES)
        return near + padding_bytes(self._read_at(LOOK_BYTES + MARK_BYTES, near)) if zeros else at

    def _lacking(self, part: FilePart) -> int:
        """Return how many bytes a WAV file lacks; one that makes them even is often left out."""
        if part.told_end is None or not part.head.startswith((b"RIFF", b"FORM")):
            return 0
        lacking = part.told_end - self._size
        return lacking if lacking > 1 else 0
