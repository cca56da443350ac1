"""What went wrong in a run and its day: a row for each fault, so that none is lived unsaid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sim.result.wall_clock import WallClock

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One fault, and how many clusters it met."""

    kind: str
    """With what tells rows of one kind apart, as `link_down up`."""

    where: str
    """In words; empty: everywhere."""

    from_s: float
    until_s: float
    """Seconds into the day, or into the run where there is none; equal where it is a moment."""

    clusters: int
    drawn: bool
    """Whether it came by itself (`[[outages]]`)."""

    def said(self, clock: WallClock | None) -> str:
        """Return it in one line; `clock` is that of the day."""
        times_s = (self.from_s, self.until_s)
        marks = dict.fromkeys(f"{one:g} s" if clock is None else clock.said(one) for one in times_s)
        where = f", {self.where}" if self.where else ""
        drawn = " (drawn)" if self.drawn else ""
        noun = "cluster" if self.clusters == 1 else "clusters"
        return f"{self.kind} {' to '.join(marks)}{where}: {self.clusters} {noun}{drawn}"


def fault_lines(rows: Sequence[FaultRow], clock: WallClock | None) -> list[str]:
    """Return what went wrong, a line each; of very many the first ones."""
    lines = [one.said(clock) for one in rows]
    more = len(lines) - _SHOWN
    return lines if more <= 0 else [*lines[:_SHOWN], f"and {more} more, in --json"]
