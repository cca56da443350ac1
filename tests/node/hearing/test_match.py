"""A match is this sound and no other: noise never is, and a dead capture says that it is dead."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal

from node.hearing.fitness import CLIPPED_SHARE
from node.hearing.match import (
    EARLY_NS,
    HAS_HOLES,
    WAY_S,
    WINDOW_S,
    coefficient,
    in_band,
    judge,
)
from node.units import NS_PER_S, RATE_HZ

WHOLE_S = WINDOW_S + WAY_S
SEEDS = st.integers(0, 2**32 - 1)
RATES = st.sampled_from([44_100, 48_000])


def voice(rng, seconds=WINDOW_S):
    """Something like speech: a buzz of changing pitch through changing formants, in syllables."""
    n = int(seconds * RATE_HZ)
    at = np.arange(n) / RATE_HZ
    pitch = np.interp(
        at, np.arange(0, seconds + 1, 0.2), rng.uniform(90, 180, int(5 * seconds) + 5)
    )
    buzz = signal.sawtooth(2 * np.pi * np.cumsum(pitch) / RATE_HZ)
    loud = np.interp(
        at, np.arange(0, seconds + 1, 0.15), rng.uniform(0, 1, int(seconds / 0.15) + 7)
    )
    formants = [signal.iirpeak(f, 5, RATE_HZ) for f in rng.uniform(300, 2500, 3)]
    sound = sum(signal.lfilter(*one, buzz) for one in formants) * loud**2
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def noise(rng, rate_hz, level_dbfs, colour=0.0):
    """Noise at a level; `colour` 0 is white, 1 is pink, 2 is brown."""
    n = int(WHOLE_S * rate_hz)
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.maximum(np.arange(n // 2 + 1), 1) ** (
        colour / 2
    )
    sound = np.fft.irfft(spectrum, n)
    return (sound / sound.std() * 10 ** (level_dbfs / 20) / np.sqrt(2)).astype(np.float32)


def captured(played, rate_hz, *, delay_s, gain_db):
    """What the way makes of it, at the capture's rate."""
    n = int(WHOLE_S * rate_hz)
    at = np.arange(n) / rate_hz - EARLY_NS / NS_PER_S - delay_s
    heard = np.interp(at, np.arange(played.size) / RATE_HZ, played, left=0.0, right=0.0)
    return (10 ** (gain_db / 20) * heard).astype(np.float32)


def judged(played, heard, *, before=None, rate_hz=RATE_HZ, noise_max_dbfs=-20.0, least=None):
    return judge(
        played, heard, before, rate_hz=rate_hz, begin_ns=5 * NS_PER_S,
        noise_max_dbfs=noise_max_dbfs, least_gain_db=least,
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(SEEDS, RATES, st.floats(0, 2), st.floats(-70, -6))
def test_noise_alone_is_never_heard(seed, rate_hz, colour, level_dbfs):
    """Nothing of 60 by each colour; at a coefficient of 0.3 one in 10^6 of white noise is less."""
    rng = np.random.default_rng(seed)
    one = judged(voice(rng), noise(rng, rate_hz, level_dbfs, colour), rate_hz=rate_hz)
    assert one.word == ("cannot tell" if one.level_dbfs > -20 or one.why else "not heard")


@settings(max_examples=40, deadline=None)
@given(SEEDS, RATES, st.floats(-0.15, 0.75), st.floats(-50, 0))
def test_what_comes_back_6_db_above_the_noise_is_heard_however_late_and_soft(
    seed, rate_hz, delay_s, gain_db
):
    rng = np.random.default_rng(seed)
    played = voice(rng)
    heard = captured(played, rate_hz, delay_s=delay_s, gain_db=gain_db)
    level_dbfs = 10 * np.log10(2 * np.mean(heard[heard != 0] ** 2))
    one = judged(played, heard + noise(rng, rate_hz, level_dbfs - 6), rate_hz=rate_hz)
    assert one.word == "heard"
    assert one.margin_db > 3


@settings(max_examples=40, deadline=None)
@given(SEEDS, SEEDS)
def test_another_voice_is_not_heard_as_this_one(seed, other):
    mine, theirs = voice(np.random.default_rng([seed, 0])), voice(np.random.default_rng([other, 1]))
    heard = captured(theirs, RATE_HZ, delay_s=0.2, gain_db=-10)
    assert judged(mine, heard + noise(np.random.default_rng(1), RATE_HZ, -60)).word == "not heard"


@given(st.sampled_from([0.0, 0.2, -0.7, 1.0]), SEEDS)
@example(0.0, 0)
def test_silence_and_a_standing_voltage_cannot_tell(offset, seed):
    still = np.full(int(WHOLE_S * RATE_HZ), offset, np.float32)
    one = judged(voice(np.random.default_rng(seed)), still)
    assert one.word == "cannot tell"
    assert one.why == "the capture is dead: each sample is the same"


def test_a_voltage_that_stands_with_noise_on_it_cannot_tell():
    rng = np.random.default_rng(1)
    one = judged(voice(rng), noise(rng, RATE_HZ, -50) + np.float32(0.7))
    assert (one.word, one.why) == ("cannot tell", "the capture stands at +0.70 of full scale")


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(0, 40))
@example(28, 6.0)
@example(28, 20.0)
def test_a_capture_that_clips_cannot_tell_and_single_peaks_that_do_spoil_nothing(seed, over_db):
    """A voice 6 dB over has hardly more than one sample in a thousand above full scale."""
    rng = np.random.default_rng(seed)
    played = voice(rng)
    heard = np.clip(captured(played, RATE_HZ, delay_s=0.1, gain_db=over_db + 10.5), -1, 1)
    one = judged(played, heard)
    if np.mean(np.abs(heard) >= 0.999) > CLIPPED_SHARE:
        assert one.word == "cannot tell"
        assert one.why.startswith("the capture clips, ")
    else:
        assert one.word == "heard" and one.margin_db > 3


def test_a_place_that_already_sounded_like_it_cannot_tell():
    """A neighbour's siren of one pitch, and then ours of the same."""
    siren = 0.3 * np.sin(2 * np.pi * 700 * np.arange(int(WHOLE_S * RATE_HZ)) / RATE_HZ)
    siren = siren.astype(np.float32)
    played = siren[: int(WINDOW_S * RATE_HZ)]
    assert judged(played, siren).word == "heard"
    assert judged(played, siren, before=siren).word == "cannot tell"


@settings(max_examples=30, deadline=None)
@given(SEEDS, RATES, st.floats(0, 0.75), st.floats(-45, 0))
def test_a_neighbours_horn_that_plays_the_same_is_not_taken_for_a_horn_of_known_gain(
    seed, rate_hz, delay_s, gain_db
):
    """Nor is the horn itself blamed: where it fails, and theirs is softer, nobody can tell."""
    rng = np.random.default_rng(seed)
    played = voice(rng)
    heard = captured(played, rate_hz, delay_s=delay_s, gain_db=gain_db)
    heard = heard + noise(rng, rate_hz, -80)
    assert judged(played, heard, rate_hz=rate_hz).word == "heard", "of one of unknown gain it is"
    assert judged(played, heard, rate_hz=rate_hz, least=gain_db - 3).word == "heard"
    one = judged(played, heard, rate_hz=rate_hz, least=gain_db + 15)
    assert one.word == "cannot tell"
    softer_db, _, why = one.why.partition(" dB ")
    assert 14 <= int(softer_db) <= 18, "a grid of 8 kHz is between samples"
    assert why == "too soft for this horn: another's plays the same, or it fails"


def test_what_the_rules_made_softer_than_the_street_is_not_called_unheard():
    """-30 dBFS is no noise for a warning, and drowns what comes back 20 dB softer."""
    rng = np.random.default_rng(5)
    played = voice(rng) * np.float32(0.1)
    street = noise(rng, RATE_HZ, -30, 1.0)
    heard = captured(played, RATE_HZ, delay_s=0.2, gain_db=-6) + street
    assert judged(played, heard).word == "not heard", "how loud it was to be nobody knows"
    assert judged(played, heard, least=-16.0).why == "noise of -30 dBFS"
    assert judged(10 * played, street, least=-16.0).word == "not heard"


def test_a_pause_has_no_verdict():
    quiet = noise(np.random.default_rng(1), RATE_HZ, -80)[: int(WINDOW_S * RATE_HZ)]
    assert judged(quiet, noise(np.random.default_rng(2), RATE_HZ, -40)) is None


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.0, 0.9))
def test_coefficient_and_delay_are_those_of_scipy(seed, delay_s):
    rng = np.random.default_rng(seed)
    mine = in_band(voice(rng), RATE_HZ, seconds=WHOLE_S)
    heard = np.roll(mine, int(delay_s * 8000)) + 0.02 * rng.standard_normal(mine.size)
    found, at_s, gain = coefficient(mine, heard)
    window = int(WINDOW_S * 8000)
    products = signal.correlate(heard, mine[:window], "valid", "fft")
    energies = np.convolve(heard**2, np.ones(window), "valid")
    theirs = np.abs(products) / np.sqrt(np.sum(mine**2) * energies)
    assert at_s == theirs.argmax() / 8000
    assert abs(found - theirs.max()) < 0.01, "what rings beyond the window is ours alone"
    assert abs(gain - 1) < 0.05


@settings(max_examples=30, deadline=None)
@given(SEEDS, RATES, st.floats(0.05, 0.9))
def test_a_capture_with_holes_blames_no_horn_and_one_that_pauses_with_the_sound_has_none(
    seed, rate_hz, share
):
    rng = np.random.default_rng(seed)
    period = rate_hz // 4
    hiss = noise(rng, rate_hz, -50)
    holed = np.where(np.arange(hiss.size) % period < share * period, 0, hiss).astype(np.float32)
    one = judged(voice(rng), holed, rate_hz=rate_hz)
    assert one.word == ("cannot tell" if one.why else "not heard")
    if share > 0.35:
        assert one.why == HAS_HOLES
    gated = voice(rng)
    gated[RATE_HZ // 2 : RATE_HZ] = 0
    heard = captured(gated, rate_hz, delay_s=0.1, gain_db=-20)
    assert judged(gated, heard, rate_hz=rate_hz).word == "heard", "a gate that closes in a pause"
