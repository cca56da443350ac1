"""The course of a sweep: chunks are given out, put in place, added up, until it is enough.

Whether it is enough is asked after each whole turn (a throw in every village), over the throws up
to there and no others: so how many worked at it, and who was first, changes nothing.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node.config import ConfigError
from sim.sweep.figures import Figures, figures_of, joined
from sim.sweep.odds import FIGURES, MEANS, Odds, estimate, odds_of
from sim.sweep.pool import Pool
from sim.sweep.store import Store, schema
from sim.sweep.sweep import Sweep

TURNS_MIN: Final = 5
"""No sweep ends of itself before so many throws in every village."""

_FORM: Final = re.compile(r"\s*([a-z_0-9]+)\s*(?:±|\+-|\+/-)\s*(\d+(?:\.\d+)?)\s*")

Told = Callable[[int, int, "Odds | None"], None]
"""Called with (throws done, throws asked, the answer so far)."""


@dataclass(frozen=True, slots=True)
class Until:
    """The interval that is narrow enough: half of its width, of one figure, in every variant."""

    figure: str
    half: float

    def reached(self, figures: Figures, variants: int) -> bool:
        """Return whether it is."""
        found = [estimate(figures, self.figure, i) for i in range(variants)]
        return all(one is not None and one.half <= self.half for one in found)


def read_until(text: str) -> Until:
    """Return what `FIGURE ± NUMBER` says.

    Raises
    ------
    ConfigError
        If it says something else, or there is no such figure.
    """
    match = _FORM.fullmatch(text)
    known = (*FIGURES, *MEANS)
    if match is None or match[1] not in known:
        raise ConfigError(
            f"--until {text!r}: must be FIGURE ± NUMBER, like 'odds_heard ± 0.05'; "
            f"figures are {', '.join(known)}"
        )
    return Until(match[1], float(match[2]))


class Course:
    """A sweep under way.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
        Where its rows lie; what is there of the same question is not made again.
    until : Until or None
    """

    def __init__(self, sweep: Sweep, folder: Path, until: Until | None) -> None:
        self.sweep = sweep
        self._store = Store(folder, sweep.key())
        self._until = until
        self._parts: list[Figures] = []
        self._turns = 0
        self._stopped = ""

    def run(self, pool: Pool, *, chunk: int, told: Told) -> Odds:
        """Run to the end and return the answer; all rows are then in one file.

        Raises
        ------
        OSError
            When the folder cannot be written to.
        WorkerError, ConfigError
            When a worker fails, or a figure of a sampled village cannot be.
        """
        throws = self.sweep.throws
        missing = self._store.missing(throws, chunk)
        done = throws - sum(end - first for first, end in missing)
        if not self._look() and missing:
            work = pool.run(self.sweep, missing)
            try:
                for (first, end), data in work:
                    self._store.put(first, end, data)
                    done += end - first
                    if self._look():
                        break
                    told(done, throws, self._so_far())
            finally:
                close = getattr(work, "close", None)
                if close is not None:
                    close()
        answer = self._so_far()
        assert answer is not None, "each chunk has a throw"
        self._store.gather(len(self._parts), schema(self.sweep))
        return answer

    def figures(self) -> Figures:
        """Return what each throw said."""
        return joined(self._parts)

    def _look(self) -> bool:
        """Add up what is there without a hole; return whether that is enough."""
        begin = len(self._parts)
        for _, table in self._store.tables(self.sweep.throws, since=begin):
            self._parts.append(figures_of(self.sweep, table))
        while self._until is not None and self._turns * self.sweep.villages < len(self._parts):
            turn = (self._turns + 1) * self.sweep.villages
            if turn > len(self._parts):
                break
            self._turns += 1
            if self._turns >= TURNS_MIN and self._enough(turn):
                del self._parts[turn:]
                self._stopped = f"{self._until.figure} is known to ± {self._until.half:g}"
                return True
        return len(self._parts) == self.sweep.throws

    def _enough(self, throws: int) -> bool:
        assert self._until is not None
        return self._until.reached(joined(self._parts[:throws]), len(self.sweep.variants))

    def _so_far(self) -> Odds | None:
        if not self._parts:
            return None
        whole = len(self._parts) == self.sweep.throws
        stopped = self._stopped or ("all throws are done" if whole else "under way")
        return odds_of(self.sweep, joined(self._parts), stopped=stopped)
