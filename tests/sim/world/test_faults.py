"""Whatever befalls a village, each order has its fate at each pole, and a true reason."""

from dataclasses import asdict
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.village import swarm as planted
from node.control.proof.record_keeper import LATE
from node.opus.libopus import LibopusDecoder
from node.units import NS_PER_S, RATE_HZ
from sim.day.answer import answer_of
from sim.report.day_terminal import print_warned
from sim.report.summaries import junit
from sim.result.day import UNWARNED, WARNED
from sim.run_command import with_day
from sim.village import scenario
from sim.village.faults import KINDS
from sim.village.places import build_village
from sim.world.stretch import Stretch
from tests.sim.faulty import row, rows
from tests.sim.report.example_result import example_result
from tests.sim.two_poles import VILLAGE

BEGIN_S, END_S = 7_080, 8_100
DATE, NIGHTS = 'date = "2026-11-23"', '\nrules = []\nlive_at = "02:00"'
"""Without hours in which nothing may be played; seconds of faults count from two o'clock."""
ONCE_S = 4.0
LOOK_S = 1.5
ALERT = '[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 600\nlasts_s = 600\n'
MUTE = '[[day.orders]]\nat = "02:01"\nkind = "mute"\n'
ITEM = """
[[day.programme.items]]
name = "02:03"
start = "02:03"
parts = [{ kind = "file", duration_s = 60, media = { vi = "announcement_vi.flac" } }]
"""


class Ear:
    """Stands at a pole, and notes when something left its horn, in s into the day."""

    def __init__(self, begin_s):
        self._begin_s = begin_s
        self.heard_s = np.zeros(0)

    def note_sound(self, sound, leaves_ns):
        loud = np.flatnonzero(np.abs(sound[:, 0]) > 1e-4) / RATE_HZ
        if loud.size:
            at_s = self._begin_s + leaves_ns / NS_PER_S + np.unique(loud // 0.01) * 0.01
            self.heard_s = np.concatenate([self.heard_s, at_s])

    def seconds(self, from_s):
        return np.count_nonzero(self.heard_s >= from_s) / 100

    def note_order(self, payload, fate, at_ns):
        pass

    def note_event(self, event, at_ns):
        pass

    def note_power(self, at_ns, *, on):
        pass


def lived(folder, faults, *, orders=ALERT, bearer="lte_good", seed=5, end_s=END_S, sound=False):
    """Return the answer of a stretch of the village that these faults befell, and the ears."""
    path = folder / "two.toml"
    text = VILLAGE.format(seed=seed, bearer=bearer, floor=90, orders=orders, faults=faults)
    path.write_text(text.replace(DATE, DATE + NIGHTS))
    asked = scenario.load(path)
    stretch = Stretch(
        asked,
        build_village(asked),
        begin_s=BEGIN_S,
        end_s=end_s,
        decoder_factory=LibopusDecoder if sound else None,
    )
    ears = {one.name: Ear(BEGIN_S) for one in stretch.world.poles}
    try:
        for one in stretch.world.poles if sound else ():
            one.look_on(ears[one.name])
        for _ in stretch.advance():
            pass
        return answer_of(stretch.plan, stretch.lived()), ears
    finally:
        stretch.world.close()


OFF = row("power_cut", "02:01", "02:03")
BOOTS = '[[faults]]\nkind = "power_cut"\nfrom_s = 60\nuntil_s = 155\n'
"""A Pi 5 serves again five seconds before three minutes past two."""
KEPT_NOT = "not obeyed: done until the power went, and not kept; "
PLANTS = {
    "power_cut": ("", row("power_cut", "01:59", "02:02", feeder='"472"'), "late: no power"),
    "link_down": (
        "", row("link_down", "01:59", "02:15", way='"down"', cell='"hill"'),
        "not heard: no way to the pole",
    ),
    "congestion": ("", row("congestion", "01:59", "02:09", share="0.000002", backhaul='"A"'),
                   "others had taken the rate"),
    "half_open": ("", row("half_open", "02:00"), "heard: "),
    "broker_down": (
        row("power_cut", "01:58", "02:03"), row("broker_down", "02:01", "02:02", keeps="false"),
        "not heard: no power; the broker came back without its database",
    ),
    "clock_step": ("", row("clock_step", "01:59", "02:03", step_s="7200.0"),
                   "its clock was 7200 s ahead"),
    "disk_full": (OFF, row("disk_full", "01:59", "02:02"), KEPT_NOT + "its disk was full"),
    "disk_slow": (OFF, row("disk_slow", "01:59", "02:02", write_s="300.0"),
                  KEPT_NOT + "its disk was slow"),
    "card_gone": ("", row("card_gone", "01:59", "02:03"), "late: its sound card was gone"),
    "detour": ("", row("detour", "01:59", "02:03", extra_ms="9000.0", backhaul='"A"'),
               "late: a longer way"),
    "no_rtc": (BOOTS, row("no_rtc", "02:00", "02:05"), ""),
    "cpu_throttle": ("", row("cpu_throttle", "01:59", "02:15", share="0.01"),
                     "its CPU was too slow to play"),
    "duplicate": ("", row("duplicate", "01:59", "02:03", share="1.0"), ""),
    "reorder": ("", row("reorder", "01:59", "02:03", share="0.9", extra_ms="20000.0"),
                "late: packets were held back"),
    "corrupt": ("", row("corrupt", "01:59", "02:03", share="1.0", cluster='"a-1"'),
                "late: packets were damaged"),
    "forged": ("", row("forged", "02:02", by='"commune"'), "refused: wrong signature"),
    "replayed": ("", row("replayed", "02:02"), "refused: replayed"),
}  # fmt: skip
"""Of each kind: what befalls the village anyway, the fault, and what the answer says with it."""


MUTE_AT_TWO = MUTE.replace("02:01", "02:00")


@cache
def without(beside, folder):
    return told(lived(folder, beside, orders=ALERT + MUTE_AT_TWO + ITEM)[0])


def told(day):
    """Return what an answer says of orders and items, to be compared."""
    items = {(one.node, one.item): (one.outcome, one.started_s) for one in day.items}
    return [asdict(one) for one in day.orders if one.kind], items


def test_each_kind_has_its_planted_failure():
    assert set(PLANTS) == set(KINDS)


@pytest.mark.parametrize("kind", [one for one in KINDS if one != "duplicate"])
def test_the_answer_says_otherwise_with_a_fault_than_without(tmp_path_factory, kind):
    beside, fault, words = PLANTS[kind]
    before = without(beside, tmp_path_factory.getbasetemp())
    day, _ = lived(tmp_path_factory.mktemp(kind), beside + fault, orders=ALERT + MUTE_AT_TWO + ITEM)
    after = told(day)
    assert after != before
    said = [f"{one['fate']}: {one['reason']}" for one in after[0]]
    assert any(words in one for one in said), said
    assert day.totals["strangers_obeyed"] == 0


def test_a_stranger_who_is_obeyed_is_named_before_all_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("node.control.trust.authority.verified", lambda *signed: True)
    day, _ = lived(tmp_path, PLANTS["forged"][1], orders=MUTE_AT_TWO)
    assert day.totals["strangers_obeyed"] == 2
    print_warned(day)
    said = "A STRANGER'S ORDER WAS OBEYED at a-1, a-2."
    assert capsys.readouterr().out.startswith(said), "though nobody was to be warned"
    told = ElementTree.fromstring(junit(with_day(example_result(), day)))
    [case] = [one for one in told.iter("testcase") if one.get("name") == "strangers"]
    assert case.find("failure").get("message") == said


def test_packets_that_come_twice_fill_the_link_and_are_taken_once(tmp_path):
    path = tmp_path / "two.toml"
    passed, answers = [], []
    for fault in ("", PLANTS["duplicate"][1]):
        path.write_text(
            VILLAGE.format(seed=5, bearer="lte_good", floor=90, orders=ALERT, faults=fault)
        )
        asked = scenario.load(path)
        stretch = Stretch(asked, build_village(asked), begin_s=BEGIN_S, end_s=END_S)
        for _ in stretch.advance():
            pass
        passed.append(stretch.world.hops_at("a-1")[0].bytes)
        answers.append([one.fate for one in stretch.fates() if one.kind])
        stretch.world.close()
    assert passed[1] > 1.1 * passed[0]
    assert answers[0] == answers[1]


def test_an_order_that_a_stranger_repeats_and_a_node_obeys_stands_first(tmp_path):
    again = row("replayed", "02:02", repeats='"mute"')
    day, _ = lived(tmp_path, again, orders=ALERT + MUTE)
    assert day.totals["strangers_orders"] == 2 and day.totals["strangers_obeyed"] == 0
    with planted.PLANTS["replay check off"]():
        day, _ = lived(tmp_path, again, orders=ALERT + MUTE)
    assert day.totals["strangers_obeyed"] == 2
    assert [one.fate for one in day.orders if one.kind == "mute"] == ["obeyed"] * 2


def test_a_copy_that_comes_first_is_the_order_itself(tmp_path):
    lost = row("link_down", "01:59", "02:03", cluster='"a-1"')
    lost += row("broker_down", "02:01", "02:02", keeps="false") + row("replayed", "02:04")
    day, _ = lived(tmp_path, lost)
    fates = {(one.node, one.kind): one.fate for one in day.orders if one.kind}
    assert fates["a-1", "replayed"] == "as ordered" and fates["a-1", "alert"] == "late"
    assert fates["a-2", "replayed"] == "refused" and fates["a-2", "alert"] == "heard"
    assert day.totals["strangers_obeyed"] == 0


@settings(max_examples=6, derandomize=True)
@given(
    st.lists(rows(), min_size=1, max_size=4),
    st.sampled_from(["perfect", "lte_weak", "lte_good"]),
    st.integers(0, 99),
    st.booleans(),
)
@example(
    [row("cpu_throttle", "02:00", "02:03", share="0.01"), row("card_gone", "02:00", "02:01")],
    "perfect", 1, False,
)  # fmt: skip
def test_no_order_is_without_a_fate_and_none_is_heard_where_the_ear_was_silent(
    tmp_path_factory, faults, bearer, seed, mute
):
    folder = tmp_path_factory.mktemp("any")
    orders = ALERT + MUTE * mute
    day, ears = lived(
        folder, "\n".join(faults), orders=orders, bearer=bearer, seed=seed, sound=True
    )
    strangers = sum('"forged"' in one or '"replayed"' in one for one in faults)
    asked = [one for one in day.orders if one.kind]
    assert len(asked) == 2 * (1 + mute + strangers)
    for one in asked:
        heard_s = ears[one.node].seconds(one.sent_s)
        assert one.fate, one
        assert one.reason or one.fate in ("heard", "obeyed"), one
        if one.kind in ("forged", "replayed"):
            assert one.fate in ("refused", "as ordered"), one
        if one.kind != "alert":
            continue
        assert one.fate in (*WARNED, *UNWARNED), one
        if one.fate in WARNED:
            assert heard_s > ONCE_S - LOOK_S, (one, heard_s)
        if one.fate == "heard in part":
            assert heard_s > 0, one
        if one.fate == "not heard":
            assert heard_s < LOOK_S, (one, heard_s)
    again, _ = lived(folder, "\n".join(faults), orders=orders, bearer=bearer, seed=seed, sound=True)
    assert again == day


def test_the_storm_that_ships_names_who_was_not_warned_and_each_reason():
    asked = scenario.load("storm_night")
    stretch = Stretch(asked, build_village(asked), begin_s=7_080, end_s=12_600)
    try:
        for _ in stretch.advance():
            pass
        fates = {
            (one.node, one.kind, one.number): f"{one.fate}: {one.reason}"
            for one in stretch.fates()
            if one.kind
        }
    finally:
        stretch.world.close()
    nobody = "the broker came back without its database"
    assert fates["bb-01", "alert", 1] == fates["bb-01", "alert", 2] == "heard: "
    assert fates["bb-02", "alert", 2].endswith("its clock was 7200 s ahead")
    assert (
        fates["bb-03", "alert", 1].startswith("not heard: no power")
        and nobody in (fates["bb-03", "alert", 1])
    )
    assert fates["bb-04", "alert", 1].startswith("not heard: no way from the pole")
    assert fates["bb-03", "alert", 2] == fates["bb-04", "alert", 2] == "heard: "
    strangers = [said for (_, kind, _), said in fates.items() if kind in ("forged", "replayed")]
    assert len(strangers) == 8 and all(one.startswith("refused: ") for one in strangers)


def test_an_order_that_is_not_kept_yet_when_the_run_ends_is_not_lost(tmp_path):
    slow = row("disk_slow", "01:59", "02:20", write_s="600.0")
    day, _ = lived(tmp_path, slow, orders=ALERT + MUTE_AT_TWO)
    assert [one.fate for one in day.orders if one.kind == "mute"] == ["obeyed"] * 2


def test_a_node_that_is_too_slow_for_its_card_says_so_itself(tmp_path):
    """Its record, its fault and the answer are of one mind, and the horn was silent."""
    slow = row("cpu_throttle", "01:59", "02:15", share="0.01", cluster='"a-2"')
    day, ears = lived(tmp_path, slow, sound=True)
    [fate] = [one for one in day.orders if one.kind == "alert" and one.node == "a-2"]
    items = {one.node: one for one in day.items if one.item.startswith("#")}
    assert fate.fate == "not heard" and ears["a-2"].seconds(fate.sent_s) < LOOK_S
    assert fate.reason == f"{LATE}; its CPU was too slow to play"
    assert (items["a-2"].outcome, items["a-2"].reason) == ("missed", LATE)
    assert items["a-1"].outcome == "played"
