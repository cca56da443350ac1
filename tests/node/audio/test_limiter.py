"""The horn is never driven above its limit, and below it nothing is touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from node.audio.limiter import LATENCY_SAMPLES, MARGIN_DB, Limiter

RATE_HZ = 48_000
LIMIT_DBFS = -1.0
LIMIT = 10 ** (LIMIT_DBFS / 20)


def limited(source, period=480):
    out = np.concatenate([source, np.zeros((2 * LATENCY_SAMPLES, source.shape[1]), np.float32)])
    limiter = Limiter(source.shape[1], limit_dbfs=LIMIT_DBFS)
    for first in range(0, len(out), period):
        limiter.process(out[first : first + period])
    return out


def true_peak_dbtp(sound):
    """Return the peak after 16 times oversampling by a library's long filter."""
    wide = resample_poly(sound.astype(np.float64), 16, 1, axis=0, window=("kaiser", 12.0))
    return 20 * np.log10(np.abs(wide).max())


def band_limited(sound, edge_hz=20_000):
    spectrum = np.fft.rfft(sound, axis=0)
    spectrum[int(edge_hz * len(sound) / RATE_HZ) :] = 0
    return np.fft.irfft(spectrum, len(sound), axis=0).astype(np.float32)


def worst_signals():
    rng = np.random.default_rng(1770)
    t = np.arange(RATE_HZ // 2)
    yield "sine at a quarter of the rate, between samples", 4 * np.sin(np.pi / 2 * t + np.pi / 4)
    yield "white noise", rng.standard_normal(len(t)) * 3
    yield "square", 2 * np.sign(np.sin(2 * np.pi * 997 * t / RATE_HZ))
    yield "clicks", 50.0 * (t % 997 == 0)
    # Two samples share such a peak: clipping both would leave what is between them.
    yield "clicks between samples", 50.0 * ((t % 997 == 0) | (t % 997 == 1))
    yield "bursts", np.where(t // 960 % 2, 8 * np.sin(2 * np.pi * 3000 * t / RATE_HZ), 0.01)
    yield "sweep", 5 * np.sin(2 * np.pi * 19_000 * (t / RATE_HZ) * t / len(t) / 2)
    yield "random signs", 2.0 * rng.choice([-1.0, 1.0], len(t))


@pytest.mark.parametrize(("name", "signal"), list(worst_signals()))
def test_no_peak_between_samples_passes_the_limit(name, signal):
    source = band_limited(np.asarray(signal)[:, np.newaxis])
    out = limited(source)
    assert true_peak_dbtp(out) <= LIMIT_DBFS + 0.005, name
    assert np.abs(out).max() <= np.float32(LIMIT)
    assert np.abs(out).max() > 0.5 * LIMIT, "it is limited, not muted"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2]), st.integers(1, 1000))
def test_below_the_limit_every_sample_is_only_delayed(seed, channels, period):
    rng = np.random.default_rng(seed)
    source = band_limited(rng.standard_normal((4_000, channels)))
    loudest_dbtp = LIMIT_DBFS - MARGIN_DB
    source = (source * 10 ** ((loudest_dbtp - true_peak_dbtp(source)) / 20)).astype(np.float32)
    out = limited(source, period)
    assert np.array_equal(out[LATENCY_SAMPLES : LATENCY_SAMPLES + len(source)], source)
    assert np.all(out[:LATENCY_SAMPLES] == 0.0)
    assert np.all(out[LATENCY_SAMPLES + len(source) :] == 0.0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 700), min_size=1, max_size=12))
def test_the_sound_cards_period_changes_nothing(seed, periods):
    rng = np.random.default_rng(seed)
    source = (rng.standard_normal((sum(periods), 2)) * 2).astype(np.float32)
    whole = source.copy()
    Limiter(2, limit_dbfs=LIMIT_DBFS).process(whole)
    limiter, first = Limiter(2, limit_dbfs=LIMIT_DBFS), 0
    for period in periods:
        limiter.process(source[first : first + period])
        first += period
    assert np.array_equal(source, whole)


@pytest.mark.parametrize("period", [96, 480, 1000])
def test_many_periods_at_once_are_limited_as_one_by_one(period):
    rng = np.random.default_rng(3)
    source = rng.standard_normal((40, period, 2)).astype(np.float32)
    source *= rng.uniform(0, 1, (40, 1, 1)) ** 3
    one_by_one, at_once = source.copy(), source.copy()
    limiter, other = (Limiter(2, limit_dbfs=LIMIT_DBFS) for _ in range(2))
    for samples in one_by_one:
        limiter.process(samples)
    other.process_periods(at_once[:15])
    other.process_periods(at_once[15:])
    np.testing.assert_array_equal(at_once, one_by_one)


@pytest.mark.parametrize("beside", range(-14, 14))
def test_a_click_is_limited_wherever_among_quiet_samples_it_is(beside):
    source = np.zeros((2000, 1), np.float32)
    source[960 + beside], source[961 + beside] = 3.0, 3.0
    out = limited(source)
    assert true_peak_dbtp(out) <= LIMIT_DBFS + 0.005


def test_after_a_peak_the_gain_comes_back():
    limiter = Limiter(1, limit_dbfs=LIMIT_DBFS)
    sound = np.full((480, 1), 0.01, np.float32)
    sound[100] = 9.0
    limiter.process(sound)
    assert limiter.reduction_db > 15
    for _ in range(40):
        limiter.process(np.full((480, 1), 0.01, np.float32))
    assert limiter.reduction_db == 0.0


def test_what_is_no_number_is_silence():
    sound = np.full((960, 1), 0.1, np.float32)
    sound[100], sound[101], sound[102] = np.nan, np.inf, -1e30
    out = limited(sound)
    assert np.all(np.isfinite(out)) and np.abs(out).max() <= 0.1001
