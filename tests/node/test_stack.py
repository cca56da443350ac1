import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.config import JitterConfig, NodeConfig
from node.control.precedence import PriorityConfig
from node.counters import Count, Origin
from node.opus.libopus import LibopusDecoder
from node.rtp import packet, rtcp
from node.stack import SpeakerNode

MS = 1_000_000
S = 1000 * MS
PERIOD = 480
SENDER = ("10.0.0.1", 5004)
START = 3 * S


def new_node(*, delay_ms: int = 100, decode: bool = True) -> SpeakerNode:
    config = NodeConfig(name="node", jitter=JitterConfig(playout_delay_ms=delay_ms))
    return SpeakerNode(config, decoder_factory=LibopusDecoder if decode else None)


def datagram(
    i: int, payload: bytes, *, ssrc: int = 7, sequence: int = 0, timestamp: int = 0
) -> bytes:
    return packet.build(
        payload,
        sequence=sequence + i,
        timestamp=timestamp + 960 * i,
        ssrc=ssrc,
        payload_type=96,
        marker=i == 0,
    )


def play(
    node: SpeakerNode,
    arrivals: list[tuple[int, bytes]],
    duration_ns: int,
    *,
    source: tuple[str, int] = SENDER,
) -> np.ndarray:
    """Deliver (time, datagram) in order while the card asks for 10 ms periods; return the sound."""
    out = np.full((duration_ns // (10 * MS) * PERIOD, 1), 9, np.float32)
    waiting = sorted(arrivals, key=lambda one: one[0])
    at = 0
    for k in range(out.shape[0] // PERIOD):
        now_ns = START + k * 10 * MS
        while at < len(waiting) and waiting[at][0] <= now_ns:
            node.receive_datagram(waiting[at][1], source, waiting[at][0])
            at += 1
        deadline_ns = node.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            node.handle_deadline(now_ns)
        node.render(out[k * PERIOD : (k + 1) * PERIOD], now_ns)
    return out


def steady(programme: list[bytes], **options: int) -> list[tuple[int, bytes]]:
    return [
        (START + i * 20 * MS, datagram(i, payload, **options))
        for i, payload in enumerate(programme)
    ]


def decoded(programme: list[bytes]) -> np.ndarray:
    decoder = LibopusDecoder(48_000, 1)
    sound = np.zeros((960 * len(programme), 1), np.float32)
    for i, payload in enumerate(programme):
        frame = sound[960 * i : 960 * (i + 1)]
        assert decoder.decode(np.frombuffer(bytearray(payload), np.uint8), frame) == 960
    return sound


def test_a_node_without_a_source_is_exactly_silent():
    assert not play(new_node(), [], S).any()


def test_perfect_input_plays_exactly_what_the_decoder_gives_and_at_its_time(programme):
    programme = programme[:100]
    node = new_node(delay_ms=100)
    sound = play(node, steady(programme), 4 * S)

    expected = decoded(programme)
    assert np.abs(expected).max() < 0.8
    begin = 100 * 48
    assert not sound[:begin].any()
    np.testing.assert_array_equal(sound[begin : begin + len(expected)], expected)
    origins = node.origin_samples()
    assert origins[Origin.RECEIVED] == 100 * 960
    assert node.counts[Count.PACKETS_ACCEPTED] == 100


@pytest.mark.parametrize("sequence", [65_500, 32_760])
@pytest.mark.parametrize("timestamp", [2**32 - 48_000, 2**31 - 48_000, 123])
def test_a_wrap_of_sequence_number_or_timestamp_is_not_heard(programme, sequence, timestamp):
    programme = programme[:100]
    plain = play(new_node(), steady(programme), 3 * S)
    wrapped = play(new_node(), steady(programme, sequence=sequence, timestamp=timestamp), 3 * S)

    np.testing.assert_array_equal(wrapped, plain)


def test_a_sender_that_restarts_with_other_numbers_is_heard_again_within_a_second(programme):
    node = new_node()
    first = steady(programme[:100])
    again = [
        (at + 2 * S, data)
        for at, data in steady(programme[100:300], sequence=9_999, timestamp=77_777_777)
    ]
    sound = play(node, first + again, 7 * S)

    heard = np.abs(sound[3 * 48_000 : 6 * 48_000, 0]) > 0
    assert heard.mean() > 0.95
    assert node.counts[Count.SENDER_RESTARTS] == 1


def test_a_sender_that_pauses_is_heard_from_its_next_packet_on(programme):
    node = new_node()
    arrivals = steady(programme[:100])
    arrivals += [
        (START + (i * 20 + 5000) * MS, packet.build(
            payload, sequence=i, timestamp=960 * i + 240_000, ssrc=7, payload_type=96, marker=False
        ))
        for i, payload in enumerate(programme[100:200], 100)
    ]  # fmt: skip
    play(node, arrivals, 10 * S)

    origins = node.origin_samples()
    assert origins[Origin.RECEIVED] == 200 * 960
    assert node.counts[Count.PACKETS_LOST] == 0
    assert origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum() == 0


def test_after_the_last_packet_the_sound_fades_and_the_horn_falls_silent(programme):
    node = new_node()
    sound = play(node, steady(programme[:50]), 4 * S)

    end = (100 + 50 * 20) * 48
    assert not sound[end + 400 * 48 :].any()
    step = np.abs(np.diff(sound[end - 960 :, 0])).max()
    assert step <= np.abs(np.diff(sound[: end - 960, 0])).max() * 1.5


def test_a_goodbye_gives_the_horn_back_at_once_and_is_no_dropout(programme):
    node = new_node()
    goodbye = rtcp.build([rtcp.ReceiverReport(ssrc=7, blocks=()), rtcp.Goodbye(ssrcs=(7,))])
    arrivals = [*steady(programme[:50]), (START + 1001 * MS, goodbye)]
    sound = play(node, arrivals, 4 * S)

    assert node.status()["playing"] is None
    assert not sound[(100 + 1000 + 250) * 48 :].any()
    origins = node.origin_samples()
    assert origins[Origin.RECEIVED] == 50 * 960
    assert origins[[Origin.CONCEALED, Origin.FADED, Origin.SILENT]].sum() == 0


def test_a_lost_packet_is_repaired_from_the_next_one_and_counted(programme):
    node = new_node()
    arrivals = steady(programme[:100])
    del arrivals[40]
    play(node, arrivals, 4 * S)

    assert node.counts[Count.PACKETS_LOST] == 1
    repaired = node.origin_samples()[[Origin.IN_BAND_FEC, Origin.CONCEALED]]
    assert repaired.sum() == 960


def test_a_late_packet_is_concealed_and_counted_as_late(programme):
    node = new_node(delay_ms=60)
    arrivals = steady(programme[:100])
    arrivals[40] = (arrivals[40][0] + 200 * MS, arrivals[40][1])
    play(node, arrivals, 4 * S)

    assert node.counts[Count.PACKETS_LATE] == 1
    assert node.counts[Count.PACKETS_LOST] == 0


def test_jitter_below_the_playout_delay_is_not_heard(programme):
    rng = np.random.default_rng(1)
    arrivals = [
        (at + int(extra) * MS, data)
        for (at, data), extra in zip(steady(programme), rng.integers(0, 90, 500), strict=True)
    ]
    arrivals[0] = steady(programme)[0]
    node = new_node(delay_ms=100)
    play(node, arrivals, 10 * S)

    assert node.origin_samples()[[1, 2, 3, 4, 5, 6]].sum() == 0


def test_who_comes_in_the_middle_is_in_step_with_who_came_first(programme):
    early, late = new_node(), new_node()
    arrivals = steady(programme)
    first = play(early, arrivals, 6 * S)
    second = play(late, arrivals[110:], 6 * S)

    tail = slice(4 * 48_000, 6 * 48_000)
    np.testing.assert_allclose(second[tail], first[tail], atol=0.02)


def test_nobody_else_can_speak_for_a_source(programme):
    node = new_node()
    arrivals = steady(programme[:200])
    reference = play(new_node(), arrivals, 5 * S)
    out = np.zeros_like(reference)
    at = 0
    for k in range(len(out) // PERIOD):
        now_ns = START + k * 10 * MS
        while at < len(arrivals) and arrivals[at][0] <= now_ns:
            node.receive_datagram(arrivals[at][1], SENDER, arrivals[at][0])
            node.receive_datagram(datagram(at + 1, b"\xfc\xff\xfe"), ("6.6.6.6", 9), now_ns)
            at += 1
        node.render(out[k * PERIOD : (k + 1) * PERIOD], now_ns)

    np.testing.assert_array_equal(out, reference)
    assert node.counts[Count.DROPPED_SSRC_COLLISION] > 190


def test_a_second_source_waits_and_plays_when_the_first_one_has_ended(programme):
    node = new_node()
    one = steady(programme[:100], ssrc=1)
    two = [(at + 500 * MS, data) for at, data in steady(programme[:300], ssrc=2)]
    play(node, one + two, 9 * S)

    assert node.counts[Count.PACKETS_ACCEPTED] + node.counts[Count.PACKETS_DISCARDED_FLUSHED] >= 300
    waits = PriorityConfig().hold_ms["normal"] // 20  # the first one may only pause
    left = 25 + 300 - 100 - waits
    assert left - 5 < node.origin_samples()[Origin.RECEIVED] / 960 - 100 <= left


@pytest.mark.parametrize("ppm", [-100, 100, -300, 300])
def test_an_hour_with_a_wrong_crystal_passes_without_a_dropout(ppm):
    node = new_node(decode=False)
    payload = b"\x08\x00"  # SILK, narrowband, 20 ms
    out = np.zeros((PERIOD, 1), np.float32)
    sent = 0
    levels = []
    for k in range(360_000):
        now_ns = START + k * 10 * MS
        while START + sent * 20 * MS * (1_000_000 - ppm) // 1_000_000 <= now_ns:
            node.receive_datagram(datagram(sent, payload), SENDER, now_ns)
            sent += 1
        node.render(out, now_ns)
        if k % 6000 == 5999:
            levels.append(node.status()["sources"][0]["level_ms"])

    assert node.origin_samples()[[1, 2, 3, 4, 5, 6]].sum() == 0
    assert node.counts[Count.HARD_RESYNCS] == 0
    assert max(levels) - min(levels) <= 20


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=80)
            | st.builds(
                lambda i, payload, ssrc: datagram(i, payload, ssrc=ssrc),
                st.integers(0, 70_000),
                st.binary(max_size=40),
                st.integers(1, 3),
            ),
            st.integers(0, 50 * MS),
        ),
        max_size=40,
    )
)
def test_no_datagram_makes_the_node_fail_and_each_one_is_counted_once(datagrams):
    node = new_node()
    out = np.zeros((PERIOD, 1), np.float32)
    now_ns = START
    for data, wait_ns in datagrams:
        now_ns += wait_ns
        node.receive_datagram(data, SENDER, now_ns)
        out[:] = 9
        node.render(out, now_ns)
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1.0
    counts = node.counts
    fates = [c for c in Count if c.name.startswith("DROPPED_")]
    assert counts[Count.DATAGRAMS_RECEIVED] == len(datagrams)
    assert counts[fates].sum() + counts[Count.PACKETS_RECEIVED] + counts[
        Count.RTCP_RECEIVED
    ] <= len(datagrams)


def test_who_leaves_says_goodbye_to_each_sender_that_it_hears(programme):
    node = new_node()
    play(node, steady(programme), S)
    while node.next_event() is not None:
        pass
    node.leave()
    told = node.next_event()
    goodbye = rtcp.parse(told.data)[-1]
    report = rtcp.parse(told.data)[0]
    assert goodbye == rtcp.Goodbye((report.ssrc,)) and told.destination == ("10.0.0.1", 5004)
    assert node.next_event() is None
