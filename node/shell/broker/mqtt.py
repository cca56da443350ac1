"""The node at its broker: orders in, answers out, a state that is right at all times.

```
 connect ─► subscribe ─► state ─► orders in, outbox out ─┐
    ▲                                                    │ whatever ends it
    └────────────── 1 to 5 s, by chance ◄────────────────┘
```
The broker keeps the node's session while the node is away, so an order that was given meanwhile
comes with the next connection. An order is acknowledged to the broker when what it changed is on
the disk.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Final

from node.control.civil_time import DAY_S
from node.control.trust.message import DOCUMENT_BYTES_MAX
from node.events import Publish
from node.shell.broker.ahead import AheadOfActing
from node.shell.broker.beats import UNHEARD_S
from node.shell.broker.connection import Connect, Connection, LinkLostError, Login
from node.shell.broker.kept_topics import TOPICS_KEY, topics_in
from node.shell.broker.outbox import Outbox
from node.shell.broker.outgoing import Outgoing
from node.shell.broker.own_name import OwnName
from node.shell.broker.paho_connection import connect as connect_paho
from node.shell.broker.together import both
from node.shell.broker.told_state import told_state
from node.shell.broker.unacknowledged import Unacknowledged
from node.shell.clocks import utc_ns
from node.shell.config import MqttConfig
from node.shell.keys.credentials import first_end_s, read_password, tls_context
from node.shell.keys.floor_tls import KnownTime
from node.shell.loop.looks import NEVER_NS
from node.shell.machine import machine
from node.units import NS_PER_S

LOG: Final = logging.getLogger("loalang.mqtt")

SESSION_S: Final = 86_400
"""How long the broker keeps orders for a node that is away."""
RECONNECT_S: Final = (1.0, 5.0)
"""Bounds of the wait before the next attempt: jitter, so that a commune does not come at once."""
_TOPIC_BYTES_MAX: Final = 1024
"""Header, topic and properties of a message, at most."""
_WILL_DELAY_S: Final = 2
"""A node that is back so soon was not lost."""
ASK: Final = b"status"
"""What asks under `cmd` for the whole status; it orders nothing, so nobody signs it."""
ASKED_S: Final = 10
"""However often it is asked for."""
CLOSE_S: Final = 1.5
"""What the goodbye may take, of the 5 s that the service has to stop."""

Take = Callable[[str, bytes], int | None]
"""Takes topic and payload; returns what must be durable before the broker may forget the order."""


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
    stored : mapping of str to bytes
        What the store kept: answers that wait, and what was subscribed to.
    public_key : str
        Hexadecimal digits of the key that signs the node's answers.
    announced : mapping of str to bytes
        What is to be retained under other topics: the node for programs that look for devices.
    connect : callable
        Makes connections; another network in tests and simulations.

    Raises ShellError if the password, a certificate or a key cannot be read.
    """

    def __init__(
        self,
        name: str,
        config: MqttConfig,
        *,
        session: int,
        stored: Mapping[str, bytes] | None = None,
        public_key: str = "",
        announced: Mapping[str, bytes] | None = None,
        connect: Connect = connect_paho,
    ) -> None:
        self._config = config
        self._connect = connect
        self._root = f"pa/v1/{config.village}/node/{name}"
        self._password = read_password(config.password_file)
        self._tls = tls_context(config, lambda: self._known)
        self._ends_s = first_end_s(config)
        self.session = session
        self._announced = dict(announced or {})
        if public_key:
            about = {"zones": list(config.zones), "public_key": public_key}
            self._announced[f"{self._root}/about"] = json.dumps(about).encode()
        self._outgoing = Outgoing(self._root, Outbox(stored or {}))
        self._old_topics = topics_in((stored or {}).get(TOPICS_KEY, b""))
        self._unacknowledged = Unacknowledged()
        self._connection: Connection | None = None
        self._state: tuple[str, tuple[str, ...]] = ("ready", ())
        self._own = OwnName(name, session)
        self._own.told = self._tell_fault
        self._next_beat_ns = 0
        self._is_asked = False
        self.durable: Callable[[], int] = lambda: 1 << 62
        """Returns the store's number up to which everything is on the disk."""
        self.keep: Callable[[Mapping[str, bytes]], int] = lambda changes: 0
        """Keeps something of the link's own in the store."""
        self.take_datagram: Callable[[bytes], None] | None = None
        """Takes what a station sends by the session, where no datagram comes through."""
        self.changed: Callable[[], None] = lambda: None
        """Told when there is something to do: the link is there, a status is asked for."""
        self.last_state: tuple[str, tuple[str, ...]] = ("stopped", ())  # what the goodbye says
        self.known_time: KnownTime = lambda: (utc_ns() // NS_PER_S, True)
        self._known = self.known_time()
        self.ahead = AheadOfActing()
        self.connected, self.reconnects, self._overflown = False, 0, 0
        self.retained = 0  # orders that the broker had kept: not obeyed

    @property
    def told(self) -> Callable[[str, str | None], None]:
        """Told of a fault of the link by its name, and with None when it is over."""
        return self._outgoing.told

    @told.setter
    def told(self, call: Callable[[str, str | None], None]) -> None:
        self._outgoing.told = call

    def _tell_fault(self, name: str, text: str | None) -> None:
        self.told(name, text)

    @property
    def topics(self) -> list[str]:
        """Return where orders for this node come."""
        village, zones = self._config.village, self._config.zones
        return [f"{self._root}/cmd", *(f"pa/v1/{village}/zone/{zone}/cmd" for zone in zones)]

    @property
    def dropped(self) -> int:
        """Messages that the outbox could not hold while the broker was away."""
        return self._outgoing.outbox.dropped

    @property
    def too_large(self) -> int:
        """Messages that are larger than the broker takes."""
        return self._outgoing.too_large

    @property
    def refused(self) -> int:
        """Messages that the broker did not want."""
        return self._outgoing.refused

    def publish(self, event: Publish, ticket: int = 0) -> dict[str, bytes]:
        """Send `event` when the broker is there and the store has `ticket`; return what to keep.

        A topic without "pa/" is below the node's own. What is worth nothing later goes now.
        """
        if event.at_once:
            self.tell(event)
            return {}
        one, changes = self._outgoing.outbox.add(event)
        one.ticket = ticket
        if ticket <= self.durable():
            self.wake()  # else the disk does
        return changes

    def tell(self, event: Publish) -> None:
        """Send `event` now, or never: what is told again soon anyway."""
        connection = self._connection
        if connection is not None and self._outgoing.fits(connection, event):
            topic = self._outgoing.topic(event)
            connection.publish(topic, event.payload, quality=0, retain=event.retain)

    def set_state(self, word: str, why: tuple[str, ...] = ()) -> None:
        """Let the retained state of the node be `word`; `why` where it is degraded."""
        if (word, why) != self._state:
            self._state = (word, why)
            self._tell_state()

    def offer_status(self, status: Callable[[], dict[str, object]], now_ns: int) -> None:
        """Publish the node's status if it is due, or somebody has asked for it."""
        beat_s = self._config.heartbeat_s
        if not self.connected or now_ns < self._next_beat_ns or not (beat_s or self._is_asked):
            return
        self._is_asked = False
        self._next_beat_ns = now_ns + (beat_s or ASKED_S) * NS_PER_S
        body = {"session": self.session, **self.status(), **status()}
        self.tell(Publish("metric", json.dumps(body).encode()))

    def next_status_ns(self) -> int:
        """Return when `offer_status` has something to do; far away where nobody waits for it."""
        is_wanted = self.connected and (self._config.heartbeat_s or self._is_asked)
        return self._next_beat_ns if is_wanted else NEVER_NS

    def status(self) -> dict[str, int | bool]:
        """Return what a person wants to know of the link."""
        names = ("connected", "reconnects", "dropped", "retained", "too_large", "refused")
        told = {name: getattr(self, name) for name in names}
        told |= {"waiting": len(self._outgoing.outbox), "unkept": self.ahead.unkept}
        told["overflown"] = self._overflown + _overflown_of(self._connection)
        days = self.certificate_days
        return told if days is None else told | {"certificate_days": days}

    @property
    def certificate_days(self) -> int | None:
        """How long the first certificate of the link is good for; None without any."""
        if self._ends_s is None:
            return None
        return (self._ends_s - utc_ns() // NS_PER_S) // DAY_S

    def wake(self) -> None:
        """Look again at what may leave: more is on the disk now."""
        if len(self._outgoing.outbox) or len(self._unacknowledged):
            self._outgoing.wake.set()
        self.ahead.wake()

    async def run(self, take: Take) -> None:
        """Stay connected until cancelled; give each message to `take`."""
        try:
            while True:
                try:
                    await self._once(take)
                except LinkLostError as fault:
                    self._note_lost(fault)
                self.connected = False
                self._overflown += _overflown_of(self._connection)
                self._connection = None
                self.reconnects += 1
                # Randomness is right here: only the shell has it, and no sound depends on it.
                await asyncio.sleep(machine().uniform(*RECONNECT_S))
        finally:
            await self._say_goodbye()

    async def _once(self, take: Take) -> None:
        """Connect and serve until the connection ends."""
        connection = await self._connect(self._login())
        try:
            await self._subscribe(connection)
            self._connection = connection
            self._own.note_connected(asyncio.get_running_loop().time())
            connection.tell_doubts(self._note_doubt)
            self._unacknowledged.clear()  # the broker gives them again
            self._tell_state()
            for topic, payload in self._announced.items():
                connection.publish(topic, payload, quality=1, retain=True)
            self.connected = True
            self.changed()
            LOG.info("broker %s:%d: connected", self._config.host, self._config.port)
            self.told("broker", None)
            await both(
                self._read(connection, take),
                self._outgoing.run(connection, self.durable, self._unacknowledged.settle),
            )
        except BaseException as fault:
            if isinstance(fault, LinkLostError) or self._connection is None:
                connection.abort()
            raise

    def _login(self) -> Login:
        assert self._config.host is not None
        self._known = self.known_time()  # the handshake is on a thread of its own
        return Login(
            host=self._config.host,
            port=self._config.port,
            identifier=self._own.identifier,
            username=self._config.username,
            password=self._password,
            tls=self._tls,
            keepalive_s=self._config.keepalive_s,
            session_s=SESSION_S,
            bytes_max=DOCUMENT_BYTES_MAX + _TOPIC_BYTES_MAX,
            will_topic=f"{self._root}/state",
            will=self._state_of("lost", ()),
            will_delay_s=_WILL_DELAY_S,
            beat_topic=f"{self._root}/beat",
        )

    async def _subscribe(self, connection: Connection) -> None:
        topics = self.topics
        more = [f"{self._root}/state"]
        if self.take_datagram is not None:
            more.append(f"{self._root}/stream")
        codes = (await connection.subscribe([*topics, *more]))[: len(topics)]
        bad = [topic for topic, code in zip(topics, codes, strict=False) if code >= 128]
        for topic in bad:
            LOG.error("broker refused the subscription of %s: look at its ACL", topic)
        text = f"the broker refuses {', '.join(bad)}: look at its ACL" if bad else None
        self.told("subscription", text)
        gone = [one for one in self._old_topics if one not in topics]
        if gone and connection.session_present:
            await connection.unsubscribe(gone)
        if topics != self._old_topics:
            self.keep({TOPICS_KEY: json.dumps(topics).encode()})
        self._old_topics = topics

    async def _read(self, connection: Connection, take: Take) -> None:
        topics, loop = frozenset(self.topics), asyncio.get_running_loop()
        while True:
            message = await connection.receive()
            is_state, now_s = message.topic == f"{self._root}/state", loop.time()
            if is_state and self._own.contradicts(message.payload, now_s):
                self._tell_state()
            is_stream = message.topic == f"{self._root}/stream" and not message.retain
            if is_stream and self.take_datagram is not None:
                self.take_datagram(message.payload)
            if message.topic not in topics:
                connection.acknowledge(message)
                continue
            if message.retain:  # commands are never retained: an old one is no order
                self.retained += 1
                LOG.warning("%s: a retained order is not obeyed", message.topic)
                connection.acknowledge(message)
                continue
            if message.payload == ASK:
                self._is_asked = True
                self.changed()
                connection.acknowledge(message)
                continue
            try:
                await self.ahead.kept(message.payload, self.durable)
            finally:  # it acts whatever became of the link meanwhile
                ticket = take(message.topic, message.payload) or 0
                self._unacknowledged.add(message, ticket)
            if self._unacknowledged.settle(connection, self.durable()):
                self._outgoing.wake.set()  # it is to look again in a second

    def _note_lost(self, fault: LinkLostError) -> None:
        """Say why the link ended."""
        LOG.warning("broker %s:%d: %s", self._config.host, self._config.port, fault)
        self.told("broker", str(fault))
        self._own.note_lost(fault.reason)

    def _note_doubt(self, is_doubted: bool) -> None:
        """Say that the broker's machine seems to be gone, before the connection ends of it."""
        text = f"its machine has acknowledged nothing for {UNHEARD_S:g} s"
        self.told("broker", text if is_doubted else None)

    def _tell_state(self) -> None:
        if self._connection is not None:
            payload = self._state_of(*self._state)
            self._connection.publish(f"{self._root}/state", payload, quality=1, retain=True)

    def _state_of(self, word: str, why: tuple[str, ...]) -> bytes:
        """Return the retained state of this session."""
        return told_state(word, self.session, self._config.keepalive_s, why)

    async def _say_goodbye(self) -> None:
        """Send what still may leave and the state, which says that the node ended by itself."""
        connection, self._connection = self._connection, None
        self.connected = False
        self._overflown += _overflown_of(connection)
        if connection is None:
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._outgoing.send_last(
                    connection, self.durable, self._unacknowledged.settle
                )
                payload = self._state_of(*self.last_state)
                await connection.publish(f"{self._root}/state", payload, quality=1, retain=True)
                await connection.close()
        except (LinkLostError, TimeoutError):
            connection.abort()


def _overflown_of(connection: Connection | None) -> int:
    """Return how many messages of a connection came faster than they were taken."""
    return 0 if connection is None else connection.overflown
