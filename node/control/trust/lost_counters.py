"""After the counters of orders were lost: what was issued until then may have acted already.

```
 issued:  ── refused, it may be old ──┤ since ├── new, it acts once ──┤ now + AGREES_S ├── refused
```
`since` is when a clock could first be believed again; until one is, the floor under the time. A
machine that was ahead has signed orders of the future that may be old too: as long as one of them
can live, no order of the future is believed. Who signs again, with a clock that is right, is heard.
"""

from collections.abc import Mapping
from typing import Final

from node.control.trust.message import TTL_MAX_S, Kind, Message
from node.events import Persist

KEY: Final = "counters-lost"
"""Seconds since 1970, or `UNKNOWN`."""

UNKNOWN: Final = b"lost"
"""They were lost, and no clock has said when."""

AGREES_S: Final = 600
"""The date of an order agrees with our own clock when it is no further from it."""


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
        self._open, self._since_s = False, max(self._since_s, utc_s)
        return Persist(KEY, b"%d" % self._since_s)

    def refusal(self, message: Message, utc_s: int | None) -> str | None:
        """Return why nobody can tell that `message` is new, or None; `utc_s` is None if unknown.

        A revocation does no harm twice.
        """
        if self._since_s is None or message.kind is Kind.REVOCATION:
            return None
        if message.issued_s <= self._since_s:
            return "replayed"
        if utc_s is None or utc_s > self._since_s + 2 * TTL_MAX_S:
            return None
        return "issued in the future" if message.issued_s > utc_s + AGREES_S else None
