"""Pitch post-filter: gives the harmonics back what the encoder took (RFC 6716, 4.3.7.1)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import OVERLAP, Comb
from node.opus.celt.tables_celt import COMB_TAPS, WINDOW

PERIOD_MIN: Final = 15
_SIDE_TAPS: Final = 2


@inner_kernel("void(float32[::1], float32[::1], float32, float32, float32)")
def _comb(
    sound: NDArray[np.float32],
    echo: NDArray[np.float32],
    near: np.float32,
    side: np.float32,
    far: np.float32,
) -> None:
    """Add the 5-tap echo: `echo` begins two samples before the period does."""
    for i in range(sound.size):
        sound[i] += (
            near * echo[i + 2] + side * (echo[i + 1] + echo[i + 3]) + far * (echo[i] + echo[i + 4])
        )


@inner_kernel("void(float32[::1], int64, int64, Comb, Comb)")
def post_filter(
    past: NDArray[np.float32], begin: int, samples: int, before: Comb, now: Comb
) -> None:
    """Filter `samples` at `past[begin]` in place, from the old filter to the new in 120.

    past  (CELT_FLOAT_SIZE,) float32, sound at 16-bit scale, 48 kHz
    """
    gain_old, gain = before.gain, now.gain
    if gain_old == 0.0 and gain == 0.0:
        return
    period_old = max(before.period, PERIOD_MIN)
    period = max(now.period, PERIOD_MIN)
    taps, taps_old = 3 * now.tapset, 3 * before.tapset
    near, side, far = COMB_TAPS[taps], COMB_TAPS[taps + 1], COMB_TAPS[taps + 2]
    near, side, far = gain * near, gain * side, gain * far
    faded = 0
    if gain != gain_old or period != period_old or taps != taps_old:
        faded = min(OVERLAP, samples)
        near_old = gain_old * COMB_TAPS[taps_old]
        side_old = gain_old * COMB_TAPS[taps_old + 1]
        far_old = gain_old * COMB_TAPS[taps_old + 2]
        for i in range(faded):
            new = WINDOW[i] * WINDOW[i]
            old = np.float32(1.0) - new
            at = begin + i
            a = at - period_old
            b = at - period
            past[at] += old * (
                near_old * past[a]
                + side_old * (past[a - 1] + past[a + 1])
                + far_old * (past[a - 2] + past[a + 2])
            ) + new * (
                near * past[b]
                + side * (past[b - 1] + past[b + 1])
                + far * (past[b - 2] + past[b + 2])
            )
    if gain == 0.0:
        return
    at = begin + faded
    while at < begin + samples:
        # No longer than the period, so that what is read is not what is written.
        count = min(period - _SIDE_TAPS, begin + samples - at)
        echo = at - period - _SIDE_TAPS
        _comb(past[at : at + count], past[echo : echo + count + 4], near, side, far)
        at += count
