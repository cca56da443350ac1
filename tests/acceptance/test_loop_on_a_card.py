"""The loop by arecord on a card without hardware: JACK carries the node's output to its capture."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.rig.jack_rig import JackServer, RigError
from node.shell.hearing.listening import TORN
from tests.acceptance.conftest import free_port, need, process
from tests.acceptance.test_loop import ogg_speech, records, say
from tests.acceptance.test_orders_over_broker import Office
from tests.node.shell.broker.test_broker import broker  # noqa: F401  # a fixture

PLUGINS = Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_jack.so")
MIC = """</usr/share/alsa/alsa.conf>
pcm.mic {
  type plug
  slave.pcm {
    type jack
    playback_ports { 0 "system:playback_1" }
    capture_ports { 0 "system:capture_1" }
  }
}
"""
pytestmark = pytest.mark.real_time


class Wires(JackServer):
    """A JACK server, and who is connected to whom."""

    def ports(self, word: str) -> list[str]:
        done = subprocess.run(["jack_lsp"], env=self.environment, capture_output=True, text=True)
        return [one for one in done.stdout.split("\n") if word in one]

    def wait_for(self, word: str) -> str:
        end = time.monotonic() + 60
        while not (found := self.ports(word)):
            assert time.monotonic() < end, self.ports("")
            time.sleep(0.1)
        return found[0]

    def connect(self, source: str, target: str, how: str = "jack_connect") -> None:
        subprocess.run([how, source, target], env=self.environment, check=True)


@pytest.fixture
def wires(tmp_path):
    need("jackd", "jackd2")
    if shutil.which("arecord") is None or next(PLUGINS, None) is None:
        pytest.skip("apt install alsa-utils libasound2-plugins")
    try:
        one = Wires(f"loalang-{free_port()}")
    except RigError as fault:
        pytest.skip(str(fault))
    (tmp_path / "asound.conf").write_text(MIC)
    program = tmp_path / "bin" / "arecord"  # only it is to see that card
    program.parent.mkdir()
    told = f"ALSA_CONFIG_PATH={tmp_path}/asound.conf exec {shutil.which('arecord')}"
    program.write_text(f'#!/bin/sh\n{told} "$@"\n')
    program.chmod(0o755)
    one.environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    yield one
    one.close()


@pytest.fixture
def pole(tmp_path, wires, broker, capsys):  # noqa: F811  # the fixture above
    office = Office(tmp_path, broker, capsys)
    say(office, ogg_speech())
    with (tmp_path / "node.toml").open("a") as file:
        file.write('[sink]\ndevice = "JACK"\n[loop]\ndevice = "mic"\n')
        file.write('tone_hours = ["00:00-00:00"]\n')
    arguments = ("run", "--config", str(tmp_path / "node.toml"))
    office.node = process("node.shell.cli", *arguments, env=wires.environment)
    try:
        wires.wait_for(":out_0")
        wires.wait_for(":in_000")
        for is_last in (False, False, True):  # PortAudio lets nothing be logged while it begins
            try:
                office.certify()
                break
            except AssertionError:
                assert not is_last, office.capsys.readouterr()
        yield office
    finally:
        office.node.kill()
        office.node.communicate()


def test_what_the_card_plays_is_heard_by_arecord_until_the_cable_is_cut(pole, wires):
    horn, mic = wires.wait_for(":out_0"), wires.wait_for(":in_000")
    noise = subprocess.Popen(["jack_metro", "-b", "400", "-A", "0.02"], env=wires.environment,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        wires.connect(wires.wait_for("metro"), mic)
        wires.connect(horn, mic)
        status, told = pole.publish(pole.sign("alert", "--event", "FFW"))
        assert status == 0, told
        time.sleep(22)
        wires.connect(horn, mic, "jack_disconnect")
        status, told = pole.publish(pole.sign("self-test", "audible"))
        assert status == 0, told
        pole.wait_for("self-test: microphone, ")
        pole.node.terminate()
        pole.lines += pole.node.communicate(timeout=60)[1].splitlines()
    finally:
        noise.terminate()
        noise.wait()
    found = records(pole)
    assert len(found) == 2, "".join(pole.lines)
    warning, test = found
    assert warning["outcome"] == "played"
    assert warning["heard_by"].startswith("microphone, heard at "), warning
    assert (test["name"], test["outcome"]) == ("self-test", "missed"), test
    if TORN not in test["reason"]:  # a busy machine
        assert any("loop hears nothing: " in line for line in pole.lines)
