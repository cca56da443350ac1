"""What changed per hamlet between two sides, with the interval over seeds where there are several.

Runs are paired by their seed: both saw the same weather, so that their difference is the change's.
"""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scipy.special import stdtrit

from node.config import ConfigError
from sim.compare.answers import Answer, Rows
from sim.result.day import UNWARNED

CONFIDENCE: Final = 0.95

Hamlet = tuple[str, str]
"""Commune and hamlet."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a hamlet's clusters."""

    name: str
    """The unit is its last word."""

    field: str
    how: Callable[[Sequence[float]], float]


FIGURES: Final = (
    Figure("dropout_pct", "dropout_pct", statistics.fmean),
    Figure("dropout_worst_pct", "dropout_pct", max),
    Figure("longest_gap_ms", "longest_gap_ms", max),
    Figure("concealed_ms", "concealed_ms", sum),
    Figure("silent_ms", "silent_ms", sum),
    Figure("mouth_to_ear_p50_ms", "mouth_to_ear_p50_ms", statistics.fmean),
    Figure("mouth_to_ear_p99_ms", "mouth_to_ear_p99_ms", max),
    Figure("skew_p95_ms", "skew_p95_ms", max),
    Figure("first_sound_ms", "first_sound_ms", max),
    Figure("packets_lost", "packets_lost", sum),
    Figure("packets_late", "packets_late", sum),
    Figure("deadline_misses", "deadline_misses", sum),
    Figure("stream_bytes", "stream_bytes", sum),
    Figure("repair_bytes", "repair_bytes", sum),
)
"""Of the programme; those of a day's warnings come before them."""

UNWARNED_CLUSTERS: Final = "unwarned_clusters"
LAST_WARNED: Final = "last_warned_s"
SILENT_CLUSTERS: Final = "silent_clusters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of one hamlet that is not the same on both sides."""

    figure: str
    a: float | None
    """Mean over the seeds; None where a run has no such figure, for instance nothing played."""

    b: float | None
    difference: float | None
    low: float | None
    """Interval of the mean difference, 95 %; None with fewer than two pairs."""

    high: float | None

    @property
    def is_sure(self) -> bool | None:
        """Whether the interval leaves out zero; None where there is none."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two sides, A before B."""

    pairs: tuple[tuple[Answer, Answer], ...]
    unpaired_seeds: tuple[int, ...]
    changes: dict[Hamlet, list[Change]]
    """Hamlets without a change have none."""

    only_a: tuple[Hamlet, ...]
    only_b: tuple[Hamlet, ...]
    other_sound: tuple[str, ...]
    """Clusters whose samples are not the same; where a side has none nothing is known."""

    @property
    def sound_not_known(self) -> int:
        """Number of pairs of which one side decoded nothing: their traces cannot be equal."""
        return sum(bool(_sounds(a)) != bool(_sounds(b)) for a, b in self.pairs)

    @property
    def equal_traces(self) -> int:
        """Number of pairs that did the same to the bit."""
        return sum(a.trace_hash == b.trace_hash for a, b in self.pairs)

    @property
    def differs(self) -> bool:
        """Whether anything at all is not the same."""
        changed = any(self.changes.values()) or self.only_a or self.only_b
        return bool(changed) or self.equal_traces < len(self.pairs)


def compare(a: list[Answer], b: list[Answer]) -> Comparison:
    """Return what changed from `a` to `b`.

    Raises
    ------
    ConfigError
        When they have no seed in common and are more than one run each.
    """
    pairs, unpaired = _paired(a, b)
    hamlets_a, hamlets_b = _hamlets(a), _hamlets(b)
    changes = {one: list(_changes(pairs, one)) for one in hamlets_a if one in hamlets_b}
    return Comparison(
        pairs=tuple(pairs),
        unpaired_seeds=tuple(unpaired),
        changes=changes,
        only_a=tuple(one for one in hamlets_a if one not in hamlets_b),
        only_b=tuple(one for one in hamlets_b if one not in hamlets_a),
        other_sound=tuple(dict.fromkeys(node for a, b in pairs for node in _other_sound(a, b))),
    )


def _paired(a: list[Answer], b: list[Answer]) -> tuple[list[tuple[Answer, Answer]], list[int]]:
    by_seed = {one.seed: one for one in b}
    pairs = [(one, by_seed[one.seed]) for one in a if one.seed in by_seed]
    if not pairs and len(a) == len(b) == 1:
        return [(a[0], b[0])], []
    if not pairs:
        seeds = [", ".join(str(one.seed) for one in side) for side in (a, b)]
        raise ConfigError(f"no seed in common: A has {seeds[0]}, B has {seeds[1]}")
    known = {one.seed for one, _ in pairs}
    return pairs, sorted({one.seed for one in (*a, *b)} - known)


def _hamlets(answers: list[Answer]) -> dict[Hamlet, None]:
    return dict.fromkeys(_hamlet(row) for one in answers for row in one.nodes)


def _hamlet(row: dict[str, Any]) -> Hamlet:
    return row["commune"], row["hamlet"]


def _sounds(answer: Answer) -> dict[str, str]:
    """Return the hash of what each cluster played; a run that only counted has none."""
    return {row["node"]: row["audio_sha256"] for row in answer.nodes if row.get("audio_sha256")}


def _other_sound(a: Answer, b: Answer) -> list[str]:
    known_a, known_b = _sounds(a), _sounds(b)
    return [node for node in known_a if node in known_b and known_a[node] != known_b[node]]


def _changes(pairs: list[tuple[Answer, Answer]], hamlet: Hamlet) -> Iterable[Change]:
    sides = [(_figures(a, hamlet), _figures(b, hamlet)) for a, b in pairs]
    for name in dict.fromkeys(name for both in sides for side in both for name in side):
        values = [(a.get(name), b.get(name)) for a, b in sides]
        if any(one != other for one, other in values):
            yield _change(name, values)


def _change(name: str, values: list[tuple[float | None, float | None]]) -> Change:
    known = [(a, b) for a, b in values if a is not None and b is not None]
    differences = [b - a for a, b in known]
    mean = statistics.fmean(differences) if differences else None
    low = high = None
    if mean is not None and len(known) > 1:
        error = statistics.stdev(differences) / len(known) ** 0.5
        reach = float(stdtrit(len(known) - 1, (1 + CONFIDENCE) / 2)) * error
        low, high = mean - reach, mean + reach
    return Change(
        figure=name,
        a=_mean(a for a, _ in values),
        b=_mean(b for _, b in values),
        difference=mean,
        low=low,
        high=high,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of what there is, None where there is nothing."""
    known = [one for one in values if one is not None]
    return statistics.fmean(known) if known else None


def _figures(answer: Answer, hamlet: Hamlet) -> dict[str, float | None]:
    rows = [row for row in answer.nodes if _hamlet(row) == hamlet]
    names = {row["node"] for row in rows}
    found = _warned([one for one in answer.orders if one["node"] in names])
    found[SILENT_CLUSTERS] = float(sum(row["mouth_to_ear_p50_ms"] is None for row in rows))
    for figure in FIGURES:
        values = [row[figure.field] for row in rows if row.get(figure.field) is not None]
        found[figure.name] = float(figure.how(values)) if values else None
    return found


def _warned(orders: Rows) -> dict[str, float | None]:
    warnings = [one for one in orders if one["kind"] == "alert" and one["fate"] != "not for here"]
    if not warnings:
        return {}
    unwarned = {one["node"] for one in warnings if one["fate"] in UNWARNED}
    first_s = [one["first_sound_s"] for one in warnings if one["first_sound_s"] is not None]
    return {UNWARNED_CLUSTERS: float(len(unwarned)), LAST_WARNED: max(first_s, default=None)}
