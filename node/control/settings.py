"""All settings of what plays, how loud, and who may (table `[control]` of the node's file)."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from node.config import check
from node.control.calendar.programme import ProgrammeConfig
from node.control.loudness.noise import DwellingConfig, HornConfig, level_of_lufs
from node.control.loudness.regulation import RegulationConfig
from node.control.loudness.schedule import Place, VolumeConfig
from node.control.names import composed
from node.control.precedence import PriorityConfig
from node.control.warning.alert import AlertConfig
from node.control.warning.area import Site

UTC_MAX_S: Final = 4_102_444_800
"""2100-01-01: a build date beyond is a mistake, and no clock would ever be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteConfig:
    """Where the pole stands (table `[control.site]`)."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    geocodes: dict[str, str] = field(default_factory=dict)
    """Name of a code to its value, for instance GSO = "06637"."""

    def __post_init__(self) -> None:
        lat, lon = self.lat_deg, self.lon_deg
        check(
            "control.site",
            {
                "lat_deg": (lat is None or -90 <= lat <= 90, lat, "-90 to 90, north positive"),
                "lon_deg": (lon is None or -180 <= lon <= 180, lon, "-180 to 180, east positive"),
                "lat_deg and lon_deg": (
                    (lat is None) == (lon is None),
                    (lat, lon),
                    "given together, or neither",
                ),
            },
        )

    def site(self) -> Site:
        """Return it as `node.control.warning.area` takes it."""
        known = self.lat_deg is not None and self.lon_deg is not None
        return Site(
            position=(float(self.lat_deg or 0), float(self.lon_deg or 0)) if known else None,
            geocodes=tuple(sorted(self.geocodes.items())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlConfig:
    """What one node obeys."""

    root_public_key: str
    """Ed25519 key of the offline root, 64 hexadecimal digits."""

    next_root: str = ""
    """SHA-256 of the public key of the root that may follow it, 64 hexadecimal digits: the node
    follows to no other one. Empty: it follows to none."""

    area: str
    """Path of the cluster, for instance vn/lang-son/huu-lien/lang-coc/coc-1."""

    build_utc_s: int = 1_764_547_200
    """The time is never earlier than this: 2025-12-01."""

    rules: tuple[str, ...] = ("noise_qcvn_26_2010", "noise_qcvn_26_2025", "hours_common")
    """Rule files that the shell reads: names of those that ship, or paths."""

    media_folder: str | None = None
    """Where the stored sounds lie, `<SHA-256>.opus`; without it none can be played."""

    profile: Literal["trial", "demo", "production"] = "trial"
    """`production`: refuse what only a laboratory may do, and secret files that others may read;
    `demo`: over all that sounds a short tone every 5 s, so that nobody takes it for the village's
    voice; `trial`: neither."""

    clock: Literal["kernel", "trusted"] = "kernel"
    """`kernel`: trust the civil clock while the kernel says that it is synchronised; `trusted`:
    always (a gateway with a battery-backed clock, or a trial)."""

    unknown_streams: Literal["refuse", "play"] = "refuse"
    """Streams that no signed session announced. `play` is for a laboratory: anyone may speak."""

    unsigned_packets: Literal["refuse", "play"] = "refuse"
    """Sessions whose order names no key for their packets. `play` is for a network that nobody
    else reaches: who knows the number of an announced stream may speak under it."""

    place: Place = field(default_factory=Place)
    site: SiteConfig = field(default_factory=SiteConfig)
    priority: PriorityConfig = field(default_factory=PriorityConfig)
    volume: VolumeConfig = field(default_factory=VolumeConfig)
    """Until a signed plan comes."""
    programme: ProgrammeConfig = field(default_factory=ProgrammeConfig)
    """Until a signed calendar comes; languages, hamlet and offset stay as they are here."""
    alert: AlertConfig = field(default_factory=AlertConfig)
    regulation: RegulationConfig = field(default_factory=RegulationConfig)
    horns: tuple[HornConfig, ...] = ()
    dwelling: DwellingConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "area", composed(self.area))  # as orders name it
        key = self.root_public_key
        digits = set("0123456789abcdef")
        good_key = len(key) == 64 and set(key.lower()) <= digits
        good_next = len(self.next_root) in (0, 64) and set(self.next_root.lower()) <= digits
        loose = [
            name
            for name in ("unknown_streams", "unsigned_packets")
            if self.profile == "production" and getattr(self, name) != "refuse"
        ]
        good_area = bool(self.area) and all(part for part in self.area.split("/"))
        check(
            "control",
            {
                "root_public_key": (good_key, key, "64 hexadecimal digits"),
                "next_root": (good_next, self.next_root, "64 hexadecimal digits, or empty"),
                "profile": (
                    not loose,
                    self.profile,
                    f"trial or demo, or {' and '.join(loose)} must be refuse",
                ),
                "area": (good_area, self.area, "a path like vn/lang-son/huu-lien/lang-coc/coc-1"),
                "build_utc_s": (
                    0 <= self.build_utc_s < UTC_MAX_S,
                    self.build_utc_s,
                    f"seconds since 1970, below {UTC_MAX_S}",
                ),
                "programme.items": (
                    all(item.level in self.priority.tiers for item in self.programme.items),
                    [item.level for item in self.programme.items],
                    f"of a level that is one of {', '.join(self.priority.tiers)}",
                ),
            },
        )


def with_loudness(control: ControlConfig, target_lufs: float | None) -> ControlConfig:
    """Return `control` for a node that brings its programmes to `target_lufs`, if it does.

    The noise limit is then judged by the level that they have, not by an assumed one.
    """
    if target_lufs is None:
        return control
    regulation = replace(control.regulation, programme_db=level_of_lufs(target_lufs))
    return replace(control, regulation=regulation)
