"""A start that compiles lasts longer than a unit allows: the supervisor is asked for more time.

Under a real systemd: .ci/boot.
"""

import contextlib
import re
import socket
import threading
from pathlib import Path

import pytest

from benchmarks.rig.rig_network import free_port
from node.shell import systemd
from node.shell.cli import main

UNIT = Path(__file__).parents[3] / "packaging" / "loalang-node.service"
ASKS = re.compile(rb"EXTEND_TIMEOUT_USEC=(\d+)")


@pytest.fixture
def supervisor(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield one


def rest(supervisor):
    """Return what waits there."""
    supervisor.setblocking(False)
    told = []
    with contextlib.suppress(BlockingIOError):
        while True:
            told.append(supervisor.recv(4096))
    return told


def test_who_starts_for_long_asks_again_before_what_it_asked_for_is_over(supervisor, monkeypatch):
    waited_s = []

    class Hurried(threading.Event):
        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            waited_s.append(timeout)
            return super().wait(0.01)

    monkeypatch.setattr(systemd.threading, "Event", Hurried)
    with systemd.starting():
        told = [ASKS.fullmatch(supervisor.recv(4096)) for _ in range(3)]
    rest(supervisor)
    asked_s = [int(one[1]) / 1e6 for one in told if one is not None]
    assert len(asked_s) == 3
    assert min(asked_s) >= 2 * max(waited_s), "one that is late is not one too late"
    assert max(waited_s) < int(re.search(r"TimeoutStartSec=(\d+)", UNIT.read_text())[1])


def test_a_daemon_asks_until_it_is_ready_and_then_no_more(supervisor, tmp_path):
    config = tmp_path / "node.toml"
    config.write_text(f'name = "pole"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n')
    asked = ["run", "--config", str(config), "--sink", "null", "--duration", "0.3"]
    assert main(asked) == 0
    told = rest(supervisor)
    ready = told.index(b"READY=1")
    assert any(ASKS.fullmatch(one) for one in told[:ready])
    assert not any(ASKS.fullmatch(one) for one in told[ready:])
