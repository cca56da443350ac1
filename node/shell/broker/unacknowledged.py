"""Orders that the broker may not forget yet: what they changed is not on the disk."""

import asyncio
from dataclasses import dataclass
from typing import Final

from node.shell.broker.connection import Connection, Received

_DISK_WAIT_S: Final = 5.0
"""An order is acknowledged after so long whatever the disk does: else the broker gives no more."""


@dataclass(slots=True)
class _Waiting:
    message: Received
    ticket: int
    since_s: float


class Unacknowledged:
    """Acknowledge orders in their order, when the disk has them."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def clear(self) -> None:
        """Forget them: the broker gives them again."""
        self._waiting.clear()

    def add(self, message: Received, ticket: int) -> None:
        """Let an order wait until the store has `ticket` on the disk."""
        now_s = asyncio.get_running_loop().time()
        self._waiting.append(_Waiting(message, ticket, now_s))

    def settle(self, connection: Connection, durable: int) -> bool:
        """Let the broker forget the orders that are on the disk, or that the disk does not take;
        return whether some wait for it.
        """
        now_s = asyncio.get_running_loop().time()
        while self._waiting:
            first = self._waiting[0]
            if first.ticket > durable and now_s - first.since_s < _DISK_WAIT_S:
                return True
            connection.acknowledge(first.message)
            self._waiting.pop(0)
        return False
