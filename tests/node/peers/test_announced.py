"""A sender that tells of itself before it sounds is known when it does; nobody is pestered."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.clock.first_seconds import start
from node.config import NodeConfig
from node.events import SendDatagram
from node.peers.announced import FORGET_MAX_NS
from node.rtp import packet, rtcp
from node.rtp.rtcp_packet import Goodbye, SenderReport, SourceDescription
from node.stack import SpeakerNode
from sim.sender.report_times import REST_REPORT_NS, ReportTimes
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports

MS = 1_000_000
S = 1000 * MS
SENDER = ("192.0.2.1", 5004)
ELSEWHERE = ("192.0.2.66", 5004)
PAYLOAD = b"\x78" + bytes(40)


def told(ssrc: int = 7, *, packets: int = 0, at_ns: int = S) -> bytes:
    """What a sender says of itself."""
    report = SenderReport(ssrc, rtcp.ntp_of_ns(at_ns), 1000, packets, 0)
    return rtcp.build([report, SourceDescription(ssrc, b"loalang-send")])


def new_node() -> SpeakerNode:
    return SpeakerNode(NodeConfig(name="pole-1"), decoder_factory=None)


def questions(node: SpeakerNode, from_ns: int, to_ns: int) -> list[tuple[int, SendDatagram]]:
    """What the node sends while nothing comes, each at its own deadline."""
    sent = []
    now_ns = from_ns
    while (due_ns := node.next_deadline_ns()) is not None and due_ns <= to_ns:
        now_ns = max(now_ns, due_ns)
        node.handle_deadline(now_ns)
        while (event := node.next_event()) is not None:
            if isinstance(
                event, SendDatagram
            ):  # what it says of what it cannot play is no question
                sent.append((now_ns, event))
        now_ns += 1
    return sent


def talk(node: SpeakerNode, sender: LiveSender, from_ns: int, to_ns: int) -> int:
    """Let node and sender speak by RTCP over a way of 5 ms; return how often the node asked."""
    answers = SenderReports(sender.ssrc)
    asked = 0
    for now_ns in range(from_ns, to_ns, MS):
        if now_ns % (100 * MS) == 0:
            node.receive_datagram(sender.compound(now_ns), SENDER, now_ns)
        for at_ns, question in questions(node, now_ns, now_ns):
            asked += 1
            answers.receive_datagram(question.data, ("192.0.2.9", 5004), at_ns + 5 * MS)
            there_ns = at_ns + 5 * MS
            answer = answers.next_answer(sender.report(there_ns), there_ns)
            if answer is not None:
                node.receive_datagram(answer[0], SENDER, at_ns + 10 * MS)
    return asked


def begun_sender(at_ns: int = S, *, ssrc: int = 7) -> LiveSender:
    sender = LiveSender(ssrc=ssrc, payload_type=96, packet_samples=960)
    sender.begin(at_ns, 0)
    return sender


def test_behind_jitter_two_nodes_are_in_step_from_the_first_click_on_where_they_were_told():
    told_ms, met_ms = (
        np.array([abs(start(seed, lead_s=lead_s, seconds=3).ms[0]) for seed in range(1, 9)])
        for lead_s in (5.0, 0.0)
    )
    assert told_ms.max() <= 1.0
    assert met_ms.max() > 1.5, "without telling this would be no test"


def test_the_first_sound_is_placed_by_the_clock_that_was_learned():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 3 * S)
    (known,) = node.status()["announced"]
    assert known["ssrc"] == 7 and abs(known["offset_ns"]) < MS

    for _ in range(2):  # both came late, by as much as arrivals alone cannot tell
        sender.due_ns(3 * S)
        data = sender.next_packet(PAYLOAD, 3 * S)
        node.receive_datagram(sender.compound(3 * S), SENDER, 3 * S + 150 * MS)
        node.receive_datagram(data, SENDER, 3 * S + 150 * MS)
    (source,) = node.status()["sources"]
    assert source["mapped"] and node.status()["announced"] == []


def test_a_forged_report_gets_no_more_questions_than_it_has_bytes_to_pay_for():
    node = new_node()
    for second in range(5):
        node.receive_datagram(told(), ELSEWHERE, second * S)
        assert len(questions(node, second * S, (second + 1) * S - 1)) <= 1
    assert questions(node, 5 * S, 100 * S) == [], "and is forgotten"
    assert node.status()["announced"] == []


def test_no_other_host_speaks_for_a_sender_that_was_announced():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 2 * S)
    before = node.status()["announced"]
    node.receive_datagram(told(at_ns=500 * S), ELSEWHERE, 2 * S)
    node.receive_datagram(rtcp.build([sender.report(2 * S), Goodbye((7,))]), ELSEWHERE, 2 * S)
    assert node.status()["announced"] == before
    assert {one.destination for _, one in questions(node, 2 * S, 3 * S)} == {SENDER}


def test_a_crowd_of_forged_senders_does_not_take_the_place_of_one_that_answers():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 2 * S)
    for ssrc in range(100, 400):
        node.receive_datagram(told(ssrc), ELSEWHERE, 2 * S)
    known = [one["ssrc"] for one in node.status()["announced"]]
    assert 7 in known and len(known) <= NodeConfig(name="pole-1").receive.sources_max


def test_a_sender_that_says_goodbye_is_asked_no_more():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 2 * S)
    node.receive_datagram(rtcp.build([sender.report(2 * S), Goodbye((7,))]), SENDER, 2 * S)
    assert node.status()["announced"] == []
    assert questions(node, 2 * S, 20 * S) == []


def test_a_sender_that_waits_for_hours_costs_little_and_stays_known():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 2 * 60 * S)
    assert talk(node, sender, 120 * S, 240 * S) <= 13
    (known,) = node.status()["announced"]
    assert abs(known["offset_ns"]) < MS


def test_in_a_long_pause_the_clock_is_not_forgotten_while_the_sender_reports():
    node, sender = new_node(), begun_sender()
    for _ in range(3):
        sender.due_ns(S)
        node.receive_datagram(sender.next_packet(PAYLOAD, S), SENDER, S + 5 * MS)
    out = np.zeros((480, 1), np.float32)
    talk(node, sender, 2 * S, 20 * S)
    node.render(out, 20 * S)
    talk(node, sender, 20 * S, 40 * S)
    assert node.status()["sources"] == []
    (known,) = node.status()["announced"]
    assert known["ssrc"] == 7 and known["offset_ns"] is not None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["report", "media", "goodbye", "wait"]),
            st.integers(1, 6),
            st.booleans(),
            st.integers(0, 12_000),
        ),
        max_size=60,
    )
)
def test_whatever_is_announced_nothing_raises_and_places_are_bounded(steps):
    node = new_node()
    now_ns = S
    sequence = dict.fromkeys(range(8), 0)
    for what, ssrc, elsewhere, wait_ms in steps:
        source = ELSEWHERE if elsewhere else SENDER
        if what == "report":
            node.receive_datagram(told(ssrc, packets=wait_ms % 2, at_ns=now_ns), source, now_ns)
        elif what == "goodbye":
            node.receive_datagram(
                rtcp.build([SenderReport(ssrc, 1, 2, 3, 4), Goodbye((ssrc,))]), source, now_ns
            )
        elif what == "media":
            sequence[ssrc] += 1
            data = packet.build(
                PAYLOAD, sequence=sequence[ssrc], timestamp=960 * sequence[ssrc],
                ssrc=ssrc, payload_type=96, marker=False,
            )  # fmt: skip
            node.receive_datagram(data, source, now_ns)
        else:
            questions(node, now_ns, now_ns + wait_ms * MS)
            now_ns += wait_ms * MS
        status = node.status()
        heard = {one["ssrc"] for one in status["sources"]}
        known = {one["ssrc"] for one in status["announced"]}
        assert len(known) <= 4 and not heard & known


@pytest.mark.parametrize("lead_s", [1, 30])
def test_the_media_clock_runs_on_from_the_lead_into_the_sound(lead_s):
    sender = LiveSender(ssrc=7, payload_type=96, packet_samples=960, timestamp=0xFFFF_FFF0)
    sender.begin(S, lead_s * S)
    ahead = sender.report(S + 500 * MS)
    due_ns = sender.due_ns(S)
    assert due_ns == S + lead_s * S
    data = sender.next_packet(PAYLOAD, due_ns)
    stamp = int.from_bytes(data[4:8], "big")
    assert (stamp - ahead.rtp_timestamp) & 0xFFFFFFFF == (lead_s * 1000 - 500) * 48
    assert sender.media_samples == 960


def test_live_sound_that_comes_late_is_stamped_by_the_clock_that_was_told():
    sender = LiveSender(ssrc=7, payload_type=96, packet_samples=960, live=True)
    sender.begin(S, 0)
    begins_ns = 71 * S  # and its pace has to show before it is believed to be live
    came_ns = next(t for t in range(begins_ns, begins_ns + S, 20 * MS) if sender.takes(t))
    data = sender.next_packet(PAYLOAD, came_ns)
    assert int.from_bytes(data[4:8], "big") == (came_ns - S) * 48 // MS
    assert sender.jumps == 0 and sender.media_samples == 960


def rest(node: SpeakerNode, sender: LiveSender, from_ns: int, to_ns: int) -> list[int]:
    """Let a sender rest; return when the node asked, in s, and see that it always knows it."""
    answers, times = SenderReports(sender.ssrc), ReportTimes()
    times.add(SENDER, from_ns)
    asked_s = []
    for now_ns in range(from_ns, to_ns, 100 * MS):
        if now_ns % S == 0 and times.is_due(SENDER, now_ns):
            node.receive_datagram(sender.compound(now_ns), SENDER, now_ns)
        for at_ns, question in questions(node, now_ns, now_ns + 99 * MS):
            asked_s.append(at_ns // S)
            answers.receive_datagram(question.data, ("192.0.2.9", 5004), at_ns + 5 * MS)
            answer = answers.next_answer(sender.report(at_ns + 5 * MS), at_ns + 5 * MS)
            if answer is not None:
                node.receive_datagram(answer[0], SENDER, at_ns + 10 * MS)
        assert [one["ssrc"] for one in node.status()["announced"]] == [7]
    return asked_s


def test_a_sender_that_rests_stays_known_for_some_questions_an_hour():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 3 * S)
    asked_s = rest(node, sender, 3 * S, 1800 * S)
    assert sum(at_s >= 600 for at_s in asked_s) <= 15
    (one,) = node.status()["announced"]
    assert abs(one["offset_ns"]) < MS


def test_a_sender_that_rested_and_is_gone_is_forgotten():
    node, sender = new_node(), begun_sender()
    talk(node, sender, S, 3 * S)
    rest(node, sender, 3 * S, 600 * S)
    questions(node, 600 * S, 600 * S + FORGET_MAX_NS + 10 * S)
    assert node.status()["announced"] == []


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_no_step_between_reports_is_more_than_twice_the_one_before(pauses_s):
    times, at_s, last_s, steps = ReportTimes(), 0, 0, []
    times.add(SENDER, 0)
    for pause_s in pauses_s:
        times.note_sound(at_s * S)
        for _ in range(1 + pause_s):
            at_s += 1
            if times.is_due(SENDER, at_s * S):
                steps.append(at_s - last_s)
                last_s = at_s
            assert times.is_due(ELSEWHERE, at_s * S), "who did not join is told each second"
    assert all(after <= 2 * before for before, after in itertools.pairwise(steps))
    assert max(steps) * S <= REST_REPORT_NS
