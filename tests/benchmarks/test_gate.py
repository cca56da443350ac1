"""The gate: a budget that breaks names its row, its measure, the value and the limit."""

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import gate, planted
from benchmarks.verdict.budgets import broken
from benchmarks.verdict.causes import causes_of
from benchmarks.verdict.outcome import FINGERPRINTS, INEXACT, compare_exactly
from benchmarks.verdict.regressions import NOTHING, REGRESSIONS
from benchmarks.village import footprint, latency, speed


def compare(rows, budgets):
    return [one.text for one in broken("latency", rows, budgets)]


ROWS = {"pi ftth": {"mouth_to_ear_p99_ms": 834.0, "dropout_pct": 0.0}}


def test_a_row_that_got_worse_is_named_with_measure_value_and_limit():
    budgets = {"pi ftth": {"mouth_to_ear_p99_ms": 833.999, "dropout_pct": 0.0}}

    assert compare(ROWS, budgets) == ["[pi ftth] mouth_to_ear_p99_ms = 834: budget 833.999"]


def test_the_limit_itself_is_within_the_budget_and_there_is_no_tolerance():
    assert compare(ROWS, {"pi ftth": {"mouth_to_ear_p99_ms": 834.0, "dropout_pct": 0.0}}) == []
    assert compare(ROWS, {"pi ftth": {"mouth_to_ear_p99_ms": 834.0 - 1e-9}}) != []


def test_what_was_not_measured_and_what_has_no_budget_break_the_gate():
    assert "not measured" in compare({}, {"pi ftth": {"dropout_pct": 1.0}})[0]
    assert "no budgets" in compare(ROWS, {})[0]
    assert "no figure" in compare({"a": {"first_sound_ms": None}}, {"a": {"first_sound_ms": 1}})[0]
    assert compare({"a": {"x_ms": float("nan")}}, {"a": {"x_ms": 1.0}}) != []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["x_ms", "x_pct", "y_per_hour", "packets_lost", "j"]),
        st.floats(0, 1e7, allow_nan=False),
        min_size=1,
    )
)
def test_rewritten_budgets_hold_for_what_they_were_made_from_and_leave_the_others(
    tmp_path_factory, figures
):
    path = tmp_path_factory.getbasetemp() / "budgets.toml"
    path.write_text('# why [so]\n\n[latency.fast]\n[latency.full]\n"a row" = { x_ms = 7.25 }\n')
    measured = {"a row": {name: round(value, 3) for name, value in figures.items()}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "BUDGETS", path)
        patch.setattr(gate, "FIGURES", path.with_name("figures.json"))
        patch.setattr(latency, "measure", lambda *, fast: measured if fast else {})
        assert gate.run(["--fast", "--rewrite"]) == 0
    written = tomllib.loads(path.read_text())["latency"]

    assert path.read_text().startswith("# why [so]\n\n[latency.fast]\n")
    assert compare(measured, written["fast"]) == []
    assert set(written["fast"]["a row"]) == set(figures)
    assert written["full"] == {"a row": {"x_ms": 7.25}}


@pytest.fixture
def tree_of_its_own(tmp_path_factory):
    """Return a function that tells what the gate says of given rows and budgets."""

    def run(rows, budgets):
        folder = tmp_path_factory.getbasetemp()
        (folder / "budgets.toml").write_text(budgets)
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(said):
            patch.setattr(gate, "BUDGETS", folder / "budgets.toml")
            patch.setattr(gate, "FIGURES", folder / "none.json")
            patch.setattr(latency, "measure", lambda *, fast: rows)
            gate.run(["--fast", "--files", str(folder / "out")])
        return said.getvalue()

    return run


def test_the_gate_ends_with_1_and_names_the_row_that_broke_it(tree, tmp_path, capsys):
    budgets = tmp_path / "budgets.toml"
    assert tree(ROWS, "--record") == 0
    assert tree(ROWS) == 0
    budgets.write_text('[latency.fast]\n"pi ftth" = { mouth_to_ear_p99_ms = 800 }\n')
    capsys.readouterr()
    assert tree(ROWS) == 1
    assert "latency [pi ftth] mouth_to_ear_p99_ms = 834: budget 800" in capsys.readouterr().err
    budgets.write_text("[latency.fast")
    assert tree(ROWS) == 2


@pytest.mark.parametrize(("figure", "way"), [(834.001, "worse"), (833.999, "better")])
def test_any_changed_digit_is_told_until_it_is_recorded(tree, capsys, figure, way):
    assert tree(ROWS, "--record") == 0
    changed = {"pi ftth": {"mouth_to_ear_p99_ms": figure, "dropout_pct": 0.0}}
    assert tree(changed) == 1
    told = capsys.readouterr().err.splitlines()
    assert f"mouth_to_ear_p99_ms {way} in 1 row" in told[0]
    assert f"834 -> {figure}" in told[0]
    assert any(line.endswith("python3 run.py bench gate --fast --row 'pi ftth'") for line in told)
    assert tree(changed, "--record") == 0
    if way == "better":
        assert tree(changed) == 0


def test_twenty_milliseconds_more_hide_behind_no_playout_delay(tree, tmp_path):
    rows = {"3000 ms pi ftth": {"mouth_to_ear_p99_ms": 3034.0}}
    assert tree(rows, "--rewrite") == 0
    assert broken(
        "latency",
        {"3000 ms pi ftth": {"mouth_to_ear_p99_ms": 3054.0}},
        tomllib.loads((tmp_path / "budgets.toml").read_text())["latency"]["fast"],
    )


def test_no_budget_of_the_tree_leaves_room_for_twenty_milliseconds_more():
    recorded = json.loads(gate.FIGURES.read_text())
    budgets = tomllib.loads(gate.BUDGETS.read_text())
    room_ms = {
        (length, name, row, measure): limit - recorded[length][name][row][measure]
        for name in budgets
        for length in budgets[name]
        if name not in INEXACT
        for row, limits in budgets[name][length].items()
        for measure, limit in limits.items()
        if measure.endswith("_ms")
    }
    assert len(room_ms) > 2000, "of the fast run and of the full one"
    assert {where: room for where, room in room_ms.items() if room >= 20} == {}


def test_no_figure_that_is_recorded_is_above_its_budget_in_the_fast_run_or_the_full_one():
    recorded = json.loads(gate.FIGURES.read_text())
    budgets = tomllib.loads(gate.BUDGETS.read_text())
    exact = [(length, name) for name in budgets for length in budgets[name] if name not in INEXACT]
    above = [
        str(one)
        for length, name in exact
        for one in broken(name, recorded[length][name], budgets[name][length])
    ]
    assert {length for length, _ in exact} == {"fast", "full"}
    assert above == [], "a night would find it; the diff that records it says it now"


def test_every_figure_that_has_a_budget_is_recorded_and_the_other_way_round():
    recorded = json.loads(gate.FIGURES.read_text())
    budgets = tomllib.loads(gate.BUDGETS.read_text())
    held = {
        (length, name, row, measure)
        for name in budgets
        for length in budgets[name]
        if name not in INEXACT
        for row, limits in budgets[name][length].items()
        for measure in limits
    }
    known = {
        (length, name, row, measure)
        for length in recorded
        for name, rows in recorded[length].items()
        for row, figures in rows.items()
        for measure, value in figures.items()
        if value is not None and measure not in FINGERPRINTS
    }
    assert held == known


def test_one_measurement_alone_is_held_and_the_others_are_not_missed(tree, tmp_path, capsys):
    assert tree(ROWS, "--record") == 0
    budgets = tmp_path / "budgets.toml"
    budgets.write_text(budgets.read_text() + '[warned.fast]\n"flood" = { unwarned = 4 }\n')
    assert tree(ROWS, "--only", "latency") == 0
    assert tree(ROWS, "--only", "lateny") == 2
    assert "--only lateny: must be one of latency, warned" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured(tree, tmp_path, capsys):
    in_the_way = tmp_path / "budgets.toml"
    with pytest.raises(SystemExit) as ended:
        tree(ROWS, "--files", str(in_the_way / "out"))
    assert ended.value.code == 2
    assert f"{in_the_way}/out: Not a directory: give a folder" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "status"), [((), 0), (("--hold-speed",), 1)])
def test_speed_is_told_beside_its_tolerance_and_held_only_when_asked(
    tree, tmp_path, monkeypatch, capsys, options, status
):
    rows = {"decoded": {"loops_per_1000_node_seconds": 96.0}}
    monkeypatch.setattr(speed, "measure", lambda *, fast: rows)
    (tmp_path / "budgets.toml").write_text(
        '[speed.fast]\n"decoded" = { loops_per_1000_node_seconds = 95 }\n'
    )
    assert tree(ROWS, "--only", "speed", *options) == status
    told = capsys.readouterr()
    assert "speed [decoded] loops_per_1000_node_seconds 96, at most 95" in told.out
    assert ("over budget" in told.err) == bool(status)


def test_many_rows_of_one_cause_are_one_line_and_the_worst_is_named(tree, capsys):
    rows = {
        f"{playout} {profile} {link}": {"first_sound_ms": 100.0}
        for playout in ("300 ms", "adaptive")
        for profile in ("pi_a", "pi_b", "pi_c", "pi_d")
        for link in ("ftth", "lte")
    }
    assert tree(rows, "--rewrite") == 0
    later = {
        name: {"first_sound_ms": 150.0 if name == "300 ms pi_b lte" else 101.0} for name in rows
    }
    assert tree(later) == 1
    first = capsys.readouterr().err.splitlines()[0]
    assert "first_sound_ms worse in 16 rows" in first
    assert "300 ms, adaptive; 4 profiles; ftth, lte" in first
    assert "the largest: 100 -> 150 [300 ms pi_b lte]" in first


def test_at_most_twenty_rows_are_told_and_the_rest_is_in_a_file(tree, tmp_path, capsys):
    rows = {f"row {i}": {f"a{i}_ms": 1.0} for i in range(50)}
    assert tree(rows, "--rewrite") == 0
    assert tree({row: dict.fromkeys(one, 30.0) for row, one in rows.items()}) == 1
    told = capsys.readouterr().err.splitlines()
    assert sum(" worse in 1 row " in line for line in told) == 20
    assert sum("over budget" in line for line in told) == 20
    assert {"gate: and 30 more measures", "gate: and 30 more broken budgets"} <= set(told)
    whole = (tmp_path / "out" / "benchmarks" / "gate.md").read_text()
    assert all(f"| latency row {i} | a{i}_ms | 1 | 30 |" in whole for i in range(50))


def test_the_row_that_is_named_is_held_again_by_the_command_as_it_is_printed(tree, capsys):
    row = {"300 ms pi_4b_usb ftth": {"first_sound_ms": 300.0}, "other": {"first_sound_ms": 1.0}}
    assert tree(row | {"gone": {"first_sound_ms": 1.0}}, "--rewrite") == 0
    later = {"300 ms pi_4b_usb ftth": {"first_sound_ms": 320.0}, "other": {"first_sound_ms": 2.0}}
    assert tree(later) == 1
    told = capsys.readouterr().err.splitlines()
    assert any("[gone]: has budgets, but was not measured" in line for line in told)
    (line,) = [one for one in told if "one row again: " in one]
    python, script, command, name, fast, *options = shlex.split(line.partition("again: ")[2])
    assert (python, script, command, name, fast) == (
        *("python3", "run.py", "bench", "gate"),
        "--fast",
    )
    assert tree(later, *options) == 1
    again = capsys.readouterr()
    assert "1 figure differs" in again.out
    assert "first_sound_ms worse in 1 row" in again.err.splitlines()[0]
    assert tree(row, *options) == 0


def test_of_one_row_nothing_is_recorded_and_one_that_is_not_there_is_named(tree, capsys):
    assert tree(ROWS, "--record") == 0
    for option in ("--record", "--rewrite"):
        assert tree(ROWS, "--row", "pi ftth", option) == 2
        assert "a measurement is recorded whole" in capsys.readouterr().err
    assert tree(ROWS, "--row", "pi ftth", "--row", "pi lte") == 2
    assert "--row 'pi lte': no such row in latency" in capsys.readouterr().err


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=2, max_size=30))
def test_broken_budgets_are_told_the_worst_first(tree_of_its_own, pairs):
    rows = {f"row {i}": {"x_ms": now} for i, (now, _) in enumerate(pairs)}
    budgets = {f"row {i}": {"x_ms": limit} for i, (_, limit) in enumerate(pairs)}
    text = "\n".join(f'"{row}" = {{ x_ms = {one["x_ms"]!r} }}' for row, one in budgets.items())
    told = tree_of_its_own(rows, f"[latency.fast]\n{text}\n")
    over = [float(row) for row in re.findall(r"over budget: latency \[row (\d+)\]", told)]
    share = [(pairs[int(i)][0] - pairs[int(i)][1]) / pairs[int(i)][1] for i in over]
    assert share == sorted(share, reverse=True)
    broken = sum(now > limit for now, limit in pairs)
    assert len(over) == min(broken, 20)


def test_what_is_gone_comes_first_and_a_fingerprint_after_what_got_worse():
    before = {f"r{i}": {"x_ms": 1.0, "y_ms": 1.0, "sound_crc32": 1.0, "z_ms": 2.0} for i in "abc"}
    now = {
        row: {"x_ms": 9.0, "y_ms": 1.0, "sound_crc32": 4e9, "z_ms": 1.0, "new_ms": 3.0}
        for row in before
    }
    now["ra"]["y_ms"] = None
    changes = compare_exactly({"sound": now}, {"sound": before})
    told = [str(one).split(" in ")[0] for one in causes_of(changes)]
    assert told == [
        *("sound y_ms worse", "sound x_ms worse", "sound sound_crc32 other"),
        *("sound new_ms new", "sound z_ms better"),
    ]
    assert [one.measure for one in changes] == [
        *("y_ms", *["x_ms"] * 3, *["sound_crc32"] * 3),
        *(*["new_ms"] * 3, *["z_ms"] * 3),
    ]


def test_an_installed_gate_writes_into_the_tree_that_it_is_run_in(tmp_path):
    tree = Path(__file__).parents[2]
    installed = tmp_path / "site" / "benchmarks"
    shutil.copytree(tree / "benchmarks", installed, ignore=shutil.ignore_patterns("__pycache__"))
    tell = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from benchmarks import gate; "
        "print(gate.__file__, gate.BUDGETS, gate.FIGURES, sep='\\n')"
    )
    for place, expected in ((tree, tree / "benchmarks"), (tmp_path, installed)):
        command = [sys.executable, "-P", "-c", tell]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True)
        file, budgets, figures = map(Path, done.stdout.split())
        assert file.parent == installed
        assert (budgets, figures) == (expected / "budgets.toml", expected / "figures.json")


def test_a_node_that_renders_silence_is_named(monkeypatch):
    from benchmarks.village import sound

    monkeypatch.setattr(
        "node.audio.limiter.Limiter.process_periods", lambda _, periods: periods.fill(0.0)
    )
    (row,) = sound.measure(fast=True, row="800 ms pi_4b_usb ftth").items()
    assert row[1]["loudness_off_lu"] is None
    assert "no figure" in compare({row[0]: row[1]}, {row[0]: {"loudness_off_lu": 0.5}})[0]


def test_a_node_that_drops_every_order_is_named(monkeypatch):
    from benchmarks.village import warned

    monkeypatch.setattr(
        "node.control.controller.Controller.receive_message", lambda *_: "not for here"
    )
    rows = warned.measure(fast=True)
    budget = {"flood_night": {"unwarned": 4, "first_warned_max_ms": 303_200}}
    said = compare(rows, budget)
    assert "[flood_night] unwarned = 11: budget 4" in said
    assert any("first_warned_max_ms: no figure" in line for line in said)


def test_a_planted_regression_is_named_in_the_first_ten_lines():
    assert planted.told("lost", measurement=REGRESSIONS["lost"].measured_by) is not None


def test_a_change_that_alters_nothing_gives_nothing():
    assert planted.told(NOTHING, measurement="warned").endswith("0 figures differ (fast)")


def test_a_regression_that_nobody_looks_for_is_not_called_named():
    assert planted.told("later", measurement="footprint") is None


def test_what_is_measured_is_what_runs_and_not_what_lies_where_it_was_started(
    tmp_path, monkeypatch
):
    for package in ("node", "sim", "benchmarks"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('another tree')")
    monkeypatch.chdir(tmp_path)
    assert footprint.measure(fast=True, row="start")["start"]["kernels_loaded"] > 40
    assert planted.told("fat", measurement="footprint") is not None


def test_the_matrix_has_every_profile_on_every_link(monkeypatch):
    import hw_profiles
    from benchmarks.village import matrix

    clusters = [c for *_, c in matrix.village("800 ms").clusters()]
    assert {(c.profile, c.bearer) for c in clusters} == {
        (profile, bearer) for profile in hw_profiles.names() for bearer in matrix.BEARERS
    }
    assert len({c.name for c in clusters}) == len(clusters)


def test_a_start_is_told_in_calibration_loops():
    assert 0 < speed.start()["loops_per_start"] < 1000


def test_speed_is_told_beside_the_calibration_loop(monkeypatch, capsys):
    monkeypatch.setattr(speed, "SCENARIO", "perfect")
    monkeypatch.setattr(speed, "LOOPS", 1)
    speed.one(False, 2.0)

    told = capsys.readouterr().out
    assert all(word in told for word in ("node_seconds_per_cpu_s", "loop_cpu_s", "rss_max_mb"))
