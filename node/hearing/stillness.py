"""Whether what a microphone gives ever moves: a place does, and the hiss of a deaf one does not.

```
 level of each second, in the band of speech   ▂▃▂▅▂▂▇▃   a place: by some dB within a minute
                                               ▄▄▄▄▄▄▄▄   a preamplifier: by 0.4 dB
```
A horn that is dead and a microphone that is deaf give the same nothing; this tells them apart.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.hearing.fitness import db_of

SPREAD_DB: Final = 0.6
"""Less is hiss. White noise of 3 kHz has a standard deviation of 0.08 dB from second to second."""
LEAST_S: Final = 60
MOST_S: Final = 600
"""So many seconds are looked at."""

_COARSE_HZ: Final = 6000
"""Sums of so many a second, and their differences: the band of speech, cheaply."""
_TRIMMED: Final = 0.02
"""Share of the loudest and of the softest seconds that a crack in a plug may make."""


class Stillness:
    """Levels of the last minutes.

    Parameters
    ----------
    rate_hz : int
        Of the capture.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._width = rate_hz // _COARSE_HZ
        self._levels_db = np.zeros(MOST_S)
        self._count = self._samples = 0
        self._sum = 0.0

    def receive(self, sound: NDArray[np.float32]) -> None:
        """Take what was captured.

        sound  (n,) float32, full scale 1.0
        """
        whole = sound[: sound.size // self._width * self._width]
        steps = np.diff(whole.reshape(-1, self._width).sum(axis=1))
        self._sum += float(np.dot(steps, steps))
        self._samples += sound.size
        if self._samples >= self._rate_hz:
            self._levels_db[self._count % MOST_S] = db_of(self._sum / self._samples)
            self._count, self._samples, self._sum = self._count + 1, 0, 0.0

    def forget(self) -> None:
        """Begin anew: something was heard."""
        self._count = 0

    @property
    def is_still(self) -> bool:
        """Whether nothing has moved, for a minute at least."""
        if self._count < LEAST_S:
            return False
        levels_db = np.sort(self._levels_db[: min(self._count, MOST_S)])
        left_out = max(1, int(_TRIMMED * levels_db.size))
        return bool(levels_db[-1 - left_out] - levels_db[left_out] < SPREAD_DB)
