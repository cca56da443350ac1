"""Self-tests: ordered by who may, at hours allowed, over nothing that sounds, and on record."""

import msgspec
import pytest

from node.control.controller import Controller
from node.control.events import StartTone, StopTone
from node.control.orders import Session
from node.control.proof.proof import Entry
from node.control.proof.self_tests import SelfTestRules
from node.control.proof.tally import Tally
from node.control.trust.fates import NO_LOOP, NOT_NOW, OUTSIDE_HOURS
from node.control.trust.message import Kind
from node.events import LoopVerdict, Publish
from node.shell.hearing.settings import LoopConfig
from node.units import NS_PER_S
from tests.node.control.test_controller import COMMUNE, NODE, ROOT, RULES, Village

ZONE = "Asia/Ho_Chi_Minh"
RULES_OF_LOOP = LoopConfig(file="/x", tone_hours=("08:00-11:00",), daily="09:00").rules(ZONE)


class Pole(Village):
    """A node with a loop, at ten in the morning."""

    def __init__(self, wall="2025-12-07T10:00:05", loop=RULES_OF_LOOP, **more):
        self.loop = loop
        super().__init__(wall, **more)

    def boot(self, *, trusted=True):
        super().boot(trusted=trusted)
        self.node = Controller(
            "coc-1", self.config, RULES, dict(self.disk), NODE, heard_by="card", loop=self.loop
        )
        self.read_clock(trusted=trusted)

    def test(self, content=b"audible", by=COMMUNE):
        self.events.clear()
        return self.order(by, Kind.SELF_TEST, content)

    def verdict(self, word="heard", *, seconds=6, is_tone=True, **more):
        self.now_ns += seconds * NS_PER_S
        end_ns = self.now_ns - NS_PER_S
        one = LoopVerdict(word, end_ns - 2 * NS_PER_S, end_ns, is_tone=is_tone, **more)
        fault = self.node.receive_verdict(one, self.now_ns)
        self.take()
        return fault

    def wait(self, seconds):
        for _ in range(seconds):
            self.now_ns += NS_PER_S
            self.node.handle_deadline(self.now_ns)
            self.take()

    def tones(self):
        return [one.silent for one in self.events if isinstance(one, StartTone)]

    def stops(self):
        return sum(isinstance(one, StopTone) for one in self.events)

    def records(self):
        lines = [o.payload for o in self.events if isinstance(o, Publish) and o.topic == "proof"]
        return [msgspec.json.decode(line, type=Entry).record for line in lines]


def test_a_test_by_order_sounds_and_what_came_of_it_is_on_record_with_who_ordered_it():
    pole = Pole()
    assert pole.test() == "obeyed"
    assert pole.tones() == [False]
    assert pole.verdict(margin_db=23.4, gain_db=-18.25) is None
    [record] = pole.records()
    assert (record.name, record.writer, record.outcome) == ("self-test", "self-test", "played")
    assert record.heard_by == "microphone, tone heard, margin 23 dB, gain -18.2 dB"
    assert record.signed_by == COMMUNE.key_id.hex()
    assert pole.test(b"silent") == "obeyed"
    assert pole.tones() == [True]
    pole.verdict()
    assert pole.records()[0].serial == record.serial + 1


def test_who_may_order_nothing_here_tests_nothing():
    pole = Pole()
    stranger = type(ROOT)(bytes(32))
    assert pole.test(by=stranger) == "unknown key"
    assert pole.tones() == []


@pytest.mark.parametrize("content", [b"", b"loud", b"audible\0", b"x" * 5000])
def test_what_is_neither_silent_nor_audible_is_refused(content):
    assert Pole().test(content).startswith("neither")


def test_without_a_loop_there_is_no_test():
    pole = Pole(loop=None)
    assert pole.test() == NO_LOOP
    assert pole.tones() == []
    assert pole.node.next_deadline_ns() is None or pole.tones() == []


def test_the_tone_is_heard_by_people_only_in_the_hours_allowed():
    pole = Pole("2025-12-07T12:30:05")
    assert pole.test() == OUTSIDE_HOURS
    assert pole.test(b"silent") == "obeyed"


def test_it_is_refused_while_something_sounds_while_muted_and_while_another_is_under_way():
    pole = Pole()
    pole.node.receive_grants((5,), pole.now_ns)
    assert pole.test() == NOT_NOW
    pole.node.receive_grants((), pole.now_ns)
    assert pole.order(COMMUNE, Kind.MUTE) == "obeyed"
    assert pole.test(b"silent") == NOT_NOW
    assert pole.order(COMMUNE, Kind.UNMUTE) == "obeyed"
    assert pole.test() == "obeyed"
    assert pole.test() == NOT_NOW


def test_a_mute_or_a_sound_ends_the_tone_at_once_and_the_record_says_that_it_was_cut_off():
    for ends in (
        lambda pole: pole.order(COMMUNE, Kind.MUTE),
        lambda pole: pole.node.receive_grants((5,), pole.now_ns),
    ):
        pole = Pole()
        pole.test()
        pole.wait(2)
        assert pole.stops() == 0
        ends(pole)
        pole.take()
        assert pole.stops() == 1
        pole.wait(2)
        assert pole.stops() == 1, "once"
        pole.verdict("cannot tell", why="it was cut off")
        [record] = pole.records()
        assert record.outcome == "missed" and record.reason.endswith("it was cut off")


@pytest.mark.parametrize("why", [NOT_NOW, OUTSIDE_HOURS])
def test_an_order_that_came_at_a_bad_moment_is_used_up_who_recorded_it_plays_no_tone(why):
    pole = Pole("2025-12-07T12:30:05" if why == OUTSIDE_HOURS else "2025-12-07T10:00:05")
    if why == NOT_NOW:
        pole.node.receive_grants((5,), pole.now_ns)
    sealed = pole.sealed(COMMUNE, Kind.SELF_TEST, b"audible")
    assert pole.send(sealed) == why
    pole.node.receive_grants((), pole.now_ns)
    assert pole.send(sealed) == "replayed"
    assert pole.tones() == []


def test_a_test_of_which_nothing_is_heard_is_missed_and_says_why():
    pole = Pole()
    pole.test()
    pole.events.clear()
    pole.wait(31)
    [record] = pole.records()
    assert (record.outcome, record.reason) == (
        "missed",
        "cannot tell whether the tone was heard: nothing is captured",
    )
    assert pole.test() == "obeyed", "the next one may come"


def test_a_tone_that_is_not_heard_is_a_fault_until_something_is():
    pole = Pole()
    pole.test()
    assert pole.verdict("not heard").startswith("the microphone heard nothing of it: is the amp")
    [record] = pole.records()
    assert (record.outcome, record.reason) == ("missed", "tone not heard")
    assert pole.verdict("cannot tell", is_tone=False) is not None
    assert pole.verdict("heard", is_tone=False) is None


def test_three_looks_without_sound_are_a_fault_and_two_are_none():
    pole = Pole()
    assert pole.verdict("not heard", is_tone=False) is None
    assert pole.verdict("not heard", is_tone=False) is None
    assert pole.verdict("not heard", is_tone=False) is not None


def test_each_day_at_its_hour_once_and_aloud_where_that_is_allowed():
    pole = Pole("2025-12-07T08:59:30")
    pole.wait(40)
    assert pole.tones() == [False]
    pole.verdict()
    pole.wait(40)
    assert pole.tones() == [False], "once a day"
    late = Pole("2025-12-07T08:59:30", LoopConfig(file="/x", daily="09:00").rules(ZONE))
    late.wait(40)
    assert late.tones() == [True], "no hours are allowed: nobody hears it"


def test_the_daily_test_waits_for_silence_and_is_left_out_where_none_comes():
    pole = Pole("2025-12-07T08:59:58")
    pole.node.receive_grants((5,), pole.now_ns)
    pole.wait(60)
    assert pole.tones() == []
    pole.node.receive_grants((), pole.now_ns)
    pole.wait(2)
    assert pole.tones() == [False]
    busy = Pole("2025-12-07T08:59:58")
    busy.node.receive_grants((5,), busy.now_ns)
    for _ in range(62):
        busy.now_ns += 60 * NS_PER_S
        busy.node.receive_time(busy.now_ns + busy.offset_ns, busy.now_ns, synchronised=True)
        busy.take()
    busy.node.receive_grants((), busy.now_ns)
    busy.wait(5)
    assert busy.tones() == []


def test_a_deadline_stands_for_the_daily_test():
    pole = Pole("2025-12-07T08:30:00")
    pole.wait(1)
    assert pole.node.next_deadline_ns() <= pole.now_ns + 30 * 60 * NS_PER_S


def test_a_clock_that_is_not_known_tests_nothing_by_itself():
    pole = Pole("2025-12-07T08:59:58", trusted=False)
    pole.wait(10)
    assert pole.tones() == []
    assert isinstance(RULES_OF_LOOP, SelfTestRules)


@pytest.mark.parametrize(
    ("words", "told", "is_silent"),
    [
        ("", "card", False),
        ("hhh", "microphone, heard at 3 of 3 looks, margin 4 dB at least", False),
        ("hnn", "microphone, heard at 1 of 3 looks, margin 4 dB at least", False),
        ("nn", "card; the microphone heard nothing of it at 2 of 2 looks", False),
        ("nnnc", "card; the microphone heard nothing of it at 3 of 4 looks", True),
        ("cc", "card; the microphone could not tell: noise", False),
    ],
)
def test_what_a_record_says_is_what_the_loop_has_said(words, told, is_silent):
    tally = Tally()
    for i, letter in enumerate(words):
        word = {"h": "heard", "n": "not heard", "c": "cannot tell"}[letter]
        why = "noise" if letter == "c" else ""
        tally.note(LoopVerdict(word, 0, 1, margin_db=4.0 + i, why=why))
    assert (tally.told("microphone", "card"), tally.is_silent) == (told, is_silent)


@pytest.mark.parametrize(
    ("word", "outcome", "reason", "by"),
    [
        ("heard", "played", "", "microphone, heard at 4 of 4 looks, margin 9 dB at least"),
        (
            "not heard",
            "missed",
            "the microphone heard nothing of it",
            "card; the microphone heard nothing of it at 4 of 4 looks",
        ),
        ("cannot tell", "played", "", "card; the microphone could not tell: "),
    ],
)
def test_a_live_stream_is_proven_by_what_had_the_horn_all_the_while(word, outcome, reason, by):
    pole = Pole()
    content = msgspec.json.encode(Session(ssrc=7))
    assert pole.order(COMMUNE, Kind.SESSION, content) == "obeyed"
    pole.node.receive_grants((7,), pole.now_ns)
    pole.verdict("heard", seconds=2, is_tone=False, margin_db=1.0)  # began before it had the horn
    for _ in range(4):
        pole.verdict(word, seconds=2, is_tone=False, margin_db=9.0)
    pole.events.clear()
    pole.order(COMMUNE, Kind.SESSION_END, content)
    [record] = pole.records()
    assert (record.outcome, record.reason) == (outcome, reason)
    assert record.heard_by == by
