"""Short-term prediction of the newest sound, for concealment (RFC 6716, section 4.4)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.opus.celt.layout import (
    ANALYSIS_SAMPLES,
    CORRELATION,
    CUT,
    EXTENSION,
    HISTORY,
    HISTORY_SAMPLES,
    HISTORY_STRIDE,
    OVERLAP,
    PREDICTOR,
    PREDICTOR_ORDER,
    RESIDUAL,
)
from node.opus.celt.pitch import dot
from node.opus.celt.tables_celt import WINDOW

_NOISE_FLOOR: Final = 1.0001
"""White noise 40 dB below the signal: keeps the predictor tame."""
_LAG_WIDTH: Final = 0.008
"""Lag window: widens the peaks of the spectrum, so that the predictor does not ring."""
_ERROR_MIN: Final = 0.001
"""Share of the power at which more coefficients are not worth their risk."""


@kernel("void(float32[::1], float32[::1], int64)")
def _correlate(past: NDArray[np.float32], work: NDArray[np.float32], begin: int) -> None:
    """Set the autocorrelation of the samples at `past[begin]`, their edges windowed."""
    for i in range(ANALYSIS_SAMPLES):
        work[CUT + i] = past[begin + i]
    for i in range(OVERLAP):
        work[CUT + i] *= WINDOW[i]
        work[CUT + ANALYSIS_SAMPLES - 1 - i] *= WINDOW[i]
    for lag in range(PREDICTOR_ORDER + 1):
        taper = np.float32(1.0 - (_LAG_WIDTH * lag) ** 2)
        power = dot(work, work, CUT, CUT + lag, ANALYSIS_SAMPLES - lag)
        work[CORRELATION + lag] = taper * power
    work[CORRELATION] = work[CORRELATION] * np.float32(_NOISE_FLOOR) + np.float32(1.0)


@kernel("void(float32[::1], float32[::1], int64)")
def set_predictor(past: NDArray[np.float32], work: NDArray[np.float32], channel: int) -> None:
    """Set the channel's predictor from its newest samples (Levinson and Durbin).

    x[n] is predicted as the sum of `past[PREDICTOR + k] * x[n - 1 - k]`.
    """
    begin = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES - ANALYSIS_SAMPLES
    _correlate(past, work, begin)
    at = PREDICTOR + channel * PREDICTOR_ORDER
    for k in range(PREDICTOR_ORDER):
        past[at + k] = np.float32(0.0)
    error = float(work[CORRELATION])
    floor = _ERROR_MIN * error
    for order in range(PREDICTOR_ORDER):
        if error < floor:
            break
        rest = float(work[CORRELATION + order + 1])
        for k in range(order):
            rest -= float(past[at + k]) * float(work[CORRELATION + order - k])
        reflection = rest / error
        for k in range((order + 1) >> 1):
            low = float(past[at + k])
            high = float(past[at + order - 1 - k])
            past[at + k] = np.float32(low - reflection * high)
            past[at + order - 1 - k] = np.float32(high - reflection * low)
        past[at + order] = np.float32(reflection)
        error -= reflection * reflection * error


@kernel("void(float32[::1], float32[::1], int64, int64)")
def set_residual(
    past: NDArray[np.float32], work: NDArray[np.float32], channel: int, samples: int
) -> None:
    """Set RESIDUAL to what the predictor misses in the newest `samples`."""
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    at = PREDICTOR + channel * PREDICTOR_ORDER
    for i in range(samples):
        now = end - samples + i
        predicted = np.float32(0.0)
        for k in range(PREDICTOR_ORDER):
            predicted += past[at + k] * past[now - 1 - k]
        work[RESIDUAL + i] = past[now] - predicted


@kernel("void(float32[::1], float32[::1], int64, int64)")
def excite(
    past: NDArray[np.float32], work: NDArray[np.float32], channel: int, samples: int
) -> None:
    """Turn the residual in EXTENSION into sound that goes on from the history."""
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    at = PREDICTOR + channel * PREDICTOR_ORDER
    for k in range(PREDICTOR_ORDER):
        work[EXTENSION - 1 - k] = past[end - 1 - k]
    for i in range(EXTENSION, EXTENSION + samples):
        # Oldest first: only the last product waits for the sample before.
        sound = work[i]
        for k in range(PREDICTOR_ORDER - 1, -1, -1):
            sound += past[at + k] * work[i - 1 - k]
        work[i] = sound
