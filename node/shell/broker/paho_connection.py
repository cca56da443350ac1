"""One connection to an MQTT 5 broker: whatever the broker sends, or the library makes of it, ends
the connection and nothing else.

```
 thread "mqtt-connect"   name, TCP, TLS ─► socket
 loop thread             publish, acknowledge, subscribe ─► paho ─► socket ─► broker
                         futures, messages, `lost` ◄─ paho ◄─ the loop sees that it can be read
```
Only what may block is on a thread, and ends with it: an order that had to go from a network thread
to the loop and back cost a third more.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from node.shell.broker.beats import Beating
from node.shell.broker.connection import (
    CONNECT_TIMEOUT_S,
    RECEIVE_MAX,
    Connection,
    Inbox,
    LinkLostError,
    Login,
    Received,
)
from node.shell.broker.paho_client import PahoClient, give_up_soon, heard_s, text_of

_LOOK_S: Final = 1.0

_ALIASES_MAX: Final = 8
"""Topics of quality 0 that are told by a number (MQTT 5, 3.3.2.3.4)."""


async def connect(login: Login) -> Connection:
    """Return a connection to the broker.

    Raises
    ------
    LinkLostError
        If there is none within `CONNECT_TIMEOUT_S`: says why.
    """
    one = PahoConnection(login)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await one.opened()
    except TimeoutError:
        one.abort()
        raise LinkLostError(f"no answer in {CONNECT_TIMEOUT_S:g} s") from None
    except BaseException:
        one.abort()
        raise
    return one


class PahoConnection:
    """A connection by paho."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._inbox = Inbox(self._loop)
        self.session_present = False
        self.bytes_max = 0
        self.window = 8
        self._beats: Beating | None = None
        self._doubted: Callable[[bool], None] = lambda is_doubted: None
        self._aliases: dict[str, int] = {}
        self._aliases_max = 0
        self._thread = threading.get_ident()
        self._watched: Any = None
        """The socket that the loop watches for us."""
        self._reads_again = False
        """Whether a further read of it is due at the next turn: one at most."""
        self._client = self._make_client()

    @property
    def overflown(self) -> int:
        """Messages that came faster than they were taken, and were dropped."""
        return self._inbox.overflown

    async def opened(self) -> None:
        """Connect, on a thread: names are looked up by a call that may take long."""
        threading.Thread(target=self._begin, name="mqtt-connect", daemon=True).start()
        await self._opened

    async def subscribe(self, topics: Sequence[str]) -> list[int]:
        """Subscribe with quality 1; return a reason code each."""
        options = SubscribeOptions(qos=1, noLocal=True)
        _, mid = self._client.subscribe([(topic, options) for topic in topics])
        self._flush()
        codes: list[int] = await self._inbox.expect(mid)
        return codes

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """Give subscriptions back."""
        _, mid = self._client.unsubscribe(list(topics))
        self._flush()
        await self._inbox.expect(mid)

    def publish(
        self, topic: str, payload: bytes, *, quality: int, retain: bool, expires_s: int = 0
    ) -> "asyncio.Future[int]":
        """Send; the future has the broker's reason code."""
        properties: Any = None
        if expires_s or quality == 0:  # each costs more than all the rest of a message
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expires_s:
            properties.MessageExpiryInterval = expires_s
        if quality == 0:
            topic = self._by_alias(topic, properties)
        info = self._client.publish(topic, payload, quality, retain, properties)
        self._flush()
        if self._beats is not None:
            self._beats.note_said()
        if quality == 0:
            done: asyncio.Future[int] = self._loop.create_future()
            done.set_result(0)
            return done
        return self._inbox.expect(info.mid)

    async def receive(self) -> Received:
        """Return the next message; raise `LinkLostError` when the connection has ended."""
        return await self._inbox.receive()

    def tell_doubts(self, call: Callable[[bool], None]) -> None:
        """Call with True when the broker's host owes its word, with False when it is given."""
        self._doubted = call

    def acknowledge(self, message: Received) -> None:
        """Tell the broker that a message is in our hands for good."""
        if message.handle and self._inbox.lost is None:
            self._client.ack(message.handle, 1)
            self._flush()

    async def close(self) -> None:
        """Say goodbye, and wait a moment for the broker's end of it."""
        self._client.disconnect()
        self._flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._inbox.ended()
        self.abort()

    def abort(self) -> None:
        """End it at once, without a goodbye."""
        self._leave()
        self._end(LinkLostError("closed"))

    def _make_client(self) -> PahoClient:
        login = self._login
        client = PahoClient(
            CallbackAPIVersion.VERSION2,
            client_id=login.identifier,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.disable_logger()  # what ends a connection is told by the link, once
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)  # the link keeps to the broker's own window
        client.username_pw_set(login.username, login.password)
        if login.tls is not None:
            client.tls_set_context(login.tls)
        if login.will_topic:
            delay = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            delay.WillDelayInterval = login.will_delay_s
            client.will_set(login.will_topic, login.will, 1, True, delay)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_publish = lambda *a: self._inbox.answer(a[2], a[3].value)
        client.on_subscribe = lambda *a: self._soon(
            self._inbox.answer, a[2], [c.value for c in a[3]]
        )
        client.on_unsubscribe = lambda *a: self._soon(self._inbox.answer, a[2], None)
        client.on_disconnect = self._on_disconnect
        client.on_socket_open = lambda _client, _data, one: give_up_soon(one)
        client.on_socket_close = lambda _client, _data, one: self._unwatch(one)
        return client

    def _begin(self) -> None:
        """Connect, and give the socket to the loop (on a thread of its own)."""
        login = self._login
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAX
        if login.bytes_max:
            properties.MaximumPacketSize = login.bytes_max
        if login.session_s:
            properties.SessionExpiryInterval = login.session_s
        try:
            self._client.connect(
                login.host,
                login.port,
                keepalive=login.keepalive_s,
                clean_start=login.session_s == 0,
                properties=properties,
            )
        except (
            Exception
        ) as fault:  # names, sockets and TLS have a hundred faults: all are "no link"
            self._soon(self._end, LinkLostError(text_of(fault)))
        else:
            self._soon(self._watch)

    def _watch(self) -> None:
        """Let the loop serve the network until the connection ends."""
        one: Any = self._client.socket()
        if one is None or self._inbox.lost is not None:
            self._leave()
            self._end(LinkLostError("the connection ended"))
            return
        self._watched = one
        self._loop.add_reader(one, self._read)
        self._flush()
        self._look_after()

    def _unwatch(self, one: Any) -> None:
        """Watch a socket no longer, before it is closed."""
        if self._watched is one and one is not None:
            self._watched = None
            self._loop.remove_reader(one)
            self._loop.remove_writer(one)

    def _leave(self) -> None:
        """Close the socket without a word."""
        self._unwatch(self._watched)
        self._client.socket_gone()

    def _read(self) -> None:
        """Take a packet of what has come. What TLS has deciphered already does not wake the loop:
        it is taken at the next turn, for a broker that never stops must leave others theirs.
        """
        if self._watched is None:
            return
        self._served(self._client.loop_read)
        waits = self._watched is not None and getattr(self._watched, "pending", int)()
        if waits and not self._reads_again:
            self._reads_again = True
            self._loop.call_soon(self._read_again)

    def _read_again(self) -> None:
        self._reads_again = False
        self._read()

    def _write(self) -> None:
        """Send what waits."""
        self._served(self._client.loop_write)
        if self._watched is not None and not self._client.want_write():
            self._loop.remove_writer(self._watched)

    def _flush(self) -> None:
        """Send what the network did not take at once as soon as it takes more."""
        if self._watched is not None and self._client.want_write():
            self._loop.add_writer(self._watched, self._write)

    def _look_after(self) -> None:
        """Ask the broker (PINGREQ) where nothing was said for long, once a second."""
        if self._watched is None or self._beats is not None:
            return
        self._served(self._client.loop_misc)
        self._flush()
        self._loop.call_later(_LOOK_S, self._look_after)

    def _served(self, step: Callable[[], int]) -> None:
        """Let the library do a step; whatever comes of it ends the connection at most."""
        text = "the connection ended"
        try:
            if step() == paho.MQTT_ERR_SUCCESS:
                return
        except Exception as fault:  # of a library that reads what an outsider wrote
            text = f"what the broker sent cannot be read ({type(fault).__name__}: {fault})"
        self._leave()
        self._soon(self._end, LinkLostError(text))  # after what the library has told by itself

    def _on_connect(self, *given: Any) -> None:
        flags, code, properties = given[2], given[3], given[4]
        self._soon(self._take_connack, flags.session_present, code, properties)

    def _on_message(self, *given: Any) -> None:
        message = given[2]
        handle = message.mid if message.qos == 1 else 0
        one = Received(message.topic, bytes(message.payload), bool(message.retain), handle)
        if self._opened.done():  # a turn of the loop less
            self._take_message(one)
        else:  # after the CONNACK that came before it
            self._soon(self._take_message, one)

    def _on_disconnect(self, *given: Any) -> None:
        code: ReasonCode = given[3]
        self._soon(self._end, LinkLostError(str(code), reason=code.value))

    def _take_connack(self, session_present: bool, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self._end(LinkLostError(f"refused: {code}", reason=code.value))
            return
        self.session_present = session_present
        self.bytes_max = getattr(properties, "MaximumPacketSize", 0)
        window = getattr(properties, "ReceiveMaximum", self.window + 1)
        self._aliases_max = min(getattr(properties, "TopicAliasMaximum", 0), _ALIASES_MAX)
        if self._login.beat_topic and self._login.keepalive_s and window > 1:
            window -= 1  # a beat's
            self._client.ask_no_more()
            self._beats = Beating(
                self._loop,
                self._login.keepalive_s,
                send=self._send_beat,
                heard_s=lambda: heard_s(self._watched),
                give_up=self._give_up,
            )
            self._beats.doubted = self._tell_doubt
        self.window = min(self.window, window)
        if not self._opened.done():
            self._opened.set_result(None)

    def _give_up(self) -> None:
        """End a connection whose broker does not answer."""
        self._leave()
        self._end(LinkLostError("the broker does not answer"))

    def _tell_doubt(self, is_doubted: bool) -> None:
        self._doubted(is_doubted)

    def _send_beat(self, asks: bool) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        topic = self._by_alias(self._login.beat_topic, properties)
        info = self._client.publish(topic, b"", int(asks), False, properties)
        self._flush()
        if asks:
            self._inbox.expect(info.mid).add_done_callback(self._note_answer)

    def _by_alias(self, topic: str, properties: Any) -> str:
        """Return what to send for a topic that is told again and again: nothing but its number."""
        known = topic in self._aliases
        if not known and len(self._aliases) < self._aliases_max:
            self._aliases[topic] = len(self._aliases) + 1
        if topic in self._aliases:
            properties.TopicAlias = self._aliases[topic]
        return "" if known else topic

    def _note_answer(self, done: "asyncio.Future[Any]") -> None:
        if self._beats is not None and not done.cancelled() and done.exception() is None:
            self._beats.note_answer()

    def _take_message(self, message: Received) -> None:
        if self._opened.done():  # before the broker has let us in it has nothing to say to us
            self._inbox.put(message)

    def _end(self, fault: LinkLostError) -> None:
        if self._beats is not None:
            self._beats.end()
        if not self._opened.done():
            self._opened.set_exception(fault)
            self._opened.exception()  # who does not wait any more need not be told
        self._inbox.end(fault)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        if threading.get_ident() == self._thread:
            self._loop.call_soon(call, *arguments)
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended before the thread
            self._loop.call_soon_threadsafe(call, *arguments)
