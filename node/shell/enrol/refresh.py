"""What the station gives later: a renewed identity, new sounds, settings, plans, revocations.

```
 timer ─► `refresh` beside the running node ─► grant.new, sounds on the disk
 node: nothing sounds ─► ends ─► its supervisor starts it ─► takes grant.new before all else
```
It comes by the broker, or on a stick (`--stick`): both are believed by the signature alone.
"""

import argparse
import asyncio
import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from node.config import ConfigError, NodeConfig
from node.control.authorities import book_of
from node.control.precedence import MessageClass
from node.control.settings import ControlConfig
from node.control.trust.certificate import GRANT, Warrant
from node.control.trust.gatekeeper import Gatekeeper
from node.control.trust.signature import SeedSigner, key_id
from node.shell.broker import guest
from node.shell.broker.connection import LinkLostError
from node.shell.broker.paho_connection import connect
from node.shell.clocks import now_ns
from node.shell.config import MqttConfig, ShellConfig, read_config
from node.shell.enrol import install
from node.shell.enrol.command import fetch_all
from node.shell.enrol.known_time import clock_of, known_by
from node.shell.enrol.papers import PAPER_BYTES_MAX, Grant, grant_topic, open_paper
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.keys.identity import SEED_BYTES, SEED_KEY
from node.shell.sounds.library import FILE_BYTES_MAX
from node.shell.store.read import read_kept
from node.shell.store.store import Store
from node.shell.store.whole import write_file

LOG: Final = logging.getLogger("loalang")
WAITING: Final = "grant.new"
_LOOK_S: Final = 5.0
"""What the broker has kept for us comes within so long."""


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add the subcommand and return its parser."""
    refresh = commands.add_parser("refresh", help="get what the station has given since")
    refresh.add_argument("--stick", type=Path, metavar="FOLDER", help="in place of the broker")
    return refresh


def refresh_node(node: NodeConfig, shell: ShellConfig, options: argparse.Namespace) -> int:
    """Get a newer grant and its sounds; the node takes it when nothing sounds."""
    control, path = shell.control, shell.store.path
    if control is None or path is None or (shell.mqtt.host is None and options.stick is None):
        raise ShellError(
            f"{options.config}: needs [control], store.path and mqtt.host, as `enrol` writes them",
            exit_status=EXIT_INPUT,
        )
    stored = read_kept(Path(path))
    seed = stored.get(SEED_KEY, b"")
    if len(seed) != SEED_BYTES:
        raise ShellError(f"{path}: has no key yet; `loalang-node enrol`")
    public_key = SeedSigner(seed).public_key
    folder = Path(path).parent
    if options.stick is not None:
        found = _from_stick(options.stick, public_key, node, control, stored)
        if found is not None:
            _copy_sounds(options.stick, found[0], folder)
    else:
        try:
            found = asyncio.run(_from_broker(shell.mqtt, public_key, node, control, stored))
        except LinkLostError as fault:
            where = f"{shell.mqtt.host}:{shell.mqtt.port}"
            raise ShellError(f"broker {where}: {fault}") from fault
    if found is None:
        print(f"{node.name}: nothing new, grant {install.number_in(stored)} is the newest")
        return 0
    write_file(folder / WAITING, found[1], like=folder)
    print(f"{node.name}: grant {found[0].number} waits; the node takes it when nothing sounds")
    return 0


def newer_grant(
    sealed: bytes,
    public_key: bytes,
    node: NodeConfig,
    control: ControlConfig,
    stored: Mapping[str, bytes],
) -> Grant | str | None:
    """Return the grant in `sealed` if this node is to take it, None if it is not newer, or why not.

    It must be by a key that may order in the whole commune now, and cannot give the node another
    root, nor another one that is to follow: who stole that key would have it for ever.
    """
    opened = open_paper(sealed, Grant)
    if isinstance(opened, str):
        return opened
    grant, signer = opened
    if grant.public_key != public_key or grant.name != node.name:
        return "is for another node"
    if grant.number <= install.number_in(stored):
        return None
    root = bytes.fromhex(control.root_public_key)
    kept = {**stored, **install.kept_of(root, grant.orders, stored)}
    refusal = _refusal(signer, control, kept)
    if refusal is not None and not control.next_root:
        # What it brings may be by a root that follows, which nobody has promised here yet: then it
        # is asked by what is known here, and the promise comes with it.
        refusal = _refusal(signer, control, stored)
    if refusal is not None:
        return f"its signer may give no grants here: {refusal}"
    try:
        _, given = install.checked_settings(grant.settings)
    except (ConfigError, ShellError) as fault:
        return f"its settings are wrong: {fault}"
    if given.control is None or given.control.root_public_key != control.root_public_key:
        return "names another root"
    if control.next_root not in ("", given.control.next_root):
        return "names another root that is to follow"
    return grant


def take_waiting(config: Path) -> None:
    """Install the grant that waits, before the node starts; a bad one is said and forgotten."""
    node, shell = read_config(config)
    control, path = shell.control, shell.store.path
    if control is None or path is None or not (Path(path).parent / WAITING).exists():
        return
    waiting = Path(path).parent / WAITING
    try:
        with closing(Store(Path(path))) as store:
            sealed, stored = read_regular(waiting, PAPER_BYTES_MAX), store.kept()
            public_key = SeedSigner(stored.get(SEED_KEY, bytes(SEED_BYTES))).public_key
            grant = newer_grant(sealed, public_key, node, control, stored)
            if isinstance(grant, Grant):
                root = bytes.fromhex(control.root_public_key)
                install.install_grant(grant, grant.orders, root, store, config)
                LOG.info("grant %d of the station: taken", grant.number)
            elif grant is not None:
                LOG.error("%s: not taken, it %s", waiting, grant)
    except (ShellError, ConfigError) as fault:
        LOG.error("%s: not taken: %s", waiting, fault)
    waiting.unlink(missing_ok=True)


def _refusal(signer: bytes, control: ControlConfig, kept: Mapping[str, bytes]) -> str | None:
    """Return why the key `signer` may not give grants to this node, or None where it may."""
    tiers = control.priority.tiers
    book = book_of(control)
    clock = clock_of(control, kept)
    Gatekeeper(book, control.area, clock, kept)
    warrant = Warrant(key_id(signer), control.area, what=GRANT)
    holder = book.may(warrant, MessageClass.URGENT, clock.least(now_ns()))
    if isinstance(holder, str):
        return holder
    commune = tiers.index(control.priority.commune_tier)
    return "only a commune's key may" if holder.emergency or holder.level > commune else None


async def _from_broker(
    mqtt: MqttConfig,
    public_key: bytes,
    node: NodeConfig,
    control: ControlConfig,
    stored: Mapping[str, bytes],
) -> tuple[Grant, bytes] | None:
    assert mqtt.host is not None and mqtt.ca_file is not None
    known = known_by(clock_of(control, stored))
    login = guest.login(mqtt, "refresh", bytes_max=PAPER_BYTES_MAX + 1024, known=known)
    connection = await connect(login)
    try:
        await connection.subscribe([grant_topic(mqtt.village, public_key)])
        try:
            async with asyncio.timeout(_LOOK_S):
                message = await connection.receive()
        except TimeoutError:
            return None
        connection.acknowledge(message)
        grant = newer_grant(message.payload, public_key, node, control, stored)
        if isinstance(grant, str):
            raise ShellError(f"the grant that the broker has {grant}")
        if grant is None:
            return None
        await fetch_all(connection, mqtt.village, grant, Path(mqtt.ca_file).parent)
        return grant, message.payload
    finally:
        await connection.close()


def _from_stick(
    stick: Path,
    public_key: bytes,
    node: NodeConfig,
    control: ControlConfig,
    stored: Mapping[str, bytes],
) -> tuple[Grant, bytes] | None:
    path = stick / f"{key_id(public_key).hex()}.grant"
    sealed = read_regular(path, PAPER_BYTES_MAX)
    grant = newer_grant(sealed, public_key, node, control, stored)
    if isinstance(grant, str):
        raise ShellError(f"{path}: {grant}", exit_status=EXIT_INPUT)
    return None if grant is None else (grant, sealed)


def _copy_sounds(stick: Path, grant: Grant, folder: Path) -> None:
    import hashlib

    (folder / install.MEDIA).mkdir(exist_ok=True)
    for sound in grant.sounds:
        to = folder / install.MEDIA / f"{sound.digest}.opus"
        if not to.exists():
            data = read_regular(stick / "media" / to.name, FILE_BYTES_MAX)
            if hashlib.sha256(data).hexdigest() != sound.digest:
                raise ShellError(f"{stick / 'media' / to.name}: damaged; copy it again")
            write_file(to, data, like=folder)
