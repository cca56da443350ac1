"""Files joined by `cat`, with something before or behind them, from the disk and by a pipe."""

import contextlib
import io
import os
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.sender.sound.file_parts import PARTS_MAX, FileParts
from sim.sender.sound.pipe_parts import PipeParts
from sim.sender.sound.sound_source import SoundSource
from tests.sim.sender.sound.test_sound_source import encoded, rms, tone, wav

SECONDS = 1.0
LEVEL = 0.3
KINDS = {
    name: encoded(tone(SECONDS, rate=rate, level=LEVEL), codec, container, rate=rate, **more)
    for name, codec, container, rate, more in [
        ("wav", "pcm_s16le", "wav", 22_050, {}),
        ("rf64", "pcm_s16le", "wav", 48_000, {"rf64": "always"}),
        ("w64", "pcm_s16le", "w64", 48_000, {}),
        ("aiff", "pcm_s16be", "aiff", 44_100, {}),
        ("au", "pcm_s16be", "au", 48_000, {}),
        ("caf", "pcm_s16le", "caf", 48_000, {}),
        ("caf alac", "alac", "caf", 48_000, {}),
        ("voc", "pcm_u8", "voc", 8_000, {}),
        ("tta", "tta", "tta", 48_000, {}),
        ("wavpack", "wavpack", "wv", 48_000, {}),
        ("m4a", "aac", "ipod", 48_000, {}),
        ("mp4 in fragments", "aac", "mp4", 48_000, {"movflags": "frag_keyframe+empty_moov"}),
        ("mov", "pcm_s16le", "mov", 48_000, {}),
        ("3gp", "aac", "3gp", 48_000, {}),
        ("webm", "libopus", "webm", 48_000, {}),
        ("mkv", "pcm_s16le", "matroska", 48_000, {}),
        ("flv", "aac", "flv", 44_100, {}),
        ("avi", "pcm_s16le", "avi", 48_000, {}),
        ("nut", "libopus", "nut", 48_000, {}),
        ("ogg", "libopus", "ogg", 48_000, {}),
        ("flac", "flac", "flac", 48_000, {}),
        ("mp3", "libmp3lame", "mp3", 48_000, {}),
        ("mp2", "mp2", "mp2", 44_100, {}),
        ("aac", "aac", "adts", 44_100, {}),
        ("ts", "aac", "mpegts", 48_000, {}),
    ]
}
NAMES = sorted(KINDS)
UNMARKED = ["mp3", "mp2", "aac", "ts"]
PIPED = sorted(set(KINDS) - {"flac", *UNMARKED})
"""What has no mark of its own, or shares it, is found behind others on the disk alone."""


def heard(source):
    blocks = list(source.blocks())
    source.close()
    return np.concatenate([np.zeros((0, 1), np.float32), *blocks])


def of_file(path, data):
    path.write_bytes(data)
    source = SoundSource(str(path), channels=1, tell=lambda line: None)
    return heard(source), source


def of_pipe(data, monkeypatch):
    read, write = os.pipe()

    def feed():
        with os.fdopen(write, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read, "rb", buffering=0) as pipe, monkeypatch.context() as patch:
        patch.setattr("sys.stdin", pipe)
        source = SoundSource("-", channels=1, tell=lambda line: None)
        sound = heard(source)
    feeder.join()
    return sound, source


def check_whole(sound, source, count):
    """Each of `count` parts was heard, and nothing that is no sound."""
    assert len(sound) / 48_000 == pytest.approx(SECONDS * count, abs=0.08 * count)
    for i in range(count):
        begin = i * len(sound) // count
        middle = sound[begin + 12_000 : begin + 36_000]
        assert rms(middle) == pytest.approx(LEVEL / np.sqrt(2), rel=0.1)
    assert np.abs(sound).max() < 2.2 * LEVEL
    assert source.is_whole


@pytest.mark.parametrize("name", NAMES)
def test_a_file_joined_to_itself_is_heard_twice(tmp_path, name):
    check_whole(*of_file(tmp_path / "a", KINDS[name] * 2), 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_by_a_pipe_is_heard_joined_or_not(monkeypatch, name):
    check_whole(*of_pipe(KINDS[name], monkeypatch), 1)
    check_whole(*of_pipe(KINDS[name] * 2, monkeypatch), 2)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4))
@example(["wav", "mp3", "ogg"])
@example(["ogg", "wav", "ogg"])
@example(["mkv", "flac"])
@example(["caf", "flac"])
@example(["flv", "flac"])
def test_files_of_any_kinds_joined_are_heard_to_the_end_of_the_last(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("joined") / "a"
    check_whole(*of_file(path, b"".join(KINDS[name] for name in names)), len(names))


@pytest.mark.parametrize("name", UNMARKED)
@pytest.mark.parametrize("before", NAMES)
def test_sound_without_a_mark_is_heard_behind_any_other(tmp_path, before, name):
    check_whole(*of_file(tmp_path / "a", KINDS[before] + KINDS[name]), 2)


@pytest.mark.parametrize("name", UNMARKED)
@pytest.mark.parametrize("before", NAMES)
def test_sound_without_a_mark_is_heard_behind_any_other_by_a_pipe_or_told(
    monkeypatch, before, name
):
    sound, source = of_pipe(KINDS[before] + KINDS[name], monkeypatch)
    if before in ("caf", "ogg"):
        assert not source.is_whole
        assert any("behind the sound are none" in line for line in source.summary())
    else:
        check_whole(sound, source, 2)


@pytest.mark.parametrize("name", UNMARKED)
@pytest.mark.parametrize("behind", ["wav", "flac", "ogg"])
def test_a_short_sound_without_a_mark_is_heard_before_another_by_a_pipe(monkeypatch, name, behind):
    check_whole(*of_pipe(KINDS[name] + KINDS[behind], monkeypatch), 2)


def tag(count):
    size = bytes(count >> 7 * i & 0x7F for i in (3, 2, 1, 0))
    return b"ID3\x03\0\0" + size + bytes(count)


FRONTS = st.one_of(
    st.sampled_from(
        [b"\r\n", b"\xef\xbb\xbf", b"HTTP/1.0 200 OK\r\nContent-Type: audio/x-wav\r\n\r\n"]
    ),
    st.integers(1, 10_000).map(bytes),
    st.integers(0, 300_000).map(tag),
    st.text("abc<>\n", min_size=1, max_size=2000).map(str.encode),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NAMES), FRONTS)
@example("m4a", bytes(3))
@example("wav", tag(1 << 21))
def test_what_stands_before_a_sound_is_passed_over(tmp_path_factory, name, front):
    path = tmp_path_factory.mktemp("front") / "a"
    check_whole(*of_file(path, front + KINDS[name]), 1)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(PIPED), FRONTS)
def test_what_stands_before_a_sound_by_a_pipe_is_passed_over(name, front):
    with pytest.MonkeyPatch.context() as patch:
        check_whole(*of_pipe(front + KINDS[name], patch), 1)


@pytest.mark.parametrize("rest", [bytes(300_000), b"<html>hello</html>\n" * 20_000])
def test_what_stands_behind_a_transport_stream_ends_it(tmp_path, rest):
    data = encoded(tone(SECONDS, level=LEVEL), "aac", "mpegts")
    sound, _ = of_file(tmp_path / "a.ts", data + rest)
    assert len(sound) / 48_000 == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("name", ["wav", "aiff", "m4a", "caf"])
def test_what_cannot_be_played_behind_a_sound_is_told_and_padding_and_tags_are_not(tmp_path, name):
    good = KINDS[name]
    for behind in (bytes(200_000), b"TAG" + bytes(125), b"APETAGEX" + bytes(24), tag(100_000)):
        sound, source = of_file(tmp_path / "a", good + behind)
        check_whole(sound, source, 1)
        assert source.summary() == []
    junk = np.random.default_rng(1).bytes(100_000)
    sound, source = of_file(tmp_path / "a", good + junk)
    assert len(sound) / 48_000 == pytest.approx(SECONDS, abs=0.1)
    assert not source.is_whole
    assert any("100000 bytes behind the sound" in line for line in source.summary())


def test_a_joined_file_that_is_broken_is_told_and_those_around_it_are_heard(tmp_path):
    broken = KINDS["flac"][:8] + bytes(5000)
    sound, source = of_file(tmp_path / "a", KINDS["wav"] + broken + KINDS["aiff"])
    assert len(sound) / 48_000 == pytest.approx(2 * SECONDS, abs=0.1)
    assert not source.is_whole
    assert any("1 of the files joined in it cannot be played" in one for one in source.summary())


def test_more_than_fits_is_not_spooled_and_the_remedy_is_the_name():
    with pytest.raises(ValueError, match="give its name"):
        PipeParts(io.BytesIO(KINDS["mov"]), spool_bytes_max=50_000).spooled()


def test_more_files_than_any_people_join_are_counted_as_left(tmp_path):
    path = tmp_path / "a"
    one = wav(np.zeros((1, 1), np.float32))
    path.write_bytes(one * (PARTS_MAX + 2))
    with path.open("rb", buffering=0) as file:
        parts = FileParts(file, "a")
        assert sum(len(part.read(100)) for part in parts) == PARTS_MAX * len(one)
    assert parts.left_bytes == 2 * len(one)


PIECES = st.lists(
    st.one_of(st.binary(max_size=200), st.sampled_from([KINDS[name][:200] for name in NAMES])),
    max_size=8,
).map(b"".join)


@settings(max_examples=200, deadline=None)
@given(PIECES, st.integers(1, 300))
def test_any_bytes_are_taken_apart_to_an_end_and_no_byte_is_given_twice(
    tmp_path_factory, data, count
):
    path = tmp_path_factory.mktemp("any") / "a"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        for parts in (FileParts(file, "a"), PipeParts(io.BytesIO(data))):
            given_bytes = 0
            for part in parts:
                while piece := part.read(count):
                    given_bytes += len(piece)
            assert given_bytes <= len(data)
