"""A real sound card's callback without hardware: JACK's dummy driver asks at the pace of one."""

import json
import os
import subprocess
import sys

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


def status_of(server, tmp_path, *, hurries=False):
    """Return the statuses of a node that plays for 3 s; it may get real-time priority meanwhile."""
    config = tmp_path / "node.toml"
    config.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n[sink]\ndevice = "JACK"\n'
    )
    node = subprocess.Popen(
        [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config),
         "--duration", "3", "--status", "1"],
        env=server.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    told = [node.stdout.readline()]
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
