"""The kernel, the node and a count by hand agree; a perfect link is played bit for bit."""

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Count, Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.kernel.record import new
from node.opus.libopus import LibopusDecoder
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import samples_to_ns

MS = 1_000_000
START = 3000 * MS
FRAME = 960
PERIOD = 480
SENDER = ("10.0.0.1", 5004)
PAYLOAD = b"\xf8" + bytes(20)
MODES = ["synchronised", "adaptive"]
LOST = {60, 61, 90, 133, 134, 135, 222}
TWICE = {70, 71, 140, 210}
LATE = {100, 160}
OVERTAKEN = {50, 120, 180}
"""Comes right after the next one, at the same instant."""
COUNTED = [
    Count.PACKETS_ACCEPTED,
    Count.PACKETS_DUPLICATE,
    Count.PACKETS_LATE,
    Count.PACKETS_REORDERED,
    Count.PACKETS_LOST,
    Count.PACKETS_DISCARDED_EARLY,
    Count.PACKETS_DISCARDED_PROBATION,
    Count.PACKETS_DISCARDED_FLUSHED,
    Count.SENDER_RESTARTS,
]
BY_HAND = [
    300 - len(LOST) - len(LATE),
    len(TWICE),
    len(LATE),
    len(OVERTAKEN),
    len(LOST),
    0,
    0,
    0,
    0,
]


def troubled():
    """(arrival in ms, number) of 300 packets, in order of arrival."""
    arrivals = []
    for i in range(300):
        if i in LOST:
            continue
        at_ms = 20 * i + (1000 if i in LATE else 20 if i in OVERTAKEN else 0)
        arrivals += [(at_ms, i)] * (2 if i in TWICE else 1)
    return sorted(arrivals, key=lambda one: (one[0], one[1] in OVERTAKEN))


def of_node(mode):
    config = NodeConfig(name="n", jitter=JitterConfig(mode=mode, playout_delay_ms=200))
    node = SpeakerNode(config, decoder_factory=None)
    out = np.zeros((PERIOD, 1), np.float32)
    waiting = troubled()
    for k in range(620):
        while waiting and waiting[0][0] <= 10 * k:
            at_ms, i = waiting.pop(0)
            data = packet.build(
                PAYLOAD, sequence=i, timestamp=FRAME * i, ssrc=7, payload_type=96, marker=False
            )
            node.receive_datagram(data, SENDER, START + at_ms * MS)
        node.render(out, START + (10 * k + 30) * MS)
    return [int(node.counts[one]) for one in COUNTED], node.origin_samples()


def of_kernel(mode):
    config = JitterConfig(mode=mode, playout_delay_ms=200)
    buffer = JitterBuffer(config, payload_bytes=0)
    waiting = troubled()
    now = 0
    while now < 6190 * 48:
        while waiting and waiting[0][0] * 48 <= now:
            at_ms, i = waiting.pop(0)
            buffer.insert(i, FRAME * i, FRAME, at_ms * MS)
        if mode == "synchronised" and buffer.state["phase"][0] == at.WAITING:
            buffer.seek(now - 200 * 48)
        buffer.pull(samples_to_ns(now))
        now += int(buffer.state["action_samples"][0] + buffer.state["action_stretch_samples"][0])
    counts = buffer.counts()
    return [counts[one] for one in COUNTED], buffer.origin_samples


@pytest.mark.parametrize("mode", MODES)
def test_kernel_node_and_a_count_by_hand_agree_on_every_packet(mode):
    node, node_origins = of_node(mode)
    kernel, kernel_origins = of_kernel(mode)
    assert node == BY_HAND
    assert kernel == BY_HAND
    assert node_origins[Origin.RECEIVED] == kernel_origins[Origin.RECEIVED]
    assert node_origins[Origin.RECEIVED] == (300 - len(LOST) - len(LATE)) * FRAME


@pytest.mark.parametrize("mode", MODES)
def test_a_perfect_link_plays_the_decoders_output_bit_for_bit(mode, programme):
    config = NodeConfig(name="n", jitter=JitterConfig(mode=mode, playout_delay_ms=200))
    node = SpeakerNode(config, decoder_factory=LibopusDecoder)
    decoder = LibopusDecoder(48_000, 1)
    packets = 1000
    wanted = np.zeros((packets * FRAME, 1), np.float32)
    sound = np.zeros((packets * FRAME, 1), np.float32)
    rows = new(Played, 4096)
    journal = []
    for k in range(2 * packets):
        now_ns = START + 10 * k * MS
        if k % 2 == 0:
            i = k // 2
            payload = programme[i % len(programme)]
            data = packet.build(
                payload, sequence=i, timestamp=FRAME * i, ssrc=7, payload_type=96, marker=i == 0
            )
            node.receive_datagram(data, SENDER, now_ns)
            decoder.decode(np.frombuffer(payload, np.uint8), wanted[i * FRAME : (i + 1) * FRAME])
        node.render(sound[k * PERIOD : (k + 1) * PERIOD], now_ns)
        journal += rows[: node.take_journal(rows)].tolist()
    # After the beginning (the gain's ramp; adaptive: down from its first delay) all is untouched.
    media, _, _, _, at_ns = journal[-20][1:6]
    begin = round((at_ns - START) * 48 / MS)
    several = 300 * FRAME
    np.testing.assert_array_equal(sound[begin - several : begin], wanted[media - several : media])
    assert np.abs(wanted[media - several : media]).max() > 0.05
