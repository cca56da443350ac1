"""The low-rate copies of the sender, and what its data budget may say."""

import argparse

import numpy as np
import pytest

from sim.sender.option_types import data_budget
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.station.programme import read_sound
from sim.village import scenario

FRAME = 960


@pytest.fixture(scope="module")
def copies():
    sound = read_sound(scenario.SPEECH / "announcement_vi.flac")
    coder = CopyEncoder()
    frames = [sound[at : at + FRAME] for at in range(0, 10 * 48_000, FRAME)]
    return frames, [coder.encode(frame) for frame in frames]


def test_a_copy_is_wide_band_silk_of_some_sixteen_bytes(copies):
    _, payloads = copies
    made = [one for one in payloads if one]
    # RFC 6716, table 2: configuration 9 is SILK-only, wide band, 20 ms; another band would cost the
    # decoder its state.
    assert {one[0] >> 3 for one in made} == {9}
    assert np.mean([len(one) for one in made]) < 20


def test_what_is_not_heard_is_not_copied(copies):
    frames, payloads = copies
    power = np.array([np.mean(frame**2) for frame in frames])
    copied = np.array([bool(one) for one in payloads])
    assert not copied[power < 1e-3 * power.mean()].any()
    assert copied[power > 0.1 * power.mean()].all()
    assert 0.5 < copied.mean() < 0.9


def test_a_data_budget_is_a_rate_or_a_month_with_its_hours_a_day():
    assert data_budget("48k") == 48_000
    # 1.19 GB a month at 2 h a day is 44 kbit/s.
    assert data_budget("1190MB/2h") == pytest.approx(44_000, rel=0.01)
    for wrong in ("48", "0k", "1200MB", "1200MB/25h", "1200MB/0h", "k", "-48k"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be like 48k"):
            data_budget(wrong)
