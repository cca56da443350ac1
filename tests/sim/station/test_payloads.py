"""A run sends the same Opus packets on every machine."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from node.config import ConfigError
from sim.cli import main
from sim.day.nodes import library
from sim.station import payloads
from sim.village import places as village
from sim.village import scenario
from sim.village.scenario import SPEECH
from sim.village.sender_config import SenderConfig

ANNOUNCEMENT = SPEECH / "announcement_vi.flac"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(payloads.CACHE, str(folder))
    return folder


@pytest.fixture
def own(tmp_path):
    """Return a sound of one's own, two seconds."""
    path = tmp_path / "own.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48_000, layout="mono")
        with av.open(str(ANNOUNCEMENT)) as speech:
            for frame in speech.decode(audio=0):
                if frame.time is not None and frame.time < 2.0:
                    frame.pts = None
                    container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def opus_file(path: Path, sound: Path, packet_ms: int = 20, channels: str = "mono") -> Path:
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout=channels)
        stream.codec_context.options = {"frame_duration": str(packet_ms)}
        with av.open(str(sound)) as source:
            for frame in source.decode(audio=0):
                frame.pts = None
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def packets_in(path: Path) -> tuple[bytes, ...]:
    with av.open(str(path)) as container:
        return tuple(bytes(one) for one in container.demux(container.streams.audio[0]) if one.size)


def forbid(*_: object) -> None:
    raise AssertionError("libopus was asked to encode")


def test_what_ships_is_never_encoded_on_the_users_machine(monkeypatch):
    monkeypatch.setattr(payloads, "encode", forbid)
    for name in scenario.names():
        asked = scenario.load(name)
        assert village.build_village(asked).scenario_hash
        if asked.day is not None:
            assert library(asked, asked.day)
    assert payloads.load(ANNOUNCEMENT, SenderConfig(delivery="multicast")).lows


def test_a_sound_of_ones_own_is_encoded_once(own, monkeypatch):
    first = payloads.load(own, SenderConfig(delivery="multicast"))
    monkeypatch.setattr(payloads, "encode", forbid)
    again = payloads.load(own, SenderConfig(delivery="multicast"))
    assert again.payloads == first.payloads
    assert again.lows == first.lows
    assert again.look_ahead_samples == first.look_ahead_samples
    assert b"" in payloads.load(ANNOUNCEMENT, SenderConfig(delivery="multicast")).lows


@pytest.mark.parametrize(
    "other", [{"bitrate_kbit_s": 32}, {"packet_ms": 40}, {"fec": False}, {"target_lufs": -20.0}]
)
def test_other_settings_are_other_packets(own, other):
    config = SenderConfig()
    assert (
        payloads.load(own, config).payloads != payloads.load(own, replace(config, **other)).payloads
    )


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_packets_written_beside_a_sound_go_with_it_to_another_machine(
    own, cache, packet_ms, monkeypatch
):
    config = SenderConfig(packet_ms=packet_ms, delivery="multicast")
    written = payloads.write_beside(own, config)
    here = payloads.load(own, config)
    for one in cache.iterdir():
        one.unlink()
    monkeypatch.setattr(payloads, "encode", forbid)
    there = payloads.load(own, config)
    assert (there.payloads, there.lows) == (here.payloads, here.lows)
    before = [one.read_bytes() for one in written]
    assert [one.read_bytes() for one in payloads.write_beside(own, config)] == before


def test_without_a_place_for_them_they_are_encoded_each_time(own, monkeypatch):
    monkeypatch.setenv(payloads.CACHE, "/proc/none")
    assert payloads.load(own, SenderConfig()).payloads


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_an_ogg_opus_file_is_sent_packet_for_packet(tmp_path, own, packet_ms):
    path = opus_file(tmp_path / "mine.opus", own, packet_ms)
    sent = payloads.load(path, SenderConfig(packet_ms=packet_ms, delivery="multicast"))
    assert sent.payloads == packets_in(path)
    assert len(sent.lows) == len(sent.payloads)
    assert payloads.load(path, SenderConfig(packet_ms=packet_ms)).lows == ()


def test_packets_of_another_length_than_the_scenario_says_are_named(tmp_path, own):
    path = opus_file(tmp_path / "mine.opus", own, 60)
    with pytest.raises(
        ConfigError, match=r"mine\.opus: packet 0 holds 60 ms, sender\.packet_ms = 20"
    ):
        payloads.load(path, SenderConfig())


@pytest.mark.parametrize("damage", [b"", b"OggS" + bytes(200)])
def test_kept_packets_that_are_damaged_are_named(own, damage):
    (written,) = payloads.write_beside(own, SenderConfig())
    written.write_bytes(damage)
    with pytest.raises(ConfigError, match=written.name):
        payloads.load(own, SenderConfig())


@pytest.fixture
def question(tmp_path, own):
    """Return a scenario of one cluster that hears one's own sound."""
    path = tmp_path / "q.toml"
    path.write_text(
        'title = "t"\nquestion = "q"\n[sender]\nfile = "own.wav"\n[[communes]]\nname = "c"\n'
        'x_m = 0\ny_m = 0\n[[communes.hamlets]]\nname = "h"\nx_m = 0\ny_m = 0\n'
        '[[communes.hamlets.clusters]]\nname = "a"\nprofile = "pi_4b_usb"\nbearer = "ftth"\n'
        "x_m = 0\ny_m = 0\n"
    )
    return path


def test_other_packets_are_another_question(tmp_path, own, question):
    asked = scenario.load(question)
    (written,) = payloads.write_beside(own, asked.sender)
    before = village.build_village(asked).scenario_hash
    written.write_bytes(opus_file(tmp_path / "other.opus", own).read_bytes())
    assert village.build_village(asked).scenario_hash != before


def test_the_command_says_what_it_wrote(own, question, capsys):
    assert main(["encode", str(question)]) == 0
    (written,) = capsys.readouterr().out.split()
    assert Path(written).is_file()
    assert Path(written).parent == own.parent


def test_the_command_says_what_is_wrong(own, question, capsys):
    own.write_bytes(b"no sound")
    assert main(["encode", str(question)]) == 2
    assert "own.wav: no sound that can be decoded" in capsys.readouterr().err
