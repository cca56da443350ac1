"""Sound made longer or shorter: no click, the same pitch, the same loudness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audio.seam import join
from node.audio.time_scale import stretch

RATE = 48_000
CHUNK = 960


def tone(hz, samples, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)).astype(np.float32)


def play(source, wanted_of_chunk):
    """Feed `source` in chunks of 20 ms through `stretch`; return what is played."""
    fifo = np.zeros((len(source) * 3 + 4096, 1), np.float32)
    filled = 0
    for k in range(len(source) // CHUNK):
        fifo[filled : filled + CHUNK, 0] = source[k * CHUNK : (k + 1) * CHUNK]
        filled += CHUNK
        wanted = wanted_of_chunk(k)
        if wanted:
            filled += stretch(fifo, filled, CHUNK, wanted)
    return fifo[:filled, 0]


@pytest.mark.parametrize("hz", [110, 233, 440, 997, 1500, 3000])
@pytest.mark.parametrize("wanted", [-480, -240, 240, 480, 960])
def test_a_steady_tone_is_stretched_without_a_click(hz, wanted):
    source = tone(hz, 20 * CHUNK)
    heard = play(source, lambda k: wanted if k % 3 == 2 else 0)
    assert np.abs(np.diff(heard)).max() <= 1.05 * np.abs(np.diff(source)).max()
    assert np.abs(heard).max() <= 0.5 * 1.03


@pytest.mark.parametrize("hz", [150, 440, 1000])
def test_the_pitch_stays(hz):
    heard = play(tone(hz, 60 * CHUNK), lambda k: (-240, 480)[k % 2] if k > 1 else 0)
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert abs(np.argmax(spectrum) * RATE / len(heard) - hz) < 3


@pytest.mark.parametrize("wanted", [-480, -240, 240, 480, 960])
def test_about_as_much_is_done_as_was_asked_for(wanted):
    source = tone(180, 40 * CHUNK) + tone(360, 40 * CHUNK, 0.2)
    done = len(play(source, lambda k: wanted if k > 1 else 0)) - len(source)
    asked = 38 * wanted
    assert 0.5 * abs(asked) <= abs(done) <= 2.0 * abs(asked)
    assert np.sign(done) == np.sign(asked)


@pytest.mark.parametrize("wanted", [-240, 480])
def test_noise_keeps_its_loudness(wanted):
    source = np.random.default_rng(1).normal(0, 0.1, 100 * CHUNK).astype(np.float32)
    heard = play(source, lambda k: wanted if k > 1 else 0)
    assert 20 * np.log10(np.std(heard) / np.std(source)) == pytest.approx(0, abs=0.5)


def test_silence_stays_silence():
    heard = play(np.zeros(10 * CHUNK, np.float32), lambda k: -240 if k > 1 else 0)
    assert len(heard) < 10 * CHUNK
    assert not heard.any()


@given(st.integers(0, 3000), st.integers(0, 1000), st.integers(-3000, 3000), st.integers(1, 2))
def test_whatever_is_asked_for_stays_within_the_room_there_is(before, samples, wanted, channels):
    filled = before + samples
    sound = np.full((filled + 700, channels), 0.25, np.float32)
    sound[filled:] = np.nan
    change = stretch(sound, filled, samples, wanted)
    assert -samples <= change <= 700
    assert np.isfinite(sound[: filled + change]).all()
    np.testing.assert_allclose(sound[: filled + change], 0.25, atol=1e-5)


@pytest.mark.parametrize("jump", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("new_samples", [120, 240, 960])
def test_the_seam_after_made_up_sound_is_no_click(jump, new_samples):
    before = tone(200, 4 * CHUNK)
    after = tone(200, new_samples + 240)[int(jump * 240) :][:new_samples]
    sound = np.concatenate([before, after])[:, np.newaxis].copy()
    assert join(sound, 4 * CHUNK, len(sound)) == 1
    steps = np.abs(np.diff(sound[:, 0]))
    assert steps.max() <= 2.0 * np.abs(np.diff(before)).max()
    np.testing.assert_array_equal(sound[: 4 * CHUNK, 0], before)


@pytest.mark.parametrize("decay", [0.9995, 0.998])
def test_made_up_sound_that_dies_away_goes_on_from_where_it_was(decay):
    """Its last period was louder: played again as it stands, it would begin with a jump."""
    before = (tone(110, 4 * CHUNK) + 0.3) * decay ** np.arange(4 * CHUNK)
    sound = np.concatenate([before, tone(110, CHUNK)])[:, np.newaxis].astype(np.float32)
    assert join(sound, 4 * CHUNK, len(sound)) == 1
    steps = np.abs(np.diff(sound[:, 0]))
    own = max(steps[2 * CHUNK : 4 * CHUNK - 1].max(), steps[4 * CHUNK + 240 :].max())
    assert steps[4 * CHUNK - 1 :].max() <= 1.1 * own
