"""Commands at the broker for a while: the options that say which one, and their login there."""

import argparse
import os

from node.shell.broker.connection import Login
from node.shell.config import MqttConfig, split_address
from node.shell.keys.credentials import read_password, tls_context
from node.shell.keys.floor_tls import KnownTime


def add_options(
    parser: argparse.ArgumentParser, *, required: bool, purpose: str | None = None
) -> None:
    """Add the options that say which broker; `purpose` is what the help says of the first."""
    add = parser.add_argument
    add("--broker", required=required, metavar="HOST:PORT", help=purpose)
    add("--village", default="village", help="second level of the topics")
    add("--username", help="at the broker")
    for name in ("password", "ca", "certificate", "key"):
        add(f"--{name}-file", metavar="FILE", help="for the broker")


def config_of(options: argparse.Namespace) -> MqttConfig:
    """Return what the options say; `--broker` is given.

    Raises
    ------
    ShellError, ConfigError
        If they are wrong: says what would be right.
    """
    host, port = split_address(options.broker, what="--broker")
    return MqttConfig(
        host=host,
        port=port,
        village=options.village,
        username=options.username,
        password_file=options.password_file,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
    )


def login(
    config: MqttConfig,
    who: str,
    *,
    bytes_max: int = 0,
    keepalive_s: int = 10,
    known: KnownTime | None = None,
) -> Login:
    """Return a login under a name of its own, so that the node keeps its session.

    Dates of certificates are judged by `known`; without it by the machine's clock.

    Raises
    ------
    ShellError
        If a file of the configuration cannot be read.
    """
    assert config.host is not None, "the caller looked"
    return Login(
        host=config.host,
        port=config.port,
        identifier=f"{who}-{os.urandom(6).hex()}",
        username=config.username,
        password=read_password(config.password_file),
        tls=tls_context(config, known),
        keepalive_s=keepalive_s,
        bytes_max=bytes_max,
    )
