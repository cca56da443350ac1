"""`loalang-node publish`: give a signed order to the broker, and say which nodes answered what.

The broker's acknowledgement is not delivery: what counts is the answer of each node.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt
import msgspec

from node.control.orders import Acknowledgement
from node.control.trust.message import Kind, Message, open_envelope
from node.shell.config import MqttConfig, split_address
from node.shell.faults import EXIT_FAULT, EXIT_INPUT, ShellError, file_fault
from node.shell.mqtt import read_password, tls_context

_TIMEOUT_S: Final = 10


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    publish = commands.add_parser("publish", help="give a signed order to the broker")
    publish.add_argument("order", type=Path, metavar="ORDER.bin", help="made by `order`")
    publish.add_argument("--broker", required=True, metavar="HOST:PORT")
    publish.add_argument("--village", default="village")
    to = publish.add_mutually_exclusive_group(required=True)
    to.add_argument("--node", help="one node by its name")
    to.add_argument("--zone", help="all nodes of a zone")
    publish.add_argument("--wait", type=float, default=5.0, metavar="S", help="for answers")
    publish.add_argument("--answers", type=int, default=1, metavar="N", help="wait for so many")
    publish.add_argument("--username")
    for name in ("password", "ca", "certificate", "key"):
        publish.add_argument(f"--{name}-file", metavar="FILE")


@dataclass(slots=True)
class _Answers:
    """Who answered one order, and what."""

    about: Message
    fates: dict[str, str] = field(default_factory=dict)

    def take(self, payload: bytes) -> str | None:
        """Return the name of a node that answered for the first time, or None."""
        message = open_envelope(payload)
        if isinstance(message, str) or message.kind is not Kind.ACKNOWLEDGEMENT:
            return None
        try:
            answer = msgspec.json.decode(message.content, type=Acknowledgement)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        mine = (answer.issuer, answer.counter) == (self.about.key_id.hex(), self.about.counter)
        if not mine or answer.node in self.fates:
            return None
        self.fates[answer.node] = answer.fate
        return answer.node


def publish_order(options: argparse.Namespace) -> int:
    """Publish the order and print a line per answer; return 1 when fewer came than asked for."""
    try:
        sealed = options.order.read_bytes()
    except OSError as fault:
        raise file_fault(options.order, fault) from fault
    order = open_envelope(sealed)
    if isinstance(order, str):
        raise ShellError(f"{options.order}: {order}", exit_status=EXIT_INPUT)
    host, port = split_address(options.broker, what="--broker")
    config = MqttConfig(
        host=host,
        port=port,
        village=options.village,
        username=options.username,
        password_file=options.password_file,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
    )
    to = f"node/{options.node}" if options.node else f"zone/{options.zone}"
    answers = _Answers(order)
    try:
        asyncio.run(_publish(config, f"pa/v1/{config.village}/{to}/cmd", sealed, answers, options))
    except aiomqtt.MqttError as fault:
        raise ShellError(f"broker {host}:{port}: {fault}") from fault
    if len(answers.fates) >= options.answers:
        return 0
    print(f"{len(answers.fates)} of {options.answers} answers in {options.wait:g} s")
    return EXIT_FAULT


async def _publish(
    config: MqttConfig, topic: str, sealed: bytes, answers: _Answers, options: argparse.Namespace
) -> None:
    assert config.host is not None
    client = aiomqtt.Client(
        config.host,
        config.port,
        protocol=aiomqtt.ProtocolVersion.V5,
        username=config.username,
        password=read_password(config.password_file),
        timeout=_TIMEOUT_S,
        tls_context=tls_context(config),
    )
    async with client:
        await client.subscribe(f"pa/v1/{config.village}/node/+/acknowledgement", qos=1)
        begin_s = time.monotonic()
        await client.publish(topic, sealed, qos=1)
        try:
            async with asyncio.timeout(options.wait):
                async for message in client.messages:
                    payload = message.payload if isinstance(message.payload, bytes) else b""
                    name = answers.take(payload)
                    if name is not None:
                        took_s = time.monotonic() - begin_s
                        print(f"{name}: {answers.fates[name]} after {took_s:.3f} s", flush=True)
                    if len(answers.fates) >= options.answers:
                        return
        except TimeoutError:
            return
