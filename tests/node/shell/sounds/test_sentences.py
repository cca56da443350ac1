"""Sentences of stored sounds: found once, kept beside the file, believed only where they fit."""

import io

import av
import numpy as np

from node.opus.libopus import LibopusDecoder
from node.shell.cli import main
from node.shell.sounds.library import packets_of, read_sounds
from node.shell.sounds.sentences import find_sentences
from tests.acceptance.conftest import SPEECH

RATE = 48_000


def ogg(sound):
    """An Ogg Opus file of `sound`, by FFmpeg."""
    target = io.BytesIO()
    with av.open(target, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE, options={"frame_duration": "20"})
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(
            (sound * 32767).astype(np.int16)[None, :], format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def bursts(*seconds):
    """Tone and silence in turn."""
    parts = []
    for number, length_s in enumerate(seconds):
        t = np.arange(int(length_s * RATE)) / RATE
        parts.append(0.3 * np.sin(2 * np.pi * 300 * t) * (number % 2 == 0))
    return np.concatenate(parts)


def test_sentences_begin_after_pauses_and_not_after_breaths():
    data = ogg(bursts(1.0, 0.5, 2.0, 0.15, 1.0, 0.8, 1.0))
    packets = packets_of(data)
    begins_s = [one / 50 for one in find_sentences(packets, LibopusDecoder)]
    assert len(begins_s) == 3
    assert np.allclose(begins_s, [0.0, 1.5, 5.45], atol=0.08)


def test_in_real_speech_each_begins_where_it_is_soft():
    with av.open(str(SPEECH)) as container:
        frames = [f.to_ndarray().ravel() for f in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    sound = np.concatenate(frames).astype(np.float64)
    sound /= np.abs(sound).max()
    sound = np.interp(np.arange(0, len(sound), rate / RATE), np.arange(len(sound)), sound)
    packets = packets_of(ogg(0.8 * sound))
    begins = find_sentences(packets, LibopusDecoder)
    loud = np.sqrt(np.mean(sound**2))
    for one in begins[1:]:
        assert np.sqrt(np.mean(sound[one * 960 - 4800 : one * 960] ** 2)) < loud / 10


def test_a_sound_that_is_kept_has_its_hash_and_its_sentences(tmp_path, capsys):
    (tmp_path / "news.opus").write_bytes(ogg(bursts(1.0, 0.5, 1.0)))
    folder = tmp_path / "media"
    folder.mkdir()
    arguments = ["keep", str(tmp_path / "news.opus"), "--folder", str(folder)]
    assert main([*arguments, "--decoder", "libopus"]) == 0
    digest, _, told = capsys.readouterr().out.partition("  ")
    assert "2.5 s, 2 sentences" in told
    library = read_sounds(folder).by_name
    assert library[digest].sentences[0] == 0 and library[digest].sentences[1] > 70
    (folder / f"{digest}.sentences").write_text("5\n3\n")
    assert read_sounds(folder).by_name[digest].sentences == ()
    (folder / f"{digest}.sentences").write_bytes(b"\xff\xfe")
    assert read_sounds(folder).by_name[digest].sentences == ()


def test_what_is_no_such_sound_is_named(tmp_path, capsys):
    (tmp_path / "news.opus").write_bytes(b"OggS")
    assert main(["keep", str(tmp_path / "news.opus"), "--folder", str(tmp_path)]) == 2
    assert "no Ogg Opus" in capsys.readouterr().err
