"""A warning takes the horn and gives it back, and nothing clicks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.audio.mixer import Mixer

PERIOD = 480


def mixer_of(places):
    """Full volume to nothing in 125 ms, and back in 1.7 s."""
    return Mixer(places, attack_db_per_s=800.0, release_db_per_s=60.0)


def grant(mixer, place, behind=0.0):
    """Want `place` at full level and the others at the gain `behind`; None silences all."""
    for one in range(mixer.targets.size):
        mixer.aim(one, 0.0 if place is None else 1.0 if one == place else behind)


def sound(level):
    return np.full((PERIOD, 1), level, np.float32)


def play(mixer, periods, levels):
    """Mix constant sources of `levels`, one per place."""
    out = np.zeros((periods * PERIOD, 1), np.float32)
    for number in range(periods):
        for place, level in enumerate(levels):
            mixer.mix(out[number * PERIOD : (number + 1) * PERIOD], sound(level), place)
    return out[:, 0]


def test_a_warning_takes_the_horn_and_gives_it_back():
    mixer = mixer_of(2)
    grant(mixer, 0)
    mixer.begin(0)
    assert np.all(play(mixer, 2, [0.5, 0.0]) == 0.5)

    grant(mixer, 1)
    mixer.begin(1)
    taken = play(mixer, 20, [0.5, 0.25])
    assert taken[0] > 0.7, "the warning is there at once"
    assert np.all(taken[int(0.2 * 48_000) :] == 0.25), "the programme is gone within 200 ms"

    grant(mixer, 0)
    mixer.clear(1)
    back = play(mixer, 200, [0.5, 0.0])
    assert back[-1] == 0.5


def test_a_ducked_programme_stays_audible_under_the_message():
    mixer = mixer_of(2)
    grant(mixer, 0)
    mixer.begin(0)
    grant(mixer, 1, behind=0.1)
    ducked = play(mixer, 20, [0.5, 0.0])
    assert ducked[-1] == pytest.approx(0.05)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 3), st.sampled_from([0.0, 0.1]), st.integers(1, 4)),
        max_size=15,
    )
)
def test_whoever_is_granted_no_gain_jumps_by_more_than_a_twentieth_of_a_decibel(grants):
    mixer = mixer_of(4)
    gains = [[], [], [], []]
    for place, behind, periods in grants:
        grant(mixer, place, behind)
        for _ in range(periods):
            for source in range(4):
                out = np.zeros((PERIOD, 1), np.float32)
                mixer.mix(out, sound(1.0), source)
                gains[source].append(out[:, 0].astype(np.float64))
    for heard in gains:
        gain = np.concatenate([[0.0], *heard])
        both = (gain[1:] > 3e-5) & (gain[:-1] > 3e-5)
        steps_db = 20 * np.log10(gain[1:][both] / gain[:-1][both])
        assert np.all(np.abs(steps_db) <= 0.0501)
        assert np.all(np.abs(np.diff(gain)) < 0.006)


def test_without_a_grant_the_output_is_exact_zero():
    mixer = mixer_of(2)
    grant(mixer, 0)
    mixer.begin(0)
    grant(mixer, None)
    play(mixer, 30, [1.0, 1.0])
    assert np.all(play(mixer, 5, [1.0, 1.0]) == 0.0)
    assert not mixer.sounds(0) and not mixer.sounds(1)


def test_one_source_alone_comes_through_bit_by_bit():
    source = np.random.default_rng(1).standard_normal((PERIOD, 2)).astype(np.float32)
    mixer = mixer_of(1)
    grant(mixer, 0)
    mixer.begin(0)
    out = np.zeros((PERIOD, 2), np.float32)
    mixer.mix(out, source, 0)
    assert np.array_equal(out, source)
