"""What ails the node now: faults by name, each told once when it comes and once when it goes."""

from dataclasses import dataclass
from typing import Final

FAULTS_MAX: Final = 32
"""Names are ours."""

TEXT_MAX: Final = 200
"""Of what a fault says."""

NO_CARD: Final = "no sound card"
"""The fault of a node that cannot sound."""


@dataclass(frozen=True, slots=True)
class FaultChanged:
    """A fault came (`text` says what it is and what helps), or is over (None)."""

    name: str
    text: str | None
    at_ns: int


class Health:
    """The faults that the node has now."""

    def __init__(self) -> None:
        self._faults: dict[str, str] = {}
        self._changes: list[FaultChanged] = []
        self._line = ""
        """Told last."""
        self.starting = True
        """It is not known yet whether it can sound."""

    def note(self, name: str, text: str | None, now_ns: int) -> None:
        """Note that the fault `name` is there, or is not (None)."""
        known = self._faults.get(name)
        if text is None:
            if known is not None:
                del self._faults[name]
                self._changes.append(FaultChanged(name, None, now_ns))
            return
        text = text[:TEXT_MAX]
        assert known is not None or len(self._faults) < FAULTS_MAX, "names of faults are ours"
        self._faults[name] = text
        if known is None:
            self._changes.append(FaultChanged(name, text, now_ns))

    def take_changes(self) -> list[FaultChanged]:
        """Return what changed since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def take_line(self) -> str | None:
        """Return state and faults, all in one line, if that has changed since the last call."""
        line = " ".join(": ".join(filter(None, (self.word(), "; ".join(self.why())))).split())
        if line == self._line:
            return None
        self._line = line
        return line

    def why(self) -> tuple[str, ...]:
        """Return the faults that are there, as lines; empty when all is well."""
        return tuple(f"{name}: {text}" for name, text in sorted(self._faults.items()))

    def word(self) -> str:
        """Return the state of a node that runs."""
        if self.starting:
            return "starting"
        return "degraded" if self._faults else "ready"
