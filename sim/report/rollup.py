"""Roll the rows of a run up by commune, hamlet, profile and link type."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from sim.report.budgets import is_silent
from sim.result import NodeRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some clusters that have something in common."""

    name: str
    nodes: int
    nodes_silent: int
    dropout_pct: float
    """Dropped out of all that the group should have played."""

    dropout_worst_pct: float
    events_per_hour: float
    """Mean over its clusters."""

    longest_gap_ms: float
    mouth_to_ear_p50_ms: float | None
    """Median of its clusters' medians; None where nothing played."""

    mouth_to_ear_p99_ms: float | None
    """Its worst cluster's."""

    skew_p95_ms: float | None
    """Its worst cluster's."""

    deadline_misses: int


def roll_up(rows: list[NodeRow], key: Callable[[NodeRow], str]) -> list[Group]:
    """Group `rows` by `key`, in the order in which the keys first come."""
    members: dict[str, list[NodeRow]] = {}
    for row in rows:
        members.setdefault(key(row), []).append(row)
    return [_group(name, group) for name, group in members.items()]


def active_ms(row: NodeRow) -> float:
    """Return how much the node had to play: all origins but pauses."""
    return row.received_ms + repaired_ms(row) + row.concealed_ms + row.faded_ms + row.silent_ms


def repaired_ms(row: NodeRow) -> float:
    """Return how much of the output came from a second copy or from in-band FEC."""
    return row.redundant_ms + row.retransmitted_ms + row.in_band_fec_ms


def _group(name: str, rows: list[NodeRow]) -> Group:
    active = sum(active_ms(row) for row in rows)
    p50 = [row.mouth_to_ear_p50_ms for row in rows if row.mouth_to_ear_p50_ms is not None]
    p99 = [row.mouth_to_ear_p99_ms for row in rows if row.mouth_to_ear_p99_ms is not None]
    skew = [row.skew_p95_ms for row in rows if row.skew_p95_ms is not None]
    return Group(
        name=name,
        nodes=len(rows),
        nodes_silent=sum(is_silent(row) for row in rows),
        dropout_pct=100.0 * sum(row.dropout_ms for row in rows) / active if active else 0.0,
        dropout_worst_pct=max(row.dropout_pct for row in rows),
        events_per_hour=statistics.fmean(row.dropout_events_per_hour for row in rows),
        longest_gap_ms=max(row.longest_gap_ms for row in rows),
        mouth_to_ear_p50_ms=statistics.median(p50) if p50 else None,
        mouth_to_ear_p99_ms=max(p99, default=None),
        skew_p95_ms=max(skew, default=None),
        deadline_misses=sum(row.deadline_misses for row in rows),
    )
