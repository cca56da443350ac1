"""What waits for the broker: answers and records, kept in the store until the broker has them.

A message leaves when what it tells of is on the disk (`ticket`), and is forgotten when the broker
has acknowledged it. The places are a ring: what a broken network swallowed for days costs the
oldest messages, and they are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from node.events import Publish

PREFIX: Final = "outbox/"

PLACES: Final = 256
"""Messages that wait at most; beyond it the oldest is dropped and counted."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    serial: int
    topic: str
    payload: bytes
    retain: bool = False


@dataclass(slots=True, eq=False)
class Waiting:
    """A message that the broker does not have yet."""

    serial: int
    event: Publish
    ticket: int = 0
    """It may leave when the store has this number on the disk."""
    breaks: int = 0
    """Connections that ended while it was on its way."""

    @property
    def key(self) -> str:
        """Return under what it is kept."""
        return f"{PREFIX}{self.serial % PLACES:03}"


class Outbox:
    """Messages in the order in which they are to leave.

    Parameters
    ----------
    stored : mapping of str to bytes
        What the store kept.
    """

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        found = [one for key, value in stored.items() if (one := _read(key, value)) is not None]
        self._waiting = sorted(found, key=lambda one: one.serial)
        self._serial = max((one.serial for one in self._waiting), default=0)
        self._forgotten: dict[str, bytes] = {}
        self.dropped = 0
        """Messages for which there was no place, or that the broker refused."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Publish) -> tuple[Waiting, dict[str, bytes]]:
        """Put `event` at the end; return it, and what must be kept for it."""
        changes = self.take_forgotten()
        if len(self._waiting) == PLACES:
            self.dropped += 1
            self._waiting.pop(0)  # its place in the ring is the next one: it is overwritten
        self._serial += 1
        one = Waiting(self._serial, event)
        self._waiting.append(one)
        kept = _Kept(one.serial, event.topic, event.payload, event.retain)
        changes[one.key] = msgspec.msgpack.encode(kept)
        return one, changes

    def leaving(self, durable: int, count: int) -> list[Waiting]:
        """Return the first `count` messages that may leave, in their order."""
        return list(islice((one for one in self._waiting if one.ticket <= durable), count))

    def done(self, one: Waiting, *, refused: bool = False) -> None:
        """Forget a message that the broker has, or does not want."""
        if one in self._waiting:
            self._waiting.remove(one)
            self._forgotten[one.key] = b""
            self.dropped += refused

    def take_forgotten(self) -> dict[str, bytes]:
        """Return what need not be kept any more, to be written when something else is."""
        forgotten, self._forgotten = self._forgotten, {}
        return forgotten


def _read(key: str, value: bytes) -> Waiting | None:
    if not key.startswith(PREFIX) or not value:
        return None
    try:
        kept = msgspec.msgpack.decode(value, type=_Kept)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Waiting(kept.serial, Publish(kept.topic, kept.payload, kept.retain))
