"""What callers may ask for beside float32 samples: 16-bit ones, and the gain of a file's header.

Full scale is where 16 bits end. A half-wave that goes beyond is bent back by a parabola through
zero, its peak and full scale: `y = x - a x |x|`, `a = (peak - 1) / peak^2`, so that the wave keeps
its zeros and has no corner. A half-wave that a packet cuts in two keeps its `a` into the next.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel

_BEND_MAX: Final = np.float32(2.0)
"""Beyond twice full scale a parabola would fold over: what is louder is cut first."""


@kernel("void(float32[:, ::1], float32[::1])")
def soft_clip(sound: NDArray[np.float32], bends: NDArray[np.float32]) -> None:
    """Bring `sound` within full scale, in place, half-wave by half-wave.

    sound  (n, channels) float32, full scale 1.0
    bends  (channels,) float32, a ratio: `a` of the half-wave under way; starts as zeros
    """
    n = sound.shape[0]
    for channel in range(sound.shape[1]):
        first = 0
        bend = bends[channel]
        while first < n:
            is_positive = sound[first, channel] >= 0
            last = first
            peak = np.float32(0.0)
            while last < n and (sound[last, channel] >= 0) == is_positive:
                value = min(abs(sound[last, channel]), _BEND_MAX)
                sound[last, channel] = value if is_positive else -value
                peak = max(peak, value)
                last += 1
            if peak > np.float32(1.0):
                bend = max(bend, (peak - np.float32(1.0)) / (peak * peak))
            if bend > 0:
                for i in range(first, last):
                    value = sound[i, channel]
                    value -= bend * value * abs(value)
                    sound[i, channel] = min(max(value, np.float32(-1.0)), np.float32(1.0))
            if last < n:
                bend = np.float32(0.0)
            first = last
        bends[channel] = bend


@kernel("void(float32[:, ::1], int16[:, ::1])")
def to_int16(sound: NDArray[np.float32], out: NDArray[np.int16]) -> None:
    """Round sound to 16 bits, half to even.

    sound  (n, channels) float32, full scale 1.0
    out    (n, channels) int16, full scale 32768
    """
    for i in range(sound.shape[0]):
        for channel in range(sound.shape[1]):
            value = np.rint(sound[i, channel] * np.float32(32768.0))
            out[i, channel] = np.int16(min(max(value, -32768.0), 32767.0))
