"""The link to a real broker: birth, heartbeat, last will, messages, and its return."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from node.events import Publish
from node.shell.broker.mqtt import MqttLink
from node.shell.config import MqttConfig

ROOT = "pa/v1/huu-lien/node/pole-1"


class Broker:
    """mosquitto on loopback."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.start()

    def start(self) -> None:
        program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("mosquitto did not start")

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        if os.environ.get("CI"):
            pytest.fail("mosquitto is missing: apt install mosquitto")
        pytest.skip("mosquitto is missing: apt install mosquitto")
    one = Broker(tmp_path)
    yield one
    one.stop()


def link_to(broker: Broker, **more: object) -> MqttLink:
    config = MqttConfig(
        host="127.0.0.1", port=broker.port, village="huu-lien", zones=("karst",), **more
    )
    return MqttLink("pole-1", config, session=7)


def head_end(broker: Broker) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", broker.port, identifier="head", protocol=aiomqtt.ProtocolVersion.V5
    )


async def until(condition, limit_s: float = 8.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


async def test_a_node_is_ready_beats_and_is_lost_when_it_dies(broker):
    link = link_to(broker, heartbeat_s=1)
    task = asyncio.create_task(link.run(lambda topic, payload: None))
    async with head_end(broker) as client:
        await client.subscribe(f"{ROOT}/#", qos=1)
        messages = aiter(client.messages)
        await until(lambda: link.connected)
        state = await asyncio.wait_for(anext(messages), 5)
        told = {"state": "ready", "homie": "ready", "session": 7, "beat_s": 8}
        assert json.loads(state.payload) == told
        link.offer_status(lambda: {"playing": None}, 0)
        beat = await asyncio.wait_for(anext(messages), 5)
        assert str(beat.topic) == f"{ROOT}/metric"
        assert json.loads(beat.payload)["session"] == 7
        link.publish(Publish("ack", b"done"))
        assert (await asyncio.wait_for(anext(messages), 5)).payload == b"done"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_orders_reach_the_node_but_old_ones_that_the_broker_kept_do_not(broker):
    async with head_end(broker) as client:
        await client.publish(f"{ROOT}/cmd", b"old", qos=1, retain=True)
        taken: list[tuple[str, bytes]] = []
        link = link_to(broker)
        task = asyncio.create_task(link.run(lambda topic, payload: taken.append((topic, payload))))
        await until(lambda: link.connected)
        await client.publish(f"{ROOT}/cmd", b"now", qos=1)
        await client.publish("pa/v1/huu-lien/zone/karst/cmd", b"zone", qos=1)
        await client.publish("pa/v1/huu-lien/node/pole-2/cmd", b"not mine", qos=1)
        await until(lambda: len(taken) >= 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert taken == [(f"{ROOT}/cmd", b"now"), ("pa/v1/huu-lien/zone/karst/cmd", b"zone")]


async def test_a_broker_that_comes_back_is_found_and_gets_what_waited(broker):
    link = link_to(broker)
    task = asyncio.create_task(link.run(lambda topic, payload: None))
    await until(lambda: link.connected)
    broker.stop()
    await until(lambda: not link.connected)
    link.publish(Publish("ack", b"kept"))
    broker.start()
    back_s = time.monotonic()
    async with head_end(broker) as client:
        await client.subscribe(f"{ROOT}/ack", qos=1)
        message = await asyncio.wait_for(anext(aiter(client.messages)), 8)
        assert message.payload == b"kept"
    assert time.monotonic() - back_s < 6.5
    assert link.reconnects >= 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_whole_status_comes_on_request_and_what_is_announced_is_retained(broker):
    config = MqttConfig(host="127.0.0.1", port=broker.port, village="huu-lien")
    taken = []
    link = MqttLink("pole-1", config, session=7, announced={f"{ROOT}/extra": b"kept"})
    task = asyncio.create_task(link.run(lambda topic, payload: taken.append(payload)))
    await until(lambda: link.connected)
    async with head_end(broker) as client:
        await client.subscribe(f"{ROOT}/extra", qos=1)
        messages = aiter(client.messages)
        kept = await asyncio.wait_for(anext(messages), 5)
        assert kept.payload == b"kept" and kept.retain
        await client.subscribe(f"{ROOT}/metric", qos=1)
        asked = []
        link.offer_status(lambda: asked.append(1) or {"playing": None}, 0)
        assert asked == [], "nobody has asked"
        for _ in range(20):
            await client.publish(f"{ROOT}/cmd", b"status", qos=1)
        await asyncio.sleep(0.5)
        for tenth in range(50):
            link.offer_status(lambda: asked.append(1) or {"playing": None}, tenth * 10**8)
        beat = await asyncio.wait_for(anext(messages), 5)
        assert json.loads(beat.payload)["playing"] is None
        assert len(asked) == 1, "once in ten seconds, however often it is asked for"
    assert taken == [], "it is no order"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("lasts_s", [3600, 1])
async def test_an_order_that_came_while_the_node_was_away_reaches_it_within_its_time_to_live(
    broker, lasts_s
):
    taken: list[bytes] = []
    link = link_to(broker)
    task = asyncio.create_task(link.run(lambda topic, payload: taken.append(payload)))
    await until(lambda: link.connected)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = lasts_s
    async with head_end(broker) as client:
        await client.publish(f"{ROOT}/cmd", b"order", qos=1, properties=properties)
        await asyncio.sleep(2)
        again = link_to(broker)
        task = asyncio.create_task(again.run(lambda topic, payload: taken.append(payload)))
        await until(lambda: again.connected)
        if lasts_s > 2:
            await until(lambda: bool(taken))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert taken == ([b"order"] if lasts_s > 2 else [])
