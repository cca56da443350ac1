"""Reports survive the way, and nothing that arrives can hurt."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.rtp import rtcp

word = st.integers(0, 2**32 - 1)
block = st.builds(
    rtcp.ReportBlock,
    ssrc=word,
    lost_per_256=st.integers(0, 255),
    packets_lost=st.integers(-(2**23), 2**23 - 1),
    extended_sequence=word,
    jitter_samples=word,
    last_sr=word,
    since_last_sr=word,
)
blocks = st.lists(block, max_size=3).map(tuple)
ntp = st.integers(0, 2**64 - 1)
sender_report = st.builds(rtcp.SenderReport, word, ntp, word, word, word, blocks)
receiver_report = st.builds(rtcp.ReceiverReport, word, blocks)
reply = st.builds(rtcp.ReplyTime, word, word, word)
sequences = st.lists(st.integers(0, 65535), min_size=1, max_size=40, unique=True).map(tuple)
nack = st.builds(rtcp.Nack, word, word, sequences)
other = st.one_of(
    sender_report,
    receiver_report,
    nack,
    st.builds(rtcp.SourceDescription, word, st.binary(max_size=40)),
    st.builds(rtcp.Goodbye, st.lists(word, max_size=4).map(tuple)),
    st.builds(
        rtcp.Application,
        word,
        st.integers(0, 31),
        st.binary(min_size=4, max_size=4),
        st.binary(max_size=5).map(lambda b: b * 4),
    ),
    st.builds(rtcp.ExtendedReport, word, st.none() | ntp, st.lists(reply, max_size=3).map(tuple)),
)
compounds = st.tuples(
    st.one_of(sender_report, receiver_report, nack), st.lists(other, max_size=3).map(tuple)
).map(lambda parts: (parts[0], *parts[1]))


@settings(deadline=None)
@given(compounds)
def test_what_one_side_reports_the_other_side_reads(packets):
    read = rtcp.parse(rtcp.build(packets))
    assert read is not None and len(read) == len(packets)
    for got, sent in zip(read, packets, strict=True):
        if isinstance(sent, rtcp.Nack):
            assert isinstance(got, rtcp.Nack)
            assert set(got.sequences) == set(sent.sequences)
        else:
            assert got == sent


@settings(deadline=None)
@given(compounds)
def test_a_report_cut_anywhere_is_refused_or_is_a_whole_shorter_one(packets):
    data = rtcp.build(packets)
    whole = {0}
    for count in range(1, len(packets) + 1):
        whole.add(len(rtcp.build(packets[:count])))
    for length in range(len(data)):
        read = rtcp.parse(data[:length])
        assert (read is not None) == (length in whole and length > 0)


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda b: b"\x81\xc8\x00\x06" + b))
@example(b"\x80\xcf\x00\x01\x00\x00\x00\x00")
@example(b"\x80\xc9\x00\x01\x00\x00\x00\x01\x80\xcf\x00\x02\x00\x00\x00\x01\x05\x00\xff\xff")
@example(b"\xa0\xc9\x00\x01\x00\x00\x00\x00")
@example(b"\x80\xc9\x00\x01\x00\x00\x00\x01\x81\xca\x00\x02\x00\x00\x00\x01\x01\xff\x00\x00")
def test_any_bytes_are_read_or_refused_and_nothing_raises(data):
    read = rtcp.parse(data)
    assert read is None or isinstance(read, tuple)


@settings(deadline=None, max_examples=200)
@given(compounds, st.data())
def test_one_flipped_byte_raises_nothing(packets, draw):
    data = bytearray(rtcp.build(packets))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    rtcp.parse(bytes(data))


def test_a_sender_report_is_laid_out_as_the_standard_draws_it():
    report = rtcp.SenderReport(0x01020304, 0x1122334455667788, 0xAABBCCDD, 7, 900)
    assert rtcp.build([report]) == bytes.fromhex(
        "80c80006 01020304 11223344 55667788 aabbccdd 00000007 00000384"
    )


def test_a_request_for_time_and_its_answer_are_laid_out_as_the_standard_draws_them():
    request = [rtcp.ReceiverReport(1), rtcp.ExtendedReport(1, ntp=0x1122334455667788)]
    assert rtcp.build(request)[8:] == bytes.fromhex("80cf0004 00000001 04000002 11223344 55667788")
    answer = [rtcp.ReceiverReport(1), rtcp.ExtendedReport(2, replies=(rtcp.ReplyTime(1, 5, 9),))]
    assert rtcp.build(answer)[8:] == bytes.fromhex(
        "80cf0005 00000002 05000003 00000001 00000005 00000009"
    )


def test_a_run_of_lost_packets_takes_one_entry_across_the_wrap():
    wanted = rtcp.Nack(1, 2, (65534, 65535, 0, 1))
    data = rtcp.build([wanted])
    assert data == bytes.fromhex("81cd0003 00000001 00000002") + struct.pack("!HH", 65534, 0b111)
    assert rtcp.parse(data) == (wanted,)


def test_padding_ends_only_the_last_packet():
    padded = bytes.fromhex("a0c90002 00000001 00000004")
    assert rtcp.parse(padded) == (rtcp.ReceiverReport(1),)
    assert rtcp.parse(padded + padded) is None


def test_unknown_packets_are_passed_over():
    unknown = bytes.fromhex("80ce0001 00000001")
    assert rtcp.parse(rtcp.build([rtcp.ReceiverReport(1)]) + unknown) == (rtcp.ReceiverReport(1),)
    assert rtcp.parse(unknown) is None


@settings(deadline=None)
@given(st.integers(0, 2**32 * 10**9 - 1))
def test_a_clock_survives_the_ntp_format_to_the_nanosecond(time_ns):
    assert rtcp.ns_of_ntp(rtcp.ntp_of_ns(time_ns)) == time_ns


def test_what_does_not_fit_is_said_where_it_is_made():
    many = tuple(range(32))
    with pytest.raises(ValueError, match="32 entries"):
        rtcp.build([rtcp.ReceiverReport(1), rtcp.Goodbye(many)])
    with pytest.raises(ValueError, match="at most 255"):
        rtcp.build([rtcp.ReceiverReport(1), rtcp.SourceDescription(1, bytes(256))])
    with pytest.raises(ValueError, match="must be 4, and a multiple of 4"):
        rtcp.build([rtcp.ReceiverReport(1), rtcp.Application(1, 0, b"LOA", b"")])
    with pytest.raises(ValueError, match="at most 1472"):
        rtcp.build([rtcp.ReceiverReport(1)] * 200)


@settings(deadline=None)
@given(st.integers(2**17, 2**62), st.integers(-(10**13), 10**13))
def test_a_reference_to_a_report_is_found_again_hours_later(time_ns, later_ns):
    middle = rtcp.middle_of_ntp(rtcp.ntp_of_ns(time_ns))
    assert abs(rtcp.ns_of_middle(middle, max(0, time_ns + later_ns)) - time_ns) <= 15_260
