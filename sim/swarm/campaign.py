"""Many seeds: what broke, what was reached, whether a history lived twice is one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from typing import Final

from sim.swarm.draw import script_of
from sim.swarm.history import History, live
from sim.swarm.reached import SITUATIONS, reached
from sim.swarm.rules import Broken, broken
from sim.swarm.script import Script
from sim.swarm.shrink import shrunk

TWICE_EVERY: Final = 25
"""One seed of so many is lived through twice."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A history that broke a rule, and the smallest that was found to break it too."""

    seed: int
    first: Broken
    script: Script


@dataclass(slots=True)
class Campaign:
    """What was found so far."""

    lived: int = 0
    pole_s: float = 0.0
    """Seconds of poles that were lived through."""

    failures: list[Failure] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    """Of histories that were not the same twice, the first event that differs, with both lines."""

    reached: Counter[str] = field(default_factory=Counter)
    """Situation to the number of histories that were in it."""

    @property
    def missed(self) -> list[str]:
        """Return the situations that none was in."""
        return [name for name in SITUATIONS if not self.reached[name]]

    def run(self, seeds: Iterable[int]) -> Iterator[int]:
        """Live through the histories of `seeds`; yield each seed when it is done."""
        for seed in seeds:
            script = script_of(seed)
            history = live(script)
            self.lived += 1
            self.pole_s += script.end_s * len(script.poles)
            self.reached.update(reached(history))
            found = broken(history)
            if found:
                smallest = shrunk(script, partial(_breaks, found[0].rule))
                self.failures.append(
                    Failure(seed, found[0], replace(smallest, breaks=found[0].rule))
                )
            if seed % TWICE_EVERY == 0:
                other = first_difference(history, live(script))
                self.differing += [] if other is None else [f"seed {seed}: {other}"]
            yield seed


def first_difference(one: History, other: History) -> str | None:
    """Return the first event in which two histories differ, with both lines; None for equal."""
    for number, (left, right) in enumerate(zip_longest(one.journal, other.journal)):
        if left != right:
            return f"event {number} differs:\n  {left}\n  {right}"
    return None


def _breaks(rule: str, script: Script) -> bool:
    return any(one.rule == rule for one in broken(live(script)))
