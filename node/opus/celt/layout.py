"""Where everything lies in CELT's arrays: two of state, two of scratch.

====================  ===================================================================
`celt`   int64        what the decoder keeps between frames, whole numbers
`past`   float32      what it keeps, real numbers: energies, history of sound, filters
`plan`   int64        scratch of one frame: allocation, masks, the band that is decoded
`work`   float32      scratch of one frame: shapes, folding sources, spectra, transforms
====================  ===================================================================

The history of one channel is the sound before de-emphasis, newest last, and after it the raw
tail of the last transform, which waits for its overlap with the next one:

    past[HISTORY + channel * HISTORY_STRIDE] ...
    |  2048 finished samples                   | 60 raw samples |
"""

from typing import Final

from node.opus.celt.tables_celt import BANDS, SHORT_SAMPLES

OVERLAP: Final = SHORT_SAMPLES
HALF_OVERLAP: Final = SHORT_SAMPLES // 2
FRAME_MAX: Final = 8 * SHORT_SAMPLES
SILENCE_LOG2: Final = -28.0
"""Band energy that stands for nothing at all."""

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

# plan: whole numbers of one frame, by band
CAP: Final = 0
BOOST: Final = CAP + BANDS
THRESHOLD: Final = BOOST + BANDS
BITS_LOW: Final = THRESHOLD + BANDS
BITS_MORE: Final = BITS_LOW + BANDS
TILT: Final = BITS_MORE + BANDS
SHAPE_BITS: Final = TILT + BANDS
"""Eighths of a bit for the shape of each band."""
FINE_BITS: Final = SHAPE_BITS + BANDS
FINE_LAST: Final = FINE_BITS + BANDS
"""1 where a band's extra energy bit has to wait for the others' (4.3.2.2)."""
TF: Final = FINE_LAST + BANDS
MASK: Final = TF + BANDS
"""[band][channel]: bit k is 1 when block k of the band is not empty."""
# plan: of the frame and of the band that is being decoded
CODED_BANDS: Final = MASK + 2 * BANDS
INTENSITY: Final = CODED_BANDS + 1
DUAL: Final = INTENSITY + 1
SPREAD: Final = DUAL + 1
BAND: Final = SPREAD + 1
REMAINING: Final = BAND + 1
"""Eighths of a bit left for all shapes to come."""
NOISE: Final = REMAINING + 1
IN_PHASE: Final = NOISE + 1
"""1 to ignore phase inversion, for listeners who mix down (RFC 8251, section 10)."""
TRANSIENT: Final = IN_PHASE + 1
SILENCE: Final = TRANSIENT + 1
NEW_PERIOD: Final = SILENCE + 1
NEW_TAPSET: Final = NEW_PERIOD + 1
NEW_GAIN_Q5: Final = NEW_TAPSET + 1
"""Post-filter of this frame; its gain in 1/32."""
FOLD_FROM: Final = NEW_GAIN_Q5 + 1
"""Folding source that is not yet at the band's resolution, or -1: where it begins in `work`."""
FOLD_BINS: Final = FOLD_FROM + 1
FOLD_BLOCKS: Final = FOLD_BINS + 1
FOLD_MERGE: Final = FOLD_BLOCKS + 1
FOLD_DIVIDE: Final = FOLD_MERGE + 1
PLAN_SIZE: Final = FOLD_DIVIDE + 1

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
