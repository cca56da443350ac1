"""A model of an MQTT 5 broker, as far as the nodes and the station can tell it from a real one.

Retained messages, last wills with their delay, sessions with expiry, quality 1 with redelivery to
who comes back, keep-alive, the receive maximum, take-over, refusals by topic, the largest packet,
and a restart with or without its database.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from node.units import NS_PER_S
from sim.world.loop import VirtualLoop

SUCCESS: Final = 0x00
NOT_AUTHORISED: Final = 0x87
TAKEN_OVER: Final = 0x8E
SHUTTING_DOWN: Final = 0x8B
KEEP_ALIVE_TIMEOUT: Final = 0x8D

QUEUE_MAX: Final = 1000
"""Messages that wait for one client, as mosquitto's `max_queued_messages`."""

_KEEP_ALIVE: Final = 1.5
"""Of its own interval a client may be silent so long (MQTT 5, 3.1.2.10)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One publication."""

    topic: str
    payload: bytes
    quality: int
    retain: bool
    until_ns: int | None = None
    """It is not given out any more from then on."""

    @property
    def size_bytes(self) -> int:
        """Return its size as a packet of MQTT."""
        return len(self.topic.encode()) + len(self.payload) + 8


class Link(Protocol):
    """The broker's end of one connection."""

    identifier: str

    def give(self, message: Message, handle: int) -> None:
        """Send a message; `handle` is 0 where it is not to be acknowledged."""

    def drop(self, reason: int) -> None:
        """End the connection, with a reason where the client can be told."""


@dataclass(slots=True)
class _Session:
    topics: dict[str, None] = field(default_factory=dict)
    waiting: list[Message] = field(default_factory=list)
    under_way: dict[int, Message] = field(default_factory=dict)
    expiry_s: int = 0
    receive_max: int = 20
    link: Link | None = None
    keep_alive_s: int = 0
    heard_ns: int = 0
    will: Message | None = None
    will_delay_s: int = 0
    ends: asyncio.TimerHandle | None = None
    will_timer: asyncio.TimerHandle | None = None
    handles: int = 0


class Broker:
    """The broker of a village."""

    def __init__(
        self,
        loop: VirtualLoop,
        *,
        allows: Callable[[str, str], bool] = lambda identifier, topic: True,
        bytes_max: int = 0,
    ) -> None:
        self._loop = loop
        self._allows = allows
        self.bytes_max = bytes_max
        self._sessions: dict[str, _Session] = {}
        self._exact: dict[str, dict[str, None]] = {}
        """Whose sessions may have subscribed to just that topic; who is in none of these lists has
        not."""
        self._wild: dict[str, None] = {}
        """Whose sessions may have subscribed by a pattern."""
        self._retained: dict[str, Message] = {}
        self.up = True
        self.dropped = 0
        """Messages for clients whose queue was full, or whose session had expired."""
        self.watch: Callable[[str, str, Message | None], None] = lambda what, who, message: None
        """Told of what happens at a client: "connected", "left", or "acknowledged" a message."""

    def remember(self, identifier: str, topics: list[str], *, expiry_s: int) -> None:
        """Hold the session of a client that was here before the run began."""
        session = self._sessions[identifier] = _Session(expiry_s=expiry_s)
        for topic in topics:
            self._note_topic(identifier, session, topic)
        self._expire_later(identifier, session)

    def connect(
        self,
        link: Link,
        *,
        keep_alive_s: int,
        session_s: int,
        receive_max: int,
        will: Message | None,
        will_delay_s: int,
    ) -> bool:
        """Take a client in; return whether its session was there."""
        session = self._sessions.get(link.identifier)
        if session is not None and session.link is not None:
            old, session.link = session.link, None
            old.drop(TAKEN_OVER)
        if session is not None and session.ends is not None:
            session.ends.cancel()
        if session is not None and session_s == 0:
            session = None
        present = session is not None
        if session is None:
            session = self._sessions[link.identifier] = _Session()
        if session.will_timer is not None:
            session.will_timer.cancel()
            session.will_timer = None
        session.link, session.expiry_s, session.receive_max = link, session_s, receive_max
        session.will, session.will_delay_s = will, will_delay_s
        session.keep_alive_s, session.heard_ns = keep_alive_s, self._loop.now_ns
        if keep_alive_s:
            self._look(link, session)
        self.watch("connected", link.identifier, None)
        return present

    def resume(self, link: Link) -> None:
        """Give a client again what it had not acknowledged, and what had waited for it."""
        session = self._of(link)
        if session is None:
            return
        again = [*session.under_way.values(), *session.waiting]
        session.under_way.clear()
        session.waiting = again
        self._flow(session)

    def subscribe(self, link: Link, topics: list[str]) -> list[int]:
        """Subscribe with quality 1, retained messages only for new subscriptions; reason codes."""
        session = self._of(link)
        codes = []
        for topic in topics:
            if session is None or not self._allows(link.identifier, topic):
                codes.append(NOT_AUTHORISED)
                continue
            codes.append(1)
            if topic not in session.topics:
                self._note_topic(link.identifier, session, topic)
                for one in list(self._retained.values()):
                    if matches(topic, one.topic):
                        self._queue(session, one)
        return codes

    def unsubscribe(self, link: Link, topics: list[str]) -> None:
        """Give subscriptions back."""
        session = self._of(link)
        if session is not None:
            for topic in topics:
                session.topics.pop(topic, None)

    def publish(self, link: Link, message: Message) -> int:
        """Take a publication; return its reason code."""
        self.heard(link)
        if not self._allows(link.identifier, message.topic):
            return NOT_AUTHORISED
        self._publish(message)
        return SUCCESS

    def acknowledge(self, link: Link, handle: int) -> None:
        """Forget what a client has in its hands."""
        session = self._of(link)
        message = None if session is None else session.under_way.pop(handle, None)
        if session is not None and message is not None:
            self.watch("acknowledged", link.identifier, message)
            self._flow(session)

    def heard(self, link: Link) -> None:
        """Note that a client lives."""
        session = self._of(link)
        if session is not None:
            session.heard_ns = self._loop.now_ns

    def left(self, link: Link, *, said_so: bool) -> None:
        """Note that a connection has ended; without a goodbye the will is told after its delay."""
        session = self._of(link)
        if session is None:
            return
        session.link = None
        self.watch("left", link.identifier, None)
        will, session.will = session.will, None
        if will is not None and not said_so:
            delay_ns = min(session.will_delay_s, session.expiry_s) * NS_PER_S
            session.will_timer = self._loop.call_at_ns(
                self._loop.now_ns + delay_ns, self._publish, will
            )
        self._expire_later(link.identifier, session)

    def stop(self) -> None:
        """Go down: all connections end."""
        self.up = False
        for session in self._sessions.values():
            link, session.link = session.link, None
            session.will = None
            if link is not None:
                self.watch("left", link.identifier, None)
                link.drop(SHUTTING_DOWN)

    def start(self, *, database: bool) -> None:
        """Come back, with what was kept or with nothing."""
        self.up = True
        if not database:
            self._sessions.clear()
            self._retained.clear()

    def connected(self, identifier: str) -> bool:
        """Return whether a client is there, as far as the broker knows."""
        session = self._sessions.get(identifier)
        return session is not None and session.link is not None

    def retained(self, topic: str) -> bytes | None:
        """Return the retained message of one topic."""
        one = self._retained.get(topic)
        return None if one is None else one.payload

    def _of(self, link: Link) -> _Session | None:
        session = self._sessions.get(link.identifier)
        return session if session is not None and session.link is link else None

    def _publish(self, message: Message) -> None:
        if message.retain:
            if message.payload:
                self._retained[message.topic] = message
            else:
                self._retained.pop(message.topic, None)
        plain = message
        if message.retain:  # told as it is published, it is not marked (MQTT 5, 3.3.1.3)
            plain = Message(
                message.topic, message.payload, message.quality, retain=False,
                until_ns=message.until_ns,
            )  # fmt: skip
        for session in self._subscribers(message.topic):
            self._queue(session, plain)

    def _note_topic(self, identifier: str, session: _Session, topic: str) -> None:
        session.topics[topic] = None
        is_wild = "+" in topic or "#" in topic
        known = self._wild if is_wild else self._exact.setdefault(topic, {})
        known[identifier] = None

    def _subscribers(self, topic: str) -> list[_Session]:
        """Return the sessions that want what is published under `topic`, in their own order."""
        maybe = {**self._exact.get(topic, {}), **self._wild}
        found = [
            one
            for one in maybe
            if (s := self._sessions.get(one)) is not None
            and any(matches(pattern, topic) for pattern in s.topics)
        ]
        if len(found) > 1:
            order = {one: at for at, one in enumerate(self._sessions)}
            found.sort(key=order.__getitem__)
        return [self._sessions[one] for one in found]

    def _queue(self, session: _Session, message: Message) -> None:
        if session.link is None and message.quality == 0:
            return
        if len(session.waiting) >= QUEUE_MAX:
            self.dropped += 1
            return
        session.waiting.append(message)
        self._flow(session)

    def _flow(self, session: _Session) -> None:
        """Give out what waits, no more at once than the client takes."""
        while session.waiting and session.link is not None:
            message = session.waiting[0]
            if message.until_ns is not None and message.until_ns <= self._loop.now_ns:
                session.waiting.pop(0)
                continue
            if message.quality and len(session.under_way) >= session.receive_max:
                return
            session.waiting.pop(0)
            handle = 0
            if message.quality:
                session.handles = handle = session.handles % 65_535 + 1
                session.under_way[handle] = message
            session.link.give(message, handle)

    def _look(self, link: Link, session: _Session) -> None:
        """Look when the client would have been silent for too long."""
        if session.link is not link:
            return
        end_ns = session.heard_ns + round(_KEEP_ALIVE * session.keep_alive_s * NS_PER_S)
        if self._loop.now_ns >= end_ns:
            link.drop(KEEP_ALIVE_TIMEOUT)
            self.left(link, said_so=False)
            return
        self._loop.call_at_ns(end_ns, self._look, link, session)

    def _expire_later(self, identifier: str, session: _Session) -> None:
        def expire() -> None:
            if session.link is None and self._sessions.get(identifier) is session:
                del self._sessions[identifier]

        end_ns = self._loop.now_ns + session.expiry_s * NS_PER_S
        session.ends = self._loop.call_at_ns(end_ns, expire)


def matches(pattern: str, topic: str) -> bool:
    """Return whether `topic` is one of those that `pattern` names (MQTT 5, section 4.7)."""
    if pattern == topic:
        return True
    asked, there = pattern.split("/"), topic.split("/")
    for i, level in enumerate(asked):
        if level == "#":
            return True
        if i >= len(there) or level not in ("+", there[i]):
            return False
    return len(asked) == len(there)
