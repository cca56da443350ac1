"""What a sweep varies: settings of the scenario, figures of its bearers and gateways, outages.

```
--set 'jitter.playout_delay_ms=400,800'   a field of the scenario
--set 'lte_weak.loss_pct=1,3'             a figure of a bearer, a board, a sound card
--set 'outages=drawn,none'                with and without power cuts and outages of cells
```
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from itertools import product
from typing import Any, Final

from hw_profiles import Number, Profile, Switch, Whole
from node.config import ConfigError, build, require
from sim.links.bearer import Bearer
from sim.village.places import Place, Village, with_parts
from sim.village.scenario import Scenario

Value = str | int | float | bool

VARIANTS_MAX: Final = 256
OUTAGES: Final = "outages"
_TABLES: Final = ("sender", "jitter", "audio", "opus")
_TOP: Final = ("duration_s", "protection")
_PARTS: Final = ("board", "sound_card", "amplifier", "horn")


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of the values that a sweep varies."""

    values: tuple[tuple[str, Value], ...]
    """(name, value) in the order of the command line."""

    @property
    def label(self) -> str:
        """What people call it; `as written` where nothing is varied."""
        return ", ".join(f"{name}={_said(value)}" for name, value in self.values) or "as written"

    @property
    def outages(self) -> bool:
        """Whether power cuts and outages of cells are drawn."""
        return dict(self.values).get(OUTAGES) != "none"

    @property
    def network(self) -> tuple[tuple[str, Value], ...]:
        """What of it changes lines and gateways, and not only what is sent over them."""
        return tuple(one for one in self.values if not _of_scenario(one[0]))

    def numbers(self) -> dict[str, float]:
        """Return the figures that it changes, by `FILE.FIELD`."""
        return {
            name: float(value)
            for name, value in self.values
            if not _of_scenario(name) and name != OUTAGES and not isinstance(value, str)
        }


def column(name: str) -> str:
    """Return what a setting is called as a column."""
    return name.replace(".", "_")


def read_variants(texts: Sequence[str]) -> tuple[Variant, ...]:
    """Return every combination of what `NAME=VALUE,VALUE` texts say; one without any.

    Raises
    ------
    ConfigError
        If a text cannot be read, a name comes twice, or there are too many combinations.
    """
    choices: dict[str, tuple[Value, ...]] = {}
    for text in texts:
        name, sign, said = text.partition("=")
        name = name.strip()
        values = tuple(_value(one.strip()) for one in said.split(","))
        if not sign or not name or "" in values:
            raise ConfigError(f"--set {text!r}: must be NAME=VALUE,VALUE...")
        if name in choices or len(set(map(repr, values))) < len(values):
            raise ConfigError(f"--set {text!r}: each name and each of its values once")
        if name == OUTAGES and not set(values) <= {"drawn", "none"}:
            raise ConfigError(f"--set {text!r}: outages are drawn or none")
        choices[name] = values
    found = tuple(
        Variant(tuple(zip(choices, values, strict=True))) for values in product(*choices.values())
    )
    if len(found) > VARIANTS_MAX:
        raise ConfigError(f"--set: {len(found)} combinations; at most {VARIANTS_MAX}")
    return found


def changed(scenario: Scenario, variant: Variant) -> Scenario:
    """Return `scenario` with what a variant says of its own fields.

    Raises
    ------
    ConfigError
        If there is no such field, or its value cannot be.
    """
    errors: list[str] = []
    for name, value in variant.values:
        table, _, field = name.partition(".")
        if name in _TOP:
            scenario = _with_top(scenario, name, value, errors)
        elif table in _TABLES:
            old = getattr(scenario, table)
            assert is_dataclass(old) and not isinstance(old, type)
            shape = {k: v for k, v in asdict(old).items() if v is not None} | {field: value}
            new = build(type(old), shape, where="--set", errors=errors, what=table)
            if new is not None:
                told: dict[str, Any] = {table: new}
                scenario = replace(scenario, **told)
    require(errors)
    return scenario


def number_names(village: Village) -> dict[str, Number | Whole | Switch]:
    """Return the figures of all bearers and gateways of a village, by `FILE.FIELD`."""
    found: dict[str, Number | Whole | Switch] = {}
    for name, bearer in _bearers(village).items():
        found |= {f"{name}.{field}": figure for field, figure in bearer.figures()}
    for profile in dict.fromkeys(place.profile for place in village.places):
        for path, field, figure in profile.figures():
            found[f"{_stem(path)}.{field}"] = figure
    return found


def check_values(village: Village, values: Sequence[tuple[str, Value]]) -> None:
    """Raise `ConfigError` where a name is no field and no figure of the village, or no number."""
    known = number_names(village)
    for name, value in values:
        if name in known and isinstance(value, str):
            raise ConfigError(f"{name} = {value!r}: must be a number")
        if name not in known and not _of_scenario(name) and name != OUTAGES:
            near = sorted(one for one in known if one.split(".")[0] == name.split(".")[0])
            have = ", ".join(near) or (
                f"a field of {', '.join(_TABLES)}, {', '.join(_TOP)}, {OUTAGES}, or FILE.FIELD of "
                f"{', '.join(dict.fromkeys(one.split('.')[0] for one in known))}"
            )
            raise ConfigError(f"{name!r}: no such setting; there is {have}")


def with_numbers(village: Village, numbers: Mapping[str, float]) -> Village:
    """Return a village with other figures of its bearers and gateways.

    Parameters
    ----------
    village : Village
    numbers : mapping
        `FILE.FIELD` to value; whole numbers are rounded.

    Raises
    ------
    ConfigError
        If a figure cannot be so.
    """
    if not numbers:
        return village
    bearers: dict[str, Bearer] = {}
    profiles: dict[str, Profile] = {}

    def bearer_of(name: str, old: Bearer) -> Bearer:
        if name not in bearers:
            bearers[name] = _with_figures(old, name, numbers)
        return bearers[name]

    def place_of(place: Place) -> Place:
        name, profile = place.bearer_name, place.profile
        bearer = None if place.bearer is None else bearer_of(name, place.bearer)
        if place.like is not None:
            place = replace(place, like=bearer_of(place.like_name, place.like))
        if profile.name not in profiles:
            profiles[profile.name] = _with_parts(profile, numbers)
        return with_parts(place, bearer, profiles[profile.name])

    return replace(
        village,
        places=tuple(map(place_of, village.places)),
        backhauls={
            commune: bearer_of(village.backhaul_names[commune], old)
            for commune, old in village.backhauls.items()
        },
    )


def without_outages(village: Village) -> dict[str, float]:
    """Return the numbers with which no cell of the village has an outage."""
    return {f"{name}.outage_interval_s": 0.0 for name in _bearers(village)}


def _bearers(village: Village) -> dict[str, Bearer]:
    rated = ((one.like_name or one.bearer_name, one.rated) for one in village.places)
    found = {name: one for name, one in rated if one is not None}
    return found | {village.backhaul_names[c]: one for c, one in village.backhauls.items()}


def _with_figures(part: Any, stem: str, numbers: Mapping[str, float]) -> Any:
    new: dict[str, Number | Whole | Switch] = {}
    for one in fields(part):
        old, name = getattr(part, one.name), f"{stem}.{one.name}"
        if name not in numbers:
            continue
        value = numbers[name]
        if isinstance(old, Switch):
            new[one.name] = Switch(value=bool(value), source="sweep", verified=False)
        elif isinstance(old, Whole):
            new[one.name] = Whole(value=round(value), source="sweep", verified=False)
        else:
            new[one.name] = Number(value=value, source="sweep", verified=False)
    try:
        return replace(part, **new) if new else part
    except ConfigError as fault:
        said = "; ".join(f"{name} = {numbers[f'{stem}.{name}']:g}" for name in new)
        raise ConfigError(f"{stem}: {said}: {fault}") from fault


def _with_parts(profile: Profile, numbers: Mapping[str, float]) -> Profile:
    paths = dict(profile.paths)
    parts = {
        part: _with_figures(getattr(profile, part), _stem(paths[part]), numbers) for part in _PARTS
    }
    return replace(profile, **parts)


def _with_top(scenario: Scenario, name: str, value: Value, errors: list[str]) -> Scenario:
    good = (
        isinstance(value, int | float) and not isinstance(value, bool)
        if name == "duration_s"
        else value in ("audio", "profile")
    )
    if not good:
        errors.append(f"--set: {name} = {value!r}: cannot be")
        return scenario
    try:
        told: dict[str, Any] = {name: float(value) if name == "duration_s" else value}
        return replace(scenario, **told)
    except ConfigError as fault:
        errors.append(f"--set: {fault}")
        return scenario


def _of_scenario(name: str) -> bool:
    return name in _TOP or name.partition(".")[0] in _TABLES


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".toml")


def _value(text: str) -> Value:
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _said(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
