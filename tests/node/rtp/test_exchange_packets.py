"""What the exchange says is what `rtcp.build` makes of the same packets, to the byte."""

from hypothesis import given
from hypothesis import strategies as st

from node.rtp import rtcp
from node.rtp.delay_report import DelayNeed, need_packet, need_words
from node.rtp.exchange_packets import QuestionLayout, answer, parse
from node.rtp.loss_report import LossReport, loss_packet, loss_words

WORDS = st.integers(0, (1 << 32) - 1)
TIMES = st.integers(0, (1 << 64) - 1)
RATIOS = st.floats(0, 1)
NS = st.integers(-(1 << 40), 1 << 60)
NEEDS = st.builds(DelayNeed, NS, NS, st.none() | NS, st.floats(-1e9, 1e9))


@given(
    st.tuples(*[WORDS] * 7),
    st.binary(max_size=255),
    TIMES,
    st.none() | NEEDS,
    st.builds(LossReport, RATIOS, RATIOS, st.integers(0, 127), st.booleans()),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_a_question_is_the_compound_of_its_packets_and_read_as_any_compound_is(
    words, name, ntp, need, loss, at, byte
):
    ssrc, source_ssrc, lost, *more = words
    signed_lost = (lost & 0xFFFFFF) - ((lost & 0x800000) << 1)
    block = rtcp.ReportBlock(source_ssrc, lost >> 24, signed_lost, *more)
    description = rtcp.written(rtcp.SourceDescription(ssrc, name))
    expected = rtcp.build(
        [
            rtcp.ReceiverReport(ssrc, (block,)),
            description,
            rtcp.ExtendedReport(ssrc, ntp=ntp),
            *([] if need is None else [need_packet(ssrc, need)]),
            loss_packet(ssrc, loss),
        ]
    )
    layout = QuestionLayout(ssrc, description, redundancy_type=loss.payload_type, asks=loss.asks)
    told = None
    if need is not None:
        told = need_words(need.needed_ns, need.playing_ns, need.uncertainty_ns, need.skew_ppm)
    losses = loss_words(loss.made_up_ratio, loss.repaired_ratio)
    assert layout.question((source_ssrc, lost, *more), ntp, told, losses) == expected
    assert parse(expected) == rtcp.parse(expected)
    changed = bytearray(expected)
    changed[at % len(expected)] = byte
    assert parse(bytes(changed)) == rtcp.parse(bytes(changed))
    assert parse(expected[: at % len(expected)]) == rtcp.parse(expected[: at % len(expected)])


@given(
    st.builds(rtcp.SenderReport, WORDS, TIMES, st.integers(0, 1 << 60), NS, NS),
    st.builds(rtcp.ReplyTime, WORDS, WORDS, st.integers(0, 1 << 60)),
    st.none() | st.binary(max_size=10).map(lambda some: some * 4),
)
def test_an_answer_is_the_compound_of_its_packets(report, reply, payload):
    more = [] if payload is None else [rtcp.Application(report.ssrc, 0, b"LoaR", payload)]
    extended = rtcp.ExtendedReport(report.ssrc, replies=(reply,))
    written = b"".join(rtcp.written(one) for one in more)
    assert answer(report, reply, written) == rtcp.build([report, extended, *more])


@given(
    st.builds(rtcp.SenderReport, WORDS, TIMES, WORDS, WORDS, WORDS),
    st.builds(rtcp.ReplyTime, WORDS, WORDS, WORDS),
    st.lists(
        st.builds(
            rtcp.Application,
            WORDS,
            st.integers(0, 31),
            st.binary(min_size=4, max_size=4),
            st.binary(max_size=10).map(lambda some: some * 4),
        ),
        max_size=2,
    ),
    st.integers(0, 200),
    st.integers(0, 255),
)
def test_an_answer_is_read_as_any_compound_is_also_cut_and_with_any_byte_changed(
    report, reply, more, at, byte
):
    data = answer(report, reply, b"".join(rtcp.written(one) for one in more))
    assert parse(data) == rtcp.parse(data) == (*rtcp.parse(data[:52]), *more)
    changed = bytearray(data)
    changed[at % len(data)] = byte
    assert parse(bytes(changed)) == rtcp.parse(bytes(changed))
    assert parse(data[: at % len(data)]) == rtcp.parse(data[: at % len(data)])
