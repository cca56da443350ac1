"""How often the loop looks: ten times a second while there is something to see, else twice.

Where every part tells by itself that it has changed, ticks at which nobody wants to be looked at
are left out; the others stay where they were.

What comes wakes the loop by itself, and so does the core's next deadline. What does not wake it is
the audio thread, which may do nothing but play.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.shell.clocks import now_ns
from node.units import NS_PER_MS, NS_PER_S

TICK_NS: Final = 100 * NS_PER_MS
IDLE_TICK_NS: Final = 500 * NS_PER_MS
AWAKE_NS: Final = 2 * NS_PER_S
"""So long after the last sound, packet or order, what happened may have a sequel."""


class Pace:
    """When the loop looks next."""

    def __init__(self, begin_ns: int) -> None:
        self._awake_ns = begin_ns
        self._next_ns = begin_ns
        """The tick that was last, or is to come."""

    def wake(self, at_ns: int) -> None:
        """Note that something came."""
        self._awake_ns = at_ns

    def note_sound(self, out: NDArray[np.float32]) -> None:
        """Wake if `out` sounds. On the audio thread, so it costs nothing.

        out  (n, channels) float32, full scale 1.0

        Two samples are enough: sound that is zero in both, in each period of two seconds, is none.
        """
        if out[0, 0] != 0.0 or out[-1, 0] != 0.0:
            self._awake_ns = now_ns()

    def next_ns(self, now: int, *, may_rest: bool) -> int:
        """Return when to look again."""
        rests = may_rest and now - self._awake_ns >= AWAKE_NS
        self._next_ns = max(self._next_ns + (IDLE_TICK_NS if rests else TICK_NS), now)
        return self._next_ns

    def tick_ns(self, wish_ns: int, *, may_rest: bool) -> int:
        """Return the first tick after the last one that is not before `wish_ns`."""
        at_ns, rests_ns = self._next_ns, self._awake_ns + AWAKE_NS
        if not may_rest or at_ns < rests_ns:
            at_ns = _after(at_ns, min(wish_ns, rests_ns) if may_rest else wish_ns, TICK_NS)
            if at_ns >= wish_ns:
                return at_ns
        return _after(at_ns, wish_ns, IDLE_TICK_NS)

    def note_tick(self, at_ns: int) -> None:
        """Note that the loop looks at the tick of `at_ns`."""
        self._next_ns = at_ns


def _after(at_ns: int, wish_ns: int, step_ns: int) -> int:
    """Return the first of the steps after `at_ns` that is not before `wish_ns`."""
    return at_ns + max(1, -(-(wish_ns - at_ns) // step_ns)) * step_ns
