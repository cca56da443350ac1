"""The day of a scenario (table `[day]`): calendar, volumes, rules, orders, neighbours."""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from node.config import ConfigError, check
from node.control.calendar.programme import ProgrammeConfig
from node.control.civil_time import parse_date, parse_time
from node.control.loudness.noise import DwellingConfig
from node.control.loudness.regulation import RegulationConfig
from node.control.loudness.schedule import VolumeConfig
from node.control.precedence import PriorityConfig
from node.control.trust.message import AREA_BYTES_MAX
from node.control.warning.alert import AlertConfig

OFFSET_MAX_S: Final = 3600
"""Most that a node may start later (`node.control.calendar.programme`)."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderConfig:
    """What a station orders, and when (table `[[day.orders]]`)."""

    at: str
    """Wall clock `hh:mm`."""

    kind: Literal["alert", "cancel", "mute", "unmute"]
    by: str = "commune"
    """The tier that orders: each commune for itself, or a higher one for all of them."""

    number: int = 1
    """Of a warning; a cancel names the one that it is about."""

    event: str = ""
    """Event code of a warning, up to 8 letters; empty for any."""

    lasts_s: int = 3600
    """How long a warning is in force."""

    ttl_s: int = 600
    """The order is void so long after it was given."""

    commune: str | None = None
    hamlet: str | None = None
    """Only there; without a place everywhere."""

    def __post_init__(self) -> None:
        check(
            "day.orders",
            {
                "at": (parse_time(self.at) is not None, self.at, "hh:mm from 00:00 to 23:59"),
                "number": (1 <= self.number < 1 << 32, self.number, "1 or more, below 2**32"),
                "event": (
                    self.event.isascii() and len(self.event) <= 8,
                    self.event,
                    "up to 8 ASCII letters",
                ),
                "lasts_s": (1 <= self.lasts_s <= 604_800, self.lasts_s, "1 to 604800"),
                "ttl_s": (1 <= self.ttl_s <= 604_800, self.ttl_s, "1 to 604800"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseConfig:
    """The dwelling nearest to one pole (table `[[day.houses]]`)."""

    cluster: str
    distance_m: float
    bearing_deg: float
    """Seen from the pole, clockwise from north; the first horn points north."""

    area: str = "common"
    """Kind of area in the rule files."""

    def __post_init__(self) -> None:
        self.dwelling()

    def dwelling(self) -> DwellingConfig:
        """Return it as the node is configured with it."""
        return DwellingConfig(
            distance_m=self.distance_m, bearing_deg=self.bearing_deg, area=self.area
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StaggerConfig:
    """Neighbouring clusters take turns (table `[day.stagger]`); urgent messages do not wait."""

    overlap_m: float = 400.0
    """Clusters nearer to each other than this are to be in different groups."""

    groups_max: int = 3
    turn_s: int = 600
    """Length of a turn: a group starts so long after the one before it."""

    def __post_init__(self) -> None:
        last_s = (self.groups_max - 1) * self.turn_s
        check(
            "day.stagger",
            {
                "overlap_m": (1 <= self.overlap_m <= 1e5, self.overlap_m, "1 to 100000"),
                "groups_max": (1 <= self.groups_max <= 16, self.groups_max, "1 to 16"),
                "turn_s": (
                    1 <= self.turn_s and last_s <= OFFSET_MAX_S,
                    self.turn_s,
                    f"1 or more, and (groups_max - 1) * turn_s at most {OFFSET_MAX_S}",
                ),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayConfig:
    """One day of the village (table `[day]`); its tables are those of `[control]` of a node."""

    date: str
    """`yyyy-mm-dd`: which rules are in force, and which items of the calendar are due."""

    area: str = "vn"
    """Path above the communes in the areas of orders."""

    rules: tuple[str, ...] = ("noise_qcvn_26_2010", "noise_qcvn_26_2025", "hours_common")
    """Rule files: names of those that ship, or paths beside the scenario."""

    programme: ProgrammeConfig = field(default_factory=ProgrammeConfig)
    """The calendar; `media` names sound files, beside the scenario or in `sim/speech`. A sound that
    is shorter than its part is repeated: it stands for a programme of that length."""

    live_at: str = "12:00"
    """Wall clock at which the run's own live programme begins: its faults and the day's are one."""

    warned_within_s: int = 60
    """A warning that is first heard later than this after its order counts as late: our own target,
    no rule was found."""

    heard_from_dba: float = 45.0
    """A warning that is quieter than this at the nearest dwelling is not heard: 15 dB above what is
    there without it (ISO 7731, 5.2.2.1), and 30 dBA of a night in the country are assumed."""

    languages: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Hamlet to its languages, the preferred one first; others have `programme.languages`."""

    volume: VolumeConfig = field(default_factory=VolumeConfig)
    priority: PriorityConfig = field(default_factory=PriorityConfig)
    regulation: RegulationConfig = field(default_factory=RegulationConfig)
    alert: AlertConfig = field(default_factory=AlertConfig)
    orders: tuple[OrderConfig, ...] = ()
    houses: tuple[HouseConfig, ...] = ()
    house_nearest_m: float = 40.0
    house_farthest_m: float = 150.0
    """Where `houses` says nothing the nearest dwelling is so far away, by the cluster's name: an
    assumption, for no survey of the villages was found."""

    stagger: StaggerConfig | None = None
    sounds: dict[str, str] = field(default_factory=dict)
    """Set by `load`: SHA-256 of each sound file that is named, and its name."""

    def __post_init__(self) -> None:
        near, far = self.house_nearest_m, self.house_farthest_m
        check(
            "day",
            {
                "date": (parse_date(self.date) is not None, self.date, "a date like 2026-11-23"),
                "live_at": (parse_time(self.live_at) is not None, self.live_at, "hh:mm"),
                "warned_within_s": (
                    1 <= self.warned_within_s <= 86_400,
                    self.warned_within_s,
                    "1 to 86400",
                ),
                "heard_from_dba": (
                    0 <= self.heard_from_dba <= 120,
                    self.heard_from_dba,
                    "0 to 120",
                ),
                "area": (bool(self.area) and all(self.area.split("/")), self.area, "a path"),
                "house_nearest_m": (1 <= near <= 1e5, near, "1 to 100000"),
                "house_farthest_m": (near <= far <= 1e5, far, f"{near:g} to 100000"),
            },
        )


def name_sounds(
    table: dict[str, Any], find: Callable[[str], Path | None], where: str, errors: list[str]
) -> None:
    """Replace the sound files named in the table `day`, as read, by their hashes, and keep both.

    Parameters
    ----------
    table : dict
        Of the scenario, as TOML has it; changed in place.
    find : callable
        Returns the path of a sound file, or None.
    where, errors
        As in `node.config.build`.
    """
    day = table.get("day")
    if not isinstance(day, dict):
        return
    if "sounds" in day:
        errors.append(
            f"{where}: day.sounds: unknown; name the files in `media`, `siren` and `text`"
        )
    known: dict[str, str] = {}
    for at, media, key in _media(day):
        name = media[key]
        if not isinstance(name, str) or _HASH.fullmatch(name):
            continue  # what is no name is named by `build`
        path = find(name)
        if path is None:
            errors.append(f"{where}: day.{at} = {name!r}: no such sound file beside the scenario")
        digest = hashlib.sha256(b"" if path is None else path.read_bytes()).hexdigest()
        media[key] = digest
        known[digest] = name
    day["sounds"] = known


def _media(day: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield (place in the table, dict, key) of each entry that names a sound."""
    for i, item in enumerate(_list(_dict(day.get("programme")).get("items"))):
        for j, part in enumerate(_list(_dict(item).get("parts"))):
            media = _dict(_dict(part).get("media"))
            for key in media:
                yield f"programme.items[{i}].parts[{j}].media.{key}", media, key
    alert = _dict(day.get("alert"))
    for code, phrase in _dict(alert.get("phrases")).items():
        phrase = _dict(phrase)
        if "siren" in phrase:
            yield f"alert.phrases.{code}.siren", phrase, "siren"
        text = _dict(phrase.get("text"))
        for key in text:
            yield f"alert.phrases.{code}.text.{key}", text, key
    exercise = _dict(alert.get("exercise_phrase"))
    for key in exercise:
        yield f"alert.exercise_phrase.{key}", exercise, key


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def day_faults(
    day: DayConfig,
    places: dict[str, tuple[str, str]],
    read_rule: Callable[[str], object],
) -> Iterator[str]:
    """Yield what is wrong with a day in its village, each with the place in the table.

    Parameters
    ----------
    day : DayConfig
        Right in itself.
    places : dict
        Cluster to (commune, hamlet).
    read_rule : callable
        Reads a rule file by its name; raises ConfigError.
    """
    communes = dict.fromkeys(commune for commune, _ in places.values())
    hamlets = dict.fromkeys(hamlet for _, hamlet in places.values())
    for i, name in enumerate(day.rules):
        try:
            read_rule(name)
        except ConfigError as fault:
            yield from (f"day.rules[{i}] = {name!r}: {line}" for line in str(fault).splitlines())
    numbers: dict[int, str] = {}
    events: dict[int, str] = {}
    for i, order in enumerate(day.orders):
        if order.by not in day.priority.tiers:
            yield f"day.orders[{i}].by = {order.by!r}: must be one of {_all(day.priority.tiers)}"
        yield from _unknown(f"day.orders[{i}].commune", order.commune, communes)
        own = {h: h for commune, h in places.values() if order.commune in (None, commune)}
        yield from _unknown(f"day.orders[{i}].hamlet", order.hamlet, own or hamlets)
        other = numbers.setdefault(order.number, order.by) if order.kind == "alert" else order.by
        if other != order.by:
            yield (
                f"day.orders[{i}].number = {order.number}: is that of a warning by the {other}; "
                "a warning of another issuer needs its own"
            )
        event = (
            events.setdefault(order.number, order.event) if order.kind == "alert" else order.event
        )
        if event != order.event:
            yield (
                f"day.orders[{i}].number = {order.number}: is that of a warning of "
                f"{event or 'any event'}; one of another event needs its own"
            )
    for i, house in enumerate(day.houses):
        yield from _unknown(f"day.houses[{i}].cluster", house.cluster, places)
    for hamlet in day.languages:
        yield from _unknown("day.languages", hamlet, hamlets)
    for i, item in enumerate(day.programme.items):
        for hamlet in item.hamlets:
            yield from _unknown(f"day.programme.items[{i}].hamlets", hamlet, hamlets)
    for node, (commune, hamlet) in places.items():
        path = f"{day.area}/{commune}/{hamlet}/{node}"
        if "/" in commune + hamlet or len(path.encode()) > AREA_BYTES_MAX:
            yield f"day.area: the path {path!r}: names without /, at most {AREA_BYTES_MAX} bytes"


def _unknown(at: str, name: str | None, known: "dict[str, Any]") -> Iterator[str]:
    if name is not None and name not in known:
        yield f"{at} = {name!r}: must be one of {_all(known)}"


def _all(names: "tuple[str, ...] | dict[str, Any]") -> str:
    return ", ".join(names)
