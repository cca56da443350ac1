"""Orders that acted and that the broker still holds: until the disk has what they changed."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from node.shell.broker.connection import Connection, Received

DISK_WAIT_S: Final = 5.0
"""An order is acknowledged after so long whatever the disk does: else the broker gives no more."""


@dataclass(slots=True)
class _One:
    message: Received
    ticket: int
    since_s: float


class Unacknowledged:
    """The orders of one connection, in the order in which they acted."""

    def __init__(self) -> None:
        self._held: deque[_One] = deque()

    def clear(self) -> None:
        """Forget them: the broker gives them again."""
        self._held.clear()

    def add(self, message: Received, ticket: int, now_s: float) -> None:
        """Hold an order until the store has `ticket`."""
        self._held.append(_One(message, ticket, now_s))

    def acknowledge(self, connection: Connection, durable: int, now_s: float) -> None:
        """Let the broker forget those that are on the disk, or that the disk does not take."""
        while self._held:
            first = self._held[0]
            if first.ticket > durable and now_s - first.since_s < DISK_WAIT_S:
                return
            connection.acknowledge(first.message)
            self._held.popleft()
