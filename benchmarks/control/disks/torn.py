"""A disk in memory that refuses, is slow, and loses its power in the middle of a write."""

import errno
import os
import time
from pathlib import Path


class TornDisk:
    """The files of a store, and what is to go wrong with them."""

    def __init__(self, files: dict[Path, bytes] | None = None) -> None:
        self.files = dict(files or {})
        self.refuse: list[int] = []
        """Error numbers of the next writes; 0 lets one pass."""
        self.cut_at: int | None = None
        """The power fails in the write that would bring the bytes written to so many."""
        self.written = 0
        self.dark = False
        self.slow_s = 0.0
        self.spoils_bytes = 0
        """How much before a write that the power ends is lost too, as on a memory card."""
        self.forgets_names = False
        """A power cut leaves the old file where the folder was not written after the new one."""
        self.unsettled_writes = 0
        """Writes at the end of a file that a power cut may take away."""
        self._grown: dict[Path, bytes] = {}
        self._old: dict[Path, bytes] = {}

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """Return what a file holds, or None."""
        data = self.files.get(path)
        return None if data is None else data[:bytes_max]

    def append(self, path: Path, data: bytes) -> None:
        """Add to a file, or to a part of it when the power fails."""
        was_dark, before = self.dark, self.files[path]
        self.unsettled_writes += path in self._old
        self.files[path] += data[: self._passes(len(data))]
        if self.dark:
            if not was_dark and self.spoils_bytes:
                kept = before[: max(len(before) - self.spoils_bytes, 0)]
                self.files[path] = kept + bytes(len(self.files[path]) - len(kept))
            raise OSError(errno.EIO, "dark")

    def cut(self, path: Path, size_bytes: int) -> None:
        """Leave the first bytes of a file."""
        if not self.dark:
            self.files[path] = self.files[path][:size_bytes]

    def replace(self, path: Path, data: bytes) -> None:
        """Put a whole file in place, or none of it."""
        if self._passes(len(data)) < len(data):
            raise OSError(errno.EIO, "dark")
        self.files[path] = data
        self._old.pop(path, None)

    def grow(self, path: Path, data: bytes, *, at_bytes: int) -> None:
        """Add to a file that has no name yet, or to a part of it."""
        passes = self._passes(len(data))
        self._grown[path] = self._grown.get(path, b"")[:at_bytes] + data[:passes]
        if self.dark:
            raise OSError(errno.EIO, "dark")

    def rename(self, path: Path) -> None:
        """Put the grown file in place; a power cut may take it away again."""
        if not self.dark:
            self._old[path] = self.files[path]
            self.files[path] = self._grown.pop(path)

    def settle(self, path: Path) -> None:
        """Put it there for good."""
        self._passes(0)
        if self.dark:
            raise OSError(errno.EIO, "dark")
        self._old.pop(path, None)

    def discard(self, path: Path) -> None:
        """Forget a file that has no name yet."""
        self._grown.pop(path, None)

    def set_aside(self, path: Path) -> None:
        """Keep a damaged file under another name."""
        if path in self.files:
            self.files[path.with_name(path.name + ".damaged")] = self.files.pop(path)

    def lock(self, path: Path) -> bool:
        """Nobody else has the store."""
        return True

    def close(self) -> None:
        """Let go of the files."""

    def _passes(self, count: int) -> int:
        """Return how many of `count` bytes reach the disk."""
        time.sleep(self.slow_s)
        number = self.refuse.pop(0) if self.refuse else 0
        if number:
            raise OSError(number, os.strerror(number))
        if self.dark:
            return 0
        before, self.written = self.written, self.written + count
        if self.cut_at is not None and self.written >= self.cut_at:
            self.dark = True
            self.files |= self._old if self.forgets_names else {}
            return max(self.cut_at - before, 0) if self.written > self.cut_at else count
        return count
