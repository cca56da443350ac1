"""The command `loalang-sim` and the demo: what they print, leave behind, and end with."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sim import cli, demo
from sim.village import scenario
from tests.sim.villages import DOAI, village

SMALL = village({("Thôn Đoài", 0, 0): DOAI}, duration_s=3.0)
NAMES = {
    "report.html",
    "results.parquet",
    "summary.md",
    "junit.xml",
    "listen/best.wav",
    "listen/median.wav",
    "listen/worst.wav",
}


@pytest.fixture
def sim(capfd):
    """Return a function that calls the command in this process: status, output, complaints."""

    def call(*arguments, main=cli.main):
        try:
            status = main([str(one) for one in arguments])
        except SystemExit as left:
            status = left.code
        told = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return call


def process(*arguments, before="pass", **more):
    """Call the command in a process of its own."""
    code = f"import sys; {before}\nfrom sim.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, **more
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenario") / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def one_line(done, status):
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_run_prints_one_json_object_and_leaves_its_files(sim, small, tmp_path):
    done = sim("run", small, "--seed", 5, "--duration", 2, "--json", "--out", tmp_path / "o")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {"scenario_hash", "trace_hash", "seed", "verdict", "totals", "nodes"} <= set(told)
    assert (told["seed"], told["duration_s"], told["scenario"]) == (5, 2.0, "small")
    assert [row["node"] for row in told["nodes"]] == ["d-01", "d-02"]
    files = {str(p.relative_to(tmp_path / "o")) for p in (tmp_path / "o").rglob("*.*")}
    assert files == NAMES
    rows = pq.read_table(tmp_path / "o" / "results.parquet").to_pylist()
    assert [row["trace_hash"] for row in rows] == [told["trace_hash"]] * 2


def test_the_same_seed_gives_the_same_bytes_in_another_process_and_another_seed_does_not(
    small, tmp_path
):
    told = []
    for name, seed, hash_seed in (("a", 5, "1"), ("b", 5, "2"), ("c", 6, "1")):
        done = process(
            *("run", small, "--seed", seed, "--json", "--out", tmp_path / name),
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)

    assert told[0] == told[1]
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    hashes = [json.loads(one)["trace_hash"] for one in told]
    assert hashes[0] != hashes[2]


def test_without_json_the_verdict_and_the_place_of_the_report_are_printed(sim, small, tmp_path):
    done = sim("run", small, "--duration", 1, "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    assert f"report: {tmp_path / 'report.html'}" in done.stdout.replace("\n", "")
    assert "Yên Sơn" in done.stdout and "trace hash" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere"], "nowhere"),
        (["run", "perfect", "--seed", "-1"], "seed"),
        (["run", "perfect", "--duration", "soon"], "'soon'"),
        (["run", "perfect", "--duration", "nan"], "1 to 86400"),
        (["fly"], "fly"),
        ([], "COMMAND"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(sim, arguments, said):
    assert said in one_line(sim(*arguments), 2)


def test_every_fault_of_a_scenario_is_told_at_once_each_in_its_line(sim, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(
        SMALL.replace("pi_4b_i2s", "pi_9").replace("lte_good", "5g").replace("300", "-1")
    )
    done = sim("check", path)

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line, said in zip(sorted(lines), sorted(["pi_9", "5g", "playout_delay_ms"]), strict=False):
        assert line.startswith("loalang-sim: wrong.toml: ") and said
    assert all(any(said in line for line in lines) for said in ("pi_9", "5g", "playout_delay_ms"))


def test_a_right_scenario_is_told_so_with_its_hash(sim, small):
    done = sim("check", small)

    assert done.returncode == 0, done.stderr
    assert "2 clusters" in done.stdout and "scenario hash" in done.stdout


def test_a_run_without_sound_counts_the_same_and_leaves_no_recordings(sim, small, tmp_path):
    told = []
    for more in ([], ["--no-sound"]):
        done = sim("run", small, "--json", "--out", tmp_path / f"out{len(more)}", *more)
        assert done.returncode == 0, done.stderr
        nodes = json.loads(done.stdout)["nodes"]
        told.append([{**row, "audio_sha256": None} for row in nodes])

    assert told[0] == told[1]
    assert not (tmp_path / "out1" / "listen").exists()
    assert "<audio" not in (tmp_path / "out1" / "report.html").read_text(encoding="utf-8")


def test_a_village_without_signal_gets_one_clear_verdict_and_its_page(sim, tmp_path):
    path = tmp_path / "dark.toml"
    text = SMALL.replace("ftth", "no_signal").replace("lte_good", "no_signal")
    path.write_text(text, encoding="utf-8")
    done = sim("run", path, "--out", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert "No cluster heard anything" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "0/2" in page and "nothing played" in page


def test_all_scenarios_that_ship_are_listed(sim):
    done = sim("list")

    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == scenario.names()


def test_a_folder_that_cannot_be_one_is_told_before_the_run(sim, small, tmp_path):
    (tmp_path / "file").write_text("mine")
    line = one_line(sim("run", small, "--out", tmp_path / "file"), 2)

    assert "--out" in line and str(tmp_path / "file") in line
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_is_told_in_one_line_and_nothing_half_written_stays(small, tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
    done = process("run", small, "--json", "--out", tmp_path / "out", before=limit)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "free some space" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_the_demo_tells_where_the_report_is_and_what_to_listen_to(sim, tmp_path):
    done = sim("--out", tmp_path, "--duration", 3, main=demo.main)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
    for name in ("best", "median", "worst"):
        assert str(tmp_path / "listen" / f"{name}.wav") in done.stdout
    assert "66 clusters" in done.stdout
    assert Path(tmp_path / "results.parquet").is_file()
