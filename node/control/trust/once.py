"""Each order acts once: of each key the counters of its latest orders, kept with what they changed.

```
            low                           highest
 ── refused ─┼── seen? refused; else taken ──┼── taken ──►  counter of an order
             the WINDOW highest that were taken
```
A counter is not a clock. A machine that was hours ahead leaves a few high numbers behind, and what
it signs after it was put right is as new as before; orders may overtake each other. Only who signs
`WINDOW` orders with a clock ahead and then puts it right is below the window, and is told so. What
never arrived and lies within the window is stopped by its time to live.
"""

from collections.abc import Container, Mapping
from typing import Final

import msgspec

from node.control.trust.authority import AUTHORITIES_MAX

PREFIX: Final = "counters/"

WINDOW: Final = 128
"""Orders of one key that may overtake each other; a value of 2 KiB on the disk."""

KEYS_MAX: Final = 2 * AUTHORITIES_MAX
"""Keys whose counters are kept: of all that have authority, and of as many that had it."""


class _Window(msgspec.Struct):
    low: int = -1
    """This counter and all below it are used up."""
    seen: list[int] = msgspec.field(default_factory=list)


class ReplayGuard:
    """The counters accepted from each key, as they are kept under `PREFIX` and its digits."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self._windows: dict[str, _Window] = {}
        self.damaged: list[str] = []
        """Keys whose kept counters could not be read: nothing of them is taken any more."""
        for name, value in stored.items():
            if not name.startswith(PREFIX) or not value:
                continue
            key = name.removeprefix(PREFIX)
            try:
                self._windows[key] = msgspec.json.decode(value, type=_Window)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.damaged.append(key)

    def refusal(self, key_id: bytes, counter: int) -> str | None:
        """Return why an order with this counter is not new, or None; changes nothing."""
        window = self._windows.get(key_id.hex())
        if window is None:
            return None
        if counter in window.seen:
            return "replayed"
        return None if counter > window.low else "overtaken by too many later ones"

    def advance(
        self, key_id: bytes, counter: int, known: Container[bytes] = ()
    ) -> list[tuple[str, bytes]]:
        """Use `counter` up; return what is kept, by its key, with what the order changes.

        When there is no place left, a key goes that is not in `known`: it has no authority.
        """
        assert self.refusal(key_id, counter) is None, "advance only what is new"
        kept: list[tuple[str, bytes]] = []
        name = key_id.hex()
        if name not in self._windows and len(self._windows) >= KEYS_MAX:
            idle = (one for one in self._windows if bytes.fromhex(one) not in known)
            gone = next(idle, next(iter(self._windows)))
            del self._windows[gone]
            kept.append((PREFIX + gone, b""))
        window = self._windows.setdefault(name, _Window())
        window.seen.append(counter)
        if len(window.seen) > WINDOW:
            window.low = min(window.seen)
            window.seen.remove(window.low)
        return [*kept, (PREFIX + name, msgspec.json.encode(window))]
