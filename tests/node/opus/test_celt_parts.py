"""Each part of the CELT decoder against mathematics that nobody here wrote."""

from math import comb, cos, isqrt, log2, pi, tan

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.kernel import record
from node.opus.celt import fourier, inverse_mdct, layout, post_filter, pulses, tables_celt, theta


def words_of(n, k):
    """V(n, k) in closed form: choose the places of m non-zero values, their sizes and signs."""
    if k == 0:
        return 1
    return sum(2**m * comb(n, m) * comb(k - 1, m - 1) for m in range(1, min(n, k) + 1))


def index_of(vector):
    """Rank a vector as an encoder does (RFC 6716, section 5.3.8.2)."""
    index = 0
    k = 0
    for j in range(len(vector) - 1, -1, -1):
        n = len(vector) - j
        if k > 0:
            index += (words_of(n - 1, k - 1) + words_of(n, k - 1)) // 2
        k += abs(vector[j])
        if vector[j] < 0:
            index += (words_of(n - 1, k) + words_of(n, k)) // 2
    return index


@pytest.mark.parametrize("n", [2, 3, 7, 14])
def test_words_are_counted_as_the_closed_form_counts_them(n):
    for k in range(1, 15):
        assert pulses.words(n, k) + pulses.words(n, k + 1) == words_of(n, k)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=24))
@example([0, 127])
@example([-64, 64])
@example([0] * 175 + [-1])
@example([0] * 100 + [1] + [0] * 74 + [-1])
@example([1] * 13 + [0])
def test_a_ranked_vector_comes_back(vector):
    k = sum(map(abs, vector))
    if k == 0 or words_of(len(vector), k) >= 2**32:
        return
    work = np.zeros(layout.WORK_SIZE, np.float32)
    energy = pulses.unrank(work, 5, len(vector), k, index_of(vector))
    assert work[5 : 5 + len(vector)].tolist() == vector
    assert energy == sum(v * v for v in vector)
    assert not work[:5].any()
    assert not work[5 + len(vector) :].any()


@given(st.integers(-1, 3), st.integers(0, 20), st.integers(0, 4000))
def test_pulses_cost_as_near_as_can_be_to_what_the_band_may_spend(lm, band, bits):
    row = tables_celt.PULSE_INDEX[(lm + 1) * tables_celt.BANDS + band]
    if row < 0:
        return  # a band of half a bin: the format never asks
    count = pulses.bits_to_pulses(row, bits)
    distance = abs(pulses.pulses_to_bits(row, count) - bits)
    for other in range(tables_celt.PULSE_COST[row] + 1):
        assert distance <= abs(pulses.pulses_to_bits(row, other) - bits)


@given(st.integers(1, 16383))
def test_the_format_s_cosine_is_one(angle):
    assert abs(theta.cosine_q15(angle) / 32768 - cos(pi / 2 * angle / 16384)) < 2e-4


@given(st.integers(100, 16284))
def test_the_format_s_tangent_is_one(angle):
    sine, cosine = theta.cosine_q15(16384 - angle), theta.cosine_q15(angle)
    wanted = log2(tan(pi / 2 * angle / 16384))
    assert abs(theta.log2_tangent_q11(sine, cosine) / 2048 - wanted) < 0.02


@given(st.integers(0, 2**32 - 1))
@example(2**32 - 1)
def test_integer_roots_are_exact(n):
    assert theta.integer_root(n) == isqrt(n)


@given(st.floats(-59.0, 32.0))
def test_powers_of_two_are_right_to_the_last_bits_of_a_sample(x):
    assert inverse_mdct.exp2(x) == pytest.approx(2.0**x, rel=1e-8)


@pytest.mark.parametrize("n", [60, 120, 240, 480])
def test_the_fourier_transform_is_one(n):
    rng = np.random.default_rng(n)
    values = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    parts = [np.zeros(n, np.float32) for _ in range(4)]
    parts[0][:], parts[1][:] = values.real, values.imag
    side = fourier.transform(*parts, n)
    ours = parts[2 * side] + 1j * parts[2 * side + 1]
    wanted = np.fft.fft(values)
    assert np.abs(ours - wanted).max() < 1e-6 * np.abs(wanted).max() * 4


@pytest.mark.parametrize("lm", [0, 1, 2, 3])
@pytest.mark.parametrize("blocks", [1, 8])
def test_the_inverse_transform_is_the_formula_of_the_standard(lm, blocks):
    n = 120 << lm
    if n * blocks > layout.FRAME_MAX:
        return
    rng = np.random.default_rng(lm)
    bins = rng.standard_normal(n)
    work = np.zeros(layout.WORK_SIZE, np.float32)
    work[layout.SPECTRUM + 3 : layout.SPECTRUM + 3 + n * blocks : blocks][:n] = bins
    inverse_mdct.inverse_core(work, layout.SPECTRUM + 3, blocks, lm)
    time = np.arange(n // 2, n // 2 + n)[:, None]  # between the middles of the overlaps
    kernel = np.cos(pi / n * (time + 0.5 + n / 2) * (np.arange(n) + 0.5))
    wanted = kernel @ bins
    assert np.abs(work[layout.CORE : layout.CORE + n] - wanted).max() < 2e-5 * np.sqrt(n)


@given(
    st.integers(0, 1022),
    st.integers(0, 1022),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 2),
    st.sampled_from([120, 360, 840]),
)
def test_the_post_filter_is_the_formula_of_the_standard(old, new, gain_old, gain, tapset, samples):
    begin = 1100
    past = np.random.default_rng(7).standard_normal(begin + samples).astype(np.float32)
    wanted = past.astype(np.float64)
    taps = post_filter.COMB_TAPS[3 * tapset : 3 * tapset + 3].astype(np.float64)
    strengths = [np.float32(3 * g / 32) for g in (gain_old, gain)]
    for i in range(samples):
        at = begin + i
        new_share = min(1.0, post_filter.WINDOW[i] ** 2) if i < 120 else 1.0
        for period, share, strength in (
            (max(old, 15), 1 - new_share, strengths[0]),
            (max(new, 15), new_share, strengths[1]),
        ):
            for tap, taken in zip(taps, (0, 1, 2), strict=True):
                near = wanted[at - period - taken]
                far = wanted[at - period + taken] if taken else 0.0
                wanted[at] += share * strength * tap * (near + far)
    combs = record.new(layout.Comb, 2)
    combs["period"], combs["gain"], combs["tapset"] = (old, new), strengths, tapset
    post_filter.post_filter(past, begin, samples, *combs)
    assert np.allclose(past, wanted, atol=2e-4 * np.abs(wanted).max())
