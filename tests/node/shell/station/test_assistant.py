"""What Home Assistant wishes is ordered within bounds, and what it shows is what the nodes said."""

import asyncio
import json
import tomllib
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.control.calendar.play_state import Record
from node.control.orders import Acknowledgement
from node.control.precedence import MessageClass
from node.control.proof.answers import Answers
from node.control.proof.proof import ProofChain
from node.control.trust.message import Kind, Message, open_envelope, seal
from node.control.trust.signature import SeedSigner
from node.control.warning.short_alert import identifier_of
from node.shell.broker.connection import LinkLostError
from node.shell.broker.mqtt import ASK
from node.shell.poles.pole_list import Pole
from node.shell.station.assistant.bridge import (
    CANCELS_MAX,
    NAMED_MAX,
    NODES_MAX,
    SIRENS,
    VOLUMES,
    Bridge,
    Send,
    Site,
)
from node.shell.station.assistant.orders import Orders
from node.shell.station.assistant.pole_siren import ANSWER_S, ASK_S, GRACE_S
from node.shell.station.assistant.serve import LOOK_S, WAITING_MAX, Outgoing
from node.shell.station.assistant.wish import LASTS_MAX_S, LASTS_S

OURS, NODE, THIEF = (SeedSigner(bytes([n]) * 32) for n in (1, 2, 3))
AREA, UTC_NS = "vn/x", 1_800_000_000 * 10**9
ON, OFF = b"ON", b"OFF"
PLAN = {"zone": "Asia/Ho_Chi_Minh", "quiet_hours": [
    {"name": "night", "volume_max": 20, "start": "22:00", "end": "05:00", "on": {"weekdays": []}}
]}  # fmt: skip


class Scene:
    """A bridge, its clock, and nodes that all have one key."""

    def __init__(self, *names, area=AREA):
        sites = {one: Site(f"{area}/{one}", Pole(NODE.public_key)) for one in names or ("coc-1",)}
        self.orders = Orders(OURS, MessageClass.PRIORITY, PLAN)
        self.bridge = Bridge("x", area, sites, ("any", "FFW"), self.orders)
        self.now_s, self.told, self.sent, self.counter = 0.0, {}, [], 0
        self.take()

    @property
    def utc_ns(self):
        return UTC_NS + int(self.now_s * 10**9)

    def take(self):
        for one in self.bridge.take_sends():
            if one.retain:
                name = one.topic.removeprefix("assistant/v1/x/")
                kept = name.endswith("/order")
                self.told[name] = one.payload if kept else json.loads(one.payload)
            else:
                self.sent.append(one)

    def wish(self, payload, *, name="coc-1", thing="siren", retained=False):
        topic = f"assistant/v1/x/{name}/{thing}/set"
        self.bridge.receive(topic, payload, self.now_s, self.utc_ns, retained=retained)
        self.take()

    def node(self, what, payload, *, name="coc-1"):
        topic = f"pa/v1/x/node/{name}/{what}"
        self.bridge.receive(topic, payload, self.now_s, self.utc_ns, retained=False)
        self.take()

    def wait(self, seconds):
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += LOOK_S
            self.bridge.look(self.now_s, self.utc_ns)
            self.take()

    def ordered(self, kind=Kind.SHORT_ALERT):
        """The orders that were sent, opened, without what only asks."""
        found = [open_envelope(one.payload) for one in self.sent if one.payload != ASK]
        return [one for one in found if one.kind is kind]

    def answer(self, fate, *, by=NODE, name="coc-1", kind=Kind.SHORT_ALERT, of=-1):
        order = self.ordered(kind)[of]
        self.counter += 1
        told = Acknowledgement(name, OURS.key_id.hex(), order.counter, fate, 0, "")
        one = Message(
            kind=Kind.ACKNOWLEDGEMENT, key_id=by.key_id, counter=self.counter, issued_s=1,
            ttl_s=60, message_class=MessageClass.NORMAL, area=AREA,
            content=msgspec.json.encode(told),
        )  # fmt: skip
        self.node("acknowledgement", seal(one, by), name=name)

    def status(self, *names, name="coc-1"):
        self.node("metric", json.dumps({"control": {"sounds": names}}).encode(), name=name)

    def record(self, outcome, *, name="coc-1", reason=""):
        chain = ProofChain({})
        one = Record(
            serial=1, name=self.number(), day="", outcome=outcome, reason=reason,
            ended_s=2_000_000_000, sounded_s=9, signed_by=OURS.key_id.hex(),
        )  # fmt: skip
        _, _, line = chain.add(one)
        self.node("proof", line, name=name)
        self.node("proof-head", Answers(name, AREA, NODE).tell_head(chain, 0).payload, name=name)

    def number(self):
        """What the warning that was sent last is called."""
        alerts = [one for one in self.ordered() if one.content[1] & 0x7F == 0]
        return identifier_of(int.from_bytes(alerts[-1].content[10:18], "big"))

    def siren(self, name="coc-1"):
        told = self.told[f"{name}/siren"]
        return told["state"], told.get("fate")


def sounding():
    scene = Scene()
    scene.wish(ON)
    scene.answer("waiting")
    scene.status(scene.number())
    assert scene.siren() == ("ON", "sounds")
    return scene


def test_a_siren_is_on_when_the_node_says_that_it_sounds_and_not_before():
    scene = Scene()
    scene.wish(b'{"state": "ON", "tone": "FFW", "duration": 40}')
    (order,) = scene.ordered()
    assert (order.area, order.message_class) == ("vn/x/coc-1", MessageClass.PRIORITY)
    assert order.content[2:10].rstrip(b"\0") == b"FFW"
    assert int.from_bytes(order.content[26:30], "big") == 40
    assert scene.siren() == ("OFF", "ordered")
    scene.answer("waiting")
    assert scene.siren() == ("OFF", "waits")
    scene.status("the news")
    assert scene.siren() == ("OFF", "waits")
    assert scene.told["coc-1/siren"]["reason"] == "the news sounds"
    scene.status("the news", scene.number())
    assert scene.siren() == ("ON", "sounds")
    scene.record("played")
    assert scene.siren() == ("OFF", "played")


def test_a_siren_stays_on_between_its_repetitions_and_below_something_else():
    scene = sounding()
    for names in ((), ("the news",)):
        scene.status(*names)
        assert scene.siren() == ("ON", "pauses")
        assert scene.told["coc-1/siren"]["reason"].endswith(" sounds")
    scene.status(scene.number())
    assert scene.siren() == ("ON", "sounds")
    scene.record("played")
    assert scene.siren() == ("OFF", "played")


def test_the_node_is_asked_what_sounds_as_long_as_that_is_open():
    scene = Scene()
    scene.wish(ON)
    scene.answer("waiting")
    scene.wait(ASK_S[0] + 2 * ASK_S[1] + LOOK_S)
    assert [one.payload for one in scene.sent[1:]] == [ASK] * 3
    scene.status(scene.number())
    scene.record("played")
    scene.sent.clear()
    scene.wait(60)
    assert scene.sent == []


@pytest.mark.parametrize("fate", ["too many orders", "above its class", "unknown key", "\x1b[2J"])
def test_a_refusal_is_told_with_its_reason(fate):
    scene = Scene()
    scene.wish(ON)
    scene.answer(fate)
    assert scene.siren() == ("OFF", "refused")
    assert scene.told["coc-1/siren"]["reason"] == fate.replace("\x1b", "?")
    scene.wish(ON)
    assert len(scene.ordered()) == 2, "it may be tried again at once"


def test_an_order_that_nobody_answers_is_named_within_ten_seconds_with_how_the_node_is():
    scene = Scene()
    scene.node("state", b'{"state": "lost"}')
    scene.wish(ON)
    scene.wait(ANSWER_S + LOOK_S)
    assert scene.now_s <= 10
    assert scene.siren() == ("OFF", "no answer")
    assert "its state is lost" in scene.told["coc-1/siren"]["reason"]
    scene.wish(ON)
    assert len(scene.ordered()) == 2, "it may be tried again"


def test_an_answer_that_comes_late_or_never_still_ends_in_what_the_node_says():
    for is_lost in (False, True):
        scene = Scene()
        scene.wish(ON)
        scene.wait(ANSWER_S + LOOK_S)
        if not is_lost:
            scene.answer("waiting")
        scene.status(scene.number())
        assert scene.siren() == ("ON", "sounds")


def test_an_answer_of_another_key_is_none():
    scene = Scene()
    scene.wish(ON)
    scene.answer("waiting", by=THIEF)
    scene.wait(ANSWER_S + LOOK_S)
    assert scene.siren() == ("OFF", "no answer")


def test_off_ends_the_warning_and_is_off_when_the_node_has_answered():
    scene = sounding()
    scene.wish(OFF)
    cancel = scene.ordered()[-1]
    assert cancel.content[1] == 2
    assert identifier_of(int.from_bytes(cancel.content[18:26], "big")) == scene.number()
    assert scene.siren() == ("ON", "sounds")
    scene.answer("cancel")
    assert scene.siren() == ("OFF", "cancelled")
    scene.sent.clear()
    scene.wish(OFF)
    assert scene.sent == [] and scene.bridge.counts["nothing to end"] == 1


def test_an_end_that_is_refused_or_not_answered_leaves_it_on_and_says_so():
    scene = sounding()
    scene.wish(OFF)
    scene.answer("not its to end")
    assert scene.siren() == ("ON", "sounds")
    assert "its end is refused: not its to end" in scene.told["coc-1/siren"]["reason"]
    scene.wish(OFF)
    scene.wait(ANSWER_S + LOOK_S)
    assert scene.siren()[0] == "ON"
    assert "its end was not answered" in scene.told["coc-1/siren"]["reason"]


def test_a_warning_whose_node_dies_is_off_at_once_and_over_after_its_time():
    scene = sounding()
    scene.node("state", b'{"state": "lost"}')
    assert scene.siren() == ("OFF", "waits")
    scene.wait(LASTS_S + GRACE_S + LOOK_S)
    assert scene.siren() == ("OFF", "no record")
    scene.sent.clear()
    scene.wait(60)
    assert scene.sent == []


def test_a_warning_that_is_stopped_waits_and_may_sound_again():
    scene = sounding()
    scene.record("stopped", reason="outside the hours")
    assert scene.siren() == ("OFF", "stopped")
    scene.status(scene.number())
    assert scene.siren() == ("ON", "sounds")


def test_on_while_it_is_open_orders_nothing_more():
    scene = sounding()
    for _ in range(50):
        scene.wish(ON)
    assert len(scene.ordered()) == 1 and scene.bridge.counts["repeated"] == 50


def test_a_switch_that_is_flicked_a_hundred_times_is_bounded_counted_named_and_ends_as_wished():
    scene = Scene()
    for _ in range(50):
        scene.wish(ON)
        scene.wish(OFF)
        scene.now_s += 0.1
    kinds = Counter(one.content[1] for one in scene.ordered())
    assert kinds[0] == SIRENS[0] and kinds[2] <= kinds[0] * CANCELS_MAX
    assert scene.bridge.counts["too many"] > 40
    assert "too" in scene.told["coc-1/siren"]["reason"]
    last = scene.ordered()[-1]
    assert last.content[1] == 2, "the last that was ordered is an end"
    scene.answer("cancel")
    assert scene.siren() == ("OFF", "cancelled")
    scene.wait(SIRENS[1])
    scene.wish(ON)
    assert scene.ordered()[-1].content[1] == 0, "one more is earned"


def test_orders_never_have_a_counter_twice_also_when_the_clock_goes_back():
    orders = Orders(OURS, MessageClass.PRIORITY, {})
    times = [UTC_NS, UTC_NS, UTC_NS - 10**12, UTC_NS + 1, UTC_NS + 10**10]
    counters = [orders.alert(AREA, "any", 1, one).message.counter for one in times]
    assert counters == sorted(set(counters))


def test_a_volume_is_the_communes_plan_with_another_volume_and_is_told_when_it_is_obeyed():
    scene = Scene()
    scene.wish(b"40", thing="volume")
    (order,) = scene.ordered(Kind.VOLUME)
    plan = tomllib.loads(order.content.decode())
    assert plan == PLAN | {"volume": 40}
    assert scene.told["coc-1/volume"] == {"volume": None, "fate": "ordered"}
    scene.answer("obeyed", kind=Kind.VOLUME)
    assert scene.told["coc-1/volume"] == {"volume": 40, "fate": "set"}
    scene.wish(b"50", thing="volume")
    scene.answer("the plan is of a key that may order more", kind=Kind.VOLUME)
    assert scene.told["coc-1/volume"]["volume"] == 40
    assert "refused: the plan" in scene.told["coc-1/volume"]["fate"]
    scene.wish(b"60", thing="volume")
    scene.wait(ANSWER_S + LOOK_S)
    assert "no answer" in scene.told["coc-1/volume"]["fate"]


def test_of_a_slider_that_is_dragged_the_last_volume_is_ordered_in_the_end():
    scene = Scene()
    for volume in range(10, 90):
        scene.wish(b"%d" % volume, thing="volume")
    assert len(scene.ordered(Kind.VOLUME)) == VOLUMES[0]
    scene.wait(VOLUMES[1] + LOOK_S)
    orders = scene.ordered(Kind.VOLUME)
    assert len(orders) == VOLUMES[0] + 1
    assert tomllib.loads(orders[-1].content.decode())["volume"] == 89
    scene.wait(60)
    assert len(scene.ordered(Kind.VOLUME)) == VOLUMES[0] + 1


def test_a_volume_level_goes_before_its_siren():
    scene = Scene()
    scene.wish(b'{"state": "ON", "volume_level": 0.55}')
    kinds = [open_envelope(one.payload).kind for one in scene.sent]
    assert kinds == [Kind.VOLUME, Kind.SHORT_ALERT]
    plan = tomllib.loads(scene.ordered(Kind.VOLUME)[0].content.decode())
    assert plan["volume"] == 55


def test_the_commune_is_one_order_for_all_and_on_where_one_sounds():
    names = [f"coc-{n}" for n in range(NAMED_MAX + 4)]
    scene = Scene(*names)
    scene.wish(ON, name="ALL")
    assert len({one.payload for one in scene.sent}) == 1
    assert [one.topic for one in scene.sent] == [f"pa/v1/x/node/{one}/cmd" for one in names]
    assert scene.ordered()[0].area == AREA
    scene.answer("waiting", name="coc-1")
    scene.status(scene.number())
    scene.answer("too many orders", name="coc-2")
    scene.wait(ANSWER_S + LOOK_S)
    told = scene.told["ALL/siren"]
    assert told["state"] == "ON"
    assert told["fates"] == f"no answer: {len(names) - 2}, refused: 1, sounds: 1"
    silent = told["silent"].split(", ")
    assert len(silent) == NAMED_MAX and "coc-1" not in silent
    scene.sent.clear()
    scene.wish(OFF, name="ALL")
    ended = [one for one in scene.sent if one.payload != ASK]
    assert len({one.payload for one in ended}) == 1
    assert len(ended) == len(names) - 1, "not where it was refused"


def test_on_for_all_leaves_out_who_has_one_and_off_ends_each():
    scene = Scene("coc-1", "coc-2")
    scene.wish(ON)
    scene.answer("waiting")
    scene.wish(ON, name="ALL")
    assert [one.name for one in scene.sent] == ["coc-1", "coc-2"]
    scene.wish(OFF, name="ALL")
    first, second = scene.ordered()[-2:]
    assert (first.area, second.area) == ("vn/x/coc-1", AREA)


@pytest.mark.parametrize(
    "payload",
    [b"", b"on", b"{", b"[]", b'{"state": 1}', b'{"state": "ON", "tone": "TSUNAMI"}', b"\xff",
     b'{"state": "ON", "duration": 0}', b'{"state": "ON", "duration": NaN}', b"[" * 9000,
     b'{"state": "ON", "volume_level": 2}', b'{"state": "ON", "volume_level": true}',
     b'{"state": "ON", "duration": "9"}', b'{"state": "ON"' + b" " * 2000 + b"}"],
)  # fmt: skip
def test_a_wish_that_cannot_be_read_orders_nothing_and_is_counted_and_named(payload):
    scene = Scene()
    scene.wish(payload)
    assert scene.sent == [] and scene.bridge.counts["unreadable"] == 1
    told = scene.told["coc-1/siren"]
    assert told["dropped"] == 1 and "cannot be read" in told["reason"]
    scene.wish(payload, name="ALL")
    scene.wait(LOOK_S)
    assert "cannot be read" in scene.told["ALL/siren"]["reason"]


@pytest.mark.parametrize("payload", [b"", b"x", b"9", b"101", b"nan", b"inf", b"5" * 17])
def test_a_volume_that_is_none_orders_nothing(payload):
    scene = Scene()
    scene.wish(payload, thing="volume")
    assert scene.sent == [] and scene.bridge.counts["unreadable"] == 1


def test_a_duration_beyond_the_longest_sounds_for_that():
    scene = Scene()
    scene.wish(b'{"state": "ON", "duration": 1e300}')
    assert int.from_bytes(scene.ordered()[0].content[26:30], "big") == LASTS_MAX_S


def test_what_the_broker_kept_and_what_is_for_nobody_orders_nothing():
    scene = Scene()
    scene.wish(ON, retained=True)
    scene.wish(ON, name="coc-9")
    scene.wish(ON, thing="door")
    assert scene.sent == []
    assert scene.bridge.counts == {"retained": 1, "for nobody": 2}


def test_what_the_broker_refuses_is_named_and_may_be_wished_again():
    scene = Scene()
    scene.wish(ON)
    scene.wish(b"40", thing="volume")
    for one in scene.sent:
        scene.bridge.refuse(one, "the broker refuses it")
    scene.take()
    assert scene.siren() == ("OFF", "not given")
    assert scene.told["coc-1/volume"]["fate"] == "not given: the broker refuses it"
    scene.wish(ON)
    assert len(scene.ordered()) == 2


def test_a_node_that_is_new_is_served_beside_a_siren_that_sounds_and_one_that_is_gone_is_not():
    scene = sounding()
    sites = {one: Site(f"{AREA}/{one}", Pole(NODE.public_key)) for one in ("coc-1", "coc-2")}
    scene.bridge.know(sites)
    scene.wait(LOOK_S)
    assert scene.siren() == ("ON", "sounds") and scene.siren("coc-2") == ("OFF", "nothing ordered")
    assert "nothing ordered: 1" in scene.told["ALL/siren"]["fates"]
    scene.wish(ON, name="coc-2")
    scene.wish(b"50", name="coc-2", thing="volume")
    assert scene.sent[-1].name == "coc-2"
    scene.bridge.know({"coc-1": sites["coc-1"]})
    cleared = {one.topic: one for one in scene.bridge.take_sends()}
    assert set(cleared) == {f"assistant/v1/x/coc-2/{one}" for one in ("siren", "volume", "order")}
    assert all(one.payload == b"" and one.retain for one in cleared.values())
    scene.sent.clear()
    scene.wish(ON, name="coc-2")
    assert scene.sent == [] and scene.bridge.counts["for nobody"] == 1
    assert scene.siren() == ("ON", "sounds")


def test_a_gateway_that_took_anothers_place_has_nothing_to_answer_for():
    scene = sounding()
    scene.bridge.know({"coc-1": Site(f"{AREA}/coc-1", Pole(THIEF.public_key))})
    scene.wait(LOOK_S)
    assert scene.siren() == ("OFF", "nothing ordered") and scene.told["coc-1/order"] == b""
    scene.wish(ON)
    scene.answer("waiting", by=NODE)
    assert scene.siren() == ("OFF", "ordered"), "the old one's key answers for nobody"
    scene.answer("waiting", by=THIEF)
    assert scene.siren() == ("OFF", "waits")


def kept_by(scene, payload, after_s=30.0, **more):
    """A bridge that is started so long after, and finds what another has kept."""
    anew = Scene(**more)
    anew.now_s = scene.now_s + after_s
    topic = "assistant/v1/x/coc-1/order"
    anew.bridge.receive(topic, payload, anew.now_s, anew.utc_ns, retained=True)
    anew.sent = list(scene.sent)
    anew.take()
    return anew


def test_a_bridge_that_is_started_anew_asks_for_what_it_ordered_and_can_end_it():
    scene = sounding()
    anew = kept_by(scene, scene.told["coc-1/order"])
    assert anew.siren() == ("OFF", "not known")
    anew.wait(LOOK_S)
    assert anew.sent[-1].payload == ASK
    anew.status(scene.number())
    assert anew.siren() == ("ON", "sounds")
    anew.wish(OFF)
    anew.answer("cancel")
    assert anew.siren() == ("OFF", "cancelled") and anew.told["coc-1/order"] == b""
    again = kept_by(scene, scene.told["coc-1/order"])
    again.wait(LASTS_S + GRACE_S)
    assert again.siren() == ("OFF", "no record")


def test_what_is_over_or_was_signed_by_nobody_or_another_is_not_taken_up():
    scene = sounding()
    kept = scene.told["coc-1/order"]
    other = Orders(THIEF, MessageClass.PRIORITY, {}).alert(AREA, "any", 60, UTC_NS).data
    plan = Orders(OURS, MessageClass.PRIORITY, PLAN).volume(AREA, 60, UTC_NS).data
    for payload, after_s in ((kept, LASTS_S + 1), (kept[:-1] + b"x", 1), (other, 1), (plan, 1),
                             (b"", 1), (kept, -LASTS_MAX_S)):  # fmt: skip
        assert "coc-1/siren" in kept_by(scene, payload, after_s).told
        assert kept_by(scene, payload, after_s).siren() == ("OFF", "nothing ordered")


def test_a_new_connection_is_told_everything_again():
    scene = sounding()
    scene.told.clear()
    scene.bridge.tell_all()
    scene.take()
    assert scene.siren() == ("ON", "sounds")
    assert set(scene.told) == {"coc-1/siren", "coc-1/volume", "coc-1/order"}
    scene.wait(LOOK_S)
    assert {"ALL/siren", "ALL/volume"} <= set(scene.told)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["coc-1", "coc-2", "ALL"]),
            st.sampled_from(["state", "metric", "acknowledgement", "proof", "proof-head", "?"]),
            st.one_of(
                st.binary(max_size=80),
                st.sampled_from([ON, OFF, b'{"control": {"sounds": 7}}', b'{"control": 1}']),
            ),
        ),
        max_size=12,
    )
)
def test_nothing_that_comes_is_raised_and_all_that_is_told_can_be_read(words):
    scene = Scene("coc-1", "coc-2")
    for name, what, payload in words:
        scene.wish(payload, name=name)
        scene.wish(payload, name=name, thing="volume")
        scene.node(what, payload, name=name)
        scene.now_s += 3
        scene.bridge.look(scene.now_s, scene.utc_ns)
    scene.take()
    for name, told in scene.told.items():
        if name.endswith("/order"):
            continue
        # Home Assistant puts attributes of a siren into a set.
        assert all(isinstance(one, str | int | None) for one in told.values())


def test_a_commune_of_the_most_nodes_is_served():
    names = [f"n{n}" for n in range(NODES_MAX)]
    scene = Scene(*names)
    scene.wish(ON, name="ALL")
    assert len(scene.sent) == NODES_MAX
    with pytest.raises(AssertionError):
        Scene(*names, "one-more")


class Broker:
    """A connection whose answers come when they are let."""

    window = 3

    def __init__(self):
        self.taken, self.futures = [], []

    def publish(self, topic, payload, *, quality, retain, expires_s=0):
        self.taken.append((topic, payload, expires_s))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


async def spin():
    for _ in range(3):
        await asyncio.sleep(0)


def test_no_more_is_under_way_than_the_broker_takes_and_an_order_is_forgotten_in_time():
    async def run():
        broker, refused = Broker(), []
        outgoing = Outgoing(broker, lambda one, why: refused.append((one.topic, why)))
        outgoing.add([Send(f"t{n}", b"") for n in range(5)])
        assert [one[0] for one in broker.taken] == ["t0", "t1", "t2"]
        assert all(one[2] == ANSWER_S for one in broker.taken)
        broker.futures[0].set_result(0)
        broker.futures[1].set_result(0x87)
        await spin()
        assert len(broker.taken) == 5 and refused[0][0] == "t1" and "ACL" in refused[0][1]
        broker.futures[2].set_exception(LinkLostError("gone"))
        broker.futures[3].set_result(0x10)
        await spin()
        assert refused[1:] == [("t3", "the node is not at the broker")]

    asyncio.run(run())


def test_of_what_waits_for_a_broker_that_is_slow_the_newest_state_stays_and_there_is_a_bound():
    async def run():
        broker, refused = Broker(), []
        outgoing = Outgoing(broker, lambda one, why: refused.append(one))
        outgoing.add([Send("first", b"") for _ in range(3)])
        outgoing.add([Send("state", b"%d" % n, retain=True) for n in range(9)])
        outgoing.add([Send("cmd", b"%d" % n) for n in range(WAITING_MAX - 1)])
        assert refused == []
        outgoing.add([Send("cmd", b"one more"), Send("state", b"newest", retain=True)])
        assert [one.payload for one in refused] == [b"one more"]
        broker.futures[0].set_result(0)
        await spin()
        assert broker.taken[-1][:2] == ("state", b"newest")

    asyncio.run(run())
