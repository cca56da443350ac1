"""A pole that is broken hears a warning as much beside a live programme as without one."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.day.fates import item_name
from sim.village import scenario
from tests.sim.parts_of_days import around_orders
from tests.sim.two_poles import clock
from tests.sim.villages import village

DAY = """
[day]
date = "2026-11-23"
{live}

[day.volume]
volume = 75
emergency_floor = 90

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = {siren_s}

[[day.orders]]
at = "02:02"
kind = "alert"
ttl_s = 3600
lasts_s = {lasts_s}
"""
FAULT = '\n[[faults]]\nkind = "{}"\nstart = "{}"\nend = "{}"\n{}\n'
MORE = {"card_gone": "", "power_cut": "", "cpu_throttle": "share = 0.001"}
SECONDS = re.compile(r"\d+ s ")
PROFILES = ["pi_4b_i2s", "pi_zero_2w_i2s", "pi_5_usb"]
LOOK_S = 1.5
"""Sound is seen by looks, and an amplifier that is not mute is there at once."""


@st.composite
def faults(draw):
    kind = draw(st.sampled_from(sorted(MORE)))
    start = draw(st.integers(1, 5))
    return kind, clock(start), clock(start + draw(st.integers(1, 4))), MORE[kind]


def lived(path, profile, broken, *, siren_s, lasts_s, live):
    """Return fate and record of the warning, and the records of the live programme."""
    more = DAY.format(live='live_at = "02:00"' * live, siren_s=siren_s, lasts_s=lasts_s)
    more += "".join(FAULT.format(*one) for one in broken)
    poles = {("Đoài", 0, 0): [("d-01", profile, "perfect", 0, 0)]}
    path.write_text(village(poles, duration_s=600, more=more))
    day = around_orders(scenario.load(path))
    [fate] = [one for one in day.orders if one.kind == "alert"]
    items = {one.item: one for one in day.items}
    return fate, items.pop(item_name(fate.number)), list(items.values())


def broken_s(broken):
    """Return for how many seconds of the live programme something is broken."""
    minutes = set()
    for _, start, end, _ in broken:
        first, last = (60 * int(at[:2]) + int(at[3:]) for at in (start, end))
        minutes |= set(range(first, last)) & set(range(120, 130))
    return 60 * len(minutes)


@settings(max_examples=10, derandomize=True)
@given(
    st.sampled_from(PROFILES),
    st.lists(faults(), min_size=1, max_size=2, unique_by=lambda one: one[0]),
    st.sampled_from([4, 20, 60]),
    st.sampled_from([20, 60, 300]),
)
@example("pi_4b_i2s", [("card_gone", "02:01", "02:08", "")], 4, 20)
@example("pi_4b_i2s", [("cpu_throttle", "02:01", "02:04", "share = 0.001")], 60, 300)
def test_what_is_broken_keeps_a_warning_from_sounding_beside_a_live_programme_too(
    tmp_path_factory, profile, broken, siren_s, lasts_s
):
    path = tmp_path_factory.mktemp("beside") / "village.toml"
    alone, alone_item, _ = lived(
        path, profile, broken, siren_s=siren_s, lasts_s=lasts_s, live=False
    )
    fate, item, programmes = lived(
        path, profile, broken, siren_s=siren_s, lasts_s=lasts_s, live=True
    )
    assert (fate.fate, SECONDS.sub("", fate.reason)) == (alone.fate, SECONDS.sub("", alone.reason))
    assert fate.heard_pct == pytest.approx(alone.heard_pct, abs=100 * 2 * LOOK_S / siren_s)
    if alone.first_sound_s is not None:
        assert fate.first_sound_s == pytest.approx(alone.first_sound_s, abs=LOOK_S)
    assert item.outcome == alone_item.outcome
    assert item.sounded_s == pytest.approx(alone_item.sounded_s, abs=5)
    if item.first_sample_ms is not None:
        assert 0 <= item.first_sample_ms
        assert fate.first_sound_s is None or item.first_sample_ms < 1000 * fate.first_sound_s + 1
    heard_s = sum(one.sounded_s for one in [item, *programmes])
    assert heard_s <= 600 - broken_s(broken) + 5
