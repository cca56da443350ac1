"""The last seconds of a sound by its time; where nobody wrote it is silent.

```
 stamps of blocks:   true ─┬─ late ─── late ─┬─ true ──   none is early
 time of the ring:         └─ rises slowly ──┘            the earliest stamps draw the line
```
One thread writes and never waits; another may read what is not about to be written over.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_S

NOTHING_NS: Final = -1
"""End of what was written, before anything is."""

_PPM: Final = 1_000_000


class SoundRing:
    """One channel of sound, addressed by time.

    Parameters
    ----------
    rate_hz : int
        Of its samples.
    seconds : float
        It holds so much.
    slack_ns : int
        A block that is stamped later by more than that has lost what was before it.
    late_ppm : int
        Stamps that are late within that move the time of the ring so fast at most: a crystal's
        worth where they jitter, 1,000,000 where they are true.
    """

    def __init__(self, rate_hz: int, seconds: float, *, slack_ns: int, late_ppm: int) -> None:
        self.rate_hz = rate_hz
        self._ring = np.zeros(int(rate_hz * seconds), np.float32)
        self._slack_ns, self._late_ppm = slack_ns, late_ppm
        self._base_ns = 0
        """Time of the sample with index 0."""
        self._end = 0
        """Index of the sample after the last one; the first one ever written is 0."""
        self._first = self._whole = 0
        """Index of the oldest sample of this stretch, and of that after which none is missing."""

    @property
    def whole_ns(self) -> int:
        """Since when nothing is missing."""
        return self._time_ns(self._whole)

    @property
    def end_ns(self) -> int:
        """When what was written last ends."""
        return NOTHING_NS if self._end == 0 else self._time_ns(self._end)

    def write(self, sound: NDArray[np.float32], begin_ns: int) -> None:
        """Append `sound`; where some was lost before it that is silent.

        sound  (n,) float32, full scale 1.0
        """
        gap_ns = begin_ns - self._time_ns(self._end)
        lost = gap_ns * self.rate_hz // NS_PER_S
        if self._end == 0 or lost > self._ring.size:
            self._base_ns += gap_ns
            self._first = self._whole = self._end
        elif gap_ns > self._slack_ns:
            self._put(None, lost)
            self._whole = self._end
        else:
            late_ns = sound.size * NS_PER_S // self.rate_hz * self._late_ppm // _PPM
            self._base_ns += min(gap_ns, late_ns)
        self._put(sound, sound.size)

    def read(self, begin_ns: int, seconds: float) -> NDArray[np.float32]:
        """Return so many seconds from then on, (n,) float32, silent where nothing is known."""
        begin = (begin_ns - self._base_ns) * self.rate_hz // NS_PER_S
        n = round(seconds * self.rate_hz)
        found = np.zeros(n, np.float32)
        end = self._end
        first, last = max(begin, end - self._ring.size, self._first), min(begin + n, end)
        if first < last:
            at, count = first % self._ring.size, last - first
            head = min(self._ring.size - at, count)
            heard = found[first - begin : last - begin]
            heard[:head] = self._ring[at : at + head]
            heard[head:] = self._ring[: count - head]
        return found

    def _time_ns(self, index: int) -> int:
        return self._base_ns + index * NS_PER_S // self.rate_hz

    def _put(self, sound: NDArray[np.float32] | None, n: int) -> None:
        """Write `n` samples at the end, or silence; the last ones where they are too many."""
        size, left = self._ring.size, max(n - self._ring.size, 0)
        at, count = (self._end + left) % size, n - left
        head = min(size - at, count)
        if sound is None:
            self._ring[at : at + head] = 0.0
            self._ring[: count - head] = 0.0
        else:
            self._ring[at : at + head] = sound[left : left + head]
            self._ring[: count - head] = sound[left + head :]
        self._end += n
