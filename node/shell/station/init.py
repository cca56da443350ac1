"""`loalang-station init`: keys, certificates, the broker's files and the bundle of a commune."""

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from node.control.precedence import MessageClass
from node.control.trust.authority import Certificate, proper_area
from node.control.trust.message import AREA_BYTES_MAX, Kind, Message, seal
from node.control.trust.roots import digest_of
from node.control.trust.signature import SeedSigner
from node.shell.config import MqttConfig, split_address
from node.shell.enrol.papers import Bundle, fingerprint, seal_paper
from node.shell.faults import EXIT_INPUT, ShellError, file_fault
from node.shell.station import broker_files, certificates
from node.shell.station.folder import SEED_BYTES, About, Station, root_name
from node.shell.station.phrase import pairs, phrase_table
from node.shell.store.whole import write_file

AUTHORITY_S: Final = 5 * 365 * 86_400
"""The root is needed again before that: `loalang-station` tells half a year ahead."""

_PORT: Final = 8883
_FOLDERS: Final = ("offline", "orders", "plans", "media", "nodes")
_NODE_TOML: Final = """\
# Tables of every node of this commune, as in the file of one node. `accept` adds name, broker,
# store, root and area. FOLDER stands for the folder of the node's state.
[sink]
kind = "card"

# Sirens and phrases: `loalang-node keep siren.opus --folder media` prints their hashes.
"""
_NO_PHRASE: Final = """\
# [control.alert.phrases.any]
# siren = "..."
# text = { vi = "..." }
"""


def make_station(options: argparse.Namespace) -> int:
    """Make the folder; print what to do next."""
    about, words = _about(options), pairs(options.words)
    folder: Path = options.folder
    if words and options.siren is None:
        raise ShellError("--words: must come with --siren, which warns first", exit_status=2)
    if (folder / "station.json").exists():
        raise ShellError(f"{folder}: there is a station already", exit_status=EXIT_INPUT)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        Path(about.broker_folder).mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise file_fault(folder, fault) from fault
    phrase = _NO_PHRASE
    if options.siren is not None:  # first: what is no sound leaves no station behind
        phrase = phrase_table(options.siren, words, folder / "media")
    station = Station(folder, about)
    about = make_next_root(station, 2)
    station = Station(folder, about)
    for name in ("offline/root", "commune", "emergency"):
        write_file(folder / f"{name}.key", os.urandom(SEED_BYTES), mode=0o600)
    certify_all(station, station.root(1))
    _make_identities(station)
    write_file(folder / "node.toml", (_NODE_TOML + phrase).encode())
    write_bundle(station)
    write_about(station)
    _tell(station)
    return 0


def _about(options: argparse.Namespace) -> About:
    """Return what was asked for, checked."""
    area, broker = options.area, options.broker
    if not area or not proper_area(area) or len(area.encode()) > AREA_BYTES_MAX:
        raise ShellError(
            f"--area {area!r}: must be a path like vn/lang-son/huu-lien", exit_status=2
        )
    given = broker if broker.rpartition(":")[2].isdecimal() else f"{broker}:{_PORT}"
    host, port = split_address(given, what="--broker")
    village = options.village or area.rpartition("/")[2]
    MqttConfig(host=host, port=port, village=village)  # says what is wrong with them
    folder = options.broker_folder or options.folder / "broker"
    return About(
        area=area,
        village=village,
        host=host,
        port=port,
        broker_folder=str(Path(folder).resolve()),
        reload=options.reload,
    )


def make_next_root(station: Station, number: int) -> About:
    """Make the key of a root that is to follow; return what is to be known of the station then."""
    path = station.folder / "offline" / f"{root_name(number)}.key"
    write_file(path, os.urandom(SEED_BYTES), mode=0o600)
    promised = digest_of(station.root(number).public_key).hex()
    return msgspec.structs.replace(station.about, next_root=station.about.next_root or promised)


def write_about(station: Station) -> None:
    """Keep what is known of the station."""
    text = msgspec.json.format(msgspec.json.encode(station.about), indent=1)
    write_file(station.folder / "station.json", text)


def write_bundle(station: Station) -> None:
    """Write the file for new nodes, signed by the first root: that is the one they begin with."""
    write_file(station.bundle, seal_paper(_bundle(station), station.root(1)))


def certify_all(station: Station, root: SeedSigner) -> None:
    """Let a root certify the commune's key and the sealed one."""
    for name in ("commune", "emergency"):
        claim = Certificate(
            name=f"{name} {station.about.area}",
            public_key=station.signer(name).public_key,
            tier="commune",
            area=station.about.area,
            class_max=MessageClass.URGENT,
            until_s=int(time.time()) + AUTHORITY_S,
            emergency=name == "emergency",
        )
        sealed = sign(station, root, Kind.CERTIFICATE, msgspec.json.encode(claim))
        write_file(station.folder / "orders" / f"{name}.bin", sealed)


def sign(station: Station, signer: SeedSigner, kind: Kind, content: bytes) -> bytes:
    """Return a signed order of the station for its whole commune."""
    now_ns = time.time_ns()
    message = Message(
        kind=kind,
        key_id=signer.key_id,
        counter=now_ns // 1_000_000,
        issued_s=now_ns // 1_000_000_000,
        ttl_s=86_400,
        message_class=MessageClass.NORMAL,
        area=station.about.area,
        content=content,
    )
    return seal(message, signer)


def _make_identities(station: Station) -> None:
    """Make the authority of identities, those of broker, office and asking nodes, and the list."""
    about, folder, broker = station.about, station.folder, station.broker_folder
    ca_key = certificates.new_key()
    ca = certificates.authority(f"loalang {about.area}"[:64], ca_key)
    write_file(folder / "ca.key", certificates.key_pem(ca_key), mode=0o600)
    for place in (folder / "ca.pem", broker / broker_files.CA):
        write_file(place, ca)
    key = certificates.new_key()
    write_file(
        broker / broker_files.CERTIFICATE,
        certificates.broker_identity(about.host, key.public_key(), ca, ca_key),
    )
    write_file(broker / broker_files.KEY, certificates.key_pem(key), mode=0o640)
    _let_mosquitto_read(broker / broker_files.KEY)
    for file, name in (("office", broker_files.OFFICE), ("enrol", broker_files.ASKING)):
        key, days = certificates.new_key(), certificates.CA_DAYS
        one = certificates.identity(name, key.public_key(), ca, ca_key, days=days)
        write_file(folder / f"{file}.pem", one)
        write_file(folder / f"{file}.key", certificates.key_pem(key), mode=0o600)
    write_file(broker / broker_files.REVOKED, certificates.taken_back((), ca, ca_key))
    conf = broker_files.configuration(about.village, about.port, broker)
    write_file(broker / broker_files.CONF, conf.encode())
    write_file(broker / broker_files.ACL, broker_files.access_list(about.village).encode())


def _let_mosquitto_read(path: Path) -> None:
    """Give a file to the group of Debian's broker, which reads it after it gave up being root."""
    if os.geteuid() == 0:
        try:
            shutil.chown(path, group="mosquitto")
        except LookupError:
            return  # another broker, or another machine's


def _bundle(station: Station) -> Bundle:
    about = station.about
    return Bundle(
        root_public_key=station.root(1).public_key,
        area=about.area,
        village=about.village,
        host=about.host,
        port=about.port,
        ca=station.read("ca.pem").decode(),
        certificate=station.read("enrol.pem").decode(),
        key=station.read("enrol.key").decode(),
        orders=station.orders(),
    )


def _tell(station: Station) -> None:
    folder, root = station.folder, station.root(1)
    print(f"root        {fingerprint(root.public_key)}")
    print(f"carry away  {folder / 'offline'}: the root, needed again in years, never here, and")
    print("            root-2.key, which is to follow it: to another place")
    print(f"seal        {folder / 'emergency.key'}: for the night when nobody can be reached")
    print(f"broker      mosquitto -c {station.broker_folder / broker_files.CONF}")
    print(f"new nodes   loalang-node enrol {station.bundle.name}   (copy {station.bundle} to them)")
