"""The gate: a budget that breaks names its row, its measure, the value and the limit."""

import tomllib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import gate
from benchmarks.gate import compare
from benchmarks.village import latency, speed

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
        patch.setattr(latency, "measure", lambda *, fast: measured if fast else {})
        assert gate.run(["--fast", "--rewrite"]) == 0
    written = tomllib.loads(path.read_text())["latency"]

    assert path.read_text().startswith("# why [so]\n\n[latency.fast]\n")
    assert compare(measured, written["fast"]) == []
    assert set(written["fast"]["a row"]) == set(figures)
    assert written["full"] == {"a row": {"x_ms": 7.25}}


def test_the_gate_ends_with_1_and_names_the_row_that_broke_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "budgets.toml"
    path.write_text('[latency.fast]\n"pi ftth" = { mouth_to_ear_p99_ms = 800 }\n')
    monkeypatch.setattr(gate, "BUDGETS", path)
    monkeypatch.setattr(latency, "measure", lambda *, fast: ROWS if fast else {})

    assert gate.run(["--fast"]) == 1
    assert "latency [pi ftth] mouth_to_ear_p99_ms = 834: budget 800" in capsys.readouterr().err
    path.write_text('[latency.fast]\n"pi ftth" = { mouth_to_ear_p99_ms = 834 }\n')
    assert gate.run(["--fast"]) == 0
    path.write_text("[latency.fast")
    assert gate.run(["--fast"]) == 2


def test_the_matrix_has_every_profile_on_every_link(monkeypatch):
    import hw_profiles
    from benchmarks.village import matrix

    clusters = [c for *_, c in matrix.village("800 ms").clusters()]
    assert {(c.profile, c.bearer) for c in clusters} == {
        (profile, bearer) for profile in hw_profiles.names() for bearer in matrix.BEARERS
    }
    assert len({c.name for c in clusters}) == len(clusters)


def test_speed_is_told_beside_the_calibration_loop(monkeypatch, capsys):
    monkeypatch.setattr(speed, "SCENARIO", "perfect")
    monkeypatch.setattr(speed, "LOOPS", 1)
    speed.one(False, 2.0)

    told = capsys.readouterr().out
    assert all(word in told for word in ("node_seconds_per_cpu_s", "loop_cpu_s", "rss_max_mb"))
