"""One Opus stream's history, and the room that decoding works in: two records.

All that is kept of a stream is one record, so that a copy of a decoder is a copy of a record, and a
batch of streams an array of them. The room holds nothing between packets, and streams that are
decoded in turn may share it. Beside it is `spare`, (SPARE_ROWS, channels) float32: sound that is
mixed or faded into the output.
"""

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Record, Records, nested, whole
from node.opus.celt.layout import CELT_FLOAT_SIZE, CELT_INT_SIZE, CeltFrame
from node.opus.packet import FRAMES_MAX
from node.opus.range_decoder import RangeDecoder
from node.opus.silk.state import STATE_SIZE, SilkFrame

LOW: Final = 0
"""Row of `spare` with SILK's part: 60 ms at 48 kHz at most, 10 ms at least if less is wanted."""
REDUNDANT: Final = 2880
TRANSITION: Final = REDUNDANT + 240
SPARE_ROWS: Final = TRANSITION + 240


class Stream(Record):
    """What stays of a stream between its packets."""

    output_khz: int = whole("kHz", "Rate of the output.")
    output_channels: int = whole("", "Channels of the output.")
    mode: int = whole("", "Of the packet decoded last: packet.MODE_*.")
    mode_before: int = whole("", "Of the frame decoded or concealed last.")
    redundant_before: int = whole(
        "", "1 if the last frame ended with a redundant CELT frame, for the change to CELT (4.5.1)."
    )
    frame_samples: int = whole("samples", "Frame size of the last packet at the output rate.")
    end_band: int = whole("", "One past the last band of the CELT layer.")
    coded_channels: int = whole("", "Channels in the packet.")
    silk_khz: int = whole("kHz", "The SILK layer's own rate.")
    silk_channels: int = whole("", "Channels in the SILK layer.")
    final_range: int = whole(
        "",
        "Range after the last frame, with the redundant frame's XORed in; 0 after concealment.",
    )
    silk: NDArray[np.int64] = whole("", "The SILK layer, see `silk.state`.", (STATE_SIZE,))
    celt: NDArray[np.int64] = whole("", "The CELT layer, see `celt.layout`.", (CELT_INT_SIZE,))
    past: NDArray[np.float32] = whole(
        "", "Its energies, filters and history.", (CELT_FLOAT_SIZE,), np.float32
    )


class Room(Record):
    """Where a packet is decoded."""

    toc: int = whole("", "The packet's first byte.")
    length: int = whole("bytes", "Of the frame, without the redundant one behind it.")
    redundant: int = whole("bytes", "Of the redundant frame, 0 for none.")
    redundant_first: int = whole("", "1 if it comes first in time (4.5.1).")
    parts: NDArray[np.int64] = whole(
        "bytes", "Begin and size of each frame in the packet.", (2 * FRAMES_MAX,)
    )
    kept: Records[RangeDecoder] = nested(
        RangeDecoder, "The frame, while another one is read in its place.", (1,)
    )
    celt: Records[CeltFrame] = nested(CeltFrame, "The frame, and its CELT layer.", (1,))
    silk: Records[SilkFrame] = nested(SilkFrame, "Its SILK layer.", (1,))


def raw(stream: Records[Stream]) -> NDArray[np.uint8]:
    """Return the bytes of a stream, (n,) uint8, to be copied as one: by fields takes four times."""
    return cast(NDArray[np.void], stream).view(np.uint8)
