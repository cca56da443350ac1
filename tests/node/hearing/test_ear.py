"""What the ear says second by second of a node that plays, and of its tone."""

import numpy as np
import pytest

from node.hearing.ear import CUT_OFF, HEARS_NOTHING, VERDICTS_MAX, Ear
from node.hearing.monitor import Monitor
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from tests.node.hearing.test_match import voice
from tests.node.hearing.test_tone import tone

BEGIN_NS = 1000 * NS_PER_S
PERIOD = 480
BLOCK = 4800


class Place:
    """A node, its horn and a microphone before it, 10 ms at a time."""

    def __init__(self, *, gain_db=-20.0, noise_dbfs=-50.0, delay_ms=250, reference_db=None, **ear):
        self.monitor = Monitor((tone(reference_db=reference_db), tone(20_000.0, -40.0)))
        self.ear = Ear(self.monitor, rate_hz=RATE_HZ, noise_max_dbfs=-20.0, **ear)
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
    assert (one.word, one.why) == ("cannot tell", CUT_OFF)


@pytest.mark.parametrize("seconds", [1.0, 2.0, 4.0])
def test_a_tone_that_may_not_sound_any_more_ends_at_once_without_a_click(seconds):
    """Before it began, in the midst of it, and when it has ended by itself."""
    place = Place(noise_dbfs=-70)
    place.run(4)
    place.monitor.begin_tone(place.now_ns, silent=False)
    place.run(seconds)
    before = np.zeros((PERIOD, 1), np.float32)
    place.monitor.process(before, place.now_ns)
    was_over = place.monitor.rests
    place.monitor.end_tone()
    after = np.zeros((4 * PERIOD, 1), np.float32)
    for i in range(4):
        place.monitor.process(after[i * PERIOD : (i + 1) * PERIOD], place.now_ns)
    assert not after[2 * PERIOD :].any(), "20 ms"
    assert place.monitor.rests
    assert np.abs(after[720:]).max() <= 0.3 * np.abs(before).max(), "it has fallen by then"
    step = float(np.abs(np.diff(np.concatenate((before, after))[:, 0])).max())
    assert step <= 1.05 * 0.1 * 2 * np.pi * 1000 / RATE_HZ, "no more than the tone's own"
    told = [one for one in place.run(4) if one.is_tone]
    if not was_over:
        assert [(one.word, one.why) for one in told] == [("cannot tell", CUT_OFF)]


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


@pytest.mark.parametrize("how", ["programme", "tone"])
def test_a_microphone_that_hisses_on_blames_no_horn_and_is_itself_at_fault(how):
    def sounds(place):
        if how == "tone":
            place.monitor.begin_tone(place.now_ns, silent=False)
        else:
            place.sound = voice(place.rng, 5.0)
        return place.run(9)

    deaf = Place(gain_db=-400)
    deaf.run(65)
    told = sounds(deaf)
    assert {(one.word, one.why) for one in told} == {("cannot tell", HEARS_NOTHING)}
    deaf.run(2)
    assert deaf.ear.fault == HEARS_NOTHING
    line = Place(gain_db=-400, may_be_still=True)
    line.run(65)
    assert {one.word for one in sounds(line)} == {"not heard"}, "a line is still by itself"
    place = Place(gain_db=-400)
    place.run(40)
    place.noise *= 1.2
    place.run(25)
    assert {one.word for one in sounds(place)} == {"not heard"}, "a place that moves was heard"
    assert place.ear.fault == ""


def test_a_deaf_microphone_that_hears_again_is_no_fault_any_more():
    place = Place()
    place.is_cut = True
    place.run(65)
    place.sound = voice(place.rng, 12.0)
    place.run(5)
    assert place.ear.fault == HEARS_NOTHING
    place.is_cut = False
    words = place.words(9)
    assert words[-1] == "heard"
    assert place.ear.fault == ""


def test_what_has_heard_a_moment_is_not_deaf_however_long_it_was_still_before():
    place = Place()
    place.run(250)
    place.sound = voice(place.rng, 3.0)
    assert "heard" in place.words(6)
    place.is_cut = True
    place.sound = voice(place.rng, 6.0)
    assert place.words(9)[-1] == "not heard"
