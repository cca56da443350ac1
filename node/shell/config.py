"""The configuration file: the core's tables and those of the shell, all faults at once."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final, Literal

from node.address import is_address
from node.config import ConfigError, NodeConfig, build, check, require
from node.control.names import composed
from node.control.settings import ControlConfig, with_loudness
from node.shell.drop_ins import read_tables
from node.shell.hearing.settings import LoopConfig
from node.units import RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkConfig:
    """Where the sound goes (table `[sink]`); `--sink` on the command line overrides `kind`."""

    kind: Literal["card", "null"] = "card"
    """`card`: a sound card through PortAudio; `null`: nowhere, at the pace of a card."""

    device: str | None = None
    """Part of the card's name as `loalang-node check` prints it; none takes the default card."""

    rate_hz: int = RATE_HZ
    """What the card calls its rate. The media clock stays 48 kHz: only small differences fit."""

    period_ms: int = 10
    """Sound asked for at a time."""

    latency_ms: int = 40
    """Output buffer asked of the card: less is at risk of underruns, more delays everything."""

    def __post_init__(self) -> None:
        # The servo of the core holds +-500 ppm; 0.05 % of 48 kHz is 24 Hz.
        near = abs(self.rate_hz - RATE_HZ) <= 24
        check(
            "sink",
            {
                "rate_hz": (near, self.rate_hz, f"{RATE_HZ} within 24 Hz"),
                "period_ms": (2 <= self.period_ms <= 100, self.period_ms, "2 to 100"),
                "latency_ms": (5 <= self.latency_ms <= 1000, self.latency_ms, "5 to 1000"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    """The broker (table `[mqtt]`). Without `host` the node listens to RTP alone."""

    host: str | None = None
    """Name or address of the broker; it must speak MQTT 5."""

    port: int = 1883
    """1883 plain, 8883 with TLS."""

    village: str = "village"
    """Second level of the topics: pa/v1/<village>/node/<name>/..."""

    zones: tuple[str, ...] = ()
    """Zones whose commands the node also obeys: pa/v1/<village>/zone/<zone>/cmd."""

    username: str | None = None
    """Name at the broker; none when the certificate is the identity."""

    password_file: str | None = None
    """File whose first line is the password."""

    ca_file: str | None = None
    """Certificate authority of the broker; it switches TLS on."""

    certificate_file: str | None = None
    """The node's own certificate (PEM)."""

    key_file: str | None = None
    """The private key of it (PEM)."""

    keepalive_s: int = 8
    """Longest silence of the link: who is gone is missed within 10 s with 8, by either side."""

    heartbeat_s: int = 0
    """How often the whole status is published, which is a kilobyte; 0: never."""

    home_assistant: str | None = None
    """Discovery prefix of Home Assistant, `homeassistant` as a rule; none: it is told nothing."""

    def __post_init__(self) -> None:
        # However they were typed, they are the same topics.
        object.__setattr__(self, "village", composed(self.village))
        object.__setattr__(self, "zones", tuple(map(composed, self.zones)))
        extra = () if self.home_assistant is None else (self.home_assistant,)
        names = (self.village, *self.zones, *extra)
        check(
            "mqtt",
            {
                "port": (1 <= self.port <= 65_535, self.port, "1 to 65535"),
                "village": (
                    all(n and not set(n) & set("+#/ ") for n in names),
                    names,
                    "with zones and home_assistant: not empty, without +, #, / and space",
                ),
                "host": (
                    self.host is None or _is_host(self.host),
                    self.host,
                    "a name such as broker.local, or an address",
                ),
                "keepalive_s": (3 <= self.keepalive_s <= 600, self.keepalive_s, "3 to 600"),
                "heartbeat_s": (0 <= self.heartbeat_s <= 3600, self.heartbeat_s, "0 to 3600"),
                "key_file": (
                    (self.certificate_file is None) == (self.key_file is None),
                    self.key_file,
                    "given together with certificate_file",
                ),
            },
        )


def _is_host(host: str) -> bool:
    """Return whether `host` can be a name in the DNS (RFC 1123, section 2.1) or is an address."""
    labels = host.removesuffix(".").split(".")
    return is_address(host) or all(
        0 < len(one) <= 63 and all(c.isalnum() or c in "-_" for c in one) for one in labels
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """What survives a power cut (table `[store]`)."""

    path: str | None = None
    """Database file, on a disk that is not an overlay; none keeps nothing (for trials only)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """Spoken words of warnings, got by https (table `[fetch]`)."""

    hosts: tuple[str, ...] = ()
    """Hosts that may be asked; none: every host that a signed warning names."""

    ca_file: str | None = None
    """Certificate authority of these hosts; none takes those of the system."""

    timeout_s: int = 20
    """What has not come by then is given up; the stored phrase speaks."""

    def __post_init__(self) -> None:
        check("fetch", {"timeout_s": (1 <= self.timeout_s <= 300, self.timeout_s, "1 to 300")})


@dataclass(frozen=True, slots=True, kw_only=True)
class PageConfig:
    """A page of the node's status, and figures for Prometheus (table `[page]`); only read."""

    port: int | None = None
    """TCP port, for instance 9464; none: there is no page."""

    address: str = "127.0.0.1"
    """Where it listens; other addresses let everybody who reaches them read it."""

    def __post_init__(self) -> None:
        port, address = self.port, self.address
        check(
            "page",
            {
                "port": (port is None or 1 <= port <= 65_535, port, "1 to 65535"),
                "address": (is_address(address), address, "an address, such as 127.0.0.1"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellConfig:
    """All tables that the core does not know."""

    sink: SinkConfig = field(default_factory=SinkConfig)
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    fetch: FetchConfig = field(default_factory=FetchConfig)
    page: PageConfig = field(default_factory=PageConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    control: ControlConfig | None = None
    """What plays, how loud, and who may. Without it the node plays whatever comes."""


SHELL_TABLES: Final = tuple(f.name for f in fields(ShellConfig))


def read_config(path: Path, *, alone: bool = False) -> tuple[NodeConfig, ShellConfig]:
    """Read one node's configuration: the file, and unless it is `alone` those of `conf.d/`.

    Raises
    ------
    ConfigError
        One line per fault: file, table, field, value, and what would be right.
    ShellError
        If the file cannot be read or is not TOML.
    """
    tables = read_tables(path, alone=alone)
    table = tables.merged
    where = str(path)
    errors: list[str] = []
    known = (*(f.name for f in fields(NodeConfig)), *SHELL_TABLES)
    unknown = [name for name in table if name not in known]
    errors += [f"{where}: {name}: unknown; known here: {', '.join(known)}" for name in unknown]
    core = {k: v for k, v in table.items() if k in known and k not in SHELL_TABLES}
    node = build(NodeConfig, core, where=where, errors=errors)
    if node is None and "name" in core:
        # A fault inside a table hides what the name lacks: look at it by itself.
        of_name: list[str] = []
        build(NodeConfig, {"name": core["name"]}, where=where, errors=of_name)
        errors += [line for line in of_name if line not in errors]
    own = {k: v for k, v in table.items() if k in SHELL_TABLES}
    shell = build(ShellConfig, own, where=where, errors=errors)
    errors += [f"{where}: {line}" for line in _address_faults(table.get("receive"))]
    if shell is not None and shell.loop.is_wired and shell.control is None:
        errors.append(f"{where}: loop: needs [control], whose proof it is for")
    require([tables.named(line) for line in errors])
    assert node is not None
    assert shell is not None
    if shell.control is not None:
        control = with_loudness(shell.control, node.audio.target_lufs)
        shell = replace(shell, control=control)
    return node, shell


def split_address(text: str, *, what: str) -> tuple[str, int]:
    """Return host and port of `text` such as "0.0.0.0:5004" or "[::1]:5004".

    Raises
    ------
    ConfigError
        If there is no port, or it is outside 1 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise ConfigError(f"{what} = {text!r}: must be HOST:PORT with a port from 1 to 65535")
    return host.strip("[]"), int(port)


def _address_faults(receive: object) -> list[str]:
    """Return what is wrong with the addresses of table `[receive]`, which the core only carries."""
    if not isinstance(receive, Mapping):
        return []
    found: list[str] = []
    listen, group = receive.get("listen"), receive.get("multicast_group")
    host = "0.0.0.0"
    if isinstance(listen, str):
        try:
            host, _ = split_address(listen, what="receive.listen")
            if not is_address(host):
                found.append(
                    f"receive.listen = {listen!r}: must be an address, such as 0.0.0.0:5004"
                )
            elif ipaddress.ip_address(host).is_multicast:
                found.append(
                    f"receive.listen = {listen!r}: must be an own address, such as 0.0.0.0:5004; "
                    f'the group is told by multicast_group = "{host}"'
                )
        except ConfigError as fault:
            found.append(str(fault))
    if not isinstance(group, str):
        return found
    if not (is_address(group) and ipaddress.ip_address(group).is_multicast):
        found.append(
            f"receive.multicast_group = {group!r}: must be a multicast address, such as 239.192.7.1"
        )
    elif not found and host != "0.0.0.0" and (":" in host) != (":" in group):
        found.append(
            f"receive.multicast_group = {group!r}: must be of the same family, IPv4 or IPv6, as "
            f"receive.listen = {listen!r}"
        )
    return found
