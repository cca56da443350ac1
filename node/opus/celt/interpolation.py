"""A CELT hole filled with sound that somebody else made: history, overlap, energies, output.

All this lies in the history before de-emphasis, at 48 kHz whatever the output's rate is.
"""

import numpy as np
from numpy.typing import NDArray

from node.kernel import kernel
from node.opus.celt.concealment import FALL, FALL_FIRST, fold_tail
from node.opus.celt.layout import (
    BACKGROUND,
    DE_EMPHASIS,
    ENERGY,
    EXTENSION,
    HISTORY,
    HISTORY_SAMPLES,
    HISTORY_STRIDE,
    LOST,
    OVERLAP,
)
from node.opus.celt.synthesis import write_out
from node.opus.celt.tables_celt import BANDS


@kernel("void(float32[::1], int64, int64, float32[::1], int64)")
def take_celt(
    past: NDArray[np.float32],
    channel: int,
    samples: int,
    target: NDArray[np.float32],
    at: int,
) -> None:
    """Copy the newest `samples` <= 2048 of a channel to target[at:].

    past    (CELT_FLOAT_SIZE,) float32, history at 16-bit scale, 48 kHz
    target  (at + samples or more,) float32, sound at 16-bit scale
    """
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    for i in range(samples):
        target[at + i] = past[end - samples + i]


@kernel("void(float32[::1], float32[:, ::1], int64, float32[::1], int64, float32[:, ::1])")
def play_celt(
    past: NDArray[np.float32],
    sound: NDArray[np.float32],
    begin: int,
    memory: NDArray[np.float32],
    divisor: int,
    out: NDArray[np.float32],
) -> None:
    """Put the sound from sound[channel, begin] on in the place of the frame just concealed.

    past    (CELT_FLOAT_SIZE,) float32, history at 16-bit scale, 48 kHz
    sound   (channels, begin + n x divisor, or more) float32, 16-bit scale, before de-emphasis
    memory  (2,) float32, 16-bit scale: de-emphasis before that frame; comes back as it is after it
    out     (n, channels) float32, full scale 1.0
    """
    samples, channels = out.shape[0] * divisor, out.shape[1]
    for channel in range(channels):
        end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
        for i in range(samples):
            past[end - samples + i] = sound[channel, begin + i]
        past[DE_EMPHASIS + channel] = memory[channel]
    write_out(past, samples, channels, divisor, out)
    for channel in range(channels):
        memory[channel] = past[DE_EMPHASIS + channel]


@kernel("void(int64[::1], float32[::1], float32[::1], float32[:, ::1], int64, int64)")
def overlap_next(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    work: NDArray[np.float32],
    sound: NDArray[np.float32],
    begin: int,
    channels: int,
) -> None:
    """Let the next frame overlap with sound[channel, begin : begin + 120], the hole's end.

    celt   (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past   (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    work   (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    sound  (channels, begin + 120 or more) float32, 16-bit scale, before de-emphasis
    """
    for channel in range(channels):
        for i in range(OVERLAP):
            work[EXTENSION + i] = sound[channel, begin + i]
        fold_tail(celt, past, work, channel, EXTENSION)


@kernel("void(int64[::1], float32[::1], float32[::1], float32[::1], float64)")
def aim_noise(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    along: float,
) -> None:
    """Let the noise of a hybrid frame about to be concealed lie between both sides' energies.

    celt           (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past           (CELT_FLOAT_SIZE,) float32; ENERGY and BACKGROUND are set, log2
    before, after  (2 x BANDS,) float32, energies before and after the hole, log2
    along          share of the hole that lies before this frame's middle, 0 to 1
    """
    fall = np.float32(FALL_FIRST if celt[LOST] == 0 else FALL)
    share = np.float32(along)
    for i in range(2 * BANDS):
        level = (np.float32(1.0) - share) * before[i] + share * after[i]
        past[ENERGY + i] = level + fall
        past[BACKGROUND + i] = min(past[BACKGROUND + i], level)
