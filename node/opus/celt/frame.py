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
    IN_PHASE,
    LOSS_PERIOD,
    LOST,
    LOUD,
    NEW_GAIN_Q5,
    NEW_PERIOD,
    NEW_TAPSET,
    NOISE,
    SEED,
    SILENCE,
    SILENCE_LOG2,
    SPREAD,
    TRANSIENT,
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
    BEGIN,
    END,
    RANGE,
    TOTAL_BITS,
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
def _decode_flags(
    rc: NDArray[np.int64], data: NDArray[np.uint8], plan: NDArray[np.int64], start: int, lm: int
) -> int:
    """Read silence, post-filter and transient; return whether the energies are intra."""
    frame_bits = (rc[END] - rc[BEGIN]) * 8
    silence = 1 if rc_tell(rc) >= frame_bits else 0
    if rc_tell(rc) == 1:
        silence = rc_bit_logp(rc, data, 15)
    if silence:
        rc[TOTAL_BITS] += frame_bits - rc_tell(rc)  # as if all had been used
    plan[SILENCE] = silence
    plan[NEW_PERIOD] = 0
    plan[NEW_GAIN_Q5] = 0
    plan[NEW_TAPSET] = 0
    if start == 0 and rc_tell(rc) + 16 <= frame_bits and rc_bit_logp(rc, data, 1) == 1:
        octave = rc_uint(rc, data, 6)
        plan[NEW_PERIOD] = (16 << octave) + rc_bits(rc, data, 4 + octave) - 1
        plan[NEW_GAIN_Q5] = 3 * (rc_bits(rc, data, 3) + 1)
        if rc_tell(rc) + 2 <= frame_bits:
            plan[NEW_TAPSET] = rc_celt_icdf(rc, data, TAPSET_ICDF, TAPSET_BITS)
    plan[TRANSIENT] = 0
    if lm > 0 and rc_tell(rc) + 3 <= frame_bits:
        plan[TRANSIENT] = rc_bit_logp(rc, data, 3)
    return rc_bit_logp(rc, data, 3) if rc_tell(rc) + 3 <= frame_bits else 0


@inlined
def _decode_budget(
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    coded: int,
    lm: int,
) -> tuple[int, int]:
    """Read the allocation; return the anti-collapse bit's reserve and what nobody could use."""
    frame_bits = (rc[END] - rc[BEGIN]) * 8
    plan[SPREAD] = _SPREAD_NORMAL
    if rc_tell(rc) + 4 <= frame_bits:
        plan[SPREAD] = rc_celt_icdf(rc, data, SPREAD_ICDF, SPREAD_BITS)
    set_caps(plan, start, end, coded, lm)
    left = decode_boosts(rc, data, plan, start, end, coded, lm)
    trim = _TRIM_NONE
    if rc_tell_frac(rc) + 6 * BIT <= left:
        trim = rc_celt_icdf(rc, data, TRIM_ICDF, TRIM_BITS)
    total = frame_bits * BIT - rc_tell_frac(rc) - 1
    reserve = 0
    if plan[TRANSIENT] and lm >= 2 and total >= (lm + 2) * BIT:
        reserve = BIT
    decode_allocation(rc, data, plan, start, end, coded, lm, trim, total - reserve)
    return reserve, split_fine_bits(plan, start, end, coded, lm)


@inlined
def _keep_energies(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    plan: NDArray[np.int64],
    start: int,
    end: int,
    coded: int,
    lm: int,
) -> None:
    """Leave the energies as the next frame's prediction and anti-collapse want them.

    The background follows every frame; libopus 1.3.1 leaves out transient ones, 1.6.1 does not
    (settled by the sound of `fec_hybrid_FB_20ms_1ch` with twelve frames lost).
    """
    if coded == 1:
        for band in range(BANDS):
            past[ENERGY + BANDS + band] = past[ENERGY + band]
    rise = np.float32(1.0 if celt[LOST] >= _LOST_LONG else _BACKGROUND_RISE * (1 << lm))
    fall = np.float32(_BACKGROUND_RISE * (1 << lm))
    for i in range(2 * BANDS):
        energy = past[ENERGY + i]
        if plan[TRANSIENT]:
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
def _decode_spectrum(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    lm: int,
    coded: int,
) -> None:
    """Read all symbols of the frame in the order of Table 56: SHAPE and ENERGY."""
    frame_bits = (rc[END] - rc[BEGIN]) * 8
    if coded == 1:
        for band in range(BANDS):
            at = ENERGY + band
            past[at] = max(past[at], past[at + BANDS])
    after_loss = celt[HOLE] == 1 and start == 0
    if after_loss:
        for i in range(2 * BANDS):
            work[ENERGY_BEFORE + i] = past[ENERGY + i]
    intra = _decode_flags(rc, data, plan, start, lm)
    decode_coarse_energy(rc, data, past, start, end, intra, coded, lm)
    decode_resolution(rc, data, plan, start, end, plan[TRANSIENT], lm)
    reserve, balance = _decode_budget(rc, data, plan, start, end, coded, lm)
    decode_fine_energy(rc, data, past, plan, start, end, coded)
    blocks = 1 << lm if plan[TRANSIENT] else 1
    plan[NOISE] = celt[SEED]
    total = frame_bits * BIT - reserve
    decode_shapes(rc, data, plan, work, start, end, coded, blocks, lm, total, balance)
    collapsed = rc_bits(rc, data, 1) if reserve > 0 else 0
    finish_energy(rc, data, past, plan, start, end, coded, frame_bits - rc_tell(rc))
    if after_loss and not intra:
        correct_energies(past, work, end, lm, max(celt[LOST] >> lm, 1), coded)
    if collapsed:
        fill_collapsed(past, plan, work, start, end, coded, lm)
    if plan[SILENCE]:
        for i in range(coded * BANDS):
            past[ENERGY + i] = np.float32(SILENCE_LOG2)
    celt[SEED] = rc[RANGE]


@inner_kernel(
    "int64(int64[::1], float32[::1], int64[::1], float32[::1], int64[::1], uint8[::1], "
    "int64, int64, int64, int64, int64, int64, float32[:, ::1])"
)
def celt_decode_frame(
    celt: NDArray[np.int64],
    past: NDArray[np.float32],
    plan: NDArray[np.int64],
    work: NDArray[np.float32],
    rc: NDArray[np.int64],
    data: NDArray[np.uint8],
    start: int,
    end: int,
    lm: int,
    coded: int,
    channels: int,
    divisor: int,
    out: NDArray[np.float32],
) -> int:
    """Decode one frame of at least 2 bytes; return 0, or OVERRUN if it is broken.

    celt        (CELT_INT_SIZE,) int64, what stays between frames: samples, 2.5 ms, flags
    past        (CELT_FLOAT_SIZE,) float32, what stays: energies as log2, sound at 16-bit scale
    plan        (PLAN_SIZE,) int64, scratch of the frame: eighths of a bit, indices, masks
    work        (WORK_SIZE,) float32, scratch: unit vectors, spectra, sound at 16-bit scale
    rc          (RC_SIZE,) int64, the range decoder's state: bytes and bits
    data        (n,) uint8, bytes of the payload
    start, end  bands: 0 or 17 in hybrid frames, and 13 to 21 by bandwidth
    lm          log2 of the frame's length in 2.5 ms
    coded       channels in the frame; channels: of `out`
    divisor     48000 over the output rate: 1, 2, 3, 4 or 6
    out         ((120 << lm) / divisor or more, channels) float32, full scale 1.0
    """
    samples = SHORT_SAMPLES << lm
    plan[IN_PHASE] = 1 if channels == 1 else 0
    _decode_spectrum(celt, past, plan, work, rc, data, start, end, lm, coded)
    bins = samples // divisor
    synthesise(celt, past, plan, work, start, end, lm, coded, channels, bins)
    filter_pitch(celt, past, plan, lm, channels)
    write_out(past, samples, channels, divisor, out)
    _keep_energies(celt, past, plan, start, end, coded, lm)
    celt[LOST] = 0
    celt[HOLE] = 0
    celt[LOSS_PERIOD] = 0
    return OVERRUN if rc_tell(rc) > (rc[END] - rc[BEGIN]) * 8 else 0
