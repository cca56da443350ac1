"""A day in whole daemons, as a planner asks for it."""

import json

from sim.cli import main
from sim.village import scenario
from sim.village.places import build_village
from sim.world.whole_day import live_orders
from tests.sim.two_poles import VILLAGE

FAULT = '[[faults]]\nkind = "power_cut"\nstart = "00:00"\nend = "04:00"\ncluster = "a-2"\n'
ORDERS = (
    '[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 3600\nlasts_s = 600\n'
    '[[day.orders]]\nat = "20:30"\nkind = "alert"\nttl_s = 600\nlasts_s = 600\n'
)


def test_a_day_names_who_was_not_warned_and_what_of_the_live_programme_was_heard(tmp_path, capsys):
    path = tmp_path / "two.toml"
    path.write_text(VILLAGE.format(seed=3, floor=90, bearer="perfect", orders=ORDERS, faults=FAULT))
    command = ["run", str(path), "--day", "--no-sound", "--json", "--out", str(tmp_path / "out")]
    status = main([*command, "--fail-on", "unwarned > 0"])
    day = json.loads(capsys.readouterr().out)["day"]
    assert status == 3, "one pole had no power at the first warning"
    warned = {
        (one["node"], one["sent_s"]): one["fate"] for one in day["orders"] if one["kind"] == "alert"
    }
    assert warned == {
        ("a-1", 7200.0): "heard",
        ("a-2", 7200.0): "not heard",
        ("a-1", 73800.0): "not heard",  # it knows that number, and what it said is over
        ("a-2", 73800.0): "heard",
    }
    live = {(one["node"], one["outcome"]) for one in day["items"] if one["item"][:5] == "live "}
    assert live == {("a-1", "played"), ("a-2", "played")}
    assert day["totals"]["unwarned"] == 2


def test_orders_come_by_a_trace_too_and_are_lost_where_it_loses_all(tmp_path):
    (tmp_path / "way.csv").write_text("30\n" * 50)
    (tmp_path / "gone.csv").write_text("30\n" + "-1\n" * 500)
    text = VILLAGE.format(seed=3, floor=90, bearer="trace:way.csv", orders=ORDERS, faults="")
    text = text.replace('"20:30"', '"02:20"').replace("lasts_s = 600", "number = 2", 1)
    second = text.index('name = "a-2"')
    text = text[:second] + text[second:].replace("trace:way.csv", "trace:gone.csv", 1)
    path = tmp_path / "two.toml"
    path.write_text(text)
    loaded = scenario.load(path)
    stretch = live_orders(loaded, build_village(loaded))
    warned = [one for one in stretch.fates() if one.kind == "alert"]
    assert [one.fate for one in warned if one.node == "a-1"] == ["heard", "heard"]
    assert {one.fate for one in warned if one.node == "a-2"} == {"not heard"}
    (first, _) = [one.arrived_s - one.sent_s for one in warned if one.node == "a-1"]
    assert 0.03 <= first < 0.1, "and the backhaul"
