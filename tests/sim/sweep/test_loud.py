"""Whether a warning is loud enough: what a sweep takes it to be is what whole daemons play."""

from contextlib import closing

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.result.day import WARNED
from sim.sweep.loud import loud_hours
from sim.village import scenario
from sim.village.places import build_village
from sim.world.stretch import Stretch

HOUR = 5
VILLAGE = """
title = "Loud"
question = "Who hears it?"
seed = 1
duration_s = 10

[day]
date = "2026-11-23"
rules = {rules}
heard_from_dba = {heard_from}
house_nearest_m = {house_m}
house_farthest_m = {house_m}

[day.volume]
volume = {volume}
emergency_floor = {floor}
class_offset = {{ urgent = {offset} }}
rules = [{{ name = "early", volume = {early}, start = "04:30", end = "06:00" }}]

[day.regulation]
urgent_noise = "{noise}"
{why}

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 4

[[day.orders]]
at = "05:00"
kind = "alert"
ttl_s = 60
lasts_s = 60

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
  {{ name = "a-1", profile = "pi_4b_i2s", bearer = "perfect", x_m = 0, y_m = 0 }},
  {{ name = "a-2", profile = "pi_5_usb", bearer = "perfect", x_m = 200, y_m = 0 }},
  {{ name = "a-3", profile = "pi_zero_2w_i2s", bearer = "perfect", x_m = 400, y_m = 0 }},
]
"""
AS_IT_IS = {
    "rules": "[]", "heard_from": 45, "house_m": 80, "volume": 70, "floor": 80, "offset": 0,
    "early": 40, "noise": "justify", "why": 'justification = "a flood"',
}  # fmt: skip


def village(path, **more):
    told = AS_IT_IS | more
    if told["noise"] != "justify":
        told["why"] = ""
    path.write_text(VILLAGE.format(**told))
    asked = scenario.load(path)
    return asked, build_village(asked, with_hash=False)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "rules": st.sampled_from(["[]", '["noise_qcvn_26_2025"]']),
            "heard_from": st.sampled_from([0, 45, 60, 66, 90]),
            "house_m": st.sampled_from([20, 80, 150, 600, 3000]),
            "volume": st.sampled_from([0, 30, 75]),
            "floor": st.sampled_from([0, 40, 80]),
            "offset": st.sampled_from([-100, 0, 20]),
            "early": st.sampled_from([0, 40, 100]),
            "noise": st.sampled_from(["justify", "lower", "refuse"]),
        }
    )
)
@example({"volume": 0, "floor": 0, "early": 0})
@example({"house_m": 3000})
def test_who_is_loud_enough_in_a_sweep_is_so_in_whole_daemons(tmp_path_factory, more):
    asked, built = village(tmp_path_factory.mktemp("loud") / "loud.toml", **more)
    begin_s = HOUR * 3600 - 60
    stretch = Stretch(asked, built, begin_s=begin_s, end_s=begin_s + 240)
    with closing(stretch.world):
        for _ in stretch.advance():
            pass
        heard = {one.node: one.fate in WARNED for one in stretch.fates() if one.kind == "alert"}
    loud = loud_hours(asked, built)
    assert heard == {
        place.node: hours[HOUR] for place, hours in zip(built.places, loud, strict=True)
    }


@pytest.mark.parametrize(("early", "hours"), [(40, 24), (0, 23)])
def test_it_may_be_heard_at_some_hours_only(tmp_path, early, hours):
    """From half past four to six the plan says nothing at all."""
    asked, built = village(tmp_path / "loud.toml", early=early, floor=0)
    assert [sum(one) for one in loud_hours(asked, built)] == [hours] * 3
