"""What one run of the gate found: figures, broken budgets, digits that differ from the base."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.table import Rows

INEXACT: Final = frozenset({"speed"})
"""Measurements of the machine itself: they have noise, so their digits are compared with none."""

FINGERPRINTS: Final = frozenset({"sound_crc32", "orders_crc32", "rows_crc32"})
"""Figures that are neither more nor less, only equal or not; they have no budget."""

DIRECTIONS: Final = ("worse", "other", "new", "better")
"""Of a change, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A budget that does not hold, or a figure or a budget that is missing."""

    measurement: str
    row: str
    measure: str
    """Empty where the whole row is missing on one side."""

    value: float | None
    limit: float | None
    text: str

    @property
    def amount(self) -> float:
        """Size of the breach, by which the worst comes first; endless where a figure is missing."""
        return _relative(self.limit, self.value)

    def __str__(self) -> str:
        """Return the measurement and what is wrong with its row, in one line."""
        return f"{self.measurement} {self.text}"


@dataclass(frozen=True, slots=True)
class Change:
    """A figure whose digits are not those of the base."""

    measurement: str
    row: str
    measure: str
    before: float | None
    """None where the base had no figure: nothing played, or the row is new."""

    after: float | None

    is_recorded: bool = False
    """Whether the tree records the figure as it is now: its change is meant, and fails nothing."""

    @property
    def where(self) -> tuple[str, str, str]:
        """Measurement, row and measure."""
        return self.measurement, self.row, self.measure

    @property
    def is_other(self) -> bool:
        """Whether it is neither more nor less."""
        return self.measure in FINGERPRINTS and self.after is not None

    @property
    def is_worse(self) -> bool:
        """Whether it rose, or is gone: every figure of the gate is better when it is less."""
        if self.is_other or self.after is None:
            return self.after is None
        return self.before is not None and self.after > self.before

    @property
    def rank(self) -> int:
        """Place of its `direction` among `DIRECTIONS`: the worst come first."""
        return DIRECTIONS.index(self.direction)

    @property
    def direction(self) -> str:
        """Which way the figure went, in a word."""
        if self.is_worse:
            return "worse"
        if self.is_other:
            return "other"
        return "new" if self.before is None else "better"

    @property
    def amount(self) -> float:
        """Size of the change, by which the worst comes first; endless where a figure is gone."""
        return 0.0 if self.is_other else _relative(self.before, self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of the gate."""

    length: str
    """`fast` or `full`."""

    measured: Mapping[str, Rows]
    """Figures by measurement."""

    budgets: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Largest value that is good, by measurement, row and measure."""

    breaches: tuple[Breach, ...]
    changes: tuple[Change, ...]
    base: str
    """What the figures were compared with, in words."""

    @property
    def held(self) -> int:
        """Number of budgets there are."""
        return sum(len(row) for rows in self.budgets.values() for row in rows.values())

    @property
    def unrecorded(self) -> tuple[Change, ...]:
        """The changes that the tree does not record: nobody has said that they are meant."""
        return tuple(one for one in self.changes if not one.is_recorded)

    @property
    def differing(self) -> str:
        """How many figures differ from the base, and how many of them are recorded, in words."""
        return f"{self._count}{self._recorded}"

    @property
    def differing_from_base(self) -> str:
        """The same, with the name of the base."""
        return f"{self._count} from {self.base}{self._recorded}"

    @property
    def is_good(self) -> bool:
        """Whether all budgets hold and every digit is one that is recorded."""
        return not self.breaches and not self.unrecorded

    @property
    def _count(self) -> str:
        count = len(self.changes)
        return "1 figure differs" if count == 1 else f"{count} figures differ"

    @property
    def _recorded(self) -> str:
        count = len(self.changes) - len(self.unrecorded)
        if count == 0:
            return ""
        return f", {'all' if not self.unrecorded else count} recorded in this tree"


def changes_since(
    measured: Mapping[str, Rows], base: Mapping[str, Rows], recorded: Mapping[str, Rows]
) -> tuple[Change, ...]:
    """Return each figure that is not the base's, or not as the tree records it.

    Figures that are as recorded come last. Of measurements that the base or the tree does not know
    nothing is told beside it.

    Parameters
    ----------
    measured, base, recorded : mapping of str to rows
        By measurement.
    """
    since = compare_exactly(*_known(measured, base))
    here = compare_exactly(*_known(measured, recorded))
    told, unrecorded = {one.where for one in since}, {one.where for one in here}
    found = [one for one in here if one.where not in told]
    for one in since:
        is_meant = one.measurement in recorded and one.where not in unrecorded
        found.append(replace(one, is_recorded=is_meant))
    return tuple(sorted(found, key=_place))


def _known(
    measured: Mapping[str, Rows], other: Mapping[str, Rows]
) -> tuple[Mapping[str, Rows], Mapping[str, Rows]]:
    """Return both with the measurements that both have."""
    both = [name for name in measured if name in other]
    return {name: measured[name] for name in both}, {name: other[name] for name in both}


def compare_exactly(measured: Mapping[str, Rows], base: Mapping[str, Rows]) -> tuple[Change, ...]:
    """Return each figure that differs, the worst first; figures with noise are left out."""
    found = []
    for measurement in dict.fromkeys([*base, *measured]):
        if measurement in INEXACT:
            continue
        now, then = measured.get(measurement, {}), base.get(measurement, {})
        for row in dict.fromkeys([*then, *now]):
            new, old = now.get(row, {}), then.get(row, {})
            for measure in dict.fromkeys([*old, *new]):
                before, after = old.get(measure), new.get(measure)
                if before != after or (measure in old) != (measure in new):
                    found.append(Change(measurement, row, measure, before, after))
    return tuple(sorted(found, key=_place))


def _place(one: Change) -> tuple[bool, int, float]:
    """Return by what changes are sorted."""
    return one.is_recorded, one.rank, -one.amount


def _relative(before: float | None, after: float | None) -> float:
    if before is None or after is None:
        return float("inf")
    return abs(after - before) / max(abs(before), 1.0)
