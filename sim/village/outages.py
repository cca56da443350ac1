"""Cuts that come by themselves: grids and cells, as often and as long as their supplier reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from hw_profiles import Number
from node.config import check
from sim.chance.grid import cuts
from sim.chance.rng import Purpose, stream
from sim.village.faults import Fault

if TYPE_CHECKING:
    from sim.village.scenario import Cluster, Commune, Hamlet, Scenario

HOURS: Final = 24
_YEAR_H: Final = 8766.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """Cuts of one kind (table `[[outages]]`), drawn for the day from the seed."""

    kind: Literal["power_cut", "link_down"]
    shared_by: Literal["commune", "hamlet", "cluster", "cell", "feeder"]
    """Who is cut off together: all on one feeder (of those that name none each hamlet has its own),
    all of a commune in one cell."""

    per_year: Number
    """Interruptions per year of one customer (SAIFI, IEEE 1366)."""

    hours_per_year: Number
    """Without supply, per year and customer (SAIDI, IEEE 1366)."""

    hours: tuple[float, ...] = ()
    """24 weights: when they begin; empty: at any hour alike."""

    def __post_init__(self) -> None:
        often, long_h, hours = self.per_year.value, self.hours_per_year.value, self.hours
        even = not hours or (len(hours) == HOURS and min(hours) >= 0 and 0 < sum(hours) <= 1e6)
        check(
            "outages",
            {
                "per_year.value": (0 < often <= 1e4, often, "above 0, at most 10000"),
                "hours_per_year.value": (0 < long_h <= _YEAR_H / 2, long_h, "above 0, to 4383"),
                "hours": (even, hours, "24 weights of 0 or more, not all 0"),
            },
        )


def drawn(
    scenario: "Scenario", outages: Sequence[Outages], *, live_s: float, first: int = 0
) -> Iterator[Fault]:
    """Yield the cuts of one day, by the scenario's seed: of feeders and cells, for who shares.

    Parameters
    ----------
    scenario : Scenario
        With the seed of the run.
    outages : sequence of Outages
        How often and how long.
    live_s : float
        When the run begins, s into the day: a fault counts from there.
    first : int
        Number of the first of `outages`, by which each is drawn.
    """
    for number, one in enumerate(outages, start=first):
        for commune, group, clusters in _groups(scenario, one):
            node = f"{number}/{one.kind}/{group}"
            bits = stream(scenario.seed, Purpose.GRID, commune=commune, node=node)
            for from_s, until_s in cuts(
                bits, one.per_year.value, one.hours_per_year.value, one.hours
            ):
                for name in clusters:
                    yield Fault(
                        kind=one.kind,
                        from_s=from_s - live_s,
                        until_s=until_s - live_s,
                        cluster=name,
                    )


def feeder_of(commune: "Commune", hamlet: "Hamlet", cluster: "Cluster") -> str:
    """Return the feeder that a cluster hangs on, as it, its hamlet or its commune says; or none."""
    return cluster.feeder or hamlet.feeder or commune.feeder or ""


def cell_of(cluster: "Cluster") -> str:
    """Return the cell of a cluster: the one that it names, or that of its bearer."""
    return cluster.cell or cluster.like or cluster.bearer


def wrong_cells(scenario: "Scenario") -> Iterator[str]:
    """Yield a line for each cluster that names a cell of which another says another bearer: it has
    one rate, and one queue.
    """
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for at, commune, _, cluster in scenario.clusters():
        bearer = cluster.like or cluster.bearer
        named, other = first.setdefault((commune.name, cell_of(cluster)), (cluster.name, bearer))
        if other != bearer:
            yield (
                f"{at}: its cell {cell_of(cluster)!r} is on {bearer}, but that of {named!r} on "
                f"{other}, and a cell has one bearer; a mast that has both is two cells, as "
                f'cell = "hill {other}" and cell = "hill {bearer}"'
            )


def _groups(scenario: "Scenario", one: Outages) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (commune, name, clusters) of those who are cut off together."""
    members: dict[tuple[str, str], list[str]] = {}
    for _, commune, hamlet, cluster in scenario.clusters():
        where = (
            commune.name,
            {
                "commune": "",
                "hamlet": hamlet.name,
                "cluster": cluster.name,
                "cell": cell_of(cluster),
                "feeder": hamlet.name,
            }[one.shared_by],
        )
        feeder = feeder_of(commune, hamlet, cluster)
        if one.shared_by == "feeder" and feeder:
            where = "", f"feeder {feeder}"  # it may feed several communes
        members.setdefault(where, []).append(cluster.name)
    for (commune_name, group), clusters in members.items():
        yield commune_name, group, clusters
