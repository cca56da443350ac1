"""`loalang-node enrol`: ask to become one of the commune's nodes, and take all that it needs.

```
 bundle ─► own keys ─► request ─► code on the screen … a person accepts it at the station …
        grant ─► checked ─► sounds ─► identity, configuration, orders on the disk
```
"""

import argparse
import asyncio
import os
import socket
import ssl
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from node.config import ConfigError, NodeConfig
from node.control.civil_time import CivilClock
from node.control.settings import ControlConfig
from node.control.trust.signature import SeedSigner
from node.shell.broker.connection import Connection, LinkLostError, Login
from node.shell.broker.paho_connection import connect
from node.shell.clocks import now_ns
from node.shell.enrol import install
from node.shell.enrol.known_time import clock_of, known_by
from node.shell.enrol.papers import (
    PAPER_BYTES_MAX,
    Bundle,
    Grant,
    Request,
    code_of,
    fingerprint,
    grant_topic,
    may_grant,
    open_bundle,
    open_paper,
    request_topic,
    seal_paper,
)
from node.shell.enrol.sounds import fetch
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.files import read_regular
from node.shell.keys.floor_tls import judge_by
from node.shell.keys.identity import SEED_KEY, own_seed
from node.shell.store.store import Store
from node.shell.store.whole import give_to, write_file

GOOD_S: Final = 3600
"""How long the broker keeps a request, and the node waits."""

FOLDER: Final = Path("/var/lib/loalang")
CONFIG: Final = FOLDER / "node.toml"
_TRY_AGAIN_S: Final = 3.0
_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, and by whom."""

    bundle: Bundle
    signer: SeedSigner
    request: Request
    sealed: bytes
    clock: CivilClock
    """As the node will believe it: what is over by its floor is over."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    enrol = commands.add_parser("enrol", help="become a node of the commune: shows a code, waits")
    enrol.add_argument("bundle", type=Path, metavar="BUNDLE", help="of `loalang-station init`")
    enrol.add_argument("--name", default="", help="of this node; without it that of the machine")
    enrol.add_argument("--folder", type=Path, default=FOLDER, help="of its state (%(default)s)")
    enrol.add_argument("--config", type=Path, default=CONFIG, help="written there (%(default)s)")
    enrol.add_argument("--wait", type=float, default=GOOD_S, metavar="S", help="for the grant")


def enrol_node(options: argparse.Namespace) -> int:
    """Ask, show the code, wait for the grant, install it; return the exit status."""
    bundle = open_bundle(read_regular(options.bundle, PAPER_BYTES_MAX))
    if isinstance(bundle, str):
        raise ShellError(f"{options.bundle}: {bundle}", exit_status=EXIT_INPUT)
    folder: Path = options.folder
    if not folder.is_dir() or not options.config.parent.is_dir():
        missing = options.config.parent if folder.is_dir() else folder
        raise ShellError(f"{missing}: no such folder; make it", exit_status=EXIT_INPUT)
    try:
        grant = _enrol(bundle, options)
    finally:
        for one in folder.glob(install.STORE + "*"):  # its copies, and its lock
            give_to(one, folder)
    print(f"{grant.name}: enrolled; its configuration is {options.config}")
    return 0


def _enrol(bundle: Bundle, options: argparse.Namespace) -> Grant:
    folder: Path = options.folder
    with closing(Store(folder / install.STORE)) as store:
        if (fault := store.fault()) is not None:
            raise ShellError(f"{folder / install.STORE}: {fault}; stop the node while it enrols")
        asking = _ask(bundle, _name(options.name), folder, store)
        _show(asking)
        try:
            grant = asyncio.run(_until_installed(asking, folder, options.wait))
        except TimeoutError:
            raise ShellError(f"nobody accepted it in {options.wait:g} s; run it again") from None
        orders = (*bundle.orders, *grant.orders)
        install.install_grant(grant, orders, bundle.root_public_key, store, options.config)
    return grant


def _name(given: str) -> str:
    """Return the name that is asked for: as given, or what the machine's name makes."""
    name = given or "".join(c if c.isalnum() else "-" for c in socket.gethostname().lower())
    try:
        NodeConfig(name=name)
    except ConfigError as fault:
        raise ShellError(f"--name: {fault}", exit_status=EXIT_INPUT) from fault
    return name


def _ask(bundle: Bundle, name: str, folder: Path, store: Store) -> Asking:
    seed = own_seed(store)
    store.keep({SEED_KEY: seed})  # before anybody accepts it
    signer = SeedSigner(seed)
    request = Request(
        name=name,
        public_key=signer.public_key,
        tls_key=_own_tls_key(folder),
        nonce=os.urandom(_NONCE_BYTES),
    )
    clock = clock_of(
        ControlConfig(root_public_key=bundle.root_public_key.hex(), area=bundle.area), store.kept()
    )
    return Asking(bundle, signer, request, seal_paper(request, signer), clock)


def _own_tls_key(folder: Path) -> str:
    """Return the public half of the key of the identity at the broker; made at the first time."""
    path = folder / install.TLS_KEY
    if path.exists():
        try:
            secret = serialization.load_pem_private_key(path.read_bytes(), None)
        except (ValueError, TypeError) as fault:
            raise ShellError(f"{path}: no key; delete it", exit_status=EXIT_INPUT) from fault
        except OSError as fault:
            raise file_fault(path, fault) from fault
    else:
        secret = ec.generate_private_key(ec.SECP256R1())
        pem = secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_file(path, pem, mode=0o600, like=folder)
    public = secret.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


def _show(asking: Asking) -> None:
    """Print what a person compares and types; the code also as a picture for a telephone."""
    import segno  # only this needs it

    code = code_of(asking.sealed)
    bundle = asking.bundle
    print(f"commune       {bundle.area}, broker {bundle.host}:{bundle.port}")
    print(f"root          {fingerprint(bundle.root_public_key)}")
    print(f"this node     {asking.request.name}")
    print(f"fingerprint   {fingerprint(asking.request.public_key)}")
    segno.make(code, error="m").terminal(sys.stdout, compact=True, border=2)
    print(f"at the station:  loalang-station accept {code}", flush=True)


async def _until_installed(asking: Asking, folder: Path, wait_s: float) -> Grant:
    """Ask until there is a grant and all its sounds are here, over whatever the network does."""
    told = ""
    async with asyncio.timeout(wait_s):
        while True:
            try:
                return await _once(asking, folder)
            except LinkLostError as fault:
                if str(fault) != told:
                    told = str(fault)
                    where = f"{asking.bundle.host}:{asking.bundle.port}"
                    print(f"broker {where}: {told}; trying again", file=sys.stderr, flush=True)
            await asyncio.sleep(_TRY_AGAIN_S)


async def _once(asking: Asking, folder: Path) -> Grant:
    bundle, public_key = asking.bundle, asking.request.public_key
    connection = await connect(
        Login(
            host=bundle.host,
            port=bundle.port,
            identifier=f"enrol-{public_key.hex()[:16]}",
            tls=_tls_of(asking),
            bytes_max=PAPER_BYTES_MAX + 1024,
        )
    )
    try:
        await connection.subscribe([grant_topic(bundle.village, public_key)])
        code = await connection.publish(
            request_topic(bundle.village, public_key),
            asking.sealed,
            quality=1,
            retain=True,
            expires_s=GOOD_S,
        )
        if code >= 128:
            raise ShellError(
                "the broker takes no requests: are its ACL and this bundle of one age?"
            )
        grant = await _granted(connection, asking)
        await fetch_all(connection, bundle.village, grant, folder)
        return grant
    finally:
        await connection.close()


async def fetch_all(connection: Connection, village: str, grant: Grant, folder: Path) -> None:
    """Get the sounds of a grant that are not here yet."""
    media = folder / install.MEDIA
    if not media.is_dir():
        media.mkdir()
        give_to(media, folder)
    for number, sound in enumerate(grant.sounds, 1):
        print(f"sound {number} of {len(grant.sounds)}, {sound.size_bytes} bytes", flush=True)
        await fetch(connection, village, sound, media)
        give_to(media / f"{sound.digest}.opus", folder)


async def _granted(connection: Connection, asking: Asking) -> Grant:
    """Return the grant that answers this request; what is older, or another's, is passed over."""
    while True:
        message = await connection.receive()
        connection.acknowledge(message)
        opened = open_paper(message.payload, Grant)
        if isinstance(opened, str) or opened[0].nonce != asking.request.nonce:
            continue
        grant, signer = opened
        if grant.public_key != asking.request.public_key:
            continue
        if may_grant(asking.bundle, signer, asking.clock.least_s(now_ns())):
            return grant
        print("a grant by a key that the root did not certify was not taken", file=sys.stderr)


def _tls_of(asking: Asking) -> ssl.SSLContext:
    """Return how to speak to the broker before the node has an identity of its own."""
    bundle = asking.bundle
    try:
        context = ssl.create_default_context(cadata=bundle.ca)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(bundle.certificate + bundle.key)
            file.flush()
            context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as fault:
        raise ShellError(
            "the bundle has no good certificate; make a new one", exit_status=EXIT_INPUT
        ) from fault
    judge_by(context, known_by(asking.clock))
    return context
