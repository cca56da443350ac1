"""A day of a village: what plays, how loud, who may; rules hold, and one seed gives one day."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from node.config import ConfigError
from node.opus.libopus import LibopusDecoder
from sim import cli
from sim.report.day_rows import hamlet_items
from sim.village import scenario
from sim.village.places import build_village
from sim.world.whole_day import run_day
from tests.sim.parts_of_days import EVENING, around_orders, part_of


def day_of(path, *changes, part=None):
    """Return what a day answers, or a part of it: around its orders, or (begin, end) in s."""
    text = path.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)
    loaded = scenario.load(path)
    if part is not None:
        return around_orders(loaded) if part == "orders" else part_of(loaded, *part)
    return run_day(loaded, build_village(loaded))


def items_of(day, name):
    return [one for one in day.items if one.item == name]


def test_a_day_says_what_each_hamlet_heard_and_why(village):
    day = day_of(village)
    assert {one.reason for one in items_of(day, "dawn")} == {"outside the hours of hours_common"}
    assert {one.outcome for one in items_of(day, "dawn")} == {"refused"}
    for name in ("evening", "province"):
        assert {one.outcome for one in items_of(day, name)} == {"played"}
    assert day.totals["breaches"] == 0
    rows = {row.item: row for row in hamlet_items(day)}
    warning = next(row for name, row in rows.items() if name.startswith("#"))
    assert warning.clusters == warning.played == 3
    assert "with a recorded justification" in warning.avoided
    assert rows["evening"].played_dba[1] <= rows["evening"].limits_dba[0] == 70.0


def test_what_is_too_loud_for_the_nearest_house_is_lowered_there_alone(village):
    day = day_of(village, ("volume = 75", "volume = 100"), part=EVENING)
    spans = [one for one in day.spans if one.item == "evening" and one.action == "lower"]
    assert {one.node for one in spans} >= {"a-1"}
    for one in spans:
        assert one.asked_dba > 70 and one.played_dba == 70.0
    assert day.totals["breaches"] == 0 and day.totals["lowered_minutes"] > 0


def test_a_higher_item_takes_the_horn_and_gives_it_back(village):
    day = day_of(
        village,
        ('name = "province"\nstart = "17:00"', 'name = "province"\nstart = "17:01"'),
        (
            'duration_s = 20, media = { vi = "announcement_vi.flac" } }]\n\n'
            '[[day.programme.items]]\nname = "province"',
            'duration_s = 90, media = { vi = "announcement_vi.flac" } }]\n\n'
            '[[day.programme.items]]\nname = "province"',
        ),
        part=EVENING,
    )
    assert len(day.decisions) == 3
    for one in day.decisions:
        assert (one.item, one.taken_by) == ("evening", "province")
        assert one.why == "priority of the province goes before normal of the commune"
        assert 9.5 < one.back_s - one.at_s < 11.5
        assert one.first_sample_ms < 1000


def test_a_warning_sounds_as_soon_as_the_amplifier_is_back_and_as_often_as_it_is_to(village):
    day = day_of(village, part="orders")
    for node in ("a-1", "a-2", "a-3"):
        heard = [one for one in day.spans if one.node == node and one.item.startswith("#")]
        assert len(heard) == 3
        assert heard[0].volume == 90
    release_ms = 500  # of the profile's amplifier, which is mute before it
    assert release_ms <= day.totals["urgent_first_sample_max_ms"] <= release_ms + 20


def test_neighbours_take_turns_and_a_warning_waits_for_nobody(village):
    day = day_of(
        village, ("[day.volume]", "[day.stagger]\noverlap_m = 400\nturn_s = 60\n\n[day.volume]")
    )
    groups = {one.node: one.group for one in day.nodes}
    assert groups["a-1"] != groups["a-2"], "100 m apart"
    starts = {one.node: one.started_s for one in items_of(day, "evening")}
    assert abs(starts["a-1"] - starts["a-2"]) == 60.0
    assert {one.started_s for one in day.items if one.item.startswith("#")} == {7200.0}
    assert (day.totals["pairs_overlapping"], day.totals["pairs_left"]) == (1, 0)


def test_a_node_without_power_says_what_it_missed_and_still_hears_an_order_in_force(village):
    cut = '[[faults]]\nkind = "power_cut"\ncluster = "a-2"\nstart = "%s"\nend = "%s"\n\n'
    day = day_of(
        village,
        ("[day.volume]", cut % ("01:59", "02:03") + cut % ("16:59", "17:20") + "[day.volume]"),
    )
    arrived = {one.node: one.arrived_s for one in day.orders if one.order == "alert"}
    assert arrived["a-1"] < 7201
    assert 7380 < arrived["a-2"] < 7800, "the power was back at 02:03"
    evening = {one.node: one for one in items_of(day, "evening")}
    assert (evening["a-1"].outcome, evening["a-2"].outcome) == ("played", "missed")
    assert evening["a-2"].reason


class Ear:
    """Somebody at the first pole, who hears what leaves the horn from one moment to another."""

    def __init__(self, begin_s, end_s):
        self.heard, self._begin_s, self._end_s = [], begin_s, end_s

    def note_sound(self, sound, leaves_ns):
        if self._begin_s <= leaves_ns / 1e9 < self._end_s:
            self.heard.append(sound[:, 0].copy())

    def note_order(self, payload, fate, at_ns):
        """See nothing."""

    def note_event(self, event, at_ns):
        """See nothing."""

    def note_power(self, at_ns, *, on):
        """See nothing."""


def test_what_the_day_says_is_what_the_horn_plays(village):
    levels = {}
    for volume in (75, 50):
        loaded = scenario.load(village)
        day = replace(loaded.day, orders=(), volume=replace(loaded.day.volume, volume=volume))
        built = build_village(loaded)
        built = replace(built, places=built.places[1:2])
        ear = Ear(315, 319)
        asked = replace(loaded, day=day)
        told = part_of(asked, *EVENING, built=built, decoder=LibopusDecoder, witness=ear)
        span = next(one for one in told.spans if one.item == "evening")
        rms_db = 10 * np.log10(np.mean(np.concatenate(ear.heard) ** 2))
        levels[volume] = (span.played_dba, rms_db)
    said_db = levels[75][0] - levels[50][0]
    assert said_db == pytest.approx(5.5, abs=0.05)
    assert levels[75][1] - levels[50][1] == pytest.approx(said_db, abs=0.05)


def test_the_same_seed_gives_the_same_day_in_another_process(village):
    script = (
        "import json, sys; from dataclasses import asdict; from sim.village import scenario;"
        "from tests.sim.parts_of_days import around_orders;"
        "print(json.dumps(asdict(around_orders(scenario.load(sys.argv[1])))))"
    )
    days = [
        subprocess.run(
            [sys.executable, "-c", script, str(village)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert days[0] == days[1]
    here = day_of(village, part="orders")
    assert json.loads(days[0]) == json.loads(json.dumps(asdict(here)))
    other = day_of(village, ("seed = 5", "seed = 6"), part="orders")
    assert json.loads(days[0])["trace_hash"] != other.trace_hash


def test_every_fault_of_a_day_is_named_with_what_is_right(village):
    with pytest.raises(ConfigError) as caught:
        day_of(
            village,
            ('date = "2026-11-23"', 'date = "23.11.2026"'),
            ('start = "05:00"', 'start = "5 am"'),
            ('"siren.flac"', '"whistle.flac"'),
            ('kind = "alert"', 'kind = "cheer"'),
        )
    text = str(caught.value)
    for words in (
        "village.toml: day.alert.phrases.any.siren = 'whistle.flac': no such sound file",
        "village.toml: day.orders[0].kind = 'cheer': must be one of 'alert', 'cancel'",
        "start = '5 am'",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('date = "2026-11-23"', 'date = "23.11.2026"', "day.date = '23.11.2026': must be a date"),
        ('"hours_common"', '"hours_mars"', "day.rules[2] = 'hours_mars': no such file"),
        ('cluster = "a-1"', 'cluster = "z"', "day.houses[0].cluster = 'z': must be one of a-1"),
        ('kind = "alert"', 'kind = "alert"\nby = "king"', "day.orders[0].by = 'king': must be"),
        ('kind = "alert"', 'kind = "alert"\nhamlet = "Z"', "day.orders[0].hamlet = 'Z'"),
    ],
)
def test_a_fault_of_a_day_names_its_place(village, old, new, words):
    with pytest.raises(ConfigError) as caught:
        day_of(village, (old, new))
    assert words in str(caught.value)


def test_a_scenario_without_a_day_is_told_so(capsys, tmp_path):
    assert cli.main(["run", "perfect", "--day", "--out", str(tmp_path)]) == 2
    assert "perfect.toml: day: missing" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["huu_lung_six", "tan_thanh"])
def test_the_villages_that_ship_have_a_day(name):
    day = scenario.load(name).day
    starts = [item.start for item in day.programme.items]
    assert "05:00" in starts and "17:00" in starts
    assert [order.at for order in day.orders] == ["02:00"]
