"""A node's clock that is drawn from the begin of a live programme on, and ran before it too."""

from typing import Final

from sim.gateway.crystal import Oscillator

_PPB: Final = 1_000_000_000


class LiveClock:
    """A crystal as the drive draws it, in the time of the world.

    Before the programme it runs as it does in its first minute.

    Parameters
    ----------
    crystal : Oscillator
        In true ns from the begin of the programme on.
    begin_ns : int
        When that is in the world.
    """

    def __init__(self, crystal: Oscillator, begin_ns: int) -> None:
        self._crystal = crystal
        self._begin_ns = begin_ns
        self._at_begin_ns = crystal.local_ns(0)
        self._ppb = round(crystal.skew_ppm(0) * 1000)

    def local_ns(self, true_ns: int) -> int:
        """Return what the clock shows at one true time of the world."""
        since_ns = true_ns - self._begin_ns
        if since_ns >= 0:
            return self._crystal.local_ns(since_ns)
        return self._at_begin_ns + since_ns + since_ns * self._ppb // _PPB

    def true_ns(self, local_ns: int) -> int:
        """Return the true time of the world at which the clock shows `local_ns`, within 1 ns."""
        since_ns = local_ns - self._at_begin_ns
        if since_ns >= 0:
            return self._begin_ns + self._crystal.true_ns(local_ns)
        return self._begin_ns + since_ns - since_ns * self._ppb // (_PPB + self._ppb)
