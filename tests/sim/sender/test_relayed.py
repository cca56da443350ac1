"""RTP of other senders goes on as ours: nothing of it is changed but whose it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.rtp import packet as rtp
from sim.sender.relayed import RelayedSender, is_sound

MS = 1_000_000
S = 1000 * MS
OPUS = bytes([0xF8]) + bytes(range(30))  # CELT, 20 ms


def incoming(number, *, ssrc=1, sequence=65_500, timestamp=2**32 - 4800, payload_type=96):
    return rtp.build(
        OPUS + bytes([number & 255]), sequence=sequence + number,
        timestamp=timestamp + 960 * number, ssrc=ssrc, payload_type=payload_type, marker=False,
    )  # fmt: skip


def relay():
    return RelayedSender(ssrc=7, payload_type=111, sequence=10, timestamp=1000)


def fields(data):
    header = np.zeros(rtp.HEADER_FIELDS, np.int64)
    assert rtp.parse(np.frombuffer(bytearray(data), np.uint8), header) == rtp.RTP
    return header


def test_numbers_and_stamps_go_on_over_wraps_losses_and_disorder():
    sender = relay()
    order = [0, 1, 2, 4, 3, *range(8, 200)]
    out = [sender.next_packet(incoming(n), S + n * 20 * MS) for n in order]
    got = [fields(data) for data in out]
    assert [int(h[rtp.SEQUENCE]) for h in got] == [10 + n for n in order]
    assert [int(h[rtp.TIMESTAMP]) for h in got] == [1000 + 960 * n for n in order]
    assert all(h[rtp.SSRC] == 7 and h[rtp.PAYLOAD_TYPE] == 111 for h in got)
    assert [data[-1] for data in out] == [n & 255 for n in order]
    assert sender.jumps == 0


@pytest.mark.parametrize("pause_s", [0, 1, 30])
@pytest.mark.parametrize("ssrc", [1, 2])
def test_a_sender_that_begins_anew_is_taken_up_where_the_stream_is(pause_s, ssrc):
    sender = relay()
    for n in range(100):
        sender.next_packet(incoming(n), S + n * 20 * MS)
    at_ns = S + (100 * 20 + pause_s * 1000) * MS
    first = fields(sender.next_packet(incoming(0, ssrc=ssrc, sequence=9, timestamp=5), at_ns))
    assert first[rtp.SEQUENCE] == 110 and first[rtp.MARKER] == 1
    assert int(first[rtp.TIMESTAMP]) == pytest.approx(1000 + 960 * (100 + pause_s * 50), abs=100)
    second = fields(
        sender.next_packet(incoming(1, ssrc=ssrc, sequence=9, timestamp=5), at_ns + 20 * MS)
    )
    assert second[rtp.SEQUENCE] == 111
    assert second[rtp.TIMESTAMP] - first[rtp.TIMESTAMP] == 960


def test_the_reports_follow_the_fastest_packets_and_the_senders_crystal():
    rng = np.random.default_rng(1)
    sender = relay()
    off_ms = []
    for n in range(30_000):  # ten minutes, 50 ppm slow, up to 15 ms of jitter
        true_ns = S + round(n * 20 * MS * (1 + 50e-6))
        now_ns = true_ns + int(rng.uniform(0, 15) * MS)
        sender.next_packet(incoming(n), now_ns)
        told = sender.media_time_samples(true_ns)
        off_ms.append((told - (1000 + 960 * n)) / 48)
    settled = np.array(off_ms[3000:])
    assert np.abs(settled).max() <= 2.0
    assert np.abs(np.diff(settled)).max() <= 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(
    st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 3),
              st.integers(0, 3000)), min_size=1, max_size=60))  # fmt: skip
def test_whatever_numbers_come_packets_that_can_be_read_go_out(history):
    sender, now_ns, last = relay(), S, None
    for sequence, timestamp, ssrc, wait_ms in history:
        now_ns += wait_ms * MS
        data = incoming(0, ssrc=ssrc, sequence=sequence, timestamp=timestamp)
        header = fields(sender.next_packet(data, now_ns))
        assert header[rtp.SSRC] == 7
        ahead = sender.media_time_samples(now_ns) - (int(header[rtp.TIMESTAMP]))
        last = ((ahead + 2**31) % 2**32) - 2**31
        assert abs(last) <= 48_000
    assert sender.packets == len(history)


@given(st.binary(max_size=100))
def test_what_is_no_opus_in_rtp_is_not_sent_on(data):
    if is_sound(data):
        fields(relay().next_packet(data, S))


def test_reports_other_types_and_empty_packets_are_no_sound():
    assert is_sound(incoming(0))
    assert not is_sound(incoming(0, payload_type=0))
    assert not is_sound(incoming(0)[:12])
    assert not is_sound(bytes([0x80, 200]) + incoming(0)[2:])
