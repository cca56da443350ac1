"""Who is to answer an order, who did, and who did not: the sender's side of a village."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from node.control.orders import Acknowledgement
from node.control.trust.fates import is_good
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.signature import PUBLIC_KEY_BYTES
from node.shell.poles.pole_list import Pole, speaks_for

NODES_MAX: Final = 10_000
"""Names that a broker may tell us of."""

_BYTES_MAX: Final = 4096


@dataclass(slots=True)
class Seen:
    """What the broker and the node itself tell of a node."""

    state: str = ""
    why: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    told_key: bytes = b""
    """Public key as the node tells it by the broker: not from a list."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The fate of the order at one node."""

    node: str
    fate: str
    remedy: str
    verified: bool
    """By the key of a list; without a list only by what the broker told."""

    @property
    def good(self) -> bool:
        """Return whether the node took the order."""
        return is_good(self.fate)


@dataclass(slots=True)
class Roster:
    """The nodes of a village, as one order is published to some of them."""

    order: Message
    poles: Mapping[str, Pole]
    """From a list; empty without one."""
    seen: dict[str, Seen] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    forged: set[str] = field(default_factory=set)
    """Names for which somebody answered who has not their key."""
    unlisted: set[str] = field(default_factory=set)
    """Names that answered and are not in the list: whose key should they be believed by?"""
    _unchecked: dict[str, tuple[Message, Acknowledgement]] = field(default_factory=dict)

    def take(self, topic: str, payload: bytes) -> Answer | None:
        """Take a message of the broker; return an answer that came with it."""
        parts = topic.split("/")
        if len(parts) != 6 or len(payload) > _BYTES_MAX:
            return None
        name, what = parts[4], parts[5]
        if what == "acknowledgement":
            return self._take_answer(name, payload)
        if name not in self.seen and len(self.seen) >= NODES_MAX:
            return None
        self._take_report(self.seen.setdefault(name, Seen()), what, payload)
        if name in self._unchecked:  # its key came after its answer
            return self._check(name, *self._unchecked.pop(name))
        return None

    def of_zone(self, zone: str) -> list[str]:
        """Return the nodes that are in `zone`, by the list, or by what they say themselves."""
        if self.poles:
            return sorted(name for name, pole in self.poles.items() if zone in pole.zones)
        return sorted(name for name, seen in self.seen.items() if zone in seen.zones)

    def state_of(self, name: str) -> str:
        """Return what is known of a node that does not answer."""
        seen = self.seen.get(name)
        if seen is None or not seen.state:
            return "the broker knows nothing of it"
        return f"its state is {seen.state}" + (f" ({'; '.join(seen.why)})" if seen.why else "")

    def _take_report(self, seen: Seen, what: str, payload: bytes) -> None:
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(told, dict):
            return
        if what == "state":
            why = told.get("why", [])
            seen.state = str(told.get("state", ""))[:40]
            seen.why = tuple(str(one)[:120] for one in why[:8]) if isinstance(why, list) else ()
        elif what == "about":
            zones, digits = told.get("zones", []), told.get("public_key", "")
            seen.zones = tuple(str(z) for z in zones[:64]) if isinstance(zones, list) else ()
            try:
                key = bytes.fromhex(digits) if isinstance(digits, str) else b""
            except ValueError:
                key = b""
            seen.told_key = key if len(key) == PUBLIC_KEY_BYTES else b""

    def _take_answer(self, name: str, payload: bytes) -> Answer | None:
        message = open_envelope(payload)
        if isinstance(message, str) or message.kind is not Kind.ACKNOWLEDGEMENT:
            return None
        try:
            told = msgspec.json.decode(message.content, type=Acknowledgement)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        mine = (told.issuer, told.counter) == (self.order.key_id.hex(), self.order.counter)
        if not mine or told.node in self.answers:
            return None
        if told.node != name:
            _note(self.forged, told.node)
            return None
        if self.poles and name not in self.poles:
            _note(self.unlisted, name)
            return None
        return self._check(name, message, told)

    def _check(self, name: str, message: Message, told: Acknowledgement) -> Answer | None:
        """Return the answer if it is of the node that it names."""
        pole, seen = self.poles.get(name), self.seen.get(name)
        key = pole.public_key if pole is not None else (seen.told_key if seen is not None else b"")
        if not key:
            if len(self._unchecked) < NODES_MAX:
                self._unchecked[name] = message, told
            return None
        if not speaks_for(message, key):
            _note(self.forged, name)
            return None
        listed = pole is not None
        answer = Answer(name, printable(told.fate), printable(told.remedy), listed)
        self.answers[name] = answer
        self.forged.discard(name)
        return answer


def _note(names: set[str], name: str) -> None:
    if len(names) < NODES_MAX:
        names.add(printable(name, 64))


def printable(text: str, characters_max: int = 300) -> str:
    """Return a text of somebody else as one line that moves no cursor."""
    return "".join(c if c.isprintable() else "?" for c in text[:characters_max])
