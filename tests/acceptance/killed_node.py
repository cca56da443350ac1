"""A node that dies of SIGKILL at a chosen write of an order: `POINT run --config ...`."""

import os
import signal
import sys
from pathlib import Path

from node.control.trust.ahead import PREFIX
from node.shell.cli import main
from node.shell.store.disk import RealDisk

POINTS = ("after the first", "before the second", "within the second")
"""Writes of an order: it is kept, acts, and what it changed is kept."""


class DyingDisk(RealDisk):
    """The real disk, and where the process ends on it."""

    point = ""
    seen = False

    def append(self, path: Path, data: bytes) -> None:
        """Write, or die."""
        if self.seen:
            if self.point == "within the second":
                super().append(path, data[: len(data) // 2])
            die()
        self.seen = PREFIX.encode() in data
        super().append(path, data)
        if self.seen and self.point == "after the first":
            die()


def die() -> None:
    """End as by `kill -9`: nothing is written, closed or said any more."""
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from node.shell.broker import ahead
    from node.shell.store import store

    # It acts between its writes on a slow disk too.
    ahead.WAIT_S, store.SLOW_S = 10.0, 60.0  # type: ignore[misc]
    DyingDisk.point = sys.argv[1]
    store.RealDisk = DyingDisk  # type: ignore[misc]
    sys.exit(main(sys.argv[2:]))
