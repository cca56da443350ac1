"""Two answers side by side: what changed per hamlet, how sure that is, and how the command ends."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import ConfigError
from sim import cli
from sim.compare import answers
from sim.compare.answers import Answer
from sim.compare.difference import FIGURES, compare
from sim.report.files import write_files
from sim.result.day import DAY_TABLES
from tests.sim.report.example_result import example_result

TREE = Path(__file__).parents[3]

rows = st.fixed_dictionaries(
    {figure.field: st.none() | st.floats(0, 1e6) for figure in FIGURES}
    | {"hamlet": st.sampled_from(["Thôn 1", "Thôn 2"]), "node": st.sampled_from(["a", "b"])}
    | {"commune": st.just("Yên Sơn")}
)


def answer(seed, rows_of_run, trace="t", **day):
    return Answer(
        scenario="s",
        seed=seed,
        duration_s=60.0,
        scenario_hash="h",
        trace_hash=trace,
        nodes=list(rows_of_run),
        day={"nodes": [{"node": "a"}], "orders": [], "items": []} | day if day else {},
    )


def node(dropout_pct, **more):
    figures = dict.fromkeys((figure.field for figure in FIGURES), 0.0)
    place = {"commune": "Yên Sơn", "hamlet": "Thôn 1", "node": "a"}
    return figures | place | {"dropout_pct": dropout_pct} | more


@given(st.lists(st.lists(rows, min_size=1, max_size=4), min_size=1, max_size=4))
def test_an_answer_beside_itself_has_no_change(runs):
    side = [answer(seed, nodes) for seed, nodes in enumerate(runs)]
    found = compare(side, side)
    assert not found.differs
    assert found.equal_traces == len(runs)


@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=5))
def test_the_other_way_round_every_difference_has_the_other_sign(pairs):
    a = [answer(seed, [one]) for seed, (one, _) in enumerate(pairs)]
    b = [answer(seed, [other]) for seed, (_, other) in enumerate(pairs)]
    there, back = compare(a, b), compare(b, a)
    for hamlet, changes in there.changes.items():
        others = {one.figure: one for one in back.changes[hamlet]}
        assert {one.figure for one in changes} == set(others)
        for one in changes:
            other = others[one.figure]
            assert (one.a, one.b) == (other.b, other.a)
            if one.difference is not None:
                assert one.difference == pytest.approx(-other.difference)
            if one.low is not None:
                assert one.low <= one.difference <= one.high
                assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_the_interval_over_seeds_is_the_one_that_the_tables_of_student_give():
    a = [answer(seed, [node(1.0)]) for seed in range(3)]
    b = [answer(seed, [node(1.0 + more)], "u") for seed, more in enumerate((0.1, 0.2, 0.3))]
    (one,) = [c for c in compare(a, b).changes["Yên Sơn", "Thôn 1"] if c.figure == "dropout_pct"]
    # Mean 0.2, standard deviation 0.1, t of 2 degrees of freedom at 97.5 % 4.303.
    assert one.difference == pytest.approx(0.2)
    assert (one.low, one.high) == pytest.approx((0.2 - 0.24843, 0.2 + 0.24843), abs=1e-4)
    assert one.is_sure is False


def test_whoever_is_no_longer_warned_or_heard_is_told_hamlet_by_hamlet():
    silent = node(100.0, mouth_to_ear_p50_ms=None)
    found = compare(
        [answer(1, [node(0.0)], orders=[order()])],
        [answer(1, [silent], orders=[order(fate="not heard", first_s=None)])],
    )
    told = {one.figure: (one.a, one.b) for one in found.changes["Yên Sơn", "Thôn 1"]}
    assert told["unwarned_clusters"] == (0.0, 1.0)
    assert told["last_warned_s"] == (0.5, None)
    assert told["silent_clusters"] == (0.0, 1.0)
    assert next(iter(told)) == "unwarned_clusters"


def order(kind="alert", fate="heard", first_s=0.5):
    return {"node": "a", "kind": kind, "fate": fate, "first_sound_s": first_s}


def item(outcome):
    return {"node": "a", "item": "05:00 commune", "outcome": outcome}


def told_of(a, b):
    found = compare([a], [b])
    assert found.differs and found.equal_traces == 0
    return {one.figure: (one.a, one.b) for one in found.changes["Yên Sơn", "Thôn 1"]}


def test_a_calendar_that_was_missed_is_no_equal_day_though_all_were_warned():
    days = [
        answer(1, [node(0.0)], orders=[order()], items=[item(one)]) for one in ("played", "missed")
    ]
    assert told_of(*days) == {"items_played": (1.0, 0.0), "items_missed": (0.0, 1.0)}


def test_a_warning_that_came_late_and_an_order_that_was_not_obeyed_are_changes():
    good = answer(1, [node(0.0)], orders=[order(), order("mute", "obeyed", None)])
    bad = answer(1, [node(0.0)], orders=[order(fate="late"), order("mute", "not obeyed", None)])
    assert told_of(good, bad) == {
        "warned_late_clusters": (0.0, 1.0),
        "orders_not_obeyed": (0.0, 1.0),
    }


def test_a_day_that_one_side_never_lived_is_no_equal_day():
    with_day = answer(1, [node(0.0)], orders=[order(fate="not heard", first_s=None)])
    told = told_of(with_day, answer(1, [node(0.0)]))
    assert told["unwarned_clusters"] == (1.0, None)


@given(
    st.sampled_from(sorted(DAY_TABLES)),
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
)
def test_days_are_equal_to_the_bit_where_all_of_their_rows_are(name, some, others):
    tables = {"orders": order(), "items": item("played")}
    row = tables.get(name, {"node": "a"})
    a, b = (
        answer(1, [node(0.0)], **{name: [row | {"at_s": one} for one in side]})
        for side in (some, others)
    )
    found = compare([a], [b])
    assert found.differs == (some != others)
    assert found.other_days == (() if some == others else (name,))


clusters = st.sets(st.sampled_from("abcd"), min_size=1)


@given(clusters, clusters)
def test_a_cluster_that_one_side_does_not_have_is_named_and_counted(some, others):
    a, b = (
        [answer(1, [node(0.0, node=one) for one in sorted(side)], "".join(sorted(side)))]
        for side in (some, others)
    )
    found = compare(a, b)
    assert found.clusters_only_a == tuple(sorted(some - others))
    assert found.clusters_only_b == tuple(sorted(others - some))
    assert found.differs == (some != others)
    told = [one for one in found.changes["Yên Sơn", "Thôn 1"] if one.figure == "clusters"]
    assert [(one.a, one.b) for one in told] == [(float(len(some)), float(len(others)))] * (
        len(some) != len(others)
    )


@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=5))
def test_before_and_after_are_of_the_same_seeds_as_the_difference_between_them(pairs):
    pairs = [(a | {"hamlet": "Thôn 1"}, b | {"hamlet": "Thôn 1"}) for a, b in pairs]
    a = [answer(seed, [one]) for seed, (one, _) in enumerate(pairs)]
    b = [answer(seed, [other]) for seed, (_, other) in enumerate(pairs)]
    for one in compare(a, b).changes["Yên Sơn", "Thôn 1"]:
        if one.difference is not None:
            assert one.b - one.a == pytest.approx(one.difference, abs=1e-6)


def test_runs_are_paired_by_seed_and_a_hamlet_of_one_side_is_named():
    a = [answer(seed, [node(0.0)]) for seed in (1, 2)]
    b = [answer(seed, [node(0.0), node(0.0, hamlet="Thôn 2")]) for seed in (2, 3)]
    found = compare(a, b)
    assert [one.seed for one, _ in found.pairs] == [2]
    assert found.unpaired_seeds == (1, 3)
    assert found.only_b == (("Yên Sơn", "Thôn 2"),)
    assert found.differs
    with pytest.raises(ConfigError, match="no seed in common: A has 1, 2, B has 4, 5"):
        compare(a, [answer(4, [node(0.0)]), answer(5, [node(0.0)])])


@pytest.fixture
def folders(tmp_path):
    """Return two folders that runs left: the second one's worst cluster lost more."""
    result = example_result()
    worse = [
        replace(row, dropout_pct=row.dropout_pct + 1.0) if row is result.nodes[-1] else row
        for row in result.nodes
    ]
    write_files(result, tmp_path / "a")
    write_files(replace(result, nodes=worse, trace_hash="other"), tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def test_the_command_says_what_changed_where_and_ends_with_3(folders, capsys):
    a, b = map(str, folders)
    assert cli.main(["compare", a, a]) == 0
    assert "equal to the bit: 1 of 1" in capsys.readouterr().out
    assert cli.main(["compare", a, b]) == 3
    told = capsys.readouterr().out.splitlines()
    hamlet = example_result().nodes[-1].hamlet
    place = next(i for i, line in enumerate(told) if line.endswith(hamlet))
    assert told[place + 1].split()[0] == "dropout_pct"
    assert sum(line.startswith("  ") for line in told) == 2, "mean and worst of one hamlet"
    assert cli.main(["compare", a, b, "--json"]) == 3
    whole = json.loads(capsys.readouterr().out)
    changed = [one for one in whole["hamlets"] if one["changes"]]
    assert [one["hamlet"] for one in changed] == [hamlet]
    assert changed[0]["changes"][0]["figure"] == "dropout_pct"


def written(folder, trace, sounds):
    """Leave a run in `folder` whose clusters played `sounds` in turn."""
    result = example_result()
    nodes = [
        replace(row, audio_sha256=sounds[number % len(sounds)])
        for number, row in enumerate(result.nodes)
    ]
    write_files(replace(result, nodes=nodes, trace_hash=trace), folder)
    return str(folder)


def test_a_run_without_sound_beside_one_with_it_is_not_called_another_without_a_word_why(
    tmp_path, capsys
):
    a = written(tmp_path / "a", "counted", [""])
    b = written(tmp_path / "b", "decoded", ["s1", "s2"])
    assert cli.main(["compare", a, b]) == 3
    told = capsys.readouterr().out
    assert "cannot be equal to the bit: 1, for one side has no sound (--no-sound)" in told
    assert "other samples" not in told
    assert cli.main(["compare", b, a, "--json"]) == 3
    whole = json.loads(capsys.readouterr().out)
    assert (whole["sound_not_known"], whole["other_sound"]) == (1, [])


def test_clusters_that_sound_otherwise_are_named_when_no_figure_changed(tmp_path, capsys):
    names = [row.node for row in example_result().nodes]
    a = written(tmp_path / "a", "t1", ["s1", "s2"])
    b = written(tmp_path / "b", "t2", ["s1", "s3"])
    assert cli.main(["compare", a, b]) == 3
    assert f"other samples at: {', '.join(names[1::2][:8])}" in capsys.readouterr().out
    assert cli.main(["compare", a, b, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["other_sound"] == names[1::2]


def test_traces_that_differ_beside_equal_figures_are_not_left_unexplained(tmp_path, capsys):
    a = written(tmp_path / "a", "t1", ["s1"])
    b = written(tmp_path / "b", "t2", ["s1"])
    assert cli.main(["compare", a, b]) == 3
    assert "what is not the same has no figure below" in capsys.readouterr().out
    assert cli.main(["compare", a, a]) == 0
    assert "no figure below" not in capsys.readouterr().out


def test_a_folder_with_a_whole_disk_in_it_is_refused_before_all_of_it_is_searched(
    tmp_path, monkeypatch, capsys
):
    disk = tmp_path / "disk"
    written(disk / "run", "t", ["s"])
    files = sum(one.is_file() for one in disk.rglob("*"))
    monkeypatch.setattr(answers, "FILES_MAX", files)
    assert cli.main(["compare", str(disk), str(disk)]) == 0, "as many as there may be"
    (disk / "one more").touch()
    assert cli.main(["compare", str(disk), str(disk)]) == 2
    assert (
        f"more than {files} files in it: must be a folder of runs alone" in capsys.readouterr().err
    )


def test_folders_of_several_seeds_are_several_runs_and_twice_one_seed_is_a_fault(
    folders, tmp_path, capsys
):
    a, b = folders
    result = example_result()
    write_files(replace(result, seed=result.seed + 1), a / "2")
    write_files(replace(result, seed=result.seed + 1), b / "2")
    assert cli.main(["compare", str(a), str(b)]) == 3
    assert "95 %" in capsys.readouterr().out
    write_files(result, a / "again")
    assert cli.main(["compare", str(a), str(b)]) == 2
    assert f"more than one run of seed {result.seed}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "nowhere"), "nowhere: no results.parquet in it"),
        ((str(TREE), str(TREE)), "is a source tree: --scenario says what it is asked"),
    ],
)
def test_what_cannot_be_compared_is_named(arguments, said, capsys):
    assert cli.main(["compare", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_scenario_without_a_tree_and_a_damaged_file_are_faults(folders, capsys):
    a, b = folders
    assert cli.main(["compare", str(a), str(b), "--scenario", "perfect"]) == 2
    assert "neither A nor B is one" in capsys.readouterr().err
    (b / "results.parquet").write_bytes(b"PAR1")
    assert cli.main(["compare", str(a), str(b)]) == 2
    assert "results.parquet: cannot be read as rows of a run" in capsys.readouterr().err


@pytest.fixture
def other(tmp_path):
    """Return a tree that is this one but for sound cards that are 60 ms slower."""
    for name in ("node", "sim"):
        (tmp_path / name).symlink_to(TREE / name)
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TREE / "hw_profiles", tmp_path / "hw_profiles", ignore=unwanted)
    for path in (tmp_path / "hw_profiles").rglob("*.toml"):
        text = path.read_text()
        slower = re.sub(r"(device_latency_ms = \{ value = )([\d.]+)", _sixty_more, text)
        path.write_text(slower)
    return tmp_path


def _sixty_more(match):
    return f"{match[1]}{float(match[2]) + 60}"


def test_two_trees_are_asked_each_with_its_own_code(other):
    asked = ["--scenario", "perfect", "--seeds", "1", "2", "--duration", "2", "--json"]
    command = [sys.executable, "-m", "sim.cli", "compare", str(TREE), str(other)]
    done = subprocess.run([*command, *asked], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    told = json.loads(done.stdout)
    assert told["equal_traces"] == 0
    for hamlet in told["hamlets"]:
        changes = {one["figure"]: one for one in hamlet["changes"]}
        assert changes["dropout_pct"]["difference"] > 10
    assert changes["dropout_pct"]["is_sure"], "the second hamlet's cards wait longer anyway"
    (other / "hw_profiles" / "__init__.py").write_text("raise SystemExit('broken')\n")
    done = subprocess.run([*command, *asked], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{other}: seed 1: broken" in done.stderr
