"""Orders that are kept before they act, so that a power cut in between lets none act twice.

```
 verified ─► kept with its bytes ─► acts ─► what it changed is kept, its counter with it
                  │ cut              │ cut
                  └──────────────────┴──► acts at the next start, as if it had just come: once
```
Who keeps what came and sends it again later finds it used up. Where the disk is slow or refuses, an
order acts all the same: then it may act once more after a cut.
"""

from collections.abc import Mapping
from typing import Final

from node.control.trust.message import Message
from node.events import Persist

PREFIX: Final = "ahead/"

PLACES: Final = 32
"""Orders that may be kept so at once; more act without. A broker gives 20 before the first acts."""


class Ahead:
    """The orders that are kept and have not acted yet, each in a place of its own."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self._names = [f"{PREFIX}{place}" for place in range(PLACES)]
        self._left = {name: stored[name] for name in self._names if stored.get(name)}
        self._under_way: dict[tuple[bytes, int], str] = {}

    def keep(self, message: Message, sealed: bytes) -> Persist | None:
        """Return what must be on the disk before `message` acts; None when no place is left."""
        key = (message.key_id, message.counter)
        taken = {*self._left, *self._under_way.values()}
        free = (name for name in self._names if name not in taken)
        name = self._under_way.get(key) or next(free, None)
        if name is None:
            return None
        self._under_way[key] = name
        return Persist(name, sealed)

    def forget(self, message: Message) -> Persist | None:
        """Return what to keep with what `message` changed, or with its refusal."""
        name = self._under_way.pop((message.key_id, message.counter), None)
        return None if name is None else Persist(name, b"")

    def take_left(self) -> list[tuple[Persist, bytes]]:
        """Return the orders from before a cut, each with what is to be kept once it has acted."""
        left, self._left = self._left, {}
        return [(Persist(name, b""), sealed) for name, sealed in left.items()]
