"""The energies of a lost frame, guessed from those before it and what the frame after it says.

The next frame says E2 = alpha E1 + r, and E1 is lost. The decoder that took E0 for it came out with
E2' = alpha E0 + r, from which r follows. If energies went a random walk, the likeliest E1 would
minimise (E1 - E0)^2 / frames + (E2 - E1)^2 / next_frames. So it is where E2' is below E0. Where it
is above, speech has either begun, or it had paused in the hole and goes on as before: the nearer
E2' comes to the loudest of late, the likelier is the pause.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel, kernel
from node.opus.celt.layout import ENERGY, ENERGY_BEFORE, LOUD
from node.opus.celt.tables_celt import BANDS, INTER_ALPHA

_ENERGY_MIN: Final = np.float32(-9.0)
"""Floor of the coder's prediction (`energy.py`)."""
# What follows was fitted to the energies of speech: four voices in five languages, frames of 20 and
# 10 ms, holes of one to six. With one frame of 20 ms lost the error of E2 falls from 1.05 to 0.95
# of a log2 unit (6 dB), with two from 1.38 to 1.16, and a third less is too loud by more than two.
_BELOW_LOUD: Final = np.float32(2.0)
"""A rise to so far below the loudest of late says nothing of what came before it."""
_RISE_PER_ROOM: Final = np.float32(0.4)
_RISE_LEAST: Final = np.float32(-3.0)
_RISE_MOST: Final = np.float32(2.5)
_LOUDEST_BELOW: Final = np.float32(1.0)
"""The next frame comes out no louder than so far below the loudest of late."""


@inlined
def _likeliest_step(
    known: np.float32, after: np.float32, loud: np.float32, gain: np.float32, share: np.float32
) -> np.float32:
    """Return E1 - E0.

    known   E0, at least the prediction's floor
    after   E2', of the last frame of the next packet
    loud    the loudest of late
    gain    what the random walk makes of E2' - E0
    share   alpha, to the power of the next packet's frames
    """
    step = gain * (after - known)
    if step > np.float32(0.0):
        room = loud - after
        likely = _RISE_PER_ROOM * (room - _BELOW_LOUD)
        step *= min(max(likely, _RISE_LEAST), _RISE_MOST)
        step = min(step, (room - _LOUDEST_BELOW) / share)
    return step


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

    past    (CELT_FLOAT_SIZE,) float32, log2, before the hole: E0, and what has been loud
    after   (2 x BANDS,) float32, log2: E2' of the last of `next_frames` frames
    lost    (2 x BANDS,) float32, log2: what is set
    frames  lost ones, as long as those of the next packet: 2.5 ms << lm
    """
    share = np.float32(1.0)
    for _ in range(next_frames):
        share *= np.float32(INTER_ALPHA[lm])
    apart = np.float32(1.0) - share
    gain = frames * apart / (next_frames + frames * apart * apart)
    for i in range(2 * BANDS):
        known = max(past[ENERGY + i], _ENERGY_MIN)
        step = _likeliest_step(known, after[i], past[LOUD + i], gain, share)
        lost[i] = known + np.float32(step)


@inner_kernel("void(float32[::1], float32[::1], int64, int64, int64, int64)")
def correct_energies(
    past: NDArray[np.float32],
    work: NDArray[np.float32],
    end: int,
    lm: int,
    frames: int,
    coded: int,
) -> None:
    """Take the energies of the frame after a hole as if the last lost one had had the likeliest.

    past    (CELT_FLOAT_SIZE,) float32, log2: E2'
    work    (WORK_SIZE,) float32, log2: E0, from before the hole, at ENERGY_BEFORE
    frames  lost ones, as long as this: 2.5 ms << lm
    """
    share = np.float32(INTER_ALPHA[lm])
    apart = np.float32(1.0) - share
    gain = frames * apart / (1 + frames * apart * apart)
    for channel in range(coded):
        for i in range(channel * BANDS, channel * BANDS + end):
            known = max(work[ENERGY_BEFORE + i], _ENERGY_MIN)
            step = _likeliest_step(known, past[ENERGY + i], past[LOUD + i], gain, share)
            likely = max(known + np.float32(step), _ENERGY_MIN)
            past[ENERGY + i] += share * (likely - known)
