"""What the ear says second by second of a node that plays, and of its tone."""

import numpy as np
import pytest

from node.hearing.ear import VERDICTS_MAX, Ear
from node.hearing.monitor import Monitor
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from tests.node.hearing.test_match import voice
from tests.node.hearing.test_tone import tone

BEGIN_NS = 1000 * NS_PER_S
PERIOD = 480
BLOCK = 4800


class Place:
    """A node, its horn and a microphone before it, 10 ms at a time."""

    def __init__(self, *, gain_db=-20.0, noise_dbfs=-50.0, delay_ms=250, reference_db=None):
        self.monitor = Monitor((tone(reference_db=reference_db), tone(20_000.0, -40.0)))
        self.ear = Ear(self.monitor, rate_hz=RATE_HZ, noise_max_dbfs=-20.0)
        self.gain, self.noise = 10 ** (gain_db / 20), 10 ** (noise_dbfs / 20)
        self.rng = np.random.default_rng(3)
        self.now_ns = BEGIN_NS
        self.air = np.zeros(delay_ms * 48, np.float32)
        self.sound = np.zeros(0, np.float32)
        self.is_cut = self.is_blocked = self.rests = False
        self.verdicts = []

    def run(self, seconds):
        for _ in range(round(seconds * 100)):
            out = np.zeros((PERIOD, 1), np.float32)
            part, self.sound = self.sound[:PERIOD], self.sound[PERIOD:]
            out[: part.size, 0] = part
            if not (self.rests and self.monitor.rests and not part.size):
                self.monitor.process(out, self.now_ns)
            self.air = np.concatenate((self.air, out[:, 0] * (not self.is_cut)))
            self.now_ns += PERIOD * NS_PER_S // RATE_HZ
            if (self.now_ns - BEGIN_NS) % (100 * NS_PER_MS) == 0:
                heard, self.air = self.air[:BLOCK], self.air[BLOCK:]
                noise = self.noise * self.rng.standard_normal(BLOCK)
                if not self.is_blocked:
                    self.ear.receive_captured(
                        (self.gain * heard + noise).astype(np.float32), self.now_ns
                    )
            while (one := self.ear.next_event()) is not None:
                self.verdicts.append(one)
        told, self.verdicts = self.verdicts, []
        return told

    def words(self, seconds):
        return [one.word for one in self.run(seconds)]


@pytest.mark.parametrize("rests", [False, True])
def test_what_sounds_is_heard_and_silence_has_no_verdict(rests):
    """Also where the core is not asked at all while it rests."""
    place = Place()
    place.rests = rests
    assert place.words(6) == []
    place.sound = voice(place.rng, 8.0)
    told = place.words(11)
    assert set(told) == {"heard"}
    assert 7 <= len(told) <= 11
    assert place.words(4) == []


@pytest.mark.parametrize(("gain_db", "word"), [(-25.0, "heard"), (-40.0, "cannot tell")])
def test_only_what_is_as_loud_as_the_horn_was_is_heard_as_the_horn(gain_db, word):
    place = Place(gain_db=gain_db, noise_dbfs=-70, reference_db=-20.0)
    place.run(4)
    place.sound = voice(place.rng, 8.0)
    told = place.run(11)
    assert {one.word for one in told if "before" not in one.why} == {word}


def test_a_cut_cable_is_not_heard_within_6_s():
    place = Place()
    place.run(4)
    place.sound = voice(place.rng, 20.0)
    assert set(place.words(8)) == {"heard"}
    place.is_cut = True
    told = place.words(6)
    assert told[-3:] == ["not heard"] * 3


def test_what_was_not_captured_cannot_be_told():
    place = Place()
    place.run(4)
    place.sound = voice(place.rng, 20.0)
    place.run(5)
    place.is_blocked = True
    assert place.run(4) == []
    place.is_blocked = False
    told = place.run(3)
    assert {one.word for one in told} == {"cannot tell"}
    assert {one.why for one in told} == {"nothing was captured for a while"}


def test_a_dead_capture_is_told_also_while_nothing_sounds():
    place = Place(noise_dbfs=-400)
    place.run(8)
    assert place.ear.fault == "the capture is dead: each sample is the same"
    assert Place().ear.fault == ""


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_a_tone_is_heard_or_not(silent, cut):
    place = Place(noise_dbfs=-70)
    place.run(4)
    place.is_cut = cut
    place.monitor.begin_tone(place.now_ns, silent=silent)
    [one] = place.run(10)
    assert one.is_tone
    assert one.word == ("not heard" if cut else "heard")
    assert place.monitor.rests
    assert place.run(5) == [], "it is told once"


def test_a_tone_gives_way_to_whatever_sounds_at_once():
    place = Place(noise_dbfs=-70)
    place.run(4)
    place.monitor.begin_tone(place.now_ns, silent=False)
    place.run(3)
    assert not place.monitor.rests
    out = np.full((PERIOD, 1), 0.25, np.float32)
    place.monitor.process(out, place.now_ns)
    assert (out == 0.25).all()
    assert place.monitor.rests
    [one] = [one for one in place.run(4) if one.is_tone]
    assert (one.word, one.why) == ("cannot tell", "something else was to sound")


def test_a_tone_that_nothing_asked_for_in_time_never_sounds():
    monitor = Monitor((tone(), tone()))
    monitor.begin_tone(BEGIN_NS, silent=False)
    out = np.zeros((PERIOD, 2), np.float32)
    monitor.process(out, BEGIN_NS + 60 * NS_PER_S)
    assert not out.any()
    assert (monitor.rests, monitor.is_cut) == (True, True)


def test_verdicts_that_nobody_takes_are_a_minute_of_them():
    place = Place()
    place.run(4)
    taken, place.ear.next_event = place.ear.next_event, lambda: None
    for _ in range(14):
        place.sound = voice(place.rng, 6.0)
        place.run(6)
    count = 0
    while taken() is not None:
        count += 1
    assert count == VERDICTS_MAX
