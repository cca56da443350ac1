"""What plays when: once, in the hamlet's language, and never without a record."""

import inspect
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.control.control_years import run_years
from node.config import ConfigError
from node.control.calendar.play_state import Record, State, decode, encode
from node.control.calendar.player import Player
from node.control.calendar.programme import (
    ITEMS_MAX,
    Calendar,
    ItemConfig,
    PartConfig,
    ProgrammeConfig,
)
from node.control.events import StartPart, StopPart
from node.control.loudness import regulation
from node.control.loudness.regulation import Regulation, RegulationConfig, RuleFile, load_rule_file
from node.control.recurrence import DaysConfig
from node.events import Persist
from node.units import NS_PER_S

HASH_VI, HASH_TAY = "a" * 64, "b" * 64
CHIME = PartConfig(kind="chime", duration_s=5, media={"any": "c" * 64})
NEWS = PartConfig(kind="file", duration_s=60, media={"vi": HASH_VI, "tay": HASH_TAY})
RELAY = PartConfig(kind="relay", duration_s=600, stream="province")


def rule_files(*names: str) -> tuple[RuleFile, ...]:
    folder = Path(inspect.getfile(regulation)).parents[1] / "regulations"
    return tuple(
        load_rule_file((folder / f"{name}.toml").read_text(encoding="utf-8"), where=name)
        for name in names
    )


def utc_s(text: str) -> int:
    return int(datetime.fromisoformat(text + "+07:00").astimezone(UTC).timestamp())


class Gateway:
    """A player, a clock that is right, and a disk."""

    def __init__(self, *items: ItemConfig, rules: tuple[RuleFile, ...] = (), **more: object):
        self.config = ProgrammeConfig(items=items, **more)  # type: ignore[arg-type]
        self.regulation = Regulation(rules, RegulationConfig())
        self.disk: bytes | None = None
        self.heard: list[tuple[str, StartPart]] = []
        self.records: list[Record] = []
        self.boot()

    def boot(self) -> None:
        state = decode(self.disk)
        assert state is not None
        self.player = Player(self.config, self.regulation, state)

    def at(self, wall: str, *, trusted: bool = True, step_s: int = 0) -> None:
        """Let the node look at its clock at `wall`; the clock is `step_s` wrong."""
        now_ns = utc_s(wall) * NS_PER_S
        self.player.handle_time(utc_s(wall) + step_s, now_ns, trusted=trusted)
        self.take(wall)

    def until(self, wall: str) -> None:
        """Run every deadline up to `wall`."""
        end_ns = utc_s(wall) * NS_PER_S
        while (deadline_ns := self.player.next_deadline_ns()) is not None and deadline_ns <= end_ns:
            self.player.handle_time(deadline_ns // NS_PER_S, deadline_ns, trusted=True)
            self.take(f"{datetime.fromtimestamp(deadline_ns // NS_PER_S + 7 * 3600, UTC):%H:%M:%S}")
        self.at(wall)

    def take(self, wall: str) -> None:
        while (event := self.player.next_event()) is not None:
            if isinstance(event, Persist):
                self.disk = event.value
            elif isinstance(event, StartPart):
                self.heard.append((wall, event))
            elif isinstance(event, Record):
                self.records.append(event)
            else:
                assert isinstance(event, StopPart)

    def outcomes(self) -> list[tuple[str, str, str]]:
        return [(record.name, record.outcome, record.reason) for record in self.records]


def test_an_item_plays_its_parts_in_the_hamlets_language_and_repeats_after_the_interval():
    item = ItemConfig(name="news", start="05:30", parts=(CHIME, NEWS), repeat=2, interval_s=30)
    gateway = Gateway(item, languages=("tay", "vi"))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T06:00:00")
    assert [(wall, part.kind, part.media[:1]) for wall, part in gateway.heard] == [
        ("05:30:00", "chime", "c"),
        ("05:30:05", "file", "b"),
        ("05:31:35", "chime", "c"),
        ("05:31:40", "file", "b"),
    ]
    (record,) = gateway.records
    assert (record.outcome, record.sounded_s, record.languages) == ("played", 130, ("tay",))
    assert record.ended_s - record.started_s == item.duration_s == 160


def test_a_hamlet_whose_language_is_missing_hears_vietnamese():
    assert NEWS.choose(("mong",)) == ("vi", HASH_VI)
    assert PartConfig(kind="text", duration_s=1, media={"nung": HASH_TAY}).choose(("mong",)) == (
        "nung",
        HASH_TAY,
    )


def test_a_file_that_ends_early_or_fails_makes_way_for_the_next_part():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS, RELAY)))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:30:10")
    now_s = utc_s("2026-11-22T05:30:20")
    gateway.player.receive_part_ended(-1, now_s, now_s * NS_PER_S, failed="hash differs")
    gateway.take("05:30:20")
    assert [part.kind for _, part in gateway.heard] == ["file", "relay"]
    assert gateway.heard[1][1].media == "province"
    gateway.until("2026-11-22T06:00:00")
    assert gateway.records[0].failed == ("hash differs",)
    assert gateway.records[0].sounded_s == 20 + 600


def test_an_item_that_lost_the_horn_takes_up_where_it_was():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,)))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:30:20")
    gateway.player.receive_horn(-1, utc_s("2026-11-22T05:30:20") * NS_PER_S, taken=True)
    gateway.until("2026-11-22T05:40:20")
    gateway.player.receive_horn(-1, utc_s("2026-11-22T05:40:20") * NS_PER_S, taken=False)
    gateway.until("2026-11-22T05:40:59")
    assert gateway.records == []
    gateway.until("2026-11-22T05:41:00")
    assert (gateway.records[0].outcome, gateway.records[0].sounded_s) == ("played", 60)


def test_after_a_power_cut_an_item_is_left_out_or_played_late_as_it_says_and_recorded():
    skip = ItemConfig(name="skip", start="05:30", parts=(NEWS,))
    late = ItemConfig(name="late", start="05:30", parts=(NEWS,), missed="late", late_max_s=600)
    for back, heard in (("05:39:00", ["late"]), ("05:41:00", [])):
        gateway = Gateway(skip, late)
        gateway.at("2026-11-22T05:00:00")
        gateway.boot()
        gateway.at(f"2026-11-22T{back}")
        gateway.until("2026-11-22T06:00:00")
        assert [part.name for _, part in gateway.heard] == heard
        assert ("skip", "missed", "the node was off") in gateway.outcomes()
        assert {name for name, _, _ in gateway.outcomes()} == {"skip", "late"}


def test_an_item_cut_off_by_the_power_is_not_played_again():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,), missed="late"))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:30:30")
    gateway.boot()
    gateway.at("2026-11-22T05:30:50")
    gateway.until("2026-11-22T07:00:00")
    assert len(gateway.heard) == 1
    assert gateway.outcomes() == [("news", "interrupted", "power cut")]


def test_a_power_cut_while_catching_up_loses_nothing_that_was_due_later():
    items = [
        ItemConfig(name=name, start=start, parts=(NEWS,), missed="late")
        for name, start in (("first", "05:30"), ("second", "05:32"))
    ]
    gateway = Gateway(*items)
    gateway.at("2026-11-22T05:00:00")
    gateway.boot()
    gateway.player.handle_time(utc_s("2026-11-22T05:35:00"), 0, trusted=True)
    event = gateway.player.next_event()
    assert isinstance(event, Persist)
    gateway.disk = event.value
    gateway.boot()
    gateway.at("2026-11-22T05:36:00")
    gateway.until("2026-11-22T06:00:00")
    assert gateway.outcomes() == [("first", "interrupted", "power cut"), ("second", "played", "")]


@pytest.mark.parametrize("step_s", [-7200, 3600, 40 * 86400])
def test_a_clock_that_jumps_and_comes_back_plays_nothing_twice(step_s):
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,), missed="late"))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:35:00")
    gateway.at("2026-11-22T05:35:01", step_s=step_s)
    gateway.at("2026-11-22T05:36:00", step_s=step_s)
    gateway.until("2026-11-22T08:00:00")
    days = [part.day for _, part in gateway.heard]
    assert days.count("2026-11-22") == 1 and len(set(days)) == len(days)


def test_without_a_trusted_clock_nothing_of_the_calendar_plays_and_what_was_due_is_recorded():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,)))
    gateway.at("2026-11-22T05:00:00")
    gateway.boot()
    gateway.at("2026-11-22T05:30:00", trusted=False)
    assert gateway.player.next_deadline_ns() is None
    gateway.at("2026-11-22T05:50:00")
    assert gateway.heard == []
    assert gateway.outcomes() == [("news", "missed", "the time was not known")]


def test_losing_trust_in_the_clock_stops_what_runs():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,)))
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:30:10")
    gateway.at("2026-11-22T05:30:20", trusted=False)
    assert gateway.outcomes() == [("news", "stopped", "the clock is not trusted")]


def test_hours_and_minutes_of_the_rule_file_hold_and_say_so():
    hour = PartConfig(kind="file", duration_s=3000, media={"vi": HASH_VI})
    gateway = Gateway(
        ItemConfig(name="early", start="05:00", parts=(NEWS,)),
        ItemConfig(name="long", start="05:30", parts=(hour, hour)),
        ItemConfig(name="over", start="06:00", parts=(hour,)),
        ItemConfig(name="edge", start="19:29", parts=(NEWS, NEWS)),
        rules=rule_files("hours_common"),
    )
    gateway.at("2026-11-22T04:00:00")
    gateway.until("2026-11-22T23:00:00")
    assert gateway.outcomes() == [
        ("early", "refused", "outside the hours of hours_common"),
        ("over", "refused", "more than 120 minutes in a day"),
        ("long", "played", ""),
        ("edge", "stopped", "outside the hours of hours_common"),
    ]
    assert gateway.records[-1].ended_s == utc_s("2026-11-22T19:30:00")


def test_a_long_absence_is_one_record_per_item_with_its_count():
    gateway = Gateway(ItemConfig(name="news", start="05:30", parts=(NEWS,)))
    gateway.at("2025-11-22T05:00:00")
    gateway.boot()
    gateway.at("2026-11-22T05:00:00")
    (record,) = gateway.records
    assert (record.day, record.count, record.outcome) == ("2025-11-22", 365, "missed")
    assert record.reason == "the node was off, until 2026-11-21"


@pytest.mark.parametrize("years", [1, 10, 60])
def test_a_clock_that_jumps_far_ahead_costs_no_more_than_a_moment_and_one_record_per_item(years):
    items = [
        ItemConfig(name=f"item {n}", start=f"{n // 4:02}:{n % 4 * 15:02}", parts=(CHIME,))
        for n in range(ITEMS_MAX)
    ]
    gateway = Gateway(*items)
    gateway.at("2026-11-22T05:00:00")
    begin_s = time.process_time()
    gateway.at("2026-11-22T05:00:01", step_s=years * 365 * 86_400)
    assert time.process_time() - begin_s < 1.0  # 0.06 s here; it was 4 s for ten years
    assert sorted(record.name for record in gateway.records) == sorted(one.name for one in items)
    assert all(record.count >= 364 for record in gateway.records)


def test_months_with_a_clock_far_ahead_take_nothing_of_the_days_after_it_was_put_right():
    items = [ItemConfig(name=f"item {n}", start=f"{n:02}:30", parts=(CHIME,)) for n in range(24)]
    gateway = Gateway(*items)
    gateway.until("2028-01-01T00:00:00")
    gateway.until("2028-02-01T00:00:00")  # 720 items: more than are remembered
    gateway.boot()
    gateway.heard.clear()
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-23T05:00:00")
    assert len(gateway.heard) == 24


def test_staggered_nodes_start_later_but_urgent_items_all_at_once():
    urgent = ItemConfig(name="drill", start="09:00", parts=(NEWS,), message_class="urgent")
    news = ItemConfig(name="news", start="05:30", parts=(NEWS,))
    calendar = Calendar(ProgrammeConfig(items=(news, urgent), offset_s=90))
    dues = calendar.due_between(utc_s("2026-11-22T00:00:00"), utc_s("2026-11-23T00:00:00"))
    assert [due.due_s for due in dues] == [
        utc_s("2026-11-22T05:31:30"),
        utc_s("2026-11-22T09:00:00"),
    ]


def test_items_in_the_gap_and_the_fold_of_a_clock_change_are_due_once():
    item = ItemConfig(name="night", start="02:30", parts=(NEWS,))
    calendar = Calendar(ProgrammeConfig(items=(item,), zone="Europe/Berlin"))
    for month, day in ((3, 29), (10, 25)):
        start_s = int(datetime(2026, month, day - 1, 12, tzinfo=UTC).timestamp())
        assert len(calendar.due_between(start_s, start_s + 86400)) == 1


def test_an_item_for_another_hamlet_is_not_ours_and_a_rare_one_is_found():
    other = ItemConfig(name="other", start="05:30", parts=(NEWS,), hamlets=("Là Ba",))
    once = ItemConfig(
        name="once", start="05:30", parts=(NEWS,), on=DaysConfig(dates=("2027-10-01",))
    )
    calendar = Calendar(ProgrammeConfig(items=(other, once), hamlet="Làng Cóc"))
    assert calendar.next_due_s(utc_s("2026-11-22T00:00:00")) == utc_s("2027-10-01T05:30:00")


def test_a_damaged_memory_is_known_as_such_and_an_empty_one_is_new():
    good = encode(State(horizon_s=5, started=[("2026-11-22", "news")]))
    again = decode(good)
    assert again is not None and again.started == [("2026-11-22", "news")]
    assert decode(good[:-3]) is None and decode(b"\xff") is None
    assert decode(None) == State()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PartConfig(kind="file", duration_s=0, media={"vi": HASH_VI}), "duration_s = 0"),
        (lambda: PartConfig(kind="file", duration_s=1, media={"vi": "xyz"}), "media"),
        (lambda: PartConfig(kind="relay", duration_s=1), "stream = ''"),
        (lambda: ItemConfig(name="x", start="5:30", parts=(NEWS,)), "start = '5:30'"),
        (lambda: ItemConfig(name="x", start="05:30", parts=()), "parts = 0"),
        (
            lambda: ProgrammeConfig(
                items=(ItemConfig(name="x", start="05:30", parts=(RELAY,)),) * 2
            ),
            "must differ",
        ),
    ],
)
def test_a_calendar_with_a_fault_is_refused_by_name(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_year_of_cuts_and_steps_plays_nothing_twice_and_loses_no_record():
    rules = rule_files("noise_qcvn_26_2010", "noise_qcvn_26_2025", "hours_common")
    result = run_years(rules, years=1, seed=1)
    assert result.violations == []
    assert result.starts > 300 and result.power_cuts > 50 and result.clock_steps > 20


def test_what_did_not_sound_takes_no_minutes_of_the_day():
    rules = rule_files("hours_common")
    long = PartConfig(kind="file", duration_s=6000, media={"vi": HASH_VI})
    talk = ItemConfig(name="talk", start="05:30", parts=(long,))
    news = ItemConfig(name="news", start="17:00", parts=(NEWS,) * 2, repeat=15)

    def day(ends_after_s: int, failed: str = "") -> list[tuple[str, str, str]]:
        gateway = Gateway(talk, news, rules=rules)
        gateway.at("2026-11-22T05:00:00")
        gateway.until("2026-11-22T05:30:00")
        end_s = utc_s("2026-11-22T05:30:00") + ends_after_s
        gateway.player.receive_part_ended(-1, end_s, end_s * NS_PER_S, failed=failed)
        gateway.take("")
        gateway.until("2026-11-22T18:00:00")
        return gateway.outcomes()

    news_heard = ("news", "played", "")
    assert day(0, "not stored") == [("talk", "missed", "no part could be played"), news_heard]
    assert day(120) == [("talk", "played", ""), news_heard]
    assert day(5999)[1] == ("news", "refused", "more than 120 minutes in a day")


def test_what_the_power_cut_off_takes_no_more_minutes_than_there_were():
    rules = rule_files("hours_common")
    long = PartConfig(kind="file", duration_s=6000, media={"vi": HASH_VI})
    gateway = Gateway(
        ItemConfig(name="talk", start="05:30", parts=(long,)),
        ItemConfig(name="news", start="17:00", parts=(NEWS,) * 2, repeat=15),
        rules=rules,
    )
    gateway.at("2026-11-22T05:00:00")
    gateway.until("2026-11-22T05:32:00")
    gateway.boot()
    gateway.at("2026-11-22T05:35:00")
    gateway.until("2026-11-22T18:00:00")
    assert gateway.outcomes() == [("talk", "interrupted", "power cut"), ("news", "played", "")]
