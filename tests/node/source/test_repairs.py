"""A node asks its sender for what is lost, and plays the answer and the copies in its place."""

import heapq

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig, ReceiveConfig
from node.counters import Count, Origin
from node.events import SendDatagram
from node.rtp import packet, rtcp
from node.rtp.redundancy import Copy
from node.rtp.redundancy import build as with_copies
from node.rtp.retransmission import announcement
from node.rtp.rtcp_packet import ExtendedReport, Nack, ReplyTime, SenderReport
from node.stack import SpeakerNode
from node.units import ns_to_samples
from sim.sender.repair.retransmitter import Retransmitter

MS = 1_000_000
S = 1000 * MS
SENDER = ("10.0.0.1", 5004)
PAYLOAD = bytes([0x08]) + bytes(40)  # SILK, narrow band, 20 ms
ONE_WAY = 40 * MS
PERIOD = 480


def new_node(*, asks):
    return SpeakerNode(
        NodeConfig(
            name="n",
            jitter=JitterConfig(playout_delay_ms=400),
            receive=ReceiveConfig(asks_for_lost=asks),
        ),
        decoder_factory=None,
    )


def clock_answer(asked, now_ns, *, announces):
    reply = ReplyTime(asked.ssrc, rtcp.middle_of_ntp(asked.ntp), 0)
    media = ns_to_samples(now_ns - S) & 0xFFFF_FFFF
    report = SenderReport(7, rtcp.ntp_of_ns(now_ns), media, 0, 0)
    more = [announcement(7, 122)] if announces else []
    return rtcp.build([report, ExtendedReport(7, None, (reply,)), *more])


def run(node, lost, *, packets=1000, make=None, others=(), answers=True, announces=True):
    """Send packets 20 ms apart, all but `lost`; answer questions; play. Return what was asked.

    Those in `others` are of another payload type.
    """
    resender = Retransmitter(ssrc=99, payload_type=122)
    events = []
    asked = []

    def at(when_ns, what, data=b""):
        heapq.heappush(events, (when_ns, len(events), what, data))

    for i in range(packets):
        payload, kind = (PAYLOAD, 96) if make is None else (make(i), 121)
        kind = 127 if i in others else kind
        at(S + i * 20 * MS, "send", packet.build(
            payload, sequence=i, timestamp=960 * i, ssrc=7, payload_type=kind, marker=False
        ))  # fmt: skip
    for k in range((packets * 20 + 1000) // 10):
        at(S + k * 10 * MS, "period")
    out = np.zeros((PERIOD, 1), np.float32)
    while events:
        now, _, what, data = heapq.heappop(events)
        if what == "send":
            resender.remember(data)
            resender.budget.earn(len(data), now)
            if int.from_bytes(data[2:4], "big") not in lost:
                at(now + ONE_WAY, "arrive", data)
        elif what == "arrive":
            node.receive_datagram(data, SENDER, now)
        elif what == "asked":
            for one in rtcp.parse(data) or ():
                if isinstance(one, ExtendedReport):
                    at(now + ONE_WAY, "arrive", clock_answer(one, now, announces=announces))
                elif isinstance(one, Nack):
                    asked += one.sequences
                    for answer in resender.receive_nack(one.sequences, now) if answers else ():
                        at(now + ONE_WAY, "arrive", answer)
        else:
            deadline = node.next_deadline_ns()
            if deadline is not None and deadline <= now:
                node.handle_deadline(now)
            while (event := node.next_event()) is not None:
                if isinstance(event, SendDatagram):
                    at(now + ONE_WAY, "asked", event.data)
            node.render(out, now)
    return asked


LOST = {n for k in range(200, 990, 37) for n in (k, k + 1)}


def test_what_is_lost_is_asked_for_and_played_in_time():
    node = new_node(asks=True)
    asked = run(node, LOST)
    origins = node.origin_samples()
    assert set(asked) >= LOST
    assert origins[Origin.RETRANSMITTED] == len(LOST) * 960
    assert origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum() == 0
    assert node.counts[Count.PACKETS_LOST] == len(LOST)


def test_nobody_asks_for_a_number_under_which_a_packet_of_another_type_came():
    node = new_node(asks=True)
    others = set(range(2, 1000, 3))
    lost = LOST - others
    asked = run(node, lost, others=others)
    assert not set(asked) & others
    assert set(asked) >= lost
    assert node.counts[Count.PACKETS_LOST] == len(lost)


def test_a_node_that_may_not_ask_stays_quiet_and_conceals():
    node = new_node(asks=False)
    assert run(node, LOST) == []
    assert node.origin_samples()[Origin.CONCEALED] == len(LOST) * 960


def test_a_sender_that_announces_no_answers_is_not_asked():
    node = new_node(asks=True)
    assert run(node, LOST, announces=False) == []


def test_asking_is_the_default():
    assert ReceiveConfig().asks_for_lost


def test_a_sender_that_does_not_answer_costs_a_few_questions_and_nothing_else():
    node = new_node(asks=True)
    asked = run(node, LOST, answers=False)
    assert len(asked) <= 4 * len(LOST) + 64
    assert node.origin_samples()[Origin.CONCEALED] == len(LOST) * 960


@pytest.mark.parametrize("back", [2, 4])
def test_a_redundant_copy_plays_in_the_place_of_its_lost_packet(back):
    def make(i):
        copies = [Copy(96, back * 960, PAYLOAD)] if i >= back else []
        return with_copies(96, PAYLOAD, copies)

    node = new_node(asks=False)
    run(node, LOST, make=make)
    origins = node.origin_samples()
    assert origins[Origin.REDUNDANT] == len(LOST) * 960
    assert origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum() == 0


def test_a_forged_answer_from_elsewhere_is_counted_and_not_played():
    node = new_node(asks=True)
    run(node, set(), packets=100)
    before = node.counts[Count.DROPPED_PAYLOAD_TYPE]
    forged = packet.build(
        b"\0\0" + PAYLOAD, sequence=1, timestamp=0, ssrc=5, payload_type=122, marker=False
    )
    node.receive_datagram(forged, ("10.9.9.9", 1), 5 * S)
    assert node.counts[Count.DROPPED_PAYLOAD_TYPE] == before + 1
