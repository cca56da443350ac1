"""The horn follows the sender's clock, and nobody hears how."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audio.resampler import (
    STEP_DEVIATION_MAX_Q32,
    UNITY_Q32,
    Resampler,
)

RATE_HZ = 48_000


def play(resampler, source, step_q32_of_period, *, periods, period=480):
    """Pull periods as a sound card would; return the sound and the position of each sample."""
    written, out, positions = 0, [], []
    for number in range(periods):
        step_q32 = step_q32_of_period(number)
        missing = resampler.missing_samples(period, step_q32)
        resampler.write(source[written : written + missing])
        written += missing
        start = int(resampler.place[0].media) + int(resampler.place[0].fraction_q32) / 2**32
        positions.append(start + np.arange(period) * (step_q32 / 2**32))
        out.append(np.empty((period, source.shape[1]), np.float32))
        resampler.read(out[-1], step_q32)
    return np.concatenate(out), np.concatenate(positions)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 900), min_size=1, max_size=20), st.sampled_from([1, 2]))
def test_with_equal_clocks_the_horn_plays_the_decoders_samples_bit_by_bit(periods, channels):
    source = np.random.default_rng(7).standard_normal((30_000, channels)).astype(np.float32)
    resampler, written, played = Resampler(channels), 0, []
    for period in periods:
        missing = resampler.missing_samples(period, UNITY_Q32)
        resampler.write(source[written : written + missing])
        written += missing
        played.append(np.empty((period, channels), np.float32))
        resampler.read(played[-1], UNITY_Q32)
    sound = np.concatenate(played)
    assert np.array_equal(sound, source[: len(sound)])


@pytest.mark.parametrize(("tone_hz", "floor_db"), [(1_000, -115), (15_000, -100)])
def test_a_tone_stays_clean_while_the_ratio_moves(tone_hz, floor_db):
    rng = np.random.default_rng(4)
    omega = 2 * np.pi * tone_hz / RATE_HZ
    source = np.sin(omega * np.arange(3 * RATE_HZ)).astype(np.float32)[:, np.newaxis]
    ppm = 50 + rng.uniform(-20, 20, 250)
    out, positions = play(
        Resampler(1), source, lambda n: UNITY_Q32 + round(ppm[n] * 1e-6 * 2**32), periods=250
    )
    settled = slice(100, None)
    ideal = np.stack([np.sin(omega * positions), np.cos(omega * positions)], axis=1)[settled]
    tone, *_ = np.linalg.lstsq(ideal, out[settled, 0].astype(np.float64), rcond=None)
    residue = out[settled, 0] - ideal @ tone
    noise_db = 10 * np.log10(np.mean(residue**2) / np.mean((ideal @ tone) ** 2))
    assert noise_db <= floor_db
    assert np.hypot(*tone) == pytest.approx(1.0, abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 600), st.integers(-STEP_DEVIATION_MAX_Q32, STEP_DEVIATION_MAX_Q32)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_sample_leaves_where_the_sum_of_the_steps_says(pulls):
    # A ramp x[n] = n/10000 tells at each output which position it was read from.
    source = (np.arange(20_000) / 10_000).astype(np.float32)[:, np.newaxis]
    resampler, written, position_q32 = Resampler(1), 0, 0
    for period, deviation in pulls:
        step_q32 = UNITY_Q32 + deviation
        missing = resampler.missing_samples(period, step_q32)
        resampler.write(source[written : written + missing])
        written += missing
        out = np.empty((period, 1), np.float32)
        resampler.read(out, step_q32)
        expected = (position_q32 + np.arange(period) * step_q32) / 2**32
        inside = expected > 12  # the zeros before the first sample make an edge there
        assert np.allclose(out[inside, 0] * 10_000, expected[inside], atol=0.02)
        position_q32 += period * step_q32
    place = resampler.place[0]
    assert int(place.media) * 2**32 + int(place.fraction_q32) == position_q32


def test_two_channels_come_out_like_each_alone():
    source = np.random.default_rng(3).standard_normal((12_000, 2)).astype(np.float32)
    step = UNITY_Q32 + round(123e-6 * 2**32)
    both, _ = play(Resampler(2), source, lambda _: step, periods=20)
    for channel in range(2):
        alone, _ = play(
            Resampler(1), source[:, channel : channel + 1].copy(), lambda _: step, periods=20
        )
        assert np.array_equal(both[:, channel], alone[:, 0])
