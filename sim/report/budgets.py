"""What a planner asks of a village, each with its limit, and which clusters break it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.report.svg import number
from sim.result.run import NodeRow, RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One demand on every cluster of a run."""

    name: str
    """Short, for test reports."""

    sentence: str
    """For people."""

    value: Callable[[NodeRow], float | None]
    limit: float
    """Largest value that is still good."""

    unit: str
    reason: str
    """Where the limit comes from."""

    needs_others: bool = False
    """Whether it is about clusters that are compared: one that is alone keeps it."""


MOUTH_TO_EAR_P99_MAX_MS: Final = 1000.0
DROPOUT_MAX_PCT: Final = 1.0

BUDGETS: Final = (
    Budget(
        name="heard",
        sentence="Every cluster plays the programme",
        value=lambda row: float(is_silent(row)),
        limit=0.0,
        unit="clusters",
        reason="a warning that is not heard warns nobody",
    ),
    Budget(
        name="dropout",
        sentence="No more than 1 % of the programme drops out at any cluster",
        value=lambda row: row.dropout_pct,
        limit=DROPOUT_MAX_PCT,
        unit="%",
        reason="the same limit as in the verdict; our own target, no rule asks for it",
    ),
    Budget(
        name="mouth_to_ear_p99",
        sentence="99 % of the sound is out within one second",
        value=lambda row: row.mouth_to_ear_p99_ms,
        limit=MOUTH_TO_EAR_P99_MAX_MS,
        unit="ms",
        reason="our own target for one-way announcements; ITU-T G.114 (400 ms) is for calls",
    ),
    Budget(
        name="skew_p95",
        sentence="Clusters play together within 10 ms",
        value=lambda row: row.skew_p95_ms,
        limit=10.0,
        unit="ms",
        reason="two clusters 17 m apart differ by 50 ms anyway: more care would not be heard",
        needs_others=True,
    ),
    Budget(
        name="deadline_misses",
        sentence="No gateway is too slow for its sound card",
        value=lambda row: None if is_silent(row) else float(row.deadline_misses),
        limit=0.0,
        unit="periods",
        reason="each is a click from a healthy network",
    ),
    Budget(
        name="hard_resyncs",
        sentence="No gateway has to jump in the programme",
        value=lambda row: None if is_silent(row) else float(row.hard_resyncs),
        limit=0.0,
        unit="jumps",
        reason="the clock is steered; a jump means that steering failed",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One budget held against one run."""

    budget: Budget
    worst: float | None
    """Largest value of any cluster that has one."""

    worst_node: str | None
    broken_by: tuple[str, ...]
    """Nodes beyond the limit, worst first."""

    silent: int = 0
    """Nodes that played nothing: they have no figure."""

    without: int = 0
    """Nodes that played, and have no figure: there was nobody to compare them with."""

    @property
    def holds(self) -> bool:
        """Whether no cluster is beyond the limit; what has no figure anywhere does not hold."""
        return self.worst is not None and not self.broken_by

    @property
    def unknown(self) -> str:
        """Say why there is no figure of anybody; empty where there is one."""
        if self.worst is not None:
            return ""
        return "nobody to compare with" if self.without else "nobody heard anything"

    @property
    def left_out(self) -> str:
        """Say who has no figure; empty when everybody has one."""
        told = {"played nothing": self.silent, "had nobody to compare with": self.without}
        return ", ".join(f"{count} {words}" for words, count in told.items() if count)


def is_silent(row: NodeRow) -> bool:
    """Return whether a node played nothing of the programme."""
    return row.mouth_to_ear_p50_ms is None


def amount(value: float | None, unit: str) -> str:
    """Return a figure with as many decimals as its unit deserves."""
    small = value is not None and abs(value) < 10
    decimals = {"%": 2, "ms": 1 if small else 0}.get(unit, 0)
    return number(value, decimals)


def judge(result: RunResult) -> list[Outcome]:
    """Hold every budget against every cluster of `result`."""
    alone = len(result.nodes) == 1
    return [_outcome(one, result.nodes) for one in BUDGETS if not (alone and one.needs_others)]


def _outcome(budget: Budget, rows: list[NodeRow]) -> Outcome:
    found = [(value, row.node) for row in rows if (value := budget.value(row)) is not None]
    silent = sum(is_silent(row) and budget.value(row) is None for row in rows)
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    return Outcome(
        budget=budget,
        worst=found[0][0] if found else None,
        worst_node=found[0][1] if found else None,
        broken_by=tuple(node for value, node in found if value > budget.limit),
        silent=silent,
        without=len(rows) - len(found) - silent,
    )
