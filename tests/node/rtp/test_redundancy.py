"""RFC 2198 copies and RFC 4588 retransmissions: what goes in comes out, and nothing breaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.rtp import redundancy as rd
from node.rtp.packet import build as build_packet
from sim.sender.repair.retransmitter import Retransmitter

copies = st.lists(
    st.builds(
        rd.Copy,
        st.integers(0, 127),
        st.integers(0, rd.OFFSET_SAMPLES_MAX),
        st.binary(max_size=60),
    ),
    max_size=rd.BLOCKS_MAX - 1,
)


def parse(data, offset=0, length=None):
    blocks = np.zeros((rd.BLOCKS_MAX, rd.BLOCK_FIELDS), np.int64)
    raw = np.frombuffer(data, np.uint8).copy()
    count = rd.parse(raw, offset, len(data) - offset if length is None else length, blocks)
    return count, blocks


@given(st.integers(0, 127), st.binary(max_size=200), copies, st.binary(max_size=20))
def test_every_copy_comes_out_as_it_went_in(payload_type, payload, sent, before):
    data = before + rd.build(payload_type, payload, sent)
    count, blocks = parse(data, len(before))
    assert count == len(sent) + 1
    got = [
        (
            int(b[rd.PAYLOAD_TYPE]),
            int(b[rd.OFFSET_SAMPLES]),
            data[b[rd.BEGIN] : b[rd.BEGIN] + b[rd.BYTES]],
        )
        for b in blocks[:count]
    ]
    wanted = [(c.payload_type, c.offset_samples, c.payload) for c in sent]
    assert got == [*wanted, (payload_type, 0, payload)]


@given(st.binary(max_size=300), st.integers(-5, 400), st.integers(-5, 400))
def test_any_bytes_are_taken_apart_within_their_bounds_or_refused(data, offset, length):
    count, blocks = parse(data, offset, length)
    assert count == rd.MALFORMED or 1 <= count <= rd.BLOCKS_MAX
    for block in blocks[: max(count, 0)]:
        assert offset <= block[rd.BEGIN] <= block[rd.BEGIN] + block[rd.BYTES] <= offset + length


@given(st.integers(0, 127), st.binary(min_size=1, max_size=50), copies)
def test_a_packet_cut_short_never_reads_beyond_its_end(payload_type, payload, sent):
    data = rd.build(payload_type, payload, sent)
    for length in range(len(data)):
        count, blocks = parse(data[:length])
        for block in blocks[: max(count, 0)]:
            assert block[rd.BEGIN] + block[rd.BYTES] <= length


def test_what_the_header_cannot_say_is_refused():
    with pytest.raises(ValueError, match="offset_samples is 20000"):
        rd.build(96, b"x", [rd.Copy(96, 20_000, b"")])
    with pytest.raises(ValueError, match="2000 bytes"):
        rd.build(96, b"x", [rd.Copy(96, 0, bytes(2000))])


def sent_packet(n):
    return build_packet(
        bytes([n] * 60), sequence=n, timestamp=n * 960, ssrc=7, payload_type=96, marker=False
    )


def sender(count=10):
    one = Retransmitter(ssrc=99, payload_type=122)
    for n in range(count):
        one.remember(sent_packet(n))
        one.budget.earn(len(sent_packet(n)), n * 20_000_000)
    return one


def test_an_answer_carries_the_original_number_time_and_payload():
    (answer,) = sender().receive_nack([4], 0)
    original = sent_packet(4)
    assert answer[1] & 0x7F == 122
    assert answer[4:8] == original[4:8]
    assert answer[8:12] == (99).to_bytes(4, "big")
    assert answer[12:14] == original[2:4]
    assert answer[14:] == original[12:]


def test_the_same_packet_is_not_sent_again_at_once_nor_for_ever():
    one = sender()
    assert len(one.receive_nack([4, 4, 4], 0)) == 1
    answers = sum(len(one.receive_nack([4], k * 50_000_000)) for k in range(1, 100))
    assert answers == 3
    assert one.counts.refused_repeat == 2 + 99 - 3


def test_whoever_asks_for_everything_gets_no_more_than_a_share_of_the_stream():
    one = sender(0)
    stream = answered = 0
    for n in range(5000):
        datagram = sent_packet(n % 256)
        datagram = datagram[:2] + n.to_bytes(2, "big") + datagram[4:]
        one.remember(datagram)
        one.budget.earn(len(datagram), n * 20_000_000)
        stream += len(datagram)
        answered += sum(map(len, one.receive_nack(range(max(0, n - 100), n + 1), n * 20_000_000)))
    assert answered <= 0.15 * stream + 6000
    assert one.counts.refused_budget > 0


def test_what_was_never_sent_is_refused_and_counted():
    one = sender()
    assert one.receive_nack([4000], 0) == []
    assert one.counts.refused_unknown == 1
