"""The files that come one after another by a pipe, which cannot be gone back in.

What a demuxer must go back in is put into a file of its own first.
"""

import re
import select
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any, Final

from sim.sender.sound.beginnings import (
    LOOK_BYTES,
    MARK_BYTES,
    begins,
    doubtful_bytes,
    marks_within,
    next_beginning,
    padding_bytes,
    tag_bytes,
)
from sim.sender.sound.file_parts import TELL_NO_END
from sim.sender.sound.frame_chains import chain_at, chain_begin
from sim.sender.sound.ogg_links import PATTERN
from sim.sender.sound.told_ends import end_in_head, wants_seeking

_READ_BYTES: Final = 1 << 16
_JUNK_MAX: Final = 1 << 20
"""So many bytes of zeros or text may stand before a sound."""
_NO_SOUND_YET: Final = re.compile(rb"\x00+|[\t\n\r\x20-\x7e\xbb\xbf\xef]+")
_SOON_S: Final = 0.01
_SPOOL_BYTES_MAX: Final = 1 << 30
_HEAD_BYTES_MAX: Final = 1 << 20
"""Within so many it shows whether a demuxer must go back."""


class PipePart:
    """One of the files, for a demuxer to read."""

    is_open_ended = False
    """Of a pipe nobody estimates how long it is."""

    def __init__(self, pipe: "PipeParts", *, is_ogg: bool) -> None:
        self._pipe = pipe
        self.is_ogg = is_ogg

    def note_passed_over(self, count: int) -> None:
        """Note that so many bytes at its end are no sound."""
        self._pipe.passed_over_bytes = count

    def note_heard(self, end: int) -> None:
        """It cannot be gone back to."""

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end of this part."""
        return self._pipe.give(count)


class PipeParts:
    """Give the files that come, one after another, each to be read to its end.

    Parameters
    ----------
    raw : binary file
        A pipe, or a connection.
    spool_bytes_max : int
        More is not put into a file of its own.
    """

    def __init__(self, raw: Any, *, spool_bytes_max: int = _SPOOL_BYTES_MAX) -> None:
        self._raw = raw
        self._spool_bytes_max = spool_bytes_max
        self._held = bytearray()
        self._clear = 0
        self._ended = False
        self._is_fresh = True
        self._left_of_told: int | None = None
        self._but: frozenset[bytes] = frozenset()
        self._chain = b""
        self._tells_no_end = False
        self.passed_over_bytes = 0
        self.left_bytes = 0
        """Of what is no sound, behind the last one."""

    def __iter__(self) -> Iterator[PipePart]:
        """Yield each."""
        self._find_first()
        while self._fill(1):
            self._fill(MARK_BYTES)
            self._is_fresh = True
            self._but = marks_within(bytes(self._held[:MARK_BYTES]))
            while len(self._held) < LOOK_BYTES and self._comes_soon() and self._fill_more():
                pass
            head = bytes(self._held[:LOOK_BYTES])
            self._chain = chain_at(head)
            self._tells_no_end = bool(self._chain) or head.startswith(TELL_NO_END)
            self._left_of_told = end_in_head(self._peek, 0)
            yield PipePart(self, is_ogg=self._held.startswith(PATTERN))
            self._drain()
            if self._left_of_told is not None:  # that is its end; no border was come across
                self._left_of_told = None
                self._find_next()

    def _find_next(self) -> None:
        """Go to where the next one begins, behind the end that the last one told of."""
        self._but = frozenset()
        self._leave_out_tags()
        self._fill(LOOK_BYTES)
        if not begins(bytes(self._held)):
            self._drain()

    def _drain(self) -> None:
        """Leave out what there is before the next one."""
        self.left_bytes, self.passed_over_bytes = self.passed_over_bytes, 0
        while piece := self.give(_READ_BYTES):
            self.left_bytes += len(piece.strip(b"\0"))

    def spooled(self) -> IO[bytes] | None:
        """Return a file with all that comes, where a demuxer must go back in it; else None."""
        self._find_first()
        if not self._held or not wants_seeking(self._peek):
            return None
        with ExitStack() as opened:
            try:
                # Without a buffer: what has no room is to be known here.
                spool = opened.enter_context(tempfile.TemporaryFile(buffering=0))
                self._copy(spool)
            except OSError as fault:
                raise ValueError(
                    f"no room for what comes by the pipe in {tempfile.gettempdir()} "
                    f"({fault.strerror}): give the file's name"
                ) from fault
            opened.pop_all()
        return spool

    def give(self, count: int) -> bytes:
        """Return up to `count` bytes of the present part; none at its end."""
        if self._left_of_told is not None:
            count = min(count, self._left_of_told)
            if not count:
                return b""
        begin = int(self._is_fresh)
        while not self._clear and self._fill(begin + 1):
            held = bytes(self._held)
            border = self._border(held, begin)
            if border == 0:
                self._left_of_told = None
                return b""
            self._clear = border if border > 0 else len(held) - self._doubtful_bytes(held, begin)
            if not self._clear:
                self._fill_more()
        if not self._clear:
            self._clear = len(self._held)  # a single byte, and the end
        given = bytes(self._held[: min(count, self._clear)])
        del self._held[: len(given)]
        self._clear -= len(given)
        if self._left_of_told is not None:
            self._left_of_told -= len(given)
        self._is_fresh &= not given
        return given

    def _border(self, held: bytes, begin: int) -> int:
        """Return where the next one begins in what is held; -1 where none does."""
        border = next_beginning(held, begin, but=self._but)
        if self._tells_no_end:
            chain = chain_begin(held, begin, border if border >= 0 else len(held), but=self._chain)
            border = border if chain < 0 else chain
        return border

    def _doubtful_bytes(self, held: bytes, begin: int) -> int:
        """Return how much at the end of what is held may be the next one's."""
        doubtful = 0 if self._ended else doubtful_bytes(held, begin, but=self._but)
        if self._ended or not (doubtful or self._tells_no_end):
            return doubtful
        if self._comes_soon():
            return max(doubtful, min(LOOK_BYTES, len(held)) if self._tells_no_end else 0)
        return doubtful if doubtful == len(held) else 0  # of live sound the next may take a second

    def _copy(self, spool: Any) -> None:
        """Write all that comes."""
        size = 0
        while self._fill(1):
            size += len(self._held)
            if size > self._spool_bytes_max:
                raise ValueError("this format ends with what it begins with: give its name")
            rest = memoryview(bytes(self._held))
            while rest:
                rest = rest[spool.write(rest) :]
            self._held.clear()

    def _comes_soon(self) -> bool:
        """Return whether there is more, or will be at once: what `cat` writes does not wait."""
        try:
            return bool(select.select([self._raw], [], [], _SOON_S)[0])
        except (OSError, ValueError, TypeError):
            return True  # no pipe: it does not wait either

    def _find_first(self) -> None:
        """Leave out what stands before the first sound."""
        self._leave_out_tags()
        while next_beginning(bytes(self._held)) < 0:
            is_sound = not _NO_SOUND_YET.fullmatch(self._held)
            if is_sound or len(self._held) > _JUNK_MAX or not self._fill_more():
                return
        if not begins(bytes(self._held[:LOOK_BYTES])):  # else a short sound without a mark is first
            del self._held[: next_beginning(bytes(self._held))]

    def _leave_out_tags(self) -> None:
        self._fill(MARK_BYTES)
        while length := padding_bytes(held := bytes(self._held)) or tag_bytes(held):
            self._leave_out(length)
            self._fill(MARK_BYTES)

    def _leave_out(self, count: int) -> None:
        while count and self._fill(1):
            left = min(count, len(self._held))
            del self._held[:left]
            count -= left

    def _peek(self, count: int, at: int) -> bytes:
        if at + count <= _HEAD_BYTES_MAX:
            self._fill(at + count)
        return bytes(self._held[at : at + count])

    def _fill_more(self) -> bool:
        return self._fill(len(self._held) + 1)

    def _fill(self, count: int) -> bool:
        """Read until `count` bytes are held; return whether there are as many."""
        while len(self._held) < count and not self._ended:
            more = self._raw.read(_READ_BYTES)
            if more is None:  # nothing yet, of a pipe that does not wait
                select.select([self._raw], [], [])
            elif more:
                self._held += more
            else:
                self._ended = True
        return len(self._held) >= count
