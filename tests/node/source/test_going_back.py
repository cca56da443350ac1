"""What a node makes up while it waits for a packet leaves no trace in what it plays afterwards."""

import numpy as np
import pytest

from node.config import JitterConfig, NodeConfig
from node.opus.decoder import OpusDecoder
from node.opus.libopus import LibopusDecoder
from node.rtp import packet
from node.stack import SpeakerNode
from sim.drive.shared_decoder import SharedPath

MS = 1_000_000
START = 3000 * MS
PERIOD = 480

DECODERS = {
    "libopus": LibopusDecoder,
    "ours": OpusDecoder,
    "on the shared path": SharedPath(OpusDecoder).new_decoder,
}


def decode(decoder, payloads):
    sound = np.zeros((len(payloads), 960, 1), np.float32)
    for payload, out in zip(payloads, sound, strict=True):
        assert decoder.decode(np.frombuffer(payload, np.uint8), out) == 960
    return sound


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_taken_back_goes_on_as_if_it_had_not_been_asked(name, programme):
    decoder = DECODERS[name](48_000, 1)
    out = np.zeros((960, 1), np.float32)
    heard = [decode(decoder, programme[:40])]
    for _ in range(2):  # the point kept is good for more than once
        decoder.remember()
        for _ in range(3):
            assert decoder.conceal(480, out) == 480
        decoder.interpolate(np.frombuffer(programme[41], np.uint8), 960, out[:480], later=out[:0])
        decoder.go_back()
    heard.append(decode(decoder, programme[40:80]))
    expected = decode(DECODERS[name](48_000, 1), programme[:80])
    np.testing.assert_array_equal(np.concatenate(heard), expected)


class Heeded(OpusDecoder):
    """Our decoder, and what it gave for packets."""

    def __init__(self, rate_hz, channels):
        super().__init__(rate_hz, channels)
        self.given = []

    def decode(self, payload, out):
        samples = super().decode(payload, out)
        self.given.append(out[:samples].copy())
        return samples


class Hum:
    """A tone of 110 Hz, by the number in each packet; what is made up goes on and dies away."""

    final_range = 0

    def __init__(self, rate_hz, channels):
        self.rate_hz, self.channels = rate_hz, channels
        self.at = self.kept = (0, 0)

    def _sound(self, samples, out, is_made_up):
        at, made_up = self.at
        t = np.arange(samples)
        decay = 0.9998 ** (made_up + t) if is_made_up else 1.0
        out[:samples, 0] = 0.4 * np.sin(2 * np.pi * 110 * (at + t) / 48_000) * decay
        self.at = at + samples, (made_up + samples) * is_made_up
        return samples

    def decode(self, payload, out):
        self.at = 960 * (int(payload[1]) * 256 + int(payload[2])), 0
        return self._sound(960, out, False)

    def conceal(self, samples, out):
        return self._sound(samples, out, True)

    def interpolate(self, payload, hole, out, *, later):
        return self.conceal(len(out), out)

    def remember(self):
        self.kept = self.at

    def go_back(self):
        self.at = self.kept


def play(decoder, payloads, stalls, *, lost=()):
    """Return what an adaptive node plays; `stalls` maps a packet to the ms that all wait for it."""
    node = SpeakerNode(
        NodeConfig(name="n", jitter=JitterConfig(mode="adaptive")),
        decoder_factory=lambda *_: decoder,
    )
    came = [START + 20 * MS * i for i in range(len(payloads))]
    for i, stall_ms in stalls.items():
        came[i:] = [max(one, came[i] + stall_ms * MS) for one in came[i:]]
    sound = np.zeros(((len(payloads) * 20 + 3000) // 10 * PERIOD, 1), np.float32)
    sent = 0
    for k in range(len(sound) // PERIOD):
        now_ns = START + k * 10 * MS
        while sent < len(came) and came[sent] <= now_ns:
            data = packet.build(
                payloads[sent], sequence=sent, timestamp=960 * sent, ssrc=7, payload_type=96,
                marker=sent == 0,
            )  # fmt: skip
            if sent not in lost:
                node.receive_datagram(data, ("10.0.0.1", 5004), now_ns)
            sent += 1
        node.render(sound[k * PERIOD : (k + 1) * PERIOD], now_ns)
    return sound[:, 0]


def test_every_packet_that_was_waited_for_sounds_as_it_was_sent(programme):
    decoder = Heeded(48_000, 1)
    play(decoder, programme, {100: 90, 200: 300, 300: 700, 400: 120})
    expected = decode(OpusDecoder(48_000, 1), programme)
    np.testing.assert_array_equal(np.stack(decoder.given), expected)


def test_what_comes_in_time_sounds_exactly_as_decoded(programme):
    sound = play(OpusDecoder(48_000, 1), programme, {})
    expected = decode(OpusDecoder(48_000, 1), programme)[250:480].reshape(-1)
    begins = np.flatnonzero(sound == expected[0])
    assert any(np.array_equal(sound[at : at + expected.size], expected) for at in begins)


HUM = [b"\xf8" + i.to_bytes(2, "big") for i in range(600)]  # CELT, 20 ms, by the header
# A fade between unlike sounds keeps the power and not the steps.
HUM_STEP_MAX = 1.5 * 0.4 * 2 * np.pi * 110 / 48_000


@pytest.mark.parametrize("stall_ms", [60, 90, 130, 205, 310, 900, 1800])
def test_neither_a_wait_nor_its_end_is_a_click(stall_ms):
    sound = play(Hum(48_000, 1), HUM, {200: stall_ms, 400: stall_ms})
    assert np.abs(np.diff(sound[48_000:])).max() <= HUM_STEP_MAX


@pytest.mark.parametrize("lost", [9, 31, 71])
def test_after_a_loss_that_was_faded_out_the_sound_fades_in(lost):
    # Packet 271 begins at the crest of the wave.
    sound = play(Hum(48_000, 1), HUM, {}, lost=range(271 - lost, 271))
    assert np.abs(np.diff(sound[48_000:])).max() <= HUM_STEP_MAX
