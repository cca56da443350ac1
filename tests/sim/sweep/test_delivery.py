"""The model of an order's way that a sweep throws, held against whole daemons."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings

from node.config import ConfigError
from node.units import NS_PER_S
from sim.day.station import Station
from sim.gateway.power import uptimes
from sim.sweep.delivery import Delivery
from sim.village import scenario
from sim.village.course import require_lived
from sim.village.faults import KINDS
from sim.village.places import build_village, day_cuts
from sim.world.whole_day import live_orders, run_day
from tests.sim.two_poles import CANCEL, VILLAGE, broken, villages

DAY_NS = 86_400 * NS_PER_S
CONNECTS_S = 8.0
"""When a node is connected again after a cut is chance in both, and a modem sleeps 1 s or 6."""


def modelled(asked, village):
    """Return (node, kind, s into the day) of each order to when it comes by the model, s."""
    station = Station(asked.day, tuple(one.name for one in asked.communes), seed=asked.seed)
    orders = [one for one in station.orders() if one.order is not None]
    delivery = Delivery(village, orders, seed=asked.seed)
    found = {}
    for place in village.places:
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        power = uptimes(day_cuts(place, "power_cut"), boot_ns=boot_ns, end_ns=DAY_NS)
        for sent, way in zip(orders, delivery.ways(place, power), strict=True):
            came_s = None if way.arrived_ns is None else way.arrived_ns / NS_PER_S
            found[place.node, sent.order.kind, sent.at_ns / NS_PER_S] = came_s
    return found


@settings(max_examples=12, derandomize=True)
@given(villages())
@example(broken("broker_down", "02:00", "02:02"))
@example(broken("broker_down", "01:58", "02:00"))
@example(broken("link_down", "02:00", "02:01"))
@example(broken("power_cut", "02:00", "02:01"))
@example(broken("link_down", "02:00", "02:04", lasts_s=120, then=CANCEL))
@example(broken("power_cut", "01:59", "02:01", lasts_s=120, bearer="lte_weak", seed=34))
def test_an_order_comes_when_whole_daemons_have_it(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("two") / "two.toml"
    path.write_text(text)
    asked = scenario.load(path)
    village = build_village(asked)
    stretch = live_orders(asked, village)
    lived = {(one.node, one.kind, one.sent_s): one for one in stretch.fates() if one.kind}
    told = modelled(asked, village)
    assert {key for key in lived if key[1] != "live"} == set(told)
    for key, came_s in told.items():
        other_s = lived[key].arrived_s
        assert (came_s is None) == (other_s is None), key
        if came_s is not None:
            assert came_s == pytest.approx(other_s, abs=CONNECTS_S), key


@pytest.mark.parametrize("kind", [name for name, one in KINDS.items() if one.sweep])
def test_whatever_a_sweep_says_that_its_orders_meet_keeps_them_back(tmp_path, kind):
    """A card that is gone keeps no order back, and yet nobody hears it: that is for a whole day."""
    path = tmp_path / "two.toml"
    path.write_text(broken(kind, "00:00", "24:00"))
    asked = scenario.load(path)
    require_lived(asked, "sweep")
    assert set(modelled(asked, build_village(asked)).values()) == {None}


def test_a_warning_without_a_sound_is_not_said_to_warn_wherever_it_comes(tmp_path):
    """A whole day says that each node refuses it."""
    path = tmp_path / "two.toml"
    text = broken("power_cut", "04:00", "05:00")
    path.write_text(text.replace("[day.alert.phrases.any]", "[day.alert.phrases.TOR]"))
    asked = scenario.load(path)
    with pytest.raises(ConfigError, match=r"day.orders\[0\].event = '': no sound is stored for it"):
        require_lived(asked, "sweep")
    fates = {(one.fate, one.reason) for one in live_orders(asked, build_village(asked)).fates()}
    assert ("not heard", "refused: no stored sound for it") in fates


def test_the_part_of_a_day_around_its_orders_begins_before_what_costs_a_node_its_keys(tmp_path):
    """A sweep and a run tell the same: the key that the broker forgot is asked for in both."""
    order = '[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 600\nlasts_s = 600\n'
    lost = (
        '[[faults]]\nkind = "disk_full"\nstart = "00:00"\nend = "24:00"\n'
        '[[faults]]\nkind = "broker_down"\nstart = "00:30"\nend = "00:31"\nkeeps = false\n'
        '[[faults]]\nkind = "power_cut"\nstart = "01:00"\nend = "01:30"\n'
    )
    path = tmp_path / "two.toml"
    path.write_text(VILLAGE.format(seed=5, bearer="perfect", floor=90, orders=order, faults=lost))
    asked = scenario.load(path)
    part = live_orders(asked, build_village(asked)).fates()
    whole = run_day(asked, build_village(asked)).orders
    found = [
        {(one.node, one.fate, one.answer) for one in told if one.kind == "alert"}
        for told in (part, whole)
    ]
    assert found[0] == found[1] and {fate for _, fate, _ in found[0]} == {"not heard"}


@pytest.mark.parametrize("every_ms", [20, 1000])
def test_orders_over_a_trace_meet_its_outages_as_often_as_they_last(tmp_path, every_ms):
    """Nine tenths of twenty minutes nothing came: not always, nor never, by where it begins."""
    count = 1_200_000 // every_ms
    rows = [f"{i},{every_ms * i},{'' if i > count // 10 else every_ms * i}" for i in range(count)]
    (tmp_path / "t.csv").write_text("\n".join(["seq,send_ms,arrival_ms", *rows]))
    path = tmp_path / "two.toml"
    text = broken("link_down", "23:00", "23:01", bearer="lte_good")
    path.write_text(text.replace('"lte_good"', '"trace:t.csv"'))
    asked = scenario.load(path)
    village = build_village(asked)
    over = {one.node for one in village.places if one.trace_ns is not None}
    soon = [
        came_s is not None and came_s - at_s < 5
        for seed in range(100)
        for (node, _, at_s), came_s in modelled(replace(asked, seed=seed), village).items()
        if node in over
    ]
    assert over and 0.03 < sum(soon) / len(soon) < 0.25
