"""One item while it plays: its parts in turn, its repetitions, and the time that it sounded."""

from dataclasses import dataclass, field
from typing import Final, Literal

from node.control.calendar.programme import Due, ItemConfig
from node.control.events import StartPart
from node.units import NS_PER_S

GRACE_S: Final = 5
"""Later than this is late. A deadline is met within milliseconds; a busy second boot is not."""


def late_max_s(item: ItemConfig) -> int:
    """Return how late `item` may begin."""
    return max(GRACE_S, item.late_max_s if item.missed == "late" else 0)


@dataclass(slots=True)
class Run:
    """State of a running item; times of parts are monotonic."""

    item: ItemConfig
    due: Due
    source: int
    started_s: int
    ends_ns: int
    """End of the part or pause that is running."""
    step: int = -1
    pausing: bool = True
    """Before the first part, and between repetitions."""
    held_ns: int = -1
    """Since when another source has the horn; -1: it sounds."""
    part_ns: int = 0
    sounded_ns: int = 0
    languages: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    failed_step: int = -2
    issuer: str = ""
    """Sender of the warning that it is; empty for an item of a calendar."""
    writer: str = ""
    """Whose memory the item of a calendar is in; empty for a warning."""

    @property
    def entry(self) -> tuple[str, str, int, int]:
        """How it is remembered while it runs."""
        return (self.due.day, self.due.name, self.due.due_s, self.started_s)

    @property
    def over(self) -> bool:
        """Whether the last part has ended."""
        return self.step >= len(self.item.parts) * self.item.repeat

    @property
    def has_sounded(self) -> bool:
        """Whether a second of it was heard before it lost the horn."""
        heard_ns = self.held_ns - self.part_ns if self.held_ns >= 0 else 0
        return self.sounded_ns + heard_ns >= NS_PER_S

    @property
    def outcome(self) -> tuple[Literal["played", "missed"], str]:
        """What became of it at its end: it played, unless no part of it could."""
        if self.failed and self.sounded_ns == 0:
            return "missed", "no part could be played"
        return "played", ""

    def next_step(self, at_ns: int, languages: tuple[str, ...]) -> StartPart | None:
        """Go on at `at_ns`: to the next part, to a pause (None), or to the end (None, `over`)."""
        parts = self.item.parts
        if not self.pausing:
            self.sounded_ns += at_ns - self.part_ns
            last_of_round = (self.step + 1) % len(parts) == 0
            if last_of_round and self.step + 1 < len(parts) * self.item.repeat:
                self.pausing, self.ends_ns = True, at_ns + self.item.interval_s * NS_PER_S
                return None
        self.pausing = False
        self.step += 1
        if self.over:
            return None
        part = parts[self.step % len(parts)]
        if part.fallback and self.failed_step != self.step - 1:
            self.part_ns = self.ends_ns = at_ns
            return None
        self.part_ns, self.ends_ns = at_ns, at_ns + part.duration_s * NS_PER_S
        language, media = part.choose(languages)
        if language not in ("", "any", *self.languages):
            self.languages.append(language)
        return StartPart(
            source=self.source,
            name=self.item.name,
            day=self.due.day,
            step=self.step,
            kind=part.kind,
            media=media or part.stream,
            language=language,
            message_class=self.item.message_class_value,
            level=self.item.level,
            duration_s=part.duration_s,
            at_ns=at_ns,
            issuer=self.issuer,
            writer=self.writer,
        )

    def end_part(self, now_ns: int, failed: str) -> None:
        """Note that the file of this part is over, or why it could not be played.

        It never asks for the horn again, be it over in the moment in which another source took
        the horn: the next part is to ask.
        """
        if not self.pausing:
            self.go_on(now_ns)
            self.ends_ns = now_ns
            if failed:
                self.failed.append(failed)
                self.failed_step = self.step

    def hold(self, now_ns: int) -> None:
        """Let its time stand still: another source has the horn. A pause needs none."""
        if self.held_ns < 0 and not self.pausing:
            self.held_ns = now_ns

    def go_on(self, now_ns: int) -> None:
        """Let its time run again."""
        if self.held_ns >= 0:
            self.ends_ns += now_ns - self.held_ns
            self.part_ns += now_ns - self.held_ns
            self.held_ns = -1

    def rewind(self, rewound_ns: int) -> None:
        """Let the part last longer: so much of it is heard again, from its sentence on."""
        self.ends_ns += rewound_ns

    def delay(self, delay_ns: int) -> None:
        """Let the part sound so much later than it began here, and for as long."""
        self.ends_ns += delay_ns
        self.part_ns += delay_ns

    def close(self, now_ns: int) -> None:
        """Count what sounded of a part that is cut off at `now_ns`."""
        if not self.pausing and not self.over:
            until_ns = self.held_ns if self.held_ns >= 0 else now_ns
            self.sounded_ns += max(until_ns - self.part_ns, 0)
