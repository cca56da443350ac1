"""A chained Ogg stream, taken apart: each link is a file of its own (RFC 3533, section 4).

FFmpeg's demuxer ends where the next link has other channels, another rate or other headers, which
is each change of track of a web radio, and keeps the first link's header gain. So each link is
opened anew. Its first pages say that something begins; a link ends before the next such page.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

PATTERN: Final = b"OggS"
_HEADER_BYTES: Final = 27
_BEGINS: Final = 2
"""Of the header type (RFC 3533, section 6): first page of a logical stream."""
_READ_BYTES: Final = 1 << 16
_CRC_AT: Final = 22
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ONES: Final = 0xFFFFFFFF


class Readable(Protocol):
    """What bytes come from: as many as there are, at most so many; none at the end."""

    def read(self, count: int, /) -> bytes | None:
        """Return the next bytes."""


class Link:
    """One link, for a demuxer to read."""

    def __init__(self, links: "OggLinks") -> None:
        self._links = links

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes of this link; none at its end."""
        return self._links.read(count)


class OggLinks:
    """Give the links of a stream, one after another, each to be read to its end.

    Parameters
    ----------
    raw : Readable
        A file, a pipe or a connection.
    begin : bytes
        What was read of it already.
    damage : callable
        Called for each page whose bytes are not what was written, and each place that is no page.
    cut : callable
        Called when the stream ends in the middle of a page.
    """

    def __init__(
        self,
        raw: Readable,
        begin: bytes = b"",
        *,
        damage: Callable[[], None] = lambda: None,
        cut: Callable[[], None] = lambda: None,
    ) -> None:
        self._raw = raw
        self._damage = damage
        self._cut = cut
        self._held = bytearray(begin)
        self._page = b""
        self._at_border = False
        self._in_head = True
        self._ended = False
        self._looked_inside = False
        self.passed_over_bytes = 0
        """At the end, of what is no page."""

    def __iter__(self) -> Iterator[Link]:
        """Yield each link; what was left unread of one is skipped."""
        while self._page or self._held or self._fill(1):
            self._at_border = False
            self._in_head = True
            yield Link(self)
            while self.read(_READ_BYTES):
                pass

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes of the present link; none at its end."""
        if not self._page and not self._at_border:
            self._page = self._next_page()
            begins = len(self._page) > 5 and bool(self._page[5] & _BEGINS)
            self._at_border = begins and not self._in_head
            self._in_head = begins
        if self._at_border:
            return b""
        given, self._page = self._page[:count], self._page[count:]
        return given

    def _next_page(self) -> bytes:
        """Return the next whole page.

        What stands between pages is none and is left out, and so is one whose bytes are not what
        was written: a demuxer would leave it out too, or trust its length.
        """
        is_junk = False
        while True:
            at = self._held.find(PATTERN)
            if at < 0:
                is_junk |= len(self._held) >= len(PATTERN)
                passed = max(0, len(self._held) - len(PATTERN) + 1)
                self.passed_over_bytes += passed
                del self._held[:passed]
                if not self._fill(len(self._held) + 1):
                    if is_junk and not self._looked_inside:
                        self._damage()  # it may have been the last page
                    self.passed_over_bytes += len(self._held)
                    self._held.clear()
                    return b""
                continue
            del self._held[:at]
            length = self._page_bytes()
            if length == 0 and (self._looked_inside or PATTERN not in self._held[1:]):
                return self._rest()
            page = bytes(self._held[:length])
            is_whole = length > 0 and _is_whole(page)
            if not is_whole or ((is_junk or at > 0) and not self._looked_inside):
                self._damage()
            is_junk = False
            if is_whole:
                self.passed_over_bytes = 0
                del self._held[:length]
                self._looked_inside = False
                return page
            # A wrong length may have swallowed the next one. Looked for only once before a good
            # page, so that the time which any bytes take has a bound.
            del self._held[: length if self._looked_inside else len(PATTERN)]
            self._looked_inside = not self._looked_inside

    def _page_bytes(self) -> int:
        """Return how long the page is that is held; 0 when the stream ends within it."""
        if not self._fill(_HEADER_BYTES):
            return 0
        segments = self._held[_HEADER_BYTES - 1]
        if not self._fill(_HEADER_BYTES + segments):
            return 0
        lacing = self._held[_HEADER_BYTES : _HEADER_BYTES + segments]
        length = _HEADER_BYTES + segments + sum(lacing)
        return length if self._fill(length) else 0

    def _rest(self) -> bytes:
        """Return what a stream that was cut off ends with."""
        rest = bytes(self._held)
        self._held.clear()
        self._cut()
        return rest

    def _fill(self, count: int) -> bool:
        """Read until `count` bytes are held; return whether there were as many."""
        while len(self._held) < count and not self._ended:
            more = self._raw.read(_READ_BYTES)
            if more:
                self._held += more
            else:
                self._ended = True
        return len(self._held) >= count


def _is_whole(page: bytes) -> bool:
    """Return whether a page is as it was written (RFC 3533, section 6).

    Its CRC goes through each byte from the highest bit on, that of zlib from the lowest.
    """
    said = int.from_bytes(page[_CRC_AT : _CRC_AT + 4], "little")
    bare = page[:_CRC_AT] + bytes(4) + page[_CRC_AT + 4 :]
    mirrored = zlib.crc32(bare.translate(_MIRRORED), _ONES) ^ _ONES
    return int(f"{mirrored:032b}"[::-1], 2) == said
