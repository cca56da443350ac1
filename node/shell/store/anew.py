"""A copy that is written anew, some bytes at a time: between two writes others have their turn.

```
 as it is now ─► .new, a piece a write ─► what came since, and the name ─► its folder
                 └─────── meanwhile the old file takes all that comes ───────┘
```
Until it has the name the old file is whole, and all that is kept goes there too. What the folder
shows after a power cut is the one or the other, with the same in it: so that copy gets nothing more
before its folder is on the disk.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from node.shell.store.disk import Disk
from node.shell.store.one_copy import FileContent
from node.shell.store.turns import Turns

REWRITE_BYTES: Final = 1 << 20
"""A copy that has grown by this and by what it held when it was written anew is written anew."""

PIECE_BYTES: Final = 1 << 18
"""A memory card takes 30 ms for so much: whoever has something to keep waits no longer for it."""


class Anew:
    """What copies have grown to, and the one that is on its way to a new file.

    Parameters
    ----------
    disk : Disk
        Where they are.
    turns : Turns
        Of the copies.
    """

    def __init__(self, disk: Disk, turns: Turns) -> None:
        self._disk = disk
        self._turns = turns
        self.sizes: dict[Path, tuple[int, int]] = {}
        """What each held when it was written anew, and what it holds now, in bytes."""
        self._copy: Path | None = None
        self._whole_bytes = self._new_bytes = 0
        self._left = memoryview(b"")
        self._since = b""

    @property
    def begins(self) -> bool:
        """Whether a copy is to be written anew, of which nothing is written yet."""
        return self.copy is None and bool(self._overgrown())

    @property
    def copy(self) -> Path | None:
        """Return the copy that is on its way to a new file, or has one that is not settled."""
        return self._copy or self._turns.unsettled

    @property
    def is_due(self) -> bool:
        """Whether there is something to write, or will be when all that is kept is known."""
        return self.copy is not None or self.begins

    def step(self, record: bytes, whole: Callable[[], bytes] | None) -> None:
        """Write once, if there is something to write. Raises `OSError`, and has begun nothing then.

        record  what the old files have got since the last call
        whole   makes a file of all that is kept by now, if that is known
        """
        if self._copy is not None:
            self._since += record
        try:
            if self._turns.unsettled is not None:
                self.settle(self._turns.unsettled)
            elif self._copy is not None:
                self._go_on(self._copy)
            elif whole is not None and self.begins:
                self._copy = self._overgrown()[0]
                self._left = memoryview(whole())
                self._whole_bytes, self._new_bytes, self._since = len(self._left), 0, b""
        except OSError:
            self.drop()
            raise

    def settle(self, copy: Path) -> None:
        """Let the new file of `copy`, if it has one, have its name for good."""
        if self._turns.unsettled == copy:
            self._disk.settle(copy)
            self._turns.unsettled = None

    def note_whole(self, copy: Path) -> None:
        """Note that `copy` was written anew all at once, for good."""
        if self._turns.unsettled == copy:
            self._turns.unsettled = None

    def drop(self) -> None:
        """Give up what is on its way: the old file has all."""
        if self._copy is not None:
            self._disk.discard(self._copy)
        self._copy = None

    def _overgrown(self) -> list[Path]:
        sizes = self.sizes.items()
        return [one for one, (whole, now) in sizes if now > 2 * whole + REWRITE_BYTES]

    def _go_on(self, copy: Path) -> None:
        if self._left:
            self._grow(copy, bytes(self._left[:PIECE_BYTES]))
            self._left = self._left[PIECE_BYTES:]
            return
        if self._since:
            self._grow(copy, self._since)
        self._disk.rename(copy)
        self.sizes[copy] = self._whole_bytes, self._new_bytes
        # What the old file lacks is owed still: it may be the one that a cut leaves.
        self._turns.unsettled = copy
        self._copy = None

    def _grow(self, copy: Path, data: bytes) -> None:
        self._disk.grow(copy, data, at_bytes=self._new_bytes)
        self._new_bytes += len(data)


def sizes_of(content: FileContent) -> tuple[int, int]:
    """Return what a copy may have held when it was written anew, and what it holds now."""
    return min(content.good_bytes, REWRITE_BYTES), content.good_bytes
