"""What stops the daemon: one line with the remedy, the right exit status, nothing left behind."""

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.rig.rig_network import free_port
from node.shell.cli import main
from node.shell.store.disk import RealDisk

GOOD = 'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{port}"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(GOOD.format(port=free_port()))
    return path


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines for the person, without those of the log."""
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if " INFO " not in line]


def run(config: Path, *more: str) -> int:
    return main(["run", "--config", str(config), "--duration", "0.3", *more])


def test_a_port_in_use_is_named_with_the_remedy(config, capsys):
    port = int(config.read_text().rsplit(":", 1)[1].strip().strip('"'))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        assert run(config, "--sink", "null") == 1
    (line,) = told(capsys)
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line
    assert "ss -ulnp" in line


@pytest.mark.parametrize(
    ("listen", "remedy"),
    [
        ("5004", "HOST:PORT"),
        ("127.0.0.1:99999", "1 to 65535"),
        ("somewhere:5004", "must be an address"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_the_users_input(tmp_path, capsys, listen, remedy):
    config = tmp_path / "node.toml"
    config.write_text(f'name = "pole-1"\n[receive]\nlisten = "{listen}"\n')
    assert run(config, "--sink", "null") == 2
    (line,) = told(capsys)
    assert listen in line
    assert remedy in line


def test_an_address_that_this_machine_does_not_have_yet_is_tried_again_by_the_unit(
    tmp_path, capsys
):
    config = tmp_path / "node.toml"
    config.write_text('name = "pole-1"\n[receive]\nlisten = "192.0.2.1:5004"\n')
    assert run(config, "--sink", "null") == 1, "2 is for ever"
    (line,) = told(capsys)
    assert "192.0.2.1:5004" in line
    assert "no such address" in line


@pytest.mark.parametrize(
    ("receive", "remedy"),
    [
        ('listen = "239.192.7.1:5004"', 'multicast_group = "239.192.7.1"'),
        ('listen = "[ff05::7:1]:5004"', "must be an own address"),
        ('listen = "127.0.0.1:5004"\nmulticast_group = "ff05::7:1"', "the same family"),
        ('listen = "[::1]:5004"\nmulticast_group = "239.192.7.1"', "the same family"),
        ('multicast_group = "10.1.1.1"', "must be a multicast address"),
        ('interface = ""', "as `ip link` prints it"),
        ('interface = "an-interface-with-a-long-name"', "as `ip link` prints it"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_what_no_packet_can_reach_is_refused_by_check_and_run_alike(
    tmp_path, capsys, receive, remedy, command
):
    config = tmp_path / "node.toml"
    config.write_text(f'name = "pole-1"\n[receive]\n{receive}\n')
    more = ["--duration", "0.3", "--sink", "null"] if command == "run" else []
    assert main([command, "--config", str(config), *more]) == 2
    (line,) = told(capsys)
    assert remedy in line


@pytest.mark.parametrize("group", ["", 'multicast_group = "239.192.7.1"\n'])
def test_an_interface_that_is_not_there_is_named_by_check_and_run_alike(tmp_path, capsys, group):
    config = tmp_path / "node.toml"
    listen = f'listen = "0.0.0.0:{free_port()}"\n'
    config.write_text(
        f'name = "pole-1"\n[receive]\n{listen}interface = "eth77"\n{group}[sink]\nkind = "null"\n'
    )
    assert run(config) == 1
    assert "no interface 'eth77'; `ip address` lists them" in told(capsys)[-1]
    assert main(["check", "--config", str(config)]) == 1
    assert "no interface 'eth77'" in told(capsys)[-1]


def test_all_faults_of_a_configuration_are_told_at_once(tmp_path, capsys):
    config = tmp_path / "node.toml"
    config.write_text(
        'name = "Pole 1"\nspeed = 3\n[receive]\nlisten = "nowhere"\n[jitter]\ndelay_ms = "x"\n'
        '[sink]\nkind = "horn"\nperiod_ms = 10\n[mqtt]\nport = 0\n'
    )
    assert run(config) == 2
    text = "\n".join(told(capsys))
    for part in ("node.name = 'Pole 1'", "speed: unknown", "receive.listen", "jitter.delay_ms"):
        assert part in text
    for part in ("sink.kind = 'horn': must be one of 'card', 'null'", "mqtt.port = 0"):
        assert part in text
    assert all(line.startswith(str(config)) for line in text.splitlines())


@pytest.mark.parametrize(
    ("content", "must_be"),
    [(b"name = \n", "TOML"), (b"\xff\xfe\x00", "UTF-8"), (b"[receive\n", "TOML")],
)
def test_a_file_that_is_not_toml_is_named_with_the_place(tmp_path, capsys, content, must_be):
    config = tmp_path / "node.toml"
    config.write_bytes(content)
    assert run(config) == 2
    (line,) = told(capsys)
    assert str(config) in line
    assert must_be in line


def test_a_file_that_is_not_there_is_named(tmp_path, capsys):
    assert run(tmp_path / "none.toml") == 2
    assert "no such file" in told(capsys)[0]


def test_an_unreadable_file_is_named(config, capsys, monkeypatch):
    real = os.open

    def refuse(path, *rest, **named):
        if path == config:
            raise PermissionError(13, "Permission denied")
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)  # root may read everything: chmod says nothing
    assert run(config) == 2
    assert "no permission" in told(capsys)[0]


@pytest.mark.parametrize("sink", ["horn", "wav", "wav:", "null:x"])
def test_a_sink_of_no_known_kind_is_named(config, capsys, sink):
    assert run(config, "--sink", sink) == 2
    (line,) = told(capsys)
    assert "card, card:NAME, wav:FILE or null" in line


def said_without_a_card(config, caplog, *more: str) -> str:
    """Return what a node says that stays up without its card."""
    sys.modules.pop("sounddevice", None)
    assert run(config, *more) == 0
    sys.modules.pop("sounddevice", None)
    (line,) = [one for one in caplog.messages if one.startswith("no sound card: ")]
    return line


@pytest.mark.parametrize(
    ("module", "remedy"),
    [
        ("raise OSError('PortAudio library not found')", "apt install libportaudio2"),
        ("raise ImportError('no')", "pip install"),
        ("def query_devices(): return []", "no sound card"),
    ],
)
def test_without_a_way_to_a_sound_card_the_remedy_is_told(
    config, caplog, monkeypatch, tmp_path, module, remedy
):
    (tmp_path / "sounddevice.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    line = said_without_a_card(config, caplog)
    assert remedy in line
    assert "--sink null|wav:FILE" in line


def test_a_card_that_is_not_there_is_told_with_those_that_are(
    config, caplog, monkeypatch, tmp_path
):
    (tmp_path / "sounddevice.py").write_text(
        "def query_devices(): return [dict(name='Codec', hostapi=0, max_output_channels=2)]\n"
        "def query_hostapis(i): return dict(name='ALSA')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    line = said_without_a_card(config, caplog, "--sink", "card:horn")
    assert "'horn'" in line
    assert "Codec (ALSA)" in line


@pytest.mark.parametrize(
    ("asked", "opened"),
    [("JACK", "system (JACK)"), ("jack", "jack (ALSA)"), ("Usb", "USB Audio (ALSA)")],
)
def test_a_card_is_found_as_it_is_written_before_any_case_will_do(
    config, caplog, monkeypatch, tmp_path, asked, opened
):
    (tmp_path / "sounddevice.py").write_text(
        "PortAudioError = OSError\n"
        "def query_devices():\n"
        "    names = [('jack', 0), ('USB Audio', 0), ('system', 1)]\n"
        "    return [dict(name=n, hostapi=i, max_output_channels=2) for n, i in names]\n"
        "def query_hostapis(i): return dict(name=('ALSA', 'JACK')[i])\n"
        "def OutputStream(**_): raise OSError('no card in this test')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert f"sound card {opened!r}" in said_without_a_card(
        config, caplog, "--sink", f"card:{asked}"
    )


def test_a_wav_in_a_folder_that_is_not_there_is_the_users_input(config, capsys, tmp_path):
    assert run(config, "--sink", f"wav:{tmp_path}/none/played.wav") == 2
    assert "no such file or folder" in told(capsys)[0]


def test_a_full_disk_ends_the_node_and_leaves_nothing_behind(config, capsys, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "played.wav.partial").symlink_to("/dev/full")  # every write fails with ENOSPC
    assert run(config, "--sink", f"wav:{folder}/played.wav") == 1
    (line,) = told(capsys)
    assert "disk is full" in line
    assert list(folder.iterdir()) == []


def test_a_file_that_may_not_grow_ends_the_node_while_it_plays(config, tmp_path):
    wav = tmp_path / "played.wav"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    done = subprocess.run(
        [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config),
         "--sink", f"wav:{wav}", "--duration", "20"],
        capture_output=True, text=True, preexec_fn=limit, timeout=60,
        env=os.environ | {"LOALANG_KERNEL_CACHE": ""},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"loalang-node: {wav}")
    assert list(tmp_path.glob("played*")) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_wav_is_whole_when_the_node_is_ended_by_a_signal(config, tmp_path, number):
    import wave

    wav = tmp_path / "played.wav"
    one = subprocess.Popen(
        [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config),
         "--sink", f"wav:{wav}"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert one.stderr is not None
    assert any("ready" in line for line in one.stderr)
    time.sleep(0.5)
    assert not wav.exists(), "half a file under the final name"
    one.send_signal(number)
    one.communicate(timeout=20)
    assert one.returncode == 0
    with wave.open(str(wav)) as played:
        assert played.getnframes() >= 0.4 * 48_000
        assert wav.stat().st_size == 44 + 2 * played.getnframes()
    assert not wav.with_name("played.wav.partial").exists()


def test_a_store_that_cannot_be_opened_is_named(config, capsys, tmp_path):
    config.write_text(config.read_text() + f'[store]\npath = "{tmp_path}/none/kept.db"\n')
    assert run(config, "--sink", "null") == 2
    (line,) = told(capsys)
    assert "store.path" in line


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_a_duration_that_is_none_is_refused(config, capsys, seconds):
    assert main(["run", "--config", str(config), "--sink", "null", "--duration", seconds]) == 2
    assert "--duration" in told(capsys)[0]


@pytest.mark.parametrize(
    ("number", "word"), [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EIO, "fails")]
)
def test_a_disk_that_takes_nothing_ends_no_node_and_is_told(
    config, caplog, monkeypatch, tmp_path, number, word
):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(RealDisk, "replace", refuse)
    config.write_text(config.read_text() + f'[store]\npath = "{tmp_path}/kept.db"\n')
    assert run(config, "--sink", "null") == 0
    assert any(word in one.message and "store" in one.message for one in caplog.records)


def test_a_store_of_zeros_ends_no_node_and_is_told(config, caplog, tmp_path):
    for name in ("kept.db", "kept.db.2"):
        (tmp_path / name).write_bytes(bytes(5000))
    config.write_text(config.read_text() + f'[store]\npath = "{tmp_path}/kept.db"\n')
    assert run(config, "--sink", "null") == 0
    assert any("damaged in both copies" in one.message for one in caplog.records)
    caplog.clear()
    assert run(config, "--sink", "null") == 0
    assert not any("damaged" in one.message for one in caplog.records)
