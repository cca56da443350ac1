"""Many changed figures in few lines: which measure, which way, where, from what to what."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmarks.verdict.outcome import Change, Outcome

COMMAND: Final = "python3 run.py bench"
"""From the root of the tree, with nothing but Python."""

ROWS_MAX: Final = 20
"""Rows on the terminal; the rest is in the file."""

_NAMED_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Cause:
    """One measure that changed in one direction, in however many rows."""

    measurement: str
    measure: str
    rank: int
    is_recorded: bool
    changes: tuple[Change, ...]
    """The largest first."""

    def __str__(self) -> str:
        """Return one line: measure, direction, rows, where, and the largest change."""
        first = self.changes[0]
        count = len(self.changes)
        rows = "1 row" if count == 1 else f"{count} rows"
        where = "; ".join(_parts(sorted(one.row for one in self.changes)))
        one = ", for one" if first.is_other else ", the largest"
        largest = "" if count == 1 else one
        return (
            f"{'recorded: ' if self.is_recorded else ''}"
            f"{self.measurement} {self.measure} {first.direction} in {rows} ({where})"
            f"{largest}: {figure(first.before)} -> {figure(first.after)} [{first.row}]"
        )


def causes_of(changes: Iterable[Change]) -> list[Cause]:
    """Return the changes by measure and direction: worse, other, new, better; recorded ones last.

    Within each, where a figure is gone comes first, then what changed in the most rows.
    """
    groups: dict[tuple[str, str, int, bool], list[Change]] = {}
    for one in changes:
        key = (one.measurement, one.measure, one.rank, one.is_recorded)
        groups.setdefault(key, []).append(one)
    found = [Cause(*key, tuple(sorted(g, key=lambda c: -c.amount))) for key, g in groups.items()]
    return sorted(found, key=_place)


def summary(outcome: Outcome) -> list[str]:
    """Return what the terminal shows: causes first, then broken budgets, then changed rows."""
    causes = causes_of(outcome.changes)
    lines = [f"gate: {one}" for one in causes[:ROWS_MAX]]
    if len(causes) > ROWS_MAX:
        lines.append(f"gate: and {len(causes) - ROWS_MAX} more measures")
    lines += [f"gate: over budget: {one}" for one in outcome.breaches[:ROWS_MAX]]
    if len(outcome.breaches) > ROWS_MAX:
        lines.append(f"gate: and {len(outcome.breaches) - ROWS_MAX} more broken budgets")
    again = rerun(outcome)
    return lines + ([f"gate: one row again: {again}"] if again else [])


def rerun(outcome: Outcome) -> str | None:
    """Return the command that holds the worst row alone once more, or None where none is bad.

    It is one that works without the environment being active, and for a row that there still is.
    """
    bad = [(one.measurement, one.row) for one in outcome.breaches]
    bad += [(one.measurement, one.row) for one in outcome.unrecorded]
    there = ((name, row) for name, row in bad if row in outcome.measured.get(name, {}))
    _, row = next(there, (None, None))
    if row is None:
        return None
    length = " --fast" if outcome.length == "fast" else ""
    return f"{COMMAND} gate{length} --row '{row}'"


def _place(one: Cause) -> tuple[bool, int, bool, int, str]:
    """Return by what causes are sorted."""
    return (
        one.is_recorded,
        one.rank,
        one.changes[0].after is not None,
        -len(one.changes),
        one.measure,
    )


def figure(value: float | None) -> str:
    """Return a figure with every digit that it has."""
    return "none" if value is None else f"{value:.12g}"


def _parts(rows: list[str]) -> list[str]:
    """Return what the rows have of playouts, profiles and links, few by name and many by number.

    A row of the village matrix is "playout, profile, link" with the playout in one or two words.
    """
    columns: tuple[dict[str, None], ...] = ({}, {}, {})
    for row in rows:
        words = row.split()
        if len(words) < 3:
            return [_names(list(dict.fromkeys(rows)), "rows")]
        for column, word in zip(columns, (" ".join(words[:-2]), *words[-2:]), strict=True):
            column[word] = None
    names = ("playouts", "profiles", "links")
    return [_names(list(one), name) for one, name in zip(columns, names, strict=True)]


def _names(found: list[str], what: str) -> str:
    return f"{len(found)} {what}" if len(found) > _NAMED_MAX else ", ".join(found)
