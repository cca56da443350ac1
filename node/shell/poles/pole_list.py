"""The list of poles: which nodes there are, in which zones, and the public key of each.

```toml
[poles.coc-1]
public_key = "9f…"          # `loalang-node key --public --config node.toml` on the node prints it
zones = ["karst-north"]
```
Who reads answers and proofs checks them against it: a name belongs to a key.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.config import ConfigError, NodeConfig
from node.control.names import composed
from node.control.trust.message import Message
from node.control.trust.signature import PUBLIC_KEY_BYTES, SeedSigner, key_id, verified
from node.shell.config import ShellConfig
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_text
from node.shell.keys.identity import SEED_BYTES, SEED_KEY
from node.shell.store.read import read_kept


@dataclass(frozen=True, slots=True)
class Pole:
    """What is known of a node before it says anything."""

    public_key: bytes
    zones: tuple[str, ...] = ()


def read_poles(path: Path) -> dict[str, Pole]:
    """Return the poles of the list in `path` by their names.

    Raises
    ------
    ShellError
        If it cannot be read or is not TOML.
    ConfigError
        If an entry is wrong: says which, and what would be right.
    """
    try:
        table = tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as fault:
        raise ShellError(f"{path}: not TOML: {fault}", exit_status=EXIT_INPUT) from fault
    poles = table.get("poles")
    if not isinstance(poles, Mapping) or not poles:
        raise ConfigError(f"{path}: has no table [poles.NAME]")
    return {name: _pole(entry, f"{path}: poles.{name}") for name, entry in poles.items()}


def speaks_for(message: Message, public_key: bytes) -> bool:
    """Return whether `message` is signed with `public_key`."""
    mine = message.key_id == key_id(public_key)
    return mine and verified(public_key, message.signature, message.signed)


def pole_entry(node: NodeConfig, shell: ShellConfig) -> str:
    """Return the table of a node for the list of poles, from its store.

    Raises
    ------
    ShellError
        If the store cannot be read, or has no key yet.
    """
    if shell.store.path is None:
        raise ShellError("store.path: nothing is kept, so the node has no key that lasts")
    seed = read_kept(Path(shell.store.path)).get(SEED_KEY, b"")
    if len(seed) != SEED_BYTES:
        raise ShellError(f"{shell.store.path}: has no key yet; start the node once")
    zones = ", ".join(f'"{zone}"' for zone in shell.mqtt.zones)
    public = SeedSigner(seed).public_key.hex()
    return f'[poles.{node.name}]\npublic_key = "{public}"\nzones = [{zones}]'


def _pole(entry: Any, where: str) -> Pole:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: must be a table")
    digits, zones = entry.get("public_key"), entry.get("zones", [])
    try:
        public_key = bytes.fromhex(str(digits))
    except ValueError:
        public_key = b""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ConfigError(
            f"{where}.public_key = {digits!r}: must be {2 * PUBLIC_KEY_BYTES} hexadecimal digits"
        )
    if not isinstance(zones, list) or not all(isinstance(one, str) for one in zones):
        raise ConfigError(f"{where}.zones = {zones!r}: must be a list of names")
    return Pole(public_key, tuple(map(composed, zones)))
