"""Which of the two copies is written next: all but the last batch are in both.

```
            copy 1        copy 2
 order n    n ─ ─ ─ ─ ─►  owed         kept, and has not acted
 its end    owed ◄ ─ ─ ─  n, n + 1     what it changed
 next       n + 1, n + 2  owed
```
A write may spoil what stands before it in its file: a memory card loses a whole block where the
power fails. So each goes to the copy that lacks the last one, together with that, and what is on
the disk is in a file that is not being written. An order and what it did cost a write each. That
the last batch is in one copy only costs nothing: lost with that copy, the order acts again, from
the other one. What comes of no order that was kept goes to both at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node.control.trust.ahead import PREFIX

_BOTH: Final = ("certificate/", "revocation/", "root/", "shell/")
"""Keys that no kept order would bring again."""


def may_wait(changes: Mapping[str, bytes]) -> bool:
    """Return whether one copy may get `changes` later: they are an order that has not acted yet,
    or what one did that the other copy has.
    """
    if not changes or any(key.startswith(_BOTH) for key in changes):
        return False
    orders = {key: value for key, value in changes.items() if key.startswith(PREFIX)}
    return len(orders) == len(changes) or b"" in orders.values()


class Turns:
    """What each copy lacks."""

    def __init__(self, copies: tuple[Path, ...]) -> None:
        self._lacks = dict.fromkeys(copies, b"")
        self.unsettled: Path | None = None
        """A copy that has a new file, of which a power cut may leave the old one."""

    @property
    def are_even(self) -> bool:
        """Whether both copies hold the same, for good."""
        return self.unsettled is None and not any(self._lacks.values())

    def order(self) -> list[Path]:
        """Return the copies, the one to write first before the other."""
        return sorted(self._lacks, key=lambda one: not self._lacks[one])

    def due(self, copy: Path, record: bytes) -> bytes:
        """Return what to write at the end of `copy`, to bring it to `record`."""
        return self._lacks[copy] + record

    def note(self, copy: Path) -> None:
        """Note that `copy` has all, or is to be written anew."""
        self._lacks[copy] = b""

    def owe(self, copy: Path, record: bytes) -> None:
        """Let `copy` have `record` with what it gets next."""
        self._lacks[copy] += record
