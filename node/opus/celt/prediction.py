"""Short-term prediction of the newest sound, for concealment (RFC 6716, section 4.4)."""

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import (
    ANALYSIS_SAMPLES,
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
from node.opus.celt.pitch import correlate, solve_predictor
from node.opus.celt.tables_celt import WINDOW


@inner_kernel("void(float32[::1], float32[::1], int64)")
def set_predictor(past: NDArray[np.float32], work: NDArray[np.float32], channel: int) -> None:
    """Set the channel's predictor from its newest samples.

    x[n] is predicted as the sum of `past[PREDICTOR + k] * x[n - 1 - k]`.

    past  (CELT_FLOAT_SIZE,) float32; history at 16-bit scale, PREDICTOR a ratio
    work  (WORK_SIZE,) float32, scratch at 16-bit scale
    """
    begin = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES - ANALYSIS_SAMPLES
    for i in range(ANALYSIS_SAMPLES):
        work[CUT + i] = past[begin + i]
    for i in range(OVERLAP):
        work[CUT + i] *= WINDOW[i]
        work[CUT + ANALYSIS_SAMPLES - 1 - i] *= WINDOW[i]
    correlate(work, CUT, ANALYSIS_SAMPLES, PREDICTOR_ORDER)
    solve_predictor(work, RESIDUAL, PREDICTOR_ORDER)
    for k in range(PREDICTOR_ORDER):
        past[PREDICTOR + channel * PREDICTOR_ORDER + k] = work[RESIDUAL + k]


@inner_kernel("void(float32[::1], float32[::1], int64, int64)")
def set_residual(
    past: NDArray[np.float32], work: NDArray[np.float32], channel: int, samples: int
) -> None:
    """Set RESIDUAL to what the predictor misses in the newest `samples`.

    past  (CELT_FLOAT_SIZE,) float32; history at 16-bit scale, PREDICTOR a ratio
    work  (WORK_SIZE,) float32; RESIDUAL at 16-bit scale
    """
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    at = PREDICTOR + channel * PREDICTOR_ORDER
    for i in range(samples):
        now = end - samples + i
        predicted = np.float32(0.0)
        for k in range(PREDICTOR_ORDER):
            predicted += past[at + k] * past[now - 1 - k]
        work[RESIDUAL + i] = past[now] - predicted


@inner_kernel("void(float32[::1], float32[::1], int64, int64)")
def excite(
    past: NDArray[np.float32], work: NDArray[np.float32], channel: int, samples: int
) -> None:
    """Turn the residual in EXTENSION into sound that goes on from the history.

    past  (CELT_FLOAT_SIZE,) float32; history at 16-bit scale, PREDICTOR a ratio
    work  (WORK_SIZE,) float32; EXTENSION at 16-bit scale
    """
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
