"""Fixed-point arithmetic of the SILK layer: 32-bit values held in int64, wrapped by hand.

The names of values end in `_qN`: N bits behind the point. A product of a 32-bit and a 16-bit
value is shifted right with truncation towards minus infinity wherever the layer needs it.
"""

from node.kernel import inner_kernel
from node.opus.range_decoder import ilog


@inner_kernel("int64(int64)")
def wrap32(x: int) -> int:
    """Return `x` as a 32-bit register holds it."""
    return ((x + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@inner_kernel("int64(int64)")
def wrap16(x: int) -> int:
    """Return `x` as a 16-bit register holds it."""
    return ((x + 0x8000) & 0xFFFF) - 0x8000


@inner_kernel("int64(int64)")
def clamp16(x: int) -> int:
    """Return `x` held to the range of 16 bits."""
    return min(max(x, -32768), 32767)


@inner_kernel("int64(int64)")
def clamp32(x: int) -> int:
    """Return `x` held to the range of 32 bits."""
    return min(max(x, -0x80000000), 0x7FFFFFFF)


@inner_kernel("int64(int64, int64)")
def round_shift(x: int, bits: int) -> int:
    """Return `x` / 2^`bits`, a half rounded up; `bits` >= 1."""
    return ((x >> (bits - 1)) + 1) >> 1


@inner_kernel("int64(int64)")
def next_random(seed: int) -> int:
    """Return the generator's next state, a 32-bit signed value (4.2.7.8.6)."""
    return wrap32(seed * 196314165 + 907633515)


@inner_kernel("int64(int64, int64)")
def inverse_q(b: int, q: int) -> int:
    """Return 2^`q` / `b` for `b` > 0, to about 29 bits, the way every decoder must."""
    headroom = 31 - ilog(b)
    norm = b << headroom
    estimate = (0x7FFFFFFF >> 2) // (norm >> 16)
    error_q32 = wrap32(((1 << 29) - ((norm * estimate) >> 16)) << 3)
    result = wrap32((estimate << 16) + ((error_q32 * estimate) >> 16))
    shift = 61 - headroom - q
    if shift <= 0:
        return clamp32(result << -shift)
    return result >> shift if shift < 32 else 0


@inner_kernel("int64(int64, int64, int64)")
def divide_q(a: int, b: int, q: int) -> int:
    """Return `a` * 2^`q` / `b` for `b` > 0, to about 29 bits, the way every decoder must."""
    a_headroom = 31 - ilog(abs(a))
    b_headroom = 31 - ilog(b)
    a_norm = a << a_headroom
    b_norm = b << b_headroom
    estimate = (0x7FFFFFFF >> 2) // (b_norm >> 16)
    result = (a_norm * estimate) >> 16
    rest = wrap32(a_norm - wrap32(((b_norm * result) >> 32) << 3))
    result = wrap32(result + ((rest * estimate) >> 16))
    shift = 29 + a_headroom - b_headroom - q
    if shift < 0:
        return clamp32(result << -shift)
    return result >> shift if shift < 32 else 0


@inner_kernel("int64(int64)")
def approximate_root(x: int) -> int:
    """Return about the square root of `x` (4.2.7.5.3)."""
    if x <= 0:
        return 0
    bits = ilog(x)
    fraction = (x >> (bits - 8) if bits >= 8 else x << (8 - bits)) & 127
    y = (32768 if bits & 1 else 46214) >> ((32 - bits) >> 1)
    return y + ((213 * fraction * y) >> 16)


@inner_kernel("int64(int64)")
def exponential_q7(x: int) -> int:
    """Return about 2^(`x` / 128) for 0 <= `x` < 3967 (4.2.7.4)."""
    whole = x >> 7
    fraction = x & 127
    curve = ((-174 * fraction * (128 - fraction)) >> 16) + fraction
    power = 1 << whole
    # Small powers lose their last bits otherwise; large ones would not fit into 32 bits.
    return power + ((power * curve) >> 7 if whole < 16 else (power >> 7) * curve)
