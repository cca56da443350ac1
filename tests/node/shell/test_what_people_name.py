"""Whatever a person names as a file, and wherever the output goes: one line, and a status."""

import subprocess
import sys
from pathlib import Path

import pytest

from node.shell.cli import main
from sim.cli import main as sim
from sim.sender.cli import main as send

COMMANDS = {
    "check": lambda one: ["check", "--config", one],
    "matrix": lambda one: ["matrix", "--config", one],
    "publish": lambda one: [
        "publish",
        one,
        "--broker",
        "127.0.0.1:1",
        "--village",
        "v",
        "--node",
        "n",
    ],
    "poles": lambda one: [
        "publish",
        "order",
        "--broker",
        "127.0.0.1:1",
        "--village",
        "v",
        "--node",
        "n",
        "--poles",
        one,
    ],
    "cap": lambda one: ["order", "cap", one, "--area", "vn", "--key", "key", "--out", "o"],
    "key": lambda one: ["order", "mute", "--area", "vn", "--key", one, "--out", "o"],
}
NAMES = {
    "a device without end": "/dev/full",
    "a folder": ".",
    "a long name": "x" * 300,
    "nothing": "missing",
    "below a file": "key/missing",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key").write_bytes(b"k" * 32)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_in_a_line_what_is_wrong_with_what_it_was_given(command, name, capsys):
    if command == "poles":
        pytest.importorskip("cryptography")
        assert main(["key", "officer"]) == 0
        more = ["--area", "vn", "--key", "officer", "--out", "order"]
        assert main(["order", "mute", *more]) == 0
    capsys.readouterr()
    assert main(COMMANDS[command](NAMES[name])) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and NAMES[name] in said


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["--sign", "--srtp"])
def test_a_sender_says_which_key_is_none(option, name, capsys):
    assert send(["sound.wav", "--to", "127.0.0.1:9", option, NAMES[name]]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and said.startswith(f"loalang-send: {option} {NAMES[name]}:")


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_that_is_no_file_is_named_as_what_it_is(name, capsys):
    assert sim(["check", NAMES[name]]) == 2
    said = capsys.readouterr().err
    assert ("is a folder" in said) == (name == "a folder")
    assert "no such file" in said or name != "nothing"


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e3", "9" * 5000, "", "3601"])
def test_a_lead_that_is_no_number_of_seconds_is_refused(value, capsys):
    with pytest.raises(SystemExit) as ended:
        send(["sound.wav", "--to", "127.0.0.1:9", f"--lead={value}"])
    assert ended.value.code == 2
    assert "must be a whole number from 0 to 3600" in capsys.readouterr().err


RUN = "import sys; from {0} import main; sys.exit(main({1!r}))"
SPEAK = [
    ("node.shell.cli", ["describe"]),
    ("node.shell.cli", ["--help"]),
    ("node.shell.station.cli", ["--help"]),
    ("sim.cli", ["list"]),
    ("sim.sender.cli", ["--help"]),
]


@pytest.mark.parametrize(("module", "arguments"), SPEAK)
def test_a_full_disk_behind_the_output_is_a_line_and_a_status(module, arguments):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", RUN.format(module, arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    said = ended.stderr.strip().splitlines()
    assert ended.returncode == 1
    assert len(said) == 1 and "standard output: the disk is full" in said[0]
