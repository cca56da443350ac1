"""What one throw says in a few numbers per variant, from the rows of its clusters."""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sim.drive.roll_up import GOOD_PCT
from sim.sweep.sweep import DAY, PROGRAMME, WARNING, Sweep
from sim.village.outages import HOURS

ENOUGH: Final = 0.95
"""Share of the clusters, or of the households, that the odds are about."""

CURVE_S: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Times after an order at which the odds are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Per throw and variant; all arrays begin with (throws, variants). NaN: not measured."""

    villages: NDArray[np.int64]
    """(throws,)"""

    heard: NDArray[np.float64]
    """Share of the clusters that heard at least 99 % of the programme."""

    heard_households: NDArray[np.float64]
    warned: NDArray[np.float64]
    """(..., orders) share of the clusters that an order reached in time: one on each hour, or the
    last one of a day."""

    warned_households: NDArray[np.float64]
    curve: NDArray[np.float64]
    """(..., times) share of the day's orders that enough clusters had within each of `CURVE_S`."""

    dropout_pct: NDArray[np.float64]
    """Mean of the clusters."""

    delay_p99_ms: NDArray[np.float64]
    """Worst of the clusters."""

    sim_kbit_s: NDArray[np.float64]
    """Most of a cluster: stream and what repaired it, with headers."""

    node_heard: NDArray[np.float64]
    """(..., clusters) 1 where it heard at least 99 %."""

    node_warned: NDArray[np.float64]
    """(..., clusters) share of the day's orders that it had in time."""


def joined(parts: list[Figures]) -> Figures:
    """Return the figures of several throws one after the other."""
    return Figures(
        *(np.concatenate([getattr(one, f.name) for one in parts]) for f in fields(Figures))
    )


def figures_of(sweep: Sweep, table: pa.Table) -> Figures:
    """Return the figures of one throw from its rows."""
    variants = len(sweep.variants)
    shape = (variants, table.num_rows // variants)

    def column(name: str) -> NDArray[np.float64]:
        values = np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)
        return values.reshape(shape)

    nothing = np.full(shape, np.nan)
    households = column("households") if sweep.sample and sweep.sample.households else nothing
    homes = np.nan_to_num(households)
    good = dropout = delay = rate = nothing
    if PROGRAMME in sweep.measures:
        dropout, delay = column("dropout_pct"), column("mouth_to_ear_p99_ms")
        good = (dropout <= GOOD_PCT).astype(np.float64)
        seconds = np.array([_seconds(sweep, i) for i in range(variants)])[:, np.newaxis]
        rate = (column("stream_bytes") + column("repair_bytes")) * 8e-3 / seconds
    came_s = _came(sweep, table).reshape(*shape, -1)
    in_time = _within(came_s, sweep.within_s)
    curve = [
        (_mean_known(_within(came_s, t)) >= ENOUGH - 1e-9).mean(axis=1)
        if t <= sweep.ttl_s and sweep.measures != (PROGRAMME,)
        else np.full(variants, np.nan)
        for t in CURVE_S
    ]
    return Figures(
        villages=np.array([table["village"][0].as_py()], np.int64),
        heard=good.mean(axis=1)[np.newaxis],
        heard_households=_weighted(good, homes)[np.newaxis],
        warned=_mean_known(in_time)[np.newaxis],
        warned_households=np.stack(
            [_weighted(in_time[:, :, h], homes) for h in range(in_time.shape[2])], axis=1
        )[np.newaxis],
        curve=np.stack(curve, axis=1)[np.newaxis],
        dropout_pct=dropout.mean(axis=1)[np.newaxis],
        delay_p99_ms=_largest(delay)[np.newaxis],
        sim_kbit_s=_largest(rate)[np.newaxis],
        node_heard=good[np.newaxis],
        node_warned=in_time.mean(axis=2)[np.newaxis],
    )


def _within(came_s: NDArray[np.float64], limit_s: float) -> NDArray[np.float64]:
    return np.where(np.isnan(came_s), np.nan, (came_s <= limit_s).astype(np.float64))


def _came(sweep: Sweep, table: pa.Table) -> NDArray[np.float64]:
    """Return after how many seconds each order came: inf never, NaN where none was for it."""
    if WARNING in sweep.measures:
        flat = table["warned_s"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.where(np.isnan(flat), np.inf, flat)
    if DAY not in sweep.measures:
        return np.full(table.num_rows * HOURS, np.nan)
    met = table["warned_s"].to_pylist()
    return np.array([(np.inf if one[0] is None else one[0]) if one else np.nan for one in met])


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the clusters for which there was an order; NaN where there was none."""
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    sums = np.where(known, values, 0.0).sum(axis=1)
    return np.where(count > 0, sums / np.maximum(count, 1), np.nan)


def _weighted(values: NDArray[np.float64], homes: NDArray[np.float64]) -> NDArray[np.float64]:
    homes = np.where(np.isnan(values), 0.0, homes)
    values = np.nan_to_num(values)
    whole = homes.sum(axis=1)
    sums = (values * homes).sum(axis=1)
    return np.where(whole > 0, sums / np.where(whole > 0, whole, 1), np.nan)


def _largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.where(np.isnan(values), -np.inf, values).max(axis=1)
    return np.where(np.isinf(known), np.nan, known)


def _seconds(sweep: Sweep, variant: int) -> float:
    said = dict(sweep.variants[variant].values).get("duration_s", sweep.scenario.duration_s)
    return float(said)
