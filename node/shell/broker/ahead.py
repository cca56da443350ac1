"""An order waits until the disk has it, a moment at most: the sound never waits for a sick disk."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from node.events import Persist
from node.shell.broker.together import woken
from node.shell.clocks import now_ns
from node.shell.loop.core_sound import CoreLock
from node.shell.store.store import Store

LOG: Final = logging.getLogger("loalang.mqtt")

WAIT_S: Final = 0.1
"""A memory card takes 5 to 30 ms; of the second that a warning may take this is a tenth."""


class AheadOfActing:
    """Lets each order be kept before it is given to the core."""

    def __init__(self) -> None:
        self.keep: Callable[[bytes], int] = lambda payload: 0
        """Keeps an order that would act; returns the number to wait for, 0 for none."""
        self.unkept = 0
        """Orders that acted before the disk had them."""
        self._gave_up_on = 0
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Look again: more is on the disk."""
        self._more.set()

    async def kept(self, payload: bytes, durable: Callable[[], int]) -> None:
        """Return when the disk has the order, or after `WAIT_S` whatever it does."""
        number = self.keep(payload)
        if durable() < min(self._gave_up_on, number):
            self.unkept += 1  # the disk has not caught up since: no use in waiting again
            return
        loop = asyncio.get_running_loop()
        end_s = loop.time() + WAIT_S
        while durable() < number:
            left_s = end_s - loop.time()
            if left_s <= 0:
                self._give_up(number)
                return
            self._more.clear()
            await woken(self._more, left_s)

    def _give_up(self, number: int) -> None:
        self._gave_up_on = number
        self.unkept += 1
        if self.unkept == 1:
            LOG.warning(
                "the disk is slow: an order acts before it is kept, and could act again if the"
                " power failed now"
            )


def keeper(
    foresee: Callable[[bytes, int], Persist | None], store: Store, lock: CoreLock
) -> Callable[[bytes], int]:
    """Return what keeps an order that would act; a disk that is sick is not waited for."""

    def keep(payload: bytes) -> int:
        with lock:
            kept = foresee(payload, now_ns())
        number = 0 if kept is None else store.keep_soon({kept.key: kept.value})
        return 0 if store.fault() is not None else number

    return keep
