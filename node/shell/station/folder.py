"""The station's folder: keys, certificates, and one file for each pole.

```
 offline/root.key     certifies authorities; carried away after `init`, needed again in years
 offline/root-2.key   will follow it: never used before that, and better kept elsewhere
 commune.key          orders, and signs grants          emergency.key   sealed, in an envelope
 ca.key ca.pem        identities at the broker          office.key .pem that of the station itself
 orders/              certificates by the root          plans/          calendar.toml, volume.toml
 media/               stored sounds by their hash       node.toml       tables of every node
 nodes/NAME.json      one per pole                      poles.toml      the list, made of those
 broker/              what mosquitto reads              VILLAGE.bundle  the file for new nodes
 home-assistant/      a bridge's own (`assistant`)      home-assistant-login/  for Home Assistant
```
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from node.control.trust.signature import SeedSigner
from node.shell.config import MqttConfig
from node.shell.enrol.papers import PAPER_BYTES_MAX, open_bundle
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.keys.key_file import read_key
from node.shell.store.whole import write_file

SEED_BYTES: Final = 32
_FILE_BYTES_MAX: Final = 1 << 20
POLES: Final = "poles.toml"
ASSISTANT_ORDER: Final = "orders/home-assistant.bin"
"""What its bridge may order: goes to nodes that come later with their grant."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `station.json`."""

    area: str
    village: str
    host: str
    port: int
    broker_folder: str
    reload: str
    """Command that lets the broker read its list of identities taken back."""
    next_root: str = ""
    """SHA-256 of the public key of the root that was promised to the nodes; empty: none was."""
    root_number: int = 1
    """Which root signs now."""


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `nodes/NAME.json`: what the station knows of a pole."""

    name: str
    area: str
    zones: tuple[str, ...] = ()
    public_key: bytes = b""
    """Empty: it was taken back, and waits for a new gateway."""
    tls_key: str = ""
    certificate: str = ""
    code: str = ""
    """By which it was accepted; good once."""
    nonce: bytes = b""
    number: int = 0
    taken_back: tuple[int, ...] = ()
    """Serial numbers of identities that this name had and lost."""


@dataclass(frozen=True, slots=True)
class Station:
    """A folder that `init` made."""

    folder: Path
    about: About
    nodes_apart: Path | None = None
    """Where the files of its nodes are, if they are not in the folder."""

    @staticmethod
    def open(folder: Path, nodes_apart: Path | None = None) -> "Station":
        """Return the station in `folder`; ShellError where there is none."""
        path = folder / "station.json"
        if not path.exists():
            raise ShellError(
                f"{folder}: no station here; `loalang-station init` makes one, --folder names it",
                exit_status=EXIT_INPUT,
            )
        try:
            about = msgspec.json.decode(read_regular(path, _FILE_BYTES_MAX), type=About)
        except msgspec.DecodeError as fault:
            raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT) from fault
        return Station(folder, about, nodes_apart)

    @property
    def bundle(self) -> Path:
        """Return the file for new nodes."""
        return self.folder / f"{self.about.village}.bundle"

    @property
    def nodes_folder(self) -> Path:
        """Return where the files of its nodes are."""
        if self.nodes_apart is not None:
            return self.nodes_apart
        own = self.folder / "nodes"
        return own if own.is_dir() else self.folder

    @property
    def broker_folder(self) -> Path:
        """Return where mosquitto's files are."""
        return Path(self.about.broker_folder)

    @property
    def root_public_key(self) -> bytes:
        """Return the public half of the root, which itself lies elsewhere."""
        bundle = open_bundle(read_regular(self.bundle, PAPER_BYTES_MAX))
        if isinstance(bundle, str):
            raise ShellError(f"{self.bundle}: {bundle}", exit_status=EXIT_INPUT)
        return bundle.root_public_key

    @property
    def lets_assistant(self) -> bool:
        """Return whether Home Assistant is let in: nodes announce themselves to it then."""
        return (self.folder / ASSISTANT_ORDER).exists()

    def read(self, name: str) -> bytes:
        """Return what a file of the folder holds."""
        return read_regular(self.folder / name, _FILE_BYTES_MAX)

    def signer(self, name: str) -> SeedSigner:
        """Return the key of the authority `name`."""
        return SeedSigner(read_key(self.folder / f"{name}.key", SEED_BYTES))

    def root(self, number: int) -> SeedSigner:
        """Return a root by its number, from 1 on; its key lies in `offline` while it is needed."""
        return self.signer(f"offline/{root_name(number)}")

    def orders(self) -> tuple[bytes, ...]:
        """Return the certificates by the root, and what else every node is to know."""
        files = sorted((self.folder / "orders").glob("*.bin"))
        return tuple(read_regular(one, _FILE_BYTES_MAX) for one in files)

    def login(self) -> MqttConfig:
        """Return how the station comes to its broker."""
        return MqttConfig(
            host=self.about.host,
            port=self.about.port,
            village=self.about.village,
            ca_file=str(self.folder / "ca.pem"),
            certificate_file=str(self.folder / "office.pem"),
            key_file=str(self.folder / "office.key"),
        )

    def nodes(self) -> Iterator[NodeEntry]:
        """Yield all poles by their names."""
        # `nodes_NAME.json` is how systemd gives the folder to a service as credentials.
        form = "nodes_*.json" if self.nodes_folder == self.folder else "*.json"
        for path in sorted(self.nodes_folder.glob(form)):
            try:
                yield msgspec.json.decode(read_regular(path, _FILE_BYTES_MAX), type=NodeEntry)
            except msgspec.DecodeError as fault:
                raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT) from fault

    def node(self, name: str) -> NodeEntry | None:
        """Return the pole `name`, None where there is none."""
        return next((one for one in self.nodes() if one.name == name), None)

    def keep(self, entry: NodeEntry) -> None:
        """Write what is known of a pole, and the list of poles anew."""
        data = msgspec.json.format(msgspec.json.encode(entry), indent=1)
        write_file(self.folder / "nodes" / f"{entry.name}.json", data)
        tables = [_table(one) for one in self.nodes() if one.public_key]
        write_file(self.folder / POLES, "\n".join(tables).encode())


def root_name(number: int) -> str:
    """Return the name of the key of a root, from 1 on."""
    return "root" if number == 1 else f"root-{number}"


def _table(entry: NodeEntry) -> str:
    zones = ", ".join(f'"{zone}"' for zone in entry.zones)
    return f'[poles.{entry.name}]\npublic_key = "{entry.public_key.hex()}"\nzones = [{zones}]\n'
