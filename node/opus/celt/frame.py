"""One CELT frame: the order of its symbols, and what stays for the next (RFC 6716, Table 56).

The caller owns the range decoder: in a hybrid frame SILK has read from it before, and its
range after the frame is what the encoder's was.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inlined, inner_kernel
from node.opus.celt.allocation import BIT, decode_allocation, decode_boosts, set_caps
from node.opus.celt.anti_collapse import fill_collapsed
from node.opus.celt.bands import decode_shapes
from node.opus.celt.energy import (
    decode_coarse_energy,
    decode_fine_energy,
    finish_energy,
    rc_celt_icdf,
)
from node.opus.celt.fine_bits import split_fine_bits
from node.opus.celt.layout import (
    BACKGROUND,
    ENERGY,
    ENERGY_1,
    ENERGY_2,
    ENERGY_BEFORE,
    HOLE,
    LOSS_PERIOD,
    LOST,
    LOUD,
    SEED,
    SILENCE_LOG2,
    CeltFrame,
)
from node.opus.celt.lost_energy import correct_energies
from node.opus.celt.resolution import decode_resolution
from node.opus.celt.synthesis import filter_pitch, synthesise, write_out
from node.opus.celt.tables_celt import (
    BANDS,
    SHORT_SAMPLES,
    SPREAD_BITS,
    SPREAD_ICDF,
    TAPSET_BITS,
    TAPSET_ICDF,
    TRIM_BITS,
    TRIM_ICDF,
)
from node.opus.range_decoder import (
    rc_bit_logp,
    rc_bits,
    rc_tell,
    rc_tell_frac,
    rc_uint,
)

OVERRUN: Final = -3
"""Result for a frame that used more bits than it has (the number is libopus's)."""
_SPREAD_NORMAL: Final = 2
_TRIM_NONE: Final = 5
_BACKGROUND_RISE: Final = 0.001
"""log2 units per 2.5 ms: about 2.4 dB/s."""
_LOUD_NORMAL: Final = np.float32(6.0)
"""Of speech at a usual level, before any was heard."""
_LOST_LONG: Final = 80
"""After 200 ms of concealment the noise floor is what comes next."""


@inner_kernel("void(int64[::1], float32[::1])")
def celt_reset(celt: NDArray[np.int64], past: NDArray[np.float32]) -> None:
    """Forget the stream (section 4.5.2).

    celt  (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past  (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    """
    celt[:] = 0
    past[:] = np.float32(0.0)
    for i in range(2 * BANDS):
        past[ENERGY_1 + i] = np.float32(SILENCE_LOG2)
        past[ENERGY_2 + i] = np.float32(SILENCE_LOG2)
        past[LOUD + i] = _LOUD_NORMAL


@inlined
def _decode_flags(frame: CeltFrame) -> int:
    """Read silence, post-filter and transient; return whether the energies are intra."""
    rc = frame.rc[0]
    frame_bits = rc.end * 8
    silence = 1 if rc_tell(rc) >= frame_bits else 0
    if rc_tell(rc) == 1:
        silence = rc_bit_logp(rc, 15)
    if silence:
        rc.total_bits += frame_bits - rc_tell(rc)  # as if all had been used
    frame.silence = silence
    comb = frame.combs[2]
    comb.period = 0
    comb.tapset = 0
    comb.gain = np.float32(0.0)
    if frame.start == 0 and rc_tell(rc) + 16 <= frame_bits and rc_bit_logp(rc, 1) == 1:
        octave = rc_uint(rc, 6)
        comb.period = (16 << octave) + rc_bits(rc, 4 + octave) - 1
        comb.gain = np.float32(3 * (rc_bits(rc, 3) + 1)) / np.float32(32.0)
        if rc_tell(rc) + 2 <= frame_bits:
            comb.tapset = rc_celt_icdf(rc, TAPSET_ICDF, TAPSET_BITS)
    frame.transient = 0
    if frame.lm > 0 and rc_tell(rc) + 3 <= frame_bits:
        frame.transient = rc_bit_logp(rc, 3)
    frame.blocks = 1 << frame.lm if frame.transient else 1
    return rc_bit_logp(rc, 3) if rc_tell(rc) + 3 <= frame_bits else 0


@inlined
def _decode_budget(frame: CeltFrame) -> tuple[int, int]:
    """Read the allocation; return the anti-collapse bit's reserve and what nobody could use."""
    rc = frame.rc[0]
    frame_bits = rc.end * 8
    frame.spread = _SPREAD_NORMAL
    if rc_tell(rc) + 4 <= frame_bits:
        frame.spread = rc_celt_icdf(rc, SPREAD_ICDF, SPREAD_BITS)
    set_caps(frame)
    left = decode_boosts(frame)
    trim = _TRIM_NONE
    if rc_tell_frac(rc) + 6 * BIT <= left:
        trim = rc_celt_icdf(rc, TRIM_ICDF, TRIM_BITS)
    total = frame_bits * BIT - rc_tell_frac(rc) - 1
    reserve = 0
    if frame.transient and frame.lm >= 2 and total >= (frame.lm + 2) * BIT:
        reserve = BIT
    decode_allocation(frame, trim, total - reserve)
    return reserve, split_fine_bits(frame)


@inlined
def _keep_energies(celt: NDArray[np.int64], past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Leave the energies as the next frame's prediction and anti-collapse want them.

    The background follows every frame; libopus 1.3.1 leaves out transient ones, 1.6.1 does not
    (settled by the sound of `fec_hybrid_FB_20ms_1ch` with twelve frames lost).
    """
    start, end = frame.start, frame.end
    if frame.coded_channels == 1:
        for band in range(BANDS):
            past[ENERGY + BANDS + band] = past[ENERGY + band]
    rise = np.float32(1.0 if celt[LOST] >= _LOST_LONG else _BACKGROUND_RISE * (1 << frame.lm))
    fall = np.float32(_BACKGROUND_RISE * (1 << frame.lm))
    for i in range(2 * BANDS):
        energy = past[ENERGY + i]
        if frame.transient:
            past[ENERGY_1 + i] = min(past[ENERGY_1 + i], energy)
        else:
            past[ENERGY_2 + i] = past[ENERGY_1 + i]
            past[ENERGY_1 + i] = energy
        past[BACKGROUND + i] = min(past[BACKGROUND + i] + rise, energy)
        past[LOUD + i] = max(past[LOUD + i] - fall, energy)
        if i % BANDS < start or i % BANDS >= end:
            past[ENERGY + i] = np.float32(0.0)
            past[ENERGY_1 + i] = np.float32(SILENCE_LOG2)
            past[ENERGY_2 + i] = np.float32(SILENCE_LOG2)


@inlined
def _decode_spectrum(celt: NDArray[np.int64], past: NDArray[np.float32], frame: CeltFrame) -> None:
    """Read all symbols of the frame in the order of Table 56: SHAPE and ENERGY."""
    rc = frame.rc[0]
    work = frame.work[:]
    coded = frame.coded_channels
    frame_bits = rc.end * 8
    if coded == 1:
        for band in range(BANDS):
            at = ENERGY + band
            past[at] = max(past[at], past[at + BANDS])
    after_loss = celt[HOLE] == 1 and frame.start == 0
    if after_loss:
        for i in range(2 * BANDS):
            work[ENERGY_BEFORE + i] = past[ENERGY + i]
    intra = _decode_flags(frame)
    decode_coarse_energy(past, frame, intra)
    decode_resolution(frame)
    reserve, balance = _decode_budget(frame)
    decode_fine_energy(past, frame)
    frame.noise = celt[SEED]
    decode_shapes(frame, frame_bits * BIT - reserve, balance)
    collapsed = rc_bits(rc, 1) if reserve > 0 else 0
    finish_energy(past, frame, frame_bits - rc_tell(rc))
    if after_loss and not intra:
        frames = max(celt[LOST] >> frame.lm, 1)
        correct_energies(past, work, frame.end, frame.lm, frames, coded)
    if collapsed:
        fill_collapsed(past, frame)
    if frame.silence:
        for i in range(coded * BANDS):
            past[ENERGY + i] = np.float32(SILENCE_LOG2)
    celt[SEED] = rc.range


@inner_kernel("int64(int64[::1], float32[::1], CeltFrame, float32[:, ::1])")
def celt_decode_frame(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    frame: CeltFrame,
    out: NDArray[np.float32],
) -> int:
    """Decode one frame of at least 2 bytes; return 0, or OVERRUN if it is broken.

    celt   (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past   (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    frame  its bytes, its bands, length and channels; the rest of it is set here
    out    ((120 << lm) / divisor or more, output_channels) float32, full scale 1.0
    """
    rc = frame.rc[0]
    channels = frame.output_channels
    frame.in_phase = 1 if channels == 1 else 0
    _decode_spectrum(celt, past, frame)
    synthesise(past, frame)
    filter_pitch(celt, past, frame)
    write_out(past, SHORT_SAMPLES << frame.lm, channels, frame.divisor, out)
    _keep_energies(celt, past, frame)
    celt[LOST] = 0
    celt[HOLE] = 0
    celt[LOSS_PERIOD] = 0
    return OVERRUN if rc_tell(rc) > rc.end * 8 else 0
