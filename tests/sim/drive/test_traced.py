"""A trace tells of delay and loss: its link has the rate said beside it, or nobody knows it."""

import json
from dataclasses import asdict
from statistics import median

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.config import ConfigError
from sim import cli, command_line
from sim.chance.rng import Purpose
from sim.drive.run import run
from sim.fleet.run import run as run_fleet
from sim.links.channel import Trace
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.station.conversation import RequestWay
from sim.village import scenario
from sim.village.places import build_village
from tests.sim.thin import THIN
from tests.sim.villages import village

MS = 10**6
DELAY_MS = 5
"""Of the thin line as well."""


def traced(folder, *, bearers, rate=9_000, cell=9_000, like="thin", more="", duration_s=8):
    """Return a loaded village with a pole for each of `bearers`, thin or traced.

    like  beside each trace; None: nothing
    """
    (folder / "even.csv").write_text(f"{DELAY_MS}\n" * 7)
    clusters = [(f"c-{i}", "pi_4b_i2s", one, 0, 0) for i, one in enumerate(bearers)]
    lines = THIN.format(rate=rate, cell=cell, loss=0)
    text = village({("Thôn", 0, 0): clusters}, duration_s=duration_s, more=more + lines)
    if like is not None:
        text = text.replace('"trace:even.csv"', f'"trace:even.csv", like = "{like}"')
    path = folder / "traced.toml"
    path.write_text(text)
    return scenario.load(path)


TRACED = "trace:even.csv"


@settings(max_examples=10, derandomize=True)
@given(
    bearers=st.lists(st.sampled_from(["thin", TRACED]), min_size=2, max_size=5).filter(
        lambda some: TRACED in some
    ),
    room=st.sampled_from([0.5, 0.9, 30.0]),
)
@example(bearers=[TRACED] * 4, room=0.5)
@example(bearers=[TRACED, "thin", "thin"], room=0.5)
def test_who_has_a_trace_meets_the_full_cell_of_its_bearer(tmp_path_factory, bearers, room):
    """Forty of them in a cell of 100 kbit/s heard all."""
    folder = tmp_path_factory.mktemp("traced")
    cell = round(36 * len(bearers) * room)
    kinds = (bearers, ["thin"] * len(bearers))
    mixed, plain = (run(traced(folder, bearers=one, cell=cell), decode=False) for one in kinds)
    row, other = ([one for one in each.capacity if one.kind == "cell"] for each in (mixed, plain))
    assert len(row) == 1 and row[0].bearer == "thin"
    assert row[0].streams == len(bearers)
    assert row[0].over == other[0].over == (room < 1)
    lost, as_many = (sum(one.packets_lost for one in each.nodes) for each in (mixed, plain))
    assert lost == pytest.approx(as_many, rel=0.1)
    assert (lost > 0) == (room < 1)


@pytest.mark.parametrize("where", ["congestion", "rate"])
def test_who_has_a_trace_meets_a_link_of_his_own_that_is_too_thin(tmp_path, where):
    """Its own link carried whatever came."""
    more = '[[faults]]\nkind = "congestion"\nfrom_s = 0\nuntil_s = 8\nshare = 0.005\n'
    room = {"more": more, "rate": 4_000} if where == "congestion" else {"rate": 20}
    one = run(traced(tmp_path, bearers=[TRACED], **room), decode=False)
    other = run(traced(tmp_path, bearers=["thin"], **room), decode=False)
    lost, as_many = (each.nodes[0].packets_lost for each in (one, other))
    assert lost > 100
    assert lost == pytest.approx(as_many, rel=0.2)


def test_a_rate_with_room_changes_nothing_of_a_trace(tmp_path):
    rows = [
        [asdict(one) for one in run(asked, decode=False).nodes]
        for asked in (
            traced(tmp_path, bearers=[TRACED], like=like, rate=9_000) for like in ("thin", None)
        )
    ]
    assert rows[0] == rows[1]


def test_a_trace_of_which_nobody_says_a_rate_is_not_said_to_fit(tmp_path, capsys):
    """Nothing was said of its cell at all."""
    traced(tmp_path, bearers=[TRACED, "thin", TRACED], like=None, cell=9_000)
    arguments = ["run", str(tmp_path / "traced.toml"), "--no-sound", "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--json"]) == command_line.OK
    told = json.loads(capsys.readouterr().out)
    fits = {(one["kind"], one["bearer"]): one["fits"] for one in told["capacity"]}
    assert fits == {("backhaul", ""): True, ("cell", "thin"): True, ("cell", TRACED): None}
    assert cli.main(arguments) == command_line.OK
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "not known" in said
        and 'a trace tells of no rate, and of no way up; say like = "BEARER" beside it' in said
    )
    assert "a trace tells of no rate" in (tmp_path / "out" / "report.html").read_text()


def test_tiers_count_the_same_where_traces_share_a_full_cell(tmp_path):
    asked = traced(tmp_path, bearers=[TRACED, "thin", TRACED, "thin"], cell=150, duration_s=20)
    one, other = run(asked, decode=False), run_fleet(asked)
    assert one.trace_hash == other.trace_hash
    assert one.nodes == other.nodes
    assert one.capacity == other.capacity
    assert sum(row.dropped_packets for row in one.capacity) > 0


@pytest.mark.parametrize(
    ("bearer", "like", "said"),
    [("thin", "thin", "must be beside a trace"), (TRACED, "thinn", "one of backhaul_fibre")],
)
def test_what_a_trace_cannot_be_like_is_named(tmp_path, bearer, like, said):
    traced(tmp_path, bearers=[bearer], like="thin")
    path = tmp_path / "traced.toml"
    text = path.read_text()
    if bearer == "thin":
        text = text.replace('bearer = "thin"', 'bearer = "thin", like = "thin"')
    path.write_text(text.replace('like = "thin"', f'like = "{like}"'))
    with pytest.raises(ConfigError, match=said):
        scenario.load(path)


def test_congestion_at_a_trace_needs_a_rate(tmp_path):
    more = '[[faults]]\nkind = "congestion"\nfrom_s = 0\nuntil_s = 8\nshare = 0.5\n'
    with pytest.raises(
        ConfigError, match='c-1 has a trace, which has no rate: say like = "BEARER"'
    ):
        traced(tmp_path, bearers=["thin", TRACED], like=None, more=more)
    assert traced(tmp_path, bearers=["thin", TRACED], more=more).faults


def test_the_hash_of_a_scenario_covers_what_its_traces_are_like(tmp_path):
    hashes = {
        build_village(asked).scenario_hash
        for asked in (
            traced(tmp_path, bearers=[TRACED], like=None),
            traced(tmp_path, bearers=[TRACED]),
            traced(tmp_path, bearers=[TRACED], like="lte_weak"),
        )
    }
    assert len(hashes) == 3


def test_a_modem_behind_a_trace_attaches_after_a_power_cut(tmp_path):
    cut = '[[faults]]\nkind = "power_cut"\nfrom_s = 1\nuntil_s = 2\n'
    ends = []
    for like in (None, "lte_weak"):
        asked = traced(tmp_path, bearers=[TRACED], like=like, more=cut)
        ends.append(build_village(asked).places[0].link_cuts_ns)
    attach_s = build_village(asked).places[0].like.attach_s
    assert ends[0] == ()
    assert ends[1] == ((2 * 10**9, round((2 + attach_s.value) * 10**9)),)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.integers(8, 2000),
    st.integers(0, 300),
)
def test_a_trace_with_a_rate_never_gives_more_than_that_has(gaps_ms, rate_kbit_s, queue_ms):
    depart_ns = np.cumsum(np.array(gaps_ms, np.int64)) * MS
    queue = SharedQueue(rate_kbit_s, queue_ms, 1000)
    link = Trace(np.array([DELAY_MS * MS], np.int64), queue)
    arrive_ns = link.carry(depart_ns, np.arange(depart_ns.size))
    came_ns = arrive_ns[arrive_ns != LOST_NS]
    assert arrive_ns[0] == depart_ns[0] + DELAY_MS * MS, "who is alone takes what was recorded"
    assert (np.diff(came_ns) >= queue.transmit_ns).all()
    late_ns = (arrive_ns - depart_ns)[arrive_ns != LOST_NS] - DELAY_MS * MS
    assert (late_ns >= 0).all() and (late_ns <= queue_ms * MS).all()
    assert queue.dropped == np.count_nonzero(arrive_ns == LOST_NS)


@settings(max_examples=20, derandomize=True)
@given(
    ways_ms=st.lists(st.integers(-1, 300), min_size=1, max_size=40),
    like=st.sampled_from([None, "lte_weak", "thin"]),
)
def test_what_goes_up_a_traced_link_takes_what_its_bearer_does_or_the_median(
    tmp_path_factory, ways_ms, like
):
    """It took no time at all."""
    folder = tmp_path_factory.mktemp("up")
    asked = traced(folder, bearers=[TRACED], like=like)
    (folder / "even.csv").write_text("\n".join(map(str, ways_ms)) + "\n")
    built = build_village(asked)
    (place,) = built.places
    came = [one for one in ways_ms if one >= 0]
    right_ms = median(came) if came else 0
    if like is not None:
        right_ms = place.like.one_way_ms.value
    way = RequestWay(place, 7 * MS, Purpose.EXCHANGE, seed=1)
    assert way.fastest_ns == round((right_ms + 7) * MS)
    jitters = way.draw_jitter_ns(100)
    assert jitters.any() == (like == "lte_weak")
    named = [one for one in built.unverified if one.field == "way up"]
    assert len(named) == (like is None)
    assert all(one.path == "even.csv" and "median" in one.source for one in named)
