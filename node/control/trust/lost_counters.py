"""After the counters of orders were lost: what was issued until then may have acted already.

```
 issued:  ── refused, it may be old ──┤ since ├── new, it acts once ──►
```
`since` is when a clock could first be believed again; until one is, the floor under the time. What
a machine signed that was further ahead than `APART_S` looks new: it may act again within its time
to live. To refuse all that is later would refuse that machine's new warnings too.
"""

from collections.abc import Mapping
from typing import Final

from node.control.trust.message import Kind, Message
from node.events import Persist

KEY: Final = "counters-lost"
"""Seconds since 1970, or `UNKNOWN`."""

UNKNOWN: Final = b"lost"
"""They were lost, and no clock has said when."""

APART_S: Final = 10
"""So much may the clock of a machine that signs be ahead of ours without anybody's fault."""


class LostCounters:
    """Whether counters were lost, and until when what was issued may be old."""

    def __init__(self, stored: Mapping[str, bytes], *, damaged: bool, floor_s: int) -> None:
        kept = stored.get(KEY, b"")
        self._since_s: int | None = None
        self._open = damaged or (bool(kept) and not kept.isdigit())
        if self._open or kept:
            self._since_s = max(floor_s, 0 if self._open else int(kept))

    def receive_time(self, utc_s: int) -> Persist | None:
        """Take a time that is believed; return what to keep, the first time."""
        if not self._open or self._since_s is None:
            return None
        self._open, self._since_s = False, max(self._since_s, utc_s + APART_S)
        return Persist(KEY, b"%d" % self._since_s)

    def may_be_old(self, message: Message) -> bool:
        """Return whether nobody can tell that `message` is new; a revocation harms nobody twice."""
        is_late = self._since_s is not None and message.issued_s <= self._since_s
        return is_late and message.kind is not Kind.REVOCATION
