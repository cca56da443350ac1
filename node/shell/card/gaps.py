"""What the card had to play without the node: the core is told, for it is no sound of an item."""

from typing import TYPE_CHECKING, Final

from node.events import LoopVerdict
from node.shell.card.sinks import Sink
from node.units import NS_PER_S

if TYPE_CHECKING:  # their imports take what a node without orders does not need, and lead back here
    from node.governed import GovernedSpeaker
    from node.shell.loop.core_sound import CoreLock

_SPAN_NS: Final = NS_PER_S
"""Gaps are told in so long together."""


class Gaps:
    """Tell how much of each second the card found no sound in time.

    Parameters
    ----------
    sink : Sink
        One that counts its `underruns`, in periods, is looked at.
    governed : GovernedSpeaker or None
        Who writes down what sounded.
    lock : CoreLock
        Of the core.
    """

    def __init__(self, sink: Sink, governed: "GovernedSpeaker | None", lock: "CoreLock") -> None:
        self._sink = sink
        self._governed = governed
        self._lock = lock
        self._since_ns = -1
        self._underruns = self._periods = 0

    def follow(self, periods: int, now_ns: int) -> None:
        """Tell of the time since it was told last, if that is long enough.

        Parameters
        ----------
        periods : int
            That the card has asked for so far.
        now_ns : int
            By the node's clock.
        """
        is_first = self._since_ns < 0
        if self._governed is None or (not is_first and now_ns - self._since_ns < _SPAN_NS):
            return
        underruns: int = getattr(self._sink, "underruns", 0)
        missed, asked = underruns - self._underruns, periods - self._periods
        span_ns = 0 if is_first else now_ns - self._since_ns
        self._since_ns, self._underruns, self._periods = now_ns, underruns, periods
        gap_ns = span_ns * min(missed, asked) // max(asked, 1)
        if gap_ns > 0:
            with self._lock:
                self._governed.receive_verdict(
                    LoopVerdict("not taken", now_ns - gap_ns, now_ns), now_ns
                )
