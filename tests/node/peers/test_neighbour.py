"""Two gateways on one pole, each with its own way to the sender, play as one horn."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clock.exchange.answering import BURST_MAX
from node.clock.neighbour_map import AWAY_MAX_NS
from node.config import ClockConfig, ConfigError, NodeConfig
from node.control.controller import Controller
from node.control.settings import ControlConfig
from node.control.trust.signature import SeedSigner
from node.counters import Count, Origin
from node.events import EVENTS_MAX, SendDatagram
from node.governed import GovernedSpeaker
from node.kernel.record import new
from node.peers.neighbour import MAP_NAME, QUESTIONS_MAX, Neighbour
from node.rtp import packet, rtcp
from node.source.state import Played
from node.stack import SpeakerNode
from sim.sender.time_answers import SenderReports

MS = 1_000_000
S = 1000 * MS
SENDER = ("10.0.0.1", 5004)
LEADER = ("192.168.1.11", 5004)
FOLLOWER = ("192.168.1.12", 5004)
SSRC = 7
PAYLOAD = b"\x08" + bytes(40)


def leader_config(**more):
    return NodeConfig(name="pole-a", clock=ClockConfig(answers=(FOLLOWER[0],), **more))


def follower_config():
    return NodeConfig(name="pole-b", clock=ClockConfig(neighbour="192.168.1.11:5004"))


class Gateway:
    """A node with a clock of its own, and the delays of its way from and to the sender."""

    def __init__(self, config, address, *, up_ms, down_ms, queue_ms, offset_ns, skew_ppm):
        self.config, self.address = config, address
        self.up_ms, self.down_ms, self.queue_ms = up_ms, down_ms, queue_ms
        self.offset_ns, self.skew_ppm = offset_ns, skew_ppm
        self.rows = new(Played, 4096)
        self.presented = {}
        self.start()

    def start(self):
        self.node = SpeakerNode(self.config, decoder_factory=None)

    def local(self, true_ns):
        return true_ns + self.offset_ns + true_ns * self.skew_ppm // 1_000_000

    def true(self, local_ns):
        return (local_ns - self.offset_ns) * 1_000_000 // (1_000_000 + self.skew_ppm)

    def note_journal(self):
        for row in self.rows[: self.node.take_journal(self.rows)]:
            if row["origin"] == Origin.RECEIVED:
                self.presented[int(row["media"])] = self.true(int(row["presentation_ns"]))

    def source(self):
        return self.node.status()["sources"][0]


class Pole:
    """Two gateways, a sender, and true time; the sender's clock is true."""

    def __init__(self, *, queue_ms=2.0, follower=None, first_media=0, seed=3):
        self.first_media = first_media
        self.sender_set_ns = 0
        self.is_follower_answered = True
        self.rng = np.random.default_rng(seed)
        clocks = {"offset_ns": 77 * S, "skew_ppm": 30}
        self.leader = Gateway(
            leader_config(), LEADER, up_ms=25, down_ms=18, queue_ms=queue_ms, **clocks
        )
        clocks = {"offset_ns": 9 * S, "skew_ppm": -20}
        self.follower = Gateway(
            follower or follower_config(),
            FOLLOWER, up_ms=24, down_ms=21, queue_ms=queue_ms, **clocks,
        )  # fmt: skip
        self.gateways = {LEADER: self.leader, FOLLOWER: self.follower}
        self.sender = SenderReports(SSRC)
        self.events, self.order = [], 0
        self.now_ns = 0
        self.is_cut = False
        self.local = []
        self.change = lambda data: data
        self.out = np.zeros((480, 1), np.float32)

    def at(self, when_ns, to, data, source):
        self.order += 1
        heapq.heappush(self.events, (when_ns, self.order, to, data, source))

    def way_ns(self, floor_ms, queue_ms):
        return round((floor_ms + self.rng.exponential(queue_ms)) * MS)

    def run(self, seconds):
        end_ns = self.now_ns + seconds * S
        while self.now_ns < end_ns:
            if self.now_ns % (20 * MS) == 0:
                self.send_sound()
            for gateway in self.gateways.values():
                self.step(gateway)
            self.now_ns += 5 * MS
            while self.events and self.events[0][0] <= self.now_ns:
                self.deliver(*heapq.heappop(self.events))

    def send_sound(self):
        i = self.now_ns // (20 * MS)
        data = packet.build(
            PAYLOAD, sequence=i & 0xFFFF, timestamp=(self.first_media + 960 * i) & 0xFFFFFFFF,
            ssrc=SSRC, payload_type=96, marker=False,
        )  # fmt: skip
        for address, one in self.gateways.items():
            self.at(self.now_ns + self.way_ns(one.down_ms, one.queue_ms), address, data, SENDER)

    def deliver(self, when_ns, _, to, data, source):
        if to != SENDER:
            gateway = self.gateways[to]
            gateway.node.receive_datagram(data, source, gateway.local(when_ns))
            self.settle(gateway, when_ns)
            return
        clock_ns = when_ns + self.sender_set_ns
        self.sender.receive_datagram(data, source, clock_ns)
        media = (self.first_media + when_ns * 48 // MS) & 0xFFFFFFFF
        report = rtcp.SenderReport(SSRC, rtcp.ntp_of_ns(clock_ns), media, 0, 0)
        answer = self.sender.next_answer(report, clock_ns)
        if answer is not None and (source != FOLLOWER or self.is_follower_answered):
            one = self.gateways[source]
            self.at(when_ns + self.way_ns(one.down_ms, one.queue_ms), source, answer[0], SENDER)

    def step(self, gateway):
        self.settle(gateway, self.now_ns)
        if self.now_ns % (10 * MS) == 0:
            gateway.node.render(self.out, gateway.local(self.now_ns))
            gateway.note_journal()

    def settle(self, gateway, when_ns):
        due_ns = gateway.node.next_deadline_ns()
        if due_ns is not None and due_ns <= gateway.local(when_ns):
            gateway.node.handle_deadline(gateway.local(when_ns))
        while (event := gateway.node.next_event()) is not None:
            if not isinstance(event, SendDatagram):
                continue
            if event.destination == SENDER:
                later_ns = self.way_ns(gateway.up_ms, gateway.queue_ms)
                self.at(when_ns + later_ns, SENDER, event.data, gateway.address)
            else:
                self.local.append((event.data, gateway.address))
                if not self.is_cut:
                    data = self.change(event.data)
                    later_ns = self.way_ns(0.1, 0.05)
                    self.at(when_ns + later_ns, event.destination, data, gateway.address)

    def apart_ms(self, from_s, to_s):
        one, other = self.leader.presented, self.follower.presented
        common = [
            m for m in one.keys() & other.keys() if from_s <= (m - self.first_media) / 48_000 < to_s
        ]
        assert len(common) > 40 * (to_s - from_s)
        return np.array([one[m] - other[m] for m in sorted(common)]) / MS


@pytest.mark.parametrize("first_media", [0, (1 << 32) - 9 * 48_000])
def test_two_modems_of_two_operators_on_one_pole_are_one_horn(first_media):
    pole = Pole(first_media=first_media)
    pole.run(20)
    assert np.abs(pole.apart_ms(0, 18)).max() < 0.3  # from the first packet on
    told = pole.follower.source()["neighbour"]
    assert told["rests"] and told["age_ms"] < 1500
    assert told["difference_ms"] == pytest.approx(-2.0, abs=1.0)  # half of 3 ms less half of 7
    assert pole.follower.source()["skew_ppm"] == pytest.approx(20, abs=8)
    beside = pole.follower.node.status()["neighbour"]
    assert beside["address"] == "192.168.1.11:5004" and beside["uncertainty_ms"] < 0.2
    true_ns = pole.follower.true(pole.follower.local(0))
    assert beside["offset_ns"] == pytest.approx(68 * S + 50e-6 * 20 * S - true_ns, abs=MS)
    assert pole.leader.source()["neighbour"] is None
    beside = pole.leader.node.status()["neighbour"]
    assert beside["answered"] > 100 and beside["refused"] == 0
    assert SpeakerNode(NodeConfig(name="c"), decoder_factory=None).status()["neighbour"] is None


def test_without_a_neighbour_the_same_two_are_apart_by_what_no_exchange_can_see():
    pole = Pole(follower=NodeConfig(name="pole-b"))
    pole.run(20)
    assert np.median(np.abs(pole.apart_ms(5, 18))) > 1.0


def test_a_neighbour_that_goes_and_comes_back_moves_nothing():
    pole = Pole()
    pole.run(60)
    pole.is_cut = True
    pole.run(60)
    assert not pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(62, 118)).max() < 0.6
    pole.is_cut = False
    pole.run(20)
    assert pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(132, 138)).max() < 0.3
    assert pole.follower.source()["hard_resyncs"] == 0


def test_a_neighbour_that_boots_again_is_followed_again():
    pole = Pole()
    pole.run(20)
    pole.leader.start()
    pole.leader.offset_ns += 1000 * S  # its monotonic clock is another
    pole.run(20)
    assert pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(30, 38)).max() < 0.3
    assert pole.follower.source()["hard_resyncs"] == 0


def test_a_neighbour_is_followed_even_where_the_sender_no_longer_answers():
    pole = Pole()
    pole.is_cut = True
    pole.run(10)
    pole.is_follower_answered, pole.is_cut = False, False
    pole.run(15)
    assert pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(22, 23)).max() < 0.3


def test_a_sender_whose_clock_is_set_is_a_new_one_to_both():
    pole = Pole()
    pole.run(20)
    pole.is_cut, pole.sender_set_ns = True, 5 * S
    pole.run(5)
    assert pole.follower.source()["neighbour"] is None
    pole.is_cut = False
    pole.run(15)
    assert pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(36, 38)).max() < 0.3


def lie(data, *, by_ns):
    """Let the maps in an answer claim that all was captured later."""
    packets = rtcp.parse(data)
    told = next(p for p in packets if isinstance(p, rtcp.Application))
    if told.subtype == 0:
        return data
    body = b""
    for at in range(0, len(told.payload), 24):
        one = told.payload[at : at + 24]
        captured_ns = rtcp.ns_of_ntp(int.from_bytes(one[8:16])) + by_ns
        body += one[:8] + rtcp.ntp_of_ns(captured_ns).to_bytes(8) + one[16:]
    told = rtcp.Application(told.ssrc, told.subtype, told.name, body)
    return rtcp.build([p for p in packets if not isinstance(p, rtcp.Application)] + [told])


@pytest.mark.parametrize("by_ms", [-300, 60, 3_600_000])
def test_a_neighbour_that_is_wrong_is_left_alone(by_ms):
    pole = Pole()
    pole.run(10)
    pole.change = lambda data: lie(data, by_ns=by_ms * MS)
    pole.run(20)
    assert not pole.follower.source()["neighbour"]["rests"]
    assert np.abs(pole.apart_ms(12, 28)).max() < 2.5  # what it would be without one
    assert pole.follower.source()["hard_resyncs"] == 0


def test_a_lie_that_is_believed_moves_the_sound_by_no_more_than_is_promised():
    pole = Pole()
    pole.run(10)
    for step_ms in range(1, 60):
        pole.change = lambda data, by_ms=step_ms: lie(data, by_ns=by_ms * MS)
        pole.run(1)
    apart_ms = pole.apart_ms(10, 67)
    assert 5 < np.abs(apart_ms).max() <= AWAY_MAX_NS / MS + 3
    assert pole.follower.source()["hard_resyncs"] == 0


def test_a_leader_answers_nobody_but_those_it_names():
    node = SpeakerNode(leader_config(), decoder_factory=None)
    question = first_question()
    node.receive_datagram(question, ("192.168.1.13", 5004), S)
    assert node.next_deadline_ns() is None and node.next_event() is None
    node.receive_datagram(question, FOLLOWER, S)
    node.handle_deadline(S)
    assert node.next_event().destination == FOLLOWER


def test_under_orders_a_neighbour_is_answered_but_no_sound_comes_that_way():
    root = SeedSigner(bytes(32))
    control = ControlConfig(
        root_public_key=root.public_key.hex(), area="vn/pole-a", build_utc_s=1_800_000_000
    )
    speaker = SpeakerNode(leader_config(), decoder_factory=None)
    controller = Controller("pole-a", control, (), {})
    node = GovernedSpeaker(speaker, controller, {}, playout_delay_ms=400)
    node.receive_datagram(first_question(), FOLLOWER, S)
    node.handle_deadline(S)
    sent = []
    while (event := node.next_event()) is not None:
        sent += [event.destination] if isinstance(event, SendDatagram) else []
    assert sent == [FOLLOWER]
    sound = packet.build(
        PAYLOAD + MAP_NAME, sequence=1, timestamp=0, ssrc=SSRC, payload_type=96, marker=False
    )
    report = rtcp.build([rtcp.SenderReport(SSRC, 1, 1, 0, 0), rtcp.Goodbye((SSRC,))])
    for data in (sound, report, report + MAP_NAME):
        node.receive_datagram(data, FOLLOWER, S)
    assert node.counts[Count.DROPPED_UNAUTHENTICATED] == 3


def test_a_follower_answers_nobody_not_even_its_leader():
    follower = Neighbour(follower_config())
    assert follower.receive(first_question(), LEADER, {}, S)
    assert follower.refused == 1
    follower.handle_deadline(S, {})
    assert follower.next_event()[1] == LEADER and follower.next_event() is None  # its own question


def test_a_question_that_is_shorter_than_its_answer_gets_none():
    tells = Neighbour(leader_config())
    parts = rtcp.parse(first_question(range(3)))
    short = rtcp.build([p for p in parts if not isinstance(p, rtcp.SourceDescription)])
    assert tells.receive(short, FOLLOWER, {}, S) and tells.refused == 1
    assert tells.next_deadline_ns() is None


def test_a_genuine_answer_cut_short_is_refused():
    asks, tells = Neighbour(follower_config()), Neighbour(leader_config())
    asks.handle_deadline(S, {})
    tells.receive(asks.next_event()[0], FOLLOWER, {}, S)
    tells.handle_deadline(S, {})
    answer = rtcp.parse(tells.next_event()[0])
    told = rtcp.Application(1, 1, MAP_NAME, bytes(20))
    assert asks.receive(rtcp.build([*answer[:2], told]), LEADER, {}, S + MS)
    assert asks.refused == 1


def first_question(sources=()):
    asks = Neighbour(follower_config())
    asks.handle_deadline(S, dict.fromkeys(sources))
    return asks.next_event()[0]


@pytest.mark.parametrize("name", ["a", "pole-b", 64 * "b"])
@pytest.mark.parametrize("sources", [0, 1, 16])
def test_an_answer_is_never_longer_than_its_question(name, sources):
    config = NodeConfig(name=name, clock=ClockConfig(neighbour="192.168.1.11:5004"))
    asks, tells = Neighbour(config), Neighbour(leader_config())
    asks.handle_deadline(S, dict.fromkeys(range(sources)))
    question, to = asks.next_event()
    assert to == LEADER and tells.receive(question, FOLLOWER, {}, 5 * S)
    heard = {ssrc: Heard() for ssrc in range(sources)}
    tells.handle_deadline(5 * S, heard)
    answer, back = tells.next_event()
    assert back == FOLLOWER and len(answer) <= len(question)
    taken = {ssrc: Heard() for ssrc in range(sources)}
    for _ in range(4):  # a clock is known from the fourth reply on
        asks.receive(answer, LEADER, taken, S + MS)
    assert tells.refused == 0 and asks.refused == 3


class Heard:
    """A source whose map is always the same."""

    def __init__(self):
        self.reports = self

    def tell_neighbour(self, now_ns):
        from node.clock.neighbour_map import SourceMap

        return SourceMap(48_000, now_ns, 12.5, 20 * MS)

    def receive_neighbour(self, told, link_ns, now_ns):
        raise AssertionError("nobody knows the neighbour's clock from one reply")


def test_a_flood_of_questions_gets_an_allowance():
    tells, question = Neighbour(leader_config()), first_question()
    answers = 0
    for number in range(2000):
        tells.receive(question, FOLLOWER, {}, S + number * 1000)
        tells.handle_deadline(S + number * 1000, {})
        while tells.next_event() is not None:
            answers += 1
    assert answers <= BURST_MAX + 1 and tells.refused == 2000 - answers


def test_of_questions_that_wait_too_long_the_oldest_get_no_answer():
    tells, question = Neighbour(leader_config()), first_question()
    for number in range(QUESTIONS_MAX + 30):
        tells.receive(question, (FOLLOWER[0], 1 + number), {}, S + number * S)
    tells.handle_deadline(200 * S, {})
    assert tells.refused == 0 and tells.answered == QUESTIONS_MAX
    tells.receive(question, FOLLOWER, {}, 200 * S)  # and nobody has taken the answers
    tells.handle_deadline(200 * S, {})
    ports = []
    while (answer := tells.next_event()) is not None:
        ports.append(answer[1][1])
    assert ports == [*range(32, QUESTIONS_MAX + 31), FOLLOWER[1]]


def test_a_shell_that_takes_no_events_loses_the_oldest_and_never_memory():
    node, question = SpeakerNode(leader_config(), decoder_factory=None), first_question()
    for number in range(EVENTS_MAX + 30):
        node.receive_datagram(question, (FOLLOWER[0], 1 + number), S + number * S)
        node.handle_deadline(S + number * S)
    ports = []
    while (event := node.next_event()) is not None:
        ports.append(event.destination[1])
    assert ports == list(range(31, EVENTS_MAX + 31))


def test_an_answer_that_nobody_asked_for_is_refused():
    asks = Neighbour(follower_config())
    tells = Neighbour(leader_config())
    tells.receive(first_question(), FOLLOWER, {}, S)
    tells.handle_deadline(S, {})
    answer = tells.next_event()[0]
    assert asks.receive(answer, LEADER, {}, 2 * S) and asks.refused == 1
    assert not asks.receive(answer, ("192.168.1.13", 5004), {}, 2 * S)


def test_two_nodes_that_follow_each_other_are_refused_as_a_configuration():
    with pytest.raises(ConfigError, match=r"clock\.answers .* swap"):
        ClockConfig(neighbour="192.168.1.11:5004", answers=("192.168.1.11",))


@pytest.mark.parametrize("wrong", ["192.168.1.11", "pole-a:5004", "192.168.1.11:0", ":5004", ""])
def test_a_neighbour_without_address_and_port_is_named_as_wrong(wrong):
    with pytest.raises(ConfigError, match=r"clock\.neighbour .* such as 192\.168\.1\.11:5004"):
        ClockConfig(neighbour=wrong)


def test_ipv6_addresses_are_known_however_they_are_written():
    config = ClockConfig(neighbour="[fd00:0::1]:5004")
    assert config.neighbour_address == ("fd00::1", 5004)


parts = st.one_of(
    st.builds(
        rtcp.Application,
        ssrc=st.integers(0, 2**32 - 1),
        subtype=st.integers(0, 3),
        name=st.just(MAP_NAME),
        payload=st.binary(max_size=120).map(lambda b: b[: len(b) // 4 * 4]),
    ),
    st.builds(
        rtcp.ExtendedReport,
        ssrc=st.integers(0, 2**32 - 1),
        ntp=st.none() | st.integers(0, 2**64 - 1),
        replies=st.lists(
            st.builds(
                rtcp.ReplyTime,
                ssrc=st.integers(0, 2**32 - 1),
                last_rr=st.integers(0, 2**32 - 1),
                since_last_rr=st.integers(0, 2**32 - 1),
            ),
            max_size=3,
        ).map(tuple),
    ),
)
compounds = st.lists(parts, max_size=4).map(lambda p: rtcp.build([rtcp.ReceiverReport(1), *p]))
garbled = st.tuples(compounds, st.integers(0, 200), st.binary(max_size=4)).map(
    lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + len(t[2]) :]
)


@given(st.lists(st.tuples(compounds | garbled, st.sampled_from([LEADER, FOLLOWER])), max_size=8))
def test_whatever_a_neighbour_sends_nothing_is_raised(datagrams):
    for config in (leader_config(), follower_config(), NodeConfig(name="c")):
        node = SpeakerNode(config, decoder_factory=None)
        for number, (data, source) in enumerate(datagrams):
            node.receive_datagram(data, source, S + number)
            if node.next_deadline_ns() is not None:
                node.handle_deadline(S + number)
            while (event := node.next_event()) is not None:
                assert len(event.data) <= max(len(data), 100)
