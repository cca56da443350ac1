"""`loalang-station home-assistant enable` and `disable`: let Home Assistant order, or no more.

`enable` may be said again: keys stay, and certificate and offer are made anew. `disable` revokes
the key at every node, takes both identities at the broker back and clears what was offered.
"""

import argparse
import asyncio
import os
import time
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec

from node.control.precedence import CLASSES, MessageClass, PriorityConfig
from node.control.trust.certificate import WARNING, WHAT, Certificate, proper_area, within
from node.control.trust.message import AREA_BYTES_MAX, COMMAND_BYTES_MAX, Kind
from node.control.warning.alert_blocks import ANY_EVENT
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.files import read_regular, read_toml_bytes
from node.shell.poles.readable import plan_fault
from node.shell.station import broker_files, certificates
from node.shell.station.assistant import papers
from node.shell.station.assistant.entities import ALL, ORDER, THINGS, config_topic, root_of
from node.shell.station.assistant.orders import plan_text
from node.shell.station.folder import ASSISTANT_ORDER, SEED_BYTES, Station
from node.shell.station.init import sign
from node.shell.station.link import at_broker, put
from node.shell.station.replace import reload_broker, take_identities_back, write_revoked
from node.shell.station.send import give_order, revoke
from node.shell.store.whole import write_file

CERTIFICATE_S: Final = 2 * 365 * 86_400
ORDERS: Final = (WARNING, WHAT[Kind.VOLUME])
"""All that it may order."""

PLAN_BYTES_MAX: Final = COMMAND_BYTES_MAX - 512
"""The envelope and its area take the rest."""

_ACL_BYTES_MAX: Final = 1 << 20
_EVENT_MAX: Final = 8


def enable(options: argparse.Namespace) -> int:
    """Make or renew the bridge's papers; return the exit status."""
    station = Station.open(options.folder)
    area = options.area or station.about.area
    is_whole = proper_area(area) and len(area.encode()) <= AREA_BYTES_MAX
    if not is_whole or not within(area, station.about.area):
        raise ShellError(
            f"--area {area!r}: must be {station.about.area} or lie in it", exit_status=EXIT_INPUT
        )
    offer = _offer(station)
    for name in (papers.FOLDER, papers.LOGIN):
        _make_folder(station.folder / name)
    key = station.folder / papers.FOLDER / papers.ORDER_KEY
    if not key.exists():
        write_file(key, os.urandom(SEED_BYTES), mode=0o600)
    _make_identities(station)
    claim = Certificate(
        name=f"home-assistant {area}",
        public_key=papers.signer_of(station).public_key,
        tier=PriorityConfig().tiers[-1],
        area=area,
        class_max=MessageClass(CLASSES.index(options.message_class)),
        until_s=int(time.time()) + CERTIFICATE_S,
        gives_time=False,
        orders=ORDERS,
    )
    sealed = sign(station, station.signer("commune"), Kind.CERTIFICATE, msgspec.json.encode(claim))
    write_file(station.folder / papers.FOLDER / papers.OFFER, msgspec.json.encode(offer))
    write_file(station.folder / papers.FOLDER / papers.CERTIFICATE, sealed)
    write_file(station.folder / ASSISTANT_ORDER, sealed)
    acl = station.broker_folder / broker_files.ACL
    text = read_regular(acl, _ACL_BYTES_MAX).decode()
    write_file(acl, broker_files.with_assistant(text, station.about.village).encode())
    reload_broker(station)
    give_order(station, sealed)
    _tell(station, claim, offer)
    return 0


def disable(options: argparse.Namespace) -> int:
    """Take all of it back; return the exit status."""
    station = Station.open(options.folder)
    public_key = papers.signer_of(station).public_key
    (station.folder / ASSISTANT_ORDER).unlink(missing_ok=True)
    number = revoke(station, (public_key.hex(),)).number
    asyncio.run(_clear(station))
    acl = station.broker_folder / broker_files.ACL
    text = read_regular(acl, _ACL_BYTES_MAX).decode()
    write_file(acl, broker_files.without_assistant(text).encode())
    places = [station.folder / papers.FOLDER, station.folder / papers.LOGIN]
    pems = [one for place in places for one in place.glob("*.pem") if one.name != "ca.pem"]
    take_identities_back(station, [certificates.serial_of(one.read_text()) for one in pems])
    write_revoked(station)
    reload_broker(station)
    for place in places:
        for one in place.iterdir():
            one.unlink()
        place.rmdir()
    print(f"list {number}: its key is revoked; nodes that are off get it later")
    return 0


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as fault:
        raise file_fault(path, fault) from fault


def _make_identities(station: Station) -> None:
    """Make who comes to the broker as the bridge, and as Home Assistant, where there is none."""
    ca, ca_key = station.read("ca.pem"), certificates.read_private(station.read("ca.key"))
    named = (
        (papers.FOLDER, papers.BRIDGE, broker_files.BRIDGE),
        (papers.LOGIN, "client", broker_files.ASSISTANT),
    )
    for folder, file, name in named:
        pem = station.folder / folder / f"{file}.pem"
        if pem.exists():
            continue
        key = certificates.new_key()
        one = certificates.identity(name, key.public_key(), ca, ca_key, days=certificates.CA_DAYS)
        write_file(pem.with_suffix(".key"), certificates.key_pem(key), mode=0o600)
        write_file(pem, one)
    write_file(station.folder / papers.LOGIN / "ca.pem", ca)


def _offer(station: Station) -> papers.Offer:
    """Return what the folder has to offer; ShellError where a warning would be silent."""
    path = station.folder / "node.toml"
    try:
        table = tomllib.loads(read_toml_bytes(path).decode("utf-8", "replace"))
    except (ValueError, RecursionError) as fault:
        raise ShellError(f"{path}: not TOML: {fault}", exit_status=EXIT_INPUT) from fault
    control = table.get("control", {})
    phrases = control.get("alert", {}).get("phrases", {})
    named = [one for one in sorted(phrases) if one.isascii() and 0 < len(one) <= _EVENT_MAX]
    tones = sorted(named, key=lambda one: one != ANY_EVENT)[: papers.TONES_MAX]
    if not tones:
        raise ShellError(
            f"{path}: control.alert.phrases: has no sound, a siren would be silent; `loalang-node"
            " keep siren.opus --folder media` prints its hash",
            exit_status=EXIT_INPUT,
        )
    plan: dict[str, Any] = control.get("volume", {})
    own = station.folder / "plans" / "volume.toml"
    if own.exists():
        path, plan = own, tomllib.loads(read_toml_bytes(own).decode("utf-8", "replace"))
    # A rule of the week would go before the volume that somebody sets.
    plan = {name: value for name, value in plan.items() if name not in ("rules", "volume")}
    content = plan_text(plan | {"volume": 100}).encode()
    wrong = plan_fault(content, "volume")
    if len(content) > PLAN_BYTES_MAX:
        wrong = (
            f"volume plan: {len(content)} bytes; in an order there is place for {PLAN_BYTES_MAX}"
        )
    if wrong is not None:
        raise ShellError(f"{path}: {wrong}", exit_status=EXIT_INPUT)
    return papers.Offer(tones=tuple(tones), volume=plan)


async def _clear(station: Station) -> None:
    """Take what was offered, and its states, off the broker."""
    root = root_of(station.about.village)
    async with at_broker(station, identity=papers.login_of(station)) as connection:
        for name in (ALL, *(one.name for one in station.nodes())):
            for thing in THINGS:
                await put(connection, config_topic(thing, name), b"")
                await put(connection, f"{root}/{name}/{thing}", b"")
            if name != ALL:
                await put(connection, f"{root}/{name}/{ORDER}", b"")
        await put(connection, f"{root}/state", b"")


def _tell(station: Station, claim: Certificate, offer: papers.Offer) -> None:
    nodes = papers.sites_of(station, claim.area)
    print(f"may order    {len(nodes)} nodes in {claim.area}: siren, its end, volume")
    print(f"class        {CLASSES[claim.class_max]}; sounds: {', '.join(offer.tones)}")
    print(f"public key   {claim.public_key.hex()}")
    print(f"for it       {station.folder / papers.LOGIN}: who has these files sounds the siren")
    print("now          loalang-station home-assistant run")
    print("take back    loalang-station home-assistant disable")
