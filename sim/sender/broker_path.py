"""Joined nodes that no datagram reaches: their packets go by the broker that they are at anyway.

```
 node ── pa/v1/<village>/node/<name>/path ───► broker ───► station     what it asks and reports
      ◄── pa/v1/<village>/node/<name>/stream ──       ◄───             stream, repair, clock
```
Each message is one datagram, of quality 0. A node has an address here as everywhere, one that no
datagram has (RFC 6666).
"""

import argparse
import asyncio
import contextlib
import hashlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from node.shell.broker import guest
from node.shell.broker.connection import Connection, LinkLostError
from node.shell.broker.paho_connection import connect
from node.shell.config import MqttConfig
from sim.sender.outlet import BROKER_PREFIX, Address

NODES_MAX: Final = 2000
"""Names that are known at once; the oldest is forgotten, and is known again by its next word."""
WAITING_MAX: Final = 1024
_AGAIN_S: Final = 2.0
_KEEPALIVE_S: Final = 12


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what says which broker."""
    purpose = "with --serve: reach by it whom no datagram reaches"
    guest.add_options(parser, required=False, purpose=purpose)


def path_of(options: argparse.Namespace) -> "BrokerPath | None":
    """Return the path that the options name, or None.

    Raises
    ------
    ShellError, ConfigError
        If they are wrong, or a file of theirs cannot be read.
    """
    if options.broker is None:
        return None
    return BrokerPath(guest.config_of(options))


class BrokerPath:
    """One session of the station, on a thread of its own."""

    def __init__(self, config: MqttConfig) -> None:
        self._root = f"pa/v1/{config.village}/node"
        self._login = guest.login(config, "station", keepalive_s=_KEEPALIVE_S)
        self._names: dict[Address, str] = {}
        self._came: deque[tuple[bytes, Address, int]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connection: Connection | None = None
        self._wake: Callable[[], None] = lambda: None
        self._ended = threading.Event()
        self.left = 0
        """Datagrams that found no place, or no broker."""

    def start(self, wake: Callable[[], None]) -> None:
        """Connect, and stay connected; call `wake` after each datagram."""
        self._wake = wake
        threading.Thread(
            target=asyncio.run, args=(self._run(),), name="broker", daemon=True
        ).start()

    def close(self) -> None:
        """End."""
        self._ended.set()

    def received(self) -> list[tuple[bytes, Address, int]]:
        """Return what came: data, the address that stands for its node, when, in ns."""
        came = []
        while self._came:
            came.append(self._came.popleft())
        return came

    def send(self, data: bytes, destination: Address) -> None:
        """Send a datagram to a node that spoke."""
        name, loop = self._names.get(destination), self._loop
        if name is None or loop is None or self._connection is None:
            self.left += 1
            return
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            loop.call_soon_threadsafe(self._publish, f"{self._root}/{name}/stream", data)

    def _publish(self, topic: str, data: bytes) -> None:
        if self._connection is not None:
            self._connection.publish(topic, data, quality=0, retain=False)

    async def _run(self) -> None:
        self._loop, said = asyncio.get_running_loop(), False
        while not self._ended.is_set():
            try:
                await self._once()
            except LinkLostError as fault:
                self._connection = None
                if not said:
                    told = f"loalang-send: broker {self._login.host}:{self._login.port}: {fault}"
                    print(told, file=sys.stderr, flush=True)
                said = True
                await asyncio.sleep(_AGAIN_S)

    async def _once(self) -> None:
        connection = await connect(self._login)
        try:
            codes = await connection.subscribe([f"{self._root}/+/path"])
            if codes[0] >= 128:
                raise LinkLostError("it refuses the nodes' topic `path`: look at its ACL")
            self._connection = connection
            while True:
                message = await connection.receive()
                connection.acknowledge(message)
                self._take(message.topic.split("/")[-2], message.payload)
        finally:
            self._connection = None
            connection.abort()

    def _take(self, name: str, data: bytes) -> None:
        if len(self._came) >= WAITING_MAX:
            self.left += 1
            return
        address = _address_of(name)
        if address not in self._names and len(self._names) >= NODES_MAX:
            del self._names[next(iter(self._names))]
        self._names[address] = name
        self._came.append((data, address, time.monotonic_ns()))
        self._wake()


def _address_of(name: str) -> Address:
    digits = hashlib.sha256(name.encode()).hexdigest()
    return BROKER_PREFIX + ":".join(digits[i : i + 4] for i in range(0, 16, 4)), 1
