"""The answer of a sweep: odds with intervals, variant against variant, who is never reached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.sweep.figures import CURVE_S, ENOUGH, Figures
from sim.sweep.interval import LEVEL, Estimate, difference, mean, share
from sim.sweep.sweep import DAY, WARNING, Sweep
from sim.village.outages import HOURS

_NOTHING: Final = Estimate(0.0, 0.0, 0.0)

Pick = Callable[[Figures], NDArray[np.float64]]


def _enough(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # What was not measured stays so.
    return np.where(np.isnan(values), np.nan, (values >= ENOUGH - 1e-9).astype(np.float64))


FIGURES: Final[dict[str, Pick]] = {
    "odds_heard": lambda f: _enough(f.heard),
    "odds_warned": lambda f: _enough(f.warned).mean(axis=2),
    "clusters_heard": lambda f: f.heard,
    "clusters_warned": lambda f: f.warned.mean(axis=2),
    "odds_households_heard": lambda f: _enough(f.heard_households),
    "odds_households_warned": lambda f: _enough(f.warned_households).mean(axis=2),
}
"""Figure from 0 to 1, (throws, variants); those with `odds` ask how often it is enough."""

MEANS: Final[dict[str, Pick]] = {
    "dropout_pct": lambda f: f.dropout_pct,
    "delay_p99_ms": lambda f: f.delay_p99_ms,
    "sim_kbit_s": lambda f: f.sim_kbit_s,
}
"""Other figures of a throw, of which the mean is told; a throw without sound has no delay."""


MOST: Final = {"dropout_pct": 100.0}
"""Of those that are from 0 to some value: that value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantOdds:
    """What one variant promises. What was not measured is not in the dicts."""

    label: str
    figures: dict[str, Estimate]
    against_first: dict[str, Estimate]
    """This variant minus the first, over the same throws; empty for the first."""

    against_best: dict[str, Estimate]
    """This variant minus the one with the most of a share or odds; not for that one."""

    by_hour: list[Estimate]
    """Odds that enough clusters are warned, by the hour of the order."""

    by_time: list[tuple[int, Estimate]]
    """(seconds after the order, odds that enough clusters have it by then)."""

    never_warned: list[str]
    """Clusters that had no order in time, in no throw."""

    never_heard: list[str]
    """Clusters that in no throw heard at least 99 % of the programme."""

    worst: list[tuple[str, float]]
    """(cluster, share of its orders in time) of those that are missed most, up to five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """What a sweep answers."""

    scenario: str
    title: str
    throws: int
    """Of each variant."""

    villages: int
    clusters: int
    with_households: int
    """Clusters of which it is known how many households they have: the odds of households are about
    these alone."""

    recorded: int
    """Clusters whose programme goes over a trace: it begins alike in each throw."""

    within_s: int
    is_day: bool
    """Warned is what the nodes' own controllers made of a day, not when an order was there."""

    level: float
    stopped: str
    """Why it ended."""

    variants: list[VariantOdds]


def odds_of(sweep: Sweep, figures: Figures, *, stopped: str) -> Odds:
    """Return the answer that the throws so far give."""
    nodes = [cluster.name for *_, cluster in sweep.scenario.clusters()]
    homes = {} if sweep.sample is None else sweep.sample.households
    recorded = sum(one.bearer.startswith("trace:") for *_, one in sweep.scenario.clusters())
    return Odds(
        scenario=sweep.scenario.name,
        title=sweep.scenario.title,
        throws=figures.villages.size,
        villages=sweep.villages if sweep.sample is not None else 0,
        clusters=len(nodes),
        with_households=sum(homes.get(name, 0) > 0 for name in nodes),
        recorded=0 if sweep.measures == (WARNING,) else recorded,
        within_s=sweep.within_s,
        is_day=DAY in sweep.measures,
        level=LEVEL,
        stopped=stopped,
        variants=[_variant(sweep, figures, i, nodes) for i in range(len(sweep.variants))],
    )


def estimate(figures: Figures, name: str, variant: int) -> Estimate | None:
    """Return one figure of one variant; None where it was not measured."""
    if name in MEANS:
        values = MEANS[name](figures)[:, variant]
        known = ~np.isnan(values)  # where nobody heard anything there is no delay
        if not known.any():
            return None
        return mean(values[known], figures.villages[known], most=MOST.get(name))
    values = FIGURES[name](figures)[:, variant]
    return None if np.isnan(values).any() else share(values, figures.villages)


def _same_orders(sweep: Sweep, name: str, one: int, other: int) -> bool:
    """Return whether a figure is of orders alone, and both variants send them the same way."""
    orders = name.endswith("_warned") and DAY not in sweep.measures
    return orders and sweep.variants[one].network == sweep.variants[other].network


def _variant(sweep: Sweep, figures: Figures, i: int, nodes: list[str]) -> VariantOdds:
    found = {name: estimate(figures, name, i) for name in (*FIGURES, *MEANS)}
    known = {name: one for name, one in found.items() if one is not None}
    villages = figures.villages
    apart = {}
    for name in known if i else ():
        values = (FIGURES | MEANS)[name](figures)
        both = ~np.isnan(values[:, [0, i]]).any(axis=1)
        if both.any():
            ours, theirs, where = values[both, i], values[both, 0], villages[both]
            most = MOST.get(name, 1.0)
            is_share = name in FIGURES or name in MOST
            one = difference(ours / most, theirs / most, where, is_share=is_share)
            apart[name] = Estimate(*(most * each for each in (one.value, one.low, one.high)))
            if _same_orders(sweep, name, i, 0) and np.array_equal(ours, theirs):
                apart[name] = _NOTHING
    behind = {}
    for name in FIGURES:
        values = FIGURES[name](figures)
        if not np.isnan(values).any() and (best := int(values.mean(axis=0).argmax())) != i:
            behind[name] = (
                _NOTHING
                if _same_orders(sweep, name, i, best)
                and np.array_equal(values[:, i], values[:, best])
                else difference(values[:, i], values[:, best], villages)
            )
    hours = _enough(figures.warned[:, i])
    measured = hours.shape[1] == HOURS and not np.isnan(hours).any()
    times = [
        (t, share(figures.curve[:, i, k], villages))
        for k, t in enumerate(CURVE_S)
        if not np.isnan(figures.curve[:, i, k]).any()
    ]
    warned = figures.node_warned[:, i].mean(axis=0)
    heard = figures.node_heard[:, i].mean(axis=0)
    order = sorted((float(one), name) for one, name in zip(warned, nodes, strict=True) if one < 1)
    return VariantOdds(
        label=sweep.variants[i].label,
        figures=known,
        against_first=apart,
        against_best=behind,
        by_hour=[share(hours[:, h], villages) for h in range(hours.shape[1])] if measured else [],
        by_time=times,
        never_warned=[name for one, name in zip(warned, nodes, strict=True) if one == 0],
        never_heard=[name for one, name in zip(heard, nodes, strict=True) if one == 0],
        worst=[(name, one) for one, name in order[:5]],
    )
