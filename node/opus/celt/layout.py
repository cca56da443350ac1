"""Where everything lies in CELT's arrays, two of state, and in the record of one frame.

====================  ===================================================================
`celt`   int64        what the decoder keeps between frames, whole numbers
`past`   float32      what it keeps, real numbers: energies, history of sound, filters
`frame`  CeltFrame    what is known of one frame, and scratch: allocation, masks, the band that
                      is decoded, and in `frame.work` shapes, folding sources, spectra, transforms
====================  ===================================================================

The history of one channel is the sound before de-emphasis, newest last, and after it the raw
tail of the last transform, which waits for its overlap with the next one:

    past[HISTORY + channel * HISTORY_STRIDE] ...
    |  2048 finished samples                   | 60 raw samples |
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import Record, Records, nested, whole
from node.opus.celt.tables_celt import BANDS, SHORT_SAMPLES
from node.opus.range_decoder import RangeDecoder

OVERLAP: Final = SHORT_SAMPLES
HALF_OVERLAP: Final = SHORT_SAMPLES // 2
FRAME_MAX: Final = 8 * SHORT_SAMPLES
SILENCE_LOG2: Final = -28.0
"""Band energy that stands for nothing at all."""

NOTHING: Final = -1
"""Place of a folding source, or of a target, that is not there."""

# celt: whole numbers between frames
SEED: Final = 0
"""Final range of the last frame: the seed of the noise in the next (section 4.3.4)."""
PERIOD: Final = 1
PERIOD_OLD: Final = 2
TAPSET: Final = 3
TAPSET_OLD: Final = 4
LOST: Final = 5
"""Concealed time since the last received frame, in 2.5 ms."""
LOSS_PERIOD: Final = 6
"""Pitch period that the running concealment repeats, in samples; 0 for none yet."""
LOST_PACKET: Final = 7
"""1 while a lost packet is made up, and not an empty frame; the decoder sets it."""
HOLE: Final = 8
"""1 from a lost packet to the next frame, whose energies are coded against the lost ones."""
CELT_INT_SIZE: Final = 9

# past: real numbers between frames; energies are log2 of the amplitude, [channel][band]
ENERGY: Final = 0
ENERGY_1: Final = ENERGY + 2 * BANDS
"""Energy of the frame before, as anti-collapse sees it."""
ENERGY_2: Final = ENERGY_1 + 2 * BANDS
BACKGROUND: Final = ENERGY_2 + 2 * BANDS
"""Slowly rising minimum: the noise floor that long concealment fades to."""
LOUD: Final = BACKGROUND + 2 * BANDS
"""Slowly falling maximum: how loud the sound has been of late, for lost frames."""
GAIN: Final = LOUD + 2 * BANDS
GAIN_OLD: Final = GAIN + 1
DE_EMPHASIS: Final = GAIN_OLD + 1
HISTORY: Final = DE_EMPHASIS + 2
HISTORY_SAMPLES: Final = 2048
HISTORY_STRIDE: Final = HISTORY_SAMPLES + HALF_OVERLAP
PREDICTOR: Final = HISTORY + 2 * HISTORY_STRIDE
"""Short-term predictor of each channel that the running concealment uses."""
PREDICTOR_ORDER: Final = 24
CELT_FLOAT_SIZE: Final = PREDICTOR + 2 * PREDICTOR_ORDER

# work: real numbers of one frame
SHAPE: Final = 0
"""[channel][bin] unit vectors, channels FRAME_MAX apart."""
NORM: Final = SHAPE + 2 * FRAME_MAX
"""[channel][bin] the shapes so far, scaled to unit power per bin: what folding copies from."""
FOLD: Final = NORM + 2 * FRAME_MAX
BAND_BINS_MAX: Final = 176
TURN: Final = FOLD + BAND_BINS_MAX
SPECTRUM: Final = TURN + BAND_BINS_MAX
ENERGY_BEFORE: Final = SPECTRUM
"""Energies before the frame, until its spectrum is made."""
CORE: Final = SPECTRUM + 2 * FRAME_MAX
TRANSFORM: Final = CORE + FRAME_MAX
"""Four vectors of FRAME_MAX / 2: real and imaginary parts, twice."""
WORK_SIZE: Final = TRANSFORM + 2 * FRAME_MAX
# work: while concealing, over the same place
SLOW: Final = 0
"""History at half of the rate, for the search of the period."""
CUT: Final = SLOW + HISTORY_SAMPLES // 2
ANALYSIS_SAMPLES: Final = 1024
CORRELATION: Final = CUT + ANALYSIS_SAMPLES
RESIDUAL: Final = CORRELATION + 2 * 32
EXTENSION: Final = RESIDUAL + ANALYSIS_SAMPLES + PREDICTOR_ORDER
"""What goes on where the history ends, up to the end of the next overlap."""


class Comb(Record):
    """One setting of the pitch post-filter."""

    period: int = whole("samples", "Period of the echo.")
    tapset: int = whole("", "Which of the three sets of taps.")
    gain: np.float32 = whole("", "Gain of the echo, a ratio; 0 for none.", of=np.float32)


class CeltFrame(Record):
    """One frame: what the caller says of it, what its symbols say, and the room to decode it."""

    rc: Records[RangeDecoder] = nested(RangeDecoder, "Its bytes, and what is read of them.", (1,))
    start: int = whole("", "First band: 0, or 17 in hybrid frames.")
    end: int = whole("", "One past the last band: 13 to 21 by bandwidth.")
    lm: int = whole("", "log2 of the frame's length in 2.5 ms.")
    coded_channels: int = whole("", "Channels in the frame.")
    output_channels: int = whole("", "Channels that are wanted.")
    divisor: int = whole("", "48000 over the output rate: 1, 2, 3, 4 or 6.")
    in_phase: int = whole(
        "", "1 to ignore phase inversion, for listeners who mix down (RFC 8251, section 10)."
    )
    silence: int = whole("", "1: all bands are silent.")
    transient: int = whole("", "1: the frame is cut into short blocks.")
    blocks: int = whole("", "Short blocks that its bins interleave, 1 for none.")
    combs: Records[Comb] = nested(Comb, "Post-filter two frames ago, before, and now.", (3,))
    cap: NDArray[np.int64] = whole("bits / 8", "The most that each band can use.", (BANDS,))
    boost: NDArray[np.int64] = whole("bits / 8", "What each band gets on top.", (BANDS,))
    threshold: NDArray[np.int64] = whole("bits / 8", "Least for a shape.", (BANDS,))
    tilt: NDArray[np.int64] = whole("bits / 8", "What the trim asks for.", (BANDS,))
    bits_low: NDArray[np.int64] = whole("bits / 8", "By the table's lower row.", (BANDS,))
    bits_more: NDArray[np.int64] = whole("bits / 8", "Up to its higher row.", (BANDS,))
    shape_bits: NDArray[np.int64] = whole("bits / 8", "For each band's shape.", (BANDS,))
    fine_bits: NDArray[np.int64] = whole("bits", "For each band's fine energy.", (BANDS,))
    fine_last: NDArray[np.int64] = whole(
        "", "1 where a band's extra energy bit has to wait for the others' (4.3.2.2).", (BANDS,)
    )
    tf: NDArray[np.int64] = whole(
        "", "Resolution of each band: > 0 finer in frequency, < 0 finer in time.", (BANDS,)
    )
    mask: NDArray[np.int64] = whole(
        "", "[band][channel]: bit k is 1 when block k of the band is not empty.", (2 * BANDS,)
    )
    coded_bands: int = whole("", "One past the last band that has a shape.")
    intensity: int = whole("", "First band of intensity stereo.")
    dual: int = whole("", "1: two channels that share nothing.")
    spread: int = whole("", "How much few pulses are spread out, 0 to 3.")
    remaining: int = whole("bits / 8", "Left for all shapes to come.")
    noise: int = whole("", "State of the noise generator, 32 bits.")
    band: int = whole("", "The band that is decoded now.")
    bins: int = whole("", "Its bins.")
    source: int = whole("", "Where in `work` it folds from, or NOTHING.")
    target: int = whole("", "Where in `work` later bands fold from, or NOTHING.")
    split_blocks: int = whole("", "Blocks of the band at its own resolution.")
    source_shift: int = whole("", "From a value in `work` to the one that it folds from.")
    fold_from: int = whole(
        "", "Where a source begins that is not yet at the band's resolution, or NOTHING."
    )
    fold_merge: int = whole("", "By how many doublings it becomes so.")
    fold_divide: int = whole("", "By how many halvings, after that.")
    work: NDArray[np.float32] = whole(
        "", "Shapes, sources, spectra: see above.", (WORK_SIZE,), np.float32
    )
