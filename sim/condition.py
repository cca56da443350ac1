"""Conditions on the figures of a run (`--fail-on 'unwarned > 0'`), for who builds on its status."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.config import ConfigError
from sim.day.totals import DAY_FIGURES
from sim.drive.roll_up import FIGURES
from sim.result.run import RunResult

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_FORM: Final = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """One figure held against a number."""

    text: str
    figure: str
    of_day: bool
    compare: str
    limit: float

    def value(self, result: RunResult) -> float | None:
        """Return the figure of `result`; None where it has none."""
        if self.of_day:
            return None if result.day is None else result.day.totals[self.figure]
        return result.totals[self.figure]

    def met(self, result: RunResult) -> bool:
        """Return whether it holds; what is not known is never taken for good."""
        value = self.value(result)
        return value is None or _COMPARE[self.compare](value, self.limit)

    def said(self, result: RunResult) -> str:
        """Return a line for people."""
        value = self.value(result)
        known = "is not known" if value is None else f"is {value:g}"
        return f"--fail-on {self.text!r}: {self.figure} {known}"


def read(text: str, *, day: bool) -> Condition:
    """Return the condition in `text`, `FIGURE > NUMBER`.

    Parameters
    ----------
    text : str
        As people write it.
    day : bool
        Whether the run has a day: only then there are figures of it.

    Raises
    ------
    ConfigError
        If it is no condition, or there is no such figure.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"--fail-on {text!r}: must be a figure, one of {' '.join(_COMPARE)}, and a number, "
            "like 'unwarned > 0'"
        )
    figure, compare, limit = match[1], match[2], float(match[3])
    of_day = figure in DAY_FIGURES
    if of_day and not day:
        raise ConfigError(f"--fail-on {text!r}: {figure} is a figure of the day; add --day")
    if not of_day and figure not in FIGURES:
        known = ", ".join(sorted({*FIGURES, *DAY_FIGURES}))
        raise ConfigError(f"--fail-on {text!r}: no figure {figure!r}; there are {known}")
    return Condition(text.strip(), figure, of_day, compare, limit)
