"""One question to the simulator, read from TOML; every fault in the file is named at once."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import hw_profiles
from hw_profiles.loader import read_toml
from node.config import AudioConfig, ConfigError, JitterConfig, OpusConfig, build, check, require
from node.control.names import composed
from node.shell.files import why_no_file
from sim.links import bearer as bearers
from sim.links.bearer import Bearer
from sim.village.copies import multiply
from sim.village.course import wrong_faults
from sim.village.day_config import DayConfig, day_faults, name_sounds
from sim.village.faults import Fault
from sim.village.outages import Outages, wrong_cells
from sim.village.rules import read_rule
from sim.village.sender_config import SenderConfig

FOLDER: Final = Path(__file__).parents[1] / "scenarios"
SPEECH: Final = Path(__file__).parents[1] / "speech"

_ROUNDS: Final = 3
"""Shapes, then values within tables, then values at the top: no fault hides a fourth."""

_FARTHEST_M: Final = 1e6

_NAMES: Final = frozenset(
    ("name", "title", "commune", "hamlet", "cluster", "feeder", "cell", "backhaul", "area")
)
"""Keys of what people call places, and of who names them."""

_NAME_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One pole: a gateway with its horns."""

    name: str
    """Identity of its node: a-z, 0-9 and hyphen, unique in the scenario."""

    profile: str
    bearer: str
    """A bearer of `sim/links/bearers`, one of `[bearers.NAME]`, or `trace:FILE`."""

    x_m: float
    """East of its hamlet."""

    y_m: float
    """North of its hamlet."""

    title: str = ""
    delay_ms: int = 0
    """Plays so much later than the group (acoustics between neighbours)."""

    feeder: str | None = None
    """The feeder of the grid that it hangs on: a fault may name it. Without it, its hamlet's."""

    cell: str | None = None
    """The cell of its bearer that serves it, where a commune has several; what cells have in common
    they have with those of the same bearer that name the same one."""

    like: str | None = None
    """Of a trace: the bearer whose rate, queue, cell and modem its link has, for a trace tells of
    delay and loss alone."""

    skew_ppm: float | None = None
    """Fixes both crystals of the node; without it they are drawn from the profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hamlet:
    """A hamlet of a commune; its position is relative to the commune's."""

    name: str
    x_m: float
    y_m: float
    clusters: tuple[Cluster, ...]
    feeder: str | None = None
    """Of those of its clusters that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commune:
    """A commune: one station, one backhaul, one cell per bearer."""

    name: str
    x_m: float
    y_m: float
    hamlets: tuple[Hamlet, ...]
    backhaul: str = "backhaul_fibre"
    ambient_c: float = 28.0
    feeder: str | None = None
    """Of those of its hamlets that name none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One question: a village, a programme, a run."""

    title: str
    question: str
    communes: tuple[Commune, ...]
    seed: int = 1
    duration_s: float = 3600.0
    sender: SenderConfig = field(default_factory=SenderConfig)
    jitter: JitterConfig = field(default_factory=JitterConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    opus: OpusConfig = field(default_factory=OpusConfig)
    bearers: dict[str, Bearer] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    outages: tuple[Outages, ...] = ()
    uplink: str | None = None
    """One station serves all communes: the bearer that all its streams leave by, before the
    backhauls. Without it each commune has a station at the end of its own backhaul."""

    protection: Literal["audio", "profile"] = "audio"
    """High-pass and power limit of the nodes: `audio` as the table `[audio]` says, `profile` as the
    horn and the amplifier of each cluster's profile do."""

    day: DayConfig | None = None
    """What plays through a whole day, how loud and who may: for `loalang-sim run --day`."""

    name: str = ""
    """Set by `load`: the file's name without `.toml`."""

    path: str = ""
    """Set by `load`: where the file lies."""

    def __post_init__(self) -> None:
        check(
            "scenario",
            {
                "seed": (0 <= self.seed < 1 << 63, self.seed, "0 or more, below 2**63"),
                "duration_s": (1 <= self.duration_s <= 86_400, self.duration_s, "1 to 86400"),
            },
        )

    def asked(self, *, seed: int | None = None, duration_s: float | None = None) -> "Scenario":
        """Return this question with another seed or length; None keeps the scenario's own."""
        return replace(
            self,
            seed=self.seed if seed is None else seed,
            duration_s=self.duration_s if duration_s is None else float(duration_s),
        )

    def clusters(self) -> Iterator[tuple[str, Commune, Hamlet, Cluster]]:
        """Yield (place in the file, commune, hamlet, cluster) in the order of the file."""
        for i, commune in enumerate(self.communes):
            for j, hamlet in enumerate(commune.hamlets):
                for k, cluster in enumerate(hamlet.clusters):
                    yield f"communes[{i}].hamlets[{j}].clusters[{k}]", commune, hamlet, cluster


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of the scenarios that ship, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load(path_or_name: str | Path) -> Scenario:
    """Load a scenario that ships by its name, or any by the path of its file.

    Raises
    ------
    ConfigError
        With one line per fault: file, table, field, value, and what would be right.
    """
    path = _find(path_or_name)
    errors: list[str] = []
    table = _composed(dict(read_toml(path, errors)))
    require(errors)
    for name in ("name", "path"):
        if name in table:
            errors.append(f"{path}: {name}: unknown; the file's own name is the scenario's")
            del table[name]
    table |= {"name": path.stem, "path": str(path)}
    day = table.get("day")
    if isinstance(day, dict) and "faults" in day:
        errors.append(
            f"{path.name}: day.faults: a run and its day have one table; write [[faults]] "
            "in place of [[day.faults]], the rows stay as they are"
        )
        table["day"] = {name: value for name, value in day.items() if name != "faults"}
    multiply(table, path.name, errors)
    own = _own_bearers(table, path.name, errors)
    name_sounds(table, lambda name: _beside(path.parent, name), path.name, errors)
    scenario = build(Scenario, table, where=path.name, errors=errors)
    checked = scenario or _rest(table, path.name, errors)
    if checked is not None:
        checked = replace(checked, bearers=own)
        _check_places(checked, path, errors)
        errors.extend(f"{path.name}: {line}" for line in wrong_faults(checked))
        _check_day(checked, path, errors)
        if sound_file(checked) is None:
            have = ", ".join(sorted(one.name for one in SPEECH.glob("*.flac")))
            errors.append(
                f"{path.name}: sender.file = {checked.sender.file!r}: no such file beside the "
                f"scenario; a sound file, or one that ships: {have}"
            )
    require(list(dict.fromkeys(errors)))
    assert scenario is not None and checked is not None
    return checked


def sound_file(scenario: Scenario) -> Path | None:
    """Return the path of the programme, or None when there is no such file."""
    return find_sound(scenario, scenario.sender.file)


def find_sound(scenario: Scenario, name: str) -> Path | None:
    """Return the path of a sound file, beside the scenario or one that ships, or None."""
    return _beside(Path(scenario.path).parent, name)


def trace_file(scenario: Scenario, bearer: str) -> Path | None:
    """Return the path of the trace when `bearer` is `trace:FILE`, else None."""
    if not bearer.startswith("trace:"):
        return None
    asked = Path(bearer.removeprefix("trace:"))
    return asked if asked.is_absolute() else Path(scenario.path).parent / asked


def _find(path_or_name: str | Path) -> Path:
    text = str(path_or_name)
    shipped = FOLDER / f"{text}.toml"
    if "/" not in text and not text.endswith(".toml") and not why_no_file(shipped):
        return shipped
    path = Path(path_or_name)
    why = why_no_file(path)
    if why is None:
        return path
    raise ConfigError(
        f"scenario {text!r}: {why}; a TOML file, or one that ships: {', '.join(names())}"
    )


def _beside(folder: Path, name: str) -> Path | None:
    asked = Path(name)
    candidates = [asked] if asked.is_absolute() else [folder / asked, SPEECH / asked]
    return next((path for path in candidates if path.is_file()), None)


def _own_bearers(table: dict[str, Any], where: str, errors: list[str]) -> dict[str, Bearer]:
    """Take the tables `[bearers.NAME]` out of `table`, so that a fault names which one it is in."""
    if not isinstance(table.get("bearers"), dict):
        return {}  # none, or none that can be read: `build` says so
    found = {}
    for name, one in table.pop("bearers").items():
        at = f"{where}: bearers.{name}"
        if not isinstance(one, dict):
            errors.append(f"{at} = {one!r}: must be a table")
            one = {}
        bearer = build(Bearer, one, where=at, errors=errors)
        # Whatever is wrong with it, its name is known to those that use it.
        found[name] = bearer or bearers.load("perfect")
    return found


def _rest(table: dict[str, Any], where: str, errors: list[str]) -> Scenario | None:
    """Build what is right at first sight, so that its other faults are named in the same go."""
    scenario = None
    for _ in range(_ROUNDS):
        right = {
            name: value
            for name, value in table.items()
            if not any(re.match(_mark(where, name), line) for line in errors)
        }
        more: list[str] = []
        scenario = build(Scenario, right, where=where, errors=more)
        errors.extend(line for line in more if ": missing;" not in line)
        if scenario is not None or not more:
            break
    return scenario


def _mark(where: str, name: str) -> str:
    """Return a pattern for the faults of the top-level table `name`."""
    return rf"{re.escape(where)}: (scenario\.)?{re.escape(name)}\b"


def _check_places(scenario: Scenario, path: Path, errors: list[str]) -> None:
    where = path.name
    profiles = hw_profiles.names()
    known = [*bearers.names(), *scenario.bearers]
    seen: dict[str, str] = {}
    if not any(True for _ in scenario.clusters()):
        errors.append(f"{where}: communes: hold no cluster; at least one is needed")
    if scenario.uplink is not None and scenario.uplink not in known:
        errors.append(f"{where}: uplink = {scenario.uplink!r}: must be one of {', '.join(known)}")
    errors.extend(f"{where}: {line}" for line in (*_text_faults(scenario), *wrong_cells(scenario)))
    for i, commune in enumerate(scenario.communes):
        errors.extend(_position_faults(f"{where}: communes[{i}]", commune.x_m, commune.y_m))
        for j, hamlet in enumerate(commune.hamlets):
            at = f"{where}: communes[{i}].hamlets[{j}]"
            errors.extend(_position_faults(at, hamlet.x_m, hamlet.y_m))
        if not -50 <= commune.ambient_c <= 80:
            errors.append(
                f"{where}: communes[{i}].ambient_c = {commune.ambient_c}: must be -50 to 80"
            )
        if commune.backhaul not in known:
            errors.append(
                f"{where}: communes[{i}].backhaul = {commune.backhaul!r}: "
                f"must be one of {', '.join(known)}"
            )
    for at, _, _, cluster in scenario.clusters():
        errors.extend(_name_faults(f"{where}: {at}", cluster.name, seen))
        seen.setdefault(cluster.name, at)
        if cluster.profile not in profiles:
            errors.append(
                f"{where}: {at}.profile = {cluster.profile!r}: must be one of {', '.join(profiles)}"
            )
        errors.extend(f"{where}: {at}.{line}" for line in _link_faults(scenario, cluster, known))
        errors.extend(_range_faults(f"{where}: {at}", cluster))


def _link_faults(scenario: Scenario, cluster: Cluster, known: list[str]) -> Iterator[str]:
    said = f"bearer = {cluster.bearer!r}"
    trace = trace_file(scenario, cluster.bearer)
    if trace is not None and not trace.is_file():
        yield f"{said}: no file {trace}"
    if trace is None and cluster.bearer not in known:
        yield f"{said}: must be one of {', '.join(known)}, or trace:FILE"
    if cluster.like is not None and (trace is None or cluster.like not in known):
        yield f"like = {cluster.like!r}: must be beside a trace, and one of {', '.join(known)}"


def _check_day(scenario: Scenario, path: Path, errors: list[str]) -> None:
    if scenario.day is None:
        return
    places = {
        cluster.name: (commune.name, hamlet.name)
        for _, commune, hamlet, cluster in scenario.clusters()
    }
    found = day_faults(scenario.day, places, lambda name: read_rule(name, path.parent))
    errors.extend(f"{path.name}: {line}" for line in found)


def _composed(value: Any, key: str = "") -> Any:
    """Return a table whose names of places are composed, however a keyboard wrote them."""
    if isinstance(value, dict):
        named = key == "languages"
        return {composed(one) if named else one: _composed(value[one], one) for one in value}
    if isinstance(value, list):
        return [_composed(one) for one in value]
    return composed(value) if isinstance(value, str) and key in _NAMES else value


def _text_faults(scenario: Scenario) -> Iterator[str]:
    """Yield texts that no terminal and no XML can show, and communes that nobody can tell apart."""
    texts = {"title": scenario.title, "question": scenario.question}
    seen: dict[str, str] = {}
    for i, commune in enumerate(scenario.communes):
        texts[f"communes[{i}].name"] = commune.name
        for j, hamlet in enumerate(commune.hamlets):
            texts[f"communes[{i}].hamlets[{j}].name"] = hamlet.name
        if commune.name in seen:
            yield f"communes[{i}].name = {commune.name!r}: already the name of {seen[commune.name]}"
        seen.setdefault(commune.name, f"communes[{i}]")
    texts |= {f"{at}.title": one.title for at, _, _, one in scenario.clusters() if one.title}
    for at, text in texts.items():
        if any(unicodedata.category(one) in ("Cc", "Cs") for one in text):
            yield f"{at} = {text!r}: must be without control characters"


def _name_faults(at: str, name: str, seen: dict[str, str]) -> Iterator[str]:
    if not (0 < len(name) <= 64 and set(name) <= _NAME_LETTERS):
        yield f"{at}.name = {name!r}: must be 1 to 64 of a-z, 0-9 and hyphen"
    if name in seen:
        yield f"{at}.name = {name!r}: already the name of {seen[name]}; each needs its own"


def _position_faults(at: str, x_m: float, y_m: float) -> Iterator[str]:
    for name, value in (("x_m", x_m), ("y_m", y_m)):
        if not -_FARTHEST_M <= value <= _FARTHEST_M:
            yield f"{at}.{name} = {value}: must be at most {_FARTHEST_M:g} m either way"


def _range_faults(at: str, cluster: Cluster) -> Iterator[str]:
    yield from _position_faults(at, cluster.x_m, cluster.y_m)
    if not -1000 <= cluster.delay_ms <= 1000:
        yield f"{at}.delay_ms = {cluster.delay_ms}: must be -1000 to 1000"
    if cluster.skew_ppm is not None and not -500 <= cluster.skew_ppm <= 500:
        yield f"{at}.skew_ppm = {cluster.skew_ppm}: must be -500 to 500"
