"""Fourier transform of 60, 120, 240 or 480 complex values in float32, radix 4, 2, 5 and 3.

Stockham's order: each pass reads one pair of vectors and writes another, results in natural
order. Real and imaginary parts lie apart, so that the vector unit can take eight at a time.
"""

from math import cos, pi, sin
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.kernel import inner_kernel

POINTS_MAX: Final = 480
_ANGLES: Final = [2 * pi * i / POINTS_MAX for i in range(POINTS_MAX)]
ROOT_RE: Final = np.array([cos(a) for a in _ANGLES]).astype(np.float32)
ROOT_IM: Final = np.array([-sin(a) for a in _ANGLES]).astype(np.float32)

_SIN_3: Final = np.float32(sin(2 * pi / 3))
_COS_5_1: Final = np.float32(cos(2 * pi / 5))
_COS_5_2: Final = np.float32(cos(4 * pi / 5))
_SIN_5_1: Final = np.float32(sin(2 * pi / 5))
_SIN_5_2: Final = np.float32(sin(4 * pi / 5))
_HALF: Final = np.float32(0.5)

_PASS: Final = "void(float32[::1], float32[::1], float32[::1], float32[::1], int64, int64)"


@inner_kernel(_PASS)
def _radix_4(
    ar: NDArray[np.float32],
    ai: NDArray[np.float32],
    br: NDArray[np.float32],
    bi: NDArray[np.float32],
    n: int,
    stride: int,
) -> None:
    quarter = n >> 2
    step = POINTS_MAX // n
    gap = quarter * stride
    for p in range(quarter):
        w1r, w1i = ROOT_RE[p * step], ROOT_IM[p * step]
        w2r, w2i = ROOT_RE[2 * p * step], ROOT_IM[2 * p * step]
        w3r, w3i = ROOT_RE[3 * p * step], ROOT_IM[3 * p * step]
        for q in range(stride):
            i = p * stride + q
            o = 4 * p * stride + q
            sum_r, sum_i = ar[i] + ar[i + 2 * gap], ai[i] + ai[i + 2 * gap]
            dif_r, dif_i = ar[i] - ar[i + 2 * gap], ai[i] - ai[i + 2 * gap]
            odd_r, odd_i = ar[i + gap] + ar[i + 3 * gap], ai[i + gap] + ai[i + 3 * gap]
            rot_r, rot_i = ai[i + gap] - ai[i + 3 * gap], ar[i + 3 * gap] - ar[i + gap]
            br[o], bi[o] = sum_r + odd_r, sum_i + odd_i
            xr, xi = dif_r + rot_r, dif_i + rot_i
            br[o + stride], bi[o + stride] = xr * w1r - xi * w1i, xr * w1i + xi * w1r
            xr, xi = sum_r - odd_r, sum_i - odd_i
            br[o + 2 * stride], bi[o + 2 * stride] = xr * w2r - xi * w2i, xr * w2i + xi * w2r
            xr, xi = dif_r - rot_r, dif_i - rot_i
            br[o + 3 * stride], bi[o + 3 * stride] = xr * w3r - xi * w3i, xr * w3i + xi * w3r


@inner_kernel(_PASS)
def _radix_2(
    ar: NDArray[np.float32],
    ai: NDArray[np.float32],
    br: NDArray[np.float32],
    bi: NDArray[np.float32],
    n: int,
    stride: int,
) -> None:
    half = n >> 1
    step = POINTS_MAX // n
    xr, xi = ar[: n * stride].reshape(2, half, stride), ai[: n * stride].reshape(2, half, stride)
    yr, yi = br[: n * stride].reshape(half, 2, stride), bi[: n * stride].reshape(half, 2, stride)
    for p in range(half):
        wr, wi = ROOT_RE[p * step], ROOT_IM[p * step]
        for q in range(stride):
            yr[p, 0, q] = xr[0, p, q] + xr[1, p, q]
            yi[p, 0, q] = xi[0, p, q] + xi[1, p, q]
            dr, di = xr[0, p, q] - xr[1, p, q], xi[0, p, q] - xi[1, p, q]
            yr[p, 1, q] = dr * wr - di * wi
            yi[p, 1, q] = dr * wi + di * wr


@inner_kernel(_PASS)
def _radix_3(
    ar: NDArray[np.float32],
    ai: NDArray[np.float32],
    br: NDArray[np.float32],
    bi: NDArray[np.float32],
    n: int,
    stride: int,
) -> None:
    third = n // 3
    step = POINTS_MAX // n
    xr, xi = ar[: n * stride].reshape(3, third, stride), ai[: n * stride].reshape(3, third, stride)
    yr, yi = br[: n * stride].reshape(third, 3, stride), bi[: n * stride].reshape(third, 3, stride)
    for p in range(third):
        w1r, w1i = ROOT_RE[p * step], ROOT_IM[p * step]
        w2r, w2i = ROOT_RE[2 * p * step], ROOT_IM[2 * p * step]
        for q in range(stride):
            sum_r, sum_i = xr[1, p, q] + xr[2, p, q], xi[1, p, q] + xi[2, p, q]
            rot_r = _SIN_3 * (xi[1, p, q] - xi[2, p, q])
            rot_i = _SIN_3 * (xr[2, p, q] - xr[1, p, q])
            mid_r, mid_i = xr[0, p, q] - _HALF * sum_r, xi[0, p, q] - _HALF * sum_i
            yr[p, 0, q] = xr[0, p, q] + sum_r
            yi[p, 0, q] = xi[0, p, q] + sum_i
            ur, ui = mid_r + rot_r, mid_i + rot_i
            yr[p, 1, q] = ur * w1r - ui * w1i
            yi[p, 1, q] = ur * w1i + ui * w1r
            ur, ui = mid_r - rot_r, mid_i - rot_i
            yr[p, 2, q] = ur * w2r - ui * w2i
            yi[p, 2, q] = ur * w2i + ui * w2r


@inner_kernel(_PASS)
def _radix_5(
    ar: NDArray[np.float32],
    ai: NDArray[np.float32],
    br: NDArray[np.float32],
    bi: NDArray[np.float32],
    n: int,
    stride: int,
) -> None:
    fifth = n // 5
    step = POINTS_MAX // n
    gap = fifth * stride
    for p in range(fifth):
        w1r, w1i = ROOT_RE[p * step], ROOT_IM[p * step]
        w2r, w2i = ROOT_RE[2 * p * step], ROOT_IM[2 * p * step]
        w3r, w3i = ROOT_RE[3 * p * step], ROOT_IM[3 * p * step]
        w4r, w4i = ROOT_RE[4 * p * step], ROOT_IM[4 * p * step]
        for q in range(stride):
            i = p * stride + q
            o = 5 * p * stride + q
            zr, zi = ar[i], ai[i]
            s1r, s1i = ar[i + gap] + ar[i + 4 * gap], ai[i + gap] + ai[i + 4 * gap]
            d1r, d1i = ar[i + gap] - ar[i + 4 * gap], ai[i + gap] - ai[i + 4 * gap]
            s2r, s2i = ar[i + 2 * gap] + ar[i + 3 * gap], ai[i + 2 * gap] + ai[i + 3 * gap]
            d2r, d2i = ar[i + 2 * gap] - ar[i + 3 * gap], ai[i + 2 * gap] - ai[i + 3 * gap]
            br[o], bi[o] = zr + s1r + s2r, zi + s1i + s2i
            er = zr + _COS_5_1 * s1r + _COS_5_2 * s2r
            ei = zi + _COS_5_1 * s1i + _COS_5_2 * s2i
            fr, fi = _SIN_5_1 * d1i + _SIN_5_2 * d2i, _SIN_5_1 * d1r + _SIN_5_2 * d2r
            xr, xi = er + fr, ei - fi
            br[o + stride], bi[o + stride] = xr * w1r - xi * w1i, xr * w1i + xi * w1r
            xr, xi = er - fr, ei + fi
            br[o + 4 * stride], bi[o + 4 * stride] = xr * w4r - xi * w4i, xr * w4i + xi * w4r
            er = zr + _COS_5_2 * s1r + _COS_5_1 * s2r
            ei = zi + _COS_5_2 * s1i + _COS_5_1 * s2i
            fr, fi = _SIN_5_2 * d1i - _SIN_5_1 * d2i, _SIN_5_2 * d1r - _SIN_5_1 * d2r
            xr, xi = er + fr, ei - fi
            br[o + 2 * stride], bi[o + 2 * stride] = xr * w2r - xi * w2i, xr * w2i + xi * w2r
            xr, xi = er - fr, ei + fi
            br[o + 3 * stride], bi[o + 3 * stride] = xr * w3r - xi * w3i, xr * w3i + xi * w3r


@inner_kernel("int64(float32[::1], float32[::1], float32[::1], float32[::1], int64)")
def transform(
    ar: NDArray[np.float32],
    ai: NDArray[np.float32],
    br: NDArray[np.float32],
    bi: NDArray[np.float32],
    n: int,
) -> int:
    """Transform `n` values in `ar`, `ai`; return 1 when the result is in `br`, `bi`, else 0.

    ar, ai  (n or more,) float32, real and imaginary parts, any one unit; overwritten
    br, bi  (n or more,) float32, same unit, as many again for every other pass; overwritten
    """
    left = n
    stride = 1
    swapped = 0
    while left > 1:
        if left % 4 == 0 and stride < 16:
            radix = 4
            _radix_4(ar, ai, br, bi, left, stride)
        elif left % 5 == 0:
            radix = 5
            _radix_5(ar, ai, br, bi, left, stride)
        elif left % 3 == 0:
            radix = 3
            _radix_3(ar, ai, br, bi, left, stride)
        else:
            radix = 2
            _radix_2(ar, ai, br, bi, left, stride)
        left //= radix
        stride *= radix
        ar, ai, br, bi = br, bi, ar, ai
        swapped = 1 - swapped
    return swapped
