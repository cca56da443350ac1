"""Pyramid vector quantiser: bits to pulses, index to vector, spreading (RFC 6716, 4.3.4)."""

from math import pi, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.opus.celt.layout import BAND_BINS_MAX, CeltFrame
from node.opus.celt.tables_celt import PULSE_COST, SPREAD_FACTOR
from node.opus.range_decoder import rc_uint

_ROWS: Final = 16
_COLUMNS: Final = BAND_BINS_MAX + 2


def _count_words() -> NDArray[np.int64]:
    """Return U(n, k), the code words of n values and k pulses whose first value is not < 1.

    That is, those that begin with a positive value, k < 1 pulses counting none. Both arguments
    can be swapped; the table is [smaller][larger]. V(n, k) of section 4.3.4.2 is
    U(n, k) + U(n, k + 1). No word of the format has a count of 2^32 or more: cut off there.
    """
    count = np.zeros((_ROWS, _COLUMNS), np.int64)
    count[1, 1:] = 1
    for n in range(2, _ROWS):
        for k in range(n, _COLUMNS):
            up = count[n - 1, k] + count[n - 1, k - 1]
            left = count[n, k - 1] if k > n else count[n - 1, n]
            count[n, k] = min(up + left, 1 << 33)
    return count.reshape(-1)


WORDS: Final = _count_words()


@inner_kernel("int64(int64, int64)")
def words(n: int, k: int) -> int:
    """Return U(n, k)."""
    low = min(n, k)
    return int(WORDS[low * _COLUMNS + n + k - low])


@inner_kernel("int64(int64, int64)")
def bits_to_pulses(row: int, bits: int) -> int:
    """Return the pseudo-pulse count whose cost is nearest to `bits` (section 4.3.4.1).

    row   where the costs of the band begin in PULSE_COST
    """
    low = 0
    high = PULSE_COST[row]
    bits -= 1
    while high - low > 1:
        middle = (low + high) >> 1
        if PULSE_COST[row + middle] >= bits:
            high = middle
        else:
            low = middle
    below = -1 if low == 0 else PULSE_COST[row + low]
    return int(low if bits - below <= PULSE_COST[row + high] - bits else high)


@inner_kernel("int64(int64, int64)")
def pulses_to_bits(row: int, pseudo: int) -> int:
    """Return the cost of a pseudo-pulse count in eighths of a bit."""
    return int(PULSE_COST[row + pseudo] + 1) if pseudo > 0 else 0


@inner_kernel("int64(float32[::1], int64, int64, int64, int64)")
def unrank(work: NDArray[np.float32], x: int, n: int, k: int, index: int) -> int:
    """Write code word `index` of `n` >= 2 values and `k` >= 1 pulses; return its energy.

    The first value takes the pulses that leave the most words at or below `index`: then as
    many remain as the largest k' with U(n, k') <= index.

    work  (WORK_SIZE,) float32; `n` values from work[x] on are set, counts of pulses
    """
    energy = 0
    while n > 2 and k > 0:
        left = k
        if n > k:  # few pulses: mostly zeros, so look at zero first
            low = WORDS[k * _COLUMNS + n]
            above = words(n, k + 1)
            negative = index >= above
            if negative:
                index -= above
            if low > index:
                while low > index:
                    left -= 1
                    low = WORDS[left * _COLUMNS + n]
        else:
            row = n * _COLUMNS
            above = WORDS[row + k + 1]
            negative = index >= above
            if negative:
                index -= above
            while left >= n and WORDS[row + left] > index:
                left -= 1
            while words(n, left) > index:
                left -= 1
            low = words(n, left)
        index -= low
        size = k - left
        energy += size * size
        work[x] = np.float32(-size if negative else size)
        k = left
        x += 1
        n -= 1
    if k == 0:
        for i in range(x, x + n):
            work[i] = np.float32(0.0)
        return energy
    negative = index >= 2 * k + 1  # two values left: U(2, k) = 2 k - 1
    if negative:
        index -= 2 * k + 1
    left = (index + 1) >> 1
    if left > 0:
        index -= 2 * left - 1
    size = k - left
    work[x] = np.float32(-size if negative else size)
    work[x + 1] = np.float32(-left if index == 1 else left)
    return int(energy + size * size + left * left)


@inner_kernel("void(float32[::1], int64, int64, int64, float32, float32)")
def _rotate_chain(
    work: NDArray[np.float32], x: int, n: int, stride: int, cosine: np.float32, sine: np.float32
) -> None:
    """Rotate values `stride` apart, each pair in turn, forth and back (section 4.3.4.3)."""
    for i in range(x, x + n - stride):
        first = work[i]
        second = work[i + stride]
        work[i + stride] = cosine * second + sine * first
        work[i] = cosine * first - sine * second
    for i in range(x + n - 2 * stride - 1, x - 1, -1):
        first = work[i]
        second = work[i + stride]
        work[i + stride] = cosine * second + sine * first
        work[i] = cosine * first - sine * second


@inner_kernel("UniTuple(float32, 2)(float64)")
def _cosine_and_sine(angle: float) -> tuple[np.float32, np.float32]:
    """Return both for 0 <= `angle` <= pi/4, by series: the same bits on every machine."""
    t = angle * angle
    cosine = 1.0 - t * (1 / 2 - t * (1 / 24 - t * (1 / 720 - t * (1 / 40320 - t / 3628800))))
    sine = 1.0 - t * (1 / 6 - t * (1 / 120 - t * (1 / 5040 - t / 362880)))
    return np.float32(cosine), np.float32(angle * sine)


@inner_kernel("void(float32[::1], int64, int64, int64, int64, int64)")
def spread_pulses(
    work: NDArray[np.float32], x: int, n: int, k: int, blocks: int, spread: int
) -> None:
    """Rotate a decoded vector so that few pulses do not sound like few tones (4.3.4.3).

    work  (WORK_SIZE,) float32; `n` values from work[x] on, norm kept
    """
    if 2 * k >= n or spread == 0:
        return
    gain = n / (n + SPREAD_FACTOR[spread - 1] * k)
    cosine, sine = _cosine_and_sine(pi / 4 * gain * gain)
    stride = 0
    if n >= 8 * blocks:
        stride = 1
        # round(sqrt(n / blocks)), in integers
        while (stride * stride + stride) * blocks + (blocks >> 2) < n:
            stride += 1
    size = n // blocks
    for block in range(blocks):
        if stride > 0:
            _rotate_chain(work, x + block * size, size, stride, sine, cosine)
        _rotate_chain(work, x + block * size, size, 1, cosine, sine)


@inner_kernel("int64(float32[::1], int64, int64, int64)")
def filled_blocks(work: NDArray[np.float32], x: int, n: int, blocks: int) -> int:
    """Return a mask: bit b is 1 when block b of the vector has a pulse.

    work  (WORK_SIZE,) float32; `n` values from work[x] on, any norm
    """
    if blocks <= 1:
        return 1
    mask = 0
    size = n // blocks
    for block in range(blocks):
        for i in range(x + block * size, x + (block + 1) * size):
            if work[i] != 0.0:
                mask |= 1 << block
                break
    return mask


@inner_kernel("int64(CeltFrame, int64, int64, int64, int64, float64)")
def decode_pulses(frame: CeltFrame, x: int, n: int, k: int, blocks: int, gain: float) -> int:
    """Decode `n` values of `k` pulses, of norm `gain`, to `work[x]`; return the filled blocks."""
    work = frame.work[:]
    energy = unrank(work, x, n, k, rc_uint(frame.rc[0], words(n, k) + words(n, k + 1)))
    mask = filled_blocks(work, x, n, blocks)
    scale = np.float32(gain / sqrt(energy))
    for i in range(x, x + n):
        work[i] *= scale
    spread_pulses(work, x, n, k, blocks, frame.spread)
    return mask
