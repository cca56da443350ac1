"""Horns of a village meet on the sender's clock and on one delay, over plain RTCP."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.clock.timebase import Timebase
from node.config import NodeConfig
from node.events import SendDatagram
from node.peers.credit import Advance
from node.peers.question import Reception
from node.peers.sender import NodeReports
from node.rtp import packet as rtp
from node.rtp import rtcp
from node.stack import SpeakerNode
from sim.sender.group_delay import GroupDelay
from sim.sender.stream import LiveSender
from sim.sender.time_answers import ANSWER_BYTES, SenderReports

MS = 1_000_000
S = 1_000_000_000
SENDER = ("192.0.2.1", 5004)
SENDER_SSRC = 77


def new_reports(ssrc=1, *, late_ratio=0.01, start_ns=0):
    """Of a node whose sender is authenticated."""
    reports = NodeReports(
        ssrc, SENDER_SSRC, name=b"cum-1", late_ratio=late_ratio, start_ns=start_ns
    )
    reports.credit.trust(Advance())
    return reports


class Village:
    """A sender, and nodes with clocks of their own, joined by links with floors and queues."""

    def __init__(self, floors_ms, *, skews_ppm, queue_ms=0.5, seed=1, group=None):
        self.rng = np.random.default_rng(seed)
        self.queue_ms = queue_ms
        self.floors_ms, self.skews_ppm = floors_ms, skews_ppm
        self.sender = SenderReports(SENDER_SSRC, group=group)
        self.timebases = [Timebase(400 * MS) for _ in floors_ms]
        self.nodes = [
            new_reports(i, late_ratio=0.005, start_ns=self.local(i, 0))
            for i in range(len(floors_ms))
        ]
        self.positions = {}
        self.moved_samples = 0
        """By which the sender's media time was set forward."""
        self.clock_ns = 0
        """By which its clock was."""

    def local(self, node, sender_ns):
        return 10**12 * (node + 1) + round(sender_ns * (1 + self.skews_ppm[node] * 1e-6))

    def delay_ns(self, node):
        return round((self.floors_ms[node] + self.rng.exponential(self.queue_ms)) * MS)

    def report(self, sender_ns):
        media = sender_ns * 48 // MS + self.moved_samples
        clock = rtcp.ntp_of_ns(sender_ns + self.clock_ns)
        return rtcp.SenderReport(SENDER_SSRC, clock, media & 0xFFFFFFFF, 0, 0)

    def run(self, seconds, *, first=0):
        for packet in range(first * 50, (first + seconds) * 50):
            sender_ns = packet * 20 * MS
            for node, timebase in enumerate(self.timebases):
                at_ns = self.local(node, sender_ns + self.delay_ns(node))
                timebase.receive_packet(packet * 960 + self.moved_samples, at_ns)
                self.positions[node] = timebase.position_q16(self.local(node, sender_ns))
                self.ask(node, sender_ns)
            if packet % 50 == 25:
                compound = [self.report(sender_ns), *self.sender.announcements(sender_ns)]
                for node in range(len(self.nodes)):
                    self.answer(node, rtcp.build(compound), sender_ns)

    def ask(self, node, sender_ns):
        reports, now_ns = self.nodes[node], self.local(node, sender_ns)
        if now_ns < reports.next_deadline_ns():
            return
        reports.handle_deadline(now_ns)
        request = reports.next_compound(Reception(70_000, 3, 48), self.timebases[node], now_ns)
        assert len(request) >= ANSWER_BYTES
        there_ns = sender_ns + self.delay_ns(node)
        self.sender.receive_datagram(request, ("192.0.2.9", node), there_ns)
        answer = self.sender.next_answer(self.report(there_ns + MS), there_ns + MS)
        if answer is not None:
            assert len(answer[0]) <= ANSWER_BYTES
            self.answer(node, answer[0], there_ns + MS)

    def answer(self, node, data, sent_ns):
        arrival_ns = self.local(node, sent_ns + self.delay_ns(node))
        newest = sent_ns * 48 // MS + self.moved_samples
        self.nodes[node].receive(rtcp.parse(data), self.timebases[node], newest, arrival_ns)

    def skew_ms(self):
        samples = [position / 65536 for position in self.positions.values()]
        return (max(samples) - min(samples)) / 48


def test_horns_behind_links_of_different_length_play_the_same_sample():
    village = Village([1, 30, 2], skews_ppm=[0, 40, -30])
    village.run(20)
    assert all(timebase.mapped for timebase in village.timebases)
    assert village.skew_ms() < 0.5
    captured_ms = village.positions[0] / 65536 / 48
    assert captured_ms == pytest.approx(20_000 - 20 - 400, abs=1)


@settings(max_examples=8)
@given(st.integers(-300, 300), st.integers(0, 80))
@example(124, 40)
@example(-60, 40)
def test_sound_that_a_sender_moves_is_in_step_again_after_two_of_its_reports(moved_ms, floor_ms):
    village = Village([1, floor_ms], skews_ppm=[0, 40])
    village.run(4)
    village.moved_samples = moved_ms * 48
    village.run(2, first=4)
    for position in village.positions.values():
        captured_ms = position / 65536 / 48 - moved_ms
        # Less than JUMP_NS is slewed, so that nobody hears it.
        assert captured_ms == pytest.approx(6_000 - 20 - 400, abs=51)


@settings(max_examples=8)
@given(st.integers(-10_000, 10_000))
def test_a_sender_whose_clock_is_set_goes_on_sounding_where_it_was(step_ms):
    village = Village([1, 30], skews_ppm=[0, 40])
    village.run(4)
    village.clock_ns = step_ms * MS
    for second in range(4, 12):
        village.run(1, first=second)
        for position in village.positions.values():
            captured_ms = position / 65536 / 48
            assert captured_ms == pytest.approx((second + 1) * 1000 - 20 - 400, abs=20)


def test_without_answers_each_horn_plays_on_by_its_arrivals():
    village = Village([1, 30], skews_ppm=[0, 0])
    village.ask = lambda node, sender_ns: None
    village.run(5)
    assert not any(timebase.mapped for timebase in village.timebases)
    assert village.skew_ms() == pytest.approx(29, abs=1.5)


def test_the_group_gets_the_delay_that_its_neediest_node_needs():
    group = GroupDelay(400 * MS)
    village = Village([1, 30, 60], skews_ppm=[5, 0, -5], queue_ms=10.0, group=group)
    village.run(40)
    assert all(node.delays_announced >= 1 for node in village.nodes)
    wanted_ms = group.current.delay_ns / MS
    village.run(60, first=40)
    for timebase in village.timebases:
        assert timebase.playout_delay_ns / MS == pytest.approx(wanted_ms, abs=1)
    assert village.skew_ms() < 5


def test_what_a_node_reports_says_what_was_lost():
    reports = new_reports()
    timebase = Timebase(400 * MS)
    losses = []
    for second, lost in ((0, 0), (1, 25)):
        reports.handle_deadline(second * S)
        data = reports.next_compound(
            Reception(65_536 + second * 50, lost, 96), timebase, second * S
        )
        losses.append(rtcp.parse(data)[0].blocks[0].lost_per_256)
    assert losses == [0, 128]
    assert reports.next_compound(Reception(65_600, 25, 96), timebase, S) is None


def test_reports_of_another_source_or_with_broken_announcements_change_nothing():
    reports = new_reports()
    timebase = Timebase(400 * MS)
    timebase.receive_packet(0, 0)
    other = rtcp.SenderReport(SENDER_SSRC + 1, 1 << 40, 0, 0, 0)
    broken = rtcp.Application(SENDER_SSRC, 0, b"LoaD", b"1234")
    reports.receive((other, broken), timebase, 0, 0)
    assert not timebase.mapped and timebase.playout_delay_ns == 400 * MS
    assert reports.delays_announced == 0


def opus_packet(number, *, sequence_first=65_530):
    config_silk_wideband_20_ms = 9 << 3
    return rtp.build(
        bytes([config_silk_wideband_20_ms]) + bytes(30),
        sequence=sequence_first + number,
        timestamp=number * 960,
        ssrc=SENDER_SSRC,
        payload_type=96,
        marker=number == 0,
    )


def test_a_node_asks_its_sender_for_the_time_and_plays_by_the_answer():
    node = SpeakerNode(NodeConfig(name="cum-1"), decoder_factory=None)
    sender = SenderReports(SENDER_SSRC)
    ahead_ns, there_ns = 500 * S, 30 * MS
    out = np.zeros((480, 1), np.float32)
    for period in range(500):
        now_ns = 10 * S + period * 10 * MS
        if period % 2 == 0:
            node.receive_datagram(opus_packet(period // 2), SENDER, now_ns + there_ns)
        due_ns = node.next_deadline_ns()
        if due_ns is not None and due_ns <= now_ns:
            node.handle_deadline(now_ns)
        while (event := node.next_event()) is not None:
            if not isinstance(event, SendDatagram):
                continue
            assert event.destination == SENDER
            sender_ns = now_ns + there_ns + ahead_ns
            assert sender.receive_datagram(event.data, ("192.0.2.9", 5004), sender_ns)
            report = rtcp.SenderReport(
                SENDER_SSRC, rtcp.ntp_of_ns(sender_ns), (period * 480 + there_ns * 48 // MS), 0, 0
            )
            data, _ = sender.next_answer(report, sender_ns)
            node.receive_datagram(data, SENDER, now_ns + 2 * there_ns)
        node.render(out, now_ns + 15 * MS)
    source = node.status()["sources"][0]
    assert source["mapped"] is True
    assert source["offset_ns"] == pytest.approx(ahead_ns, abs=20_000)
    assert source["hard_resyncs"] == 0
    assert source["late_packets"] == 0


def test_an_ended_source_is_forgotten_and_costs_no_time():
    node = SpeakerNode(NodeConfig(name="cum-1"), decoder_factory=None)
    for number in range(3):
        node.receive_datagram(opus_packet(number), SENDER, S + number * 20 * MS)
    bye = rtcp.build([rtcp.ReceiverReport(SENDER_SSRC), rtcp.Goodbye((SENDER_SSRC,))])
    node.receive_datagram(bye, SENDER, S + 70 * MS)
    for _ in range(100):
        due_ns = node.next_deadline_ns()
        if due_ns is None:
            break
        node.handle_deadline(due_ns)
    assert due_ns is None, "forgotten, not spun on"


def test_the_senders_compound_carries_the_delay_to_a_node():
    group = GroupDelay(650 * MS)
    reports = SenderReports(SENDER_SSRC, group=group)
    sender = LiveSender(ssrc=SENDER_SSRC, payload_type=111, packet_samples=960)
    timebase = Timebase(400 * MS)
    node = new_reports(late_ratio=0.005)
    sender.next_packet(bytes(30), 0)
    group.receive_need(1, 300 * MS, 0)
    data = sender.compound(S, more=reports.announcements(S))
    node.receive(rtcp.parse(data), timebase, 48_000, S)
    timebase.receive_packet(48_000, S)
    assert timebase.position_q16(S + 650 * MS) == 48_000 << 16
