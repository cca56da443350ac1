"""What a run leaves on the disk: the same for the same answer, and all of it or nothing."""

import dataclasses
import hashlib
import io
import resource
import subprocess
import sys
import wave
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sim.report.budgets import judge
from sim.report.files import write_all, write_files
from sim.report.listen import wav
from sim.report.summaries import junit, markdown
from sim.result.run import NodeRow
from tests.sim.report.example_result import example_result

ROW_FIELDS = tuple(one.name for one in dataclasses.fields(NodeRow))
NAMES = {
    "report.html",
    "results.parquet",
    "summary.md",
    "junit.xml",
    "listen/best.wav",
    "listen/median.wav",
    "listen/worst.wav",
}


def found(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_run_leaves_its_report_rows_sounds_and_summaries_and_nothing_else(tmp_path):
    written = write_files(example_result(), tmp_path / "deep" / "out")

    assert written[0].name == "report.html"
    assert found(tmp_path / "deep" / "out") == NAMES


def test_the_same_answer_gives_the_same_bytes(tmp_path):
    hashes = []
    for name in ("one", "two"):
        write_files(example_result(), tmp_path / name)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        hashes.append([hashlib.sha256(p.read_bytes()).hexdigest() for p in files])
    assert hashes[0] == hashes[1]


def test_parquet_has_a_row_per_cluster_with_every_measure_and_null_where_nothing_played(tmp_path):
    result = example_result()
    write_files(result, tmp_path)

    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()

    assert len(rows) == len(result.nodes)
    assert set(ROW_FIELDS) < set(rows[0])
    for line, row in zip(rows, result.nodes, strict=True):
        assert line["seed"] == result.seed
        assert line["trace_hash"] == result.trace_hash
        assert {name: line[name] for name in ROW_FIELDS} == dataclasses.asdict(row)
    assert rows[-1]["mouth_to_ear_p99_ms"] is None


def test_what_the_machine_spent_is_not_in_the_rows(tmp_path):
    result = example_result()
    write_files(result, tmp_path / "one")
    write_files(dataclasses.replace(result, cpu={"cpu_s": 99.0}), tmp_path / "two")

    one, two = (tmp_path / name / "results.parquet" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@given(
    hnp.arrays(
        np.float32, st.integers(0, 500), elements=st.floats(-4, 4, width=32, allow_nan=False)
    )
)
def test_a_recording_plays_back_within_half_a_step_and_is_clipped_beyond_full_scale(samples):
    data = wav(samples)

    with wave.open(io.BytesIO(data)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (
            1,
            2,
            48000,
        )
        read = np.frombuffer(reader.readframes(reader.getnframes()), "<i2") / 32767
    wanted = np.clip(samples.astype(np.float64), -1, 1)
    assert read.shape == samples.shape
    assert np.all(np.abs(read - wanted) <= 0.5 / 32767 + 1e-9)


def test_a_full_disk_leaves_what_was_there_before(tmp_path):
    write_all({"report.html": b"old", "listen/best.wav": b"old"}, tmp_path)
    # Beyond RLIMIT_FSIZE the system refuses to write on, half-way through a file: like a full disk.
    code = (
        "import resource, sys, pathlib; from sim.report.files import write_all\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: write_all({'report.html': b'n' * 10, 'listen/best.wav': b'n' * 90_000},"
        " pathlib.Path(sys.argv[1]))\n"
        "except OSError as fault: print('refused', fault.strerror)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("refused"), done.stderr
    assert found(tmp_path) == {"report.html", "listen/best.wav"}
    assert (tmp_path / "report.html").read_bytes() == b"old"
    assert (tmp_path / "listen/best.wav").read_bytes() == b"old"
    assert not list(tmp_path.glob(".loalang-*"))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        write_all({"a.txt": b"a"}, tmp_path / "file" / "out")
    with pytest.raises(OSError):
        write_all({"a.txt": b"a", "b" * 300: b"name too long"}, tmp_path / "new" / "out")

    assert found(tmp_path) == {"file"}
    assert not (tmp_path / "new").exists()


def test_junit_fails_the_broken_budgets_and_names_the_clusters():
    suite = ElementTree.fromstring(junit(example_result()))

    failed = {
        case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None
    }
    assert suite.get("failures") == str(len(failed))
    assert failed == {"heard", "dropout"}
    told = suite.find("testcase[@name='heard']/failure")
    assert told is not None and told.text == "node-11"


def of(*rows):
    """Return an answer of these clusters alone."""
    return dataclasses.replace(example_result(), nodes=list(rows))


def test_a_cluster_that_is_alone_is_compared_with_nobody_and_is_not_silent_for_it():
    heard = next(row for row in example_result().nodes if row.skew_p95_ms is not None)
    alone = dataclasses.replace(heard, skew_p95_ms=None)
    silent = next(row for row in example_result().nodes if row.mouth_to_ear_p50_ms is None)
    assert "skew_p95" not in {one.budget.name for one in judge(of(alone))}
    (skew,) = (one for one in judge(of(alone, silent)) if one.budget.name == "skew_p95")
    assert not skew.holds and skew.unknown == "nobody to compare with"
    assert skew.left_out == "1 played nothing, 1 had nobody to compare with"
    (skew,) = (one for one in judge(of(silent, silent)) if one.budget.name == "skew_p95")
    assert skew.unknown == "nobody heard anything" and skew.left_out == "2 played nothing"


def test_the_markdown_summary_says_which_budget_broke_where():
    text = markdown(example_result())

    line = next(one for one in text.splitlines() if "drops out" in one)
    assert "**no**" in line and "node-11" in line
    assert text.count("| yes |") == 4
