"""A real sound card's callback without hardware: JACK's dummy driver asks at the pace of one."""

import json
import subprocess
import sys

import pytest

from benchmarks.jack_rig import JackServer, RigError

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


def test_a_node_plays_on_a_card_at_its_pace_and_says_what_happened(server, tmp_path):
    config = tmp_path / "node.toml"
    config.write_text(
        f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n[sink]\ndevice = "JACK"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config),
         "--duration", "3", "--status", "1"],
        env=server.environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if "libportaudio2" in done.stderr or "loalang[audio]" in done.stderr:
        need("libportaudio", "libportaudio2, and pip's sounddevice")
    assert done.returncode == 0, done.stderr
    shell = [json.loads(line)["shell"] for line in done.stdout.splitlines()]
    assert len(shell) >= 3
    # 100 periods a second; a busy machine may lose some, and says so in `underruns`.
    assert 200 <= shell[-1]["periods"] <= 330
    assert shell[-1]["underruns"] <= 100
