"""The sound is not kept waiting by Python's own housekeeping."""

import os
import subprocess
import sys

import pytest

NODE = """
import gc, sys, time
import node.stack
from node.shell.steady import keep_steady
keep_steady()
begin = time.process_time()
gc.collect()
print(1000 * (time.process_time() - begin), 1000 * sys.getswitchinterval())
"""

CHILD = """
import os, subprocess, sys
from benchmarks.rig.jack_rig import hurry
done = hurry(os.getpid(), 10)
ask = "import os; print(os.sched_getscheduler(0))"
policy = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout
print(int(done), policy)
"""


def said(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_looking_for_garbage_takes_less_than_a_period_once_the_node_is_loaded():
    """Without, 130 ms: heard in every node within its first seconds of sound."""
    collect_ms, switch_ms = (float(word) for word in said(NODE))
    assert collect_ms < 2
    assert switch_ms <= 1


def test_what_a_hurried_program_starts_does_not_push_the_sound_aside():
    """The rig starts nodes while others play: their loading must not outrank the sound."""
    done, policy = said(CHILD)
    if done == "0":
        pytest.skip("only root may hurry")
    assert int(policy) == os.SCHED_OTHER
