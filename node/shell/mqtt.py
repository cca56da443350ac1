"""The link to the broker: MQTT 5, a last will, reconnection within 5 s, and a heartbeat."""

import asyncio
import json
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from node.control.trust.message import DOCUMENT_BYTES_MAX
from node.events import Publish
from node.shell.config import MqttConfig
from node.shell.faults import ShellError, file_fault
from node.units import NS_PER_S

LOG: Final = logging.getLogger("loalang.mqtt")

_RECONNECT_S: Final = (1.0, 5.0)
"""Bounds of the wait before the next attempt: jitter, so that a commune does not come at once."""
_KEEPALIVE_S: Final = 5
_TIMEOUT_S: Final = 10
_TOPIC_BYTES_MAX: Final = 1024
"""Header, topic and properties of a message, at most."""
_OUTBOX_MAX: Final = 256
"""Messages that wait for the broker; beyond it the oldest is dropped and counted."""

Take = Callable[[str, bytes], None]


class MqttLink:
    """One node at one broker. Topics are `pa/v1/<village>/node/<name>/{state,cmd,metric,...}`.

    Parameters
    ----------
    name : str
        The node's name: client identifier and part of the topics.
    config : MqttConfig
        Table `[mqtt]` with a `host`.
    session : int
        Greater with each start of the node, so that a late will does not end a new session.

    Raises
    ------
    ShellError
        If the password, a certificate or a key cannot be read.
    """

    def __init__(self, name: str, config: MqttConfig, *, session: int) -> None:
        self._name = name
        self._config = config
        self._root = f"pa/v1/{config.village}/node/{name}"
        self._password = read_password(config.password_file)
        self._tls = tls_context(config)
        self._session = session
        self._outbox: deque[Publish] = deque(maxlen=_OUTBOX_MAX)
        self._waiting = asyncio.Event()
        self._next_beat_ns = 0
        self.connected = False
        self.reconnects = 0
        self.dropped = 0
        """Messages that the outbox could not hold while the broker was away."""
        self.retained = 0
        """Orders that the broker had kept: not obeyed."""

    def publish(self, event: Publish) -> None:
        """Send `event` when the broker is there. A topic without "pa/" is below the node's own."""
        if len(self._outbox) == _OUTBOX_MAX:
            self.dropped += 1
        self._outbox.append(event)
        self._waiting.set()

    def offer_status(self, status: Callable[[], dict[str, object]], now_ns: int) -> None:
        """Publish the heartbeat with the node's status if it is due."""
        if not self.connected or now_ns < self._next_beat_ns:
            return
        self._next_beat_ns = now_ns + self._config.heartbeat_s * NS_PER_S
        body = {"session": self._session, **self.status(), **status()}
        self.publish(Publish("metric", json.dumps(body).encode()))

    def status(self) -> dict[str, int | bool]:
        """Return what a person wants to know of the link."""
        names = ("connected", "reconnects", "dropped", "retained")
        return {name: getattr(self, name) for name in names}

    async def run(self, take: Take) -> None:
        """Stay connected until cancelled; give each message to `take`."""
        while True:
            try:
                await self._connected(take)
            except aiomqtt.MqttError as fault:
                LOG.warning("broker %s:%d: %s", self._config.host, self._config.port, fault)
            self.connected = False
            self.reconnects += 1
            # Randomness is right here: only the shell has it, and no sound depends on it.
            await asyncio.sleep(random.uniform(*_RECONNECT_S))

    async def _connected(self, take: Take) -> None:
        assert self._config.host is not None
        client = aiomqtt.Client(
            self._config.host,
            self._config.port,
            identifier=self._name,
            protocol=aiomqtt.ProtocolVersion.V5,
            username=self._config.username,
            password=self._password,
            keepalive=_KEEPALIVE_S,
            timeout=_TIMEOUT_S,
            tls_context=self._tls,
            properties=_connect_properties(),
            will=aiomqtt.Will(f"{self._root}/state", self._state("lost"), qos=1, retain=True),
        )
        async with client:
            await self._subscribe(client)
            await client.publish(f"{self._root}/state", self._state("ready"), qos=1, retain=True)
            self.connected = True
            LOG.info("broker %s:%d: connected", self._config.host, self._config.port)
            await _both(self._read(client, take), self._send(client))

    async def _read(self, client: aiomqtt.Client, take: Take) -> None:
        async for message in client.messages:
            if message.retain:  # commands are never retained: an old one is no order
                self.retained += 1
                LOG.warning("%s: a retained order is not obeyed", message.topic)
                continue
            payload = message.payload if isinstance(message.payload, bytes) else b""
            take(str(message.topic), payload)

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        zones = [f"pa/v1/{self._config.village}/zone/{zone}/cmd" for zone in self._config.zones]
        topics = [f"{self._root}/cmd", *zones]
        codes = await client.subscribe([(topic, 1) for topic in topics])
        for topic, code in zip(topics, codes, strict=False):
            if isinstance(code, ReasonCode) and code.is_failure:
                LOG.error("broker refused the subscription of %s: %s", topic, code)

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            await self._waiting.wait()
            while self._outbox:
                event = self._outbox[0]
                own = not event.topic.startswith("pa/")
                topic = f"{self._root}/{event.topic}" if own else event.topic
                quality = 0 if event.topic == "metric" else 1
                await client.publish(topic, event.payload, qos=quality, retain=event.retain)
                # Taken only now: what a broken link swallowed is sent again after it.
                if self._outbox and self._outbox[0] is event:
                    self._outbox.popleft()
            self._waiting.clear()

    def _state(self, word: str) -> bytes:
        """Return the retained state of this session."""
        return json.dumps({"state": word, "session": self._session}).encode()


def _connect_properties() -> Properties:
    """Return what is told to the broker: what no order has is not even sent to us."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types
    properties.MaximumPacketSize = DOCUMENT_BYTES_MAX + _TOPIC_BYTES_MAX
    return properties


async def _both(*parts: Coroutine[None, None, None]) -> None:
    """Run `parts` until one of them ends or fails; end the others and pass its failure on."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def read_password(path: str | None) -> str | None:
    """Return the first line of `path`; None for None.

    Raises
    ------
    ShellError
        If it cannot be read or is empty.
    """
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8").splitlines()[0]
    except OSError as fault:
        raise file_fault(path, fault) from fault
    except IndexError as fault:
        raise ShellError(f"{path}: empty; its first line must be the password") from fault


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Return how to speak TLS to the broker; None when no authority of its is named.

    Raises
    ------
    ShellError
        If a certificate or key cannot be read.
    """
    if config.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.certificate_file is not None:
            context.load_cert_chain(config.certificate_file, config.key_file)
    except ssl.SSLError as fault:
        raise ShellError(f"mqtt.ca_file, certificate_file or key_file: {fault.reason}") from fault
    except OSError as fault:
        raise file_fault(fault.filename or config.ca_file, fault) from fault
    return context
