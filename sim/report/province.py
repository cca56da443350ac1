"""A run of more clusters than a page can show: communes on the map, the worst clusters by name.

All of them are in `results.parquet`, and every figure of the page is of all of them.
"""

import statistics
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sim.result.run import GroupRow, NodeRow, RunResult

WHOLE_MAX: Final = 400
"""Clusters that a page shows one by one."""

WORST: Final = 200
"""Of more than that, so many: the worst ones."""

GROUPS_MAX: Final = 100
"""Communes or hamlets in a table: the worst ones."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What of a run is drawn and listed."""

    listed: RunResult
    """With the clusters that are shown one by one, in the order of the run."""

    on_map: list[NodeRow]
    """Clusters, or a row for each commune."""

    left_out: int
    """Clusters that are not listed."""


def shown(result: RunResult) -> Shown:
    """Return what of a run a page can show."""
    if len(result.nodes) <= WHOLE_MAX:
        return Shown(result, result.nodes, 0)
    order = sorted(range(len(result.nodes)), key=lambda i: (-result.nodes[i].dropout_pct, i))
    chosen = sorted(order[:WORST])
    listed = replace(
        result,
        nodes=[result.nodes[i] for i in chosen],
        raster=np.ascontiguousarray(result.raster[chosen]),
    )
    return Shown(listed, _communes(result), len(result.nodes) - WORST)


def worst_groups(groups: list[GroupRow]) -> tuple[list[GroupRow], int]:
    """Return the groups that a table shows, in their order, and how many it leaves out."""
    if len(groups) <= GROUPS_MAX:
        return groups, 0
    order = sorted(range(len(groups)), key=lambda i: (-groups[i].dropout_pct, i))
    return [groups[i] for i in sorted(order[:GROUPS_MAX])], len(groups) - GROUPS_MAX


def _communes(result: RunResult) -> list[NodeRow]:
    """Return a row for each commune, in the middle of its clusters."""
    members: dict[str, list[NodeRow]] = {}
    for row in result.nodes:
        members.setdefault(row.commune, []).append(row)
    figures = {one.name: one for one in result.groups if one.kind == "commune"}
    return [_commune(name, rows, figures[name]) for name, rows in members.items()]


def _commune(name: str, rows: list[NodeRow], figures: GroupRow) -> NodeRow:
    return replace(
        rows[0],
        node=f"commune/{name}",
        hamlet=name,
        cluster=f"{len(rows)} clusters, {figures.nodes_silent} silent",
        profile="all gateways",
        bearer="all links",
        x_m=statistics.fmean(row.x_m for row in rows),
        y_m=statistics.fmean(row.y_m for row in rows),
        dropout_pct=figures.dropout_pct,
        longest_gap_ms=figures.longest_gap_ms,
        mouth_to_ear_p50_ms=figures.mouth_to_ear_p50_ms,
    )
