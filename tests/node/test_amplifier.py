"""A muted amplifier takes nothing from what is played: what begins in silence waits for it."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.audio.amplifier import FORESEEN_NS, Amplifier
from node.audio.limiter import LATENCY_SAMPLES
from node.config import AmplifierConfig, ConfigError, JitterConfig, NodeConfig
from node.control.precedence import MessageClass
from node.counters import Count
from node.events import AmplifierSwitched
from node.opus.libopus import LibopusDecoder
from node.rtp import packet as rtp
from node.source.stored_sound import OWN_SSRCS, Recording
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ

PERIOD = 480
LEAD_NS = 20 * NS_PER_MS
SENDER = ("10.0.0.1", 5004)
BEGIN_NS = 3 * NS_PER_S


def tone(seconds: float) -> tuple[bytes, ...]:
    """Opus packets of a loud tone, by somebody else's encoder."""
    opuslib = pytest.importorskip("opuslib_next", reason="no Opus encoder here")
    encoder = opuslib.Encoder(RATE_HZ, 1, "audio")
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    samples = (0.5 * 32767 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)
    return tuple(
        encoder.encode(samples[at : at + 960].tobytes(), 960)
        for at in range(0, len(samples) - 959, 960)
    )


SOUND = tone(2.0)


class Pole:
    """A speaker, its sound card, and an amplifier that does what it is told."""

    def __init__(self, *, release_ms: int, rest_s: float = 1.0, delay_ms: int = 100) -> None:
        config = NodeConfig(
            name="pole",
            jitter=JitterConfig(playout_delay_ms=delay_ms),
            amplifier=AmplifierConfig(mute_release_s=release_ms / 1000, rest_s=rest_s),
        )
        self.node = SpeakerNode(config, decoder_factory=LibopusDecoder)
        self.release_ns = release_ms * NS_PER_MS
        self.now_ns = BEGIN_NS
        self.switched: list[AmplifierSwitched] = []
        self.played = np.zeros(0, np.float32)
        """What left the converter, from `BEGIN_NS + LEAD_NS` on."""

    def stored(self) -> None:
        """Play a stored sound, as an order does."""
        self.node.wake(self.now_ns)
        self.node.set_source(OWN_SSRCS, MessageClass.URGENT, "commune", gain_db=0.0)
        source = self.node.hold_stored(OWN_SSRCS, self.now_ns)
        source.play(Recording.of(SOUND), 60)

    def run(self, seconds: float, *, stream: tuple[bytes, ...] = ()) -> None:
        """Let time pass, with a stream at its pace."""
        out = np.zeros((PERIOD, 1), np.float32)
        for period in range(int(seconds * 100)):
            number = period // 2
            if period % 2 == 0 and number < len(stream):
                packet = rtp.build(
                    stream[number], sequence=number, timestamp=number * 960, ssrc=7,
                    payload_type=96, marker=number == 0,
                )  # fmt: skip
                self.node.receive_datagram(packet, SENDER, self.now_ns)
            due_ns = self.node.next_deadline_ns()
            if due_ns is not None and due_ns <= self.now_ns:
                self.node.handle_deadline(self.now_ns)
            while (event := self.node.next_event()) is not None:
                if isinstance(event, AmplifierSwitched):
                    self.switched.append(event)
            self.node.render(out, self.now_ns + LEAD_NS)
            self.played = np.concatenate([self.played, out[:, 0]])
            self.now_ns += 10 * NS_PER_MS

    @property
    def heard(self) -> np.ndarray:
        """What left the horn: nothing while the amplifier was mute, or not back yet."""
        at_ns = BEGIN_NS + LEAD_NS + np.arange(self.played.size) * NS_PER_S // RATE_HZ
        is_open = np.zeros(self.played.size, bool)
        for event in self.switched:
            if event.on:
                is_open |= at_ns >= event.at_ns + self.release_ns
            else:
                is_open &= at_ns < event.at_ns
        return np.where(is_open, self.played, 0.0)


def trimmed(sound: np.ndarray) -> np.ndarray:
    """Return sound without the silence around it."""
    loud = np.flatnonzero(sound)
    return sound[loud[0] : loud[-1] + 1] if loud.size else sound[:0]


@settings(max_examples=10)
@given(st.integers(1, 1500), st.integers(0, 30))
@example(500, 0)
def test_all_of_a_stored_sound_leaves_the_horn_and_only_later(release_ms, idle):
    plain, muted = Pole(release_ms=0), Pole(release_ms=release_ms)
    for pole in (plain, muted):
        pole.run(idle / 100)
        pole.stored()
        pole.run(4.0)
    assert np.array_equal(muted.heard, muted.played), "nothing is played into a mute amplifier"
    assert np.array_equal(trimmed(muted.heard), trimmed(plain.played)), "all of it, to the bit"
    later = np.flatnonzero(muted.heard)[0] - np.flatnonzero(plain.played)[0]
    # The card asks 20 ms ahead, and the limiter holds back what it is given.
    least = max(0, (release_ms - 20) * RATE_HZ // 1000 - LATENCY_SAMPLES)
    assert least <= later < least + PERIOD, "and no later than it must be"


def test_an_amplifier_that_is_awake_delays_nothing():
    plain, muted = Pole(release_ms=0), Pole(release_ms=700)
    for pole in (plain, muted):
        pole.stored()
        pole.run(3.5)
        pole.node.end_source(OWN_SSRCS, pole.now_ns)
        pole.run(0.5)
    first = muted.played.size
    for pole in (plain, muted):
        pole.run(2.0, stream=SOUND)
    assert np.array_equal(muted.heard[first:], plain.played[first:])
    assert [one.on for one in muted.switched] == [True]


def test_it_is_muted_when_nothing_has_sounded_for_a_while():
    pole = Pole(release_ms=300, rest_s=2.0)
    pole.run(2.0, stream=SOUND)
    pole.run(12.0)
    assert [one.on for one in pole.switched] == [True, False]
    ended_ns = BEGIN_NS + LEAD_NS + np.flatnonzero(pole.played)[-1] * NS_PER_S // RATE_HZ
    silent_ns = pole.switched[1].at_ns - ended_ns
    assert 2 * NS_PER_S <= silent_ns < 6 * NS_PER_S


@pytest.mark.parametrize(("release_ms", "delay_ms"), [(300, 400), (500, 400), (900, 400)])
def test_a_stream_loses_what_its_playout_delay_cannot_hold_and_says_so(release_ms, delay_ms):
    plain = Pole(release_ms=0, delay_ms=delay_ms)
    muted = Pole(release_ms=release_ms, delay_ms=delay_ms)
    for pole in (plain, muted):
        pole.run(3.0, stream=SOUND)
    assert np.array_equal(muted.heard, muted.played)
    begins, plain_begins = (np.flatnonzero(one.played)[0] for one in (muted, plain))
    lost_ms = (begins - plain_begins) * 1000 / RATE_HZ
    # By the third packet it is one that proves to be a stream.
    needed_ms = release_ms + 40 - delay_ms
    assert max(0, needed_ms - LEAD_NS // NS_PER_MS) <= lost_ms <= max(0, needed_ms + 10)
    # What it plays it plays at the same instants as the others, once its decoder has caught up.
    late = begins + 10 * PERIOD
    assert np.allclose(muted.played[late:], plain.played[late:], atol=0.05)
    thrown = int(muted.node.counts[Count.PACKETS_DISCARDED_FLUSHED])
    assert thrown * 20 == pytest.approx(lost_ms, abs=20), "counted, and not as played"


@settings(max_examples=200)
@given(
    st.floats(0.0, 10.0),
    st.floats(1.0, 20.0),
    st.lists(
        st.tuples(st.sampled_from(["wake", "sound", "want", "pass"]), st.integers(0, 4000)),
        max_size=30,
    ),
)
def test_it_is_told_in_turns_and_never_muted_before_its_time(release_s, rest_s, steps):
    one = Amplifier(AmplifierConfig(mute_release_s=release_s, rest_s=rest_s))
    now_ns, told, keep_ns = 0, [], -1
    for what, wait_ms in steps:
        now_ns += wait_ms * NS_PER_MS
        event = None
        if what == "wake":
            event = one.wake(now_ns)
            keep_ns = max(keep_ns, now_ns + FORESEEN_NS)
        elif what == "sound" and not one.keeps_back(now_ns):
            one.note_sound(now_ns)
            keep_ns = max(keep_ns, now_ns)
        elif what == "want":
            one.want()
        else:
            due_ns = one.next_deadline_ns()
            event = one.handle_deadline(now_ns)
            assert event is None or (due_ns is not None and due_ns <= now_ns)
        if event is not None:
            told.append(event)
            assert event.at_ns == now_ns
            if not event.on:
                assert now_ns >= keep_ns + round(rest_s * NS_PER_S)
        opened_ns = told[-1].at_ns + round(release_s * NS_PER_S) if told and told[-1].on else None
        assert one.keeps_back(now_ns) == (opened_ns is None or now_ns < opened_ns)
    assert [one.on for one in told] == [number % 2 == 0 for number in range(len(told))]


def test_what_waits_for_a_mute_amplifier_un_mutes_it():
    pole = Pole(release_ms=400)
    pole.node.set_source(OWN_SSRCS, MessageClass.URGENT, "commune", gain_db=0.0)
    source = pole.node.hold_stored(OWN_SSRCS, pole.now_ns)
    source.play(Recording.of(SOUND), 60)  # and nobody said so
    pole.run(4.0)
    assert np.flatnonzero(pole.heard).size > 1.9 * RATE_HZ
    assert np.array_equal(pole.heard, pole.played)


def test_a_node_that_has_no_such_amplifier_tells_nothing():
    pole = Pole(release_ms=0)
    pole.stored()
    pole.run(3.0)
    assert pole.switched == [] and pole.node.next_deadline_ns() is None


@pytest.mark.parametrize(
    ("setting", "right"),
    [
        ({"mute_release_s": 10.1}, "0 to 10"),
        ({"mute_release_s": -0.1}, "0 to 10"),
        ({"rest_s": 0.5}, "1 to 3600"),
        ({"switch": "gpio17"}, "from / on"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(setting, right):
    with pytest.raises(ConfigError, match=f"amplifier.{next(iter(setting))} = .*{right}"):
        AmplifierConfig(**setting)
