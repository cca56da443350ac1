"""Store, supervisor, clock filter and pace: the small parts of the shell."""

import socket
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.shell.cli import main
from node.shell.clocks import PresentationClock, arrival_ns, now_ns, utc_ns
from node.shell.sinks import PacedSink
from node.shell.store import Store
from node.shell.systemd import notify, watchdog_ns

MS = 1_000_000


def test_what_is_kept_is_there_after_the_node_was_killed(tmp_path):
    path = tmp_path / "kept.db"
    store = Store(path)
    store.keep("issuer/3", b"41")
    store.keep("issuer/3", b"42")
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


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.sampled_from([-300, -104, 0, 104, 300]))
def test_a_busy_machine_does_not_move_the_presentation_time(seed, card_ppm):
    """Callbacks come up to 3 ms late now and then; the samples leave the converter on time."""
    rng = np.random.default_rng(seed)
    clock = PresentationClock()
    errors = []
    for i in range(6000):
        true_ns = 10**9 + round(i * 10 * MS / (1 + card_ppm * 1e-6))
        late_ns = int(rng.exponential(0.05 * MS)) + (2 * MS if rng.random() < 0.05 else 0)
        smooth_ns = clock.presentation_ns(true_ns + late_ns, 480)
        if i > 3000:
            errors.append(smooth_ns - true_ns)
    assert np.max(np.abs(errors)) < 0.2 * MS
    assert clock.jumps == 0


def test_a_card_that_stalls_is_followed_within_a_few_periods():
    clock = PresentationClock()
    for i in range(500):
        clock.presentation_ns(i * 10 * MS, 480)
    stalled = [clock.presentation_ns((i * 10 + 37) * MS, 480) for i in range(500, 510)]
    assert clock.jumps == 1
    assert stalled[-1] == pytest.approx((509 * 10 + 37) * MS, abs=0.1 * MS)


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
