"""Angle between the two halves of a split, or between mid and side (RFC 6716, 4.3.4.4)."""

from typing import Final

from node.kernel import inner_kernel
from node.opus.celt.allocation import BIT
from node.opus.celt.layout import CeltFrame
from node.opus.celt.tables_celt import EXP2_Q14, LOG_WIDTH_Q3
from node.opus.range_decoder import (
    RangeDecoder,
    ilog,
    rc_bit_logp,
    rc_decode,
    rc_tell_frac,
    rc_uint,
    rc_update,
)

RIGHT_ANGLE: Final = 16384
_OFFSET_SPLIT: Final = 4
_OFFSET_PAIR: Final = 16
"""Two bins of joint stereo: one degree of freedom, which asks for fewer levels."""
_LOW_WEIGHT: Final = 3
"""How much likelier a stereo angle up to the middle is than one above."""


@inner_kernel("int64(int64, int64)")
def multiply_q15(a: int, b: int) -> int:
    """Return the rounded product of two 16-bit numbers, at least one of them Q15."""
    return (16384 + a * b) >> 15


@inner_kernel("int64(int64)")
def cosine_q15(angle_q14: int) -> int:
    """Return the cosine of `angle_q14` (16384 is a right angle): part of the format."""
    x = (4096 + angle_q14 * angle_q14) >> 13
    series = multiply_q15(x, 8277 + multiply_q15(-626, x))
    return 1 + (32767 - x) + multiply_q15(x, -7651 + series)


@inner_kernel("int64(int64, int64)")
def log2_tangent_q11(sine: int, cosine: int) -> int:
    """Return log2(sine / cosine), 2048 per octave, of two Q15 numbers: part of the format."""
    sine_bits = ilog(sine)
    cosine_bits = ilog(cosine)
    sine <<= 15 - sine_bits
    cosine <<= 15 - cosine_bits
    return (
        (sine_bits - cosine_bits) * 2048
        + multiply_q15(sine, multiply_q15(sine, -2597) + 7932)
        - multiply_q15(cosine, multiply_q15(cosine, -2597) + 7932)
    )


@inner_kernel("int64(int64, int64, int64, int64, int64)")
def theta_levels(n: int, bits: int, offset: int, cap: int, stereo: int) -> int:
    """Return the number of steps of the angle, 1 for none.

    n        values in each half
    bits     eighths of a bit for both halves and the angle
    offset   bias per degree of freedom; cap: 8 log2 of the band's width
    """
    freedom = 2 * n - 1
    if stereo and n == 2:
        freedom -= 1
    wanted = max(0, bits + freedom * offset) // freedom
    wanted = min(wanted, bits - cap - 4 * BIT, 8 * BIT)
    if wanted < BIT // 2:
        return 1
    levels = EXP2_Q14[wanted & 7] >> (14 - (wanted >> 3))
    return int((levels + 1) >> 1 << 1)


@inner_kernel("int64(int64)")
def integer_root(n: int) -> int:
    """Return the integer part of the square root of 0 <= `n` < 2^32."""
    root = 0
    bit = 1 << ((ilog(n) - 1) >> 1) if n > 0 else 0
    while bit > 0:
        if (root + bit) * (root + bit) <= n:
            root += bit
        bit >>= 1
    return root


@inner_kernel("int64(RangeDecoder, int64)")
def _stepped(rc: RangeDecoder, levels: int) -> int:
    """Return a stereo angle: up to the middle three times as likely as above."""
    middle = levels // 2
    low_total = _LOW_WEIGHT * (middle + 1)
    total = low_total + middle
    place = rc_decode(rc, total)
    if place < low_total:
        level = place // _LOW_WEIGHT
        rc_update(rc, _LOW_WEIGHT * level, _LOW_WEIGHT * (level + 1), total)
        return level
    rc_update(rc, place, place + 1, total)
    return middle + 1 + place - low_total


@inner_kernel("int64(RangeDecoder, int64)")
def _triangular(rc: RangeDecoder, levels: int) -> int:
    """Return an angle of one block: likeliest in the middle, falling to both sides."""
    half = levels >> 1
    total = (half + 1) * (half + 1)
    place = rc_decode(rc, total)
    if place < half * (half + 1) >> 1:
        level = (integer_root(8 * place + 1) - 1) >> 1
        width = level + 1
        low = level * (level + 1) >> 1
    else:
        level = (2 * (levels + 1) - integer_root(8 * (total - place - 1) + 1)) >> 1
        width = levels + 1 - level
        low = total - ((levels + 1 - level) * (levels + 2 - level) >> 1)
    rc_update(rc, low, low + width, total)
    return level


@inner_kernel("UniTuple(int64, 3)(CeltFrame, int64, int64, int64, int64, int64)")
def decode_theta(
    frame: CeltFrame,
    n: int,
    bits: int,
    blocks: int,
    lm: int,
    stereo: int,
) -> tuple[int, int, int]:
    """Return the angle in Q14, its cost in eighths of a bit, and whether the side is inverted.

    n     values in each half
    bits  eighths of a bit for both halves and the angle
    """
    rc = frame.rc[0]
    cap = LOG_WIDTH_Q3[frame.band] + lm * 8
    offset = (cap >> 1) - (_OFFSET_PAIR if stereo and n == 2 else _OFFSET_SPLIT)
    levels = theta_levels(n, bits, offset, cap, stereo)
    if stereo and frame.band >= frame.intensity:
        levels = 1
    before = rc_tell_frac(rc)
    theta = 0
    inverted = 0
    if levels != 1:
        if stereo and n > 2:
            theta = _stepped(rc, levels)
        elif stereo or blocks > 1:
            theta = rc_uint(rc, levels + 1)
        else:
            theta = _triangular(rc, levels)
        theta = theta * RIGHT_ANGLE // levels
    elif stereo and bits > 2 * BIT and frame.remaining > 2 * BIT:
        inverted = rc_bit_logp(rc, 2)
        if frame.in_phase:
            inverted = 0
    return theta, rc_tell_frac(rc) - before, inverted


@inner_kernel("UniTuple(int64, 3)(int64, int64)")
def gains_and_tilt(theta: int, n: int) -> tuple[int, int, int]:
    """Return mid and side gain in Q15, and how many more eighths of a bit the mid deserves."""
    if theta == 0:
        return 32767, 0, -RIGHT_ANGLE
    if theta == RIGHT_ANGLE:
        return 0, 32767, RIGHT_ANGLE
    mid = cosine_q15(theta)
    side = cosine_q15(RIGHT_ANGLE - theta)
    return mid, side, multiply_q15((n - 1) << 7, log2_tangent_q11(side, mid))
