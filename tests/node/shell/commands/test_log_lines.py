"""The log in the journal: each line with its priority, and one time stamp."""

import logging
import os
import subprocess
import sys

import pytest

from benchmarks.rig.rig_network import free_port
from node.shell.commands.log_lines import JournalLines, is_journal


def record(level, text, fault=None):
    info = (type(fault), fault, None) if fault else None
    return logging.LogRecord("loalang", level, "", 0, text, (), info)


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6),
     (logging.DEBUG, 7), (1, 7)],
)  # fmt: skip
def test_each_line_has_the_priority_of_what_it_tells(level, priority):
    lines = JournalLines().format(record(level, "first\nsecond", ValueError("x"))).split("\n")
    assert len(lines) >= 3 and all(one.startswith(f"<{priority}>") for one in lines)
    assert lines[0] == f"<{priority}>loalang: first"


def test_only_the_stream_that_systemd_names_is_the_journal(tmp_path, monkeypatch):
    with open(tmp_path / "a", "w") as one, open(tmp_path / "b", "w") as other:
        there = os.fstat(one.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        assert is_journal(one.fileno()) and not is_journal(other.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", "nonsense")
        assert not is_journal(one.fileno())
    assert not is_journal(10_000)


@pytest.mark.parametrize("to_journal", [True, False])
def test_a_node_writes_its_own_time_only_where_nobody_else_does(tmp_path, to_journal):
    config, log = tmp_path / "node.toml", tmp_path / "log"
    listen = f'listen = "127.0.0.1:{free_port()}"'
    config.write_text(f'name = "pole-7"\n[receive]\n{listen}\n[sink]\nkind = "null"\n')
    with log.open("w") as out:
        there = os.fstat(out.fileno())
        named = f"{there.st_dev}:{there.st_ino}" if to_journal else "1:1"
        run = [sys.executable, "-m", "node.shell.cli", "run", "--config", str(config)]
        subprocess.run(
            [*run, "--duration", "1"],
            env={**os.environ, "JOURNAL_STREAM": named}, stderr=out, check=True, timeout=300,
        )  # fmt: skip
    ready = next(one for one in log.read_text().splitlines() if one.endswith("ready"))
    assert (ready == "<6>loalang: ready") is to_journal
    assert ready.startswith("2") is not to_journal
