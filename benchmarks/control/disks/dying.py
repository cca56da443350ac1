"""A process that keeps things on a real disk and is killed at each of its writes, one by one."""

import itertools
import os
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from node.shell.store.disk import RealDisk
from node.shell.store.store import Store

STAGES: Final = ("before", "in the middle", "after")
"""Where in a write the process dies."""


class DyingDisk(RealDisk):
    """The real disk; in its write `number` the process dies by SIGKILL."""

    def __init__(self, number: int, stage: str) -> None:
        super().__init__()
        self._left = number
        self._stage = stage

    def append(self, path: Path, data: bytes) -> None:
        """Add to a file, or die."""
        self._die("before")
        if self._left == 0 and self._stage == "in the middle":
            super().append(path, data[: len(data) // 2])
        self._die("in the middle")
        super().append(path, data)
        self._die("after")
        self._left -= 1

    def grow(self, path: Path, data: bytes, *, at_bytes: int) -> None:
        """Write some of a file anew, or die: it lies beside the old one then."""
        self._die("before")
        if self._left == 0 and self._stage == "in the middle":
            super().grow(path, data[: len(data) // 2], at_bytes=at_bytes)
        self._die("in the middle")
        super().grow(path, data, at_bytes=at_bytes)
        self._die("after")
        self._left -= 1

    def rename(self, path: Path) -> None:
        """Give it its name, or die."""
        self._die("before")
        self._die("in the middle")
        super().rename(path)
        self._die("after")
        self._left -= 1

    def _die(self, stage: str) -> None:
        if self._left == 0 and self._stage == stage:
            os.kill(os.getpid(), signal.SIGKILL)


def kills(batches: list[dict[str, bytes]]) -> list[str | None]:
    """Kill a process that keeps `batches` at each of its writes; return what was wrong, for each.

    What it knew to be on the disk must be there, and of what it did not all or nothing.
    """
    found: list[str | None] = []
    for number in itertools.count():
        for stage in STAGES:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "kept.db"
                known, died = _run(path, batches, DyingDisk(number, stage))
                if not died:
                    assert stage == STAGES[0], "a write that is there ends it in each stage"
                    return found
                wrong = _wrong(path, batches, known)
                found.append(f"killed {stage} write {number}: {wrong}" if wrong else None)
    raise AssertionError("a process has an end")


def _run(path: Path, batches: list[dict[str, bytes]], disk: RealDisk) -> tuple[int, bool]:
    """Keep `batches` in a process; return how many it knew to be on the disk, and if it died."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        store = Store(path, disk=disk)
        for one in batches:
            number = store.keep_soon(one)
            while store.durable < number:
                time.sleep(0.0002)
            os.write(tell, b"1")
        store.close()
        os._exit(0)
    os.close(tell)
    _, status = os.waitpid(child, 0)
    with os.fdopen(told, "rb") as pipe:
        return len(pipe.read()), os.WIFSIGNALED(status)


def _wrong(path: Path, batches: list[dict[str, bytes]], known: int) -> str:
    """Return what is not as it must be at the next start, or nothing."""
    store = Store(path)
    values = store.kept()
    store.close()
    states: list[dict[str, bytes]] = [{}]
    for one in batches:
        states.append(states[-1] | one)
    if store.trust_lost:
        return "it takes revocations for lost"
    return "" if values in states[known:] else f"not what {known} batches and more had kept"
