"""What people have: damaged, joined, chained, changing, oddly named files; and loops of them."""

import io
import os
import random
import shutil
import subprocess
import wave

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.sender.sound.ogg_links import OggLinks
from sim.sender.sound.sound_faults import one_line
from sim.sender.sound.sound_source import SoundSource
from tests.ogg import resealed


def tone(seconds, hz=440.0, rate=48_000, channels=1, level=0.3):
    sound = level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(sound[:, None], channels, axis=1).astype(np.float32)


def encoded(sound, codec, container, *, rate=48_000, layout="mono", **more):
    """Return a file of `sound`, (n, channels), as FFmpeg's libraries make it."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as target:
        stream = target.add_stream(codec, rate=rate, layout=layout, options=more)
        stream.codec_context.options = {"strict": "-2"}
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = rate
        shape = av.AudioResampler(
            format=stream.codec_context.format, layout=layout, rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )  # fmt: skip
        for one in [*shape.resample(frame), *shape.resample(None)]:
            target.mux(stream.encode(one))
        target.mux(stream.encode(None))
    return out.getvalue()


def wav(sound, rate=48_000):
    out = io.BytesIO()
    with wave.open(out, "wb") as one:
        one.setnchannels(sound.shape[1])
        one.setsampwidth(2)
        one.setframerate(rate)
        one.writeframes(np.rint(sound * 32767).astype("<i2").tobytes())
    return out.getvalue()


def played(path, *, seconds_max=60.0, told=None, **options):
    """Return all that a source gives, (n, channels), and its summary."""
    lines = [] if told is None else told
    source = SoundSource(str(path), **{"channels": 1, "tell": lines.append} | options)
    blocks, samples = [np.zeros((0, options.get("channels", 1)), np.float32)], 0
    for block in source.blocks():
        blocks.append(block)
        samples += len(block)
        if samples >= seconds_max * 48_000:
            break
    return np.concatenate(blocks), source.summary()


def rms(sound):
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))


def seconds_by_ffmpeg(path):
    """Return how long FFmpeg's own program plays it; None where that is not installed."""
    if shutil.which("ffmpeg") is None:
        return None
    out = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", f"file:{path}", "-map", "0:a:0", "-ac", "1", "-ar", "48000",
         "-f", "f32le", "-"], capture_output=True,
    )  # fmt: skip
    return len(out.stdout) / 4 / 48_000


MP3 = encoded(tone(3), "libmp3lame", "mp3")


def test_a_damaged_place_costs_what_was_in_it_and_is_told(tmp_path):
    path = tmp_path / "a.mp3"
    middle = len(MP3) // 2
    junk = random.Random(1).randbytes(300)
    path.write_bytes(MP3[:middle] + junk + MP3[middle + 300 :])
    told = []
    sound, summary = played(path, told=told)
    assert len(sound) / 48_000 == pytest.approx(3.0, abs=0.15)
    assert len(told) == 1 and "damaged" in told[0]
    assert any("damaged" in line for line in summary)
    by_ffmpeg = seconds_by_ffmpeg(path)
    assert by_ffmpeg is None or len(sound) / 48_000 == pytest.approx(by_ffmpeg, abs=0.05)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(MP3) - 200), st.integers(0, 2**32))
def test_200_damaged_bytes_cost_a_second_at_most_whatever_they_are(tmp_path_factory, at, seed):
    """Junk may look like the header of a frame, and takes the frames behind it along."""
    path = tmp_path_factory.mktemp("junk") / "a.mp3"
    path.write_bytes(MP3[:at] + random.Random(seed).randbytes(200) + MP3[at + 200 :])
    sound, _ = played(path)
    assert len(sound) / 48_000 >= 2.0


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=40))
def test_a_title_in_any_code_page_is_no_hindrance(tmp_path_factory, title):
    """Recorders of Windows write titles of a WAV file in their own code page."""
    path = tmp_path_factory.mktemp("title") / "a.wav"
    text = title + bytes(len(title) % 2)
    told = b"INFOINAM" + len(text).to_bytes(4, "little") + text
    data = wav(tone(1.0))
    data += b"LIST" + len(told).to_bytes(4, "little") + told
    path.write_bytes(data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:])
    sound, _ = played(path)
    assert len(sound) == 48_000


@pytest.mark.parametrize("count", [2, 3])
def test_files_joined_by_cat_are_played_to_the_end_of_the_last(tmp_path, count):
    path = tmp_path / "joined.mp3"
    path.write_bytes(MP3 * count)
    sound, _ = played(path)
    assert len(sound) / 48_000 == pytest.approx(3.0 * count, abs=0.2)


CODECS = {
    "opus stereo": ("libopus", 48_000, "stereo"),
    "opus": ("libopus", 48_000, "mono"),
    "vorbis": ("vorbis", 44_100, "stereo"),
    "vorbis low": ("vorbis", 22_050, "stereo"),
}


def link(name, seconds=1.0, hz=440.0):
    codec, rate, layout = CODECS[name]
    channels = 1 if layout == "mono" else 2
    return encoded(tone(seconds, hz, rate, channels), codec, "ogg", rate=rate, layout=layout)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(sorted(CODECS)), min_size=1, max_size=4), st.integers(0, 40))
def test_a_chain_of_any_links_is_played_whole_and_as_loud(tmp_path_factory, names, junk_bytes):
    """Each recording of a web radio across its changes of track is such a chain."""
    path = tmp_path_factory.mktemp("chain") / "c.ogg"
    path.write_bytes(bytes(junk_bytes).join(link(name) for name in names))
    sound, _ = played(path)
    assert len(sound) / 48_000 == pytest.approx(len(names), abs=0.03 * len(names))
    for i in range(len(names)):
        part = sound[round((i + 0.25) * 48_000) : round((i + 0.75) * 48_000)]
        assert rms(part) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


LONG = link("opus", 3.0)
SOUND_BEGINS = LONG.index(b"OggS", LONG.index(b"OpusTags"))


@settings(max_examples=60, deadline=None)
@given(st.integers(SOUND_BEGINS, len(LONG) - 1), st.integers(0, 7))
@example(158, 2)
@example(LONG.rindex(b"OggS") + 2, 5)
def test_a_bit_that_is_wrong_in_an_ogg_file_costs_a_page_and_is_told(tmp_path_factory, at, bit):
    path = tmp_path_factory.mktemp("bit") / "a.ogg"
    path.write_bytes(LONG[:at] + bytes([LONG[at] ^ 1 << bit]) + LONG[at + 1 :])
    told = []
    sound, summary = played(path, told=told)
    assert len(sound) / 48_000 > 1.9  # FFmpeg puts a second on each
    assert any("damaged" in line or "cut off" in line for line in [*told, *summary])


def test_an_ogg_file_that_is_whole_has_no_damage_and_one_cut_off_says_so(tmp_path):
    path = tmp_path / "a.ogg"
    path.write_bytes(LONG)
    told = []
    assert played(path, told=told)[1] == told == []
    path.write_bytes(LONG[:-50])
    assert any("it was cut off; copy it again" in line for line in played(path)[1])
    path.write_bytes(LONG[:60])
    with pytest.raises(av.EOFError) as fault:
        played(path)
    assert "cut off, or is empty; copy it again" in one_line(fault.value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 5000), st.booleans())
def test_any_bytes_are_taken_apart_to_an_end(data, at, is_inside):
    whole = link("opus", 0.2)
    data = whole[:at] + data + (whole[at:] if is_inside else whole)
    links = OggLinks(io.BytesIO(data))
    given_bytes = 0
    for one in links:
        while piece := one.read(777):
            given_bytes += len(piece)
    assert given_bytes <= len(data)


def test_the_gain_in_the_header_of_each_link_is_given(tmp_path):
    def with_gain(data, gain_db):
        at = data.index(b"OpusHead") + 16
        changed = data[:at] + int(gain_db * 256).to_bytes(2, "little", signed=True) + data[at + 2 :]
        return resealed(changed)

    path = tmp_path / "c.opus"
    path.write_bytes(with_gain(link("opus"), -6.0) + with_gain(link("opus"), -12.0) + link("opus"))
    sound, _ = played(path)
    levels = [rms(sound[round((i + 0.25) * 48_000) : round((i + 0.75) * 48_000)]) for i in range(3)]
    assert 20 * np.log10(levels[0] / levels[2]) == pytest.approx(-6.0, abs=0.3)
    assert 20 * np.log10(levels[1] / levels[2]) == pytest.approx(-12.0, abs=0.3)


@pytest.mark.parametrize("layout", ["mono", "stereo", "3.0", "quad", "5.1", "7.1"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_level_does_not_depend_on_the_number_of_channels(tmp_path, layout, channels):
    count = av.AudioLayout(layout).nb_channels
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(tone(1, channels=count), "pcm_s16le", "wav", layout=layout))
    sound, _ = played(path, channels=channels)
    assert sound.shape == (48_000, channels)
    for one in sound.T:
        assert rms(one) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


def test_four_channels_of_a_field_recorder_that_names_none_are_as_loud(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(1, channels=4)))
    assert rms(played(path)[0]) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)


def test_full_scale_stays_full_scale_and_what_is_above_it_is_clipped_and_told(tmp_path):
    path = tmp_path / "loud.wav"
    path.write_bytes(wav(tone(1, channels=2, level=1.0)))
    assert np.abs(played(path)[0]).max() <= 1.0
    hot = tone(1, level=4.0)
    hot[100], hot[101] = np.nan, np.inf
    path.write_bytes(encoded(hot, "pcm_f32le", "wav"))
    sound, summary = played(path)
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 1.0
    assert any("full scale" in line for line in summary)


def test_a_turned_over_channel_does_not_silence_the_voice(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(3, channels=2) * np.float32([1, -1])))
    sound, summary = played(path)
    assert rms(sound[48_000:]) == pytest.approx(0.3 / np.sqrt(2), rel=0.02)
    assert any("cancel" in line for line in summary)
    assert not any("cancel" in line for line in played_stereo(tmp_path))


def played_stereo(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "stereo.wav"
    path.write_bytes(wav(np.float32(rng.normal(0, 0.1, (96_000, 2)).clip(-1, 1))))
    return played(path)[1]


NAMES = ["06:30 ban tin", "bai:hat", "http:x", "a%03d", "50% off", " lead", "-x", "--loop", "a|b",
         "concat:a", "d\u1ef1 b\u00e1o", "a\nb", "#1?x=2", "pipe:", "[1]"]  # fmt: skip


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"\xff\xfe")])
@pytest.mark.parametrize("kind", ["wav", "ogg"])
def test_a_file_is_found_by_its_name_whatever_that_looks_like(tmp_path, monkeypatch, name, kind):
    monkeypatch.chdir(tmp_path)
    content = wav(tone(0.5)) if kind == "wav" else link("opus", 0.5)
    with open(f"{name}.{kind}", "wb") as file:
        file.write(content)
    sound, _ = played(f"{name}.{kind}")
    assert len(sound) == pytest.approx(24_000, abs=320)


@pytest.mark.parametrize("rate", [48_000, 44_100, 11_025])
def test_a_loop_has_no_seam(tmp_path, rate):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(1, 441.0 if rate == 44_100 else 480.0, rate), rate))
    sound, _ = played(path, repeat=True, seconds_max=4)
    # A sine is its neighbours' mean times a constant: what is not, is a seam.
    one = sound[4800:-4800, 0].astype(np.float64)
    hz = 441.0 if rate == 44_100 else 480.0
    inner = one[1:-1] * 2 * np.cos(2 * np.pi * hz / 48_000)
    assert np.abs(one[2:] + one[:-2] - inner).max() < 0.001


@pytest.mark.parametrize(
    ("codec", "kind"), [("pcm_s16le", "wav"), ("libopus", "ogg"), ("flac", "flac")]
)
def test_a_loop_that_is_ended_in_the_middle_has_nothing_to_complain_of(tmp_path, codec, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(encoded(tone(1), codec, kind))
    source = SoundSource(str(path), channels=1, repeat=True, tell=print)
    samples = 0
    for block in source.blocks():
        samples += len(block)
        if samples > 4.5 * 48_000:
            break
    assert source.summary() == [] and source.is_whole


@pytest.mark.parametrize("happens", ["removed", "text", "empty", "half"])
def test_a_loop_survives_what_is_put_in_the_place_of_its_file(tmp_path, happens):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(tone(1), "flac", "flac"))
    told = []
    source = SoundSource(str(path), channels=1, repeat=True, tell=told.append)
    samples = 0
    for block in source.blocks():
        assert rms(block[1000:] if len(block) > 2000 else block) > 0.1
        samples += len(block)
        if samples > 20_000 and path.exists() and path.stat().st_size > 300:
            content = path.read_bytes()
            path.unlink()
            if happens != "removed":
                new = {"text": b"la la la", "empty": b"", "half": content[:200]}[happens]
                path.write_bytes(new)
        if samples > 5 * 48_000:
            break
    assert samples > 5 * 48_000
    assert 1 <= len(told) <= 6


def test_a_loop_takes_up_a_new_file_of_its_name(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(tone(1, level=0.3)))
    source = SoundSource(str(path), channels=1, repeat=True, tell=print)
    parts = []
    for block in source.blocks():
        parts.append(block)
        if sum(map(len, parts)) > 60_000:
            new = tmp_path / "new"
            new.write_bytes(wav(tone(1, level=0.6)))
            new.replace(path)
        if sum(map(len, parts)) > 200_000:
            break
    assert rms(np.concatenate(parts)[-48_000:]) == pytest.approx(0.6 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    "content", [b"", b"la la la", b"RIFF", b"OggS", wav(tone(1))[:44], bytes(5000)]
)
@pytest.mark.parametrize("repeat", [False, True])
def test_what_holds_no_sound_is_an_error_and_no_traceback(tmp_path, content, repeat):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises((OSError, ValueError, av.FFmpegError)):
        played(path, repeat=repeat)


def test_an_inverted_cut_of_any_file_is_read_to_an_end(tmp_path):
    """Every cut: nothing but the known errors comes out, and never more than there was."""
    path = tmp_path / "a"
    for data in (MP3[:4000], link("vorbis low", 0.3), encoded(tone(0.3), "flac", "flac")):
        for cut in range(0, len(data), max(1, len(data) // 40)):
            path.write_bytes(data[:cut])
            try:
                sound, _ = played(path)
            except (OSError, ValueError, av.FFmpegError):
                continue
            assert len(sound) <= 4 * 48_000


def test_a_closed_standard_input_is_an_error_and_no_traceback(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ValueError, match="standard input is closed"):
        played("-")
