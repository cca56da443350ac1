"""Orders of each hour are answered only where the programme leaves them room: else refused."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from sim import cli
from sim.drive.run import run
from sim.sweep.room import no_room
from sim.sweep.sampling import InputSample, Sample
from sim.sweep.settings import read_variants
from sim.sweep.sweep import WARNING, Sweep
from sim.sweep.throw import rows_of
from sim.village import scenario
from sim.village.places import build_village
from tests.sim.thin import THIN
from tests.sim.villages import village

DAY = '[day]\ndate = "2026-10-30"\nlive_at = "02:00"\n'
BETWEEN = DAY.replace("02:00", "02:30")


def thin(folder, *, poles, backhaul=9_000, cell=9_000, more="", duration_s=8):
    """Return a loaded village of so many poles behind a backhaul and a cell of so many kbit/s."""
    clusters = [(f"c-{i}", "pi_4b_i2s", "thin", 0, 0) for i in range(poles)]
    lines = THIN.format(rate=backhaul, cell=cell, loss=0)
    text = village({("Thôn", 0, 0): clusters}, duration_s=duration_s, more=more + lines)
    at = "\n[[communes.hamlets]]"
    path = folder / "thin.toml"
    path.write_text(text.replace(at, f'\nbackhaul = "thin"{at}', 1))
    return scenario.load(path)


@settings(max_examples=12, derandomize=True)
@given(
    poles=st.integers(1, 6),
    room=st.sampled_from([0.6, 0.95, 1.05, 1.25, 4.0]),
    where=st.sampled_from(["backhaul", "cell"]),
    day=st.sampled_from(["", DAY]),
)
@example(poles=4, room=1.25, where="cell", day=DAY)
@example(poles=4, room=0.6, where="backhaul", day="")
def test_orders_of_each_hour_are_refused_where_streams_find_no_room(
    tmp_path_factory, poles, room, where, day
):
    """All were said to be warned in time: without a day, and beside what is asked for again."""
    folder = tmp_path_factory.mktemp("room")
    asked = thin(folder, poles=poles, more=day, **{where: round(poles * 46 * room)})
    ran = run(asked, decode=False)
    lost = any(one.dropped_packets for one in ran.capacity)
    over = bool(ran.totals["over_capacity"])
    refused = bool(no_room(asked, build_village(asked)))
    assert refused or not (lost or over)
    assert not refused or lost or over


def test_a_programme_between_two_hours_is_met_by_no_order(tmp_path):
    asked = thin(tmp_path, poles=4, backhaul=40, more=BETWEEN)
    assert no_room(asked, build_village(asked)) == []


def test_without_a_day_it_is_said_that_nobody_knows_when_it_plays(tmp_path, capfd):
    thin(tmp_path, poles=4, backhaul=40)
    arguments = ["sweep", str(tmp_path / "thin.toml"), "--only", "warning", "--workers", "1"]
    assert cli.main([*arguments, "--seeds", "1", "--out", str(tmp_path / "out")]) == 2
    said = capfd.readouterr().err
    assert "no table [day] says when the programme plays" in said and "of 40 kbit/s" in said


def test_a_village_that_is_drawn_is_refused_as_one_that_is_written(tmp_path):
    """Only the first one was looked at."""
    asked = thin(tmp_path, poles=4, backhaul=9_000)
    rate = InputSample(name="thin.rate_kbit_s", low=100, high=2000, source="test")
    sweep = Sweep(
        scenario=asked,
        variants=read_variants([]),
        sample=Sample(inputs=(rate,)),
        villages=20,
        measures=(WARNING,),
        ttl_s=60,
    )
    questions = [sweep.question(sweep.variants[0], sweep.throw(n)) for n in range(20)]
    full = [bool(no_room(*one)) for one in questions]
    assert True in full and False in full
    with pytest.raises(ConfigError, match="fills the backhaul"):
        rows_of(sweep, full.index(True))
    assert rows_of(replace(sweep, ttl_s=61), full.index(False))
