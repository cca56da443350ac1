"""From the outbox to the broker: in order, as much at once as it takes, past what it refuses."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from node.events import Publish
from node.shell.broker.connection import Connection, LinkLostError
from node.shell.broker.outbox import Outbox, Waiting
from node.shell.broker.together import woken

LOG: Final = logging.getLogger("loalang.mqtt")

BREAKS_MAX: Final = 3
"""A message with which the connection ended so often, sent alone, is dropped."""

_ANSWER_WAIT_S: Final = 20.0
"""A message that the broker does not acknowledge in so long ends the connection."""

_DISK_WAIT_S: Final = 0.7
"""How long the last ones may wait for the disk: half of what the goodbye may take."""

_PACKET_BYTES: Final = 32
"""Of a packet beside topic and payload, at most."""


class Outgoing:
    """Sends what waits in `outbox`; topics without "pa/" are below `root`."""

    def __init__(self, root: str, outbox: Outbox) -> None:
        self._root = root
        self._broken: BaseException | None = None
        self.outbox = outbox
        self.wake = asyncio.Event()
        self.told: Callable[[str, str | None], None] = lambda name, text: None
        self.too_large = 0
        self.refused = 0

    async def run(
        self,
        connection: Connection,
        durable: Callable[[], int],
        settle: Callable[[Connection, int], bool],
    ) -> None:
        """Send what may leave, in its order, no more at once than the broker takes.

        `settle` acknowledges what came, and returns whether it is to be asked again soon.
        """
        under_way: dict[Waiting, float] = {}
        loop = asyncio.get_running_loop()
        self._broken = None
        while True:
            if self._broken is not None:
                raise self._broken  # nothing more is sent into what has ended
            self.wake.clear()
            waits = settle(connection, durable())
            for one in self.outbox.leaving(durable(), connection.window):
                if one.breaks and under_way:
                    break  # what the connection broke with goes alone
                if one not in under_way and self._start(connection, one, under_way):
                    under_way[one] = loop.time()
                if one.breaks:
                    break
            if under_way and loop.time() - min(under_way.values()) > _ANSWER_WAIT_S:
                raise LinkLostError("the broker acknowledges nothing")
            if not (waits or under_way or len(self.outbox)):
                await self.wake.wait()
                continue
            await woken(self.wake, 1.0)

    def _start(self, connection: Connection, one: Waiting, under_way: dict[Waiting, float]) -> bool:
        """Send `one`; return whether it is under way."""
        if not self.fits(connection, one.event):
            self.outbox.done(one, refused=True)
            self.wake.set()
            return False
        topic, event = self.topic(one.event), one.event
        future = connection.publish(topic, event.payload, quality=1, retain=event.retain)
        future.add_done_callback(lambda done: self._note_sent(one, done, under_way))
        return True

    def _note_sent(
        self, one: Waiting, done: "asyncio.Future[int]", under_way: dict[Waiting, float]
    ) -> None:
        under_way.pop(one, None)
        self.wake.set()
        fault = None if done.cancelled() else done.exception()
        if done.cancelled() or fault is not None:
            self._broken = self._broken or fault
            one.breaks += not done.cancelled()
            if one.breaks >= BREAKS_MAX:
                LOG.error(
                    "%s: dropped: the link broke with it %d times", one.event.topic, one.breaks
                )
                self.outbox.done(one, refused=True)
            return
        if done.result() >= 128:
            self.refused += 1
            LOG.error(
                "broker refused %s (reason 0x%02x): look at its ACL", one.event.topic, done.result()
            )
        self.outbox.done(one, refused=done.result() >= 128)

    def fits(self, connection: Connection, event: Publish) -> bool:
        """Return whether the broker takes a message so large; count and tell it where not."""
        most = connection.bytes_max
        if not most or len(event.payload) + len(self.topic(event).encode()) + _PACKET_BYTES <= most:
            return True
        self.too_large += 1
        if self.too_large == 1:
            LOG.error(
                "%s: %d bytes, left out: the broker takes %d at most (max_packet_size)",
                event.topic,
                len(event.payload),
                most,
            )
        self.told("packet size", f"the broker takes only {most} bytes: raise max_packet_size")
        return False

    def topic(self, event: Publish) -> str:
        """Return the whole topic of `event`."""
        own = not event.topic.startswith("pa/")
        return f"{self._root}/{event.topic}" if own else event.topic

    async def send_last(
        self,
        connection: Connection,
        durable: Callable[[], int],
        settle: Callable[[Connection, int], bool],
    ) -> None:
        """Send what may leave, and acknowledge what came, also what the disk has only soon; wait
        for the broker to have it. An order that is not acknowledged would come again.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _DISK_WAIT_S
        while True:
            self.wake.clear()
            waits = settle(connection, durable())
            for one in self.outbox.leaving(durable(), connection.window):
                if not self.fits(connection, one.event):
                    self.outbox.done(one, refused=True)
                    continue
                topic, event = self.topic(one.event), one.event
                await connection.publish(topic, event.payload, quality=1, retain=event.retain)
                self.outbox.done(one)
            left_s = end_s - loop.time()
            if left_s <= 0 or not (waits or len(self.outbox)):
                return
            if not self.outbox.leaving(durable(), 1):
                await woken(self.wake, left_s)
