"""De-emphasis, the last filter, and the step down to lower output rates (RFC 6716, 4.3.7.2)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import DE_EMPHASIS

_A: Final = np.float32(0.8500061035)
_A2: Final = np.float32(0.8500061035**2)
_A3: Final = np.float32(0.8500061035**3)
_A4: Final = np.float32(0.8500061035**4)
_SCALE: Final = np.float32(1.0 / 32768.0)
_CEILING: Final = np.float32(8.0)
"""Loudest sample: no encoder makes it, and broken energies shall not reach an amplifier."""
_TINY: Final = np.float32(1e-30)
"""Keeps the decaying filter out of the denormal numbers, which some processors are slow at."""


@inner_kernel("float32(float32)")
def _sample(value: np.float32) -> np.float32:
    """Return `value` at full scale 1.0, within the ceiling."""
    return max(-_CEILING, min(_CEILING, value * _SCALE))


@inner_kernel("void(float32[::1], int64, int64, int64, int64, float32[:, ::1])")
def de_emphasise(
    past: NDArray[np.float32],
    begin: int,
    samples: int,
    channel: int,
    divisor: int,
    out: NDArray[np.float32],
) -> None:
    """Filter `samples` (a multiple of 4) at `past[begin]`, write every `divisor`th to `out`.

    Four samples at a time, so that only one product per four waits for the one before.

    past  (CELT_FLOAT_SIZE,) float32, sound at 16-bit scale, 48 kHz
    out   (samples / divisor or more, channels) float32, full scale 1.0
    """
    last = past[DE_EMPHASIS + channel]
    if divisor == 1:
        for i in range(samples >> 2):
            at = begin + 4 * i
            y0 = past[at] + _TINY
            y1 = past[at + 1] + _A * y0
            y2 = past[at + 2] + _A * y1
            y3 = past[at + 3] + _A * y2
            out[4 * i, channel] = _sample(y0 + _A * last)
            out[4 * i + 1, channel] = _sample(y1 + _A2 * last)
            out[4 * i + 2, channel] = _sample(y2 + _A3 * last)
            last = y3 + _A4 * last
            out[4 * i + 3, channel] = _sample(last)
    else:
        for i in range(samples // divisor):
            at = begin + i * divisor
            last = past[at] + _TINY + _A * last
            out[i, channel] = _sample(last)
            for j in range(1, divisor):
                last = past[at + j] + _A * last
    past[DE_EMPHASIS + channel] = last
