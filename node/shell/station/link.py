"""The station at its broker, under its own identity."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from node.shell.broker.connection import Connection, LinkLostError, Login
from node.shell.broker.paho_connection import connect
from node.shell.config import MqttConfig
from node.shell.faults import ShellError
from node.shell.keys.credentials import tls_context
from node.shell.station.folder import Station

_GIVEN_S: Final = 20.0
"""The broker must take a message within so long."""


@asynccontextmanager
async def at_broker(
    station: Station,
    *,
    identifier: str = "",
    session_s: int = 0,
    identity: MqttConfig | None = None,
    will: tuple[str, bytes] = ("", b""),
) -> AsyncIterator[Connection]:
    """Give a connection of the station, and say what helps where there is none.

    Under an `identifier` the broker keeps for `session_s` what comes while nobody is there. It is
    the office's, or that of another `identity`; `will` is what the broker retains after its death.
    """
    about = station.about
    login = Login(
        host=about.host,
        port=about.port,
        identifier=identifier or f"station-{os.urandom(6).hex()}",
        tls=tls_context(identity or station.login()),
        session_s=session_s,
        will_topic=will[0],
        will=will[1],
    )
    try:
        connection = await connect(login)
        try:
            yield connection
        finally:
            await connection.close()
    except LinkLostError as fault:
        raise ShellError(f"broker {about.host}:{about.port}: {fault}; does it run?") from fault


async def put(connection: Connection, topic: str, payload: bytes) -> None:
    """Let the broker keep `payload` for who asks for `topic`; none takes it away."""
    try:
        async with asyncio.timeout(_GIVEN_S):
            code = await connection.publish(topic, payload, quality=1, retain=True)
    except TimeoutError as fault:
        raise ShellError(f"the broker does not acknowledge {topic}") from fault
    if code >= 128:
        raise ShellError(f"the broker refuses {topic} (reason 0x{code:02x}): look at its ACL")
