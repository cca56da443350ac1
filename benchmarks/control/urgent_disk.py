"""The disk under an urgent message: an order waits for it as in the shell, its effects follow."""

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.events import Persist
from node.shell.broker.ahead import WAIT_S, keeper
from node.shell.loop.core_sound import CoreLock
from node.shell.store.store import Store
from node.units import NS_PER_MS

_IDLE_S: Final = 10.0
"""A disk that has not written a few kilobytes by then is no disk to measure on."""


class UrgentDisk:
    """A store of two copies in a folder of its own, on the disk of `TMPDIR`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="urgent-")
        self._store = Store(Path(self._folder.name) / "state")
        self._more = threading.Event()
        self._store.on_durable = self._more.set
        self._lock = CoreLock()
        self.unkept = 0
        """Orders that acted before the disk had them."""

    def keep_ahead(self, foresee: Callable[[bytes, int], Persist | None], sealed: bytes) -> float:
        """Return how long an order waits for the disk before it acts, in ms of this machine.

        It is the disk of a node that has had nothing to write for a while.
        """
        self._wait(self._store.number, _IDLE_S)
        begin_ns = time.perf_counter_ns()
        if not self._wait(keeper(foresee, self._store, self._lock)(sealed), WAIT_S):
            self.unkept += 1
        return (time.perf_counter_ns() - begin_ns) / NS_PER_MS

    def keep(self, changes: dict[str, bytes]) -> None:
        """Write what an order changed; nothing waits for it."""
        if changes:
            self._store.keep_soon(changes)

    def __enter__(self) -> "UrgentDisk":
        return self

    def __exit__(self, *_: object) -> None:
        """Take the folder away."""
        self._store.close()
        self._folder.cleanup()

    def _wait(self, number: int, most_s: float) -> bool:
        """Return whether the disk has `number` within `most_s`."""
        end_s = time.monotonic() + most_s
        while self._store.durable < number:
            self._more.clear()
            if self._store.durable >= number:
                break
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not self._more.wait(left_s):
                return self._store.durable >= number
        return True
