"""A day in whole daemons, as a planner asks for it: who was warned, as the fast day says it too."""

import json

from sim.cli import main
from tests.sim.world.test_two_tiers import VILLAGE, broken

FAULT = '[[faults]]\nkind = "power_cut"\nstart = "00:00"\nend = "04:00"\ncluster = "a-2"\n'
ORDERS = (
    '[[day.orders]]\nat = "02:00"\nkind = "alert"\nttl_s = 3600\nlasts_s = 600\n'
    '[[day.orders]]\nat = "20:30"\nkind = "alert"\nttl_s = 600\nlasts_s = 600\n'
)


def ask(capsys, path, tier):
    """Return the exit status, and the day that was told as JSON."""
    command = ["run", str(path), "--day", "--tier", tier, "--no-sound", "--json"]
    status = main([*command, "--out", str(path.parent / tier), "--fail-on", "unwarned > 0"])
    return status, json.loads(capsys.readouterr().out)["day"]


def test_both_ways_to_live_a_day_name_the_same_poles_that_were_not_warned(tmp_path, capsys):
    path = tmp_path / "two.toml"
    path.write_text(VILLAGE.format(seed=3, floor=90, bearer="perfect", orders=ORDERS, faults=FAULT))
    (status, fast), (other_status, whole) = (ask(capsys, path, one) for one in ("auto", "world"))
    assert status == other_status == 3, "one pole had no power at the first warning"
    told, lived = (
        {(one["node"], one["order"], one["sent_s"]): one["fate"] for one in day["orders"]}
        for day in (fast, whole)
    )
    assert lived == told and list(lived.values()).count("not heard") == 1
    heard, again = (
        {(one["node"], one["item"], one["outcome"]) for one in day["items"]}
        for day in (fast, whole)
    )
    live = {one for one in again if one[1].startswith("live ")}
    assert heard == again - live
    assert {(node, outcome) for node, _, outcome in live} == {("a-1", "played"), ("a-2", "played")}
    assert whole["totals"]["unwarned"] == fast["totals"]["unwarned"] == 1


def test_the_world_is_for_a_day_and_for_links_with_both_ways(tmp_path, capsys):
    path = tmp_path / "two.toml"
    path.write_text(broken("link_down", "02:00", "02:01"))
    assert main(["run", str(path), "--tier", "world", "--out", str(tmp_path / "out")]) == 2
    assert "add --day" in capsys.readouterr().err
    (tmp_path / "way.csv").write_text("30\n" * 500)
    path.write_text(broken("link_down", "02:00", "02:01", bearer="trace:way.csv"))
    status = main(["run", str(path), "--day", "--tier", "world", "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert status == 2 and "a-1" in said and "both ways" in said, said
