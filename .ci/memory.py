"""Bounds on a system that .ci/system.py boots: memory, and for a while the processor."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Memory:
    """A bound on the memory of all that runs in the system, its page cache too; no swap.

    ```
    version 1   bound ◄ all            version 2   bound ─┬─ system ◄ its systemd and all below
                                                          └─ typed  ◄ commands from outside
    ```
    In version 2 a group that has groups below it holds no process, but for the root of each.
    """

    def __init__(self, most_mb: int | None) -> None:
        self._folder, self.why_not, self._is_new = None, "", False
        if most_mb is None:
            return
        old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        if old.is_dir():
            self._bind(old, most_mb, ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"))
        elif (new / "cgroup.controllers").exists():
            self._is_new = True
            try:
                (new / "cgroup.subtree_control").write_text("+memory")
            except OSError as fault:  # of a container: this script's own processes are in its root
                self.why_not = f": {new}/cgroup.subtree_control: {fault.strerror}"
                return
            self._bind(new, most_mb, ("memory.max",))
            (self._folder / "memory.swap.max").write_text("0")
            for below in ("system", "typed"):
                (self._folder / below).mkdir()

    def _bind(self, root: Path, most_mb: int, names: tuple[str, ...]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="loalang-boot-", dir=root))
        for name in names:
            if (self._folder / name).exists():
                (self._folder / name).write_text(str(most_mb << 20))

    def begin(self) -> None:
        """Put the process that calls this, which becomes the system, under the bound."""
        self._enter("system")

    def join(self) -> None:
        """Put the process that calls this, and its children, under the bound."""
        self._enter("typed")

    def _enter(self, below: str) -> None:
        if self._folder is not None:
            folder = self._folder / below if self._is_new else self._folder
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def verdict(self) -> str:
        """Return "yes" if it was enough, or what happened."""
        if self._folder is None:
            return f"not bound here{self.why_not}"
        counts = "memory.events" if self._is_new else "memory.oom_control"
        lines = (self._folder / counts).read_text().splitlines()
        killed = next(int(one.split()[1]) for one in lines if one.startswith("oom_kill "))
        return "yes" if killed == 0 else f"no, {killed} processes ended"

    def close(self) -> None:
        """Forget it, and what the system made below it."""
        if self._folder is not None:
            for one in sorted(self._folder.rglob("*/"), reverse=True):
                one.rmdir()
            self._folder.rmdir()

    def processes(self) -> list[str]:
        """Return all that is under the bound now."""
        lists = [] if self._folder is None else self._folder.rglob("cgroup.procs")
        return [pid for one in lists for pid in one.read_text().split()]


@contextmanager
def starving(processes: list[str], percent: int) -> Iterator[bool]:
    """Give processes and what they begin so much of one processor, for a while.

    Tells whether that can be done here: by groups of version 1, which bound what is real-time too.
    """
    root = Path("/sys/fs/cgroup/cpu")
    if not (root / "cgroup.procs").exists() or not processes:
        yield False
        return
    folder = Path(tempfile.mkdtemp(prefix="loalang-boot-", dir=root))
    (folder / "cpu.cfs_quota_us").write_text(str(percent * 1000))  # of 100 ms
    for name, value in (("cpu.rt_period_us", 100_000), ("cpu.rt_runtime_us", percent * 1000)):
        if (folder / name).exists():
            (folder / name).write_text(str(value))
    try:
        _move(processes, folder)
        yield True
    finally:
        _move((folder / "cgroup.procs").read_text().split(), root)
        folder.rmdir()


def _move(processes: list[str], folder: Path) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):  # it has ended
            (folder / "cgroup.procs").write_text(pid)
