"""A core that rests is not asked for silence, and what comes meanwhile is heard as ever."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import AudioConfig, JitterConfig, NodeConfig
from node.opus.libopus import LibopusDecoder
from node.shell.card.sound_watch import SoundWatch
from node.shell.loop.core_sound import CoreLock, CoreSound
from node.shell.pace import Pace
from node.stack import SpeakerNode
from tests.node.test_stack import MS, PERIOD, SENDER, S, datagram


class Asked:
    """A core that counts how often it is asked for sound."""

    def __init__(self, node):
        self.node, self.renders = node, 0

    def render(self, out, presentation_ns):
        self.renders += 1
        self.node.render(out, presentation_ns)

    def rests(self, unasked=0):
        return self.node.rests(unasked)


class Never(Asked):
    def rests(self, unasked=0):
        assert unasked == 0
        return False


class Packets(list):
    """Opus, of which nobody wants to read the bytes."""

    def __repr__(self):
        return "Packets()"


@pytest.fixture(scope="module")
def packets(programme):
    return Packets(programme)


def run(kind, spells, programme):
    """Play spells of (pause, packets), each a stream of its own; return sound, status, renders."""
    config = NodeConfig(
        name="node",
        jitter=JitterConfig(playout_delay_ms=100),
        audio=AudioConfig(power_limit_db=-30.0),
    )
    node = SpeakerNode(config, decoder_factory=LibopusDecoder)
    core, lock = kind(node), CoreLock()
    sound = CoreSound(core, lock, Pace(0), SoundWatch(None, 0))
    arrivals, at_ns = [], 0
    for ssrc, (pause_ms, count) in enumerate(spells, start=7):
        at_ns += pause_ms * MS
        for i in range(count):
            payload = programme[i % len(programme)]
            arrivals.append((at_ns, datagram(i, payload, ssrc=ssrc)))
            at_ns += 20 * MS
    out = np.full(((at_ns + 15 * S) // (10 * MS) * PERIOD, 1), 9, np.float32)
    for k in range(out.shape[0] // PERIOD):
        now_ns = k * 10 * MS
        while arrivals and arrivals[0][0] <= now_ns:
            due_ns, data = arrivals.pop(0)
            with lock:
                node.receive_datagram(data, SENDER, due_ns)
        due_ns = node.next_deadline_ns()
        if due_ns is not None and due_ns <= now_ns:
            with lock:
                node.handle_deadline(now_ns)
        sound.render(out[k * PERIOD : (k + 1) * PERIOD], now_ns)
    with lock:
        pass  # whoever takes it, also to look
    sound.render(np.empty((PERIOD, 1), np.float32), now_ns + 10 * MS)
    return out, node.status(), core.renders


SPELLS = st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 60)), min_size=1, max_size=3)


@settings(max_examples=10, deadline=None)
@example([(0, 40), (11_000, 40)])
@given(SPELLS)
def test_the_sound_and_all_that_is_told_are_those_of_a_core_that_is_always_asked(packets, spells):
    rested, told, renders = run(Asked, spells, packets)
    always, as_ever, all_of_them = run(Never, spells, packets)
    assert np.array_equal(rested, always)
    assert rested.any() or max(count for _, count in spells) < 20
    assert told == as_ever
    assert renders < all_of_them


def test_an_idle_core_is_asked_once_and_again_when_somebody_has_its_lock():
    core, lock = Asked(SpeakerNode(NodeConfig(name="node"), decoder_factory=None)), CoreLock()
    watch = SoundWatch(None, 0)
    sound, out = CoreSound(core, lock, Pace(0), watch), np.ones((PERIOD, 1), np.float32)
    for k in range(100):
        out[:] = 1.0
        sound.render(out, k * 10 * MS)
        assert not out.any()
    assert core.renders == 1 and watch.periods == 100
    with lock:
        pass
    sound.render(out, S)
    assert core.renders == 2


def test_a_lock_is_given_back_whatever_happens():
    lock = CoreLock()
    with pytest.raises(ValueError, match="x"), lock:
        raise ValueError("x")
    with lock:
        pass
