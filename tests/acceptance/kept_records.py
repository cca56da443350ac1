"""What a node has on its disk of what it played: what a test waits for before it ends the node."""

import time
from pathlib import Path

from node.shell.store.read import read_kept


def wait_for_records(store: Path, count: int, limit_s: float = 40.0) -> None:
    """Return when the disk has so many records, and not before."""
    end_s = time.monotonic() + limit_s
    while (kept := _records(store)) < count:
        assert time.monotonic() < end_s, f"{kept} of {count} records"
        time.sleep(0.05)


def _records(store: Path) -> int:
    blocks = [v for k, v in read_kept(store).items() if k.startswith("proof/")]
    return sum(len(one.split(b"\n")) for one in blocks)
