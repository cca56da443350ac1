"""What the card had to play without the node: the core is told, for it is no sound of an item."""

from typing import TYPE_CHECKING

from node.events import LoopVerdict
from node.shell.card.sinks import Sink
from node.units import samples_to_ns

if TYPE_CHECKING:  # their imports take what a node without orders does not need, and lead back here
    from node.governed import GovernedSpeaker
    from node.shell.loop.core_sound import CoreLock


class Gaps:
    """Tell at each look for how much the card found no sound in time.

    Parameters
    ----------
    sink : Sink
        One that counts its `missed_samples` is looked at.
    governed : GovernedSpeaker or None
        Who writes down what sounded.
    lock : CoreLock
        Of the core.
    """

    def __init__(self, sink: Sink, governed: "GovernedSpeaker | None", lock: "CoreLock") -> None:
        self._sink = sink
        self._governed = governed
        self._lock = lock
        self._missed = 0

    def follow(self, now_ns: int) -> None:
        """Tell of what was missed since the last look, at `now_ns` of the node's clock."""
        missed: int = getattr(self._sink, "missed_samples", 0)
        since_ns = now_ns - samples_to_ns(missed - self._missed)
        self._missed = missed
        if since_ns < now_ns and self._governed is not None:
            with self._lock:
                self._governed.receive_verdict(LoopVerdict("not taken", since_ns, now_ns), now_ns)
