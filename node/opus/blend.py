r"""From the sound before a hole to the sound after it, band by band.

Two sounds fill the hole: the one before it run on, and the one after it run backwards. In 10 ms
pieces that overlap by half, the first gives way to the second. A band that falls follows a straight
line in decibels from its level before the hole to that after it. One that rises does so late: of
what is quiet in a hole it is worse to make it loud than the other way round.

    level of a band   ‾‾‾|\ . . hole . .|        before: falls along the line
                         |  \_           |
                         |     ‾ ‾ --.._|_____   after: already below the line, left as it is
"""

from math import cos, pi, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel
from node.kernel.record import Record, whole
from node.opus.backward import BACK_MAX, BACKWARD_SIZE
from node.opus.celt.fourier import POINTS_MAX, transform
from node.opus.celt.inverse_mdct import exp2

PIECE_MAX: Final = POINTS_MAX
"""10 ms at 48 kHz; other rates take 120 or 60 samples, which `transform` can do."""

_EDGES: Final = np.array(
    [0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 68, 80, 96, 120, 156, 200, 241]
)
"""In lines of the transform, about 100 Hz each: CELT's bands, which follow the ear's."""
_BANDS: Final = _EDGES.size - 1
_FLOOR: Final = 1e-3

# Room to work in, float32.
_RE: Final = 0
_IM: Final = PIECE_MAX
_OTHER_RE: Final = 2 * PIECE_MAX
_OTHER_IM: Final = 3 * PIECE_MAX
_LEVELS: Final = 4 * PIECE_MAX
"""By how many log2 units a band is louder after the hole than before."""
_LEVELS_AFTER: Final = _LEVELS + _BANDS
_SUM: Final = _LEVELS_AFTER + _BANDS
SUM_MAX: Final = 4096
BLEND_SIZE: Final = _SUM + 2 * SUM_MAX

_WINDOWS: Final = np.zeros((3, PIECE_MAX), np.float32)
_SIZES: Final = (60, 120, 480)
for _place, _n in enumerate(_SIZES):
    _WINDOWS[_place, :_n] = [sqrt(0.5 - 0.5 * cos(2 * pi * (i + 0.5) / _n)) for i in range(_n)]


@inner_kernel("float64(float64)")
def _log2(x: float) -> float:
    """Return the logarithm of x > 0, the same on every machine."""
    whole = 0.0
    while x >= 2.0:
        x *= 0.5
        whole += 1.0
    while x < 1.0:
        x *= 2.0
        whole -= 1.0
    t = (x - 1.0) / (x + 1.0)
    s = t * t
    series = 1.0 + s * (1 / 3 + s * (1 / 5 + s * (1 / 7 + s * (1 / 9 + s * (1 / 11 + s / 13)))))
    return whole + 2.8853900817779268 * t * series


@inner_kernel("int64(int64)")
def _row(piece: int) -> int:
    return 0 if piece == 60 else 1 if piece == 120 else 2


@inner_kernel("UniTuple(int64, 2)(float32[::1], int64)")
def _turn(work: NDArray[np.float32], piece: int) -> tuple[int, int]:
    """Transform what lies at _RE and _IM; return where the result lies."""
    swapped = transform(
        work[_RE : _RE + piece],
        work[_IM : _IM + piece],
        work[_OTHER_RE : _OTHER_RE + piece],
        work[_OTHER_IM : _OTHER_IM + piece],
        piece,
    )
    return (_OTHER_RE, _OTHER_IM) if swapped else (_RE, _IM)


@inner_kernel("void(float32[::1], int64, float32[::1], int64)")
def _band_powers(
    sound: NDArray[np.float32], piece: int, work: NDArray[np.float32], target: int
) -> None:
    """Set work[target:] to the mean power of a line in each band of no more than a piece."""
    count = sound.size
    row = _row(piece)
    for i in range(piece):
        value = sound[i] if i < count else np.float32(0.0)
        work[_RE + i] = _WINDOWS[row, i] * value
        work[_IM + i] = np.float32(0.0)
    re, im = _turn(work, piece)
    lines = piece // 2 + 1
    for band in range(_BANDS):
        power = 0.0
        last = min(_EDGES[band + 1], lines)
        for k in range(min(_EDGES[band], lines), last):
            power += float(work[re + k]) ** 2 + float(work[im + k]) ** 2
        width = max(last - _EDGES[band], 1)
        work[target + band] = np.float32(power / width * piece / max(count, 1) + _FLOOR)


@inner_kernel("float64(float32[::1], int64, float32[::1], int64, int64)")
def _likeness(a: NDArray[np.float32], i: int, b: NDArray[np.float32], j: int, n: int) -> float:
    """Return the normalised correlation of `n` samples, not below 0."""
    both = 0.0
    first = second = 1e-9
    for k in range(n):
        x, y = float(a[i + k]), float(b[j + k])
        both += x * y
        first += x * x
        second += y * y
    return max(0.0, both / sqrt(first * second))


@inner_kernel("void(float32[::1], int64, float64, float64, boolean)")
def _mix_piece(
    work: NDArray[np.float32], piece: int, along: float, alike: float, is_short: bool
) -> None:
    """Turn the transform of both sounds (one real, one imaginary) into that of their mixture."""
    share = along * along * (3.0 - 2.0 * along)
    share *= share
    left = 1.0 - along
    late = along * along
    down, up = along, 1.0 - late * late  # what begins after the hole is heard near its end
    if is_short:
        share *= share
        down = 1.0 - left * left
    keep = 1.0 - share
    loud = 1.0 / sqrt(keep * keep + share * share + 2.0 * alike * keep * share)
    re, im = _turn(work, piece)
    to_re, to_im = (_OTHER_RE, _OTHER_IM) if re == _RE else (_RE, _IM)
    lines = piece // 2 + 1
    for band in range(_BANDS):
        level = float(work[_LEVELS + band])
        before = loud * keep * exp2(min(0.0, down * level))
        after = loud * share * exp2(min(0.0, -up * level))
        for k in range(min(_EDGES[band], lines), min(_EDGES[band + 1], lines)):
            mirror = (piece - k) % piece
            sum_re = np.float32(0.5) * (work[re + k] + work[re + mirror])
            sum_im = np.float32(0.5) * (work[im + k] - work[im + mirror])
            dif_re = np.float32(0.5) * (work[im + k] + work[im + mirror])
            dif_im = np.float32(0.5) * (work[re + mirror] - work[re + k])
            x = np.float32(before * sum_re + after * dif_re)
            y = np.float32(before * sum_im + after * dif_im)
            # Real and imaginary part change places: the way forth is then the way back.
            work[to_re + k], work[to_im + k] = y, x
            work[to_re + mirror], work[to_im + mirror] = -y, x
    for k in range(piece):
        work[_RE + k], work[_IM + k] = work[to_re + k], work[to_im + k]


class Blending(Record):
    """How one channel's hole is filled, and the room for it."""

    rate_khz: int = whole("kHz", "The layer's own rate.")
    order: int = whole("", "Of its short-term filter.")
    period: int = whole("samples", "Of the sound before the hole.")
    piece: int = whole("samples", "What is transformed at a time: 60, 120 or 480.")
    is_short: int = whole(
        "", "1: frames are; the sound before goes on for longer, and bands fall sooner."
    )
    back: NDArray[np.float32] = whole(
        "", "Half a piece before the hole, the hole, half a piece of what comes after it.",
        (BACK_MAX,), np.float32,
    )  # fmt: skip
    backward: NDArray[np.float32] = whole(
        "", "Room to run backwards.", (BACKWARD_SIZE,), np.float32
    )
    work: NDArray[np.float32] = whole("", "Room to blend.", (BLEND_SIZE,), np.float32)


@inner_kernel("void(Blending, float32[::1], int64, float32[::1], float32[::1])")
def blend(
    way: Blending,
    front: NDArray[np.float32],
    begin: int,
    after: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Fill `out` with sound that leads from the one before the hole to the one after it.

    way    how, and `back`
    front  (n,) float32, any one unit: the sound before the hole, a piece or more, and from `begin`
           on what it would have gone on as, half a piece beyond the hole
    after  (n,) float32, same unit: the sound after the hole
    out    (hole,) float32, same unit
    """
    piece, hole, is_short = way.piece, out.size, way.is_short == 1
    back, work = way.back[:], way.work[:]
    half = piece >> 1
    total = hole + 2 * half
    first = begin - half
    _band_powers(front[begin - piece : begin], piece, work, _LEVELS)
    _band_powers(after[: min(piece, after.size)], piece, work, _LEVELS_AFTER)
    for band in range(_BANDS):
        before, behind = float(work[_LEVELS + band]), float(work[_LEVELS_AFTER + band])
        work[_LEVELS + band] = np.float32(0.5 * (_log2(behind) - _log2(before)))
    alike = _likeness(front, begin, back, half, hole)
    row = _row(piece)
    for i in range(2 * SUM_MAX):
        work[_SUM + i] = np.float32(0.0)
    at = 0
    while at <= total - piece:
        for i in range(piece):
            work[_RE + i] = _WINDOWS[row, i] * front[first + at + i]
            work[_IM + i] = _WINDOWS[row, i] * back[at + i]
        along = min(1.0, float(at) / float(hole))
        _mix_piece(work, piece, along, alike, is_short)
        _, im = _turn(work, piece)
        for i in range(piece):
            window = _WINDOWS[row, i]
            work[_SUM + at + i] += window * work[im + i] / np.float32(piece)
            work[_SUM + SUM_MAX + at + i] += window * window
        at += half
    seam = piece // 10
    for i in range(hole):
        weight = max(work[_SUM + SUM_MAX + half + i], np.float32(0.001))
        out[i] = work[_SUM + half + i] / weight
    for i in range(min(seam, hole)):
        share = (np.float32(i) + np.float32(0.5)) / np.float32(seam)
        out[i] = (np.float32(1.0) - share) * front[begin + i] + share * out[i]
        j = hole - 1 - i
        out[j] = (np.float32(1.0) - share) * back[half + j] + share * out[j]
