"""What a grant becomes on the node's disk: identity, configuration, orders in the store.

Everything is checked before the first file is written, and each file is whole before it has its
name.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from node.config import NodeConfig
from node.control.orders import CALENDAR_KEY, VOLUME_KEY
from node.control.precedence import PriorityConfig
from node.control.trust.certificate import ROOT_LEVEL, read_certificate
from node.control.trust.gatekeeper import CERTIFICATE_PREFIX
from node.control.trust.kept_revocations import REVOCATION_PREFIX
from node.control.trust.message import Kind, Message, open_envelope
from node.control.trust.roots import ROOT_PREFIX
from node.control.trust.signature import key_id
from node.shell.config import ShellConfig, read_config
from node.shell.enrol.papers import ORDERS_MAX, Grant
from node.shell.store.store import Store
from node.shell.store.whole import write_file

TLS_KEY: Final = "tls.key"
TLS_CERTIFICATE: Final = "tls.pem"
CA: Final = "ca.pem"
MEDIA: Final = "media"
STORE: Final = "kept.db"
NUMBER_KEY: Final = "shell/grant"
"""Where the store has the number of the grant that is installed."""

_FOLDER: Final = "FOLDER"
_PLANS: Final = {Kind.CALENDAR: CALENDAR_KEY, Kind.VOLUME: VOLUME_KEY}


def settings_of(grant: Grant, folder: Path) -> str:
    """Return the configuration file of a grant for a node whose state is in `folder`."""
    return grant.settings.replace(f'"{_FOLDER}/', f'"{folder.resolve()}/')


def checked_settings(text: str) -> tuple[NodeConfig, ShellConfig]:
    """Read a configuration as the node will; raise what it would."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return read_config(Path(file.name), alone=True)


def install_grant(
    grant: Grant, orders: tuple[bytes, ...], root: bytes, store: Store, config: Path
) -> None:
    """Write identity and orders, then the configuration, with which a new node can start, and last
    that the grant is installed: after a cut before that it is taken once more.

    `orders` are those of the grant, and of the bundle where there is one.
    """
    assert store.path is not None, "a node that keeps nothing is not enrolled"
    folder = store.path.parent
    text = settings_of(grant, folder)
    checked_settings(text)
    write_file(folder / CA, grant.ca.encode(), like=folder)
    write_file(folder / TLS_CERTIFICATE, grant.certificate.encode(), like=folder)
    store.keep(kept_of(root, orders, store.kept()))
    write_file(config, text.encode(), like=folder)
    store.keep({NUMBER_KEY: msgspec.json.encode(grant.number)})


def kept_of(
    root: bytes, orders: tuple[bytes, ...], stored: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return what the store is to keep of signed orders, as if they had come one by one.

    They are checked when the node starts, like everything that it kept: here they are only sorted.
    What the store has already and is not older stays.
    """
    levels = _levels(root, orders)
    found: dict[str, bytes] = {}
    for sealed in orders[:ORDERS_MAX]:
        message = open_envelope(sealed)
        if isinstance(message, str):
            continue
        name = _name_of(message, levels)
        if name is not None and _is_newer(message, found.get(name) or stored.get(name, b"")):
            found[name] = sealed
    return found


def _levels(root: bytes, orders: tuple[bytes, ...]) -> dict[bytes, int]:
    """Return the tier of each key that the orders certify."""
    tiers = PriorityConfig().tiers
    levels = {key_id(root): ROOT_LEVEL}
    for sealed in orders[:ORDERS_MAX]:
        message = open_envelope(sealed)
        if not isinstance(message, str) and message.kind is Kind.CERTIFICATE:
            claim = read_certificate(message.content)
            if claim is not None and claim.tier in tiers:
                levels[key_id(claim.public_key)] = tiers.index(claim.tier)
    return levels


def _name_of(message: Message, levels: Mapping[bytes, int]) -> str | None:
    if message.kind is Kind.CERTIFICATE:
        claim = read_certificate(message.content)
        return None if claim is None else CERTIFICATE_PREFIX + key_id(claim.public_key).hex()
    if message.kind is Kind.REVOCATION:
        return REVOCATION_PREFIX + message.key_id.hex()
    if message.kind is Kind.ROOT:
        return ROOT_PREFIX + message.key_id.hex()
    level = levels.get(message.key_id)
    if message.kind in _PLANS and level is not None:
        return f"{_PLANS[message.kind]}/{level}"
    return None


def _is_newer(message: Message, kept: bytes) -> bool:
    before = open_envelope(kept) if kept else "none"
    return isinstance(before, str) or message.counter > before.counter


def number_in(stored: Mapping[str, bytes]) -> int:
    """Return the number of the grant that is installed, 0 without one."""
    try:
        return msgspec.json.decode(stored.get(NUMBER_KEY, b"0"), type=int)
    except msgspec.DecodeError:
        return 0
