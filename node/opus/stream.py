"""Where one Opus stream's history lies, and the room that decoding works in.

A stream is two arrays: `ints` (INTS_SIZE,) int64 and `floats` (FLOATS_SIZE,) float32, so that a
copy of a decoder is a copy of two arrays, and a batch of streams is one more axis. The room holds
nothing between packets, and streams that are decoded in turn may share it.

=========  ==========================  ==========================================================
`room`     int64   (ROOM_SIZE,)        range decoders, frames of the packet, both layers' scratch
`work`     float32 (WORK_SIZE,)        the CELT layer's scratch
`spare`    float32 (SPARE_ROWS, ch)    sound that is mixed or faded into the output
`silence`  uint8   (2,)                0xFF twice: a CELT frame of silence
=========  ==========================  ==========================================================
"""

from typing import Final

from node.opus.celt.layout import CELT_FLOAT_SIZE, CELT_INT_SIZE, PLAN_SIZE
from node.opus.packet import FRAMES_MAX
from node.opus.range_decoder import RC_SIZE
from node.opus.silk.state import SCRATCH_SIZE, STATE_SIZE

# ints: the stream as a whole
OUTPUT_KHZ: Final = 0
OUTPUT_CHANNELS: Final = 1
MODE: Final = 2
"""Of the packet decoded last: packet.MODE_*."""
MODE_BEFORE: Final = 3
"""Of the frame decoded or concealed last."""
REDUNDANT_BEFORE: Final = 4
"""1 if the last frame ended with a redundant CELT frame, for the change to CELT (4.5.1)."""
FRAME_SAMPLES: Final = 5
"""Frame size of the last packet at the output rate."""
END_BAND: Final = 6
CODED_CHANNELS: Final = 7
SILK_KHZ: Final = 8
SILK_CHANNELS: Final = 9
FINAL_RANGE: Final = 10
"""Range after the last frame, with the redundant frame's XORed in; 0 after concealment."""
SILK: Final = 16
CELT: Final = SILK + STATE_SIZE
INTS_SIZE: Final = CELT + CELT_INT_SIZE

# floats
GAIN: Final = 0
# 1 to 3 are free
PAST: Final = 4
FLOATS_SIZE: Final = PAST + CELT_FLOAT_SIZE

# room
RC: Final = 0
RC_REDUNDANT: Final = RC_SIZE
FRAMES: Final = 2 * RC_SIZE
SCRATCH: Final = FRAMES + 2 * FRAMES_MAX
PLAN: Final = SCRATCH + SCRATCH_SIZE
ROOM_SIZE: Final = PLAN + PLAN_SIZE

# spare, in rows
LOW: Final = 0
"""SILK's part: 60 ms at 48 kHz at most, 10 ms at least even if less is wanted."""
REDUNDANT: Final = 2880
TRANSITION: Final = REDUNDANT + 240
SPARE_ROWS: Final = TRANSITION + 240
