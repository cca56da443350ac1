"""When a node must do something next, of itself."""

from collections.abc import Iterable
from typing import Protocol

from node.peers.credit import NEVER_NS
from node.source.receiver import Receiver


class Due(Protocol):
    """A part that has deadlines."""

    def next_deadline_ns(self) -> int | None:
        """Return when it must run next, or None."""


def first_deadlines_ns(
    streams: Iterable[Receiver], parts: Iterable[Due]
) -> tuple[int | None, int | None]:
    """Return the first of all deadlines, and the first but those of what is missing."""
    due, missing = NEVER_NS, NEVER_NS
    for receiver in streams:
        due = min(due, receiver.next_deadline_ns())
        missing = min(missing, receiver.next_request_ns())
    for part in parts:
        if (part_ns := part.next_deadline_ns()) is not None and part_ns < due:
            due = part_ns
    first = min(due, missing)
    return None if first == NEVER_NS else first, None if due == NEVER_NS else due
