"""A node that is gone is told within 10 s of its last word, and one that lives is not."""

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from node.shell.broker.beats import EARLY
from node.shell.broker.mqtt import MqttLink
from node.shell.config import MqttConfig
from node.shell.poles.roster import NODES_MAX
from node.shell.station.watch import BEAT_S, LOOK_S, PATIENCE_S, WORDS, Watch
from node.units import NS_PER_MS, NS_PER_S
from sim.world.broker import Broker, Message
from sim.world.connection import Network
from sim.world.loop import VirtualLoop

ROOT = "pa/v1/x/node"


def state(word, session=7, **more):
    return json.dumps({"state": word, "session": session, **more}).encode()


def heard(watch, what, payload, now_s, *, name="coc-1", retained=False):
    return watch.receive(f"{ROOT}/{name}/{what}", payload, now_s, retained=retained)


@given(
    st.lists(st.floats(0.01, 12), min_size=1, max_size=40),
    st.sampled_from([3, 8, 12, 60]),
)
def test_whoever_is_silent_for_a_beat_and_the_patience_is_lost_and_nobody_else(pauses_s, beat_s):
    watch, now_s, looked_s = Watch([], 0.0), 0.0, 0.0
    heard(watch, "state", state("ready", beat_s=beat_s), 0.0)
    limit_s = EARLY * beat_s + PATIENCE_S
    for pause_s in pauses_s:
        until_s, last_s, told = now_s + pause_s, now_s, []
        while looked_s + LOOK_S <= until_s:
            looked_s += LOOK_S
            told += [looked_s - last_s for _ in watch.look(looked_s)]
        now_s = until_s
        assert len(told) == (pause_s >= limit_s + LOOK_S) or limit_s <= pause_s
        assert all(limit_s <= one < limit_s + LOOK_S for one in told)
        assert (heard(watch, "beat", b"", now_s) == "coc-1: is back") == bool(told)


def test_by_default_that_is_within_ten_seconds():
    assert EARLY * MqttConfig().keepalive_s + PATIENCE_S + LOOK_S <= 10


@example([("state", b'{"state": "lost"}'), ("beat", b"")])
@given(st.lists(st.tuples(st.sampled_from(["state", "cmd", "beat", "x"]), st.binary(max_size=40))))
def test_what_cannot_be_read_ends_nothing_and_what_is_said_to_a_node_is_no_word_of_it(words):
    watch = Watch(["coc-1"], 0.0)
    for what, payload in words:
        heard(watch, what, payload, 1.0)
        heard(watch, "cmd", payload, 20.0)
        heard(watch, "stream", payload, 20.0)
    watch.look(19.6)
    watch.look(20.0)
    told = list(itertools.chain(watch.look(20.5), watch.look(21.0), watch.look(40.0)))
    assert len(told) <= 1


def test_who_was_never_heard_is_lost_as_well_and_who_said_goodbye_is_not():
    watch = Watch(["coc-1", "coc-2"], 0.0)
    heard(watch, "state", state("stopped"), 0.0, name="coc-2", retained=True)
    told = [name for step in range(60) for name, _ in watch.look(step * LOOK_S)]
    assert told == ["coc-1"] and watch.lost == ["coc-1"]
    assert BEAT_S * EARLY + PATIENCE_S < 60 * LOOK_S


def test_who_watches_and_slept_himself_blames_nobody():
    watch = Watch([], 0.0)
    heard(watch, "state", state("ready", beat_s=8), 0.0)
    assert watch.look(5.0) == [], "it slept for 5 s"
    assert [watch.look(5.0 + step / 4) for step in range(38)][-1] == []
    assert [name for name, _ in watch.look(14.7)] == ["coc-1"]


def test_a_stranger_more_than_the_watch_has_places_for_is_counted_and_pushes_nobody_out():
    watch = Watch(["coc-1"], 0.0)
    for number in range(NODES_MAX + 5):
        heard(watch, "beat", b"", 0.0, name=f"n{number}")
    assert watch.left == 6
    assert heard(watch, "state", state("lost"), 0.0) == "coc-1: lost"


class Way:
    """A mobile link that loses nothing."""

    def carry(self, now_ns, size_bytes):
        return now_ns + 80 * NS_PER_MS


class Ear:
    """The watch's client at the modelled broker."""

    identifier = "watch"

    def __init__(self, loop, watch):
        self.loop, self.watch, self.lines = loop, watch, []

    def give(self, message, handle):
        now_s = self.loop.now_ns / NS_PER_S
        line = self.watch.receive(message.topic, message.payload, now_s, retained=message.retain)
        self.lines += [] if line is None else [line]

    def drop(self, reason):
        raise AssertionError("the broker lives")


class Scene:
    """A node, a broker and a watch in virtual time."""

    def __init__(self):
        self.loop = VirtualLoop()
        self.broker = Broker(self.loop)
        self.watch = Watch([], 0.0)
        self.ear = Ear(self.loop, self.watch)
        self.broker.connect(
            self.ear, keep_alive_s=0, session_s=0, receive_max=99, will=None, will_delay_s=0
        )
        self.broker.resume(self.ear)
        self.broker.subscribe(self.ear, [f"{ROOT}/+/{one}" for one in WORDS])
        self.network = Network(self.loop, self.broker, Way(), Way())
        config = MqttConfig(host="station", village="x")
        self.link = MqttLink("coc-1", config, session=7, connect=self.network.connect)
        self.told = []
        self.link.told = lambda name, text: self.told.append((self.loop.now_ns, name, text))
        self.task = self.loop.create_task(self.link.run(lambda topic, payload: None))
        self.lost_ns = []
        self.loop.call_later(LOOK_S, self._look)

    def _look(self):
        self.loop.call_later(LOOK_S, self._look)
        for name, payload in self.watch.look(self.loop.now_ns / NS_PER_S):
            self.lost_ns.append(self.loop.now_ns)
            topic = f"{ROOT}/{name}/state"
            self.broker.publish(self.ear, Message(topic, payload, 1, retain=True))

    def close(self):
        self.task.cancel()
        self.loop.run_for(5 * NS_PER_S)
        self.loop.close()

    def state(self):
        return json.loads(self.broker.retained(f"{ROOT}/coc-1/state"))["state"]


@pytest.mark.parametrize("after_ms", range(0, 8000, 370))
def test_from_whatever_moment_the_way_is_gone_both_sides_know_within_ten_seconds(after_ms):
    scene = Scene()
    scene.loop.run_for(60 * NS_PER_S + after_ms * NS_PER_MS)
    assert scene.lost_ns == [] and scene.link.connected and scene.told[-1][1:] == ("broker", None)
    gone_ns = scene.loop.now_ns
    scene.network.forget()
    scene.loop.run_for(10 * NS_PER_S)
    assert len(scene.lost_ns) == 1
    # Who connects anew by chance at once is back before the tenth second.
    assert scene.state() == "lost" or scene.link.reconnects == 1
    (at_ns, name, text), *_ = [one for one in scene.told if one[0] > gone_ns]
    assert name == "broker" and text and at_ns - gone_ns <= 10 * NS_PER_S
    scene.loop.run_for(20 * NS_PER_S)
    assert scene.state() == "ready" and scene.link.connected
    assert scene.ear.lines == ["coc-1: is back"]
    scene.close()


def test_a_node_that_was_only_slow_says_at_once_that_it_lives():
    scene = Scene()
    scene.loop.run_for(60 * NS_PER_S)
    lost = Message(f"{ROOT}/coc-1/state", state("lost"), 1, retain=True)
    scene.broker.publish(scene.ear, lost)
    scene.loop.run_for(NS_PER_S)
    assert scene.state() == "ready"
    assert scene.link.reconnects == 0
    scene.close()


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 1.9)), max_size=8))
def test_a_way_that_stands_still_for_less_than_the_patience_makes_nobody_lost(stalls):
    scene, way = Scene(), Way()
    now_s = 0.0
    until = []
    for pause_s, length_s in stalls:
        now_s += pause_s
        until.append((now_s, now_s + length_s))
        now_s += length_s

    def carry(now_ns, size_bytes):
        begin_s = now_ns / NS_PER_S
        ends = [end for begin, end in until if begin <= begin_s < end]
        return way.carry(round(max(ends, default=begin_s) * NS_PER_S), size_bytes)

    scene.network.up.carry = carry
    scene.loop.run_for(120 * NS_PER_S)
    assert scene.lost_ns == []
    assert all(text is None for _, name, text in scene.told if name == "broker")
    scene.close()


@given(
    st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), max_size=80),
    st.one_of(st.binary(max_size=60), st.sampled_from([state("lost"), state("stopped")])),
)
@example("\x1b[2J", state("lost"))
@example("a", b'{"session": 1e999, "beat_s": NaN}')
def test_whatever_a_broker_gives_is_one_line_that_moves_no_cursor(name, payload):
    watch = Watch([], 0.0)
    lines = [heard(watch, what, payload, 0.0, name=name) for what in WORDS]
    for step in range(60):
        for _, told in watch.look(step * LOOK_S):
            assert json.loads(told)["state"] == "lost"
    assert all(line is None or line.isprintable() for line in lines)
