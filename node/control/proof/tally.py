"""What the loop heard of one item, looked at each second; and what a record says of it."""

from dataclasses import dataclass
from typing import Final

from node.events import LoopVerdict

UNHEARD_MIN: Final = 3
"""So many looks that found nothing, and none that did, and it was not played."""


@dataclass(slots=True)
class Tally:
    """Looks of the loop at one item."""

    heard: int = 0
    unheard: int = 0
    untold: int = 0
    """Looks that could not tell."""
    margin_db: float = 0.0
    """The least of those that heard it."""
    why: str = ""
    """Why the last one could not tell."""

    def note(self, verdict: LoopVerdict) -> None:
        """Add one look."""
        if verdict.word == "heard":
            least_db = self.margin_db if self.heard else verdict.margin_db
            self.margin_db = min(least_db, verdict.margin_db)
            self.heard += 1
        elif verdict.word == "not heard":
            self.unheard += 1
        else:
            self.untold, self.why = self.untold + 1, verdict.why

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it came out of the horn, as far as anybody can know."""
        return not self.heard and self.unheard >= UNHEARD_MIN

    def told(self, loop: str, taken_by: str) -> str:
        """Return by what the sound is known: the `loop`, or only who took it."""
        looks = self.heard + self.unheard + self.untold
        if self.heard:
            return (
                f"{loop}, heard at {self.heard} of {looks} looks, "
                f"margin {self.margin_db:.0f} dB at least"
            )
        if self.unheard:
            return f"{taken_by}; the {loop} heard nothing of it at {self.unheard} of {looks} looks"
        if self.untold:
            return f"{taken_by}; the {loop} could not tell: {self.why}"
        return taken_by
