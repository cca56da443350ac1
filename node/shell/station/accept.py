"""`loalang-station accept CODE`: a node becomes one of the commune's, and gets all it needs."""

import argparse
import asyncio
import hashlib
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from node.config import NodeConfig
from node.control.trust.message import Kind
from node.control.trust.signature import SeedSigner
from node.shell.broker.connection import Connection
from node.shell.enrol import install
from node.shell.enrol.papers import (
    SOUNDS_MAX,
    Grant,
    Request,
    Sound,
    code_of,
    fingerprint,
    grant_topic,
    open_paper,
    read_code,
    request_topic,
    seal_paper,
)
from node.shell.enrol.sounds import offer
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular, read_toml_bytes
from node.shell.poles.readable import plan_fault
from node.shell.sounds.library import FILE_BYTES_MAX, WANTED, packets_of
from node.shell.station import certificates
from node.shell.station.folder import NodeEntry, Station
from node.shell.station.init import sign
from node.shell.station.link import at_broker, put

LOOK_S: Final = 3.0
"""What the broker has kept comes within so long."""

REQUESTS_MAX: Final = 1000
_OWN: Final = ("root_public_key", "next_root", "area")
_CONTROL: Final = "[control]"
_PLANS: Final = {"calendar": Kind.CALENDAR, "volume": Kind.VOLUME}


@dataclass(frozen=True, slots=True)
class _Asked:
    request: Request
    code: str


def accept_node(options: argparse.Namespace) -> int:
    """Accept the node with this code; return the exit status."""
    station = Station.open(options.folder)
    code = read_code(options.code)
    if code is None:
        raise ShellError(
            f"{options.code}: must be the 12 letters that the node shows", exit_status=EXIT_INPUT
        )
    known = next((one for one in station.nodes() if one.code == code), None)
    if known is not None:
        raise ShellError(f"{code}: was used for {known.name}; codes are good once", exit_status=2)
    asyncio.run(_accept(station, code, options))
    return 0


async def _accept(station: Station, code: str, options: argparse.Namespace) -> None:
    async with at_broker(station) as connection:
        asked = await _find(connection, station, code)
        entry = _entry(station, asked, options)
        settings = settings_for(station, entry)
        install.checked_settings(settings)
        sounds = await offer_sounds(connection, station)
        station.keep(entry)
        topic = grant_topic(station.about.village, entry.public_key)
        await put(connection, topic, make_grant(station, entry, sounds))
        await put(connection, request_topic(station.about.village, entry.public_key), b"")
    print(f"{entry.name}: accepted, fingerprint {fingerprint(entry.public_key)}")
    print(f"area {entry.area}, zones {', '.join(entry.zones) or 'none'}, {len(sounds)} sounds")


async def _find(connection: Connection, station: Station, code: str) -> _Asked:
    """Return the request with this code, of those that the broker has."""
    await connection.subscribe([f"pa/v1/{station.about.village}/enrol/+"])
    seen = 0
    try:
        async with asyncio.timeout(LOOK_S):
            while seen < REQUESTS_MAX:
                message = await connection.receive()
                connection.acknowledge(message)
                opened = open_paper(message.payload, Request)
                if isinstance(opened, str) or opened[0].public_key != opened[1]:
                    continue
                seen += 1
                if code_of(message.payload) == code:
                    return _Asked(opened[0], code)
    except TimeoutError:
        pass
    raise ShellError(
        f"{code}: none of {seen} nodes that ask has this code; is it still shown there? "
        "It is good for an hour",
    )


def _entry(station: Station, asked: _Asked, options: argparse.Namespace) -> NodeEntry:
    """Return what the station is to know of the node: what it knew of the name, with new keys."""
    request = asked.request
    name = options.name or request.name
    NodeConfig(name=name)  # says what is wrong with it: it becomes the name of a file
    known = station.node(name)
    if known is not None and known.public_key not in (b"", request.public_key):
        raise ShellError(
            f"{name} is another node's name: give it another one (--name), or if that node is gone "
            f"`loalang-station replace {name}` first",
            exit_status=EXIT_INPUT,
        )
    twin = next((one for one in station.nodes() if one.public_key == request.public_key), None)
    if twin is not None and twin.name != name:
        raise ShellError(f"this node is {twin.name} already; --name {twin.name}", exit_status=2)
    public = certificates.read_public(request.tls_key)
    if public is None:
        raise ShellError("its request has no good key; enrol it again, with this version")
    area = options.area or (known.area if known else f"{station.about.area}/{name}")
    before = known or NodeEntry(name=name, area=area)
    return NodeEntry(
        name=name,
        area=area,
        zones=tuple(options.zone) if options.zone else before.zones,
        public_key=request.public_key,
        tls_key=request.tls_key,
        certificate=new_identity(station, name, request.tls_key),
        code=asked.code,
        nonce=request.nonce,
        number=before.number + 1,
        taken_back=before.taken_back,
    )


def new_identity(station: Station, name: str, tls_key: str) -> str:
    """Return a certificate for the key of a node (PEM)."""
    public = certificates.read_public(tls_key)
    assert public is not None, "it was looked at when the node was accepted"
    ca, ca_key = station.read("ca.pem"), certificates.read_private(station.read("ca.key"))
    days = certificates.NODE_DAYS
    return certificates.identity(name, public, ca, ca_key, days=days).decode()


def settings_for(station: Station, entry: NodeEntry) -> str:
    """Return the configuration file of a node: what is its own, and the tables of all."""
    path = station.folder / "node.toml"
    text = read_toml_bytes(path).decode("utf-8", "replace")
    try:
        table: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ShellError(f"{path}: not TOML: {fault}", exit_status=EXIT_INPUT) from fault
    control = table.get("control", {})
    wanted = ("name", "mqtt", "store")
    given = [str(one) for one in wanted if one in table]
    given += [f"control.{one}" for one in _OWN if one in control]
    if given:
        raise ShellError(f"{path}: {given[0]}: `accept` writes it; take it out", exit_status=2)
    about, zones = station.about, ", ".join(f'"{zone}"' for zone in entry.zones)
    assistant = '\nhome_assistant = "homeassistant"' if station.lets_assistant else ""
    head = f"""name = "{entry.name}"

[mqtt]
host = "{about.host}"
port = {about.port}
village = "{about.village}"
zones = [{zones}]{assistant}
ca_file = "FOLDER/{install.CA}"
certificate_file = "FOLDER/{install.TLS_CERTIFICATE}"
key_file = "FOLDER/{install.TLS_KEY}"

[store]
path = "FOLDER/{install.STORE}"
"""
    lines = text.splitlines()
    at = next((i for i, one in enumerate(lines) if one.strip() == _CONTROL), None)
    own = [f'root_public_key = "{station.root_public_key.hex()}"', f'area = "{entry.area}"']
    if about.next_root:
        own.append(f'next_root = "{about.next_root}"')
    if "media_folder" not in control:
        own.append(f'media_folder = "FOLDER/{install.MEDIA}"')
    if at is None:
        lines += ["", _CONTROL, *own]
    else:
        lines[at + 1 : at + 1] = own
    return head + "\n" + "\n".join(lines) + "\n"


def stored_sounds(station: Station) -> tuple[Sound, ...]:
    """Return the stored sounds of the folder, all of which can be played."""
    sounds = []
    for path in sorted((station.folder / "media").glob("*.opus"))[:SOUNDS_MAX]:
        data = read_regular(path, FILE_BYTES_MAX)
        if packets_of(data) is None:
            raise ShellError(f"{path}: no {WANTED}; `loalang-node keep`", exit_status=EXIT_INPUT)
        sounds.append(Sound(hashlib.sha256(data).hexdigest(), len(data)))
    return tuple(sounds)


async def offer_sounds(connection: Connection, station: Station) -> tuple[Sound, ...]:
    """Give the broker the stored sounds; return them all."""
    sounds = stored_sounds(station)
    for sound in sounds:
        data = read_regular(station.folder / "media" / f"{sound.digest}.opus", FILE_BYTES_MAX)
        await offer(connection, station.about.village, sound, data)
    return sounds


def make_grant(station: Station, entry: NodeEntry, sounds: tuple[Sound, ...]) -> bytes:
    """Return what a node gets, signed, until the next one replaces it."""
    signer = station.signer("commune")
    grant = Grant(
        name=entry.name,
        public_key=entry.public_key,
        nonce=entry.nonce,
        number=entry.number,
        certificate=entry.certificate,
        ca=station.read("ca.pem").decode(),
        settings=settings_for(station, entry),
        orders=(*station.orders(), *_plans(station, signer)),
        sounds=sounds,
    )
    return seal_paper(grant, signer)


def _plans(station: Station, signer: SeedSigner) -> list[bytes]:
    """Return calendar and volume plan of the commune, signed, where there are some."""
    signed = []
    for what, kind in _PLANS.items():
        path = station.folder / "plans" / f"{what}.toml"
        if path.exists():
            content = read_toml_bytes(path)
            if (fault := plan_fault(content, what)) is not None:
                raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT)
            signed.append(sign(station, signer, kind, content))
    return signed
