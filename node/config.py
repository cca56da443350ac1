"""Configuration: one frozen dataclass for each table, whose fields say what they are."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal

from node.address import is_address, is_address_port, split_host_port
from node.config_table import ConfigError, build, check, require, say_type

__all__ = [
    "RELEASE_MAX_S",
    "AmplifierConfig",
    "AudioConfig",
    "ClockConfig",
    "ConfigError",
    "JitterConfig",
    "NodeConfig",
    "OpusConfig",
    "ReceiveConfig",
    "build",
    "check",
    "require",
    "say_type",
]

RELEASE_MAX_S: Final = 10.0
"""Longer no amplifier is mute once it was un-muted."""


def _is_payload_type(number: int) -> bool:
    """Return whether packets of this type are told apart from RTCP (RFC 5761, section 4)."""
    return 0 <= number <= 63 or 96 <= number <= 127


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveConfig:
    """Where packets come from (table `[receive]`)."""

    listen: str = "0.0.0.0:5004"
    """Address and port of RTP and RTCP (multiplexed, RFC 5761)."""

    multicast_group: str | None = None
    """Group to join, for instance 239.192.7.1; none for unicast. It is joined on the interface of
    the address in `listen`, or else where the routes lead."""

    interface: str | None = None
    """Name of the only network interface that is listened to, for instance eth0; none for all."""

    join: str | None = None
    """HOST:PORT of a station that is asked for its stream (`loalang-send --serve`), by a node
    that nobody can send to: behind the NAT of a mobile network. Signed sessions name their own."""

    join_key_file: str | None = None
    """File with the 32 bytes by which the station knows its nodes."""

    payload_types: tuple[int, ...] = (96, 97, 98, 111)
    """RTP payload types that carry Opus. 96 is what GStreamer sends, 97 ffmpeg, 111 browsers."""

    redundancy_payload_type: int = 121
    """RTP payload type of RFC 2198 redundancy."""

    retransmission_payload_type: int = 122
    """RTP payload type of RFC 4588 retransmissions."""

    asks_for_lost: bool = True
    """Ask for lost packets (RFC 4585, generic NACK) a sender that announces that it answers; ours
    does to each unicast destination. Nobody else is asked."""

    sources_max: int = 4
    """SSRCs held at once; further ones are dropped and counted."""

    hold_ms: int = 1000
    """A source without packets for so long may go on from another address, or make room for a new
    one. How long it keeps the horn is `priority.hold_ms`."""

    @property
    def stream_payload_types(self) -> tuple[int, ...]:
        """Payload types that a new source may speak in."""
        return (*self.payload_types, self.redundancy_payload_type)

    def __post_init__(self) -> None:
        repairs = {self.redundancy_payload_type, self.retransmission_payload_type}
        check(
            "receive",
            {
                "interface": (
                    self.interface is None or 0 < len(self.interface.encode()) < 16,
                    self.interface,
                    "a name as `ip link` prints it, such as eth0",
                ),
                "join": (
                    (self.join is None) == (self.join_key_file is None)
                    and (self.join is None or split_host_port(self.join) is not None),
                    self.join,
                    "HOST:PORT, such as 203.0.113.1:5004, and join_key_file given with it",
                ),
                "payload_types": (
                    bool(self.payload_types)
                    and all(_is_payload_type(p) for p in self.payload_types)
                    and not {*self.payload_types} & repairs,
                    self.payload_types,
                    "a list, not empty, of numbers from 0 to 63 and 96 to 127 that are neither "
                    "redundancy_payload_type nor retransmission_payload_type",
                ),
                "retransmission_payload_type": (
                    all(map(_is_payload_type, repairs)) and len(repairs) == 2,
                    self.retransmission_payload_type,
                    "0 to 63 or 96 to 127 as redundancy_payload_type, and another one",
                ),
                "sources_max": (1 <= self.sources_max <= 16, self.sources_max, "1 to 16"),
                "hold_ms": (100 <= self.hold_ms <= 60_000, self.hold_ms, "100 to 60000"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterConfig:
    """Bounds of the jitter buffer (table `[jitter]`)."""

    mode: Literal["synchronised", "adaptive"] = "synchronised"
    """`synchronised`: all nodes play together; `adaptive`: this one by itself, lowest delay."""

    playout_delay_ms: int = 400
    """Synchronised: media time plays at the sender's stamp (or fastest packet) plus this."""

    delay_min_ms: int = 20
    """Adaptive: playout delay floor."""

    delay_max_ms: int = 2000
    """Adaptive: playout delay ceiling. What comes later than this is late, and concealed."""

    late_ratio: float = 0.005
    """The operator's knob: share of frames that may come too late, traded against delay."""

    conceal_max_ms: int = 120
    """Concealment after which the sound fades; then silence until packets come again."""

    fade_ms: int = 80
    """Length of that fade."""

    delay_ms: int = 0
    """Own offset of this cluster, positive plays later (acoustics between neighbours)."""

    def __post_init__(self) -> None:
        check(
            "jitter",
            {
                "playout_delay_ms": (
                    20 <= self.playout_delay_ms <= 5000,
                    self.playout_delay_ms,
                    "20 to 5000",
                ),
                "delay_min_ms": (10 <= self.delay_min_ms <= 2000, self.delay_min_ms, "10 to 2000"),
                "delay_max_ms": (
                    self.delay_min_ms <= self.delay_max_ms <= 5000,
                    self.delay_max_ms,
                    f"at least jitter.delay_min_ms = {self.delay_min_ms} and at most 5000",
                ),
                "late_ratio": (0.0 < self.late_ratio < 0.5, self.late_ratio, "above 0, below 0.5"),
                "conceal_max_ms": (
                    0 <= self.conceal_max_ms <= 1000,
                    self.conceal_max_ms,
                    "0 to 1000",
                ),
                "fade_ms": (10 <= self.fade_ms <= 1000, self.fade_ms, "10 to 1000"),
                "delay_ms": (-1000 <= self.delay_ms <= 1000, self.delay_ms, "-1000 to 1000"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConfig:
    """Gateways on one pole, or in one LAN, that shall be in step (table `[clock]`)."""

    neighbour: str | None = None
    """Address and port of the gateway beside this one: `[receive] listen` there, by the address
    that it has in the LAN between both. This node then plays by what that one knows of the
    sender."""

    answers: tuple[str, ...] = ()
    """Addresses of the gateways beside this one that name it as their `neighbour`; nobody else is
    answered."""

    @property
    def neighbour_address(self) -> tuple[str, int] | None:
        """Where to ask, or None."""
        if self.neighbour is None:
            return None
        host, _, port = self.neighbour.rpartition(":")
        return str(ip_address(host.strip("[]"))), int(port)

    @property
    def answer_hosts(self) -> frozenset[str]:
        """Who may ask."""
        return frozenset(str(ip_address(host)) for host in self.answers)

    def __post_init__(self) -> None:
        check(
            "clock",
            {
                "neighbour": (
                    self.neighbour is None or is_address_port(self.neighbour),
                    self.neighbour,
                    "an address and a port, such as 192.168.1.11:5004",
                ),
                "answers": (
                    all(map(is_address, self.answers)) and not (self.answers and self.neighbour),
                    self.answers,
                    "a list of addresses, such as 192.168.1.12, and empty on a node with a "
                    "neighbour of its own: two that follow each other would only swap errors",
                ),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioConfig:
    """The sound card side (table `[audio]`)."""

    channels: int = 1
    """1 or 2. Horns on one pole play the same, so mono is the rule."""

    gain_db: float = 0.0
    """Gain before the limiter."""

    limit_dbfs: float = -1.0
    """Highest sample that leaves the node."""

    high_pass_hz: float | None = None
    """Nothing below this reaches the horn; its lowest frequency. None: no filter."""

    power_limit_db: float | None = None
    """Mean power over a minute that amplifier and horn can shed for hours, re that of a full-scale
    sine. Louder sound is lowered slowly. None: no limit."""

    target_lufs: float | None = None
    """Programmes are brought to this loudness while they play (ITU-R BS.1770-4). None: as they
    come."""

    def __post_init__(self) -> None:
        check(
            "audio",
            {
                "channels": (self.channels in (1, 2), self.channels, "1 or 2"),
                "gain_db": (-60 <= self.gain_db <= 20, self.gain_db, "-60 to 20"),
                "limit_dbfs": (-40 <= self.limit_dbfs <= 0, self.limit_dbfs, "-40 to 0"),
                "high_pass_hz": (
                    self.high_pass_hz is None or 20 <= self.high_pass_hz <= 2000,
                    self.high_pass_hz,
                    "20 to 2000",
                ),
                "power_limit_db": (
                    self.power_limit_db is None or -40 <= self.power_limit_db <= 0,
                    self.power_limit_db,
                    "-40 to 0",
                ),
                "target_lufs": (
                    self.target_lufs is None or -50 <= self.target_lufs <= -5,
                    self.target_lufs,
                    "-50 to -5",
                ),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AmplifierConfig:
    """An amplifier that the node mutes while nothing sounds (table `[amplifier]`)."""

    mute_release_s: float = 0.0
    """From un-muting to sound: so long the node holds what begins in silence, so that nothing of it
    is lost. Stored sounds then begin that late on all nodes; a stream loses what it cannot hold."""

    rest_s: float = 10.0
    """It is muted so long after the last sound."""

    switch: str | None = None
    """File that gets 1 to un-mute and 0 to mute, such as the `brightness` of a GPIO in
    /sys/class/leds. None: nothing is written, and what begins in silence is held all the same."""

    @property
    def is_driven(self) -> bool:
        """Whether the node mutes it."""
        return self.mute_release_s > 0 or self.switch is not None

    def __post_init__(self) -> None:
        check(
            "amplifier",
            {
                "mute_release_s": (
                    0 <= self.mute_release_s <= RELEASE_MAX_S,
                    self.mute_release_s,
                    f"0 to {RELEASE_MAX_S:g}",
                ),
                "rest_s": (1 <= self.rest_s <= 3600, self.rest_s, "1 to 3600"),
                "switch": (
                    self.switch is None or self.switch.startswith("/"),
                    self.switch,
                    "the path of a file, from / on",
                ),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpusConfig:
    """Which decoder plays (table `[opus]`)."""

    decoder: Literal["own", "libopus"] = "own"
    """`own`: this project's decoder; `libopus`: the library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """One node. The core needs nothing else of the file; the shell has tables of its own."""

    name: str
    """Identity: lower case letters, digits, hyphen. Also its MQTT client identifier."""

    receive: ReceiveConfig = field(default_factory=ReceiveConfig)
    jitter: JitterConfig = field(default_factory=JitterConfig)
    clock: ClockConfig = field(default_factory=ClockConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    amplifier: AmplifierConfig = field(default_factory=AmplifierConfig)
    opus: OpusConfig = field(default_factory=OpusConfig)

    def __post_init__(self) -> None:
        letters = "abcdefghijklmnopqrstuvwxyz0123456789-"
        good = 0 < len(self.name) <= 64 and all(c in letters for c in self.name)
        check("node", {"name": (good, self.name, "1 to 64 of a-z, 0-9 and hyphen")})
