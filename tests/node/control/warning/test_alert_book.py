"""Warnings at one node: heard once, ended when they end, and never after they were cancelled."""

import inspect
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.control.control_cap import CANCEL, EXERCISE, FLOOD, SITE, STORM, UPDATE
from node.config import ConfigError
from node.control.calendar.play_state import Record
from node.control.events import FetchMedia, StartPart, StopPart
from node.control.loudness import regulation
from node.control.loudness.regulation import Regulation, RegulationConfig, load_rule_file
from node.control.precedence import MessageClass, PriorityConfig
from node.control.warning.alert import Alert, AlertConfig, PhraseConfig, alert_of
from node.control.warning.alert_book import AlertBook
from node.control.warning.alert_places import OPEN_MAX
from node.control.warning.alert_state import decode_book
from node.control.warning.cap import CapAlert, parse_cap
from node.events import Persist
from node.units import NS_PER_S

SIREN, PHRASE, EXERCISE_PHRASE = "a" * 64, "b" * 64, "e" * 64
CONFIG = AlertConfig(
    phrases={
        "FFW": PhraseConfig(siren=SIREN, text={"vi": PHRASE}),
        "any": PhraseConfig(siren="c" * 64, text={"vi": "d" * 64}),
    },
    exercise_phrase={"vi": EXERCISE_PHRASE},
    interval_s=20,
)
HOURS = load_rule_file(
    (Path(inspect.getfile(regulation)).parents[1] / "regulations" / "hours_common.toml").read_text(
        encoding="utf-8"
    ),
    where="hours",
)


def utc_s(text: str) -> int:
    return int(datetime.fromisoformat(f"2025-10-07T{text}+07:00").astimezone(UTC).timestamp())


class Gateway:
    def __init__(self, config: AlertConfig = CONFIG, start: str = "02:00:05"):
        self.config = config
        self.disk: bytes | None = None
        self.now_s = utc_s(start)
        self.trusted = True
        self.heard: list[StartPart] = []
        self.fetched: list[FetchMedia] = []
        self.records: dict[tuple[str, int], Record] = {}
        self.sounding: set[int] = set()
        self.boot()

    def boot(self) -> None:
        state = decode_book(self.disk)
        assert state is not None
        self.sounding.clear()
        self.book = AlertBook(
            self.config,
            Regulation((HOURS,), RegulationConfig()),
            state,
            tiers=PriorityConfig().tiers,
            languages=("tyz", "vi"),
            zone="Asia/Ho_Chi_Minh",
        )

    def receive(self, text: str, level: str = "province") -> str:
        cap = parse_cap(text.encode())
        assert isinstance(cap, CapAlert), cap
        alert = alert_of(cap, SITE, self.config, level=level, class_max=MessageClass.URGENT)
        assert isinstance(alert, Alert), alert
        return self.receive_alert(alert)

    def receive_alert(self, alert: Alert) -> str:
        fate = self.book.receive_alert(
            alert, self.now_s, self.now_s * NS_PER_S, trusted=self.trusted
        )
        self.take()
        return fate

    def until(self, text: str) -> None:
        end_s = utc_s(text)
        while (at_ns := self.book.next_deadline_ns()) is not None and at_ns <= end_s * NS_PER_S:
            self.now_s = max(self.now_s, -(-at_ns // NS_PER_S))
            self.tick()
        self.now_s = end_s
        self.tick()

    def tick(self) -> None:
        self.book.handle_time(self.now_s, self.now_s * NS_PER_S, trusted=self.trusted)
        self.take()

    def take(self) -> None:
        while (event := self.book.next_event()) is not None:
            if isinstance(event, Persist):
                self.disk = event.value
            elif isinstance(event, StartPart):
                self.heard.append(event)
                self.sounding.add(event.source)
            elif isinstance(event, StopPart):
                self.sounding.discard(event.source)
            elif isinstance(event, FetchMedia):
                self.fetched.append(event)
            else:
                self.records[(event.writer, event.serial)] = event

    def outcomes(self) -> list[tuple[str, str, str]]:
        return [(r.name[-3:], r.outcome, r.reason) for r in self.records.values()]


def test_a_warning_sounds_siren_and_words_three_times_and_never_again():
    gateway = Gateway()
    assert gateway.receive(FLOOD) == "waiting"
    assert [part.media for part in gateway.heard] == [SIREN]
    assert gateway.fetched[0].uri.endswith("001.ogg")
    gateway.until("03:00:00")
    assert [part.kind for part in gateway.heard] == ["chime", "text"] * 3
    assert gateway.heard[1].media.startswith("sha1:")
    assert gateway.outcomes() == [("001", "played", "")]
    assert gateway.receive(FLOOD) == "known" and gateway.sounding == set()


def test_when_the_words_cannot_be_fetched_the_stored_phrase_speaks():
    gateway = Gateway()
    gateway.receive(FLOOD)
    gateway.until("02:00:15")
    assert gateway.heard[-1].media.startswith("sha1:")
    gateway.book.receive_part_ended(-101, gateway.now_s * NS_PER_S, failed="not there")
    gateway.tick()
    assert (gateway.heard[-1].kind, gateway.heard[-1].media) == ("text", PHRASE)
    gateway.until("03:00:00")
    assert gateway.records[("alerts", 1)].failed == ("not there",)


def test_a_cancel_stops_the_sound_and_makes_none():
    gateway = Gateway()
    gateway.receive(FLOOD)
    gateway.until("02:00:30")
    heard = len(gateway.heard)
    assert gateway.receive(CANCEL) == "cancel"
    gateway.until("07:00:00")
    assert len(gateway.heard) == heard and gateway.sounding == set()
    assert ("001", "cancelled", "cancelled") in gateway.outcomes()


@pytest.mark.parametrize("late", [FLOOD, UPDATE])
def test_what_was_cancelled_before_it_came_never_sounds(late):
    gateway = Gateway(start="04:00:05")
    gateway.receive(CANCEL)
    assert gateway.receive(late) == "known"
    gateway.until("05:00:00")
    assert gateway.heard == []


def test_an_update_replaces_what_sounds():
    gateway = Gateway(start="03:00:05")
    gateway.receive(FLOOD)
    gateway.receive(UPDATE)
    gateway.until("05:00:00")
    assert ("001", "cancelled", "superseded") in gateway.outcomes()
    assert ("002", "played", "") in gateway.outcomes()


def test_a_lower_authority_cannot_silence_a_higher_one():
    gateway = Gateway()
    gateway.receive(FLOOD, "province")
    gateway.receive(CANCEL, "commune")
    gateway.until("03:00:00")
    assert ("001", "played", "") in gateway.outcomes()


def test_a_lower_authority_cannot_silence_a_higher_one_in_advance_either():
    gateway = Gateway(start="04:00:05")
    gateway.receive(CANCEL, "commune")
    assert gateway.receive(FLOOD, "province") == "waiting" and gateway.sounding
    gateway = Gateway()
    gateway.receive(FLOOD.replace("Extreme", "Minor"), "commune")
    assert gateway.sounding == set()
    assert gateway.receive(FLOOD, "province") == "waiting" and gateway.sounding
    assert gateway.receive(FLOOD, "commune") == "known"


def test_an_expired_warning_does_not_sound_and_one_that_expires_stops():
    gateway = Gateway(start="08:00:00")
    assert gateway.receive(FLOOD) == "expired" and gateway.heard == []
    gateway = Gateway(start="07:59:30")
    gateway.receive(FLOOD)
    assert gateway.sounding
    gateway.until("08:00:00")
    assert not gateway.sounding
    assert gateway.outcomes() == [("001", "stopped", "expired")]


def expected_at(text: str, wall: str) -> str:
    """Return a warning of something expected, not immediate, that takes effect at `wall`."""
    text = text.replace("<effective>2025-10-07T02:00:00", f"<effective>2025-10-07T{wall}")
    return without_second_language(text.replace(">Immediate<", ">Expected<"))


def test_a_warning_waits_for_its_time():
    gateway = Gateway()
    gateway.receive(expected_at(FLOOD, "03:00:00"))
    gateway.until("02:59:59")
    assert gateway.heard == []
    gateway.until("03:00:00")
    assert len(gateway.heard) == 1


@pytest.mark.parametrize("hours", [1, 7, 24, 24 * 400])
def test_a_warning_from_a_machine_whose_clock_is_ahead_sounds_at_once(hours):
    gateway = Gateway()
    sent_s = gateway.now_s + hours * 3600
    alert = Alert(
        sender="s",
        identifier="#0000000000000001",
        kind="alert",
        message_class=MessageClass.URGENT,
        level="province",
        event_code="any",
        sent_s=sent_s,
        effective_s=sent_s,
        expires_s=sent_s + 60,
    )
    assert gateway.receive_alert(alert) == "waiting" and gateway.sounding
    gateway.until("02:01:05")  # and it lasts as long as it was to
    assert not gateway.sounding


def test_what_waits_for_saturday_keeps_out_nothing_that_is_to_be_heard_now():
    gateway = Gateway()
    saturday = expected_at(FLOOD, "07:00:00")
    for number in range(OPEN_MAX):
        gateway.receive(saturday.replace("-001</identifier>", f"-{number + 100}</identifier>"))
    assert gateway.receive(saturday.replace("-001<", "-999<")) == "too many warnings at once"
    assert gateway.heard == []
    assert gateway.receive(FLOOD) == "waiting" and gateway.sounding


def test_what_is_not_urgent_waits_for_the_hours_of_the_commune():
    gateway = Gateway(start="02:00:00")
    gateway.receive(STORM.replace("01:57:00-00:00", "01:57:00+07:00"))
    gateway.until("05:29:59")
    assert gateway.heard == []
    gateway.until("05:30:00")
    assert len(gateway.heard) == 1 and gateway.heard[0].message_class is MessageClass.PRIORITY


def test_an_exercise_is_said_to_be_one_before_and_after_or_does_not_sound():
    gateway = Gateway(start="05:30:00")
    gateway.receive(EXERCISE)
    gateway.until("07:00:00")
    first_round = [part.media for part in gateway.heard][:4]
    assert first_round[0] == first_round[3] == EXERCISE_PHRASE
    silent = Gateway(AlertConfig(phrases=CONFIG.phrases), start="05:30:00")
    assert silent.receive(EXERCISE) == "no stored sound for it"


def test_an_urgent_warning_cut_off_by_the_power_begins_again():
    gateway = Gateway()
    gateway.receive(FLOOD)
    gateway.until("02:00:30")
    gateway.boot()
    gateway.now_s += 40
    gateway.heard.clear()
    gateway.tick()
    assert [part.media for part in gateway.heard] == [SIREN]
    gateway.until("04:00:00")
    gateway.boot()
    gateway.heard.clear()
    gateway.until("05:00:00")
    assert gateway.heard == []


def test_without_a_clock_an_urgent_warning_sounds_and_another_does_not():
    gateway = Gateway()
    gateway.trusted = False
    assert gateway.receive(FLOOD) == "waiting" and len(gateway.heard) == 1
    assert gateway.receive(STORM) == "not urgent while the time is not known"
    gateway.until("02:10:00")
    assert ("001", "played", "") in gateway.outcomes()


def test_an_urgent_warning_finds_room_among_many_lesser_ones():
    gateway = Gateway(start="05:30:00")
    for number in range(OPEN_MAX):
        gateway.receive(STORM.replace("KTTV.", f"KTTV.{number}."))
    assert gateway.receive(STORM.replace("KTTV.", "KTTV.99.")) == "too many warnings at once"
    assert gateway.receive(FLOOD) == "waiting"
    assert any(part.media == SIREN for part in gateway.heard)


def test_a_damaged_memory_is_known_as_such():
    gateway = Gateway()
    gateway.receive(FLOOD)
    assert gateway.disk is not None
    assert decode_book(gateway.disk[:-2]) is None
    again = decode_book(gateway.disk)
    assert again is not None and msgspec.json.encode(again) == gateway.disk


def test_wrong_settings_are_refused_by_name():
    for wrong in ({"interval_s": -1}, {"repeat": {"urgent": 3}}, {"expires_default_s": 1}):
        with pytest.raises(ConfigError, match=f"alert.{next(iter(wrong))} = "):
            AlertConfig(**wrong)  # type: ignore[arg-type]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("alert"), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.sampled_from(["update", "cancel"]), st.integers(0, 3), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.integers(1, 4000), st.just(0)),
        st.tuples(st.just("boot"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


@settings(deadline=None)
@given(ACTIONS)
def test_nothing_cancelled_superseded_or_expired_sounds_whatever_the_order(actions):
    gateway = Gateway(start="06:00:00")
    over: set[str] = set()
    ends_s = {}
    number = 0
    for what, target, kind in actions:
        if what == "wait":
            at_s = min(gateway.now_s - utc_s("00:00:00") + target, 86_399)
            gateway.until(f"{at_s // 3600:02}:{at_s // 60 % 60:02}:{at_s % 60:02}")
        elif what == "boot":
            gateway.boot()
            gateway.tick()
        else:
            references = () if what == "alert" else (("s", f"a{target}"),)
            identifier = f"a{target}" if what == "alert" else f"{what}{number}"
            number += 1
            alert = Alert(
                sender="s",
                identifier=identifier,
                kind=what,
                message_class=kind,
                level="commune",
                event_code="any",
                sent_s=gateway.now_s,
                effective_s=gateway.now_s,
                expires_s=gateway.now_s + 900,
                references=references,
            )
            ends_s.setdefault(identifier, alert.expires_s)
            over |= {one for _, one in references} | ({identifier} if what == "cancel" else set())
            heard = len(gateway.heard)
            gateway.receive_alert(alert)
            if what == "cancel":
                assert all(part.name != identifier for part in gateway.heard[heard:])
        for part in gateway.heard:
            assert not part.name.startswith("cancel")
        latest = {part.source: part.name for part in gateway.heard}
        for source in gateway.sounding:
            assert latest[source] not in over
            assert gateway.now_s < ends_s[latest[source]]


@pytest.mark.parametrize(
    ("urgency", "severity", "begins"),
    [
        ("Immediate", "Extreme", "02:00:05"),
        ("Immediate", "Severe", "02:20:00"),
        ("Expected", "Extreme", "02:20:00"),
    ],
)
def test_what_is_extreme_and_immediate_sounds_on_receipt_the_rest_when_it_takes_effect(
    urgency, severity, begins
):
    gateway = Gateway()
    text = FLOOD.replace("<effective>2025-10-07T02:00:00", "<effective>2025-10-07T02:20:00")
    text = text.replace("<onset>2025-10-07T02:30:00", "<onset>2025-10-07T04:00:00")
    for word, ours in (("Immediate", urgency), ("Extreme", severity)):
        text = text.replace(f">{word}<", f">{ours}<")
    assert gateway.receive(without_second_language(text)) == "waiting"
    gateway.until("02:20:01")  # the onset is later, and delays nothing
    (first, *_) = gateway.heard
    assert first.at_ns == utc_s(begins) * NS_PER_S


def test_what_expires_before_it_takes_effect_never_sounds_and_its_record_says_why():
    gateway = Gateway()
    text = FLOOD.replace("<effective>2025-10-07T02:00:00", "<effective>2025-10-07T09:00:00")
    text = without_second_language(text.replace(">Immediate<", ">Expected<"))
    assert gateway.receive(text) == "expires before it takes effect"
    gateway.until("10:00:00")
    assert gateway.heard == []
    assert gateway.outcomes() == [("001", "refused", "expires before it takes effect")]


def test_what_expires_while_it_waits_never_sounds_and_has_a_record():
    gateway = Gateway(start="02:00:00")  # not urgent: it waits for the hours of the commune
    text = STORM.replace("01:57:00-00:00", "01:57:00+07:00")
    assert gateway.receive(text) == "waiting"
    (alert,) = decode_book(gateway.disk).waiting
    gateway.book.receive_alert(
        msgspec.structs.replace(alert, identifier="short", expires_s=utc_s("03:00:00")),
        gateway.now_s,
        gateway.now_s * NS_PER_S,
        trusted=True,
    )
    gateway.until("05:00:00")
    assert gateway.heard == [] and gateway.outcomes() == [("ort", "missed", "expired")]


def test_words_are_asked_for_as_soon_as_the_warning_is_known_with_their_size():
    gateway = Gateway()
    gateway.receive(expected_at(FLOOD, "03:00:00"))
    (fetch,) = gateway.fetched
    assert (fetch.uri, fetch.size_bytes) == ("https://pctt.example/001.ogg", 81_920)
    assert gateway.heard == []


def test_a_hamlet_of_two_languages_hears_both_and_is_told_that_it_has_not_begun():
    phrase = PhraseConfig(siren="a" * 64, text={"tyz": "b" * 64, "vi": "c" * 64, "en": "d" * 64})
    config = AlertConfig(
        phrases={"any": phrase},
        onset_phrase={"vi": "e" * 64},
        repeat={"normal": 1, "priority": 1, "urgent": 1},
    )
    gateway = Gateway(config)
    gateway.receive(without_resource(FLOOD))
    gateway.until("02:10:00")
    heard = [(part.kind, part.language) for part in gateway.heard]
    assert heard == [("chime", "any"), ("text", "tyz"), ("text", "vi"), ("text", "vi")]
    assert gateway.heard[-1].media == "e" * 64
    late = Gateway(config, start="03:00:00")
    late.receive(without_resource(FLOOD))
    late.until("03:10:00")
    assert [part.media[0] for part in late.heard] == ["a", "b", "c"]


def without_resource(text):
    begin, end = text.index("<resource>"), text.index("</resource>") + len("</resource>")
    return text[:begin] + text[end:]


def without_second_language(text):
    begin = text.index("<info>", text.index("<info>") + 1)
    return text[:begin] + text[text.rindex("</info>") + len("</info>") :]
