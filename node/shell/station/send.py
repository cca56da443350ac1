"""`loalang-station send` and `revoke`: what every node of the commune is to have now.

A grant stays at the broker until the next one, so a node that was off for a year gets it when it
is back; `--stick` writes the same papers for nodes that no network reaches.
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from node.control.trust.authority import Revocation
from node.control.trust.message import Kind
from node.control.trust.signature import PUBLIC_KEY_BYTES, key_id
from node.shell.enrol.papers import Sound, grant_topic
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.sounds.library import FILE_BYTES_MAX
from node.shell.station.accept import make_grant, new_identity, offer_sounds, stored_sounds
from node.shell.station.folder import NodeEntry, Station
from node.shell.station.init import sign
from node.shell.station.link import at_broker, put
from node.shell.store.whole import write_file

RENEW_S: Final = 180 * 86_400
"""Identities that end within half a year get a successor; the old one holds until its end."""

_LIST: Final = "revocation-commune.bin"


def send_all(options: argparse.Namespace) -> int:
    """Give every node a new grant, over the broker or on a stick."""
    station = Station.open(options.folder)
    _refresh_list(station)
    for entry in list(station.nodes()):
        if entry.public_key:
            station.keep(_next(station, entry))
    if options.stick is not None:
        sounds = stored_sounds(station)
        _write_stick(station, options.stick, sounds)
    else:
        sounds = asyncio.run(_send(station))
    nodes = [one for one in station.nodes() if one.public_key]
    print(f"{len(nodes)} nodes, {len(sounds)} sounds each: they take it within a day")
    return 0


def revoke_keys(options: argparse.Namespace) -> int:
    """Take authority back from keys that the commune's key certified, at every node."""
    claim = revoke(Station.open(options.folder), tuple(options.public_key))
    print(
        f"list {claim.number}: {len(claim.key_ids)} keys revoked; nodes that are off get it later"
    )
    return 0


def revoke(station: Station, public_keys: tuple[str, ...]) -> Revocation:
    """Take authority back from these keys at every node; return all that was ever taken back."""
    keys = tuple(_key_of(one) for one in public_keys)
    before = _revoked(station)
    claim = Revocation(tuple(dict.fromkeys((*before.key_ids, *keys))), before.number + 1)
    _write_list(station, claim)
    give_order(station, station.read(f"orders/{_LIST}"))
    return claim


def give_order(station: Station, sealed: bytes) -> None:
    """Give the nodes that are there an order, and every node a new grant with what holds now."""
    for entry in list(station.nodes()):
        if entry.public_key:
            station.keep(_next(station, entry))
    asyncio.run(_send(station, at_once=sealed))


def _next(station: Station, entry: NodeEntry) -> NodeEntry:
    """Return what is known of a node with its next grant's number, its identity renewed if due."""
    certificate = x509.load_pem_x509_certificate(entry.certificate.encode())
    left_s = certificate.not_valid_after_utc.timestamp() - time.time()
    pem = (
        entry.certificate if left_s > RENEW_S else new_identity(station, entry.name, entry.tls_key)
    )
    return msgspec.structs.replace(entry, number=entry.number + 1, certificate=pem)


async def _send(station: Station, at_once: bytes = b"") -> tuple[Sound, ...]:
    """Give the broker all grants; and to the nodes that are there an order besides."""
    village = station.about.village
    async with at_broker(station) as connection:
        sounds = await offer_sounds(connection, station)
        for entry in station.nodes():
            if not entry.public_key:
                continue
            if at_once:
                topic = f"pa/v1/{village}/node/{entry.name}/cmd"
                await connection.publish(topic, at_once, quality=1, retain=False, expires_s=86_400)
            grant = make_grant(station, entry, sounds)
            await put(connection, grant_topic(village, entry.public_key), grant)
    return sounds


def _write_stick(station: Station, stick: Path, sounds: tuple[Sound, ...]) -> None:
    try:
        (stick / "media").mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise ShellError(f"{stick}: {fault.strerror}", exit_status=EXIT_INPUT) from fault
    for entry in station.nodes():
        if entry.public_key:
            name = f"{key_id(entry.public_key).hex()}.grant"
            write_file(stick / name, make_grant(station, entry, sounds))
    for sound in sounds:
        name = f"media/{sound.digest}.opus"
        write_file(stick / name, read_regular(station.folder / name, FILE_BYTES_MAX))


def _revoked(station: Station) -> Revocation:
    path = station.folder / "revoked.json"
    if not path.exists():
        return Revocation((), 0)
    try:
        return msgspec.json.decode(station.read(path.name), type=Revocation)
    except msgspec.DecodeError as fault:
        raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT) from fault


def _refresh_list(station: Station) -> None:
    """Sign the list of revoked keys anew: as an order it is good for a day."""
    claim = _revoked(station)
    if claim.number:
        _write_list(station, claim)


def _write_list(station: Station, claim: Revocation) -> None:
    content = msgspec.json.encode(claim)
    write_file(station.folder / "revoked.json", content)
    sealed = sign(station, station.signer("commune"), Kind.REVOCATION, content)
    write_file(station.folder / "orders" / _LIST, sealed)


def _key_of(text: str) -> bytes:
    try:
        public_key = bytes.fromhex(text)
    except ValueError:
        public_key = b""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ShellError(
            f"{text}: must be {2 * PUBLIC_KEY_BYTES} hexadecimal digits", exit_status=EXIT_INPUT
        )
    return key_id(public_key)
