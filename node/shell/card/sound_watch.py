"""Whether the sink asks for sound, as the loop sees it: what feeds the watchdog, and what ends all.

| the sink | the node |
|---|---|
| asks | plays, and feeds the watchdog |
| has no card | goes on without sound, says so, and feeds the watchdog |
| asked, and asks no more | ends: the card hangs, and a fresh start is the remedy |
| has never asked, or its library hangs at the start | says so, and ends after a minute |
"""

from typing import Final

from node.shell.card.gaps import Gaps
from node.shell.card.sinks import Sink
from node.shell.faults import ShellError
from node.units import NS_PER_MS, NS_PER_S

_STALL_NS: Final = 5 * NS_PER_S // 2
"""No sound asked for in so long: the card hangs."""

_TICK_MAX_NS: Final = 600 * NS_PER_MS
"""A tick that comes later counts as so much: the whole machine had stood still, not the card."""

PATIENCE_NS: Final = 60 * NS_PER_S
"""A card that hangs from the start on: the node tells of it so long before it starts anew."""

STALLED: Final = "the sink asked for no sound in 2.5 s: is the card's server gone?"


class SoundWatch:
    """Look at a sink at each tick of the loop."""

    def __init__(self, sink: Sink, begin_ns: int, gaps: Gaps | None = None) -> None:
        self._sink = sink
        self._gaps = gaps
        self._begin_ns = self._looked_ns = begin_ns
        self._still_ns = 0
        self._seen_periods = 0
        self.periods = 0
        """Asked for so far; counted on the audio thread."""
        self.missing: str | None = None
        """Why nothing can sound now; None: it can."""

    def look(self, now_ns: int) -> bool:
        """Return whether all is well with the sink, or as well as the node can make it.

        Raises
        ------
        ShellError
            If only a fresh start helps.
        """
        tick_ns = min(now_ns - self._looked_ns, _TICK_MAX_NS)
        self._looked_ns = now_ns
        if self._gaps is not None:
            self._gaps.follow(now_ns)
        is_patient = self.periods == 0 and now_ns - self._begin_ns < PATIENCE_NS
        self.missing = self._sink.missing()
        fault = self._sink.fault()
        if fault is not None and not (is_patient and fault.hangs):
            raise fault
        if self.missing is not None or self.periods != self._seen_periods:
            self._seen_periods = self.periods
            self._still_ns = 0
            return True
        self._still_ns += tick_ns
        if self._still_ns <= _STALL_NS:
            return False
        if not is_patient:
            raise ShellError(STALLED)
        self.missing = STALLED
        return True
