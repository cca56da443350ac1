"""What a power cut would leave: of a file what was synced, of a name what its folder had then."""

import os
import stat
from pathlib import Path


class PowerCut:
    """Stands in the place of `os.fsync`, and knows what is on the disk for good."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, int]] = {}
        self._contents: dict[int, bytes] = {}
        self._held: list[int] = []
        """So that no other file gets the number of one that is gone."""

    def sync(self, descriptor: int) -> None:
        """Put what `descriptor` shows on the disk."""
        number, path = os.fstat(descriptor).st_ino, Path(f"/proc/self/fd/{descriptor}")
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            folder = path.resolve()
            self._names[folder] = {one.name: one.inode() for one in os.scandir(folder)}
            return
        if number not in self._contents:
            self._held.append(os.dup(descriptor))
        self._contents[number] = path.read_bytes()

    def left(self, path: Path) -> bytes | None:
        """Return what a file holds after a cut now; None where it is not there."""
        number = self._names.get(path.parent.resolve(), {}).get(path.name)
        return None if number is None else self._contents.get(number, b"")

    def close(self) -> None:
        """Let go of all files."""
        for one in self._held:
            os.close(one)
