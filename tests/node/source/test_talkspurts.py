"""Everything a sender may do, in both modes: pauses, restarts, wraps, jumps, crystals, lengths."""

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Count, Origin
from node.rtp import packet
from node.stack import SpeakerNode

MS = 1_000_000
S = 1000 * MS
PERIOD = 480
START = 3 * S
SENDER = ("10.0.0.1", 5004)
MADE_UP = [Origin.CONCEALED, Origin.FADED, Origin.SILENT]
FRAME = 960

PAYLOADS = {
    2.5: b"\xe0" + bytes(20),
    5: b"\xe8" + bytes(20),
    10: b"\xf0" + bytes(20),
    20: b"\xf8" + bytes(20),
    40: b"\x10" + bytes(20),
    60: b"\x18" + bytes(20),
    80: b"\x11" + bytes(20),
    120: b"\x19" + bytes(20),
}
"""One packet of each length in ms (RFC 6716, tables 2 and 4): CELT, SILK, two SILK frames."""


@pytest.fixture(params=["synchronised", "adaptive"])
def node(request):
    config = JitterConfig(mode=request.param, playout_delay_ms=200)
    return SpeakerNode(NodeConfig(name="n", jitter=config), decoder_factory=None)


class Sender:
    """Sends packets; `skip_ms` is a pause: time goes on, numbers do not."""

    def __init__(self, *, sequence=0, timestamp=0, ssrc=7, ppm=0.0, at_ms=0.0):
        self.sequence, self.timestamp, self.ssrc = sequence, timestamp, ssrc
        self.pace = 1 - ppm * 1e-6
        self.at_ms = at_ms
        self.out: list[tuple[int, bytes]] = []
        self.media = 0

    def send(self, count, packet_ms=20):
        for _ in range(count):
            data = packet.build(
                PAYLOADS[packet_ms],
                sequence=self.sequence & 0xFFFF,
                timestamp=self.timestamp & 0xFFFF_FFFF,
                ssrc=self.ssrc,
                payload_type=96,
                marker=False,
            )
            self.out.append((START + round(self.at_ms * MS), data))
            self.sequence += 1
            self.timestamp += round(packet_ms * 48)
            self.media += round(packet_ms * 48)
            self.at_ms += packet_ms * self.pace
        return self

    def pause(self, ms):
        self.at_ms += ms
        self.timestamp += ms * 48
        return self


def hear(node, packets, *, source=SENDER, tail_ms=1000, levels=None):
    """Deliver what was sent while the card takes 10 ms periods; return the origins' samples."""
    waiting = sorted(packets, key=lambda one: one[0])
    out = np.zeros((PERIOD, 1), np.float32)
    begun = waiting[0][0] // (10 * MS)
    for k in range(begun, (waiting[-1][0] + tail_ms * MS) // (10 * MS)):
        now_ns = k * 10 * MS
        while waiting and waiting[0][0] <= now_ns:
            at_ns, data = waiting.pop(0)
            node.receive_datagram(data, source, at_ns)
        deadline_ns = node.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            node.handle_deadline(now_ns)
        node.render(out, now_ns + 30 * MS)
        if levels is not None and k % 500 == 0 and node.status()["sources"]:
            levels.append(node.status()["sources"][0]["playout_delay_ms"])
    return node.origin_samples()


@pytest.mark.parametrize("sequence", [0, 65_500])
@pytest.mark.parametrize("timestamp", [0, 2**32 - 48_000, 2**31 - 48_000])
def test_wraps_of_both_counters_lose_nothing(node, sequence, timestamp):
    sent = Sender(sequence=sequence, timestamp=timestamp).send(200)
    origins = hear(node, sent.out)
    assert origins[Origin.RECEIVED] == sent.media
    assert origins[MADE_UP].sum() <= FRAME  # the sender ends without a word


def test_more_packets_than_numbers_are_one_programme(node):
    sent = Sender(sequence=3).send(70_000, 2.5)
    origins = hear(node, sent.out)
    assert origins[Origin.RECEIVED] == sent.media
    assert node.counts[Count.SENDER_RESTARTS] == 0


@pytest.mark.parametrize("packet_ms", [2.5, 5, 10, 20, 40, 60, 80, 120])
def test_packets_of_every_length_are_played_whole(node, packet_ms):
    sent = Sender().send(round(6000 / packet_ms), packet_ms)
    origins = hear(node, sent.out)
    assert origins[Origin.RECEIVED] == sent.media
    assert origins[MADE_UP].sum() <= 120 * 48


def test_the_length_of_packets_may_change_from_one_to_the_next(node):
    sent = Sender()
    for packet_ms in [20, 2.5, 120, 10, 60, 5, 40, 20, 80, 2.5]:
        sent.send(round(1200 / packet_ms), packet_ms)
    origins = hear(node, sent.out)
    assert origins[Origin.RECEIVED] == sent.media
    # Adaptive: the first packet of 120 ms comes 100 ms later than 20 ms of delay can wait for.
    assert origins[MADE_UP].sum() <= 240 * 48


@pytest.mark.parametrize("pause_ms", [100, 900, 4000, 20_000])
def test_pauses_between_talkspurts_are_no_dropout(node, pause_ms):
    sent = Sender().send(150)
    for _ in range(4):
        sent.pause(pause_ms).send(100)
    origins = hear(node, sent.out)
    assert origins[Origin.RECEIVED] == sent.media
    assert origins[MADE_UP].sum() <= FRAME


def test_a_sender_that_stops_and_starts_anew_is_heard_whole_but_for_its_first_packet(node):
    first = Sender().send(150)
    again = Sender(sequence=40_000, timestamp=3_000_000_000, at_ms=first.at_ms + 2500).send(200)
    origins = hear(node, first.out + again.out)
    assert first.media + again.media - origins[Origin.RECEIVED] <= 2 * FRAME
    assert origins[MADE_UP].sum() <= FRAME
    assert node.counts[Count.SENDER_RESTARTS] <= 1


@pytest.mark.parametrize("jump_s", [-30_000, -30, 30, 30_000])
def test_a_jump_of_the_senders_clock_costs_no_more_than_a_moment(node, jump_s):
    first = Sender(timestamp=2_000_000_000).send(200)
    after = Sender(
        sequence=200, timestamp=first.timestamp + jump_s * 48_000, at_ms=first.at_ms
    ).send(300)
    origins = hear(node, first.out + after.out)
    lost = first.media + after.media - origins[Origin.RECEIVED]
    assert lost <= FRAME  # numbers and arrivals go on, so the sound does


def test_who_sends_under_the_ssrc_of_another_is_not_heard_and_disturbs_nothing(node):
    sent = Sender().send(300)
    thief = Sender(sequence=9, timestamp=5_000_000, at_ms=1007).send(200)
    for at_ns, data in thief.out:
        sent.out.append((at_ns, data))
    stolen = {id(data) for _, data in thief.out}

    out = np.zeros((PERIOD, 1), np.float32)
    waiting = sorted(sent.out, key=lambda one: one[0])
    for k in range(700):
        now_ns = START + k * 10 * MS
        while waiting and waiting[0][0] <= now_ns:
            at_ns, data = waiting.pop(0)
            node.receive_datagram(data, ("6.6.6.6", 9) if id(data) in stolen else SENDER, at_ns)
        node.render(out, now_ns + 30 * MS)
    assert node.origin_samples()[Origin.RECEIVED] == sent.media
    assert node.counts[Count.DROPPED_SSRC_COLLISION] == 200


@pytest.mark.parametrize("ppm", [-300, 300])
def test_ten_minutes_of_a_senders_wrong_crystal_are_not_heard(node, ppm):
    sent = Sender(ppm=ppm).send(30_000)
    levels: list[float] = []
    origins = hear(node, sent.out, levels=levels)
    assert origins[Origin.RECEIVED] == sent.media
    assert origins[MADE_UP].sum() <= FRAME
    assert node.counts[Count.HARD_RESYNCS] == 0
    assert max(levels[5:]) - min(levels[5:]) <= 25
