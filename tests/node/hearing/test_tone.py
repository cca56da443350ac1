"""The tone of a self-test: its power is that of others' arithmetic, and noise is never one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from node.hearing.match import EARLY_NS
from node.hearing.tone import BLOCK_S, LEAD_S, Tone, judge_tone, tone_powers
from node.units import NS_PER_S, RATE_HZ

SEEDS = st.integers(0, 2**32 - 1)


def tone(frequency_hz=1000.0, level_dbfs=-20.0, **more):
    given = {"length_s": 3.0, "threshold_db": 10.0, "reference_db": None, "tolerance_db": 10.0}
    return Tone(frequency_hz=frequency_hz, level_dbfs=level_dbfs, **(given | more))


def heard(one, *, delay_s=0.3, gain_db=-20.0, noise_dbfs=-60.0, seed=0, ppm=0.0):
    """What a capture has of a tone: later, softer, with noise, by another crystal."""
    n = int(one.captured_s * RATE_HZ)
    begin_s = LEAD_S + EARLY_NS / NS_PER_S + delay_s
    at = np.arange(n) * (1 + ppm * 1e-6) - begin_s * RATE_HZ
    inside = (at >= 0) & (at < one.length_s * RATE_HZ)
    level = 10 ** ((one.level_dbfs + gain_db) / 20)
    sound = np.where(inside, level * np.sin(2 * np.pi * one.frequency_hz / RATE_HZ * at), 0.0)
    noise = 10 ** (noise_dbfs / 20) / np.sqrt(2) * np.random.default_rng(seed).standard_normal(n)
    return (sound + noise).astype(np.float32)


def judged(one, sound, noise_max_dbfs=-20.0):
    return judge_tone(sound, one, rate_hz=RATE_HZ, begin_ns=NS_PER_S, noise_max_dbfs=noise_max_dbfs)


@given(st.integers(200, 22_000), SEEDS, st.sampled_from([44_100, 48_000]))
@settings(max_examples=40, deadline=None)
def test_the_power_is_that_of_a_fourier_transform_at_that_frequency(frequency_hz, seed, rate_hz):
    """SciPy's chirp z-transform, and Goertzel's recurrence as a filter of SciPy's."""
    n = round(BLOCK_S * rate_hz)
    block = np.random.default_rng(seed).standard_normal(n).astype(np.float32)
    [ours] = tone_powers(block, rate_hz, frequency_hz)
    turn = np.exp(-2j * np.pi * frequency_hz / rate_hz)
    [theirs] = signal.czt(block.astype(np.float64), 1, w=turn, a=1 / turn)
    assert ours == pytest.approx((2 / n * abs(theirs)) ** 2, rel=1e-6, abs=1e-12)
    twice = 2 * np.cos(2 * np.pi * frequency_hz / rate_hz)
    state = signal.lfilter([1.0], [1.0, -twice, 1.0], block.astype(np.float64))
    power = state[-1] ** 2 + state[-2] ** 2 - twice * state[-1] * state[-2]
    assert ours == pytest.approx((2 / n) ** 2 * power, rel=1e-4, abs=1e-9)


def test_a_full_sine_has_the_power_1():
    sine = np.sin(2 * np.pi * 1000 * np.arange(4800) / RATE_HZ).astype(np.float32)
    assert tone_powers(sine, RATE_HZ, 1000.0) == pytest.approx([1.0, 1.0], rel=1e-5)


@given(SEEDS, st.floats(-80, -6))
@settings(max_examples=200, deadline=None)
def test_noise_alone_is_never_a_tone(seed, noise_dbfs):
    """By F(40, 40) noise is 10 dB above noise once in 10^10."""
    one = tone()
    assert judged(one, heard(one, gain_db=-200, noise_dbfs=noise_dbfs, seed=seed)).word != "heard"


@given(SEEDS, st.floats(-0.15, 0.75), st.floats(-100, 100), st.sampled_from([1000.0, 20_000.0]))
@settings(max_examples=100, deadline=None)
def test_a_tone_as_loud_as_all_of_the_noise_is_heard_by_any_crystal(seed, delay_s, ppm, hertz):
    """As loud as white noise of the whole band is 30 dB above what of that is at its frequency."""
    one = tone(hertz)
    found = judged(one, heard(one, delay_s=delay_s, noise_dbfs=-40, seed=seed, ppm=ppm))
    assert found.word == "heard"
    assert found.margin_db > 5
    assert found.gain_db == pytest.approx(-20, abs=1.5)


def test_a_tone_that_others_make_all_the_time_is_not_ours():
    one = tone()
    n = int(one.captured_s * RATE_HZ)
    theirs = 0.05 * np.sin(2 * np.pi * one.frequency_hz * np.arange(n) / RATE_HZ)
    assert judged(one, theirs.astype(np.float32)).word == "not heard"


def test_a_tone_of_theirs_that_ends_with_ours_not_is_not_ours():
    one = tone()
    n = int(one.captured_s * RATE_HZ)
    at = np.arange(n) / RATE_HZ
    theirs = np.where(at > 1.5, 0.05 * np.sin(2 * np.pi * one.frequency_hz * at), 1e-4 * np.sin(at))
    assert judged(one, theirs.astype(np.float32)).word == "not heard"


def test_a_horn_that_is_softer_than_when_all_was_well_is_not_heard():
    one = tone(reference_db=-20.0)
    assert judged(one, heard(one, gain_db=-28)).word == "heard"
    found = judged(one, heard(one, gain_db=-32))
    assert (found.word, found.why) == ("not heard", "12 dB softer than when all was well")


def test_noise_in_which_the_tone_would_drown_cannot_tell():
    known = tone(reference_db=-20.0)
    drowned = heard(known, gain_db=-200, noise_dbfs=-15)
    assert (judged(known, drowned).word, judged(known, drowned).why) == ("cannot tell", "noise")
    assert judged(known, heard(known, gain_db=-200, noise_dbfs=-40)).word == "not heard"
    unknown = tone()
    assert judged(unknown, heard(unknown, gain_db=-200, noise_dbfs=-15)).word == "cannot tell"
    assert judged(unknown, heard(unknown, gain_db=-200, noise_dbfs=-40)).word == "not heard"


def test_a_tone_that_few_horns_give_blames_nobody_until_its_reference_is_known():
    doubtful = tone(20_000.0, -40.0, is_certain=False)
    found = judged(doubtful, heard(doubtful, gain_db=-200, noise_dbfs=-70))
    assert (found.word, found.why) == ("cannot tell", "no reference says that this horn gives it")
    assert judged(doubtful, heard(doubtful, gain_db=-10, noise_dbfs=-70)).word == "heard"
    known = tone(20_000.0, -40.0, is_certain=False, reference_db=-20.0)
    assert judged(known, heard(known, gain_db=-200, noise_dbfs=-70)).word == "not heard"


def test_it_begins_and_ends_softly_and_is_as_loud_as_it_should_be():
    wave = tone(level_dbfs=-20.0).wave()
    assert wave.shape == (3 * RATE_HZ,)
    assert np.abs(wave).max() == pytest.approx(0.1, rel=1e-3)
    assert np.abs(wave[:48]).max() < 0.01
    assert np.abs(wave[-48:]).max() < 0.01
