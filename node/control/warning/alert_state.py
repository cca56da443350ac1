"""What a node remembers of its warnings across a power cut."""

from typing import Final

import msgspec

from node.control.calendar.play_state import Record
from node.control.precedence import MessageClass
from node.control.warning.alert import Alert

KEY: Final = "alerts"
KNOWN_MAX: Final = 256
"""Warnings remembered; the one that ended first goes first. Replays are stopped by the counter."""


class Known(msgspec.Struct):
    """A warning that was seen or referred to, and what became of it."""

    sender: str
    number: str
    level: int
    fate: str
    expires_s: int
    exercise: bool = False
    message_class: int = MessageClass.URGENT
    """Of the warning; of one that has not come, the most that may be ended so."""
    key: str = ""
    """That signed it, or ended it before it came."""
    ahead: bool = False
    """Whether it was ended before it came."""
    cosigned: bool = False
    """Whether several signed it, or ended it: one of them alone does not undo that."""


class BookState(msgspec.Struct):
    """What is remembered across a power cut."""

    known: list[Known] = msgspec.field(default_factory=list)
    waiting: list[Alert] = msgspec.field(default_factory=list)
    """Not over yet: those that sounded begin again."""
    serial: int = 0
    outbox: list[Record] = msgspec.field(default_factory=list)


def encode_book(state: BookState) -> bytes:
    """Return `state` as bytes to persist under `KEY`."""
    return msgspec.json.encode(state)


def decode_book(data: bytes | None) -> BookState | None:
    """Return the state in `data`; a new one for None, None when it is damaged."""
    if data is None:
        return BookState()
    try:
        return msgspec.json.decode(data, type=BookState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
