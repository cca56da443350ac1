"""The speaker of a pole with a live programme."""

from node.events import Event
from node.stack import SpeakerNode


class LiveSpeaker(SpeakerNode):
    """A speaker whose stream is run for it: its governor sees no deadline of the stream's."""

    runs = True
    """Whether it does its own: before the programme, after it, and while its stream is run."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]  # those of the speaker
        self.kept: list[Event] = []
        """What it told while its stream was run."""

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due, or leave it to who runs the stream."""
        if self.runs:
            super().handle_deadline(now_ns)

    def next_deadlines_ns(self) -> tuple[int | None, int | None]:
        """Return when something is due, or None; see there."""
        return super().next_deadlines_ns() if self.runs else (None, None)

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken, or None."""
        if self.kept and not self.runs:
            return self.kept.pop(0)
        return super().next_event()
