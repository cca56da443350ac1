"""Whether the node's name is its own at the broker, and whether what is told of it there is true.

A broker need not say who pushed a client out: who else tells a state of our name is another node.
What says that a node that runs is gone, a late last will or the station that missed it for a while,
is contradicted.
"""

import json
import logging
from collections.abc import Callable
from typing import Final

from node.shell.broker.connection import TAKEN_OVER
from node.shell.machine import machine

LOG: Final = logging.getLogger("loalang.mqtt")

NEW_S: Final = 2.0
"""What the broker has retained of our name comes within so long of our first connection."""
_TAKEN_OVER_MAX: Final = 3
"""After so many times another client has our name for good: we take one beside it."""
_NAME_REFUSED: Final = (0x85, 0x87)
"""Reasons of a CONNACK: identifier not valid, not authorised (MQTT 5, 3.2.2.2)."""
_GONE: Final = ("lost", "stopped")
"""What no node says of itself while it runs."""


class OwnName:
    """One node's name.

    Parameters
    ----------
    name : str
        As the configuration says.
    session : int
        Of this start of the node.
    """

    def __init__(self, name: str, session: int) -> None:
        self._name = name
        self._session = session
        self._suffix = ""
        self._taken_over = 0
        self._before: int | None = None  # session that had told the state of our name before us
        self._new_until_s = 0.0
        self.told: Callable[[str, str | None], None] = lambda name, text: None
        """Told of the fault `name`."""

    @property
    def identifier(self) -> str:
        """As whom to connect."""
        return self._name + self._suffix

    def note_connected(self, now_s: float) -> None:
        """Note a connection; at the first one what was retained before us comes."""
        if not self._new_until_s:
            self._new_until_s = now_s + NEW_S

    def note_lost(self, reason: int) -> None:
        """Note why a connection ended, by the broker's code."""
        if self._suffix and reason in _NAME_REFUSED:
            self._suffix = ""
        if reason == TAKEN_OVER:
            self._note_taken_over()

    def contradicts(self, payload: bytes, now_s: float) -> bool:
        """Look what was told of our name; return whether it is to be told anew how we are."""
        try:
            told = json.loads(payload)
        except (ValueError, RecursionError):
            return False
        if not isinstance(told, dict) or not isinstance(told.get("session"), int):
            return False
        if told["session"] == self._session:
            return told.get("state") in _GONE
        if told["session"] == self._before:
            return False
        if now_s < self._new_until_s:
            self._before = told["session"]  # of our own last start, as well as not
        elif told.get("state") in ("ready", "degraded"):
            self._note_taken_over()
        return False

    def _note_taken_over(self) -> None:
        self._taken_over += 1
        if self._taken_over == _TAKEN_OVER_MAX:
            self._suffix = f"-{int(machine().uniform(0, 1 << 32)):08x}"
            text = (
                f"another node has the name {self._name!r} too: a copied card? Give one a new name"
            )
            LOG.error("broker: %s", text)
            self.told("name", text)
