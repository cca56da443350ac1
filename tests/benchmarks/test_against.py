"""What a change is compared with: figures of the tree, of a commit, of another run."""

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import gate
from benchmarks.verdict.outcome import changes_since

ROWS = {"pi ftth": {"mouth_to_ear_p99_ms": 834.0, "dropout_pct": 0.0}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        b"3",
        b"\xff\xfe{",
        b"[" * 99_999,
        b"{}",
        b'{"fast": 3}',
        b'{"full": {}}',
        b'{"measured": {"latency": [1]}}',
        b'{"fast": {"latency": {"pi ftth": {"dropout_pct": "0"}}}}',
    ],
    ids=range(10),
)
def test_a_base_that_holds_no_figures_is_refused_by_its_name_before_anything_is_measured(
    data, tmp_path, capsys
):
    path = tmp_path / "base.json"
    path.write_bytes(data)
    assert gate.run(["--fast", "--against", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"gate: {path}: no")


def git(*command):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *who, *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def branch(tree, tmp_path, monkeypatch):
    """Return a function that runs the gate on a branch whose fork point recorded `ROWS`."""
    monkeypatch.setattr(gate, "FIGURES", tmp_path / "benchmarks" / "figures.json")
    (tmp_path / "benchmarks").mkdir()
    git("init", "-q", "-b", "main")
    assert tree(ROWS, "--record") == 0
    git("add", ".")
    git("commit", "-qm", "base")
    git("checkout", "-qb", "change")
    return tree


BETTER = {"pi ftth": {"mouth_to_ear_p99_ms": 800.0, "dropout_pct": 0.0}}


def test_a_change_that_records_itself_is_named_in_the_summary_and_does_not_fail(
    branch, tmp_path, capsys
):
    assert branch(BETTER, "--record") == 0
    git("commit", "-qam", "better, and recorded")
    assert branch(BETTER) == 0
    out = tmp_path / "out" / "benchmarks"
    assert "834" not in (out / "gate.md").read_text(), "beside its own record nothing differs"
    assert branch(BETTER, "--against", git("merge-base", "main", "HEAD")) == 0
    told = capsys.readouterr()
    (first, *_) = told.err.splitlines()
    assert first.startswith("gate: recorded: latency mouth_to_ear_p99_ms better in 1 row")
    assert "834 -> 800" in first
    assert "--record" not in told.err
    assert "1 figure differs, all recorded in this tree (fast)" in told.out
    for name in ("gate.md", "gate.comment.md"):
        text = (out / name).read_text()
        assert text.startswith("## The gate holds")
        assert "- recorded: latency mouth_to_ear_p99_ms better in 1 row" in text
        assert "| latency pi ftth | mouth_to_ear_p99_ms | 834 | 800 |" in text
    notice = (out / "gate.annotations").read_text()
    assert notice.startswith("::notice file=benchmarks/budgets.toml,line=2,title=gate::recorded:")
    report = (out / "gate.xml").read_text()
    assert "<failure" not in report
    assert "834 -&gt; 800" in report


def test_what_nobody_recorded_fails_beside_what_is_recorded_and_comes_first(branch, capsys):
    assert branch(BETTER, "--record") == 0
    worse = {"pi ftth": {"mouth_to_ear_p99_ms": 800.0, "dropout_pct": 0.5}}
    capsys.readouterr()
    assert branch(worse, "--against", "main") == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[0].startswith("gate: latency dropout_pct worse in 1 row")
    assert told.err.splitlines()[1].startswith("gate: recorded: latency mouth_to_ear_p99_ms better")
    assert "`python3 run.py bench gate --fast --record`" in told.err
    assert "2 figures differ, 1 recorded in this tree (fast)" in told.out


def test_figures_that_were_recorded_and_are_not_measured_fail_though_the_base_had_these(
    branch, capsys
):
    assert branch(BETTER, "--record") == 0
    capsys.readouterr()
    assert branch(ROWS, "--against", "main") == 1
    told = capsys.readouterr().err
    assert "mouth_to_ear_p99_ms worse in 1 row" in told
    assert "differs from benchmarks/figures.json of main or from this tree's, all in" in told


def test_the_figures_of_a_commit_or_a_file_can_be_the_base(branch, capsys):
    assert branch(BETTER, "--against", "main") == 1
    assert "834 -> 800" in capsys.readouterr().err
    assert branch(ROWS, "--against", "out/benchmarks/gate_fast.json") == 0, "as recorded"
    assert "800 -> 834" in capsys.readouterr().err


@pytest.mark.parametrize("against", ["no-such-commit", "", "--output=x"])
def test_a_base_that_is_no_commit_and_no_file_is_refused(branch, tmp_path, capsys, against):
    assert branch(ROWS, f"--against={against}") == 2
    assert f"--against {against!r}: neither a file nor a commit" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


figures = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.dictionaries(
        st.sampled_from(["r", "s"]),
        st.dictionaries(
            st.sampled_from(["x_ms", "sound_crc32"]), st.sampled_from([None, 1.0, 2.0])
        ),
    ),
)


def known(figures):
    return {
        (name, row, measure): value
        for name, rows in figures.items()
        for row, measures in rows.items()
        for measure, value in measures.items()
    }


@given(figures, figures, figures)
def test_a_figure_is_told_when_it_is_not_the_base_s_and_fails_when_it_is_not_the_recorded_one(
    now, base, here
):
    told = changes_since(now, base, here)
    assert len({one.where for one in told}) == len(told), "each once"
    gone = object()
    at, was, is_recorded = known(now), known(base), known(here)
    since = {
        where
        for where in at | was
        if where[0] in now and where[0] in base and at.get(where, gone) != was.get(where, gone)
    }
    other = {
        where
        for where in at | is_recorded
        if where[0] in now
        and where[0] in here
        and at.get(where, gone) != is_recorded.get(where, gone)
    }
    assert {one.where for one in told} == since | other
    nobody_s = {where for where in since if where[0] not in here}
    assert {one.where for one in told if not one.is_recorded} == other | nobody_s
    assert [one.is_recorded for one in told] == sorted(one.is_recorded for one in told)


def test_a_measurement_that_the_base_does_not_know_is_told_and_held_to_its_budgets(
    tree, tmp_path, capsys
):
    (tmp_path / "figures.json").write_text('{"fast": {"sound": {}}}')
    assert tree(ROWS, "--rewrite") == 0
    (tmp_path / "figures.json").write_text('{"fast": {"sound": {}}}')
    assert tree(ROWS) == 0
    assert "has no latency of this length: it is held by its budgets alone" in (
        capsys.readouterr().out
    )
    assert tree({"pi ftth": {"mouth_to_ear_p99_ms": 900.0, "dropout_pct": 0.0}}) == 1


def test_a_measurement_that_is_new_beside_the_base_is_held_to_what_is_recorded(
    tree, tmp_path, capsys
):
    assert tree(ROWS, "--rewrite") == 0
    older = tmp_path / "older.json"
    older.write_text(json.dumps({"fast": {"sound": {}}}))
    assert tree(ROWS, "--against", str(older)) == 0
    assert "has no latency of this length: it is held by benchmarks/figures.json" in (
        capsys.readouterr().out
    )
    assert tree(BETTER, "--against", str(older)) == 1
