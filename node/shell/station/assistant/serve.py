"""`loalang-station home-assistant run`: the bridge at the broker, for as long as it runs.

```
 Home Assistant ── wish ─► broker ─► bridge ── signed order ─► broker ─► node
                ◄─ state ──────────◄─       ◄─ signed answer, status, record ──┘
```
What the broker did not take before a connection ended is not sent again: an order that comes late
is a siren that nobody expects. It is told as unanswered. A broker that is away, or refuses the
bridge, is tried as the node tries it, and why is said seldom.
"""

import argparse
import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from node.control.precedence import MessageClass
from node.control.trust.certificate import Certificate
from node.shell.broker.connection import Connection, Received
from node.shell.broker.mqtt import RECONNECT_S
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.station.assistant import papers
from node.shell.station.assistant.bridge import Bridge, Send
from node.shell.station.assistant.entities import (
    OFFLINE,
    ONLINE,
    ORDER,
    bridge_topic,
    root_of,
)
from node.shell.station.assistant.listed import LOOK_S as LIST_S
from node.shell.station.assistant.listed import Listed
from node.shell.station.assistant.orders import Orders
from node.shell.station.assistant.pole_siren import ANSWER_S
from node.shell.station.assistant.seldom import Seldom
from node.shell.station.folder import Station
from node.shell.station.link import at_broker, put

LOOK_S: Final = 0.25

NOBODY: Final = 0x10
"""The broker took it, and nobody listens (MQTT 5, 3.4.2.1)."""

WAITING_MAX: Final = 8192
"""Messages that the broker has not taken yet. Of a state the newest alone waits."""

_HEARD: Final = ("metric", "acknowledgement", "proof", "proof-head")
_ENDS_SOON_S: Final = 60 * 86_400


class Outgoing:
    """Send no more at once than the broker takes (MQTT 5, 4.9)."""

    def __init__(self, connection: Connection, refuse: Callable[[Send, str], None]) -> None:
        self._connection = connection
        self._refuse = refuse
        self._waiting: dict[str, Send] = {}
        self._number = 0
        self._under_way = 0

    def add(self, sends: list[Send]) -> None:
        """Send what can be sent now; the rest waits."""
        for one in sends:
            self._number += 1
            key = one.topic if one.retain else f"{one.topic} {self._number}"
            if key not in self._waiting and len(self._waiting) >= WAITING_MAX:
                self._refuse(one, f"{WAITING_MAX} messages wait for the broker")
                continue
            self._waiting[key] = one
        self._pump()

    def _pump(self) -> None:
        while self._waiting and self._under_way < self._connection.window:
            one = self._waiting.pop(next(iter(self._waiting)))
            self._under_way += 1
            expires_s = 0 if one.retain else round(ANSWER_S)
            sent = self._connection.publish(
                one.topic, one.payload, quality=1, retain=one.retain, expires_s=expires_s
            )
            sent.add_done_callback(partial(self._taken, one))

    def _taken(self, one: Send, sent: "asyncio.Future[int]") -> None:
        self._under_way -= 1
        if sent.cancelled() or sent.exception() is not None:
            return  # the connection has ended
        code = sent.result()
        if code >= 128:
            self._refuse(one, f"the broker refuses it (reason 0x{code:02x}): look at its ACL")
        elif code == NOBODY:
            self._refuse(one, "the node is not at the broker")
        self._pump()


def run_bridge(options: argparse.Namespace) -> int:
    """Serve until somebody ends it; return the exit status."""
    station = Station.open(options.folder, options.nodes)
    claim, offer = papers.read_claim(station), papers.read_offer(station)
    _look_at_the_end(claim)
    listed = Listed(station, claim.area, offer.tones)
    orders = Orders(papers.signer_of(station), MessageClass(claim.class_max), offer.volume)
    bridge = Bridge(station.about.village, claim.area, listed.sites, offer.tones, orders)
    told_class = MessageClass(claim.class_max).name.lower()
    _say(f"{len(listed.sites)} nodes in {claim.area}, class {told_class}")
    try:
        asyncio.run(_serve(station, bridge, listed, np.random.default_rng()))
    except KeyboardInterrupt:
        print()
    return 0


def _say(line: str | None) -> None:
    if line is not None:
        print(line, flush=True)


def _look_at_the_end(claim: Certificate) -> None:
    left_s = claim.until_s - int(time.time())
    if left_s <= 0:
        raise ShellError(
            "the certificate of Home Assistant's key has ended: `enable` renews it",
            exit_status=EXIT_INPUT,
        )
    if left_s < _ENDS_SOON_S:
        print(f"its certificate ends in {left_s // 86_400} days: `enable` renews it", flush=True)


async def _serve(
    station: Station, bridge: Bridge, listed: Listed, rng: np.random.Generator
) -> None:
    """Serve, and come back to a broker that went away or refuses us."""
    village, seldom = station.about.village, Seldom()
    gone = (bridge_topic(village), OFFLINE)
    while True:
        try:
            async with at_broker(
                station,
                identifier=f"home-assistant-{village}",
                identity=papers.login_of(station),
                will=gone,
            ) as connection:
                for topic, payload in listed.entries.items():
                    await put(connection, topic, payload)
                try:
                    await _follow(village, connection, bridge, listed, seldom)
                finally:
                    connection.publish(*gone, quality=0, retain=True)
        except ShellError as fault:
            papers.read_claim(station)  # it may have been taken back meanwhile
            _say(seldom.failed(str(fault), time.monotonic()))
            await asyncio.sleep(rng.uniform(*RECONNECT_S))


async def _follow(
    village: str, connection: Connection, bridge: Bridge, listed: Listed, seldom: Seldom
) -> None:
    """Follow wishes by one connection until it ends."""
    states = f"pa/v1/{village}/node/+/state"
    topics = [f"{root_of(village)}/+/{one}" for one in ("+/set", ORDER)]
    topics += [states, *(f"pa/v1/{village}/node/+/{one}" for one in _HEARD)]
    if max(await connection.subscribe(topics)) >= 128:
        raise ShellError("the broker refuses a subscription: look at its ACL")
    outgoing = Outgoing(connection, bridge.refuse)
    bridge.tell_all()
    online = Send(bridge_topic(village), ONLINE, retain=True)
    outgoing.add([*bridge.take_sends(), online])
    _say(seldom.served("offered"))
    list_s = time.monotonic()
    while True:
        end_s = time.monotonic() + LOOK_S
        while (left_s := end_s - time.monotonic()) > 0:
            if (message := await _next(connection, left_s)) is not None:
                connection.acknowledge(message)
                bridge.receive(
                    message.topic, message.payload, time.monotonic(), time.time_ns(),
                    retained=message.retain,
                )  # fmt: skip
                outgoing.add(bridge.take_sends())
        bridge.look(time.monotonic(), time.time_ns())
        outgoing.add(bridge.take_sends())
        if end_s >= list_s:
            list_s = end_s + LIST_S
            if (entries := _read_again(listed)) is not None:
                bridge.know(listed.sites)
                outgoing.add([Send(*one, retain=True) for one in entries])
                outgoing.add(bridge.take_sends())
                await connection.subscribe([states])  # the broker gives what it keeps once more


def _read_again(listed: Listed) -> list[tuple[str, bytes]] | None:
    """Look at the list; what is wrong with a new one is said, and the one before holds."""
    before = listed.sites.keys()
    try:
        entries = listed.look()
    except ShellError as fault:
        _say(f"{fault}; goes on with the list of before")
        return None
    if entries is not None:
        now = listed.sites.keys()
        _say(f"{len(now)} nodes: {len(now - before)} new, {len(before - now)} gone")
    return entries


async def _next(connection: Connection, wait_s: float) -> Received | None:
    """Return the next message, None where none comes in time."""
    try:
        async with asyncio.timeout(wait_s):
            return await connection.receive()
    except TimeoutError:
        return None
