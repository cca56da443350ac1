"""When a stream carries copies, how far behind, and what they may cost, whoever reports what."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rtp import packet, rtcp
from node.rtp import redundancy as rd
from node.rtp.delay_report import NEED_NAME
from node.rtp.loss_report import LossReport, loss_of, loss_packet
from node.rtp.retransmission import is_announced
from node.units import samples_to_ns
from sim.sender.repair.copy_choice import LinkState, RedundancyChoice
from sim.sender.repair.repair_budget import SAVED_BYTES_MAX, UDP_BYTES, RepairBudget
from sim.sender.repair.repaired_stream import RepairedStream

MS = 1_000_000
S = 1000 * MS
PACKET = 20 * MS
OFFSET_MAX = samples_to_ns(rd.OFFSET_SAMPLES_MAX)

CLEAN = LinkState(
    lost_ratio=0.0,
    made_up_ratio=0.0,
    round_trip_ns=100 * MS,
    jitter_ns=5 * MS,
    playout_delay_ns=400 * MS,
    may_ask=False,
)
LOSSY = replace(CLEAN, lost_ratio=0.05, made_up_ratio=0.05)

states = st.builds(
    LinkState,
    lost_ratio=st.floats(0, 1),
    made_up_ratio=st.floats(0, 1),
    round_trip_ns=st.none() | st.integers(0, 10 * S),
    jitter_ns=st.integers(0, 10 * S),
    playout_delay_ns=st.integers(0, 5 * S),
    may_ask=st.booleans(),
)


def told(choice, state, seconds, *, start=0, nodes=(1,)):
    """Let each node report the same once a second; return the distances after each."""
    seen = []
    for second in range(start, start + seconds):
        for ssrc in nodes:
            choice.receive_report(ssrc, state, second * S)
        choice.handle_deadline(second * S)
        seen.append(choice.distance_packets)
    return seen


def new_choice():
    return RedundancyChoice(PACKET, offset_max_ns=OFFSET_MAX)


def test_copies_come_within_seconds_of_a_loss_and_go_when_it_has_ended():
    choice = new_choice()
    assert set(told(choice, CLEAN, 60)) == {0}
    on = told(choice, LOSSY, 20, start=60)
    assert on[5] > 0
    off = told(choice, CLEAN, 40, start=80)
    assert off[5] > 0  # not at the first good second
    assert off[-1] == 0
    assert choice.changes == 2


def test_the_distance_is_as_far_as_still_comes_in_time():
    for delay_ms, farthest in ((400, 15), (200, 5), (2000, 17)):
        choice = new_choice()
        state = replace(LOSSY, playout_delay_ns=delay_ms * MS)
        distance = told(choice, state, 10)[-1]
        assert distance == farthest
        assert distance * PACKET + 4 * state.jitter_ns + 60 * MS <= delay_ms * MS


def test_with_no_time_for_a_copy_there_is_none():
    assert set(told(new_choice(), replace(LOSSY, playout_delay_ns=100 * MS), 30)) == {0}


def test_who_can_ask_in_time_and_is_answered_needs_no_copies():
    state = replace(LOSSY, made_up_ratio=0.001, may_ask=True)
    assert set(told(new_choice(), state, 30)) == {0}
    # ... but it does when repairs are lost themselves, or take too long.
    assert told(new_choice(), replace(state, made_up_ratio=0.02), 30)[-1] > 0
    assert told(new_choice(), replace(state, round_trip_ns=300 * MS), 30)[-1] > 0


def test_what_is_made_up_for_a_stall_and_not_for_a_loss_makes_no_copies():
    state = replace(CLEAN, made_up_ratio=0.2, may_ask=True)
    assert set(told(new_choice(), state, 30)) == {0}


def test_one_bad_link_of_a_hundred_makes_no_copies_for_all():
    choice = new_choice()
    for second in range(30):
        for ssrc in range(100):
            state = LOSSY if ssrc == 0 else CLEAN
            choice.receive_report(ssrc, state, second * S)
        choice.handle_deadline(second * S)
    assert choice.distance_packets == 0


def test_a_node_that_has_gone_is_forgotten():
    choice = new_choice()
    told(choice, LOSSY, 10)
    choice.handle_deadline(30 * S)
    assert choice.distance_packets == 0


@given(st.lists(st.tuples(st.integers(0, 5), states, st.integers(0, 3 * S)), max_size=60))
def test_whatever_is_reported_the_distance_is_one_that_the_header_can_say(reports):
    choice = new_choice()
    now = 0
    for ssrc, state, passed in reports:
        now += passed
        choice.receive_report(ssrc, state, now)
        choice.handle_deadline(now)
        assert 0 <= choice.distance_packets * 960 <= rd.OFFSET_SAMPLES_MAX
        assert choice.next_deadline_ns(now) > now


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 127), st.booleans())
def test_what_a_node_says_of_losses_comes_over(made_up, repaired, payload_type, asks):
    report = loss_of(loss_packet(7, LossReport(made_up, repaired, payload_type, asks)))
    assert report.made_up_ratio == pytest.approx(made_up, abs=2e-5)
    assert report.repaired_ratio == pytest.approx(repaired, abs=2e-5)
    assert (report.payload_type, report.asks) == (payload_type, asks)


def compound(ssrc, *, lost=255, made_up=1.0, delay_us=400_000, payload_type=121, jitter=0):
    block = rtcp.ReportBlock(7, lost, 0, 0, jitter, 0, 0)
    need = np.array([delay_us, delay_us, 0, 0], ">u4").tobytes()
    return (
        rtcp.ReceiverReport(ssrc, (block,)),
        rtcp.Application(ssrc, 0, NEED_NAME, need),
        loss_packet(ssrc, LossReport(made_up, 0.0, payload_type, False)),
    )


def datagram(n, size=60):
    return packet.build(
        bytes([n % 251] * size), sequence=n, timestamp=n * 960, ssrc=7, payload_type=111,
        marker=False,
    )  # fmt: skip


def new_stream(budget=None, *, sends_again=False):
    return RepairedStream(7, 960, sends_again=sends_again, sends_copies=True, budget=budget)


def blocks_of(sent):
    blocks = np.zeros((rd.BLOCKS_MAX, rd.BLOCK_FIELDS), np.int64)
    raw = np.frombuffer(sent, np.uint8).copy()
    return blocks[: rd.parse(raw, 12, len(sent) - 12, blocks)]


def test_a_copy_is_the_low_rate_payload_of_the_packet_so_far_behind():
    stream = new_stream()
    carried = 0
    for n in range(600):
        now = n * PACKET
        if n % 50 == 0:
            stream.receive_reports(compound(1), now)
            stream.handle_deadline(now)
        sent = stream.next_datagram(datagram(n), bytes([n % 251] * 16), now)
        if sent[1] & 0x7F == 121:
            copy, own = blocks_of(sent)
            behind = int(copy[rd.OFFSET_SAMPLES]) // 960
            assert behind == stream.choice.distance_packets > 0
            begin = int(copy[rd.BEGIN])
            assert sent[begin : begin + int(copy[rd.BYTES])] == bytes([(n - behind) % 251] * 16)
            assert sent[int(own[rd.BEGIN]) :] == datagram(n)[12:]
            assert sent[2:12] == datagram(n)[2:12]
            carried += 1
        else:
            assert sent == datagram(n)
    assert carried > 200


def test_what_is_not_heard_is_not_copied():
    stream = new_stream()
    for n in range(600):
        if n % 50 == 0:
            stream.receive_reports(compound(1), n * PACKET)
            stream.handle_deadline(n * PACKET)
        assert stream.next_datagram(datagram(n), b"", n * PACKET) == datagram(n)
    assert stream.choice.distance_packets > 0


def test_a_rich_budget_copies_the_packets_themselves():
    stream = new_stream(RepairBudget(rate_bit_s=500_000))
    for n in range(600):
        if n % 50 == 0:
            stream.receive_reports(compound(1), n * PACKET)
            stream.handle_deadline(n * PACKET)
        stream.next_datagram(datagram(n), bytes(16), n * PACKET)
    assert stream.copies.full_copies == stream.copies.copies > 300


def test_who_takes_no_copies_or_other_ones_gets_none():
    for packets in (compound(1)[:2], compound(1, payload_type=96), ()):
        stream = new_stream()
        for second in range(30):
            stream.receive_reports(packets, second * S)
            stream.handle_deadline(second * S)
        assert stream.choice.distance_packets == 0


@given(
    st.data(),
    st.sampled_from([None, 20_000, 40_000, 44_000, 60_000]),
    st.integers(0, 2**32 - 1),
)
def test_no_report_and_no_request_makes_a_stream_dearer_than_its_budget(data, rate, seed):
    rng = np.random.default_rng(seed)
    stream = new_stream(RepairBudget(rate_bit_s=rate), sends_again=True)
    assert is_announced((stream.announcement,), 7, 122)
    own = sent = 0
    packets = 1500
    for n in range(packets):
        now = n * PACKET
        if rng.random() < 0.2:  # forged, of any node, absurd
            forged = compound(
                int(rng.integers(2**32)),
                lost=int(rng.integers(256)),
                made_up=float(rng.random()),
                delay_us=int(rng.integers(2**32)),
                jitter=int(rng.integers(2**32)),
            )
            stream.receive_reports(forged, now)
            stream.handle_deadline(now)
        size = int(rng.integers(20, 100))
        sent += len(stream.next_datagram(datagram(n, size), bytes(16), now)) + UDP_BYTES
        own += len(datagram(n, size)) + UDP_BYTES
        if rng.random() < 0.3:
            wanted = range(max(0, n - 120), n)
            sent += sum(len(one) + UDP_BYTES for one in stream.receive_nack(wanted, now))
    if rate is None:
        assert sent <= 1.15 * own + SAVED_BYTES_MAX
    else:
        paid = rate / 8 * packets * PACKET / S
        assert sent <= max(own, paid) + 2 * SAVED_BYTES_MAX
