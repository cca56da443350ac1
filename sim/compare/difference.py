"""What changed per hamlet between two sides, with the interval over seeds where there are several.

Runs are paired by their seed: both saw the same weather, so that their difference is the change's.
"""

import statistics
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scipy.special import stdtrit

from node.config import ConfigError
from sim.compare.answers import Answer, Rows
from sim.result.day import DAY_TABLES, STRANGERS, UNWARNED

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
"""Of the programme; those of a day come before them, its warnings first."""

CLUSTERS: Final = "clusters"
UNWARNED_CLUSTERS: Final = "unwarned_clusters"
LATE_CLUSTERS: Final = "warned_late_clusters"
LAST_WARNED: Final = "last_warned_s"
SILENT_CLUSTERS: Final = "silent_clusters"

OUTCOMES: Final = {
    "played": "items_played", "refused": "items_refused", "missed": "items_missed",
    "not known": "items_not_known",
}  # fmt: skip
CUT_OFF: Final = "items_cut_off"
"""What became of the calendar at the poles, by its outcome; all others were cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of one hamlet that is not the same on both sides."""

    figure: str
    a: float | None
    """Mean over the seeds where both sides have it; None where none has, for instance nothing
    played."""

    b: float | None
    difference: float | None
    low: float | None
    """Interval of the mean difference, 95 %; None with fewer than two pairs."""

    high: float | None
    seeds: int
    """Where both sides have it: the others are in none of these figures."""

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
    clusters_only_a: tuple[str, ...]
    """Clusters of hamlets that both sides have, which one of them has there alone."""

    clusters_only_b: tuple[str, ...]
    other_sound: tuple[str, ...]
    """Clusters whose samples are not the same; where a side has none nothing is known."""

    other_days: tuple[str, ...]
    """Tables of the day that are not the same: all of them where one side has no day."""

    @property
    def sound_not_known(self) -> int:
        """Number of pairs of which one side decoded nothing: their traces cannot be equal."""
        return sum(bool(_sounds(a)) != bool(_sounds(b)) for a, b in self.pairs)

    @property
    def equal_traces(self) -> int:
        """Number of pairs that did the same to the bit, in their days too."""
        return sum(a.trace_hash == b.trace_hash and not _other_day(a, b) for a, b in self.pairs)

    @property
    def differs(self) -> bool:
        """Whether anything at all is not the same."""
        apart = (self.only_a, self.only_b, self.clusters_only_a, self.clusters_only_b)
        changed = any(self.changes.values()) or any(apart)
        return changed or self.equal_traces < len(self.pairs)


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
    clusters_a, clusters_b = _clusters(a, changes), _clusters(b, changes)
    return Comparison(
        pairs=tuple(pairs),
        unpaired_seeds=tuple(unpaired),
        changes=changes,
        only_a=tuple(one for one in hamlets_a if one not in hamlets_b),
        only_b=tuple(one for one in hamlets_b if one not in hamlets_a),
        clusters_only_a=tuple(node for one, node in clusters_a if (one, node) not in clusters_b),
        clusters_only_b=tuple(node for one, node in clusters_b if (one, node) not in clusters_a),
        other_days=tuple(dict.fromkeys(name for a, b in pairs for name in _other_day(a, b))),
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


def _clusters(answers: list[Answer], hamlets: Container[Hamlet]) -> dict[tuple[Hamlet, str], None]:
    rows = (row for one in answers for row in one.nodes)
    return {(_hamlet(row), row["node"]): None for row in rows if _hamlet(row) in hamlets}


def _hamlet(row: dict[str, Any]) -> Hamlet:
    return row["commune"], row["hamlet"]


def _sounds(answer: Answer) -> dict[str, str]:
    """Return the hash of what each cluster played; a run that only counted has none."""
    return {row["node"]: row["audio_sha256"] for row in answer.nodes if row.get("audio_sha256")}


def _other_sound(a: Answer, b: Answer) -> list[str]:
    known_a, known_b = _sounds(a), _sounds(b)
    return [node for node in known_a if node in known_b and known_a[node] != known_b[node]]


def _other_day(a: Answer, b: Answer) -> list[str]:
    """Return which tables of the day differ, in the fields that both sides write."""
    if bool(a.nodes_of_day) != bool(b.nodes_of_day):
        return [name for name in DAY_TABLES if name in a.day or name in b.day]
    return [name for name in DAY_TABLES if not _alike(a.day.get(name, []), b.day.get(name, []))]


def _alike(some: Rows, others: Rows) -> bool:
    if len(some) != len(others):
        return False
    both = set(some[0]) & set(others[0]) if some else ()
    return all(
        one[name] == other[name] for one, other in zip(some, others, strict=True) for name in both
    )


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
    sides = known or values
    return Change(
        figure=name,
        a=_mean(a for a, _ in sides),
        b=_mean(b for _, b in sides),
        difference=mean,
        low=low,
        high=high,
        seeds=len(known),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of what there is, None where there is nothing."""
    known = [one for one in values if one is not None]
    return statistics.fmean(known) if known else None


def _figures(answer: Answer, hamlet: Hamlet) -> dict[str, float | None]:
    rows = [row for row in answer.nodes if _hamlet(row) == hamlet]
    names = {row["node"] for row in rows}
    found: dict[str, float | None] = {CLUSTERS: float(len(rows))}
    if answer.nodes_of_day:
        found |= _warned([one for one in answer.day["orders"] if one["node"] in names])
        found |= _calendar([one for one in answer.day["items"] if one["node"] in names])
    found[SILENT_CLUSTERS] = float(sum(row["mouth_to_ear_p50_ms"] is None for row in rows))
    for figure in FIGURES:
        values = [row[figure.field] for row in rows if row.get(figure.field) is not None]
        found[figure.name] = float(figure.how(values)) if values else None
    return found


def _warned(orders: Rows) -> dict[str, float | None]:
    """Return the figures of a day's orders: who was not warned, or late, and what went wrong."""
    found: dict[str, float | None] = {}
    warnings = [one for one in orders if one["kind"] == "alert" and one["fate"] != "not for here"]
    if warnings:
        unwarned = {one["node"] for one in warnings if one["fate"] in UNWARNED}
        late = {one["node"] for one in warnings if one["fate"] == "late"} - unwarned
        first_s = [one["first_sound_s"] for one in warnings if one["first_sound_s"] is not None]
        found[UNWARNED_CLUSTERS] = float(len(unwarned))
        found[LATE_CLUSTERS] = float(len(late))
        found[LAST_WARNED] = max(first_s, default=None)
    obeyed = [one for one in orders if one["kind"] in STRANGERS and one["fate"] == "obeyed"]
    found["strangers_obeyed"] = float(len(obeyed))
    found["orders_not_obeyed"] = float(sum(one["fate"] == "not obeyed" for one in orders))
    return found


def _calendar(items: Rows) -> dict[str, float | None]:
    """Return how many items of a day met with each outcome."""
    found: dict[str, float | None] = dict.fromkeys((*OUTCOMES.values(), CUT_OFF), 0.0)
    for one in items:
        name = OUTCOMES.get(one["outcome"], CUT_OFF)
        found[name] = (found[name] or 0.0) + 1
    return found
