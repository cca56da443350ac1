from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.audio.loudness import LoudnessMeter
from node.config import ConfigError
from node.opus.libopus import LibopusDecoder
from node.rtp import packet
from sim.drive.shared_decoder import SharedPath
from sim.sender.stream import LiveSender
from sim.station.programme import PAYLOAD_TYPE, SENDER_CLOCK_NS, Programme, Sender, encode
from sim.village import scenario
from sim.village.sender_config import SenderConfig

SPEECH = scenario.SPEECH / "announcement_vi.flac"
S = 1_000_000_000


@pytest.fixture(scope="module")
def programme():
    return encode(SPEECH, SenderConfig())


def station(programme, seconds=10, **changes):
    options = {"seed": 1, "pacing_max_us": 500} | changes
    return Sender(programme, duration_ns=seconds * S, **options)


@pytest.mark.parametrize("packet_ms", [10, 20, 40, 60])
def test_the_announcement_is_encoded_in_packets_of_the_asked_length(packet_ms):
    encoded = encode(SPEECH, SenderConfig(packet_ms=packet_ms))
    assert len(encoded.payloads) == 18_760 // packet_ms
    decoder, out = LibopusDecoder(48_000, 1), np.zeros((5760, 1), np.float32)
    loudest = 0.0
    for payload in encoded.payloads:
        assert decoder.decode(np.frombuffer(payload, np.uint8), out) == packet_ms * 48
        loudest = max(loudest, float(np.abs(out).max()))
    assert 0.3 < loudest < 1.0


def test_encoding_again_gives_the_same_bytes(programme):
    assert encode(SPEECH, SenderConfig()).payloads == programme.payloads


def test_packets_leave_once_their_last_sample_is_captured(programme):
    sending = station(programme).send_until(20 * S)
    assert len(sending.datagrams) == 500
    late_ns = sending.send_ns - 20_000_000 * np.arange(1, 501)
    assert late_ns.min() >= 0 and late_ns.max() <= 500_000
    assert (np.diff(sending.send_ns) > 0).all()


def test_how_the_time_is_cut_changes_no_packet(programme):
    whole = station(programme).send_until(20 * S)
    other = station(programme)
    parts = [other.send_until(at) for at in (1, S, S + 1, 7 * S, 20 * S)]
    assert [d for part in parts for d in part.datagrams] == whole.datagrams
    np.testing.assert_array_equal(np.concatenate([p.send_ns for p in parts]), whole.send_ns)


def test_sequence_numbers_and_timestamps_go_on_through_their_wrap_around(programme):
    sender = station(programme, seconds=3000)
    header = np.zeros(packet.HEADER_FIELDS, np.int64)
    sent = sender.send_until(3001 * S).datagrams
    fields = []
    for datagram in sent[:3] + sent[-3:]:
        assert packet.parse(np.frombuffer(bytearray(datagram), np.uint8), header) == packet.RTP
        fields.append(header.copy())
    first, last = fields[0], fields[-1]
    assert (last[packet.SEQUENCE] - first[packet.SEQUENCE]) & 0xFFFF == (len(sent) - 1) & 0xFFFF
    assert (last[packet.TIMESTAMP] - first[packet.TIMESTAMP]) & 0xFFFFFFFF == 960 * (len(sent) - 1)
    assert [f[packet.MARKER] for f in fields] == [1, 0, 0, 0, 0, 0]


@given(
    seed=st.integers(0, 1 << 31),
    packet_ms=st.sampled_from([10, 20, 40, 60]),
    pacing_max_us=st.integers(0, 100_000),
    asked_us=st.lists(st.integers(200_000, 8_000_000), min_size=1, max_size=5),
)
def test_it_sends_and_says_of_its_clock_what_loalang_send_does(
    seed, packet_ms, pacing_max_us, asked_us
):
    payloads = tuple(bytes([number]) * 20 for number in range(7))
    simulated = Sender(
        Programme(payloads, packet_ms, 312), seed=seed, duration_ns=8 * S,
        pacing_max_us=pacing_max_us,
    )  # fmt: skip
    assert simulated.sequence < 1 << 15, "RFC 3711, 3.3.1"
    sending = simulated.send_until(9 * S)
    real = LiveSender(
        ssrc=simulated.ssrc, payload_type=PAYLOAD_TYPE, packet_samples=simulated.packet_samples,
        sequence=simulated.sequence, timestamp=simulated.timestamp,
    )  # fmt: skip
    for number, at_ns in enumerate(sending.send_ns.tolist()):
        real.due_ns(at_ns + SENDER_CLOCK_NS)
        packet_of_it = real.next_packet(payloads[number % 7], at_ns + SENDER_CLOCK_NS)
        assert sending.datagrams[number] == packet_of_it
    for at_us in asked_us:
        told, wanted = (
            simulated.report(at_us * 1000),
            real.report(at_us * 1000 + SENDER_CLOCK_NS),
        )
        assert (told.ssrc, told.ntp, told.rtp_timestamp) == (
            wanted.ssrc, wanted.ntp, wanted.rtp_timestamp,
        )  # fmt: skip


def test_a_file_without_sound_is_named(tmp_path):
    path = tmp_path / "notes.flac"
    path.write_text("la la la")
    with pytest.raises(ConfigError, match=r"notes\.flac"):
        encode(path, SenderConfig())


def test_nodes_that_hear_the_same_decode_it_once_and_hear_what_a_lone_decoder_gives(programme):
    path = SharedPath(LibopusDecoder)
    lost = {0: (), 1: (), 2: (30, 31, 200)}
    for gone in lost.values():
        shared, alone = path.new_decoder(48_000, 1), LibopusDecoder(48_000, 1)
        for i, payload in enumerate(programme.payloads[:400]):
            data = np.frombuffer(payload, np.uint8)
            one, other = np.zeros((960, 1), np.float32), np.zeros((960, 1), np.float32)
            if i in gone:
                following = np.frombuffer(programme.payloads[i + 1], np.uint8)
                if i % 2:
                    assert shared.decode_fec(following, one) == 960
                    alone.decode_fec(following, other)
                else:
                    assert shared.conceal(960, one) == 960
                    alone.conceal(960, other)
            else:
                assert shared.decode(data, one) == alone.decode(data, other) == 960
            np.testing.assert_array_equal(one, other)
        assert shared.final_range == alone.final_range
    assert path.decoded == 400
    assert path.shared == 400 + 30


def test_a_node_that_starts_later_goes_its_own_way(programme):
    path = SharedPath(LibopusDecoder)
    out = np.zeros((960, 1), np.float32)
    first = path.new_decoder(48_000, 1)
    for payload in programme.payloads[:60]:
        first.decode(np.frombuffer(payload, np.uint8), out)
    late, alone = path.new_decoder(48_000, 1), LibopusDecoder(48_000, 1)
    for payload in programme.payloads[20:60]:
        other = np.zeros((960, 1), np.float32)
        late.decode(np.frombuffer(payload, np.uint8), out)
        alone.decode(np.frombuffer(payload, np.uint8), other)
        np.testing.assert_array_equal(out, other)


def test_a_node_that_starts_where_the_others_are_forgotten_goes_its_own_way(programme):
    path = SharedPath(LibopusDecoder)
    out, other = np.zeros((2, 960, 1), np.float32)
    first = path.new_decoder(48_000, 1)
    packets = [np.frombuffer(one, np.uint8) for one in programme.payloads[:900]]
    for data in packets + packets[:800]:
        first.decode(data, out)
    path_decoded = path.decoded
    # What it plays from the start is what they play again now, of another history.
    late, alone = path.new_decoder(48_000, 1), LibopusDecoder(48_000, 1)
    for data in packets:
        late.decode(data, out)
        alone.decode(data, other)
        np.testing.assert_array_equal(out, other)
    assert (path.decoded, path.shared) == (path_decoded, 0)


def test_the_size_of_packets_on_the_link_is_that_of_the_bitrate(programme):
    kbit_s = station(programme).packet_bits / 20
    assert 24 < kbit_s < 50
    loud = replace(programme, payloads=(b"x" * 200,))
    assert station(loud).packet_bits > station(programme).packet_bits


@pytest.mark.parametrize("target_lufs", [-24.0, -30.0])
def test_the_station_sends_its_programme_at_the_loudness_that_is_wanted(target_lufs):
    encoded = encode(SPEECH, SenderConfig(target_lufs=target_lufs))
    decoder, meter = LibopusDecoder(48_000, 1), LoudnessMeter(1)
    for payload in encoded.payloads:
        out = np.zeros((960, 1), np.float32)
        decoder.decode(np.frombuffer(payload, np.uint8), out)
        meter.add(out)
    assert meter.integrated_lufs == pytest.approx(target_lufs, abs=0.7), "Opus colours a little"
    assert meter.true_peak_dbtp < 0.0
