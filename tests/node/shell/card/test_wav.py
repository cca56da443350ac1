"""A WAV file has each sample that was played, silence too, however long it was silent."""

import tempfile
import wave
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.shell.card.wav import WavWriter

PERIOD = 480


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 120)), max_size=6), st.sampled_from([1, 2]))
@example([(True, 1), (False, 120), (True, 1), (False, 3)], 1)
def test_whatever_was_played_is_in_the_file_sample_by_sample(history, channels):
    rng = np.random.default_rng(1)
    periods = [
        rng.uniform(-0.5, 0.5, (PERIOD, channels)).astype(np.float32) * sounds
        for sounds, count in history
        for _ in range(count)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heard.wav"
        writer = WavWriter(path, channels=channels)
        for one in periods:
            writer.write(one)
        writer.close()
        with wave.open(str(path)) as file:
            assert file.getnframes() == PERIOD * len(periods)
            read = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    expected = [np.rint(one * 32768.0).astype("<i2").reshape(-1) for one in periods]
    assert np.array_equal(read, np.concatenate([*expected, np.zeros(0, "<i2")]))


def test_silence_is_in_the_file_within_half_a_second(tmp_path):
    path = tmp_path / "heard.wav"
    writer = WavWriter(path, channels=1)
    silence = np.zeros((PERIOD, 1), np.float32)
    for _ in range(100):
        writer.write(silence)
    lies = path.with_name("heard.wav.partial").stat().st_size
    assert lies >= 100 * 2 * PERIOD - 48_000 - 8192, "and what the file's buffer holds"
    writer.abandon()
