"""A CELT hole filled with sound that somebody else made: history, overlap, energies, output.

All this lies in the history before de-emphasis, at 48 kHz whatever the output's rate is.
"""

from typing import Final

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
    LOUD,
    OVERLAP,
)
from node.opus.celt.synthesis import write_out
from node.opus.celt.tables_celt import BANDS, INTER_ALPHA

_ENERGY_MIN: Final = np.float32(-9.0)
"""Floor of the coder's prediction (`energy.py`)."""
# What follows was fitted to the energies of speech: four voices in five languages, frames of 20 and
# 10 ms, holes of one to six. With one frame of 20 ms lost the error of E2 falls from 1.05 to 0.95
# of a log2 unit (6 dB), with two from 1.38 to 1.16, and a third less is too loud by more than two.
_BELOW_LOUD: Final = np.float32(2.0)
"""A rise to so far below the loudest of late tells nothing of what came before it."""
_RISE_PER_ROOM: Final = np.float32(0.4)
_RISE_LEAST: Final = np.float32(-3.0)
_RISE_MOST: Final = np.float32(2.5)
_LOUDEST_BELOW: Final = np.float32(1.0)
"""The next frame comes out no louder than so far below the loudest of late."""


@kernel("void(float32[::1], int64, int64, float32[::1], int64)")
def take_celt(
    past: NDArray[np.float32],
    channel: int,
    samples: int,
    target: NDArray[np.float32],
    at: int,
) -> None:
    """Copy the newest `samples` <= 2048 of a channel to target[at:]."""
    end = HISTORY + channel * HISTORY_STRIDE + HISTORY_SAMPLES
    for i in range(samples):
        target[at + i] = past[end - samples + i]


@kernel("void(float32[::1], float32[:, ::1], int64, int64, float32[::1], int64, float32[:, ::1])")
def play_celt(
    past: NDArray[np.float32],
    sound: NDArray[np.float32],
    begin: int,
    samples: int,
    memory: NDArray[np.float32],
    divisor: int,
    out: NDArray[np.float32],
) -> None:
    """Put sound[channel, begin : begin + samples] in the place of the frame just concealed.

    memory   (2,) de-emphasis before that frame; comes back as it is after it
    out      (samples / divisor, channels)
    """
    channels = out.shape[1]
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
    """Let the next frame overlap with sound[channel, begin : begin + 120], the hole's end."""
    for channel in range(channels):
        for i in range(OVERLAP):
            work[EXTENSION + i] = sound[channel, begin + i]
        fold_tail(celt, past, work, channel, EXTENSION)


@kernel("void(float32[::1], float32[::1], float32[::1], int64, int64, int64)")
def guess_energies(
    past: NDArray[np.float32],
    after: NDArray[np.float32],
    lost: NDArray[np.float32],
    lm: int,
    frames: int,
    next_frames: int,
) -> None:
    """Set lost[:] to the energies that the last lost frame most likely had.

    The next frame says E2 = alpha E1 + r, and E1 is lost. The decoder that took E0 for it came out
    with E2' = alpha E0 + r, which tells r. If energies went a random walk, the likeliest E1 would
    minimise (E1 - E0)^2 / frames + (E2 - E1)^2 / next_frames. So it is where E2' is below E0. Where
    it is above, speech has either begun, or it had paused in the hole and goes on as before: the
    nearer E2' comes to the loudest of late, the likelier is the pause.

    past          before the hole: E0, and what has been loud
    after         E2' (2 x BANDS,), of the last of `next_frames` frames
    frames        lost ones, as long as those of the next packet: 2.5 ms << lm
    """
    share = np.float32(1.0)
    for _ in range(next_frames):
        share *= np.float32(INTER_ALPHA[lm])
    apart = np.float32(1.0) - share
    gain = frames * apart / (next_frames + frames * apart * apart)
    for i in range(2 * BANDS):
        known = max(past[ENERGY + i], _ENERGY_MIN)
        step = gain * (after[i] - known)
        if step > np.float32(0.0):
            room = past[LOUD + i] - after[i]
            likely = _RISE_PER_ROOM * (room - _BELOW_LOUD)
            step *= min(max(likely, _RISE_LEAST), _RISE_MOST)
            step = min(step, (room - _LOUDEST_BELOW) / share)
        lost[i] = known + np.float32(step)


@kernel("void(int64[::1], float32[::1], float32[::1], float32[::1], float64)")
def aim_noise(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    along: float,
) -> None:
    """Let the noise of a hybrid frame about to be concealed lie between both sides' energies."""
    fall = np.float32(FALL_FIRST if celt[LOST] == 0 else FALL)
    share = np.float32(along)
    for i in range(2 * BANDS):
        level = (np.float32(1.0) - share) * before[i] + share * after[i]
        past[ENERGY + i] = level + fall
        past[BACKGROUND + i] = min(past[BACKGROUND + i], level)
