"""A sweep is the same bytes however it came about: workers, chunks, kills, a cluster."""

import itertools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sim.sweep.course import Course, read_until
from sim.sweep.pool import InPlace, Processes


def run(asked, folder, pool=None, *, chunk=1, until=None):
    odds = Course(asked, folder, until).run(pool or InPlace(), chunk=chunk, told=lambda *_: None)
    return (folder / "rows.parquet").read_bytes(), odds


class Breaks(InPlace):
    """A pool that fails after some chunks, as a machine does."""

    def __init__(self, after):
        self._after = after

    def run(self, sweep, spans):
        yield from itertools.islice(super().run(sweep, spans), self._after)
        raise OSError("the power is gone")


class Backwards(InPlace):
    """A pool whose chunks are done in the worst order."""

    def run(self, sweep, spans):
        yield from super().run(sweep, spans[::-1])


def test_neither_chunks_nor_their_order_nor_a_break_change_a_byte(asked, tmp_path):
    wanted, odds = run(asked, tmp_path / "a")
    for chunk in (5, 100):
        assert run(asked, tmp_path / str(chunk), chunk=chunk) == (wanted, odds)
    assert run(asked, tmp_path / "back", Backwards(), chunk=2) == (wanted, odds)
    with pytest.raises(OSError, match="power"):
        run(asked, tmp_path / "b", Breaks(2), chunk=2)
    assert not (tmp_path / "b" / "rows.parquet").exists()
    assert run(asked, tmp_path / "b", chunk=3) == (wanted, odds)


def test_what_is_there_is_not_made_again_and_more_seeds_go_on(asked, tmp_path):
    run(asked, tmp_path, chunk=4)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "chunks").iterdir()}
    more = replace(asked, seeds=4)
    went_on = run(more, tmp_path, chunk=4)
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "chunks").iterdir()}
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    assert went_on == run(more, tmp_path / "anew")
    other = replace(asked, ttl_s=300)
    assert run(other, tmp_path, chunk=4) == run(other, tmp_path / "other")


def test_processes_give_what_one_process_gives_and_one_that_dies_costs_its_chunk(asked, tmp_path):
    wanted, odds = run(asked, tmp_path / "a")

    class Deadly(Processes):
        def run(self, sweep, spans):
            work = super().run(sweep, spans)
            yield next(work)
            os.kill(children()[0], signal.SIGKILL)
            yield from work

    assert run(asked, tmp_path / "two", Deadly(2)) == (wanted, odds)
    assert run(asked, tmp_path / "eight", Processes(8), chunk=7) == (wanted, odds)
    assert children() == []


def children():
    """Return the processes that this one has begun."""
    return [
        int(one)
        for task in Path("/proc/self/task").iterdir()
        for one in (task / "children").read_text().split()
        if b"sim.sweep.pool" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]


def test_a_sweep_that_is_killed_goes_on_as_if_nothing_had_been(files, tmp_path):
    def command(folder):
        return [
            *(sys.executable, "-m", "sim.cli", "sweep", str(files[0]), "--sample", str(files[1])),
            *("--only", "warning", "--seeds", "10", "--villages", "4", "--workers", "1"),
            *("--chunk", "1", "--json", "--out", str(folder)),
        ]

    killed = tmp_path / "killed"
    process = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    until_s = time.monotonic() + 120
    while not list((killed / "chunks").glob("[0-9a-f]*.parquet")):
        assert time.monotonic() < until_s and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (killed / "rows.parquet").exists()
    for folder in (killed, tmp_path / "whole"):
        subprocess.run(command(folder), check=True, capture_output=True)
    for name in ("rows.parquet", "odds.json", "odds.html"):
        assert (killed / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_it_ends_by_itself_when_the_interval_is_narrow_enough_whoever_works(asked, tmp_path):
    asked = replace(asked, seeds=40, sample=None, villages=1)
    until = read_until("clusters_warned ± 0.05")
    rows, odds = run(asked, tmp_path / "a", until=until)
    assert 5 <= odds.throws < 40
    assert odds.stopped == "clusters_warned is known to ± 0.05"
    assert all(one.figures["clusters_warned"].half <= 0.05 for one in odds.variants)
    assert run(asked, tmp_path / "b", Backwards(), chunk=7, until=until) == (rows, odds)


@pytest.mark.real_time
def test_a_cluster_of_two_workers_of_which_one_dies_gives_the_same_bytes(asked, files, tmp_path):
    pytest.importorskip("distributed")
    wanted, _ = run(asked, tmp_path / "here")
    told = tmp_path / "scheduler.json"
    python = sys.executable
    scheduler = [python, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    scheduler += ["--port", "0", "--no-dashboard", "--scheduler-file", str(told)]
    worker = [python, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(told)]
    worker += ["--nthreads", "1", "--no-nanny", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cluster = [subprocess.Popen(scheduler, **quiet)]
    try:
        until_s = time.monotonic() + 60
        while not told.exists():
            assert time.monotonic() < until_s
            time.sleep(0.1)
        cluster += [subprocess.Popen(worker, cwd=tmp_path, **quiet) for _ in range(2)]
        import json

        address = json.loads(told.read_text())["address"]
        command = [
            *(python, "-m", "sim.cli", "sweep", str(files[0]), "--sample", str(files[1])),
            *("--only", "warning", "--seeds", "12", "--villages", "4", "--chunk", "1"),
            *("--set", "outages=drawn,none", "--cluster", address, "--json"),
            *("--out", str(tmp_path / "there")),
        ]
        sweep = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        chunks = tmp_path / "there" / "chunks"
        until_s = time.monotonic() + 120
        while not list(chunks.glob("[0-9a-f]*.parquet")):
            assert time.monotonic() < until_s and sweep.poll() is None, sweep.stderr.read()
            time.sleep(0.05)
        cluster[1].kill()
        _, complaints = sweep.communicate(timeout=180)
        assert sweep.returncode == 0, complaints.decode()
    finally:
        for one in reversed(cluster):
            one.kill()
            one.wait()
    more = replace(asked, seeds=12, ttl_s=3600)
    assert (tmp_path / "there" / "rows.parquet").read_bytes() == run(more, tmp_path / "more")[0]
    assert wanted
