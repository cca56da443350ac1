"""One SILK frame of one channel: decode it or make it up, and keep its history."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.range_decoder import RangeDecoder
from node.opus.silk import state as f
from node.opus.silk.comfort_noise import comfort_noise, reset_comfort_noise
from node.opus.silk.concealment import (
    conceal,
    join_frames,
    remember_frame,
    reset_concealment,
)
from node.opus.silk.excitation import parse_excitation
from node.opus.silk.indices import parse_indices
from node.opus.silk.parameters import decode_parameters
from node.opus.silk.resampler import start_resampler
from node.opus.silk.synthesis import make_excitation, synthesise

_LAG_AT_RESET: Final = 100
_GAIN_INDEX_AT_RESET: Final = 10


@inner_kernel("void(int64[::1], int64)")
def reset_channel(silk: NDArray[np.int64], channel: int) -> None:
    """Forget everything about the channel whose block begins at `channel` (4.5.2).

    silk  (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    """
    for k in range(f.CHANNEL_SIZE):
        silk[channel + k] = 0
    silk[channel + f.FRESH] = 1
    silk[channel + f.GAIN_BEFORE_Q16] = 1 << 16
    reset_comfort_noise(silk, channel)
    reset_concealment(silk, channel)


@inner_kernel("void(int64[::1], int64, int64, int64, int64)")
def set_rate(
    silk: NDArray[np.int64], channel: int, rate_khz: int, output_khz: int, subframes: int
) -> None:
    """Follow the stream's rate and frame size; a new rate starts the channel's filters anew.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    channel  where the channel's block begins in `silk`
    """
    silk[channel + f.SUBFRAMES] = subframes
    silk[channel + f.SUBFRAME_SAMPLES] = 5 * rate_khz
    silk[channel + f.FRAME_SAMPLES] = 5 * rate_khz * subframes
    changed = silk[channel + f.RATE_KHZ] != rate_khz
    if changed or silk[channel + f.OUTPUT_KHZ] != output_khz:
        start_resampler(silk, channel, rate_khz, output_khz)
        silk[channel + f.OUTPUT_KHZ] = output_khz
    if changed:
        silk[channel + f.RATE_KHZ] = rate_khz
        silk[channel + f.MEMORY_SAMPLES] = 20 * rate_khz
        silk[channel + f.ORDER] = 16 if rate_khz == 16 else 10
        silk[channel + f.FRESH] = 1
        silk[channel + f.LAG_BEFORE] = _LAG_AT_RESET
        silk[channel + f.GAIN_INDEX_BEFORE] = _GAIN_INDEX_AT_RESET
        silk[channel + f.SIGNAL_BEFORE] = f.INACTIVE
        for k in range(f.FRAME_SAMPLES_MAX):
            silk[channel + f.HISTORY + k] = 0
        for k in range(f.ORDER_MAX):
            silk[channel + f.LPC_TAIL_Q14 + k] = 0


@inner_kernel("void(RangeDecoder, int64[::1], int64, int64[::1], int64, int64)")
def decode_channel(
    rc: RangeDecoder,
    silk: NDArray[np.int64],
    c: int,
    scratch: NDArray[np.int64],
    wanted: int,
    coding: int,
) -> None:
    """Write one SILK frame of channel `c` behind the two samples before it in FRAME_OUT.

    silk     (STATE_SIZE,) int64, what stays between frames: 16-bit samples, and Qn by name
    scratch  (SCRATCH_SIZE,) int64, scratch of one frame: 16-bit samples, and Qn by name
    wanted   MADE_UP, AT_REST or ACTIVE
    coding   INDEPENDENT, INDEPENDENT_NO_LTP_SCALE or CONDITIONAL
    """
    channel = f.CHANNELS + c * f.CHANNEL_SIZE
    out = f.FRAME_OUT + c * f.FRAME_OUT_SIZE + 2
    samples = silk[channel + f.FRAME_SAMPLES]
    if silk[channel + f.CONCEAL_RATE_KHZ] != silk[channel + f.RATE_KHZ]:
        reset_concealment(silk, channel)
    if wanted != f.MADE_UP:
        parse_indices(rc, silk, channel, scratch, wanted == f.ACTIVE, coding)
        parse_excitation(rc, scratch, samples)
        decode_parameters(silk, channel, scratch, coding)
        make_excitation(silk, channel, scratch)
        synthesise(silk, channel, scratch, out)
        remember_frame(silk, channel, scratch)
        silk[channel + f.LOST_FRAMES] = 0
        silk[channel + f.SIGNAL_BEFORE] = scratch[f.SIGNAL]
        silk[channel + f.FRESH] = 0
    else:
        conceal(silk, channel, scratch, out)
        silk[channel + f.LOST_FRAMES] += 1
    history = channel + f.HISTORY
    kept = silk[channel + f.MEMORY_SAMPLES] - samples
    for i in range(kept):
        silk[history + i] = silk[history + samples + i]
    for i in range(samples):
        silk[history + kept + i] = scratch[out + i]
    comfort_noise(silk, channel, scratch, out)
    join_frames(silk, channel, scratch, out)
    last = f.LAGS + silk[channel + f.SUBFRAMES] - 1
    silk[channel + f.LAG_BEFORE] = scratch[last]
