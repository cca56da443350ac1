"""The machine of one pole in virtual time: its crystal, its civil clock, and chance."""

from collections.abc import Callable
from typing import Final

import numpy as np

from node.shell.machine import running_on
from node.units import NS_PER_S
from sim.gateway.crystal import Oscillator
from sim.world.live.clock import LiveClock
from sim.world.loop import VirtualLoop

_UNIT: Final = 1 << 53
_FAR_NS: Final = 3600 * NS_PER_S


class VirtualMachine:
    """What a daemon takes from the machine it runs on (`node.shell.machine.Machine`).

    Parameters
    ----------
    loop : VirtualLoop
        Whose time is the true one.
    crystal : Oscillator or LiveClock
        Makes CLOCK_MONOTONIC of it.
    utc_at_zero_ns : int
        Civil time at true time 0.
    bits : PCG64
        Where chance comes from.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        crystal: Oscillator | LiveClock,
        *,
        utc_at_zero_ns: int,
        bits: np.random.PCG64,
    ) -> None:
        self._loop = loop
        self._crystal = crystal
        self._utc_at_zero_ns = utc_at_zero_ns
        self._bits = bits
        self.synchronised = True
        """Whether the civil clock was set since the last boot."""
        self.step_ns = 0
        """How wrong the civil clock is by a fault, which a boot and the network do not mend."""
        self._behind_ns = 0
        """... and since a boot without a clock on the board."""
        self._went_off_ns = 0
        self._changed: Callable[[], None] = lambda: None

    def now_ns(self) -> int:
        """Return the monotonic clock."""
        return self._crystal.local_ns(self._loop.now_ns)

    def true_ns(self, local_ns: int) -> int:
        """Return the first true time at which the monotonic clock shows `local_ns`.

        Of what is farther away than an hour nobody knows yet how the crystal will run: who waits
        for that is woken a little early, and waits again.
        """
        now_ns = self._loop.now_ns
        left_ns = local_ns - self._crystal.local_ns(now_ns)
        if left_ns > _FAR_NS:
            return now_ns + left_ns - left_ns // 1000
        true_ns = self._crystal.true_ns(local_ns)
        while self._crystal.local_ns(true_ns) < local_ns:
            true_ns += 1  # who is woken finds that it is time: else it would wait again for ever
        return true_ns

    def utc_ns(self) -> int:
        """Return the civil clock."""
        return self._utc_at_zero_ns + self._loop.now_ns + self.step_ns - self._behind_ns

    def tell_changes(self, call: Callable[[], None]) -> None:
        """Call whenever the civil clock was stepped or set, as timerfd does (CANCEL_ON_SET)."""
        self._changed = call

    def step(self, by_ns: int) -> None:
        """Set the civil clock wrong by so much; 0 is as it was."""
        self.step_ns = by_ns
        self._tell()

    def _tell(self) -> None:
        with running_on(self):  # a fault of the world does it
            self._changed()

    def boot(self, *, knows_time: bool) -> None:
        """Begin with the time of the clock on the board, or with that of the last end."""
        self.synchronised = knows_time
        self._behind_ns = 0 if knows_time else self._loop.now_ns - self._went_off_ns

    def end(self) -> None:
        """Note that the machine goes off: what it last knew of the time is on its disk."""
        self._went_off_ns = self._loop.now_ns
        self._changed = lambda: None

    def synchronise(self) -> None:
        """Set the civil clock by the network's."""
        self.synchronised, self._behind_ns = True, 0
        self._tell()

    def clock_synchronised(self) -> bool:
        """Return whether the civil clock was set since the last boot."""
        return self.synchronised

    def uniform(self, low: float, high: float) -> float:
        """Return a number between `low` and `high`, a whole number of microseconds of seconds."""
        raw = int(self._bits.random_raw()) >> 11
        span_us = round((high - low) * 1_000_000)
        return low + (raw * span_us // _UNIT) / 1_000_000

    def nonce(self) -> bytes:
        """Return nothing: here no station answers, so no node is to ask for the time."""
        return b""
