"""Where everything lies in the SILK layer's arrays.

One stream's history is one int64 array: fields that both channels share, then one block per
channel, CHANNEL_SIZE apart. What lives only while a frame is decoded is in a scratch array that
all streams of a thread can share. A field with a number in brackets is the first of as many.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Record, whole

SUBFRAMES_MAX: Final = 4
ORDER_MAX: Final = 16
FRAME_SAMPLES_MAX: Final = 320  # 20 ms at 16 kHz
LTP_TAPS: Final = 5
INTERNAL_CHANNELS: Final = 2

INACTIVE: Final = 0  # 1 is unvoiced
VOICED: Final = 2

# How the first gain, the pitch lag and the LTP scale of a frame are coded (4.2.7.4, 4.2.7.6).
INDEPENDENT: Final = 0
INDEPENDENT_NO_LTP_SCALE: Final = 1
CONDITIONAL: Final = 2

# How a channel's frame is to be had.
MADE_UP: Final = 0
AT_REST: Final = 1
"""Read; its flag says that nobody speaks."""
ACTIVE: Final = 2

# Shared by both channels.
CODED_CHANNELS: Final = 0
OUTPUT_CHANNELS: Final = 1
FRAMES_DECODED: Final = 2
FRAMES: Final = 3
"""SILK frames in the Opus frame: 1 to 3."""
MID_ONLY_BEFORE: Final = 4
STEREO_Q13: Final = 5  # [2]
"""Prediction weights of the frame before."""
MID_TAIL: Final = 7  # [2]
SIDE_TAIL: Final = 9  # [2]
WEIGHTS_Q13: Final = 11  # [2]
"""Prediction weights of this frame."""
CHANNELS: Final = 16
"""Where the first channel's block begins."""

# Per channel, from the start of its block.
RATE_KHZ: Final = 0
OUTPUT_KHZ: Final = 1
SUBFRAMES: Final = 2
FRAME_SAMPLES: Final = 3
SUBFRAME_SAMPLES: Final = 4
MEMORY_SAMPLES: Final = 5
"""Length of the output history: 20 ms."""
ORDER: Final = 6
LOST_FRAMES: Final = 7
SIGNAL_BEFORE: Final = 8
FRESH: Final = 9
"""1 until the first good frame after a reset."""
LAG_BEFORE: Final = 10
GAIN_INDEX_BEFORE: Final = 11
GAIN_BEFORE_Q16: Final = 12
CODED_SIGNAL_BEFORE: Final = 13
"""Signal type of the symbols parsed last, LBRR included."""
CODED_LAG_BEFORE: Final = 14
LBRR: Final = 15
ACTIVE_FLAGS: Final = 16  # [3]
LBRR_FLAGS: Final = 19  # [3]

PITCH_Q8: Final = 22  # concealment, from here on
PITCH_SEED: Final = 23
NOISE_SCALE_Q14: Final = 24
LTP_SCALE_BEFORE_Q14: Final = 25
GAINS_BEFORE_Q16: Final = 26  # [2]
CONCEALED_BEFORE: Final = 28
CONCEALED_ENERGY: Final = 29
CONCEALED_SHIFT: Final = 30
CONCEAL_RATE_KHZ: Final = 31
CONCEAL_SUBFRAME: Final = 32
CONCEAL_SUBFRAMES: Final = 33
CONCEAL_LTP_Q14: Final = 34  # [5]

COMFORT_RATE_KHZ: Final = 39  # comfort noise, from here on
COMFORT_SEED: Final = 40
COMFORT_GAIN_Q16: Final = 41
COMFORT_NLSF_Q15: Final = 42  # [16]
COMFORT_LPC_Q14: Final = 58  # [16]

RESAMPLER_MODE: Final = 74
RESAMPLER_STEP_Q16: Final = 75
RESAMPLER_DELAYED: Final = 76
RESAMPLER_IIR: Final = 77  # [6]
RESAMPLER_FIR: Final = 83  # [36]
RESAMPLER_DELAY: Final = 119  # [16]

NLSF_BEFORE_Q15: Final = 135  # [16]
LPC_BEFORE_Q12: Final = 151  # [16]
LPC_TAIL_Q14: Final = 167  # [16]
EXCITATION_Q14: Final = 183  # [320]
COMFORT_EXCITATION_Q14: Final = 503  # [320]
HISTORY: Final = 823  # [320]
"""The last 20 ms of output at RATE_KHZ."""

CHANNEL_SIZE: Final = 1152
STATE_SIZE: Final = CHANNELS + INTERNAL_CHANNELS * CHANNEL_SIZE

# Scratch: the symbols of one SILK frame.
SIGNAL: Final = 0
OFFSET_TYPE: Final = 1
SEED: Final = 2
INTERPOLATION_Q2: Final = 3
LAG_INDEX: Final = 4
CONTOUR_INDEX: Final = 5
PERIODICITY: Final = 6
LTP_SCALE_INDEX: Final = 7
GAIN_INDICES: Final = 8  # [4]
LTP_INDICES: Final = 12  # [4]
NLSF_INDICES: Final = 16  # [17]

# Scratch: what they mean.
GAINS_Q16: Final = 40  # [4]
LAGS: Final = 44  # [4]
LTP_Q14: Final = 48  # [20]
LTP_SCALE: Final = 68
LPC_FIRST_Q12: Final = 72  # [16]
"""Short-term filter of the first half of the frame."""
LPC_Q12: Final = 88  # [16]
NLSF_Q15: Final = 104  # [16]

# Scratch: room to work in.
WORK: Final = 128  # [96], filters
BLOCKS: Final = 232  # [42], pulses and low bits of each shell block
PULSES: Final = 280  # [336]
LPC_RUN_Q14: Final = 616  # [16 + 320]
RESIDUAL_Q14: Final = 952  # [320]
WHITENED: Final = 1280  # [640]
"""Output history and its residual, 20 ms of history then the frame."""
RESIDUAL_Q15: Final = 1920  # [640]
FRAME_OUT: Final = 2560  # [2 x 324]
"""Both channels' output: two samples of the frame before, then this frame's."""
FRAME_OUT_SIZE: Final = 324
RESAMPLED: Final = 3208  # [960 x 2]
"""What the resampler makes of one SILK frame: 20 ms at 48 kHz, per channel."""
DOUBLED: Final = 5128  # [8 + 320]
DELAYED: Final = 5456  # [320]
SCRATCH_SIZE: Final = 5776


class SilkFrame(Record):
    """The SILK layer of one Opus frame: what the caller says of it, and the room to decode it."""

    rate_khz: int = whole("kHz", "The layer's own rate: 8, 12 or 16.")
    output_khz: int = whole("kHz", "8, 12, 16, 24 or 48.")
    coded_channels: int = whole("", "Channels in the frame.")
    output_channels: int = whole("", "Channels that are wanted.")
    frame_ms: int = whole("ms", "10, 20, 40 or 60.")
    scratch: NDArray[np.int64] = whole("", "Scratch of one SILK frame, see above.", (SCRATCH_SIZE,))


class SilkHole(Record):
    """A frame of a hole that is filled with sound that somebody else made."""

    earlier: NDArray[np.int64] = whole("", "The layer before the frame.", (STATE_SIZE,))
    planned: NDArray[np.int64] = whole("", "1 for each channel that has sound.", (2,))
