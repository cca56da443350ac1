"""A forged address is sent no more than came from it, by a node and by a sender alike."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import NodeConfig
from node.events import SendDatagram
from node.rtp import rtcp
from node.rtp.delay_report import DelayNeed, need_packet
from node.rtp.rtcp_packet import ExtendedReport, Nack, ReceiverReport
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.group_delay import GroupDelay
from sim.sender.stream import LiveSender
from sim.sender.time_answers import SenderReports
from tests.node.peers.test_announced import told

ADDRESSES = [(f"192.0.2.{n}", 5004 + port) for n in range(1, 4) for port in (0, 1)]


_FORGED = st.one_of(
    st.tuples(st.just("report"), st.integers(7, 9), st.integers(0, 1)),
    st.tuples(st.just("junk"), st.integers(0, 255), st.integers(0, 60)),
)


def made(what: str, ssrc: int, size: int, now_ns: int) -> bytes:
    if what == "report":
        return told(ssrc, packets=size, at_ns=now_ns)
    return bytes([0x80, ssrc]) + bytes(size)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(_FORGED, st.integers(0, len(ADDRESSES) - 1), st.integers(1, 2000)), max_size=60
    )
)
def test_reports_in_a_forged_name_are_asked_back_with_no_more_than_came(forged):
    node = SpeakerNode(NodeConfig(name="a-pole-with-a-long-name"), decoder_factory=None)
    came: Counter[tuple[str, int]] = Counter()
    went: Counter[tuple[str, int]] = Counter()
    out, now_ns = np.zeros((480, 2), np.float32), NS_PER_S
    for (what, ssrc, size), who, wait_ms in forged:
        data = made(what, ssrc, size, now_ns)
        came[ADDRESSES[who]] += len(data)
        node.receive_datagram(data, ADDRESSES[who], now_ns)
        end_ns = now_ns + wait_ms * NS_PER_MS
        while now_ns < end_ns:
            now_ns += 10 * NS_PER_MS
            node.render(out, now_ns)
            node.handle_deadline(now_ns)
            while (event := node.next_event()) is not None:
                if isinstance(event, SendDatagram):
                    went[event.destination] += len(event.data)
    assert all(went[address] <= came[address] for address in went)


@pytest.mark.parametrize("what", ["time", "time cut short", "nack", "need"])
def test_a_sender_answers_a_stranger_with_no_more_than_was_asked(what):
    sender = LiveSender(ssrc=7, payload_type=96, packet_samples=960)
    sender.begin(0, 0)
    reports = SenderReports(7, group=GroupDelay(400 * NS_PER_MS))
    asks = {
        "time": ExtendedReport(3, ntp=rtcp.ntp_of_ns(5)),
        "time cut short": ExtendedReport(3, ntp=rtcp.ntp_of_ns(5)),
        "nack": Nack(3, 7, (1, 2, 3)),
        "need": need_packet(3, DelayNeed(2 * NS_PER_S, 0, None, 0.0)),
    }
    head = [] if what == "time cut short" else [ReceiverReport(3), *[told_again()] * 3]
    question = rtcp.build([*head, asks[what]] if head else [ReceiverReport(3), asks[what]])
    came = went = 0
    for n in range(500):
        now_ns = n * NS_PER_MS
        came += len(question)
        reports.receive_datagram(question, ("192.0.2.66", n), now_ns, is_node=False)
        while (answer := reports.next_answer(sender.report(now_ns), now_ns)) is not None:
            went += len(answer[0])
    assert went <= came


def told_again() -> ExtendedReport:
    return ExtendedReport(3)


def test_strangers_do_not_move_the_delay_of_a_group_nor_does_one_node_with_many_numbers():
    group = GroupDelay(400 * NS_PER_MS)
    reports = SenderReports(7, group=group)
    nodes = [(f"10.0.0.{n}", 5004) for n in range(60)]
    for second in range(200):
        now_ns = second * NS_PER_S
        for number, node in enumerate(nodes):
            need = need_packet(number, DelayNeed(300 * NS_PER_MS, 0, None, 0.0))
            reports.receive_datagram(rtcp.build([ReceiverReport(number), need]), node, now_ns)
        for ssrc in range(1000, 1100):
            lie = rtcp.build(
                [ReceiverReport(ssrc), need_packet(ssrc, DelayNeed(2 * NS_PER_S, 0, None, 0.0))]
            )
            reports.receive_datagram(lie, ("10.6.6.6", ssrc), now_ns, is_node=False)
            reports.receive_datagram(lie, ("10.6.6.7", 5004), now_ns)
        reports.announcements(now_ns)
    assert group.current.delay_ns <= 400 * NS_PER_MS
