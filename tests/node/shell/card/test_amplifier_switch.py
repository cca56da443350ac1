"""The file that un-mutes the amplifier: written when something comes, told when it cannot be."""

import asyncio
import json
import socket
import time

import pytest

from node.config import AmplifierConfig, NodeConfig, ReceiveConfig
from node.shell.card.amplifier_switch import AmplifierSwitch
from node.shell.card.sinks import PacedSink
from node.shell.config import ShellConfig
from node.shell.doctor.finding import fault, good
from node.shell.doctor.machine_checks import look_at_machine
from node.shell.network.udp import UdpSocket
from node.shell.service import Service
from node.shell.store.store import Store
from node.stack import SpeakerNode


def test_it_is_mute_from_the_start_and_follows_what_it_is_told(tmp_path):
    file = tmp_path / "brightness"
    switch = AmplifierSwitch(str(file))
    assert file.read_text() == "0"
    switch.turn(on=True)
    assert file.read_text() == "1" and switch.fault is None
    switch.turn(on=False)
    assert file.read_text() == "0"


def test_what_cannot_be_written_is_a_fault_that_is_over_when_it_can(tmp_path):
    file = tmp_path / "later" / "brightness"
    switch = AmplifierSwitch(str(file))
    assert switch.fault == f"{file}: No such file or directory"
    file.parent.mkdir()
    switch.turn(on=True)
    assert switch.fault is None and file.read_text() == "1"


def test_a_node_without_one_writes_nothing():
    switch = AmplifierSwitch(None)
    switch.turn(on=True)
    assert switch.fault is None


@pytest.mark.parametrize("there", [True, False])
def test_the_daemon_un_mutes_it_when_something_comes_and_mutes_it_when_it_ends(
    tmp_path, capsys, there
):
    file = tmp_path / "brightness" if there else tmp_path / "away" / "brightness"
    amplifier = AmplifierConfig(mute_release_s=0.1, switch=str(file))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        receive = ReceiveConfig(listen=f"127.0.0.1:{free.getsockname()[1]}")
    config = NodeConfig(name="pole", receive=receive, amplifier=amplifier)
    node = SpeakerNode(config, decoder_factory=None)
    udp, store = UdpSocket(receive), Store(None)
    service = Service(
        node, udp=udp, sink=PacedSink(channels=1, period_samples=480), store=store,
        switch=config.amplifier.switch, status_every_ns=200_000_000,
    )  # fmt: skip
    seen = []

    async def look() -> None:
        await asyncio.sleep(0.3)
        node.wake(time.monotonic_ns())
        await asyncio.sleep(0.5)
        seen.append(file.read_text() if there else "")

    async def both() -> None:
        await asyncio.gather(service.run(1_200_000_000), look())

    asyncio.run(both())
    udp.close()
    store.close()
    if there:
        assert seen == ["1"] and file.read_text() == "0"
    else:
        told = json.loads(capsys.readouterr().out.splitlines()[-1])["shell"]
        assert f"amplifier: {file}: No such file or directory" in json.dumps(told)


@pytest.mark.parametrize("there", [True, False])
def test_doctor_says_whether_it_can_be_written(tmp_path, there):
    file = tmp_path / "brightness"
    if there:
        file.write_text("0")
    config = NodeConfig(name="pole", amplifier=AmplifierConfig(switch=str(file)))
    found = [one for one in look_at_machine(config, ShellConfig()) if one.part == "amplifier"]
    right = fault("amplifier", f"{file} is not there", found[0].remedy)
    assert found == [good("amplifier", f"{file} can be written to") if there else right]
