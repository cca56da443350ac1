"""A warning that the power cuts off begins anew: pieces of it make nothing whole."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.result.day import WARNED
from sim.village import scenario
from tests.sim.parts_of_days import around_orders
from tests.sim.villages import village

ORDER_S = 300
"""Into the part of the day that is lived."""
ONCE_S = 30
LOOK_S = 1.5
"""Pieces of a second are missing at each begin, and are seen beside each end."""
DAY = """
[day]
date = "2026-11-23"
live_at = "02:00"

[day.volume]
volume = 75
emergency_floor = 90

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 10
text = {{ vi = "announcement_vi.flac" }}
text_s = 20

[[day.orders]]
at = "02:00"
kind = "alert"
ttl_s = 3600
lasts_s = {lasts_s}
"""
CUT = '\n[[faults]]\nkind = "power_cut"\nfrom_s = {}\nuntil_s = {}\n'


def lived(folder, cuts, lasts_s):
    """Return the fate of a warning at one pole, and of what it heard (begin, seconds) by boot."""
    more = DAY.format(lasts_s=lasts_s) + "".join(CUT.format(*cut) for cut in cuts)
    place = [("d-01", "pi_4b_i2s", "perfect", 0, 0)]
    path = folder / "cut.toml"
    path.write_text(village({("Đoài", 0, 0): place}, duration_s=5, more=more))
    day = around_orders(scenario.load(path))
    (fate,) = [one for one in day.orders if one.kind == "alert"]
    edges = [0, *(ORDER_S + start for start, _ in cuts), 86_400]
    boots = []
    for start, end in pairwise(edges):
        spans = [one for one in day.spans if start <= one.from_s < end and one.item[0] == "#"]
        if spans:
            heard_s = sum(one.until_s - one.from_s for one in spans)
            boots.append((spans[0].from_s - ORDER_S, heard_s))
    return fate, boots


@st.composite
def flapping(draw):
    cuts, at_s = [], draw(st.integers(2, 40))
    for _ in range(draw(st.integers(1, 4))):
        cuts.append((at_s, at_s + draw(st.integers(1, 5))))
        at_s = cuts[-1][1] + draw(st.integers(20, 90))
    return cuts


@settings(max_examples=8, derandomize=True)
@given(flapping(), st.sampled_from([60, 170, 3600]))
@example([(12, 17), (62, 67), (112, 117), (162, 167)], 170)
@example([(12, 17), (62, 3000)], 60)
def test_who_never_heard_it_without_a_power_cut_was_not_warned(tmp_path_factory, cuts, lasts_s):
    fate, boots = lived(tmp_path_factory.mktemp("cut"), cuts, lasts_s)
    surely = [begin for begin, heard_s in boots if heard_s > ONCE_S + LOOK_S]
    perhaps = [begin for begin, heard_s in boots if heard_s > ONCE_S - LOOK_S]
    if surely:
        assert fate.fate in WARNED
    if not perhaps:
        assert fate.fate not in WARNED
    if fate.fate in WARNED:
        assert fate.first_sound_s >= perhaps[0] - LOOK_S
        assert (fate.fate == "late") == (fate.first_sound_s > 60)
        if fate.first_sound_s - boots[0][0] > LOOK_S and fate.fate == "late":
            assert "power" in fate.reason
    assert fate.heard_pct == pytest.approx(
        min(100, max(heard_s for _, heard_s in boots) / 0.9), abs=3
    )
