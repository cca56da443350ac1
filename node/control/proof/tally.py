"""What loop and card say of one item, looked at each second; and what a record says of it."""

from dataclasses import dataclass
from typing import Final

from node.events import LoopVerdict
from node.units import NS_PER_S

UNHEARD_MIN: Final = 3
"""So many looks that found nothing, and none that did, and it was not played."""


@dataclass(slots=True)
class Tally:
    """Looks of the loop at one item, and what the card found no sound for."""

    heard: int = 0
    unheard: int = 0
    untold: int = 0
    """Looks that could not tell."""
    margin_db: float = 0.0
    """The least of those that heard it."""
    why: str = ""
    """Why the last one could not tell."""
    untaken_ns: int = 0
    """For so long the card played silence, for the node was late."""

    def note(self, verdict: LoopVerdict) -> None:
        """Add one look."""
        if verdict.word == "heard":
            least_db = self.margin_db if self.heard else verdict.margin_db
            self.margin_db = min(least_db, verdict.margin_db)
            self.heard += 1
        elif verdict.word == "not heard":
            self.unheard += 1
        elif verdict.word == "not taken":
            self.untaken_ns += verdict.end_ns - verdict.begin_ns
        else:
            self.untold, self.why = self.untold + 1, verdict.why

    @property
    def is_silent(self) -> bool:
        """Whether nothing of it came out of the horn, as far as anybody can know."""
        return not self.heard and self.unheard >= UNHEARD_MIN

    def is_late(self, sounded_ns: int) -> bool:
        """Whether half of what is said to have sounded, or more, the card never had."""
        return self.untaken_ns >= NS_PER_S and 2 * self.untaken_ns >= sounded_ns

    @property
    def untaken_s(self) -> int:
        """For how many seconds the card played silence, rounded."""
        return (self.untaken_ns + NS_PER_S // 2) // NS_PER_S

    def told(self, loop: str, taken_by: str) -> str:
        """Return by what the sound is known: the `loop`, or only who took it."""
        if self.untaken_s:
            taken_by += f"; for {self.untaken_s} s it found no sound in time"
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
