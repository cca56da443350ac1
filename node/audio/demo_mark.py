"""A tone over all that a demonstration lets sound: nobody takes it for the village's voice."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import RATE_HZ, ns_to_samples

EVERY_S: Final = 5
TONE_HZ: Final = 2000
TONE_MS: Final = 120
LEVEL: Final = 0.1
"""-20 dBFS: heard beside speech, and not louder than it."""

_EVERY: Final = EVERY_S * RATE_HZ


class DemoMark:
    """Adds the tone, at the same instants on all nodes of a group."""

    def __init__(self) -> None:
        n = TONE_MS * RATE_HZ // 1000
        at = np.arange(n)
        self._tone = np.zeros((n, 1), np.float32)
        self._tone[:, 0] = (
            np.sin(2 * np.pi * TONE_HZ / RATE_HZ * at) * np.sin(np.pi * at / n) * LEVEL
        )

    def process(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Add what is due to `out`, if it sounds; silence stays silent.

        out  (n, channels) float32, full scale 1.0
        """
        at = ns_to_samples(presentation_ns) % _EVERY
        n = out.shape[0]
        for begin in (-at, _EVERY - at):  # of the tone, in samples of `out`; also of the next one
            first, last = max(begin, 0), min(begin + self._tone.shape[0], n)
            if first < last and out.any():
                part = out[first:last]
                np.add(part, self._tone[first - begin : last - begin], out=part)
                np.clip(part, -1.0, 1.0, out=part)
