"""A disk that is mounted late costs a moment: the unit starts again when it is there."""

import socket

import pytest

from node.shell import systemd
from node.shell.cli import main
from node.shell.systemd import LATE_S

CONFIG = """
name = "pole"
[store]
path = "{folder}/state"
"""


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    """A supervisor that started us; it hears what we say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield one


@pytest.fixture
def slept(monkeypatch):
    """How often a second passed; what is in `then` happens after so many."""
    passed, then = [], {}

    def sleep(seconds):
        passed.append(seconds)
        then.pop(len(passed), lambda: None)()

    monkeypatch.setattr(systemd.time, "sleep", sleep)
    return passed, then


def run(tmp_path, text):
    path = tmp_path / "node.toml"
    path.write_text(text)
    return main(["run", "--config", str(path), "--sink", "null", "--duration", "0.1"])


def test_a_folder_that_comes_with_a_late_disk_is_waited_for(tmp_path, supervisor, slept, capsys):
    passed, then = slept
    then[3] = (tmp_path / "disk").mkdir
    assert run(tmp_path, CONFIG.format(folder=tmp_path / "disk")) == 1
    assert passed == [1, 1, 1]
    assert "no such folder" in capsys.readouterr().err
    told = []
    while not told or not told[-1].startswith(b"STATUS=waiting"):
        told.append(supervisor.recv(4096))  # BlockingIOError: it was not told


def test_what_never_comes_is_looked_for_a_minute_and_then_with_a_fresh_start(
    tmp_path, supervisor, slept
):
    text = CONFIG.format(folder=tmp_path) + '[mqtt]\nhost = "127.0.0.1"\nca_file = "/none/ca.pem"\n'
    assert run(tmp_path, text) == 1 and len(slept[0]) == LATE_S


@pytest.mark.usefixtures("supervisor")
def test_a_wrong_configuration_needs_a_person_at_once(tmp_path, slept):
    assert run(tmp_path, CONFIG.format(folder=tmp_path) + "wrong = 1\n") == 2
    assert run(tmp_path, "name = [") == 2
    assert slept[0] == []


def test_a_person_who_starts_it_is_told_at_once(tmp_path, slept, monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert run(tmp_path, CONFIG.format(folder=tmp_path / "disk")) == 2
    assert slept[0] == []
