"""A node behind a NAT joins a station, stays, and is found again; strangers get nothing out of it.

Both halves in virtual time, with a NAT between them that forgets, restricts and moves.
"""

import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.events import SendDatagram
from node.joined import JoinedSpeaker
from node.peers.joining import BROKER, KEEP_NS, REST_RENEW_NS, Joining, Station
from node.rtp.join_packet import (
    BYTES,
    KEEP,
    STRANGER,
    JoinPacket,
    Step,
    build,
    is_join,
    node_of,
    parse,
)
from sim.sender.joined import CHALLENGES_PER_S, COOKIE_S, STRANGERS_PER_S, Joined
from sim.sender.report_times import ReportTimes

MS = 1_000_000
S = 1000 * MS
KEY = bytes(range(32))
STATION = ("203.0.113.1", 5004)
SOUND = b"sound"
REPORT = bytes([0x80, 200]) + bytes(66)


class Nat:
    """Endpoint-dependent filtering (RFC 4787), mappings that live only by what goes out."""

    def __init__(self, host="198.51.100.7", *, symmetric, lease_ns=30 * S):
        self.host = host
        self._symmetric = symmetric
        self._lease_ns = lease_ns
        self._ports = itertools.count(20_000)
        self._out = {}

    def outward(self, inside, to, now_ns):
        """Return the source that `to` sees."""
        key = (inside, to) if self._symmetric else (inside, None)
        known = self._out.get(key)
        if known is None or now_ns - known[1] > self._lease_ns:
            known = [(self.host, next(self._ports)), 0, set()]
            self._out[key] = known
        known[1] = now_ns
        known[2].add(to)
        return known[0]

    def inward(self, source, outside, now_ns):
        """Return who gets what `source` sends to `outside`, or None."""
        for (inside, _), (address, last_ns, allowed) in self._out.items():
            if address == outside and now_ns - last_ns <= self._lease_ns and source in allowed:
                return inside
        return None

    def move(self, host):
        """Be reachable by another address from now on; what was known is forgotten."""
        self.host = host
        self._out.clear()


class World:
    """Nodes behind one NAT each, a station that sends sound each 20 ms to its members."""

    def __init__(self, *, nodes=1, symmetric=False, lease_ns=30 * S, loss=0.0, seed=1):
        self.now_ns = S
        self.rng = np.random.default_rng(seed)
        self.loss = loss
        self.nats = [
            Nat(f"198.51.100.{7 + i}", symmetric=symmetric, lease_ns=lease_ns) for i in range(nodes)
        ]
        self.nodes = [
            Joining(f"pole-{i}", Station(*STATION, KEY), secret=b"n%d" % i, now_ns=self.now_ns)
            for i in range(nodes)
        ]
        self.heard = [[] for _ in range(nodes)]
        self.sounds = True
        self.times = ReportTimes()
        self._next_report_ns = 0
        self.bytes_on_air = 0
        """Both ways, with headers."""
        self.asked = 0
        self.answered = 0
        self.sent_by_nodes = 0
        self.restart()
        self._queue = []
        self._order = itertools.count()
        self._at(self.now_ns, self._tick)
        for i in range(nodes):
            self._at(self.now_ns, lambda i=i: self._wake(i))

    def restart(self):
        """Let the station begin anew: it knows nobody."""
        self.station = Joined(7, KEY, secret=bytes([int(self.rng.integers(256))]) * 16)
        self.members = {}

    def run(self, seconds):
        end_ns = self.now_ns + round(seconds * S)
        while self._queue and self._queue[0][0] <= end_ns:
            self.now_ns, _, what = heapq.heappop(self._queue)
            what()
        self.now_ns = end_ns

    def hole_ns(self, i, since_ns=0):
        """Return the longest time without sound at node `i` after `since_ns`."""
        times = [since_ns, *(t for t in self.heard[i] if t > since_ns), self.now_ns]
        return int(np.diff(times).max())

    def _at(self, when_ns, what):
        heapq.heappush(self._queue, (when_ns, next(self._order), what))

    def _carry(self, what):
        if self.rng.random() >= self.loss:
            self._at(self.now_ns + int(self.rng.integers(40, 90)) * MS, what)

    def _tick(self):
        self.station.handle_deadline(self.now_ns)
        self._follow()
        if self.now_ns >= self._next_report_ns:
            self._next_report_ns = self.now_ns + S
            for outside in self.members:
                if self.times.is_due(outside, self.now_ns):
                    self._carry(lambda outside=outside: self._to_node(REPORT, outside))
        if self.sounds:
            self.times.note_sound(self.now_ns)
            for outside in self.members:
                self._carry(lambda outside=outside: self._to_node(SOUND, outside))
        self._at(self.now_ns + 20 * MS, self._tick)

    def _follow(self):
        while (change := self.station.next_event()) is not None:
            if change.joined:
                self.members[change.address] = change.node
                self.times.add(change.address, self.now_ns)
            else:
                self.members.pop(change.address, None)
                self.times.drop(change.address)

    def _wake(self, i):
        node = self.nodes[i]
        node.handle_deadline(self.now_ns)
        self.drain(i)
        self._at(max(node.next_deadline_ns(), self.now_ns + MS), lambda: self._wake(i))

    def drain(self, i):
        while (out := self.nodes[i].next_event()) is not None:
            data, to = out
            self.sent_by_nodes += 1
            source = self.nats[i].outward(("10.0.0.2", 5004), to, self.now_ns)
            self._carry(lambda data=data, source=source: self._to_station(data, source))

    def _to_station(self, data, source):
        self.asked += len(data)
        self.bytes_on_air += len(data) + 28
        answer = self.station.receive_datagram(data, source, self.now_ns)
        self._follow()
        if answer is not None:
            self.answered += len(answer)
            self._carry(lambda: self._to_node(answer, source))

    def _to_node(self, data, outside):
        self.bytes_on_air += len(data) + 28
        for i, nat in enumerate(self.nats):
            if nat.host != outside[0] or nat.inward(STATION, outside, self.now_ns) is None:
                continue
            if is_join(data):
                self.nodes[i].receive_datagram(data, STATION, self.now_ns)
                self.drain(i)
            elif data == STRANGER:
                self.nodes[i].receive_stranger(self.now_ns)
                self.nodes[i].handle_deadline(self.now_ns)
                self.drain(i)
            elif data == REPORT:
                self.nodes[i].receive_stream(self.now_ns, sounds=False)
            else:
                self.nodes[i].receive_stream(self.now_ns)
                self.heard[i].append(self.now_ns)


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_node_behind_a_nat_hears_within_half_a_second_and_without_a_hole(symmetric):
    world = World(symmetric=symmetric)
    world.run(300)
    assert world.heard[0][0] - S <= 500 * MS
    assert world.hole_ns(0, world.heard[0][0]) <= 100 * MS, "a NAT that forgets after 30 s is kept"


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_after_a_new_address_of_the_nat_the_stream_is_back_within_two_seconds(symmetric, loss):
    holes = []
    for seed in range(30):
        world = World(symmetric=symmetric, loss=loss, seed=seed)
        world.run(20 + seed * 0.37)
        moved_ns = world.now_ns
        world.nats[0].move("192.0.2.99")
        world.run(20)
        holes.append(world.hole_ns(0, moved_ns))
        assert len(world.members) == 1, "the old address is not sent to any more"
    assert np.percentile(holes, 90 if loss else 100) <= 2 * S
    assert max(holes) <= (4 if loss else 2) * S


def test_a_station_that_begins_anew_has_its_nodes_back_within_two_seconds():
    world = World(nodes=20, seed=3)
    world.run(10)
    world.restart()
    begun_ns = world.now_ns
    world.run(10)
    assert max(world.hole_ns(i, begun_ns) for i in range(20)) <= 2 * S
    assert len(world.members) == 20


def test_a_pause_of_the_sound_costs_some_packets_and_no_place():
    world = World()
    world.run(10)
    world.sounds = False
    before = world.sent_by_nodes
    world.run(600)
    assert world.sent_by_nodes - before <= 50, (
        "one each 15 s, and some that ask whether all is well"
    )
    world.sounds = True
    begun_ns = world.now_ns
    world.run(5)
    assert world.hole_ns(0, begun_ns) <= 150 * MS


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_path_at_rest_is_kept_for_twenty_megabytes_a_month(loss):
    world = World(nodes=5, loss=loss, seed=4)
    world.run(10)
    world.sounds = False
    world.run(400)
    before = world.bytes_on_air
    world.run(3600)
    month_mb = (world.bytes_on_air - before) / 5 / 3600 * 30 * 86_400 / 1e6
    assert month_mb <= 20
    world.sounds = True
    begun_ns = world.now_ns
    world.run(5)
    holes = [world.hole_ns(i, begun_ns) for i in range(5)]
    assert max(holes) <= (2 * S if loss else 150 * MS), "and the next sound comes at once"


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("what", ["address", "station"])
def test_at_rest_a_new_address_or_a_station_that_begins_anew_is_found_by_the_next_word(
    symmetric, what
):
    for seed in range(10):
        world = World(symmetric=symmetric, seed=seed)
        world.run(10)
        world.sounds = False
        world.run(300 + seed * 7.3)
        if what == "address":
            world.nats[0].move("192.0.2.99")
        else:
            world.restart()
        world.run(17)
        assert any(host == world.nats[0].host for host, _ in world.members)
        world.sounds = True
        begun_ns = world.now_ns
        world.run(5)
        assert world.hole_ns(0, begun_ns) <= 150 * MS


def test_who_says_in_the_stations_name_that_it_knows_nobody_costs_a_question_each_ten_seconds():
    world = World()
    world.run(60)
    before = world.sent_by_nodes
    for _ in range(6000):
        world.nodes[0].receive_stranger(world.now_ns)
        world.nodes[0].handle_deadline(world.now_ns)
        world.drain(0)
        world.run(0.01)
    assert world.sent_by_nodes - before <= 4 + 7
    assert len(world.members) == 1


def test_a_node_that_leaves_and_one_that_falls_silent_are_sent_nothing_more():
    world = World(nodes=2)
    world.run(5)
    world.nodes[0].leave()
    world.drain(0)
    world.run(1)
    assert len(world.members) == 1
    world.nats[1].outward = lambda *_: ("192.0.2.9", 1)  # nothing of it arrives any more
    world.run(120)
    assert not [a for a in world.members if a[0] != "192.0.2.9"]


def test_a_path_without_an_answer_is_asked_ever_more_seldom():
    node = Joining("pole", Station(*STATION, KEY), secret=b"x", now_ns=0)
    sent, now_ns = 0, 0
    while now_ns < 3600 * S:
        node.handle_deadline(now_ns)
        while node.next_event() is not None:
            sent += 1
        now_ns = max(node.next_deadline_ns(), now_ns + 1)
    assert 190 <= sent <= 250


def hello(node=b"12345678", key=KEY, **more):
    fields = {"step": Step.HELLO, "ssrc": 0, "node": node, "nonce": bytes(8)} | more
    return build(JoinPacket(**fields), key)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=120), st.integers(0, 3)), max_size=20))
def test_what_is_not_by_the_key_is_not_answered_and_changes_nothing(packets):
    station = Joined(7, KEY, secret=b"s")
    node = Joining("pole", Station(*STATION, KEY), secret=b"x", now_ns=0)
    good = hello()
    for junk, how in packets:
        data = [junk, good[: len(junk)], good[:-16] + junk[:16].ljust(16), hello(key=junk[:32])][
            how
        ]
        if data == good:
            continue
        assert station.receive_datagram(data, ("1.2.3.4", 5), S) is None
        assert not node.receive_datagram(data, STATION, S)
    assert station.count == 0 and station.next_event() is None and node.source is None


def test_a_hundred_thousand_forged_joins_amplify_nothing_and_let_nobody_in():
    """By strangers, by who recorded genuine questions, and with cookies of other addresses."""
    station = Joined(7, KEY, secret=b"s")
    rng = np.random.default_rng(1)
    challenge = parse(station.receive_datagram(hello(), ("198.51.100.7", 9), S), KEY)
    stolen = JoinPacket(Step.JOIN, 0, b"12345678", bytes(8), challenge.cookie, 45)
    recorded = [hello(), build(stolen, KEY)]
    came = went = 0
    for i in range(100_000):
        now_ns = S + i * S // 20_000
        kind = i % 4
        if kind == 0:
            data = hello(key=rng.bytes(32))
        elif kind == 1:
            data = hello()[:-16] + rng.bytes(16)
        else:
            data = recorded[kind - 2]
        source = (f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", 1024 + i % 60_000)
        answer = station.receive_datagram(data, source, now_ns)
        came += len(data)
        went += 0 if answer is None else len(answer)
        assert answer is None or (
            len(answer) <= len(data) and parse(answer, KEY).step is Step.CHALLENGE
        )
    assert station.count == 0 and station.next_event() is None
    assert went <= 6 * CHALLENGES_PER_S * BYTES
    assert went / came <= 1.0
    assert station.forged == 50_000
    assert station.flooded > 40_000


def test_words_of_strangers_are_answered_by_as_short_ones_and_seldom():
    station = Joined(7, KEY, secret=b"s")
    answers = [
        station.receive_datagram(KEEP, (f"10.0.{i >> 8}.{i & 255}", 7), S) for i in range(3000)
    ]
    assert sum(one is not None for one in answers) == STRANGERS_PER_S
    assert {one for one in answers if one is not None} == {STRANGER} and len(STRANGER) == len(KEEP)
    assert station.count == 0 and station.next_event() is None
    new = station.receive_datagram(hello(), ("198.51.100.7", 9), S)
    assert new is not None, "they keep nobody from joining"


def test_members_renew_and_come_while_a_flood_of_recorded_questions_is_on():
    station = Joined(7, KEY, secret=b"s")
    address = ("198.51.100.7", 4000)
    cookie = parse(station.receive_datagram(hello(), address, S), KEY).cookie
    for i in range(3000):
        station.receive_datagram(hello(), (f"10.0.{i >> 8}.{i & 255}", 7), 2 * S)
    join = JoinPacket(Step.JOIN, 0, b"12345678", bytes(8), cookie, 45)
    welcome = parse(station.receive_datagram(build(join, KEY), address, 2 * S), KEY)
    assert welcome.step is Step.WELCOME
    assert station.count == 1


def test_the_places_have_a_bound_and_those_who_are_in_stay():
    station = Joined(7, KEY, secret=b"s", members_max=10)
    for i in range(15):
        node, address = node_of(f"pole-{i}"), ("198.51.100.7", 4000 + i)
        cookie = parse(station.receive_datagram(hello(node), address, S), KEY).cookie
        join = JoinPacket(Step.JOIN, 7, node, bytes(8), cookie, 45)
        answer = station.receive_datagram(build(join, KEY), address, S)
        assert (answer is None) == (i >= 10)
    assert station.count == 10 and station.full == 5
    station.handle_deadline(S + 45 * S)
    assert station.count == 0


@pytest.mark.parametrize("field", ["ssrc", "cookie age", "other node", "other port"])
def test_a_cookie_is_good_for_one_node_at_one_address_for_a_while(field):
    station = Joined(7, KEY, secret=b"s")
    address, node = ("198.51.100.7", 4000), b"12345678"
    cookie = parse(station.receive_datagram(hello(node), address, S), KEY).cookie
    at_ns = S + ((COOKIE_S + 1) * S if field == "cookie age" else 0)
    if field == "other port":
        address = (address[0], 4001)
    join = JoinPacket(
        Step.JOIN,
        8 if field == "ssrc" else 0,
        b"87654321" if field == "other node" else node,
        bytes(8),
        cookie,
        45,
    )
    answer = station.receive_datagram(build(join, KEY), address, at_ns)
    assert answer is None or parse(answer, KEY).step is Step.CHALLENGE
    assert station.count == 0


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(list(Step)), st.integers(0, 2**32 - 1), st.binary(min_size=8, max_size=8),
    st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16), st.integers(0, 600),
    st.integers(0, BYTES - 1), st.integers(1, 255),
)  # fmt: skip
def test_a_packet_is_read_as_it_was_written_and_no_bit_of_it_can_be_changed(
    step, ssrc, node, nonce, cookie, lease_s, at, change
):
    packet = JoinPacket(step, ssrc, node, nonce, cookie, lease_s)
    data = build(packet, KEY)
    assert len(data) == BYTES and parse(data, KEY) == packet
    changed = bytearray(data)
    changed[at] ^= change
    assert parse(bytes(changed), KEY) is None
    assert all(parse(data[:n], KEY) is None for n in range(BYTES))


def answer(station, address, data, now_ns, members):
    """Give a question to the station; note who gets the stream, and where from."""
    told = station.receive_datagram(data, address, now_ns)
    while (change := station.next_event()) is not None:
        members.discard(change.address) if not change.joined else members.add(change.address)
    return told


@given(st.integers(0, 400), st.integers(100, 1500), st.booleans())
@settings(deadline=None, max_examples=30)
def test_where_no_datagram_comes_through_the_broker_carries_and_datagrams_are_taken_again(
    blocked_from_s, blocked_for_s, is_tried_by_stream
):
    """The station is found within 4 s of the first question, and datagrams within 6 minutes."""
    station, members = Joined(7, KEY, secret=b"s"), set()
    node = Joining("pole", Station(*STATION, KEY), secret=b"x", now_ns=0, has_broker=True)
    by_broker, outside = ("100::7", 1), ("198.51.100.7", 9)
    blocked = range(blocked_from_s * S, (blocked_from_s + blocked_for_s) * S)
    out_of_reach_ns = 0
    for now_ns in range(0, (blocked.stop // S + 420) * S, 100 * MS):
        if members and is_tried_by_stream:
            (where,) = members
            if where == by_broker or now_ns not in blocked:
                node.receive_stream(now_ns)
        node.handle_deadline(now_ns)
        station.handle_deadline(now_ns)
        for _ in range(3):
            waiting = []
            while (out := node.next_event()) is not None:
                waiting.append(out)
            for data, to in waiting:
                if to == STATION and now_ns in blocked:
                    continue
                back = answer(
                    station, by_broker if to == BROKER else outside, data, now_ns, members
                )
                if back == STRANGER:
                    node.receive_stranger(now_ns)
                elif back is not None:
                    node.receive_datagram(back, to, now_ns)
        reached = members == {by_broker} or (members == {outside} and now_ns not in blocked)
        out_of_reach_ns = 0 if reached else out_of_reach_ns + 100 * MS
        limit_s = 6 if is_tried_by_stream else REST_RENEW_NS // S + 6
        assert out_of_reach_ns <= limit_s * S
    assert members == {outside}, "datagrams come through again: they cost less"


def test_a_node_without_a_broker_asks_by_datagrams_alone():
    node = Joining("pole", Station(*STATION, KEY), secret=b"x", now_ns=0)
    for now_ns in range(0, 120 * S, 100 * MS):
        node.handle_deadline(now_ns)
        while (out := node.next_event()) is not None:
            assert out[1] == STATION


class Asks:
    """A speaker that asks its sender for the time now and then."""

    def __init__(self, at_ns):
        self._at_ns = list(at_ns)
        self._waiting = []

    def handle_deadline(self, now_ns):
        while self._at_ns and self._at_ns[0] <= now_ns:
            self._at_ns.pop(0)
            self._waiting.append(SendDatagram(REPORT, STATION))

    def next_event(self):
        return self._waiting.pop(0) if self._waiting else None


@given(st.lists(st.integers(1, 600), max_size=12))
@settings(deadline=None, max_examples=30)
def test_the_path_is_never_silent_for_longer_than_its_keep_alive_and_nothing_is_said_twice(asked_s):
    """A question about the time keeps the path as a KEEP does, if it goes there."""
    station = Joined(7, KEY, secret=b"s")
    asks = Asks(sorted(one * S for one in asked_s))
    node = JoinedSpeaker(asks, "pole", secret=b"x", stations=[Station(*STATION, KEY)])
    went = []
    for now_ns in range(0, 620 * S, 250 * MS):
        node.handle_deadline(now_ns)
        while (out := node.next_event()) is not None:
            went.append((now_ns, out.data))
            back = station.receive_datagram(out.data, ("198.51.100.7", 9), now_ns)
            if back is not None:
                node.receive_datagram(back, STATION, now_ns)
    begun = [one for one in went if one[0] > S]
    gaps = [(b[0] - a[0], b[1]) for a, b in itertools.pairwise(begun)]
    assert all(gap <= KEEP_NS + 250 * MS for gap, _ in gaps)
    assert all(gap >= KEEP_NS for gap, data in gaps if data == KEEP)
