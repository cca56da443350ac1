"""WAV files joined by `cat`: each is a file of its own, and whoever reads the first stops there.

```
RIFF size WAVE … data … │ RIFF size WAVE … data …
                        └── the size says where the first one ends
```
A size of 0 or of all ones is that of a file written into a pipe: it goes on to the end.
"""

import os
import struct
from typing import Any, Final

_HEADER: Final = struct.Struct("<4sI4s")
_UNKNOWN_FROM: Final = 0x7FFFF000
"""Programs that cannot go back write sizes from here on, or 0."""
_PARTS_MAX: Final = 10_000


class WavPart:
    """One of the files, for a demuxer to read and to seek in.

    Parameters
    ----------
    file : binary file
        Stays open as long as this is read.
    begin, end : int
        Where it stands in the file, in bytes.
    """

    def __init__(self, file: Any, begin: int, end: int) -> None:
        self._file = file
        self._begin = begin
        self._end = end
        self._at = begin

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes; none at the end."""
        self._file.seek(self._at)
        given = self._file.read(max(0, min(count, self._end - self._at)))
        self._at += len(given)
        return bytes(given)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the beginning of this part, from here, or from its end."""
        base = {os.SEEK_SET: self._begin, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = max(self._begin, base + offset)
        return self.tell()

    def tell(self) -> int:
        """Return where this stands, counted from the beginning of this part."""
        return self._at - self._begin


def wav_parts(file: Any) -> tuple[list[tuple[int, int]], int]:
    """Return where each WAV file in `file` begins and ends, and how many bytes the last one lacks.

    None where it is no WAV file.
    """
    size = file.seek(0, os.SEEK_END)
    parts: list[tuple[int, int]] = []
    at = 0
    while len(parts) < _PARTS_MAX:
        file.seek(at)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            break
        pattern, told, kind = _HEADER.unpack(header)
        if pattern != b"RIFF" or kind != b"WAVE":
            break
        is_told = 0 < told < _UNKNOWN_FROM
        end = at + 8 + told + told % 2 if is_told else size
        parts.append((at, min(end, size)))
        if end >= size:
            # The byte that makes the size even is often left out.
            return parts, max(0, end - told % 2 - size) if is_told else 0
        at = end
    if parts:  # what stands behind the last one is no sound of its own, but may belong to it
        parts[-1] = parts[-1][0], size
    return parts, 0
