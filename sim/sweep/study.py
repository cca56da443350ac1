"""A study of what matters: the same throws at many points of what nobody measured."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from hw_profiles import Switch
from node.config import ConfigError
from sim.sweep.figures import Figures
from sim.sweep.odds import FIGURES, MEANS
from sim.sweep.sampling import InputSample, Sample
from sim.sweep.sensitivity import Effect, design, effects
from sim.sweep.settings import number_names
from sim.sweep.sweep import Sweep
from sim.village.places import Village

SPAN: Final = 0.5
"""A figure of which nothing is said may be so much of itself lower or higher: an assumption."""

POINTS_MAX: Final = 200_000
BASE_MIN: Final = 8
_NOT_HEARD: Final = (
    "power_w", "thermal_limit_db", "sensitivity_db_spl", "low_hz", "per_pole",
    "rate_hz", "period_samples", "periods",
)  # fmt: skip
"""Fields that move none of a sweep's figures, or may not move by themselves."""


def usual_inputs(village: Village) -> tuple[InputSample, ...]:
    """Return every unverified figure of a village that a sweep can feel, half up and down."""
    return tuple(
        InputSample(name=name, low=low, high=high, source="half of it up and down: assumption")
        for name, low, high in _moved(village)
    )


def study(sweep: Sweep, village: Village, base: int) -> Sweep:
    """Return the sweep at all points that the effects are estimated from.

    Raises
    ------
    ConfigError
        If there is no input, or there are too many points.
    """
    sample = Sample() if sweep.sample is None else sweep.sample
    inputs = sample.inputs or usual_inputs(village)
    if not inputs:
        raise ConfigError("--sensitivity: every figure of this scenario is verified")
    if base < BASE_MIN:
        raise ConfigError(
            f"--sensitivity {base}: must be {BASE_MIN} or more: fewer know no interval"
        )
    if base * (len(inputs) + 2) > POINTS_MAX:
        raise ConfigError(
            f"--sensitivity {base}: with {len(inputs)} inputs more than {POINTS_MAX} points"
        )
    cube = design(sweep.scenario.seed, [one.name for one in inputs], base)
    low = np.array([one.low for one in inputs])
    wide = np.array([one.high - one.low for one in inputs])
    points = tuple(map(tuple, (low + cube * wide).tolist()))
    return replace(
        sweep,
        # Clusters stay where they are written: a study asks about figures.
        sample=replace(sample, clusters=(), inputs=inputs),
        villages=len(points),
        points=points,
    )


def ranked(sweep: Sweep, figures: Figures, figure: str) -> list[Effect]:
    """Return the effect of each input on one figure of the first variant, the largest first.

    Raises
    ------
    ConfigError
        If the figure was not measured.
    """
    values = (FIGURES | MEANS)[figure](figures)[:, 0]
    unknown = np.isnan(values)
    if unknown.any() and not unknown.all() and figure in MEANS:
        raise ConfigError(
            f"--figure {figure}: in {int(unknown.sum())} of {values.size} throws nobody heard "
            "anything, so there is none; dropout_pct has them all"
        )
    if unknown.any():
        raise ConfigError(f"--figure {figure}: was not measured; leave out --only")
    answers = values.reshape(sweep.seeds, sweep.villages).mean(axis=0)
    assert sweep.sample is not None
    return effects(sweep.scenario.seed, [one.name for one in sweep.sample.inputs], answers)


def _moved(village: Village) -> Iterator[tuple[str, float, float]]:
    for name, figure in number_names(village).items():
        field = name.partition(".")[2]
        # The least length of a spell goes with the longest one.
        if figure.verified or isinstance(figure, Switch) or field in _NOT_HEARD or "_min_" in field:
            continue
        value = float(figure.value)
        low, high = (1 - SPAN) * value, (1 + SPAN) * value
        if field == "loss_pct":
            high = min(high, 100.0)
        if low < high:
            yield name, low, high
