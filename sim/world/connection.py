"""A connection to the modelled broker, with the face that the node's own link asks for.

Both ends are in here: what the client sends goes through one pipe, what the broker sends through
the other, and either end learns of a break only by itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from node.shell.broker.beats import Beating
from node.shell.broker.connection import (
    CONNECT_TIMEOUT_S,
    RECEIVE_MAX,
    Inbox,
    LinkLostError,
    Login,
    Received,
)
from node.units import NS_PER_S
from sim.world.broker import SHUTTING_DOWN, Broker, Message
from sim.world.loop import VirtualLoop
from sim.world.path import LOST_NS, Path
from sim.world.stream import HEADERS_BYTES, Pipe

_PING_BYTES: Final = 2
_BEAT_BYTES: Final = 8
"""By its alias."""
_ACK_BYTES: Final = 4
_SYN_WAITS_NS: Final = (NS_PER_S, 2 * NS_PER_S, 4 * NS_PER_S)
"""Between two attempts to open a connection (RFC 6298, and Linux)."""

WINDOW: Final = 8


class Network:
    """Who connects to the broker, and by which ways."""

    def __init__(self, loop: VirtualLoop, broker: Broker, up: Path, down: Path) -> None:
        self.loop = loop
        self.broker = broker
        self.up = up
        self.down = down
        self.cut = False
        """The machine is off: nothing it holds does anything any more."""
        self._latest: VirtualConnection | None = None

    def forget(self) -> None:
        """Let the connection that is there be half open: neither end hears of the other again."""
        if self._latest is not None:
            self._latest.forget()

    async def connect(self, login: Login) -> "VirtualConnection":
        """Return a connection to the broker (`node.shell.broker.connection.Connect`)."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._handshake()
                one = self._latest = VirtualConnection(self, login)
                try:
                    await one.opened()
                except BaseException:
                    one.abort()
                    raise
                return one
        except TimeoutError:
            raise LinkLostError(f"no answer in {CONNECT_TIMEOUT_S:g} s") from None

    async def _handshake(self) -> None:
        """Exchange SYN and its answer; a lost one is sent again."""
        for wait_ns in (*_SYN_WAITS_NS, 60 * NS_PER_S):
            now_ns = self.loop.now_ns
            there_ns = self.up.carry(now_ns, HEADERS_BYTES)
            back_ns = LOST_NS
            if there_ns != LOST_NS:
                back_ns = self.down.carry(there_ns, HEADERS_BYTES)
            answered = back_ns != LOST_NS
            await _until(self.loop, back_ns if answered else now_ns + wait_ns)
            if answered and not self.broker.up:
                raise LinkLostError("Connection refused")
            if answered:
                return


class VirtualConnection:
    """One connection (`node.shell.broker.connection.Connection`)."""

    def __init__(self, network: Network, login: Login) -> None:
        self._network = network
        self._loop = network.loop
        self._login = login
        self._inbox = Inbox(self._loop)
        self._numbers = 0
        self._pinged_ns = -1
        self._beats: Beating | None = None
        self._doubted: Callable[[bool], None] = lambda is_doubted: None
        self.session_present = False
        self.bytes_max = 0
        self.window = WINDOW
        self._far = _FarEnd(network.broker, login.identifier)
        self._up = Pipe(
            self._loop, network.up, network.down,
            deliver=lambda call: call(), broken=lambda: self._end(LinkLostError("timed out")),
        )  # fmt: skip
        self._down = Pipe(
            self._loop, network.down, network.up,
            deliver=lambda call: call(), broken=self._far.broke,
        )  # fmt: skip
        self._far.join(self._down, self._take, self._take_end, self._take_reset)
        self._heard_ns = self._sent_ns = self._loop.now_ns

    @property
    def overflown(self) -> int:
        """Messages that came faster than they were taken, and were dropped."""
        return self._inbox.overflown

    async def opened(self) -> None:
        """Exchange CONNECT and CONNACK."""
        login, broker = self._login, self._network.broker
        will = None
        if login.will_topic:
            will = Message(login.will_topic, login.will, 1, retain=True)

        def there() -> object:
            if not broker.up:  # it went down while this was on its way
                self._far.drop(SHUTTING_DOWN)
                return False
            present = broker.connect(
                self._far,
                keep_alive_s=login.keepalive_s,
                session_s=login.session_s,
                receive_max=RECEIVE_MAX,
                will=will,
                will_delay_s=login.will_delay_s,
            )
            self._loop.call_soon(broker.resume, self._far)
            return present

        self.session_present = bool(await self._ask(there, 60 + len(login.will)))
        self.bytes_max = self._network.broker.bytes_max
        if login.beat_topic and login.keepalive_s:
            self._beats = Beating(
                self._loop, login.keepalive_s, send=self._send_beat, heard_s=self._heard_s,
                give_up=lambda: self._end(LinkLostError("the broker does not answer")),
            )  # fmt: skip
            self._beats.doubted = self._tell_doubt
        else:
            self._loop.call_later(login.keepalive_s or 60, self._ping)

    async def subscribe(self, topics: Sequence[str]) -> list[int]:
        """Subscribe with quality 1; return a reason code each."""
        size = sum(len(one) + 3 for one in topics)
        call = lambda: self._network.broker.subscribe(self._far, list(topics))  # noqa: E731
        codes: list[int] = await self._ask(call, size)
        return codes

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give subscriptions back."""
        size = sum(len(one) + 3 for one in topics)
        await self._ask(lambda: self._network.broker.unsubscribe(self._far, list(topics)), size)

    def publish(
        self, topic: str, payload: bytes, *, quality: int, retain: bool, expires_s: int = 0
    ) -> "asyncio.Future[int]":
        """Send; the future has the broker's reason code."""
        until_ns = self._loop.now_ns + expires_s * NS_PER_S if expires_s else None
        message = Message(topic, payload, quality, retain, until_ns)
        call = lambda: self._network.broker.publish(self._far, message)  # noqa: E731
        if self._beats is not None:
            self._beats.note_said()
        if quality:
            return self._ask(call, message.size_bytes)
        self._send(call, message.size_bytes)
        done: asyncio.Future[int] = self._loop.create_future()
        done.set_result(0)
        return done

    async def receive(self) -> Received:
        """Return the next message; raise `LinkLostError` when the connection has ended."""
        return await self._inbox.receive()

    def tell_doubts(self, call: Callable[[bool], None]) -> None:
        """Call with True when the broker's host owes its word, with False when it is given."""
        self._doubted = call

    def acknowledge(self, message: Received) -> None:
        """Tell the broker that a message is in our hands for good."""
        if message.handle and self._inbox.lost is None:
            call = lambda: self._network.broker.acknowledge(self._far, message.handle)  # noqa: E731
            self._send(call, _ACK_BYTES)

    async def close(self) -> None:
        """Say goodbye; no last will."""
        if self._inbox.lost is None:
            await self._ask(self._far.left, _ACK_BYTES)
        self.abort()

    def forget(self) -> None:
        """Let nothing come through any more, without a word to either end."""
        self._up.forgotten = self._down.forgotten = True

    def abort(self) -> None:
        """End it at once, without a goodbye."""
        if self._inbox.lost is None and not self._network.cut:
            self._send(self._far.reset, 0)
        self._end(LinkLostError("closed"))

    def _send(self, call: Callable[[], object], size_bytes: int) -> None:
        if self._inbox.lost is None and not self._network.cut:
            self._sent_ns = self._loop.now_ns
            self._up.send(lambda: self._far.run(call), size_bytes)

    def _ask(self, call: Callable[[], object], size_bytes: int) -> "asyncio.Future[Any]":
        """Send what is answered; the future has the answer."""
        self._numbers += 1
        number = self._numbers
        future = self._inbox.expect(None if self._network.cut else number)

        def there() -> None:
            answer = call()
            self._far.answer(lambda: self._finish(number, answer), _ACK_BYTES)

        self._send(there, size_bytes)
        return future

    def _finish(self, number: int, answer: object) -> None:
        self._heard_ns = self._loop.now_ns
        self._inbox.answer(number, answer)

    def _take(self, message: Message, handle: int) -> None:
        self._heard_ns = self._loop.now_ns
        self._inbox.put(Received(message.topic, message.payload, message.retain, handle))

    def _take_end(self, reason: int) -> None:
        self._end(LinkLostError(f"broker ended it (0x{reason:02x})", reason=reason))

    def _take_reset(self) -> None:
        self._end(LinkLostError("Connection reset by peer"))

    def _end(self, fault: LinkLostError) -> None:
        if self._beats is not None:
            self._beats.end()
        self._inbox.end(fault)

    def _heard_s(self) -> float | None:
        """Return how long ago the broker's host said its last word, in s, by TCP."""
        ago_ns = None if self._network.cut else self._up.heard_ns()
        return None if ago_ns is None else ago_ns / NS_PER_S

    def _tell_doubt(self, is_doubted: bool) -> None:
        self._doubted(is_doubted)

    def _send_beat(self, asks: bool) -> None:
        if self._network.cut and self._beats is not None:
            self._beats.end()
            return
        message = Message(self._login.beat_topic, b"", int(asks), retain=False)
        call = lambda: self._network.broker.publish(self._far, message)  # noqa: E731
        if not asks:
            self._send(call, _BEAT_BYTES)
            return
        answered = self._ask(call, _BEAT_BYTES)
        answered.add_done_callback(self._note_answer)

    def _note_answer(self, done: "asyncio.Future[Any]") -> None:
        if self._beats is not None and not done.cancelled() and done.exception() is None:
            self._beats.note_answer()

    def _ping(self) -> None:
        """Keep the connection alive, and notice when the other end is silent (as paho does)."""
        if self._inbox.lost is not None or self._network.cut or not self._login.keepalive_s:
            return
        interval_ns = self._login.keepalive_s * NS_PER_S
        now_ns = self._loop.now_ns
        unanswered = self._pinged_ns >= 0 and self._heard_ns < self._pinged_ns
        if unanswered and now_ns - self._pinged_ns >= interval_ns:
            self._inbox.end(LinkLostError("Keep alive timeout"))
            return
        quiet_ns = now_ns - max(self._heard_ns, self._sent_ns)
        if quiet_ns >= interval_ns or now_ns - self._sent_ns >= interval_ns:
            self._pinged_ns = now_ns
            self._send(lambda: self._far.answer(self._pong, _PING_BYTES), _PING_BYTES)
            self._loop.call_later(self._login.keepalive_s, self._ping)
            return
        next_ns = self._sent_ns + interval_ns
        self._loop.call_at_ns(max(next_ns, now_ns + NS_PER_S), self._ping)

    def _pong(self) -> None:
        self._heard_ns = self._loop.now_ns


class _FarEnd:
    """The broker's end of a connection (`sim.world.broker.Link`)."""

    def __init__(self, broker: Broker, identifier: str) -> None:
        self.identifier = identifier
        self._broker = broker
        self._open = True

    def join(
        self,
        down: Pipe,
        take: Callable[[Message, int], None],
        take_end: Callable[[int], None],
        take_reset: Callable[[], None],
    ) -> None:
        """Learn what brings things to the client."""
        self._down, self._take, self._take_end = down, take, take_end
        self._take_reset = take_reset

    def give(self, message: Message, handle: int) -> None:
        """Send a message to the client."""
        self._down.send(lambda: self._take(message, handle), message.size_bytes)

    def drop(self, reason: int) -> None:
        """End the connection from here; the client is told, if it still can be."""
        self._down.send(lambda: self._take_end(reason), _ACK_BYTES)
        self._open = False

    def run(self, call: Callable[[], object]) -> None:
        """Do what the client sent; one whose connection was given up here is told so."""
        if self._open:
            self._broker.heard(self)
            call()
        elif not self._down.open:
            self._down.reset(self._take_reset)

    def answer(self, call: Callable[[], None], size_bytes: int) -> None:
        """Send an answer to the client."""
        if self._open:
            self._down.send(call, size_bytes)

    def left(self) -> None:
        """Note the client's goodbye."""
        self._broker.left(self, said_so=True)

    def reset(self) -> None:
        """Note that the client has closed without a goodbye."""
        self._open = False
        self._broker.left(self, said_so=False)

    def broke(self) -> None:
        """Note that nothing reaches the client any more."""
        self.reset()


async def _until(loop: VirtualLoop, at_ns: int) -> None:
    future: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not future.done():
            future.set_result(None)

    timer = loop.call_at_ns(at_ns, end)
    try:
        await future
    finally:
        timer.cancel()
