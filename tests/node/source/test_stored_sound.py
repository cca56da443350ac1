"""Stored sounds: at once, whatever the network does, and from the sentence they were cut off in."""

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import JitterConfig, NodeConfig, ReceiveConfig
from node.control.precedence import MessageClass, PriorityConfig
from node.counters import Count, Origin
from node.events import SendDatagram
from node.kernel.record import new
from node.rtp import packet as rtp
from node.source.state import Played
from node.source.stored_sound import OWN_SSRCS, Recording
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S

PERIOD = 480
AHEAD_NS = 40 * NS_PER_MS
SSRC = OWN_SSRCS
NORMAL, PRIORITY, URGENT = MessageClass


class Numbered:
    """A decoder whose sound is the number of the packet: what is heard can be read off."""

    def __init__(self, rate_hz, channels):
        self.rate_hz, self.channels, self.final_range = rate_hz, channels, 0

    def decode(self, payload, out):
        out[:960] = (int(payload[1]) * 256 + int(payload[2])) / 4096
        return 960

    def conceal(self, samples, out):
        out[:samples] = 0.0
        return samples

    def decode_fec(self, payload, out):
        return self.conceal(len(out), out)

    def reset(self):
        pass

    def copy(self):
        return Numbered(self.rate_hz, self.channels)


def recording(packets, sentences=()):
    """Packets that say their numbers from 1 on."""
    return Recording.of(
        tuple(b"\xf8" + (i + 1).to_bytes(2, "big") for i in range(packets)), sentences
    )


class Card:
    """A node, and the card that asks it."""

    def __init__(self, **more):
        config = NodeConfig(name="pole", jitter=JitterConfig(playout_delay_ms=400, **more))
        self.node = SpeakerNode(config, decoder_factory=Numbered)
        self.now_ns = 10**10
        self.source = self.node.hold_stored(SSRC, self.now_ns)
        self.node.set_source(SSRC, NORMAL, "commune", gain_db=0.0)

    def run(self, periods):
        out = np.zeros((periods * PERIOD, 1), np.float32)
        for at in range(0, len(out), PERIOD):
            self.node.handle_deadline(self.now_ns)
            self.node.render(out[at : at + PERIOD], self.now_ns + AHEAD_NS)
            self.now_ns += 10 * NS_PER_MS
        return out[:, 0]


def numbers(sound):
    """The packets heard, each once per run of it; what is under a ramp is left out."""
    found = np.rint(sound * 4096).astype(int)
    level = (np.abs(sound * 4096 - found) < 1e-3) & (found > 0)
    steady = found[:-1][level[:-1] & (sound[:-1] == sound[1:])]
    return steady[np.append(True, steady[1:] != steady[:-1])].tolist()


@pytest.mark.parametrize("mode", ["synchronised", "adaptive"])
def test_a_stored_sound_begins_with_the_next_period_and_is_heard_whole(mode):
    card = Card(mode=mode, delay_ms=300)
    assert not card.run(3).any()
    card.source.play(recording(50), 60)
    sound = card.run(110)
    # The limiter looks a few milliseconds ahead: that much silence is at the beginning.
    assert np.flatnonzero(sound)[0] < PERIOD
    assert numbers(sound) == list(range(1, 51))
    assert not sound[-PERIOD:].any() and card.source.finished


def test_one_sound_follows_another_without_a_gap():
    card = Card()
    card.source.play(recording(10), 60)
    heard = [card.run(1) for _ in range(19) if not card.source.finished]
    card.source.play(recording(10), 60)
    sound = np.concatenate([*heard, card.run(40)])
    loud = np.flatnonzero(sound)
    assert numbers(sound) == [*range(1, 11), *range(1, 11)]
    assert loud[-1] - loud[0] < 20 * 960 + 2


def test_a_sound_begins_at_the_instant_that_was_asked_for():
    card = Card()
    begin_ns = card.now_ns + AHEAD_NS + 123 * NS_PER_MS
    card.source.play(recording(5), 60, begin_ns)
    silent = np.flatnonzero(card.run(30))[0]
    assert silent == pytest.approx(123 * 48, abs=2)


@pytest.mark.parametrize(
    ("cut_packet", "sentence_packet"), [(30, 0), (65, 40), (200, 90)], ids=["1st", "2nd", "3rd"]
)
def test_what_was_cut_off_goes_on_from_the_beginning_of_its_sentence(cut_packet, sentence_packet):
    card = Card()
    warning = card.node.hold_stored(SSRC + 1, card.now_ns)
    card.node.set_source(SSRC + 1, URGENT, "commune", gain_db=0.0)
    card.source.play(recording(300, (0, 40, 90)), 60)
    assert numbers(card.run(2 * cut_packet))[-1] == pytest.approx(cut_packet, abs=2)
    warning.play(recording(20), 60)
    card.run(65)  # the warning, and its hold of the horn
    # What comes under the ramp of 125 ms is not counted here.
    assert sentence_packet < numbers(card.run(40))[0] <= sentence_packet + 25
    rewound = card.source.take_rewound_ns() / 20 / NS_PER_MS
    # It fades for 125 ms under the warning before it stops.
    assert rewound == pytest.approx(cut_packet + 6 - sentence_packet, abs=3)


def test_without_known_sentences_it_goes_on_where_it_was():
    assert recording(100).resume_at(57) == 57
    assert recording(4000, (0,)).resume_at(2000) == 2000  # 40 s without a pause: music


def test_a_card_that_stood_still_skips_nothing_of_a_file():
    card = Card()
    card.source.play(recording(40), 60)
    before = card.run(31)
    card.now_ns += 3 * 10**9
    sound = np.concatenate([before, card.run(80)])
    assert np.count_nonzero(sound) == pytest.approx(40 * 960, abs=1200)
    assert numbers(sound)[:15] == list(range(1, 16)) and numbers(sound)[-15:] == list(range(26, 41))


def test_a_file_sends_no_reports_and_its_output_has_a_name():
    card = Card()
    card.source.play(recording(600), 60)
    card.run(1300)
    events = iter(card.node.next_event, None)
    assert not any(isinstance(event, SendDatagram) for event in events)
    origins = card.node.origin_samples()
    assert origins[Origin.RECEIVED] == pytest.approx(600 * 960, abs=960)
    assert origins[Origin.CONCEALED] == origins[Origin.SILENT] == 0


def test_streams_that_fill_every_place_keep_no_siren_out():
    config = NodeConfig(name="pole", receive=ReceiveConfig(sources_max=2))
    node = SpeakerNode(config, decoder_factory=Numbered)
    for number in range(8):
        for ssrc in range(4):
            packet = rtp.build(
                b"\xf8\0\1",
                sequence=number,
                timestamp=number * 960,
                ssrc=ssrc,
                payload_type=96,
                marker=False,
            )
            node.receive_datagram(packet, ("10.0.0.1", 5004), number * 20 * NS_PER_MS)
    node.hold_stored(SSRC, 0).play(recording(10), 60)
    node.set_source(SSRC, URGENT, "commune", gain_db=0.0)
    out = np.zeros((PERIOD, 1), np.float32)
    node.render(out, 160 * NS_PER_MS)
    assert out.any()


@pytest.mark.parametrize("ramp_ms", [42, 200])
def test_what_loses_the_horn_falls_silent_within_the_ramp_that_was_set(ramp_ms):
    config = NodeConfig(name="pole")
    rules = PriorityConfig(ramp_ms=ramp_ms)
    node = SpeakerNode(config, decoder_factory=Numbered, priority=rules)
    voice, siren = node.hold_stored(SSRC, 0), node.hold_stored(SSRC + 1, 0)
    node.set_source(SSRC, NORMAL, "commune", gain_db=0.0)
    node.set_source(SSRC + 1, URGENT, "commune", gain_db=-120.0)  # heard by nobody: the rest is
    voice.play(Recording.of((b"\xf8\x04\x00",) * 100), 60)
    sound = np.zeros((60 * PERIOD, 1), np.float32)
    for number in range(60):
        if number == 20:
            siren.play(recording(100), 60)
        out = sound[number * PERIOD : (number + 1) * PERIOD]
        node.render(out, (100 + 10 * number) * NS_PER_MS)
    last_ms = np.flatnonzero(np.abs(sound[:, 0]) > 1e-6)[-1] / 48
    assert last_ms == pytest.approx(200 + ramp_ms, abs=25)
    assert last_ms - 200 <= 220


pauses_ns = st.one_of(
    st.integers(0, 20 * NS_PER_S),
    st.floats(0, np.log(12_000 * 3600)).map(lambda log_s: int(np.exp(log_s) * NS_PER_S)),
)
"""Up to 16 months, as often of seconds as of months."""


@given(
    st.sampled_from(["synchronised", "adaptive"]),
    st.lists(
        st.tuples(pauses_ns, st.integers(3, 30), st.integers(40, 300)), min_size=1, max_size=5
    ),
)
@settings(max_examples=40)
@example("synchronised", [(13 * 3600 * NS_PER_S, 20, 300)])
@example("adaptive", [(60 * 3600 * NS_PER_S, 20, 300), (9600 * 3600 * NS_PER_S, 20, 40)])
def test_a_sound_is_heard_whole_however_long_after_the_one_before_it(mode, sounds):
    """32 bits of media time last for 25 hours, and a product with ns in 64 bits for 53."""
    card = Card(mode=mode, delay_ms=300)
    for pause_ns, packets, idle_periods in [(0, 20, 40), *sounds]:
        card.run(idle_periods)  # the horn is let go
        card.now_ns += pause_ns
        card.source.play(recording(packets), 60)
        assert numbers(card.run(2 * packets + 20)) == list(range(1, packets + 1))


def test_nobody_outside_speaks_as_the_nodes_own_file():
    card = Card()
    card.source.play(recording(20), 60)
    for number in range(8):
        packet = rtp.build(
            b"\xf8\0\1",
            sequence=number,
            timestamp=number * 960,
            ssrc=SSRC,
            payload_type=96,
            marker=False,
        )
        card.node.receive_datagram(packet, ("10.0.0.1", 5004), card.now_ns)
    assert numbers(card.run(60)) == list(range(1, 21))
    assert card.node.counts[Count.DROPPED_SSRC_COLLISION] == 8


def resident_kb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux tells its memory")
def test_a_stored_sound_that_has_played_for_minutes_has_touched_little_memory():
    config = NodeConfig(name="pole", jitter=JitterConfig(playout_delay_ms=400))
    nodes = [SpeakerNode(config, decoder_factory=None) for _ in range(40)]
    out, sound = np.zeros((3840, 1), np.float32), recording(6000)

    def play(some):
        for node in some:
            source = node.hold_stored(SSRC, 10**10)
            node.set_source(SSRC, NORMAL, "commune", gain_db=0.0)
            source.play(sound, 120)
            for step in range(1500):
                node.render(out, 10**10 + AHEAD_NS + step * 80 * NS_PER_MS)
            assert node.origin_samples()[Origin.RECEIVED] > 110 * 48_000

    play(nodes[:1])  # what is loaded once
    before_kb = resident_kb()
    play(nodes[1:])
    assert (resident_kb() - before_kb) / len(nodes[1:]) < 150


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
@example([20, 300])
def test_who_takes_the_journal_of_a_stored_sound_gets_every_row(turns):
    """However much is played between two times, after one at which there was nothing more."""
    card, rows, taken = Card(), new(Played, 4096), []
    card.node.take_journal(rows)  # who never asks has none kept
    card.source.play(recording(2000), 60)
    for periods in turns:
        card.run(periods)
        taken += rows[: card.node.take_journal(rows)]["media"].tolist()
    assert np.diff(taken).tolist() == [960] * (len(taken) - 1)
    assert len(taken) * 960 >= (sum(turns) - 6) * PERIOD


@pytest.mark.parametrize("stall_ms", [0, 50, 99])
@pytest.mark.parametrize("period", [480, 4096])
def test_a_stall_that_skips_nothing_fits_the_places_for_packets(stall_ms, period):
    card = Card()
    card.source.play(recording(500), 10)
    out = np.zeros((period, 1), np.float32)
    for i in range(60):
        card.node.render(out, card.now_ns + AHEAD_NS)
        card.now_ns += period * NS_PER_S // 48_000 + stall_ms * NS_PER_MS * (i % 3 == 2)
    heard = card.node.origin_samples()
    assert heard[Origin.RECEIVED] > 0.9 * heard.sum()
