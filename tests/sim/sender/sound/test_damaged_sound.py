"""Files with wrong bits, of many channels, joined, cut off: what is good is heard, no noise is."""

import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.sender.sound.sound_source import SoundSource
from tests.sim.sender.sound.test_sound_source import encoded, played, tone, wav

LEVEL = 0.3
HEAD_BYTES = 600
FORMATS = {
    "aac": encoded(tone(2, level=LEVEL), "aac", "adts"),
    "ac3": encoded(tone(2, level=LEVEL), "ac3", "ac3"),
    "mp2": encoded(tone(2, level=LEVEL), "mp2", "mp2"),
    "ts": encoded(tone(2, level=LEVEL), "aac", "mpegts"),
}
FLAC = encoded(tone(2, level=LEVEL), "flac", "flac")
WRONG_BYTES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=6
)


def with_wrong_bytes(data, wrong):
    data = bytearray(data)
    for share, by in wrong:
        data[HEAD_BYTES + int(share * (len(data) - HEAD_BYTES))] ^= by
    return bytes(data)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["aac", "ac3", "mp2"]), WRONG_BYTES)
@example("ac3", [(0.3, 0x55), (0.6, 0xAA)])
@example("ts", [(0.3, 0x55)])  # not anywhere: its tables say what is in it
def test_a_wrong_byte_costs_what_is_around_it_whatever_the_decoder_calls_it(
    tmp_path_factory, name, wrong
):
    path = tmp_path_factory.mktemp("wrong") / f"a.{name}"
    path.write_bytes(with_wrong_bytes(FORMATS[name], wrong))
    sound, _ = played(path)
    lost_s = 0.6 if name == "ts" else 0.25  # a packet of a transport stream holds many
    assert len(sound) / 48_000 > 2.0 - lost_s * len(wrong) - 0.1


@settings(max_examples=60, deadline=None)
@given(WRONG_BYTES)
def test_a_wrong_byte_of_a_format_with_checksums_is_a_gap_and_never_noise(tmp_path_factory, wrong):
    path = tmp_path_factory.mktemp("wrong") / "a.flac"
    path.write_bytes(with_wrong_bytes(FLAC, wrong))
    sound, _ = played(path)
    assert np.abs(sound).max() < 1.1 * LEVEL


def float_wav(samples):
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 48_000, 192_000, 4, 32)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def test_numbers_that_are_no_sound_are_left_out_and_not_played_at_full_scale(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(float_wav(tone(1, level=0.5)[:, 0] * 32_768))
    with pytest.raises(ValueError, match="can be decoded"):
        played(path)
    beyond = tone(1, level=0.5)[:, 0]
    beyond[24_000:24_010] = 1e30
    path.write_bytes(float_wav(beyond))
    sound, summary = played(path)
    assert len(sound) > 0.8 * 48_000
    assert np.abs(sound).max() <= 0.51
    assert any("damaged" in line for line in summary)


@pytest.mark.parametrize("codec", ["adpcm_ima_wav", "adpcm_ms"])
def test_damaged_adpcm_stays_within_full_scale_and_is_told(tmp_path, codec):
    """It has no checksum, and each sample follows from the one before."""
    good = encoded(tone(2, rate=8_000, level=LEVEL), codec, "wav", rate=8_000)
    path = tmp_path / "a.wav"
    at = len(good) * 6 // 10
    junk = np.random.default_rng(1).bytes(1000)
    path.write_bytes(good[:at] + junk + good[at + 1000 :])
    sound, summary = played(path)
    assert np.abs(sound).max() <= 2**0.5
    assert any("damaged" in line for line in summary)
    path.write_bytes(good)
    assert played(path)[1] == []


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_sound_at_full_scale_is_not_called_damaged(tmp_path, rate):
    """A siren in square waves, as they come: it goes beyond between the samples."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.sign(tone(1, rate=rate)) * np.float32(0.999), rate))
    assert played(path)[1] == []


EIGHT = [("aac", "adts"), ("flac", "flac"), ("wavpack", "wv")]


@pytest.mark.parametrize(("codec", "container"), EIGHT)
def test_a_file_of_eight_channels_is_played(tmp_path, codec, container):
    path = tmp_path / f"a.{container}"
    path.write_bytes(encoded(tone(1, channels=8), codec, container, layout="7.1"))
    sound, _ = played(path)
    assert len(sound) / 48_000 == pytest.approx(1.0, abs=0.1)


PARTS = st.lists(
    st.tuples(st.sampled_from([8_000, 22_050, 48_000]), st.integers(1, 2)), min_size=1, max_size=5
)


@settings(max_examples=30, deadline=None)
@given(PARTS, st.binary(max_size=50), st.booleans())
def test_wav_files_joined_by_cat_are_played_to_the_end_of_the_last(
    tmp_path_factory, parts, junk, turns
):
    path = tmp_path_factory.mktemp("joined") / "a.wav"
    whole = [wav(tone(0.5, rate=rate, channels=channels), rate) for rate, channels in parts]
    path.write_bytes(b"".join(whole) + junk)
    told = []
    source = SoundSource(str(path), channels=1, repeat=turns, tell=told.append)
    samples = 0
    for block in source.blocks():
        samples += len(block)
        if samples > 3 * 24_000 * len(parts):
            break
    source.close()
    once = 24_000 * len(parts)
    assert samples > 3 * once if turns else samples == pytest.approx(once, abs=100 * len(parts))


def test_a_wav_file_that_was_cut_off_says_so_and_one_out_of_a_pipe_does_not(tmp_path):
    path = tmp_path / "a.wav"
    good = wav(tone(2))
    path.write_bytes(good)
    assert played(path)[1] == []
    path.write_bytes(good[: len(good) // 2])
    assert any("cut off" in line for line in played(path)[1])
    for size in (b"\xff" * 4, bytes(4)):
        at = good.index(b"data") + 4
        path.write_bytes(good[:4] + size + good[8:at] + size + good[at + 4 :])
        sound, summary = played(path)
        assert len(sound) == 96_000 and summary == []


def test_a_file_of_which_less_comes_than_its_header_tells_of_says_how_much(tmp_path):
    path = tmp_path / "a.webm"
    good = encoded(tone(6), "libopus", "webm")
    path.write_bytes(good)
    assert played(path)[1] == []
    path.write_bytes(good[: len(good) // 2])
    sound, summary = played(path)
    missing_s = 6.0 - len(sound) / 48_000
    assert missing_s > 1.0
    assert any(f"{missing_s:.1f} s" in line for line in summary)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=3000))
@example(b"\r\n\r\n")
def test_what_stands_before_an_ogg_stream_is_passed_over(tmp_path_factory, junk):
    path = tmp_path_factory.mktemp("junk") / "a.opus"
    path.write_bytes(junk + encoded(tone(1), "libopus", "ogg"))
    sound, _ = played(path)
    assert len(sound) / 48_000 == pytest.approx(1.0, abs=0.1)
