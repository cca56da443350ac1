"""Conditions on the figures of a run (`--fail-on 'unwarned > 0'`), for who builds on its status."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.config import ConfigError
from sim.day.totals import DAY_FIGURES, WARNING_FIGURES
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
_OF_THOSE_WHO_HEARD: Final = {
    "first_sound_max_ms": "nodes_silent",
    "mouth_to_ear_p99_ms": "nodes_silent",
    "mouth_to_ear_max_ms": "nodes_silent",
    "first_warned_max_s": "unwarned",
    "urgent_first_sample_max_ms": "unwarned",
    "first_sample_max_ms": "missed",
}
"""The longest time of those who heard anything, and the count of those for whom it has no end."""

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
        return self._totals(result).get(self.figure)

    def met(self, result: RunResult) -> bool:
        """Return whether it holds; what is not known is never taken for good."""
        value = self.value(result)
        unknown = value is None or self._left_out(result)
        return bool(unknown) or _COMPARE[self.compare](value or 0.0, self.limit)

    def said(self, result: RunResult) -> str:
        """Return a line for people."""
        value = self.value(result)
        known = "is not known" if value is None else f"is {value:g}"
        left_out = "" if value is None else self._left_out(result)
        return f"--fail-on {self.text!r}: {self.figure} {known}{left_out and f', but {left_out}'}"

    def _totals(self, result: RunResult) -> dict[str, float | int | None]:
        if not self.of_day:
            return result.totals
        return {} if result.day is None else result.day.totals

    def _left_out(self, result: RunResult) -> str:
        """Return of whom the figure says nothing; empty where it is about all."""
        totals = self._totals(result)
        counted = _OF_THOSE_WHO_HEARD.get(self.figure)
        if counted is not None and totals.get(counted):
            return f"only of those who heard it: {counted} is {totals[counted]}"
        if (
            self.figure in WARNING_FIGURES
            and self.figure != "to_warn"
            and not totals.get("to_warn")
        ):
            return "no warning was ordered"
        return ""


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
