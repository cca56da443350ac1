"""Each order acts once: a counter per issuer that only rises, kept on disk before anything acts."""

from typing import Final

import msgspec

from node.control.trust.authority import AUTHORITIES_MAX

KEY: Final = "counters"

STEP_MAX: Final = 1 << 50
"""A counter may jump this far: an issuer that counts by the millisecond may rest for millennia, and
one slip of a tool does not use up the 64 bits."""


class ReplayGuard:
    """The highest counter accepted from each issuer."""

    def __init__(self, stored: bytes | None) -> None:
        self._highest: dict[str, int] = {}
        self.damaged = False
        """The stored counters could not be read: only the shell's second copy can help."""
        if stored is not None:
            try:
                self._highest = msgspec.json.decode(stored, type=dict[str, int])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.damaged = True

    def is_new(self, key_id: bytes, counter: int) -> bool:
        """Return whether `counter` has not been used; changes nothing."""
        highest = self._highest.get(key_id.hex())
        if highest is None:
            return len(self._highest) < 2 * AUTHORITIES_MAX
        return highest < counter <= highest + STEP_MAX

    def advance(self, key_id: bytes, counter: int) -> bytes:
        """Use `counter` up; return what must be on disk under `KEY` before the order acts."""
        assert self.is_new(key_id, counter), "advance only what is new"
        self._highest[key_id.hex()] = counter
        return msgspec.json.encode(self._highest)
