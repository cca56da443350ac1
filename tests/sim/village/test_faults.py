"""Whom a fault meets and when, and what no fault can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import ConfigError
from sim.drive import run as drive
from sim.fleet import run as fleet
from sim.tier import FLEET, choose
from sim.village import scenario
from sim.village.course import require_lived
from sim.village.faults import KINDS, Fault
from sim.village.places import build_village, day_cuts
from tests.sim.faulty import FIELDS, row
from tests.sim.two_poles import VILLAGE

ALERT = '[[day.orders]]\nat = "01:59"\nkind = "alert"\nttl_s = 600\nlasts_s = 600\n'
HOUR_NS = 3600 * 10**9


def load(folder, faults, *, reports=True):
    path = folder / "two.toml"
    text = VILLAGE.format(seed=4, bearer="lte_good", floor=90, orders=ALERT, faults=faults)
    if not reports:
        text += "\n[sender]\nreports = false\n"
    path.write_text(text)
    return scenario.load(path)


def cuts(folder, faults, kind="power_cut"):
    return {one.node: day_cuts(one, kind) for one in build_village(load(folder, faults)).places}


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("01:00", "03:30", [(1, 3.5)]),
        ("22:00", "30:00", [(22, 30)]),
        ("22:00", "06:00", [(0, 6), (22, 30)]),
        ("2026-11-21 18:00", "2026-11-23 07:00", [(0, 7)]),
        ("2026-11-23 18:00", "2026-11-26 07:00", [(18, 79)]),
        ("23:00", "2026-11-24 01:00", [(23, 25)]),
        ("2026-11-22 24:00", "24:00", [(0, 24)]),
    ],
)
def test_a_fault_may_last_for_days_and_past_midnight(tmp_path, start, end, hours):
    found = cuts(tmp_path, row("power_cut", start, end))
    assert found["a-1"] == tuple((int(a * HOUR_NS), int(b * HOUR_NS)) for a, b in hours)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (row("power_cut", "2026-11-20 18:00", "2026-11-22 07:00"), "faults[0].start = '2026-11-20"),
        (row("power_cut", "26:00", "25:00"), "after start = 26:00"),
        (row("power_cut", "23:00", "2026-11-23 01:00"), "faults[0].end = '2026-11-23 01:00'"),
        (row("power_cut", "250:00", "03:00"), "start = '250:00': must be hh:mm"),
        (row("power_cut", "01:00", "02:00", share="0.5"), "share = 0.5: must be left out"),
        (row("power_cut", "01:00", "02:00", backhaul='"A"'), "without backhaul: takes commune"),
        (row("link_down", "01:00", "02:00", backhaul='"A"', cluster='"a-1"'), "the only place"),
        (row("congestion", "01:00", "02:00"), "share = None: must be 1e-06 to 1"),
        (row("clock_step", "01:00", "02:00", step_s="0.0"), "step_s = 0.0: must be -86400"),
        (row("power_cut", "01:00", "02:00", feeder='"9"'), "faults[0].feeder = '9': must be one"),
        (row("power_cut", "01:00", "02:00", cell='"a"'), "must be one of hill, lte_good"),
        (row("no_rtc", "01:00", "02:00", feeder='"472"'), "no cluster there has a clock"),
        (row("replayed", "01:58"), "no alert 1 is ordered there before it"),
        (row("replayed", "02:00", repeats='"mute"'), "no mute is ordered there before it"),
        (row("forged", "02:00", by='"king"'), "faults[0].by = 'king': must be one of"),
        (row("half_open", "02:00") + 'end = "03:00"\n', "must be from_s or start alone"),
    ],
)
def test_what_no_fault_can_be_is_said_with_what_would_be_right(tmp_path, fault, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, fault)
    assert said in str(caught.value), caught.value
    assert str(caught.value).count("\n") == 0


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_field_of_another_kind_is_never_taken_in_silence(kind, data):
    strange = {
        "way": "up", "share": 0.5, "step_s": 3.0, "write_s": 3.0, "extra_ms": 30.0, "keeps": False,
        "by": "commune", "repeats": "mute", "number": 7,
    }  # fmt: skip
    field = data.draw(st.sampled_from(sorted(set(strange) - set(KINDS[kind].takes))))
    with pytest.raises(ConfigError, match=rf"faults\.{field} = .*left out: {kind} takes"):
        Fault(kind=kind, start="01:00", **{field: strange[field]})


def test_a_feeder_and_a_cell_are_what_clusters_name_or_hang_on_anyway(tmp_path):
    for feeder, met in (("471", [True, False]), ("472", [False, True])):
        found = cuts(tmp_path, row("power_cut", "01:00", "02:00", feeder=f'"{feeder}"'))
        assert [bool(spans) for spans in found.values()] == met
    for cell, met in (("hill", [True, False]), ("lte_good", [False, True])):
        down = row("link_down", "01:00", "02:00", cell=f'"{cell}"')
        found = cuts(tmp_path, down, "link_down")
        assert [bool(spans) for spans in found.values()] == met
    names = [one.cell_name for one in build_village(load(tmp_path, "")).places]
    assert names == ["lte_good@hill", "lte_good"]


OUTAGES = """
[[outages]]
kind = "power_cut"
shared_by = "{}"
per_year = {{ value = 2000, source = "", verified = false }}
hours_per_year = {{ value = 2000, source = "", verified = false }}
"""


def test_grids_are_drawn_by_the_seed_and_for_who_shares_a_feeder(tmp_path):
    asked = load(tmp_path, OUTAGES.format("feeder"))
    together = load(tmp_path, OUTAGES.format("commune"))
    days = set()
    for seed in range(6):
        villages = [
            build_village(one.asked(seed=seed), with_hash=False) for one in (asked, asked, together)
        ]
        found, again, whole = [
            [day_cuts(one, "power_cut") for one in village.places] for village in villages
        ]
        assert found == again and found[0] != found[1], "a feeder each"
        assert whole[0] == whole[1]
        days.add(tuple(found))
    assert len(days) == 6
    names = [one.field for one in build_village(asked).unverified]
    assert "outages[0].per_year" in names


def any_row(kind):
    return row(kind, "02:00", "02:05", **FIELDS.get(kind, [{}])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_lived_by_a_tier_or_refused_by_it(tmp_path, kind):
    asked = load(tmp_path, any_row(kind), reports=False)
    known, ordered = KINDS[kind], KINDS[kind].sweep and "way" not in any_row(kind)
    if ordered:
        require_lived(asked, "sweep")
    else:
        with pytest.raises(ConfigError, match=rf"faults\[0\].kind = '{kind}.*--only day"):
            require_lived(asked, "sweep")
    if not known.run:
        with pytest.raises(ConfigError, match=rf"faults\[0\].kind = '{kind}.*add --day"):
            require_lived(asked, "run")
    else:
        require_lived(asked, "run")
    if known.fleet or not known.run:
        assert choose(FLEET, asked, replay=False).name == FLEET
    else:
        with pytest.raises(ConfigError, match=rf"kind = '{kind}.*--tier drive does"):
            choose(FLEET, asked, replay=False)


@pytest.mark.parametrize("kind", [name for name, one in KINDS.items() if one.run])
def test_what_a_live_programme_meets_it_meets_in_each_tier_that_lives_it(tmp_path, kind):
    fields = "".join(f"{k} = {v}\n" for k, v in FIELDS.get(kind, [{}])[0].items())
    fault = f'[[faults]]\nkind = "{kind}"\nfrom_s = 1\nuntil_s = 4\n{fields}'
    before, after = (
        drive.run(load(tmp_path, one, reports=False), duration_s=6, decode=False)
        for one in ("", fault)
    )
    assert after.nodes != before.nodes
    assert [one.said(None) for one in after.faults] == [
        f"{Fault(**_values(kind)).said} 43201 s to 43204 s: 2 clusters"
    ]
    if KINDS[kind].fleet:
        counted = fleet.run(load(tmp_path, fault, reports=False), duration_s=6)
        names = ("packets_lost", "received_ms", "silent_ms", "dropout_ms")
        for one, other in zip(counted.nodes, after.nodes, strict=True):
            assert all(getattr(one, name) == getattr(other, name) for name in names)


def _values(kind):
    fields = FIELDS.get(kind, [{}])[0]
    plain = {k: v.strip('"') if '"' in v else float(v) for k, v in fields.items()}
    return {"kind": kind, "from_s": 1, "until_s": 4} | plain


def test_nobody_hears_what_a_node_says_while_its_way_up_is_down(tmp_path):
    down = '[[faults]]\nkind = "link_down"\nfrom_s = 0\nuntil_s = 60\nway = "up"\n'
    before, after = (
        drive.run(load(tmp_path, one), duration_s=10, decode=False) for one in ("", down)
    )
    assert [one.packets_lost for one in before.nodes] == [one.packets_lost for one in after.nodes]
    assert sum(one.repair_bytes for one in before.nodes) >= sum(
        one.repair_bytes for one in after.nodes
    )
    assert before.trace_hash != after.trace_hash
