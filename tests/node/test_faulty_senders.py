"""What small senders, gateways and other people's streams do, and what is heard of them."""

import itertools

import numpy as np
import opuslib_next
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Count, Origin
from node.events import Note
from node.opus.decoder import OpusDecoder
from node.rtp import packet
from node.stack import SpeakerNode

MS = 1_000_000
START_NS = 3_000 * MS
PERIOD = 480
HOST = "10.0.0.1"
PAYLOADS = {
    2.5: b"\xe0" + bytes(20),
    5: b"\xe8" + bytes(20),
    10: b"\xf0" + bytes(20),
    20: b"\xf8" + bytes(20),
}
MODES = pytest.mark.parametrize("mode", ["synchronised", "adaptive"])


def rtp(payload, sequence, timestamp, *, ssrc=7, payload_type=96):
    return packet.build(
        payload,
        sequence=sequence & 0xFFFF,
        timestamp=timestamp & 0xFFFF_FFFF,
        ssrc=ssrc,
        payload_type=payload_type,
        marker=False,
    )


def stream(count, *, at_ms=0.0, packet_ms=20, sequence=0, timestamp=0, ssrc=7, port=5004):
    """Return (ms, datagram, address) of `count` packets at their pace."""
    return [
        (
            at_ms + i * packet_ms,
            rtp(
                PAYLOADS[packet_ms], sequence + i, timestamp + round(i * packet_ms * 48), ssrc=ssrc
            ),
            (HOST, port),
        )
        for i in range(count)
    ]


class Heard:
    """What a node made of some packets."""

    def __init__(self, arrivals, *, mode="synchronised", delay_ms=400, decoder=None, extra_ms=1500):
        jitter = JitterConfig(mode=mode, playout_delay_ms=delay_ms)
        self.node = SpeakerNode(NodeConfig(name="n", jitter=jitter), decoder_factory=decoder)
        self.notes: list[str] = []
        arrivals = sorted(arrivals, key=lambda one: one[0])
        waiting = iter(arrivals)
        coming = next(waiting, None)
        periods = int(arrivals[-1][0] + delay_ms + extra_ms) // 10
        out = np.zeros((periods * PERIOD, 1), np.float32)
        for i in range(periods):
            now_ns = START_NS + i * 10 * MS
            while coming is not None and START_NS + round(coming[0] * MS) <= now_ns:
                self.node.receive_datagram(coming[1], coming[2], START_NS + round(coming[0] * MS))
                coming = next(waiting, None)
            due_ns = self.node.next_deadline_ns()
            if due_ns is not None and due_ns <= now_ns:
                self.node.handle_deadline(now_ns)
            while (event := self.node.next_event()) is not None:
                if isinstance(event, Note):
                    self.notes.append(event.text)
            self.node.render(out[i * PERIOD : (i + 1) * PERIOD], now_ns)
        self.sound = out[:, 0]
        self.received_ms = int(self.node.origin_samples()[Origin.RECEIVED]) / 48

    def count(self, count):
        return int(self.node.counts[count])


def parts(sound, floor=0.003):
    """Return how often sound begins, by its level in windows of 10 ms."""
    level = np.sqrt((sound[: len(sound) // 480 * 480].reshape(-1, 480) ** 2).mean(axis=1))
    sounds = np.concatenate([[False], level > floor])
    return int(np.count_nonzero(sounds[1:] & ~sounds[:-1]))


@MODES
@pytest.mark.parametrize("pause_ms", [500, 1000, 2000, 5000, 9900])
def test_a_talk_button_whose_stamps_count_samples_loses_less_than_a_second_after_a_pause(
    mode, pause_ms
):
    first = stream(150)
    after = stream(400, at_ms=3000 + pause_ms, sequence=150, timestamp=150 * 960)
    assert Heard(first + after, mode=mode).received_ms > 11_000 - 1000


@MODES
@pytest.mark.parametrize("jump_ms", [-1200, 200, 1000, 1200, 1400, 3_600_000])
@pytest.mark.parametrize("delay_ms", [100, 400, 3000])
def test_a_senders_clock_that_is_set_costs_no_more_than_a_moment(mode, jump_ms, delay_ms):
    after = stream(250, at_ms=3000, sequence=150, timestamp=150 * 960 + jump_ms * 48)
    heard = Heard(stream(150) + after, mode=mode, delay_ms=delay_ms)
    assert heard.received_ms > 8000 - 450


@pytest.mark.parametrize("packet_ms", [2.5, 10, 20])
@pytest.mark.parametrize("delay_ms", [400, 1500])
def test_packets_that_were_held_on_the_way_do_not_outvote_the_stream(packet_ms, delay_ms):
    sent = stream(round(6000 / packet_ms), packet_ms=packet_ms)
    first = round(2000 / packet_ms)
    held = [(one[0] + delay_ms + 800, *one[1:]) for one in sent[first : first + 4]]
    heard = Heard(sent[:first] + sent[first + 4 :] + held, delay_ms=delay_ms)
    assert heard.received_ms >= 6000 - 4 * packet_ms - 20


def test_a_path_that_gets_a_second_faster_is_followed():
    slow = [(one[0] + 1500, *one[1:]) for one in stream(150)]
    fast = stream(300, at_ms=3000, sequence=150, timestamp=150 * 960)
    assert Heard(slow + fast).received_ms > 6000 - 300


@MODES
@pytest.mark.parametrize("wobble", [1, 24, 240])
def test_stamps_that_wobble_leave_no_hole(mode, wobble):
    rng = np.random.default_rng(3)
    sent = [
        (i * 20, rtp(PAYLOADS[20], i, 50_000 + i * 960 + int(off)), (HOST, 5004))
        for i, off in enumerate(rng.integers(-wobble, wobble + 1, 400))
    ]
    heard = Heard(sent, mode=mode)
    assert heard.received_ms >= 8000
    assert heard.count(Count.PACKETS_DISCARDED_FLUSHED) == 0


@MODES
@pytest.mark.parametrize("clock_hz", [8_000, 16_000, 44_100, 90_000])
def test_a_sender_whose_stamps_count_at_another_rate_is_heard(mode, clock_hz):
    sent = [(i * 20, rtp(PAYLOADS[20], i, i * clock_hz // 50), (HOST, 5004)) for i in range(400)]
    assert Heard(sent, mode=mode).received_ms > 8000 - 1000


@pytest.mark.parametrize("packet_ms", [1, 2.5, 4, 5, 10])
@pytest.mark.parametrize("level", [0.0, 0.002, 0.3])
@pytest.mark.parametrize("sample_bytes", [2, 3])
@pytest.mark.parametrize("offset", [0.0, 0.01])
def test_pcm_on_the_payload_type_of_opus_is_never_heard(packet_ms, level, sample_bytes, offset):
    samples = round(48 * packet_ms)
    sound = np.random.default_rng(1).normal(offset, level, (round(4000 / packet_ms), samples))
    scaled = np.clip(sound, -1, 1) * (2.0 ** (8 * sample_bytes - 1) - 1)
    raw = scaled.astype(">i4").tobytes()
    words = np.frombuffer(raw, np.uint8).reshape(len(sound), samples, 4)[:, :, 4 - sample_bytes :]
    sent = [
        (i * packet_ms, rtp(words[i].tobytes(), i, i * samples), (HOST, 5004))
        for i in range(len(sound))
    ]
    heard = Heard(sent, decoder=OpusDecoder)
    assert np.abs(heard.sound).max() == 0.0
    assert any("not Opus" in one for one in heard.notes)


@MODES
@pytest.mark.parametrize("pause_ms", [500, 3000, 8000])
def test_announcements_that_all_begin_at_number_0_are_heard(mode, pause_ms):
    sent = [stream(80, at_ms=n * (1600 + pause_ms)) for n in range(3)]
    assert Heard(itertools.chain(*sent), mode=mode).received_ms > 3 * 1600 - 200


@MODES
@pytest.mark.parametrize("gap_ms", [0, 300, 2000])
def test_announcements_under_a_new_ssrc_each_are_heard(mode, gap_ms):
    sent = [stream(50, at_ms=n * (1000 + gap_ms), ssrc=100 + n, port=6000 + n) for n in range(8)]
    heard = Heard(itertools.chain(*sent), mode=mode)
    assert heard.received_ms > 8 * (1000 - (450 if gap_ms == 0 else 100))


def test_a_sender_that_goes_over_to_another_ssrc_is_heard_without_a_hole():
    sent = stream(150) + stream(150, at_ms=3000, ssrc=8, sequence=900, timestamp=77)
    assert Heard(sent).received_ms > 6000 - 100


@MODES
@pytest.mark.parametrize(("delay_ms", "packet_ms"), [(3000, 10), (1500, 5), (700, 2.5), (5000, 10)])
def test_the_longest_delay_holds_the_shortest_packets(mode, delay_ms, packet_ms):
    heard = Heard(
        stream(round(8000 / packet_ms), packet_ms=packet_ms), mode=mode, delay_ms=delay_ms
    )
    assert heard.received_ms == 8000
    assert heard.count(Count.PACKETS_LOST) == 0


def test_a_new_port_of_a_senders_nat_makes_no_hole():
    sent = stream(200) + stream(200, at_ms=4000, sequence=200, timestamp=200 * 960, port=61_000)
    heard = Heard(sent)
    assert heard.received_ms == 8000
    assert heard.count(Count.DROPPED_SSRC_COLLISION) == 0


def test_packets_of_padding_are_counted_as_what_they_are():
    sent = []
    numbers = itertools.count()
    for i in range(250):
        sent.append((i * 20, rtp(PAYLOADS[20], next(numbers), i * 960), (HOST, 5004)))
        if i % 5 == 4:
            empty = bytearray(rtp(bytes(199) + b"\xc8", next(numbers), i * 960))
            empty[0] |= 0x20
            sent.append((i * 20 + 1, bytes(empty), (HOST, 5004)))
    heard = Heard(sent)
    assert heard.received_ms == 5000
    assert heard.count(Count.PACKETS_EMPTY) == 50
    assert heard.count(Count.PACKETS_LOST) == heard.count(Count.DROPPED_OPUS_FRAMING) == 0


def test_after_a_tone_that_is_cut_off_there_is_silence():
    encoder = opuslib_next.Encoder(48_000, 1, opuslib_next.APPLICATION_AUDIO)
    encoder.bitrate = 32_000
    steps = 400.0 * 2 ** ((np.arange(3 * 48_000) // 9600 % 24) / 12)
    sound = 0.3 * np.sin(2 * np.pi * np.cumsum(steps) / 48_000)
    coded = (sound * 32_767).astype("<i2")
    sent = [
        (i * 20, rtp(bytes(encoder.encode(block.tobytes(), 960)), i, i * 960), (HOST, 5004))
        for i, block in enumerate(coded.reshape(-1, 960))
    ]
    assert parts(Heard(sent, decoder=OpusDecoder).sound) == 1


@pytest.mark.parametrize(
    ("datagram", "word"),
    [
        (lambda i: rtp(PAYLOADS[20], i, i * 960, payload_type=0), "payload_types"),
        (lambda i: rtp(bytes([0xFF]) * 160, i, i * 160), "not Opus"),
        (lambda i: rtp(PAYLOADS[20] + bytes(1500), i, i * 960), "larger"),
        (lambda i: b"hello, this is no RTP at all", "no RTP"),
    ],
)
def test_what_comes_and_is_not_heard_is_said_once_with_its_cause(datagram, word):
    heard = Heard([(i * 20, datagram(i), (HOST, 5004)) for i in range(200)])
    assert len(heard.notes) == 1
    assert word in heard.notes[0]
    assert HOST in heard.notes[0]


def test_nothing_is_said_of_a_stream_that_is_heard():
    sent = stream(400)
    twice = [(one[0] + 5, *one[1:]) for one in sent]
    assert Heard(sent + twice).notes == []
