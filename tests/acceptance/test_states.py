"""The state that a real broker has of a node is right at all times, whatever became of the node."""

import json
import signal
import time

import pytest

from tests.acceptance.conftest import free_port, process
from tests.node.shell.broker.test_broker import broker, head_end  # noqa: F401  # a fixture

CARD = '[sink]\ndevice = "a card that nobody has"\n'


class Watched:
    """A node at a broker, and the states that the broker gave of it, each with its time."""

    def __init__(self, folder, port, *, sink):
        self.config = folder / "node.toml"
        self.config.write_text(
            f'name = "pole-1"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n{sink}'
            '[opus]\ndecoder = "libopus"\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\nvillage = "v"\n'
        )
        self.process = process("node.shell.cli", "run", "--config", str(self.config))

    async def state(self, client, word, limit_s=30.0):
        """Return the next state that is `word`, and what came before it."""
        before = []
        end = time.monotonic() + limit_s
        async for message in client.messages:
            told = json.loads(message.payload)
            if told["state"] == word:
                return told, before
            before.append(told["state"])
            assert time.monotonic() < end
        raise AssertionError(before)


@pytest.fixture
def node(tmp_path, broker):  # noqa: F811  # the fixture above
    started = []

    def start(sink="[sink]\nkind = 'null'\n"):
        started.append(Watched(tmp_path, broker.port, sink=sink))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


async def test_a_node_without_a_sound_card_stays_at_the_broker_and_says_so(node, broker):  # noqa: F811
    async with head_end(broker) as client:
        await client.subscribe("pa/v1/v/node/pole-1/state", qos=1)
        one = node(CARD)
        told, before = await one.state(client, "degraded")
        assert told["why"][0].startswith("no sound card: ")
        assert "ready" not in before and "lost" not in before
        time.sleep(5)
        assert one.process.poll() is None, "it does not start again and again"
        one.process.terminate()
        _, before = await one.state(client, "stopped")
        assert before == []


async def test_who_is_ended_says_stopped_soon_and_who_is_killed_is_lost(node, broker):  # noqa: F811
    async with head_end(broker) as client:
        await client.subscribe("pa/v1/v/node/pole-1/state", qos=1)
        one = node()
        await one.state(client, "ready")
        began = time.monotonic()
        one.process.terminate()
        await one.state(client, "stopped")
        assert one.process.wait(10) == 0
        assert time.monotonic() - began <= 5.0
        one = node()
        await one.state(client, "ready")
        one.process.send_signal(signal.SIGKILL)
        await one.state(client, "lost")


async def test_a_broker_that_stands_still_does_not_keep_a_node_from_ending(node, broker):  # noqa: F811
    async with head_end(broker) as client:
        await client.subscribe("pa/v1/v/node/pole-1/state", qos=1)
        one = node()
        await one.state(client, "ready")
    broker.signal(signal.SIGSTOP)
    began = time.monotonic()
    one.process.terminate()
    assert one.process.wait(10) == 0
    broker.signal(signal.SIGCONT)
    assert time.monotonic() - began <= 5.0, "the unit kills it after 10 s"
