"""A node that has lost packets sounds nearer to one that has not, if the next packet is at hand."""

from pathlib import Path

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.opus.decoder import OpusDecoder
from node.rtp import packet
from node.stack import SpeakerNode

MS = 1_000_000
START = 3000 * MS
PERIOD = 480
VOICE = Path(__file__).parents[2] / "data" / "opus" / "auto_voip_14k.bit"


class OnlyConceals(OpusDecoder):
    """Our decoder as it was: it does not look at what comes after a hole."""

    def interpolate(self, payload, hole, out, *, later=b""):
        return self.conceal(len(out), out)


def voice():
    """Return packets of speech without in-band FEC."""
    data, at, found = VOICE.read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    return found


def listen(decoder, *, lost=(), mode="synchronised"):
    """Return the node's sound and what it came from; 20 ms packets, 200 ms of playout delay."""
    jitter = JitterConfig(playout_delay_ms=200, mode=mode)
    node = SpeakerNode(NodeConfig(name="node", jitter=jitter), decoder_factory=decoder)
    payloads = voice()
    datagrams = {
        i: packet.build(
            payload, sequence=i, timestamp=960 * i, ssrc=7, payload_type=96, marker=i == 0
        )
        for i, payload in enumerate(payloads)
        if i not in lost
    }
    out = np.zeros((len(payloads) * 960 + 48_000, 1), np.float32)
    for k in range(len(out) // PERIOD):
        now_ns = START + k * 10 * MS
        if k % 2 == 0 and k // 2 in datagrams:
            node.receive_datagram(datagrams[k // 2], ("10.0.0.1", 5004), now_ns)
        node.render(out[k * PERIOD : (k + 1) * PERIOD], now_ns)
    return out[:, 0], node.origin_samples().copy()


def distance_db(wanted, got):
    """Return the mean distance of the spectra below 4 kHz, 20 ms at a time, in decibels."""
    levels = []
    for sound in (wanted, got):
        pieces = np.lib.stride_tricks.sliding_window_view(sound, 960)[::480]
        power = np.abs(np.fft.rfft(pieces * np.hanning(960)))[:, :80] ** 2
        levels.append(10 * np.log10(power.reshape(len(power), 20, 4).sum(2) + 1e-4))
    return float(np.abs(levels[0] - levels[1]).mean())


@pytest.mark.parametrize("run", [1, 2, 3])
def test_a_node_that_holds_the_next_packet_comes_nearer_to_what_it_lost(run):
    lost = [i for i in range(20, len(voice()) - 20) if i % 12 < run]
    whole, _ = listen(OpusDecoder)
    plain, counted = listen(OnlyConceals, lost=lost)
    filled, counted_too = listen(OpusDecoder, lost=lost)
    assert distance_db(whole, filled) < 0.97 * distance_db(whole, plain)
    np.testing.assert_array_equal(counted, counted_too)
    assert counted[Origin.CONCEALED] == 960 * len(lost)


def test_a_node_that_sets_its_own_delay_does_so_too():
    lost = range(60, len(voice()) - 20, 9)
    whole, _ = listen(OpusDecoder, mode="adaptive")
    plain, counted = listen(OnlyConceals, lost=lost, mode="adaptive")
    filled, counted_too = listen(OpusDecoder, lost=lost, mode="adaptive")
    assert distance_db(whole, filled) < distance_db(whole, plain)
    np.testing.assert_array_equal(counted, counted_too)


def test_what_is_lost_changes_no_sample_before_it_and_counting_alone_counts_the_same():
    lost = [100, 101]
    whole, _ = listen(OpusDecoder)
    filled, counted = listen(OpusDecoder, lost=lost)
    first = np.flatnonzero(whole != filled)[0]
    assert first >= 100 * 960
    _, alone = listen(None, lost=lost)
    np.testing.assert_array_equal(counted, alone)
