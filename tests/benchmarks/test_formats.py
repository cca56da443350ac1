"""Each file of the gate is read by the tool that it is for, or by its published schema."""

import json
import re
import shlex
from pathlib import Path

import jsonschema
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from benchmarks.verdict.budgets import broken, lines_of
from benchmarks.verdict.formats import (
    ANNOTATIONS_MAX,
    MARKDOWN_BYTES_MAX,
    annotations,
    files,
    markdown,
    open_metrics,
)
from benchmarks.verdict.outcome import FINGERPRINTS, Outcome, changes_since

JUNIT = xmlschema.XMLSchema(str(Path(__file__).with_name("junit.xsd")))
ROOT = Path(__file__).parents[2]

# Bencher's own schema of its format (draft 7), and what github-action-benchmark's page asks of a
# custom result.
BENCHER = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "number"},
                        "lower_value": {"type": "number"},
                        "upper_value": {"type": "number"},
                    },
                    "required": ["value"],
                }
            },
        }
    },
}
ACTION = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "properties": {
            "name": {"type": "string"},
            "unit": {"type": "string"},
            "value": {"type": "number"},
            "range": {"type": "string"},
            "extra": {"type": "string"},
        },
        "additionalProperties": False,
    },
}

names = st.text(min_size=1, max_size=20)
figures = st.none() | st.floats(0, 1e9, allow_nan=False)
rows = st.dictionaries(
    names,
    st.dictionaries(st.sampled_from(["x_ms", "y_pct", "lost"]), figures, min_size=1),
    max_size=12,
)


def outcome_of(now, before, budgets, recorded=None):
    return Outcome(
        length="fast",
        measured={"latency": now},
        budgets={"latency": budgets},
        breaches=tuple(broken("latency", now, budgets)),
        changes=changes_since(
            {"latency": now},
            {"latency": before},
            {"latency": before if recorded is None else recorded},
        ),
        base="the base",
    )


@settings(max_examples=50)
@given(
    rows,
    rows,
    st.dictionaries(names, st.dictionaries(st.just("x_ms"), st.floats(0, 1e9))),
    st.none() | rows,
    st.booleans(),
)
def test_whatever_was_measured_each_file_is_what_its_reader_takes(
    now, before, budgets, recorded, is_recorded
):
    outcome = outcome_of(now, before, budgets, now if is_recorded else recorded)
    written = files(outcome, {}, "benchmarks/budgets.toml")
    report = written["gate.xml"].decode()
    JUNIT.validate(report)
    jsonschema.validate(json.loads(written["gate.action.json"]), ACTION)
    jsonschema.validate(json.loads(written["gate.bencher.json"]), BENCHER)
    samples = [
        sample
        for family in text_string_to_metric_families(written["gate.prom"].decode())
        for sample in family.samples
    ]
    told = [v for figures in now.values() for v in figures.values() if v is not None]
    assert sorted(s.value for s in samples) == pytest.approx(sorted(told), rel=1e-11)
    commands = written["gate.annotations"].decode().split("\n")[:-1]
    assert len(commands) <= ANNOTATIONS_MAX
    assert all(
        re.match(r"::(error|warning|notice) file=[^,]+,line=\d+,title=gate::", c) for c in commands
    )
    assert len(written["gate.md"]) < MARKDOWN_BYTES_MAX


def test_gitlab_reads_each_figure_of_the_tree_under_a_name_of_its_own():
    recorded = json.loads((ROOT / "benchmarks" / "figures.json").read_text())["fast"]
    told = open_metrics(
        Outcome(length="fast", measured=recorded, budgets={}, breaches=(), changes=(), base="")
    )
    # Its parser cuts a line at the first `#` and splits the rest as a shell does.
    lines = [shlex.split(line.partition("#")[0]) for line in told.splitlines()]
    values = {name: float(value) for name, value in filter(None, lines)}
    figures = [v for rows in recorded.values() for row in rows.values() for v in row.values()]
    known = [one for one in figures if one is not None]
    assert len(values) == len(known) > 1000
    assert sorted(values.values()) == pytest.approx(sorted(known), rel=1e-11)


def test_bencher_takes_the_names_of_the_tree_and_no_trend_has_a_fingerprint_in_it():
    recorded = json.loads((ROOT / "benchmarks" / "figures.json").read_text())["fast"]
    outcome = Outcome(
        length="fast", measured=recorded, budgets={}, breaches=(), changes=(), base=""
    )
    written = files(outcome, {}, "b")
    rows = json.loads(written["gate.bencher.json"])
    assert all(0 < len(row) <= 1024 for row in rows), "its longest name of a benchmark"
    assert all(0 < len(one) <= 64 for row in rows.values() for one in row), "and of a measure"
    drawn = json.loads(written["gate.action.json"])
    assert len(drawn) == sum(map(len, rows.values())) > 1000
    assert not FINGERPRINTS & {one["name"].rpartition("/")[2] for one in drawn}
    assert not FINGERPRINTS & {one for row in rows.values() for one in row}
    assert b"sound_crc32" in written["gate.prom"], "there it is only equal or not"


def test_a_case_fails_where_its_row_is_over_budget_or_has_changed():
    now = {"good": {"x_ms": 1.0}, "over": {"x_ms": 9.0}, "moved": {"x_ms": 2.0}}
    before = {"good": {"x_ms": 1.0}, "over": {"x_ms": 9.0}, "moved": {"x_ms": 1.0}}
    budgets = {name: {"x_ms": 5.0} for name in now}
    report = files(outcome_of(now, before, budgets), {}, "b")["gate.xml"].decode()
    failed = re.findall(r'<testcase classname="gate.latency" name="(\w+)"><failure', report)
    assert failed == ["over", "moved"]
    assert '<property name="x_ms" value="9" />' in report
    assert 'failures="2"' in report.split("<testsuite ")[0]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(100, 9000))
def test_wherever_a_summary_is_cut_twenty_budgets_are_in_sight_and_what_is_folded_is_closed(
    budgets, changes, bytes_max
):
    now = {f"row {i}": {"x_ms": 2.0 + i} for i in range(max(budgets, changes))}
    before = {
        row: {"x_ms": one["x_ms"] - (i < changes)} for i, (row, one) in enumerate(now.items())
    }
    limits = {row: {"x_ms": 1.0 if i < budgets else 99.0} for i, row in enumerate(now)}
    text = markdown(outcome_of(now, before, limits), bytes_max=bytes_max)
    assert len(text.encode()) < max(bytes_max, 200)
    assert text.count("<details>") == text.count("</details>")
    in_sight = text.partition("<details>")[0].count("**over budget**")
    assert in_sight <= min(budgets, 20)
    if "(cut" not in text:
        assert in_sight == min(budgets, 20)
        assert text.count("budget 1\n") == budgets


@pytest.mark.parametrize(
    ("name", "bytes_max"), [("gate.md", MARKDOWN_BYTES_MAX), ("gate.comment.md", 65_536)]
)
@pytest.mark.parametrize("budgets", [False, True])
def test_what_is_too_long_for_its_place_is_cut_before_it_is_refused_and_says_so(
    name, bytes_max, budgets
):
    now = {f"row {i} {'x' * 200}": {"x_ms": 2.0} for i in range(6000)}
    before = {row: {"x_ms": 1.0} for row in now}
    limits = {row: {"x_ms": 1.0 if budgets else 3.0} for row in now}
    text = files(outcome_of(now, before, limits), {}, "b")[name].decode()
    assert bytes_max * 0.98 < len(text.encode()) < bytes_max
    assert "(cut: the rest is in out/benchmarks)" in text
    assert text.startswith("## The gate does not hold")
    assert text.count("<details>") == text.count("</details>")


def test_an_annotation_stands_beside_the_budget_that_it_is_about(tmp_path):
    path = tmp_path / "budgets.toml"
    path.write_text('# why\n[latency.fast]\n"a" = { x_ms = 1 }\n"b" = { x_ms = 1 }\n')
    lines = lines_of(path, "fast")
    told = list(
        annotations(
            outcome_of({"a": {}, "b": {"x_ms": 2.0}}, {}, {"b": {"x_ms": 1.0}}),
            lines,
            "benchmarks/budgets.toml",
        )
    )
    about_b = next(one for one in told if "[b] x_ms = 2" in one)
    assert "file=benchmarks/budgets.toml,line=4" in about_b
