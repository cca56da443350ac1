"""Who takes turns with whom: clusters that hear each other are put into different groups.

Sound needs 2.9 ms per metre, so neighbours that play together are an echo of each other however
well their clocks agree. Japanese towns answer with groups in turn (docs/why.md). The plan
is made here from positions; a node is only told by how much it starts later.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.village.day_config import StaggerConfig


@dataclass(frozen=True, slots=True)
class StaggerPlan:
    """The groups of a village, and what they leave."""

    groups: tuple[int, ...]
    """Of each cluster, 0 first."""

    offsets_s: tuple[int, ...]
    """By how much each cluster starts later."""

    pairs: int
    """Pairs of clusters that are near enough to hear each other."""

    pairs_left: int
    """Those of them that still play at the same time, for want of groups."""


def plan_turns(
    x_m: NDArray[np.float64], y_m: NDArray[np.float64], config: StaggerConfig
) -> StaggerPlan:
    """Return the groups of clusters at these places.

    x_m, y_m  (n,) float64, metres in one plane

    Those with the most neighbours choose first; each takes the group in which the clusters that it
    hears are fewest and, among equal ones, farthest: the first group where nobody is near.
    """
    # Whole centimetres: the last bit of a root decides nothing.
    apart_cm = np.rint(100 * np.hypot(x_m[:, np.newaxis] - x_m, y_m[:, np.newaxis] - y_m)).astype(
        np.int64
    )
    near = apart_cm < round(100 * config.overlap_m)
    np.fill_diagonal(near, False)
    groups = np.full(x_m.size, -1, np.int64)
    for one in np.lexsort((np.arange(x_m.size), -near.sum(axis=1))).tolist():
        costs = []
        for group in range(config.groups_max):
            heard = near[one] & (groups == group)
            nearest_cm = int(apart_cm[one][heard].min()) if heard.any() else 0
            costs.append((int(heard.sum()), -nearest_cm, group))
        groups[one] = min(costs)[2]
    together = near & (groups[:, np.newaxis] == groups)
    found = tuple(int(group) for group in groups)
    return StaggerPlan(
        groups=found,
        offsets_s=tuple(group * config.turn_s for group in found),
        pairs=int(near.sum()) // 2,
        pairs_left=int(together.sum()) // 2,
    )
