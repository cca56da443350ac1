"""Every hardware profile on every link type, as one village: what `latency` and `dropout` run."""

from typing import Final

import hw_profiles
from node.config import ConfigError, JitterConfig
from sim.drive import run as drive
from sim.result.run import NodeRow
from sim.village.scenario import Cluster, Commune, Hamlet, Scenario

BEARERS: Final = ("perfect", "ftth", "lte_good", "wifi24_outdoor", "lte_weak")
PLAYOUTS: Final = {
    "300 ms": JitterConfig(playout_delay_ms=300),
    "800 ms": JitterConfig(playout_delay_ms=800),
    "adaptive": JitterConfig(mode="adaptive"),
}
"""Synchronised as the scenarios that ship: on a plain of fibre and good 4G, and in mixed villages,
where the delay must be above the longest Wi-Fi stall; and each node by itself, as early as it
can."""

FAST_S: Final = 60.0
FAST_SEEDS: Final = (1,)
FULL_S: Final = 300.0
FULL_SEEDS: Final = (1, 2, 3)

DECIMALS: Final = 3
"""Figures are written to the microsecond."""

_KEPT: Final[dict[tuple[bool, str, int], list[NodeRow]]] = {}
"""By length, playout and seed: latency and dropout look at the same rows."""


def rows(*, fast: bool, row: str | None = None) -> dict[str, list[NodeRow]]:
    """Return, per row name "playout, profile, bearer", one `NodeRow` for each seed.

    Parameters
    ----------
    fast : bool
        One seed and one minute instead of three seeds and five minutes each. The figures differ,
        so each length has its own budgets.
    row : str, optional
        Only this row. Its playout's whole village runs: clusters of one commune share a cell.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    if row is None:
        return {name: one for playout in PLAYOUTS for name, one in _of(playout, fast=fast).items()}
    playout = next((name for name in PLAYOUTS if row.startswith(f"{name} ")), None)
    found = {} if playout is None else _of(playout, fast=fast)
    found = {name: several for name, several in found.items() if name == row}
    if not found:
        raise ConfigError(f"--row {row!r}: must be 'PLAYOUT PROFILE LINK', as the table names it")
    return found


def seeds(*, fast: bool) -> tuple[int, ...]:
    """Return the seeds of a length."""
    return FAST_SEEDS if fast else FULL_SEEDS


def village_rows(playout: str, seed: int, *, fast: bool) -> list[NodeRow]:
    """Run one playout's village with one seed and return its rows."""
    duration_s = FAST_S if fast else FULL_S
    return drive.run(village(playout), seed=seed, duration_s=duration_s, decode=False).nodes


def keep(playout: str, seed: int, found: list[NodeRow], *, fast: bool) -> None:
    """Keep rows that another process ran, so that this one need not."""
    _KEPT[fast, playout, seed] = found


def _of(playout: str, *, fast: bool) -> dict[str, list[NodeRow]]:
    found: dict[str, list[NodeRow]] = {}
    for seed in seeds(fast=fast):
        if (fast, playout, seed) not in _KEPT:
            keep(playout, seed, village_rows(playout, seed, fast=fast), fast=fast)
        for row in _KEPT[fast, playout, seed]:
            found.setdefault(f"{playout} {row.profile} {row.bearer}", []).append(row)
    return found


def worst(
    measures: tuple[str, ...], *, fast: bool, row: str | None = None
) -> dict[str, dict[str, float | None]]:
    """Return, per row, the largest value of each measure over the seeds; None: nothing played."""
    found: dict[str, dict[str, float | None]] = {}
    for name, seeds in rows(fast=fast, row=row).items():
        values = {one: [getattr(each, one) for each in seeds] for one in measures}
        found[name] = {
            one: None if None in several else round(max(several), DECIMALS)
            for one, several in values.items()
        }
    return found


def village(playout: str) -> Scenario:
    """Return the village: a commune per link type, so that each has a cell and backhaul alone."""
    communes = tuple(
        Commune(
            name=bearer,
            x_m=10_000.0 * i,
            y_m=0.0,
            backhaul="perfect",
            hamlets=(Hamlet(name=bearer, x_m=0.0, y_m=0.0, clusters=_clusters(bearer)),),
        )
        for i, bearer in enumerate(BEARERS)
    )
    return Scenario(
        name=f"matrix_{playout}",
        path=__file__,
        title=f"Every profile on every link, {playout}",
        question="How late and how broken is the sound of each gateway on each link?",
        communes=communes,
        jitter=PLAYOUTS[playout],
    )


def _clusters(bearer: str) -> tuple[Cluster, ...]:
    return tuple(
        Cluster(
            name=f"{profile}-{bearer}".replace("_", "-"),
            profile=profile,
            bearer=bearer,
            x_m=500.0 * i,
            y_m=0.0,
        )
        for i, profile in enumerate(hw_profiles.names())
    )
