"""A connection to an MQTT 5 broker as the node's link sees it: what it asks, and what comes of it.

`paho_connection.py` makes one over a network, the simulator one to a broker in virtual time.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

LOG: Final = logging.getLogger("loalang.mqtt")

CONNECT_TIMEOUT_S: Final = 8.0
"""Name, TCP, TLS and the broker's first answer together."""

RECEIVE_MAX: Final = 20
"""Orders that the broker may send before the first of them is acknowledged (MQTT 5, 3.1.2.11.3)."""

MESSAGES_MAX: Final = 256
"""Messages not yet taken; what comes beyond is dropped and counted."""

TAKEN_OVER: Final = 0x8E
"""Reason of a DISCONNECT: another client has our identifier (MQTT 5, 3.14.2.1)."""


class LinkLostError(Exception):
    """There is no connection, or none any more; `reason` is the broker's code, 0 without one."""

    def __init__(self, text: str, *, reason: int = 0) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """To whom, as whom, and what the broker tells others when we are gone."""

    host: str
    port: int
    identifier: str
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 10
    session_s: int = 0
    """How long the broker keeps our subscriptions, and orders for us, while we are away."""
    bytes_max: int = 0
    """Larger messages are not even sent to us; 0 takes any."""
    will_topic: str = ""
    will: bytes = b""
    will_delay_s: int = 0
    beat_topic: str = ""
    """Where to say that we live, one way; empty: by asking the broker (PINGREQ)."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the broker."""

    topic: str
    payload: bytes
    retain: bool
    handle: int
    """For `acknowledge`; 0 where nothing is to be acknowledged."""


class Connection(Protocol):
    """What a link asks of a connection. All of it is called on the loop's thread."""

    session_present: bool
    bytes_max: int
    """Of one packet, as the broker said; 0 without a limit."""
    window: int
    """Messages that may be on their way to the broker at once."""

    @property
    def overflown(self) -> int:
        """Messages that came faster than they were taken, and were dropped."""

    async def subscribe(self, topics: Sequence[str]) -> list[int]:
        """Subscribe with quality 1; return a reason code each, 128 and above are refusals."""

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give subscriptions back."""

    def publish(
        self, topic: str, payload: bytes, *, quality: int, retain: bool, expires_s: int = 0
    ) -> "asyncio.Future[int]":
        """Send; the future has the broker's reason code, 128 and above are refusals."""

    async def receive(self) -> Received:
        """Return the next message; raise `LinkLostError` when the connection has ended."""

    def tell_doubts(self, call: Callable[[bool], None]) -> None:
        """Call with True when the broker's host owes its word, with False when it is given."""

    def acknowledge(self, message: Received) -> None:
        """Tell the broker that a message is in our hands for good."""

    async def close(self) -> None:
        """Say goodbye; no last will."""

    def abort(self) -> None:
        """End it at once, without a goodbye."""


Connect = Callable[[Login], Awaitable[Connection]]


class Inbox:
    """What the broker sends and answers, for who waits for it, until the connection has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._messages: list[Received] = []
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Event()
        self.lost: LinkLostError | None = None
        """Why the connection has ended; None while it lives."""
        self.overflown = 0
        """Messages that found `MESSAGES_MAX` not yet taken: they stay unacknowledged."""

    def put(self, message: Received) -> None:
        """Take a message for who receives; after the end it is nobody's."""
        if self.lost is not None:
            return
        if len(self._messages) >= MESSAGES_MAX:
            self.overflown += 1
            if self.overflown == 1:
                LOG.warning(
                    "more than %d messages of the broker wait to be taken: what comes beyond is"
                    " dropped (`overflown` counts it); who floods the topics of this node?",
                    MESSAGES_MAX,
                )
            return
        self._messages.append(message)
        self._news.set()

    async def receive(self) -> Received:
        """Return the next message; raise `LinkLostError` when the connection has ended."""
        while not self._messages:
            if self.lost is not None:
                raise self.lost
            self._news.clear()
            await self._news.wait()
        return self._messages.pop(0)

    def expect(self, number: int | None) -> "asyncio.Future[Any]":
        """Return the future of the answer with this number; None was never sent."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self.lost is not None or number is None:
            _fail(future, self.lost or LinkLostError("not connected"))
        else:
            self._waiting[number] = future
        return future

    def answer(self, number: int, result: object) -> None:
        """Give an answer to who waits for it, if somebody does."""
        future = self._waiting.pop(number, None)
        if future is not None and not future.done():
            future.set_result(result)

    def end(self, fault: LinkLostError) -> None:
        """Let everybody who waits know that the connection has ended; the first reason counts."""
        if self.lost is not None:
            return
        self.lost = fault
        for future in self._waiting.values():
            _fail(future, fault)
        self._waiting.clear()
        self._news.set()

    async def ended(self) -> None:
        """Wait for the end."""
        while self.lost is None:
            self._news.clear()
            await self._news.wait()


def _fail(future: "asyncio.Future[Any]", fault: LinkLostError) -> None:
    if not future.done():
        future.set_exception(fault)
        future.exception()  # who does not wait any more need not be told by a traceback
