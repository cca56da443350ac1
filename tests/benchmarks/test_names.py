"""The measurements can be found and called by name."""

import os
import subprocess
import sys

import pytest


def benchmarks(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], capture_output=True, text=True
    )


def test_an_unknown_measurement_is_named_with_those_that_exist():
    done = benchmarks("latenzy")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "'latenzy'" in done.stderr and "latency" in done.stderr


def test_no_measurement_at_all_is_told_what_there_is():
    done = benchmarks()

    assert done.returncode == 2
    assert "gate" in done.stderr


@pytest.mark.parametrize("arguments", [("latency", "--fastt"), ("clock", "--hour", "1")])
def test_an_option_that_a_measurement_does_not_know_is_a_fault(arguments):
    done = benchmarks(*arguments)

    assert done.returncode == 2
    assert arguments[1] in done.stderr


def test_a_village_on_perfect_links_starts_without_a_jump():
    done = benchmarks("hand_over", "--scenario", "perfect", "--seeds", "1", "--seconds", "3")

    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].split()[-1] == "0"


def test_a_day_too_short_to_be_judged_is_a_fault():
    done = benchmarks("clock", "--hours", "0.01")

    assert done.returncode == 2
    assert "0.067" in done.stderr


def test_a_check_of_no_streams_does_not_pass():
    done = benchmarks("opus", "--ranges", "--only", "no_such_stream")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no_such_stream*.bit" in done.stderr and "LOALANG_SHARED" in done.stderr


def test_a_network_that_this_user_may_not_have_is_told_before_anything_is_measured():
    command = [sys.executable, "-m", "benchmarks", "real_sync", "--network", "namespaces"]
    no_right = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []
    done = subprocess.run([*no_right, *command], capture_output=True, text=True)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "NOTHING MEASURED" in done.stderr and "root" in done.stderr
