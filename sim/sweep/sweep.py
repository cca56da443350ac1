"""A sweep: which scenario, which variants, which villages, which seeds; and the key of all that."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import hw_profiles
import node
import sim
from sim.sweep.sampling import Sample, drawn_faults, drawn_inputs, sampled
from sim.sweep.settings import Variant, changed, with_numbers, without_outages
from sim.sweep_arguments import SEEDS_MAX
from sim.village.course import require_lived
from sim.village.places import Village, build_village
from sim.village.scenario import Scenario

PROGRAMME: Final = "programme"
"""What the nodes play of the programme."""
WARNING: Final = "warning"
"""When an order of each hour is at the nodes."""
DAY: Final = "day"
"""What the nodes' own controllers make of the warnings of the scenario's day."""
_KEY_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Throw:
    """One throw of the dice: a village, a seed in it; all variants meet the same."""

    number: int
    village: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is asked."""

    scenario: Scenario
    variants: tuple[Variant, ...]
    sample: Sample | None = None
    villages: int = 1
    """Sampled from `sample`; without one, the village as it is written."""

    seeds: int = 20
    """In each village."""

    measures: tuple[str, ...] = (PROGRAMME, WARNING)
    within_s: int = 60
    """A cluster counts as warned when the order is there so soon."""

    ttl_s: int = 3600
    """An order is tried again for so long."""

    points: tuple[tuple[float, ...], ...] = ()
    """Of a study: a value for each input of the sample, in the place of each village."""

    @property
    def throws(self) -> int:
        """How many throws of the dice, each with all variants."""
        return self.seeds * self.villages

    def throw(self, number: int) -> Throw:
        """Return a throw: village after village with the first seed, then with the second."""
        turn, village = divmod(number, self.villages)
        if self.points:
            return Throw(number, village, self.scenario.seed + turn)
        # Villages share no seed: a run of one says nothing about the next.
        return Throw(number, village, self.scenario.seed + village * SEEDS_MAX + turn)

    def question(self, variant: Variant, throw: Throw) -> tuple[Scenario, Village]:
        """Return what one variant asks in one throw.

        Raises
        ------
        ConfigError
            If a setting or a sampled figure cannot be.
        """
        scenario = changed(self.scenario, variant)
        numbers: dict[str, float] = {}
        if self.sample is not None:
            numbers = (
                dict(zip(self._inputs(), self.points[throw.village], strict=True))
                if self.points
                else drawn_inputs(self.scenario, self.sample, throw.village)
            )
            scenario = sampled(scenario, self.sample, throw.village)
        scenario = scenario.asked(seed=throw.seed)
        if self.sample is not None and variant.outages:
            faults = drawn_faults(scenario, self.sample)
            scenario = replace(scenario, faults=(*scenario.faults, *faults))
        if not variant.outages:
            scenario = replace(scenario, outages=())
        for measure in self.measures:
            if measure != DAY:  # whole daemons live all
                require_lived(scenario, "run" if measure == PROGRAMME else "sweep")
        village = build_village(scenario, with_hash=False)
        if not variant.outages:
            numbers |= without_outages(village)
        return scenario, with_numbers(village, numbers | variant.numbers())

    def _inputs(self) -> list[str]:
        return [] if self.sample is None else [one.name for one in self.sample.inputs]

    def key(self) -> str:
        """Return the name of its chunks: of all that its rows depend on, and of this code.

        How many seeds are asked is not part of it: more of them go on where fewer ended.
        """
        told = {
            "code": code_hash(),
            "scenarios": [
                build_village(changed(self.scenario, one)).scenario_hash for one in self.variants
            ],
            "variants": [one.values for one in self.variants],
            "sample": None if self.sample is None else asdict(self.sample),
            "villages": self.villages,
            "seed": self.scenario.seed,
            "measures": self.measures,
            "ttl_s": self.ttl_s,
            "points": self.points,
        }
        text = json.dumps(told, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


@cache
def code_hash() -> str:
    """Return a hash over everything of this installation that a figure can depend on."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files() -> Iterator[Path]:
    for package in (node, sim, hw_profiles):
        folder = Path(package.__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".py", ".toml") and "report" not in path.parts:
                yield path
