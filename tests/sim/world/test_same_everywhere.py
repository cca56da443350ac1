"""The same to the bit whatever the process: seeds of hashes, features of the CPU, no compiler.

Another processor and kernels for the least of this one: .ci/slow, .ci/aarch64.
"""

import os
import subprocess
import sys

import pytest

from tests.sim.villages import village

ANSWER = """
import hashlib, sys
from dataclasses import asdict
from sim.drive import run as drive
from sim.swarm.history import live
from sim.swarm.script import Pole, Script, Step
from sim.village import scenario
from sim.village.places import build_village
from sim.world.whole_day import run_day

asked = scenario.load(sys.argv[1])
run = drive.run(asked)
print(run.trace_hash, run.nodes[0].audio_sha256)
if len(sys.argv) > 2:
    sys.exit()
day = run_day(asked, build_village(asked))
print(day.trace_hash, hashlib.sha256(repr(asdict(day)).encode()).hexdigest())
alert = Step(at_s=2.0, do="alert", number=1, event="FFW", lasts_s=20, ttl_s=30)
pole = Pole(name="n1", bearer="lte_weak")
history = live(Script(seed=3, poles=(pole,), steps=(alert,)))
print(hashlib.sha256("\\n".join(history.journal).encode()).hexdigest(), history.crash)
"""
"""Prints what a run heard, what a day brought and what a world lived through, as hashes."""

OTHERWISE = {
    "again": {},
    "hashes": {"PYTHONHASHSEED": "77"},
    "features": {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"},
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Return what a process with other variables answers to one question."""
    path = tmp_path_factory.mktemp("same") / "tiny.toml"
    path.write_text(
        village(
            {("A1", 0, 0): [("a-1", "pi_4b_usb", "lte_weak", 0, 0)]},
            duration_s=1,
            seed=5,
            playout_delay_ms=300,
            commune="A",
            more='[day]\ndate = "2026-11-23"\n\n[day.alert.phrases.any]\nsiren = "siren.flac"\n'
            'siren_s = 4\n\n[[day.orders]]\nat = "02:00"\nkind = "alert"\n',
        )
    )

    def answer(*more, **variables):
        done = subprocess.run(
            [sys.executable, "-c", ANSWER, str(path), *more],
            env=os.environ | {"PYTHONHASHSEED": "1"} | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == (1 if more else 3) and all(lines)
        return lines

    return answer


@pytest.fixture(scope="module")
def usual(answered):
    return answered()


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_a_process_answers_hangs_on_the_question_alone(answered, usual, name):
    assert answered(**OTHERWISE[name]) == usual


def test_without_a_compiler_a_run_sounds_the_same_to_the_bit(answered, usual):
    assert answered("the run alone", LOALANG_JIT="0") == usual[:1]
