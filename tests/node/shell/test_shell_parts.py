"""Store, supervisor, clock filter and pace: the small parts of the shell."""

import socket
import time

import numpy as np
import pytest

from node.shell.card.sinks import PacedSink
from node.shell.cli import main
from node.shell.clocks import arrival_ns, now_ns, utc_ns
from node.shell.health import Health
from node.shell.loop.told_health import tell_changes
from node.shell.store.store import Store
from node.shell.systemd import notify, watchdog_ns

MS = 1_000_000


def test_what_is_kept_is_there_after_the_node_was_killed(tmp_path):
    path = tmp_path / "kept.db"
    store = Store(path)
    store.keep({"issuer/3": b"41"})
    store.keep({"issuer/3": b"42"})
    again = Store(path)  # the first one was never closed, as after a power cut
    assert again.kept() == {"issuer/3": b"42"}
    store.close()
    again.close()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_supervisor_is_told(tmp_path, monkeypatch, abstract):
    name = "@loalang-test" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind("\0loalang-test" if abstract else name)
        one.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notify("READY=1")
        assert one.recv(100) == b"READY=1"


def test_the_supervisor_is_told_in_a_line_how_the_node_is_when_that_changes(tmp_path, monkeypatch):
    health = Health()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "notify"))
        one.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def told():
            tell_changes(health, None)
            try:
                return one.recv(1000).decode()
            except BlockingIOError:
                return None

        assert told() == "STATUS=starting"
        health.starting = False
        assert told() == "STATUS=ready"
        assert told() is None
        health.note("loop capture", "mic: no samples for 3 s", 1)
        assert told() == "STATUS=degraded: loop capture: mic: no samples for 3 s"
        health.note("loop capture", "mic: Permission denied\nWATCHDOG=trigger", 2)
        assert told() == "STATUS=degraded: loop capture: mic: Permission denied WATCHDOG=trigger"
        health.note("clock", "not known", 3)
        assert told().endswith("=degraded: clock: not known; loop capture: mic: Permission denied"
                               " WATCHDOG=trigger")  # fmt: skip


def test_the_watchdog_is_fed_only_when_somebody_watches(monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_ns() is None
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_ns() == 10_000 * MS
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_ns() is None


def test_a_step_of_civil_time_does_not_move_an_arrival():
    assert abs(arrival_ns(utc_ns() - 3600 * 10**9) - now_ns()) < 50 * MS
    assert abs(arrival_ns(utc_ns() + 3600 * 10**9) - now_ns()) < 50 * MS
    assert -20 * MS < arrival_ns(utc_ns() - 10 * MS) - (now_ns() - 10 * MS) < 20 * MS


def test_a_sink_without_a_card_keeps_the_pace_of_one_and_never_drifts():
    asked: list[int] = []
    sink = PacedSink(channels=1, period_samples=480)
    begin_s = time.monotonic()
    sink.start(lambda out, presentation_ns: asked.append(presentation_ns))
    time.sleep(1.0)
    sink.close()
    lasted_s = time.monotonic() - begin_s
    assert len(asked) == pytest.approx(lasted_s * 100, abs=8)
    assert set(np.diff(asked)) == {10 * MS}


def test_check_says_what_would_run_and_that_a_named_card_is_missing(tmp_path, capsys):
    config = tmp_path / "node.toml"
    config.write_text('name = "pole-1"\n[sink]\nkind = "null"\n')
    assert main(["check", "--config", str(config)]) == 0
    said = capsys.readouterr().out
    assert "kernels        ready" in said
    assert "decoder        own: good" in said
    config.write_text('name = "pole-1"\n[sink]\ndevice = "no such card"\n')
    assert main(["check", "--config", str(config)]) in {1, 2}
    assert "loalang-node:" in capsys.readouterr().err
