"""Lines of status never keep the node waiting; what is read is whole lines, the last one too."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.shell.loop.status_lines import LINES_MAX, StatusLines
from tests.acceptance.conftest import free_port, process

WAIT_S = 60
PIPE_BYTES = 4096


class Out:
    """Standard output that is a pipe."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def fileno(self):
        """Return the end that is written to."""
        return self._descriptor

    def flush(self):
        """Have nothing to write."""


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 40_000), max_size=60))
def test_whoever_reads_late_finds_whole_lines_and_the_last_one(sizes):
    read, write = os.pipe()
    lines = [f"{i} " + "x" * size for i, size in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", Out(write))
        told = StatusLines()
        begun_s = time.monotonic()
        for line in lines:
            told.tell(line)
        assert time.monotonic() - begun_s < 1.0, "nobody reads, and nobody waits"
        with os.fdopen(read) as pipe:
            if lines:
                found = []
                while not found or found[-1] != lines[-1]:
                    found.append(pipe.readline().removesuffix("\n"))
                assert set(found) <= set(lines) and found == sorted(found, key=lines.index)
                assert len(found) + told.dropped == len(lines)
                assert len(found) >= min(len(lines), LINES_MAX)
            told.close()
    os.close(write)


@pytest.mark.real_time
def test_a_node_whose_status_nobody_reads_lives_on_and_ends_in_time(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(f'name = "a"\n[receive]\nlisten = "127.0.0.1:{free_port()}"\n')
    command = ["node.shell.cli", "run", "--config", str(path), "--sink", "null"]
    told = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    node = process(*command, "--status", "0.1", "--duration", "8", env=told)
    fcntl.fcntl(node.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        assert node.wait(timeout=WAIT_S) == 0
    except subprocess.TimeoutExpired:
        node.send_signal(signal.SIGABRT)  # it says where each of its threads stands
        raise AssertionError(node.communicate()[1]) from None
    finally:
        node.kill()
        out, _ = node.communicate()
    lines = out.splitlines()
    assert len(out) > PIPE_BYTES // 2 and all(json.loads(line) for line in lines[:-1])
