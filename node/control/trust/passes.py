"""Passes: what tells a sender's packets from a flood of forgeries before a signature is checked.

```
 made:    end ─H► … ─H► pass 7 ─H► pass 6 ─H► pass 5      each is the digest of the one after it
 shown:                 pass 5     pass 6     pass 7      in the packets, in this order
```
A signature costs a hundred times what a digest does, so a node checks no more of them than it can
afford, and who forges the sender's address would use them up. Who has seen pass 5 knows at once
whether another is pass 6 (Lamport, "Password authentication with insecure communication", CACM
24(11), 1981), and nobody but the sender can make it. It is no proof of the packet: the signature
behind it is. It only says whose turn it is to be checked.
"""

from hashlib import blake2b
from typing import Final

PASS_BYTES: Final = 8
"""2^64 guesses for one packet's turn to be checked, which then fails."""

FIRST: Final = 1 << 12
"""Passes of the first chain: made in 4 ms, while the next is made beside them."""

GROWTH: Final = 32
"""Passes made for the next chain with each one that is taken: 131,072 last 44 minutes at 50 packets
a second. The first packet of a chain shows what nobody knows, and is checked within the budget."""

CHAIN_MAX: Final = 1 << 17
NEAR: Final = 4
"""So many packets may be missing before one that is known by its pass: 4 µs at most."""

NO_PASS: Final = bytes(PASS_BYTES)


def pass_before(one: bytes) -> bytes:
    """Return the pass that was shown before `one`."""
    return blake2b(one, digest_size=PASS_BYTES, person=b"loalang-pass").digest()


class Passes:
    """A sender's passes, the first one first; they do not end.

    Parameters
    ----------
    secret : bytes
        Random, of this start: all passes follow from it.
    first : int
        How many the first chain has.
    """

    def __init__(self, secret: bytes, first: int = FIRST) -> None:
        self._secret = secret
        self._chains = 0
        self._next = [self._end()]
        self._left: list[bytes] = []
        self._grow(first - 1)

    def take(self) -> bytes:
        """Return the next pass."""
        if not self._left:
            self._left, self._next = self._next, [self._end()]
        self._grow(GROWTH)
        return self._left.pop()

    def _grow(self, count: int) -> None:
        for _ in range(min(count, CHAIN_MAX - len(self._next))):
            self._next.append(pass_before(self._next[-1]))

    def _end(self) -> bytes:
        """Return the last pass of a new chain."""
        self._chains += 1
        told = self._chains.to_bytes(8, "big")
        return blake2b(told, digest_size=PASS_BYTES, key=self._secret).digest()


def follows(one: bytes, shown: bytes, steps: int) -> bool:
    """Return whether `one` is the pass `steps` after `shown`, at most `NEAR`."""
    if not 1 <= steps <= NEAR or shown == NO_PASS:
        return False
    for _ in range(steps):
        one = pass_before(one)
    return one == shown
