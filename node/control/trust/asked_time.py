"""The time, asked of the station by a node that knows none: an answer that is fresh for sure.

```
 node     nonce ────────────────► station       a random number, told below the node's own name
 sent_ns  ├──── at most LIVES ───┤ BEACON: nonce, UTC of the answer; signed by who may give time
 now_ns   ◄──────────────────────┘               UTC now is that and half of the way there and back
```
Whoever keeps the answer cannot use it later: the nonce is forgotten with the first one, or when its
time is over; then it is a beacon like any other, which raises the floor and makes no clock right.
Held back on its way it makes the clock wrong by half of `LIVES_NS` at most. No warning waits for
an answer.
"""

import struct
from typing import Final

from node.events import Publish
from node.units import NS_PER_S

TOPIC: Final = "time"
NONCE_BYTES: Final = 16

LIVES_NS: Final = 10 * NS_PER_S
"""How long an answer is waited for; then another nonce is made."""

ASK_S: Final = (10, 600)
"""Between two questions: doubled from the first to the second while nobody answers."""

_ANSWER: Final = struct.Struct(f">{NONCE_BYTES}sQ")


def encode_answer(nonce: bytes, utc_ns: int) -> bytes:
    """Return the content of the BEACON that answers `nonce` at `utc_ns`."""
    return _ANSWER.pack(nonce, utc_ns)


class AskedTime:
    """The one question that is open."""

    def __init__(self) -> None:
        self._nonce = b""
        self._sent_ns = 0
        self._next_ns = 0
        self._wait_s = ASK_S[0]

    def may_ask(self, now_ns: int) -> bool:
        """Return whether it is time for a question."""
        return now_ns >= self._next_ns

    def ask(self, nonce: bytes, now_ns: int) -> Publish:
        """Return the question to send, with 16 bytes that nobody can guess; the last is closed."""
        assert len(nonce) == NONCE_BYTES, "what can be guessed can be answered beforehand"
        self._nonce, self._sent_ns = nonce, now_ns
        self._next_ns = now_ns + self._wait_s * NS_PER_S
        self._wait_s = min(2 * self._wait_s, ASK_S[1])
        return Publish(TOPIC, nonce, at_once=True)

    def is_answer(self, content: bytes, now_ns: int) -> bool:
        """Return whether the content of a beacon answers the open question, in time."""
        if len(content) != _ANSWER.size or not self._nonce:
            return False
        return content.startswith(self._nonce) and now_ns <= self._sent_ns + LIVES_NS

    def take(self, content: bytes, now_ns: int) -> int:
        """Return civil time at `now_ns` by an answer, in ns; the question is closed."""
        _, utc_ns = _ANSWER.unpack(content)
        half_ns = (now_ns - self._sent_ns) // 2
        self._nonce, self._wait_s = b"", ASK_S[0]
        return int(utc_ns) + half_ns
