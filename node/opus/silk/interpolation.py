"""A SILK hole filled with sound that somebody else made: history, filters, output.

All this lies at the layer's own rate and before stereo is unmixed, so that every output follows.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel, kernel
from node.kernel.record import Records
from node.opus.silk import state as f
from node.opus.silk.resampler import resample
from node.opus.silk.state import SilkHole
from node.opus.silk.stereo import delay_mono, unmix

_SCALE: Final = np.float32(1 / 32768)
_LOUDER: Final = 4.0
"""Power over that of a frame decoded with caution from which on it is no coincidence: 6 dB."""


@kernel("void(int64[::1], int64, int64, float32[::1], int64)")
def take_silk(
    silk: NDArray[np.int64], channel: int, samples: int, target: NDArray[np.float32], at: int
) -> None:
    """Copy the newest `samples` (20 ms at most) of a channel to target[at:], as 16-bit values.

    silk     (STATE_SIZE,) int64; HISTORY, 16-bit samples
    channel  0 or 1: mid or side
    target   (at + samples or more,) float32, sound at 16-bit scale
    """
    block = f.CHANNELS + channel * f.CHANNEL_SIZE
    end = block + f.HISTORY + silk[block + f.MEMORY_SAMPLES]
    for i in range(samples):
        target[at + i] = np.float32(silk[end - samples + i])


@inner_kernel("void(int64[::1], int64, float32[:, ::1], int64, int64)")
def _put_history(
    silk: NDArray[np.int64], channel: int, sound: NDArray[np.float32], begin: int, samples: int
) -> None:
    """Make sound[channel, begin : begin + samples] the newest history, and the filter's memory."""
    block = f.CHANNELS + channel * f.CHANNEL_SIZE
    end = block + f.HISTORY + silk[block + f.MEMORY_SAMPLES]
    for i in range(samples):
        value = min(max(np.rint(sound[channel, begin + i]), -32768.0), 32767.0)
        silk[end - samples + i] = np.int64(value)
    gain_q16 = max(silk[block + f.GAIN_BEFORE_Q16], 1)
    for k in range(f.ORDER_MAX):
        tail_q14 = (silk[end - f.ORDER_MAX + k] << 30) // gain_q16
        silk[block + f.LPC_TAIL_Q14 + k] = min(max(tail_q14, -(1 << 31)), (1 << 31) - 1)


@inner_kernel("void(int64[::1], SilkHole, int64[::1], float32[:, ::1], int64, int64)")
def _place(
    silk: NDArray[np.int64],
    hole: SilkHole,
    scratch: NDArray[np.int64],
    sound: NDArray[np.float32],
    begin: int,
    samples: int,
) -> None:
    """Bring both channels' sound to scratch[FRAME_OUT], filters as they were earlier."""
    for c in range(silk[f.CODED_CHANNELS]):
        block = f.CHANNELS + c * f.CHANNEL_SIZE
        for k in range(block + f.RESAMPLER_MODE, block + f.NLSF_BEFORE_Q15):
            silk[k] = hole.earlier[k]
        out = f.FRAME_OUT + c * f.FRAME_OUT_SIZE + 2
        if hole.planned[c]:
            _put_history(silk, c, sound, begin, samples)
        end = block + f.HISTORY + silk[block + f.MEMORY_SAMPLES]
        is_silent = c == 1 and not hole.planned[c] and silk[f.MID_ONLY_BEFORE] == 1
        for i in range(samples):
            scratch[out + i] = 0 if is_silent else silk[end - samples + i]
    for k in range(f.STEREO_Q13, f.WEIGHTS_Q13):
        silk[k] = hole.earlier[k]


@kernel("void(int64[::1], SilkHole[::1], int64[::1], float32[:, ::1], int64, float32[:, ::1])")
def play_silk(
    silk: NDArray[np.int64],
    holes: Records[SilkHole],
    scratch: NDArray[np.int64],
    sound: NDArray[np.float32],
    begin: int,
    out: NDArray[np.float32],
) -> None:
    """Add the sound from sound[channel, begin] on to `out`, in the place of a concealed frame.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    holes    one: the layer before that frame, and which channels have sound
    scratch  (SCRATCH_SIZE,) int64, of one frame: 16-bit samples, and Qn by name
    sound    (channels, begin + samples or more) float32, sound at 16-bit scale
    out      (n, channels) float32, full scale 1.0: the other layer's part of the frame
    """
    block = f.CHANNELS
    rate_khz = silk[block + f.RATE_KHZ]
    samples = out.shape[0] * rate_khz // silk[block + f.OUTPUT_KHZ]
    coded = silk[f.CODED_CHANNELS]
    _place(silk, holes[0], scratch, sound, begin, samples)
    if coded == 2 and out.shape[1] == 2:
        unmix(silk, scratch, rate_khz, samples)
    else:
        delay_mono(silk, scratch, samples)
    for c in range(out.shape[1]):
        from_channel = min(c, coded - 1)
        if c == from_channel:
            first = f.FRAME_OUT + from_channel * f.FRAME_OUT_SIZE + 1
            resample(silk, block + c * f.CHANNEL_SIZE, scratch, first, samples, f.RESAMPLED)
        for i in range(out.shape[0]):
            out[i, c] += np.float32(scratch[f.RESAMPLED + i]) * _SCALE


@kernel("boolean(int64[::1], float32[::1], int64)")
def is_louder(silk: NDArray[np.int64], usual: NDArray[np.float32], samples: int) -> bool:
    """Return whether the newest `samples` of the first channel are well above usual[:samples].

    silk   (STATE_SIZE,) int64; HISTORY, 16-bit samples
    usual  (samples or more,) float32, sound at 16-bit scale
    """
    end = f.CHANNELS + f.HISTORY + silk[f.CHANNELS + f.MEMORY_SAMPLES]
    here = 0.0
    there = 1.0
    for i in range(samples):
        here += float(silk[end - samples + i]) ** 2
        there += float(usual[i]) ** 2
    return here > _LOUDER * there


@kernel("void(int64[::1], int64[::1], int64[::1], int64[::1])")
def end_hole(
    silk: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
    planned: NDArray[np.int64],
) -> None:
    """Let the next frame follow as if nothing had been lost: no filter widened, no ramp.

    silk           (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    before, after  (STATE_SIZE,) int64, the layer before the hole, and after the frame behind it;
                   units as of `silk`
    planned        (2,) int64, flags: 1 for each channel that has sound
    """
    for c in range(silk[f.CODED_CHANNELS]):
        if planned[c] == 0:
            continue
        block = f.CHANNELS + c * f.CHANNEL_SIZE
        silk[block + f.LOST_FRAMES] = 0
        silk[block + f.CONCEALED_BEFORE] = 0
        for k in range(block + f.NLSF_BEFORE_Q15, block + f.NLSF_BEFORE_Q15 + f.ORDER_MAX):
            silk[k] = (before[k] + after[k]) >> 1
