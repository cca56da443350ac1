"""What survives a power cut: keys and values in two copies, written by a thread of its own.

```
 loop thread                    writer thread
 keep_soon(changes) ─► waiting ─► one copy, on the disk ─► durable ─► the other copy
        └ number of the batch        └ answers may go out: `durable >= number`
```
An order that is kept before it acts, and what it changes then, go to one copy each, by turns
(`turns`); the other one has them with what comes next, or a second later.
A disk that is full, broken, read-only, slow or taken by another process keeps nobody waiting: the
node goes on with what it has in memory, `fault` says why, and what waits is written as soon as the
disk takes it. Each copy holds everything, with digests (`one_copy`), so that what one lost the
other one has (`copies`).
"""

import errno
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.shell.faults import ShellError
from node.shell.store.anew import Anew, sizes_of
from node.shell.store.copies import Joined, after_loss, join
from node.shell.store.disk import Disk, RealDisk
from node.shell.store.legacy import SQLITE_MAGIC, read_legacy
from node.shell.store.one_copy import (
    FILE_BYTES_MAX,
    FILE_MAGIC,
    FileContent,
    Kept,
    batch_record,
    read_file,
    whole_file,
)
from node.shell.store.read import copies_of
from node.shell.store.told import disk_fault, lines_about, path_fault
from node.shell.store.turns import Turns, may_wait

LOG: Final = logging.getLogger("loalang.store")

KEYS_MAX: Final = 20_000
"""Far more than the core keeps; beyond it a new key is refused: no old one is pushed out."""

RETRY_S: Final = (1.0, 30.0)
"""Wait before a disk that refused is tried again: doubled from the first to the second."""

SLOW_S: Final = 1.0
"""A batch that is not on the disk after so long is told of."""

CLOSE_WAIT_S: Final = 3.0
"""What the last writes may take."""

_OWED_S: Final = 1.0
"""Both copies have all after so long, whether more comes or not."""

_KEEP_TIMEOUT_S: Final = 10.0


class Store:
    """Keys and values.

    Parameters
    ----------
    path : Path or None
        First copy; the second one is beside it, with ".2" after its name. None keeps everything in
        memory only.
    disk : Disk or None
        Where the files are; None is the machine's own disk.

    Raises
    ------
    ShellError
        If `path` is a folder, or in a folder that is not there: the configuration is wrong. What is
        wrong with the disk is never raised: see `fault`.
    """

    def __init__(self, path: Path | None, *, disk: Disk | None = None) -> None:
        self._path = path
        self._copies: tuple[Path, ...] = () if path is None else copies_of(path)
        self._disk = disk or RealDisk()
        self._values: dict[str, bytes] = {}
        self._batch_of: dict[str, int] = {}
        self._batch = 0
        self._number = 0
        self._durable = 0
        self._waiting: dict[str, bytes] = {}
        self._waiting_since_s: float | None = None
        self._fault: str | None = None
        self._locked = False
        self._ended = False
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._turns = Turns(self._copies)
        self._anew = Anew(self._disk, self._turns)
        self.refused = 0
        """New keys that were not taken, because there were too many."""
        self.lost: tuple[str, ...] = ()
        """Lines about what was lost or repaired when the store was opened."""
        self.trust_lost = False
        """Whether what was lost may be a revocation or a counter."""
        self.on_durable: Callable[[], None] = lambda: None
        """Called, mostly on the writer's thread, when more is kept, or the disk's state changes."""
        if path is not None:
            self._open(path)

    @property
    def path(self) -> Path | None:
        """Return the first copy; None where nothing is kept."""
        return self._path

    @property
    def durable(self) -> int:
        """Number of the last `keep_soon` that survives a power cut."""
        return self._durable

    @property
    def number(self) -> int:
        """Number of the last `keep_soon`; the next one has the next."""
        return self._number

    def kept(self) -> dict[str, bytes]:
        """Return all that was kept, in the order of the keys."""
        with self._condition:
            return dict(sorted(self._values.items()))

    def keep_soon(self, changes: Mapping[str, bytes]) -> int:
        """Keep `changes`, all or none of them; return the number to wait for. Never blocks."""
        with self._condition:
            taken = {key: value for key, value in changes.items() if self._has_room(key)}
            self._number += 1
            self._values |= taken
            if self._path is None:
                self._durable = self._number
            else:
                self._waiting |= taken
                if self._waiting_since_s is None:
                    self._waiting_since_s = time.monotonic()
                self._condition.notify_all()
            number = self._number
        if self._path is None:
            self.on_durable()
        return number

    def keep(self, changes: Mapping[str, bytes]) -> None:
        """Keep `changes`; when this returns, they survive a power cut.

        Raises
        ------
        ShellError
            If the disk does not take it.
        """
        if not changes:
            return
        number = self.keep_soon(changes)
        with self._condition:
            self._condition.wait_for(
                lambda: self._durable >= number or self._fault is not None, _KEEP_TIMEOUT_S
            )
            if self._durable < number:
                raise ShellError(f"store.path = {self._path}: {self._fault or 'the disk is slow'}")

    def fault(self) -> str | None:
        """Return why nothing can be kept now, for a person; None while all is well."""
        with self._condition:
            since_s = self._waiting_since_s
            if self._fault is None and since_s is not None:
                waits_s = time.monotonic() - since_s
                if waits_s > SLOW_S:
                    return f"the disk is slow: a write takes {waits_s:.0f} s and more"
            if self._fault is None and self.refused:
                return f"{KEYS_MAX} keys: no new ones are taken"
            return self._fault

    def close(self) -> None:
        """Write what waits, if the disk takes it within seconds, and let go of the files."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)
            if self._thread.is_alive():  # it has the files, and lets go of them
                LOG.warning("store.path = %s: the disk did not take the last writes", self._path)

    def _has_room(self, key: str) -> bool:
        if key in self._values or len(self._values) < KEYS_MAX or key.startswith("shell/"):
            return True
        self.refused += 1
        return False

    def _open(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise path_fault(path, "no such folder", missing=path.parent)
        if path.is_dir():
            raise path_fault(path, "is a folder")
        copies = {str(one): self._read(one) for one in self._copies}
        legacy = self._legacy(path) if self._fault is None else None
        joined = legacy or join(copies)
        self._values = after_loss(joined)
        forgotten = len(joined.values.keys() - self._values.keys())
        self._batch = joined.number
        known = joined.values
        self._batch_of = {k: known[k].number if k in known else self._batch for k in self._values}
        self.trust_lost = joined.trust_lost
        self.lost = tuple(lines_about(joined, forgotten))
        for line in self.lost:
            LOG.warning("store.path = %s: %s", path, line)
        clean = all(one is not None and _clean(one, joined.number) for one in copies.values())
        if clean:
            self._anew.sizes = {Path(name): sizes_of(one) for name, one in copies.items() if one}
        self._thread = threading.Thread(
            target=self._write_then_let_go,
            args=(not clean, joined.lost),
            name="store",
            daemon=True,
        )
        self._thread.start()

    def _read(self, path: Path) -> FileContent | None:
        try:
            data = self._disk.read(path, FILE_BYTES_MAX)
        except OSError as fault:
            self._fault = disk_fault(fault)
            LOG.warning("%s: cannot be read: %s", path, self._fault)
            return FileContent(damaged=True)
        return None if data is None else read_file(data)

    def _legacy(self, path: Path) -> Joined | None:
        """Return what a store of an earlier version holds, if `path` is one."""
        start = self._disk.read(path, len(SQLITE_MAGIC))
        return read_legacy(path) if start == SQLITE_MAGIC else None

    def _write_then_let_go(self, rewrite: bool, damaged: bool) -> None:
        """Write until the end, whenever that is: another store may want the files then."""
        with closing(self._disk):
            self._write_all(rewrite, damaged)

    def _write_all(self, rewrite: bool, damaged: bool) -> None:
        """Write what comes until the store is closed (on the writer's thread)."""
        wait_s = RETRY_S[0]
        stale = set(self._copies) if rewrite else set()
        while True:
            work = self._next_work(stale)
            if work is None:
                return
            if damaged:
                damaged = not self._set_aside()
            fault = self._write(stale, work)
            ended = self._note_written(work, fault)
            if fault is None:
                wait_s = RETRY_S[0]
                continue
            if ended:
                return
            with self._condition:
                self._condition.wait_for(lambda: self._ended, wait_s)
            wait_s = min(2 * wait_s, RETRY_S[1])

    def _next_work(self, stale: set[Path]) -> "_Work | None":
        """Wait for something to write; None when the store is closed and all is written."""
        with self._condition:
            if not stale:
                wait_s = None if self._turns.are_even else _OWED_S
                wait_s = 0.0 if self._anew.is_due else wait_s
                self._condition.wait_for(lambda: bool(self._waiting) or self._ended, wait_s)
                if self._ended and not self._waiting and self._turns.are_even:
                    self._anew.drop()
                    return None
            changes, self._waiting = self._waiting, {}
            if changes:
                self._batch += 1
                self._batch_of |= dict.fromkeys(changes, self._batch)
            whole: dict[str, Kept] = {}
            if stale or self._anew.begins:
                whole = {k: Kept(self._batch_of[k], v) for k, v in self._values.items()}
            record = batch_record(self._batch, changes) if changes else b""
            return _Work(self._number, self._batch, changes, whole, record)

    def _note_written(self, work: "_Work", fault: str | None) -> bool:
        """Tell what became of `work`; return whether the store is being closed."""
        with self._condition:
            was, self._fault = self._fault, fault
            if self._durable < work.number:  # neither copy has it
                self._waiting = work.changes | self._waiting
            if not self._waiting:
                self._waiting_since_s = None
            ended = self._ended
            self._condition.notify_all()
        if fault is not None and was != fault:
            LOG.error("store.path = %s: %s; nothing new survives a restart", self._path, fault)
        elif was is not None and fault is None:
            LOG.info("store.path = %s: the disk takes writes again", self._path)
        if was != fault:
            self.on_durable()
        return ended

    def _write(self, stale: set[Path], work: "_Work") -> str | None:
        """Bring both copies up to date; return what the disk said to one of them, or None."""
        fault: str | None = None
        for copy in self._turns.order():
            try:
                self._lock()
                if copy in stale:
                    self._rewrite(copy, work)
                    stale.discard(copy)
                else:
                    self._append(copy, self._turns.due(copy, work.record))
            except OSError as refusal:
                # After a failed write nobody knows what the file holds: it is written anew.
                stale.add(copy)
                fault = disk_fault(refusal)
                continue
            finally:
                self._turns.note(copy)
            if work.number > self._durable:
                with self._condition:
                    self._durable = work.number
                    self._condition.notify_all()
                self.on_durable()
            if fault is None and not work.whole and may_wait(work.changes):
                for other in set(self._copies) - {copy}:
                    self._turns.owe(other, work.record)
                break
        if fault is not None:
            self._anew.drop()
            return fault
        return self._write_anew(stale, work)

    def _write_anew(self, stale: set[Path], work: "_Work") -> str | None:
        """Go on with a copy that has grown too long; return what the disk said."""
        copy = self._anew.copy
        try:
            whole = (lambda: whole_file(work.whole, work.batch)) if work.whole else None
            self._anew.step(work.record, whole)
        except OSError as refusal:
            stale |= {copy} if copy else set()
            return disk_fault(refusal)
        return None

    def _rewrite(self, copy: Path, work: "_Work") -> None:
        data = whole_file(work.whole, work.batch)
        self._disk.replace(copy, data)
        self._anew.note_whole(copy)
        self._anew.sizes[copy] = (len(data), len(data))

    def _append(self, copy: Path, record: bytes) -> None:
        if not record:
            return
        self._anew.settle(copy)
        whole_bytes, size_bytes = self._anew.sizes[copy]
        try:
            self._disk.append(copy, record)
        except OSError:
            self._disk.cut(copy, size_bytes)
            raise
        self._anew.sizes[copy] = (whole_bytes, size_bytes + len(record))

    def _lock(self) -> None:
        if not self._locked:
            path = self._copies[0]
            self._locked = self._disk.lock(path.with_name(path.name + ".lock"))
            if not self._locked:
                raise OSError(errno.EAGAIN, "another process has the store")

    def _set_aside(self) -> bool:
        """Keep what could not be read for who wants to look at it; return whether that is done."""
        try:
            self._lock()
            for copy in self._copies:
                self._disk.set_aside(copy)
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class _Work:
    """What the writer's thread writes at once."""

    number: int
    """Of the last `keep_soon` in it."""
    batch: int
    changes: dict[str, bytes]
    whole: dict[str, Kept]
    """All keys, if a copy is to be written anew."""
    record: bytes
    """What a copy gets at its end."""


def _clean(one: FileContent, last: int) -> bool:
    return not one.damaged and not one.torn and len(one.heads) == 1 and one.end == last


assert len(FILE_MAGIC) == len(SQLITE_MAGIC), "either is told by its first bytes"
