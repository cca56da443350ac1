"""What the bridge has: its keys, what its certificate allows, and what it offers.

```
 home-assistant/order.key  certificate.bin       signs, and what the commune's key lets it sign
                bridge.pem bridge.key            its identity at the broker
                offer.json                       sounds and volume plan, as `enable` found them
 home-assistant-login/ca.pem client.pem .key     for Home Assistant: its own identity there
```
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from node.control.trust.certificate import Certificate, read_certificate, within
from node.control.trust.message import AREA_BYTES_MAX, open_envelope
from node.control.trust.signature import SeedSigner
from node.shell.config import MqttConfig
from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import read_regular
from node.shell.keys.key_file import read_key
from node.shell.poles.pole_list import Pole
from node.shell.station.assistant.bridge import NODES_MAX, Site
from node.shell.station.folder import SEED_BYTES, Station

FOLDER: Final = "home-assistant"
LOGIN: Final = "home-assistant-login"
ORDER_KEY: Final = "order.key"
CERTIFICATE: Final = "certificate.bin"
BRIDGE: Final = "bridge"
OFFER: Final = "offer.json"
TONES_MAX: Final = 32
_BYTES_MAX: Final = 1 << 16


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Content of `offer.json`."""

    tones: tuple[str, ...]
    """Events that the nodes have sounds for, the one of any other first."""
    volume: dict[str, Any] = {}
    """The commune's volume plan without its weekly rules: quiet hours, offsets, floor."""


def path_of(station: Station, name: str) -> Path:
    """Return where a file of the bridge is; as systemd gives a folder its name is flattened."""
    flat = station.folder / f"{FOLDER}_{name}"
    return flat if flat.exists() else station.folder / FOLDER / name


def read_claim(station: Station) -> Certificate:
    """Return what the bridge's key may order; ShellError where it may nothing."""
    path = path_of(station, CERTIFICATE)
    if not path.exists():
        raise ShellError(
            f"{path}: Home Assistant may order nothing here; `loalang-station home-assistant"
            " enable` lets it",
            exit_status=EXIT_INPUT,
        )
    message = open_envelope(read_regular(path, _BYTES_MAX))
    claim = None if isinstance(message, str) else read_certificate(message.content)
    if claim is None:
        raise ShellError(f"{path}: no certificate; `enable` makes it anew", exit_status=EXIT_INPUT)
    return claim


def read_offer(station: Station) -> Offer:
    """Return what is offered."""
    path = path_of(station, OFFER)
    try:
        offer = msgspec.json.decode(read_regular(path, _BYTES_MAX), type=Offer)
    except msgspec.DecodeError as fault:
        raise ShellError(f"{path}: {fault}", exit_status=EXIT_INPUT) from fault
    if not 1 <= len(offer.tones) <= TONES_MAX:
        raise ShellError(f"{path}: tones: must be 1 to {TONES_MAX}", exit_status=EXIT_INPUT)
    return offer


def signer_of(station: Station) -> SeedSigner:
    """Return the bridge's own key."""
    return SeedSigner(read_key(path_of(station, ORDER_KEY), SEED_BYTES))


def login_of(station: Station) -> MqttConfig:
    """Return how the bridge comes to the broker."""
    about = station.about
    return MqttConfig(
        host=about.host,
        port=about.port,
        village=about.village,
        ca_file=str(station.folder / "ca.pem"),
        certificate_file=str(path_of(station, f"{BRIDGE}.pem")),
        key_file=str(path_of(station, f"{BRIDGE}.key")),
    )


def sites_of(station: Station, area: str) -> dict[str, Site]:
    """Return the nodes that lie in `area`."""
    sites = {
        one.name: Site(one.area, Pole(one.public_key, one.zones))
        for one in station.nodes()
        if one.public_key and within(one.area, area)
    }
    long = [name for name, one in sites.items() if len(one.area.encode()) > AREA_BYTES_MAX]
    if long:
        raise ShellError(
            f"{long[0]}: its area has more than {AREA_BYTES_MAX} bytes: no order can name it;"
            " `loalang-station replace` it, and accept it with a shorter one",
            exit_status=EXIT_INPUT,
        )
    if len(sites) > NODES_MAX:
        raise ShellError(
            f"{len(sites)} nodes lie in {area}: a bridge has at most {NODES_MAX}; enable it for a"
            " narrower --area",
            exit_status=EXIT_INPUT,
        )
    return sites
