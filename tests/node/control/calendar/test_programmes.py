"""The calendars of all tiers play side by side: none keeps another's items silent from below."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.control.calendar.play_state import Record
from node.control.calendar.programme import ITEMS_MAX, ItemConfig, PartConfig, ProgrammeConfig
from node.control.calendar.programmes import OWN, Programmes
from node.control.calendar.shared_day import RUNS_MAX
from node.control.civil_time import NO_TIME
from node.control.events import StartPart, StopPart
from node.control.loudness.regulation import Regulation, RegulationConfig
from node.control.precedence import PriorityConfig
from node.control.proof.proof import ProofChain
from node.control.trust.message import Kind
from node.events import Persist
from node.units import NS_PER_S
from tests.node.control.calendar.test_programme import rule_files, utc_s
from tests.node.control.test_controller import AREA, COMMUNE, NORMAL, PROVINCE
from tests.node.control.trust.test_rights import HAMLET, HERE, playing, revoke, with_hamlet

TIERS = PriorityConfig().tiers
ZONE = "Asia/Ho_Chi_Minh"


def plan(*items: tuple[str, str, int], kind: str = "normal") -> bytes:
    """Return a calendar of (name, start, seconds)."""
    media = '{ vi = "' + "c" * 64 + '" }'
    return "".join(
        f'[[items]]\nname = "{name}"\nstart = "{start}"\nmessage_class = "{kind}"\n'
        f'parts = [{{ kind = "file", duration_s = {seconds}, media = {media} }}]\n'
        for name, start, seconds in items
    ).encode()


class Pole:
    """The programmes of one node, its disk and a clock that is right."""

    def __init__(self, wall: str, *, rules: tuple[str, ...] = ()) -> None:
        self.regulation = Regulation(rule_files(*rules), RegulationConfig())
        self.in_force: dict[int, tuple[ProgrammeConfig, None]] = {}
        self.disk: dict[str, bytes] = {}
        self.wall_s = utc_s(wall)
        self.begun: list[tuple[int, str, int]] = []
        """Tier, name, and when, of all that began to sound."""
        self.records: list[Record] = []
        self.sounding: dict[int, StartPart] = {}
        self.boot()

    def boot(self) -> None:
        self.sounding.clear()
        self.programmes = Programmes(
            self.in_force,
            ZONE,
            self.regulation,
            tiers=TIERS,
            stored=self.disk,
            proof=ProofChain({}),
        )
        self.at(self.wall_s)

    def order(self, level: int, *items: ItemConfig) -> None:
        """Put a calendar into force; none: take it out."""
        config = ProgrammeConfig(items=items, zone=ZONE)
        self.in_force = {k: v for k, v in self.in_force.items() if k != level}
        if items:
            self.in_force |= {level: (config, None)}
        self.programmes.follow(self.in_force, self.wall_s, self.wall_s * NS_PER_S, NO_TIME)
        self.at(self.wall_s)

    def at(self, wall_s: int) -> None:
        self.wall_s = wall_s
        self.programmes.handle_time(wall_s, wall_s * NS_PER_S, trusted=True)
        self.take()

    def until(self, wall: str) -> None:
        end_s = utc_s(wall)
        while (due_ns := self.programmes.next_deadline_ns()) is not None:
            if due_ns > end_s * NS_PER_S:
                break
            self.at(max(due_ns // NS_PER_S, self.wall_s))
        self.at(end_s)

    def take(self) -> None:
        while (event := self.programmes.next_event()) is not None:
            if isinstance(event, Persist):
                self.disk[event.key] = event.value
            elif isinstance(event, StartPart):
                assert event.source not in self.sounding or event.step > 0
                self.sounding[event.source] = event
                if event.step == 0:
                    level = int(event.writer.partition("/")[2] or OWN)
                    self.begun.append((level, event.name, self.wall_s))
            elif isinstance(event, StopPart):
                self.sounding.pop(event.source, None)
            elif isinstance(event, Record):
                self.records.append(event)


def item(name: str, start: str, seconds: int = 60, **more: object) -> ItemConfig:
    part = PartConfig(kind="file", duration_s=seconds, media={"vi": "a" * 64})
    return ItemConfig(name=name, start=start, parts=(part,), **more)  # type: ignore[arg-type]


def test_the_items_of_all_tiers_play_side_by_side_each_in_the_name_of_who_ordered_it():
    village = with_hamlet("2025-12-07T05:29:00")
    told = {PROVINCE: ("province", "05:30"), COMMUNE: ("commune", "05:40"), HAMLET: ("x", "05:50")}
    for who, (name, start) in told.items():
        area = HERE if who is HAMLET else AREA
        assert village.order(who, Kind.CALENDAR, plan((name, start, 60)), area=area) == "obeyed"
    village.boot()
    village.until("2025-12-07T06:00:00")
    assert village.heard() == ["province", "commune", "x"]
    signed = {one["name"]: one["signed_by"] for one in village.proofs()}
    assert signed == {name: who.key_id.hex() for who, (name, _) in told.items()}


@pytest.mark.parametrize("items", [(), (("hamlet", "05:45", 60),)])
def test_a_calendar_from_below_ends_nothing_of_the_nodes_own_file_and_one_of_its_tier_does(items):
    own = ProgrammeConfig(items=(item("commune", "05:30"), item("x", "05:40", level="hamlet")))
    village = with_hamlet("2025-12-07T05:29:00", programme=own)
    assert village.order(HAMLET, Kind.CALENDAR, plan(*items), area=HERE) == "obeyed"
    village.boot()
    village.until("2025-12-07T06:00:00")
    mine = [name for name, *_ in items]
    assert village.heard() == ["commune", *mine]
    village.order(COMMUNE, Kind.CALENDAR, plan(("other", "05:30", 60)))
    village.until("2025-12-08T06:00:00")
    assert village.heard() == ["commune", *mine, "other", *mine]


def test_with_a_revocation_a_tiers_items_end_at_once_and_no_others():
    village = with_hamlet("2025-12-07T05:29:00")
    village.order(COMMUNE, Kind.CALENDAR, plan(("commune", "05:30", 600)))
    village.order(HAMLET, Kind.CALENDAR, plan(("hamlet", "05:30", 600)), area=HERE)
    village.order(PROVINCE, Kind.CALENDAR, plan(("province", "05:30", 600)))
    village.until("2025-12-07T05:31:00")
    assert sorted(playing(village)) == ["commune", "hamlet", "province"]
    revoke(village, COMMUNE, PROVINCE)  # and with it the hamlet's, which it certified
    assert playing(village) == ["province"]
    reasons = {one["name"]: one["reason"] for one in village.proofs()}
    assert reasons == {"commune": "x: unknown key", "hamlet": "x: unknown key"}


def test_a_calendar_that_is_sent_again_or_changed_elsewhere_does_not_stop_what_runs():
    village = with_hamlet("2025-12-07T05:29:00")
    village.order(COMMUNE, Kind.CALENDAR, plan(("news", "05:30", 600), ("old", "05:30", 600)))
    village.until("2025-12-07T05:31:00")
    stopped = len([e for e in village.events if isinstance(e, StopPart)])
    village.order(COMMUNE, Kind.CALENDAR, plan(("news", "05:30", 600), ("old", "05:30", 300)))
    assert playing(village) == ["news"]
    assert len([e for e in village.events if isinstance(e, StopPart)]) == stopped + 1
    assert [(one["name"], one["reason"]) for one in village.proofs()] == [
        ("old", "the calendar was replaced")
    ]


def test_two_tiers_may_call_their_items_by_one_name():
    village = with_hamlet("2025-12-07T05:29:00")
    village.order(COMMUNE, Kind.CALENDAR, plan(("news", "05:30", 60)))
    village.order(HAMLET, Kind.CALENDAR, plan(("news", "05:30", 60)), area=HERE)
    village.until("2025-12-07T05:40:00")
    first, second = village.proofs()
    assert {first["signed_by"], second["signed_by"]} == {COMMUNE.key_id.hex(), HAMLET.key_id.hex()}
    assert first["outcome"] == second["outcome"] == "played"
    assert [len(one["parts"]) for one in (first, second)] == [1, 1]  # type: ignore[arg-type]


def test_the_nodes_own_file_plays_while_nobody_has_ordered_anything():
    own = ProgrammeConfig(items=(item("own", "05:30", level="hamlet"),))
    village = with_hamlet("2025-12-06T05:29:00", programme=own)
    village.until("2025-12-06T05:40:00")
    village.order(HAMLET, Kind.CALENDAR, plan(("hamlet", "05:30", 60)), area=HERE)
    village.until("2025-12-20T05:40:00")
    village.boot()
    revoke(village, COMMUNE, PROVINCE)  # and with it the hamlet's key
    village.until("2025-12-21T05:40:00")
    assert village.heard() == ["own", *["hamlet"] * 14, "own"]
    told = [(one["name"], one["outcome"]) for one in village.proofs()]
    assert told == [("own", "played"), *[("hamlet", "played")] * 14, ("own", "played")]


def test_a_lower_tiers_items_leave_places_and_give_up_theirs():
    pole = Pole("2026-11-22T05:00:00")
    pole.order(3, *(item(f"hamlet {n}", "05:10", 3000) for n in range(ITEMS_MAX)))
    pole.until("2026-11-22T05:20:00")
    assert 0 < len(pole.sounding) < RUNS_MAX
    pole.order(2, *(item(f"commune {n}", "05:25", 3000) for n in range(ITEMS_MAX)))
    pole.until("2026-11-22T05:26:00")
    pole.order(0, *(item(f"national {n}", "05:30", 3000) for n in range(6)))
    pole.until("2026-11-22T05:31:00")
    assert len(pole.sounding) <= RUNS_MAX
    nationals = [part for part in pole.sounding.values() if part.name.startswith("national")]
    assert len(nationals) == 6
    ended = [one for one in pole.records if one.outcome == "stopped"]
    assert ended and all("its place went to an item of" in one.reason for one in ended)


def test_minutes_that_the_province_plans_are_left_free_by_those_below_it():
    pole = Pole("2026-11-22T05:00:00", rules=("hours_common",))  # 120 minutes in a day
    pole.order(1, item("province", "18:00", 3600))
    pole.order(2, *(item(f"commune {n}", f"05:{30 + n}", 1800) for n in range(4)))
    pole.until("2026-11-22T20:00:00")
    played = {one.name for one in pole.records if one.outcome == "played"}
    refused = {one.name: one.reason for one in pole.records if one.outcome == "refused"}
    assert played == {"commune 0", "commune 1", "province"}
    assert refused == dict.fromkeys(("commune 2", "commune 3"), "more than 120 minutes in a day")


def test_what_a_lower_tier_has_taken_of_the_day_does_not_count_against_those_above():
    pole = Pole("2026-11-22T05:00:00", rules=("hours_common",))
    pole.order(3, *(item(f"hamlet {n}", f"05:{30 + n}", 1800) for n in range(4)))
    pole.until("2026-11-22T07:30:00")
    pole.order(1, item("province", "18:00", 3600))  # nobody could know of it in the morning
    pole.until("2026-11-22T20:00:00")
    assert ("province", "played") in [(one.name, one.outcome) for one in pole.records]


def test_full_calendars_after_months_without_power_owe_a_record_to_every_item():
    village = with_hamlet("2025-12-07T00:00:00")
    names = {}
    for who, area in ((PROVINCE, AREA), (COMMUNE, AREA), (HAMLET, HERE)):
        items = [(f"{who.key_id.hex()} {n}", f"{5 + n % 12:02}:{n % 60:02}", 5) for n in range(64)]
        assert village.order(who, Kind.CALENDAR, plan(*items), area=area) == "obeyed"
        names[who.key_id.hex()] = {name for name, _, _ in items}
    village.now_ns += 100 * 86_400 * NS_PER_S
    village.boot()
    for who, wanted in names.items():
        told = {str(one["name"]) for one in village.proofs() if one["signed_by"] == who}
        assert told == wanted


_TIMES = st.integers(5 * 60, 9 * 60).map(lambda m: f"{m // 60:02}:{m % 60:02}")
_ITEMS = st.lists(
    st.tuples(
        _TIMES, st.integers(1, 7200), st.sampled_from(("normal", "priority", "urgent")),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


def made(level: int, drawn: list[tuple[str, int, str]]) -> tuple[ItemConfig, ...]:
    return tuple(
        item(f"{level} {n}", start, seconds, message_class=kind)
        for n, (start, seconds, kind) in enumerate(drawn)
    )


_AT_ONCE = [("06:00", 3600, "normal")] * 6


@settings(max_examples=60)
@example(1, _AT_ONCE, [("05:30", 2, [("05:40", 7200, "urgent")] * 4)], ())
@given(
    level=st.integers(OWN + 1, 2),
    mine=_ITEMS,
    below=st.lists(st.tuples(_TIMES, st.integers(1, 3), _ITEMS), max_size=4),
    rules=st.sampled_from(((), ("hours_common",))),
)
def test_whatever_lower_tiers_order_and_when_those_above_play_as_if_they_were_alone(
    level, mine, below, rules
):
    alone, among = (Pole("2026-11-22T04:00:00", rules=rules) for _ in range(2))
    for pole in (alone, among):
        pole.order(level, *made(level, mine))
    for wall, step, drawn in sorted(below, key=lambda one: one[0]):
        for pole in (alone, among):
            pole.until(f"2026-11-22T{wall}:00")
        lower = min(level + step, 3)
        if lower > level:
            among.order(lower, *made(lower, drawn))
    for pole in (alone, among):
        pole.until("2026-11-22T23:00:00")

    def of_mine(pole: Pole) -> tuple[object, object]:
        began = [one for one in pole.begun if one[0] == level]
        told = [
            (one.name, one.outcome, one.reason, one.sounded_s)
            for one in pole.records
            if one.name.startswith(f"{level} ")
        ]
        return began, told

    assert alone.records and of_mine(among) == of_mine(alone)


def test_a_hamlets_normal_item_gives_way_to_the_communes_and_goes_on_after_it():
    config = PriorityConfig()
    assert config.rank(NORMAL, "hamlet") < config.rank(NORMAL, "commune")
    assert config.rank(NORMAL, "commune") == config.rank(NORMAL, "province")
    village = with_hamlet("2025-12-07T05:29:00")
    village.order(HAMLET, Kind.CALENDAR, plan(("hamlet", "05:30", 3600)), area=HERE)
    village.order(COMMUNE, Kind.CALENDAR, plan(("commune", "05:40", 600)))
    village.until("2025-12-07T07:00:00")
    records = {str(one["name"]): one for one in village.proofs()}
    (heard,) = records["commune"]["parts"]  # type: ignore[misc]
    assert heard["at_s"] == utc_s("2025-12-07T05:40:00") and heard["heard_ms"] == 600_000
