"""Villages as they may be: positions, lines, gateways, outages and figures drawn within what a
planner knows (`villages.toml`).

One village on paper proves nothing: where a pole will stand, which line it gets and how bad that
is, nobody knows before it is built. Each draw has an address, so that another entry of the file, or
another village, moves none of the others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import hw_profiles
from hw_profiles.loader import read_toml
from node.config import build, check, require
from node.units import NS_PER_S
from sim.chance.rng import Purpose, between, raw_draws, stream
from sim.links import bearer as bearers
from sim.village.course import live_ns
from sim.village.faults import Fault
from sim.village.outages import Outages, drawn
from sim.village.scenario import Cluster, Commune, Hamlet, Scenario

_CM: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSample:
    """What is not known of some clusters (table `[[clusters]]`)."""

    commune: str | None = None
    hamlet: str | None = None
    bearer: str | None = None
    """Only those; without any of the three all that no table before was about."""

    moved_m: float = 0.0
    """East and north by up to so much from where they are written."""

    bearers: dict[str, float] = field(default_factory=dict)
    """Line to its share among them; empty: as written."""

    profiles: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shares = [*self.bearers.values(), *self.profiles.values()]
        check(
            "clusters",
            {
                "moved_m": (0 <= self.moved_m <= 1e5, self.moved_m, "0 to 100000"),
                "bearers, profiles": (all(0 < s <= 1e6 for s in shares), shares, "shares above 0"),
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSample:
    """A figure that nobody measured (table `[[inputs]]`): anywhere between two, all alike."""

    name: str
    """`FILE.FIELD`, as `lte_weak.loss_pct`."""

    low: float
    high: float
    source: str = ""

    def __post_init__(self) -> None:
        check("inputs", {"high": (self.low < self.high, self.high, f"above low = {self.low:g}")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a planner knows of the villages, and how far (a file `villages.toml`)."""

    clusters: tuple[ClusterSample, ...] = ()
    outages: tuple[Outages, ...] = ()
    inputs: tuple[InputSample, ...] = ()
    households: dict[str, int] = field(default_factory=dict)
    """Cluster to the households in its reach."""


def read_sample(path: Path, scenario: Scenario) -> Sample:
    """Return what the file says, held against the scenario.

    Raises
    ------
    ConfigError
        With one line per fault: file, table, field, value, and what would be right.
    """
    errors: list[str] = []
    sample = build(Sample, read_toml(path, errors), where=path.name, errors=errors)
    if sample is not None:
        errors += [f"{path.name}: {line}" for line in _faults(sample, scenario)]
    require(errors)
    assert sample is not None
    return sample


def sampled(scenario: Scenario, sample: Sample, village: int) -> Scenario:
    """Return the village of that number: clusters where and with what they may be."""

    def of_hamlet(commune: Commune, hamlet: Hamlet) -> Hamlet:
        return replace(
            hamlet,
            clusters=tuple(
                _drawn(scenario, sample, (commune.name, hamlet.name), one, village)
                for one in hamlet.clusters
            ),
        )

    return replace(
        scenario,
        communes=tuple(
            replace(one, hamlets=tuple(of_hamlet(one, hamlet) for hamlet in one.hamlets))
            for one in scenario.communes
        ),
    )


def drawn_inputs(scenario: Scenario, sample: Sample, village: int) -> dict[str, float]:
    """Return a value for each figure that nobody knows, the same for the whole village."""
    return {
        one.name: one.low
        + (one.high - one.low) * _unit(scenario.seed, f"input/{one.name}", village)
        for one in sample.inputs
    }


def drawn_faults(scenario: Scenario, sample: Sample) -> tuple[Fault, ...]:
    """Return the cuts of one day, by the scenario's seed: of feeders and cells, for who shares."""
    begin_s = live_ns(scenario) / NS_PER_S
    known = len(scenario.outages)
    return tuple(drawn(scenario, sample.outages, live_s=begin_s, first=known))


def _drawn(
    scenario: Scenario, sample: Sample, where: tuple[str, str], cluster: Cluster, village: int
) -> Cluster:
    found = next((one for one in sample.clusters if _fits(one, where, cluster)), None)
    if found is None:
        return cluster

    def unit(what: str) -> float:
        return _unit(scenario.seed, f"{what}/{cluster.name}", village)

    bearer = _one_of(found.bearers, unit("bearer"), cluster.bearer)
    reach = round(found.moved_m * _CM)
    bits = stream(scenario.seed, Purpose.SAMPLE, node=f"place/{cluster.name}", run=village)
    x_cm, y_cm = between(raw_draws(bits, 2), -reach, reach).tolist()
    return replace(
        cluster,
        x_m=cluster.x_m + x_cm / _CM,
        y_m=cluster.y_m + y_cm / _CM,
        bearer=bearer,
        like=cluster.like if bearer == cluster.bearer else None,
        profile=_one_of(found.profiles, unit("profile"), cluster.profile),
    )


def _fits(one: ClusterSample, where: tuple[str, str], cluster: Cluster) -> bool:
    asked = (one.commune, one.hamlet, one.bearer)
    return all(a in (None, b) for a, b in zip(asked, (*where, cluster.bearer), strict=True))


def _one_of(shares: Mapping[str, float], unit: float, as_written: str) -> str:
    """Return the name in whose part of the shares `unit` (0 to 1) falls."""
    left = unit * sum(shares.values())
    for name, share in shares.items():
        as_written = name  # the last one, where sums of floats leave nothing
        left -= share
        if left < 0:
            break
    return as_written


def _unit(seed: int, what: str, village: int) -> float:
    """Return a number from 0 to below 1 that belongs to one question about one village."""
    raw = raw_draws(stream(seed, Purpose.SAMPLE, node=what, run=village), 1)
    return int(raw[0] >> 11) / (1 << 53)


def _faults(sample: Sample, scenario: Scenario) -> Iterator[str]:
    """Yield what names nothing in the scenario."""
    clusters = [cluster for *_, cluster in scenario.clusters()]
    lines = dict.fromkeys([*scenario.bearers, *bearers.names()])
    gateways = dict.fromkeys(hw_profiles.names())
    known: dict[str, Mapping[str, object]] = {
        "commune": {one.name: None for one in scenario.communes},
        "hamlet": {one.name: None for c in scenario.communes for one in c.hamlets},
        "bearer": {one.bearer: None for one in clusters},
    }
    for i, one in enumerate(sample.clusters):
        for place, names in known.items():
            said = getattr(one, place)
            if said is not None and said not in names:
                yield f"clusters[{i}].{place} = {said!r}: must be one of {', '.join(names)}"
        for table, names in (("bearers", lines), ("profiles", gateways)):
            for name in getattr(one, table):
                if name not in names:
                    yield f"clusters[{i}].{table}: {name!r}: must be one of {', '.join(names)}"
    there = {one.name for one in clusters}
    for name, count in sample.households.items():
        if name not in there:
            yield f"households.{name}: no such cluster in {scenario.name}"
        if not 0 <= count <= 1_000_000:
            yield f"households.{name} = {count}: must be 0 to 1000000"
    seen = [one.name for one in sample.inputs]
    if len(set(seen)) < len(seen):
        yield "inputs: each name once"
