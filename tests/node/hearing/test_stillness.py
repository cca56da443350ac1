"""A hiss is still for as long as one listens; a place, however quiet, is not."""

import numpy as np
import pytest

from node.hearing.stillness import LEAST_S, MOST_S, Stillness

BLOCK = 12_000


def listened(sound_of, *, rate_hz=48_000, seconds=120, seed=1):
    one, rng = Stillness(rate_hz), np.random.default_rng(seed)
    for i in range(seconds * rate_hz // BLOCK):
        one.receive(sound_of(rng, i * BLOCK / rate_hz).astype(np.float32))
    return one


def white(rng, _at_s, level=1e-3):
    return level * rng.standard_normal(BLOCK)


def last_bit(rng, _at_s):
    return np.rint(0.6 * rng.standard_normal(BLOCK)) / 32_768


def narrow(rng, _at_s):
    """Of a microphone for telephones: nothing above 4 kHz."""
    spectrum = np.fft.rfft(rng.standard_normal(BLOCK))
    spectrum[BLOCK * 4000 // 48_000 :] = 0
    return 1e-3 * np.fft.irfft(spectrum, BLOCK)


def flicker(rng, _at_s):
    """Half of its power below 100 Hz, as of a transistor, with the mains in it."""
    slow = np.cumsum(rng.standard_normal(BLOCK)) / 100
    hum = np.sin(2 * np.pi * 50 / 48_000 * np.arange(BLOCK))
    return 1e-3 * (rng.standard_normal(BLOCK) + slow - slow.mean() + hum)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hiss", [white, last_bit, narrow, flicker])
def test_a_hiss_is_still_after_a_minute_and_after_ten(hiss, seed):
    for seconds in (LEAST_S + 5, MOST_S + 30):
        assert listened(hiss, seconds=seconds, seed=seed).is_still


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_a_place_that_moves_by_a_decibel_is_not_still(rate_hz):
    def place(rng, at_s):
        return white(rng, at_s) * 10 ** (np.sin(at_s / 10) * 0.5 / 20)

    assert not listened(place, rate_hz=rate_hz).is_still
    assert listened(white, rate_hz=rate_hz).is_still


def test_a_crack_in_the_plug_is_no_place_and_a_voice_of_half_a_minute_is_one():
    def crack(rng, at_s):
        return white(rng, at_s) * (30 if at_s == 50 else 1)

    def voice(rng, at_s):
        return white(rng, at_s) * (2 if 50 < at_s < 80 else 1)

    assert listened(crack).is_still
    assert not listened(voice).is_still


def test_less_than_a_minute_says_nothing_and_what_was_heard_begins_it_anew():
    assert not listened(white, seconds=LEAST_S - 1).is_still
    one = listened(white)
    one.forget()
    assert not one.is_still
