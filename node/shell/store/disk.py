"""The few things that the store asks of a disk; what they raise is always an `OSError`."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Final, Protocol

from node.shell.store.whole import sync_folder

FILE_MODE: Final = 0o600
"""The store holds the node's own key."""


class Disk(Protocol):
    """Files by their path. What returned is on the disk."""

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """Return what is in the file, at most `bytes_max`; None when it is not there."""

    def append(self, path: Path, data: bytes) -> None:
        """Put `data` at the end."""

    def cut(self, path: Path, size_bytes: int) -> None:
        """Let the file end after `size_bytes`."""

    def replace(self, path: Path, data: bytes) -> None:
        """Let the file hold `data`: all of it, or what it held before."""

    def grow(self, path: Path, data: bytes, *, at_bytes: int) -> None:
        """Put `data` at the end of what is to be the file, which holds `at_bytes` by now."""

    def rename(self, path: Path) -> None:
        """Let the file be what has grown; what it was may be there again after a power cut."""

    def settle(self, path: Path) -> None:
        """Let it be that for good."""

    def discard(self, path: Path) -> None:
        """Let nothing be left of what has grown and is not the file. Never raises."""

    def set_aside(self, path: Path) -> None:
        """Give the file another name, ".damaged" after its own, if it is there."""

    def lock(self, path: Path) -> bool:
        """Return whether nobody else has the lock `path`; it is ours from then on."""

    def close(self) -> None:
        """Let go of all files."""


class RealDisk:
    """The disk of the machine."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}
        self._locks: list[int] = []

    def read(self, path: Path, bytes_max: int) -> bytes | None:
        """Return what is in the file, at most `bytes_max`; None when it is not there."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read(bytes_max)

    def append(self, path: Path, data: bytes) -> None:
        """Put `data` at the end."""
        descriptor = self._open.get(path)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            descriptor = self._open[path] = os.open(path, flags)
        try:
            _write_all(descriptor, data)
            os.fdatasync(descriptor)
        except OSError:
            self._forget(path)
            raise

    def cut(self, path: Path, size_bytes: int) -> None:
        """Let the file end after `size_bytes`."""
        os.truncate(path, size_bytes)

    def replace(self, path: Path, data: bytes) -> None:
        """Let the file hold `data`: all of it, or what it held before."""
        self.grow(path, data, at_bytes=0)
        self.rename(path)
        self.settle(path)

    def grow(self, path: Path, data: bytes, *, at_bytes: int) -> None:
        """Put `data` at the end of what is to be the file, which holds `at_bytes` by now."""
        fresh = _fresh(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            descriptor = os.open(fresh, flags, FILE_MODE)
            try:
                os.fchmod(descriptor, FILE_MODE)
                os.ftruncate(descriptor, at_bytes)
                os.lseek(descriptor, at_bytes, os.SEEK_SET)
                _write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            self.discard(path)  # half of it would only take the disk's last space
            raise

    def rename(self, path: Path) -> None:
        """Let the file be what has grown; what it was may be there again after a power cut."""
        self._forget(path)
        os.replace(_fresh(path), path)

    def settle(self, path: Path) -> None:
        """Let it be that for good."""
        sync_folder(path.parent)

    def discard(self, path: Path) -> None:
        """Let nothing be left of what has grown and is not the file. Never raises."""
        with contextlib.suppress(OSError):
            _fresh(path).unlink()

    def set_aside(self, path: Path) -> None:
        """Give the file another name, ".damaged" after its own, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(path.name + ".damaged"))

    def lock(self, path: Path) -> bool:
        """Return whether nobody else has the lock `path`; it is ours from then on."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            os.close(descriptor)
            if fault.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        self._locks.append(descriptor)
        return True

    def close(self) -> None:
        """Let go of all files."""
        for descriptor in (*self._open.values(), *self._locks):
            os.close(descriptor)
        self._open.clear()
        self._locks.clear()

    def _forget(self, path: Path) -> None:
        descriptor = self._open.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
