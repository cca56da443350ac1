"""A real sound card's callback without hardware: JACK's dummy driver asks at the pace of one."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.rig.jack_rig import JackServer, RigError, hurry

from .conftest import free_port, need


@pytest.fixture
def server():
    need("jackd", "jackd2")
    try:
        one = JackServer(f"loalang-{free_port()}")
    except RigError as fault:
        pytest.skip(str(fault))
    yield one
    one.close()


def start_node(server, tmp_path, *more):
    """Return a node that plays on the server and prints its status each second."""
    config = tmp_path / "node.toml"
    config.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n[sink]\ndevice = "JACK"\n'
    )
    return subprocess.Popen(
        [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config),
         "--status", "1", *more],
        env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def status_of(server, tmp_path, *, hurries=False):
    """Return the statuses of a node that plays for 3 s; it may get real-time priority meanwhile."""
    node = start_node(server, tmp_path, "--duration", "3")
    told = [node.stdout.readline()]
    while hurries and told[-1] and not json.loads(told[-1])["shell"]["periods"]:
        told.append(node.stdout.readline())  # its card's thread is not there yet
    if hurries:
        hurry(node.pid, 50)
    out, err = node.communicate(timeout=120)
    if "libportaudio2" in err or "loalang[audio]" in err:
        need("libportaudio", "libportaudio2, and pip's sounddevice")
    assert node.returncode == 0, err
    return [json.loads(line)["shell"] for line in [*told, *out.splitlines()]]


def test_a_node_plays_on_a_card_at_its_pace_and_says_what_happened(server, tmp_path):
    shell = status_of(server, tmp_path)
    assert len(shell) >= 3
    # 100 periods a second; a busy machine may lose some, and says so in `underruns`.
    assert 200 <= shell[-1]["periods"] <= 330
    assert shell[-1]["underruns"] <= 100


def test_a_node_says_whether_a_busy_machine_can_stop_its_sound(server, tmp_path):
    shell = status_of(server, tmp_path, hurries=True)
    assert shell[0]["real_time"] is False
    if os.geteuid() != 0:
        pytest.skip("only root may give real-time priority")
    assert shell[-1]["real_time"] is True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_sound_server_that_dies_or_hangs_ends_the_node_with_a_line_and_a_status(
    server, tmp_path, how
):
    node = start_node(server, tmp_path)
    if not node.stdout.readline():
        pytest.skip(node.stderr.read())
    server.signal(how)
    began = time.monotonic()
    for line in node.stderr:
        if "asked for no sound" in line or "stopped" in line:
            break
    told_s = time.monotonic() - began
    _, err = node.communicate(timeout=60)
    ended_s = time.monotonic() - began
    assert told_s <= 3.0 + 1.0, "1 s for a busy machine"
    assert ended_s <= 5.0 + 1.0
    assert node.returncode == 1, "any other would not be started again, or hide the fault"
    assert err.splitlines()[-1].startswith("loalang-node: ")


def test_a_node_whose_sound_server_hangs_still_obeys_its_supervisor(server, tmp_path):
    node = start_node(server, tmp_path)
    if not node.stdout.readline():
        pytest.skip(node.stderr.read())
    server.signal(signal.SIGSTOP)
    time.sleep(0.5)
    began = time.monotonic()
    node.terminate()
    node.communicate(timeout=60)
    assert time.monotonic() - began <= 3.0


def test_a_card_that_is_gone_when_the_node_starts_is_waited_for_and_played_on(server, tmp_path):
    server.signal(signal.SIGKILL)
    node = start_node(server, tmp_path, "--duration", "20")
    told = json.loads(node.stdout.readline())["shell"]
    while told["state"] == "starting":
        told = json.loads(node.stdout.readline())["shell"]
    if "libportaudio2" in told["why"][0] or "loalang[audio]" in told["why"][0]:
        need("libportaudio", "libportaudio2, and pip's sounddevice")
    assert told["state"] == "degraded" and told["why"][0].startswith("no sound card: ")
    again = JackServer(server.environment["JACK_DEFAULT_SERVER"])
    out, err = node.communicate(timeout=40)
    again.close()
    assert node.returncode == 0, err
    shells = [json.loads(line)["shell"] for line in out.splitlines()]
    assert shells[-1]["state"] == "ready" and shells[-1]["periods"] > 200
