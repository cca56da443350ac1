"""The link to the broker whatever the broker does: refuses, breaks, floods, lies, falls silent."""

import asyncio
import json
import socket
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.events import Publish
from node.shell.broker import mqtt as module
from node.shell.broker import own_name, unacknowledged
from node.shell.broker.ahead import WAIT_S
from node.shell.broker.connection import TAKEN_OVER, LinkLostError, Login, Received
from node.shell.broker.mqtt import MqttLink
from node.shell.broker.outbox import PLACES, Outbox
from node.shell.broker.outgoing import BREAKS_MAX
from node.shell.broker.paho_connection import connect
from node.shell.config import MqttConfig

ROOT = "pa/v1/huu-lien/node/pole-1"
CMD = f"{ROOT}/cmd"
STATE = {"session": 7, "beat_s": 8}


class FakeBroker:
    """Takes what a link sends, by a script of faults: one for each connection."""

    def __init__(self, script: list[dict]) -> None:
        self.script = list(script)
        self.got: list[tuple[str, bytes]] = []
        self.acknowledged: list[int] = []
        self.undelivered: list[Received] = []
        self.connections = 0
        self.logins: list[Login] = []
        self.connected: list[FakeConnection] = []

    async def connect(self, login: Login):
        await asyncio.sleep(0)
        self.connections += 1
        self.logins.append(login)
        fault = self.script.pop(0) if self.script else {}
        if fault.get("refuse"):
            raise LinkLostError("refused", reason=fault["refuse"])
        self.connected.append(FakeConnection(self, fault))
        return self.connected[-1]


class FakeConnection:
    def __init__(self, broker: FakeBroker, fault: dict) -> None:
        self.broker, self.fault = broker, fault
        self.session_present = True
        self.bytes_max = fault.get("bytes_max", 0)
        self.window = fault.get("window", 8)
        self.overflown = fault.get("overflown", 0)
        self.published = 0
        self.lost: LinkLostError | None = None
        self.news = asyncio.Event()
        self.queue = list(broker.undelivered)
        self.news.set()

    async def subscribe(self, topics):
        if self.fault.get("break_in_subscribe"):
            raise LinkLostError("gone")
        return [self.fault.get("suback", 1)] * len(topics)

    async def unsubscribe(self, topics):
        pass

    def tell_doubts(self, call):
        self.doubt = call

    def publish(self, topic, payload, *, quality, retain, expires_s=0):
        future = asyncio.get_running_loop().create_future()
        self.published += 1
        if self.lost is not None or self.published > self.fault.get("breaks_after", 1 << 30):
            self.end(self.fault.get("reason", 0))
            future.set_exception(self.lost)
            future.exception()
            return future
        code = self.fault.get("puback", 0)
        if code < 128:
            self.broker.got.append((topic, payload))
        future.set_result(code)
        return future

    async def receive(self):
        while True:
            if self.lost is not None:
                raise self.lost
            if self.queue:
                return self.queue.pop(0)
            self.news.clear()
            await self.news.wait()

    def acknowledge(self, message):
        self.broker.acknowledged.append(message.handle)
        self.broker.undelivered = [
            one for one in self.broker.undelivered if one.handle != message.handle
        ]

    async def close(self):
        self.end(0)

    def abort(self):
        self.end(0)

    def end(self, reason):
        if self.lost is None:
            self.lost = LinkLostError("broken", reason=reason)
        self.news.set()


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "RECONNECT_S", (0.0, 0.0))


def linked(broker: FakeBroker, **more) -> MqttLink:
    config = MqttConfig(host="broker", village="huu-lien", zones=("karst",))
    return MqttLink("pole-1", config, session=7, connect=broker.connect, **more)


async def served(link: MqttLink, done, take=lambda topic, payload: 0, limit_s: float = 5.0) -> None:
    """Run `link` until `done`, then end it."""
    task = asyncio.create_task(link.run(take))
    end = asyncio.get_running_loop().time() + limit_s
    while not done():
        assert not task.done(), task.exception()
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def faults():
    return st.fixed_dictionaries(
        {},
        optional={
            "refuse": st.sampled_from([0x80, 0x85, 0x87, 0x8E, 0x97]),
            "break_in_subscribe": st.just(True),
            "suback": st.sampled_from([1, 0x87, 0x8F]),
            "breaks_after": st.integers(0, 6),
            "reason": st.sampled_from([0, 0x8E, 0x95, 0x81]),
            "puback": st.sampled_from([0, 0x10]),
            "window": st.integers(1, 8),
        },
    )


@given(st.lists(faults(), max_size=6), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
@example([{"breaks_after": 2}, {"refuse": 0x87}, {"breaks_after": 3, "reason": 0x8E}], 8)
def test_every_answer_reaches_the_broker_once_it_is_good_again_in_its_order(script, count):
    async def scene():
        module.RECONNECT_S = (0.0, 0.0)
        # A message with which the link broke thrice is given up: here no more than twice.
        for number, fault in enumerate(one for one in script if "breaks_after" in one):
            if number >= 2:
                fault.pop("breaks_after")
        broker = FakeBroker(script)
        link = linked(broker)
        for number in range(count):
            link.publish(Publish("acknowledgement", str(number).encode()))
        topic = f"{ROOT}/acknowledgement"
        await served(link, lambda: link.status()["waiting"] == 0)
        came = [int(payload) for t, payload in broker.got if t == topic]
        assert sorted(set(came)) == list(range(count))
        first = list(dict.fromkeys(came))
        assert first == sorted(first)

    asyncio.run(scene())


def test_an_order_is_acknowledged_when_it_is_on_the_disk_and_not_before():
    async def scene():
        broker = FakeBroker([])
        broker.undelivered = [Received(CMD, b"one", False, 1), Received(CMD, b"two", False, 2)]
        link, durable = linked(broker), 0
        link.durable = lambda: durable
        numbers = iter((5, 6))
        task = asyncio.create_task(link.run(lambda topic, payload: next(numbers)))
        await asyncio.sleep(0.1)
        assert broker.acknowledged == []
        durable = 5
        link.wake()
        await asyncio.sleep(0.05)
        assert broker.acknowledged == [1]
        durable = 6
        link.wake()
        await asyncio.sleep(0.05)
        assert broker.acknowledged == [1, 2]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_an_order_acts_when_the_disk_has_it_and_after_a_moment_whatever_the_disk_does():
    """So a cut lets it act once; nothing waits for a disk that has not caught up since."""

    async def scene():
        orders = [Received(CMD, b"%d" % n, False, n) for n in range(1, 20)]
        broker = FakeBroker([])
        broker.undelivered = orders[:1]
        link, durable, came = linked(broker), 0, []
        link.durable = lambda: durable
        numbers = iter(range(1, 100))
        link.ahead.keep = lambda payload: next(numbers)
        loop = asyncio.get_running_loop()

        def take(topic, payload):
            came.append((payload, durable, loop.time()))
            return 0

        task = asyncio.create_task(link.run(take))
        while not link.connected:
            await asyncio.sleep(0.001)
        await asyncio.sleep(WAIT_S / 4)
        assert came == [], "the disk does not have it yet"
        durable = 1
        link.wake()
        await asyncio.sleep(0.02)
        assert [(payload, at) for payload, at, _ in came] == [(b"1", 1)]
        (connection,) = broker.connected
        connection.queue += orders[1:]
        begin_s = loop.time()
        connection.news.set()
        while len(came) < len(orders):
            await asyncio.sleep(0.005)
            assert loop.time() < begin_s + 20 * WAIT_S, "each waited for a disk that is sick"
        assert [payload for payload, _, _ in came] == [one.payload for one in orders]
        assert came[1][2] - begin_s >= WAIT_S * 0.9 and link.ahead.unkept == len(orders) - 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_an_order_that_waits_for_the_disk_acts_though_the_link_ends():
    async def scene():
        broker = FakeBroker([])
        broker.undelivered = [Received(CMD, b"one", False, 1)]
        link, came = linked(broker), []
        link.durable = lambda: 0
        link.ahead.keep = lambda payload: 1
        task = asyncio.create_task(link.run(lambda topic, payload: came.append(payload)))
        while not link.connected:
            await asyncio.sleep(0.001)
        await asyncio.sleep(WAIT_S / 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert came == [b"one"]

    asyncio.run(scene())


def test_a_disk_that_takes_nothing_keeps_no_order_from_coming(monkeypatch):
    monkeypatch.setattr(unacknowledged, "_DISK_WAIT_S", 0.1)

    async def scene():
        broker = FakeBroker([])
        broker.undelivered = [Received(CMD, b"one", False, 1)]
        link = linked(broker)
        link.durable = lambda: 0
        await served(link, lambda: broker.acknowledged == [1], lambda topic, payload: 9)

    asyncio.run(scene())


def test_an_answer_leaves_when_it_is_on_the_disk_and_a_fault_before_it():
    async def scene():
        broker = FakeBroker([])
        link, durable = linked(broker), 3
        link.durable = lambda: durable
        link.publish(Publish("acknowledgement", b"obeyed"), 4)
        link.publish(Publish("fault", b"the disk is full"))
        task = asyncio.create_task(link.run(lambda topic, payload: 0))
        await asyncio.sleep(0.1)
        assert [topic for topic, _ in broker.got] == [f"{ROOT}/state", f"{ROOT}/fault"]
        durable = 4
        link.wake()
        await asyncio.sleep(0.1)
        assert broker.got[-1] == (f"{ROOT}/acknowledgement", b"obeyed")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())


def test_what_is_larger_than_the_broker_takes_is_left_out_and_told():
    async def scene():
        broker, told = FakeBroker([{"bytes_max": 1024}]), {}
        link = linked(broker)
        link.told = told.__setitem__
        link.publish(Publish("proof", bytes(2000)))
        link.publish(Publish("acknowledgement", b"obeyed"))
        await served(link, lambda: link.status()["waiting"] == 0)
        assert [t for t, _ in broker.got] == [
            f"{ROOT}/state", f"{ROOT}/acknowledgement", f"{ROOT}/state",
        ]  # fmt: skip
        assert link.too_large == 1 and "max_packet_size" in (told["packet size"] or "")

    asyncio.run(scene())


def test_what_came_faster_than_it_was_taken_is_counted_over_all_connections():
    async def scene():
        broker = FakeBroker([{"overflown": 3, "suback": 1}, {"overflown": 4}])
        link = linked(broker)

        def in_the_second():
            if link.connected and len(broker.connected) == 1:
                assert link.status()["overflown"] == 3
                broker.connected[0].end(0)
            return link.connected and link.status()["overflown"] == 7

        await served(link, in_the_second)

    asyncio.run(scene())


@pytest.mark.parametrize("fault", [{"puback": 0x87}, {"breaks_after": 1, "reason": 0x95}])
def test_a_message_that_the_broker_refuses_or_breaks_with_does_not_block_the_rest(fault):
    async def scene():
        broker = FakeBroker([dict(fault)] * BREAKS_MAX)
        link = linked(broker)
        link.publish(Publish("proof", b"poison"))
        await served(link, lambda: link.dropped == 1)
        link.publish(Publish("acknowledgement", b"obeyed"))
        broker.script = []
        wanted = (f"{ROOT}/acknowledgement", b"obeyed")
        await served(link, lambda: wanted in broker.got)

    asyncio.run(scene())


def test_two_nodes_of_one_name_are_told_apart_after_some_losses_and_both_hear_orders():
    async def scene():
        taken_over = {"breaks_after": 1, "reason": TAKEN_OVER}
        broker, told = FakeBroker([taken_over] * 3), {}
        link = linked(broker)
        link.told = told.__setitem__
        link.publish(Publish("acknowledgement", b"x"))
        await served(link, lambda: broker.connections >= 4 and link.connected)
        names = [login.identifier for login in broker.logins]
        assert names[:3] == ["pole-1"] * 3
        assert names[3].startswith("pole-1-")
        assert "another node has the name" in (told["name"] or "")

    asyncio.run(scene())


def test_another_node_that_tells_the_state_of_our_name_is_found_though_no_broker_says_so(
    monkeypatch,
):
    monkeypatch.setattr(own_name, "NEW_S", 0.0)

    async def scene():
        broker, told = FakeBroker([{}]), {}
        own, other = (b'{"state": "ready", "session": %d}' % n for n in (7, 99))
        topic = f"{ROOT}/state"
        lines = (own, b"{", b"[]", other, other, other)
        broker.undelivered = [Received(topic, line, True, 0) for line in lines]
        link = linked(broker)
        link.told = told.__setitem__
        await served(link, lambda: "name" in told)
        assert "another node has the name" in (told["name"] or "")
        await served(link, lambda: len(broker.logins) == 2)
        assert broker.logins[-1].identifier.startswith("pole-1-")

    asyncio.run(scene())


def test_a_name_beside_its_own_that_the_broker_does_not_let_in_is_given_up():
    async def scene():
        taken_over = {"breaks_after": 1, "reason": TAKEN_OVER}
        broker = FakeBroker([taken_over] * 3 + [{"refuse": 0x85}])
        link = linked(broker)
        link.publish(Publish("acknowledgement", b"x"))
        await served(link, lambda: broker.connections >= 5 and link.connected)
        assert broker.logins[-1].identifier == "pole-1"

    asyncio.run(scene())


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=30),
    st.integers(1, 8),
)
@settings(max_examples=20, deadline=None)
@example([0, 300], 1)
@example([5_000], 8)
def test_what_the_disk_has_soon_after_the_end_still_leaves_and_the_last_state_always(waits, window):
    """A gateway that is switched off for good just after a warning has told how it sounded.

    The disk has the n-th record `waits[n]` ms after the end, the records in their order.
    """

    async def scene():
        loop, broker = asyncio.get_running_loop(), FakeBroker([{"window": window}])
        link, durable = linked(broker), 0
        link.durable = lambda: durable
        for number, _ in enumerate(waits, 1):
            link.publish(Publish("proof", b"%d" % number), number)

        def keep(number: int) -> None:
            nonlocal durable
            durable = max(durable, number)
            link.wake()

        def begin_to_write() -> None:
            last_ms = 0
            for number, wait_ms in enumerate(waits, 1):
                last_ms = max(last_ms, wait_ms)
                loop.call_later(last_ms / 1000, keep, number)

        task = asyncio.create_task(link.run(lambda topic, payload: 0))
        while not link.connected:
            await asyncio.sleep(0.01)
        begin_to_write()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        told = [payload for topic, payload in broker.got if topic.endswith("proof")]
        soon = len([1 for n, _ in enumerate(waits, 1) if max(waits[:n]) <= 400])
        assert told[:soon] == [b"%d" % number for number in range(1, soon + 1)]
        assert len(told) == soon, "what the disk never had stays"
        assert json.loads(broker.got[-1][1])["state"] == "stopped"

    asyncio.run(scene())


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12), st.booleans())
@settings(max_examples=20, deadline=None)
@example([0, 5_000, 0], False)
@example([300], True)
def test_an_order_that_the_disk_has_soon_after_the_end_does_not_come_again(waits, ends_early):
    """Else the next start answers `replayed` to who had heard `obeyed`.

    The disk has the n-th order `waits[n]` ms after the end; with `ends_early` the node is ended
    while the last order still waits for the disk before it acts.
    """

    async def scene():
        loop, broker, durable = asyncio.get_running_loop(), FakeBroker([]), 0
        broker.undelivered = [Received(CMD, b"%d" % n, False, n) for n in range(1, len(waits) + 1)]
        link, acted = linked(broker), []
        link.durable = lambda: durable
        if ends_early:
            link.ahead.keep = lambda payload: int(payload) if int(payload) == len(waits) else 0

        def take(topic, payload):
            acted.append(int(payload))
            return int(payload)

        def keep(number: int) -> None:
            nonlocal durable
            durable = max(durable, number)
            link.wake()

        task = asyncio.create_task(link.run(take))
        while not link.connected or broker.connected[0].queue:
            await asyncio.sleep(0.005)
        for number, wait_ms in enumerate(waits, 1):
            loop.call_later(max([wait_ms, *waits[: number - 1]]) / 1000, keep, number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert acted == list(range(1, len(waits) + 1))
        soon = len([1 for n, _ in enumerate(waits, 1) if max(waits[:n]) <= 400])
        assert broker.acknowledged == list(range(1, soon + 1)), (
            "what the disk never had comes again"
        )

    asyncio.run(scene())


def test_a_node_that_is_ended_says_so_and_a_faulty_one_says_why():
    async def scene():
        broker = FakeBroker([])
        link = linked(broker)
        await served(link, lambda: link.connected)
        stopped = {**STATE, "state": "stopped", "homie": "disconnected"}
        assert json.loads(broker.got[-1][1]) == stopped
        link = linked(broker)
        link.last_state = ("lost", ("the card was unplugged",))
        link.set_state("degraded", ("clock: not known",))
        await served(link, lambda: link.connected)
        degraded, lost = (json.loads(payload) for _, payload in broker.got[-2:])
        assert degraded == {
            **STATE,
            "state": "degraded",
            "homie": "alert",
            "why": ["clock: not known"],
        }
        assert lost == {
            **STATE,
            "state": "lost",
            "homie": "lost",
            "why": ["the card was unplugged"],
        }

    asyncio.run(scene())


@given(st.lists(st.sampled_from(["add", "done", "again"]), max_size=40))
@settings(max_examples=80, deadline=None)
def test_what_waits_survives_a_restart_and_what_the_broker_has_is_not_sent_twice(steps):
    disk: dict[str, bytes] = {}
    outbox, waiting, number = Outbox(disk), [], 0
    for step in steps:
        if step == "add":
            _, changes = outbox.add(Publish("acknowledgement", str(number).encode()))
            disk |= changes
            waiting.append(number)
            number += 1
        elif step == "done" and waiting:
            (first,) = outbox.leaving(0, 1)
            assert int(first.event.payload) == waiting.pop(0)
            outbox.done(first)
        elif step == "again":
            disk |= outbox.take_forgotten()
            outbox = Outbox(disk)
        assert [int(one.event.payload) for one in outbox.leaving(0, 99)] == waiting


def test_the_outbox_has_a_bound_and_the_oldest_goes_first():
    disk: dict[str, bytes] = {}
    outbox = Outbox(disk)
    for number in range(PLACES + 3):
        disk |= outbox.add(Publish("proof", str(number).encode()))[1]
    assert outbox.dropped == 3 and len(outbox) == PLACES == len(disk)
    again = Outbox(disk)
    assert [int(one.event.payload) for one in again.leaving(0, PLACES)] == list(
        range(3, PLACES + 3)
    )


CONNACK = bytes([0x20, 3, 0, 0, 0])
SUBACK = bytes([0x90, 5, 0, 1, 0, 1, 1])


def hostile(script: list[bytes]) -> tuple[socket.socket, threading.Thread]:
    """A server that sends the parts of `script`, one after each thing it reads, and closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        try:
            one, _ = server.accept()
            one.settimeout(0.3)
            with one:
                for part in script:
                    one.recv(4096)
                    one.sendall(part)
                one.recv(4096)
        except OSError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return server, thread


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=3), st.booleans())
@settings(max_examples=20, deadline=None)
@example([bytes([0x30, 3, 0, 0, 0])], False)  # a PUBLISH with an empty topic before CONNACK
@example([bytes([0x30, 4, 0, 1, 0xFF, 0])], True)  # a topic that is no text
@example([bytes([0x30, 4, 0, 1, 0xFF, 0])], False)
@example([bytes([0x32, 2, 0, 9])], True)  # a topic beyond the packet
@example([bytes([0x40, 0])], True)
@example([bytes([0x90, 0])], True)
@example([bytes([0xE0, 0])], True)
@example([bytes([0x20, 0])], False)
@example([bytes([0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])], True)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_whatever_a_broker_sends_ends_the_connection_at_most(parts, welcome):
    server, thread = hostile(([CONNACK] if welcome else []) + parts)

    async def scene() -> None:
        broken: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: broken.append(context))
        login = Login(host="127.0.0.1", port=server.getsockname()[1], identifier="x")
        connection = None
        try:
            async with asyncio.timeout(0.4):
                connection = await connect(login)
                asyncio.ensure_future(connection.subscribe(["a"])).add_done_callback(
                    lambda done: done.cancelled() or done.exception()
                )
                while True:
                    await connection.receive()
        except (LinkLostError, TimeoutError):
            pass
        if connection is not None:
            connection.abort()
        await asyncio.sleep(0.01)
        assert broken == []

    try:
        asyncio.run(scene())
    finally:
        server.close()
        thread.join(timeout=3)
