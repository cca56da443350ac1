"""What is heard at one horn: which tones from when to when, two at once, and how loud."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS
from sim.swarm.tones import PERIOD_SAMPLES, TONES, amplitudes

PERIOD_NS: Final = 10 * NS_PER_MS
_HEARD: Final = 0.003
"""Amplitude, full scale 1.0: below it nobody hears anything."""

_CLEAR: Final = 0.02
"""A tone so far below the loudest is what a ramp makes of that one."""

_BOTH: Final = 0.02
"""Two at once are two sources where the softer one is at least so loud beside the other."""

_GAP_NS: Final = 30 * NS_PER_MS

_SHORT_NS: Final = 150 * NS_PER_MS
"""What tones that begin or end within a period spread to others is over sooner: three in 0.1 s."""

_FAINT_NS: Final = 500 * NS_PER_MS
"""... and what is never the loudest, sooner than this: five hand-overs in 0.2 s."""


@dataclass(slots=True)
class Heard:
    """One tone without a gap."""

    tone: int
    start_ns: int
    end_ns: int
    is_loudest: bool = False
    """At some time in it."""
    level: float = 0.0
    """The largest amplitude in it, full scale 1.0."""

    @property
    def length_ns(self) -> int:
        """Return how long it lasts."""
        return self.end_ns - self.start_ns


class Ear:
    """Listens at one horn; all times are true."""

    def __init__(self) -> None:
        self._heard: list[Heard] = []
        self.both: list[Heard] = []
        """Times at which two tones sounded at once."""
        self.peak = 0.0
        self._open: dict[int, Heard] = {}
        self._both: Heard | None = None

    def note_sound(self, sound: NDArray[np.float32], leaves_ns: int) -> None:
        """Hear whole periods whose first sample leaves the horn at `leaves_ns`.

        sound  (n, 1) float32, full scale 1.0
        """
        if not sound.any():
            return
        self.peak = max(self.peak, float(np.abs(sound).max()))
        levels = amplitudes(sound[: len(sound) // PERIOD_SAMPLES * PERIOD_SAMPLES])
        most = levels.max(axis=1, keepdims=True)
        there = (levels > _HEARD) & (levels > _CLEAR * most)
        two = ((levels > _HEARD) & (levels > _BOTH * most)).sum(axis=1) > 1
        for i in range(len(levels)):
            at_ns = leaves_ns + i * PERIOD_NS
            for tone in np.flatnonzero(there[i]):
                level = float(levels[i, tone])
                self._note(int(tone), at_ns, level, is_loudest=level == most[i, 0])
            if two[i]:
                if self._both is None or at_ns - self._both.end_ns > _GAP_NS:
                    self._both = Heard(-1, at_ns, at_ns)
                    self.both.append(self._both)
                self._both.end_ns = at_ns + PERIOD_NS

    @property
    def heard(self) -> list[Heard]:
        """Return each tone that was heard, without gaps, by its begin."""
        return [
            one
            for one in self._heard
            if one.length_ns > (_SHORT_NS if one.is_loudest else _FAINT_NS)
        ]

    def heard_ns(self, tones: tuple[int, ...], until_ns: int) -> int:
        """Return how long any of `tones` sounded until then."""
        return sum(
            max(0, min(one.end_ns, until_ns) - one.start_ns)
            for one in self.heard
            if one.tone in tones
        )

    def level(self, tones: tuple[int, ...]) -> float:
        """Return the largest amplitude of any of `tones`, 0 where none was heard."""
        return max((one.level for one in self.heard if one.tone in tones), default=0.0)

    def first_ns(self, tones: tuple[int, ...], since_ns: int) -> int | None:
        """Return when one of `tones` was first heard at that time or after it."""
        found = [
            max(one.start_ns, since_ns)
            for one in self.heard
            if one.tone in tones and one.end_ns > since_ns
        ]
        return min(found, default=None)

    def _note(self, tone: int, at_ns: int, level: float, *, is_loudest: bool) -> None:
        assert 0 <= tone < TONES
        last = self._open.get(tone)
        if last is None or at_ns - last.end_ns > _GAP_NS:
            last = self._open[tone] = Heard(tone, at_ns, at_ns)
            self._heard.append(last)
        last.end_ns = at_ns + PERIOD_NS
        last.is_loudest |= is_loudest
        last.level = max(last.level, level)
