"""A fault is planted and found, or said not to be: what finds nothing, or anything, is told."""

import shutil
from pathlib import Path

import pytest

from benchmarks import fault
from benchmarks.control.orders_holes import HOLES
from benchmarks.fault import NOTHING, Fault, find_all, found, one_history, plant
from benchmarks.liveness.faults import FAULTS
from node.config import ConfigError
from tests.house import ROOT

MUTE = "node/control/mute.py"
RIGHT = "    def next_deadline_ns("
BODY = "        ends_ns = ["


@pytest.mark.parametrize("one", [*HOLES, *FAULTS], ids=lambda one: one.name)
def test_each_fault_can_be_planted_in_the_tree_as_it_is(one, tmp_path):
    copy = tmp_path / one.path
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / one.path, copy)
    plant(one, tmp_path)
    compile(copy.read_text(encoding="utf-8"), one.path, "exec")
    assert copy.read_text(encoding="utf-8") != (ROOT / one.path).read_text(encoding="utf-8")


def test_a_fault_whose_place_is_gone_or_is_there_twice_is_refused(tmp_path: Path):
    (tmp_path / "text").write_text("again\nagain\n")
    for right, times in (("gone", 0), ("again", 2)):
        with pytest.raises(ConfigError, match=f"'{right}' is there {times} times, not 1"):
            plant(Fault("it", "text", ((right, ""),)), tmp_path)


def test_a_hole_that_changes_nothing_is_told_and_fails(capsys: pytest.CaptureFixture[str]):
    harmless = Fault("a blank", MUTE, ((RIGHT, "\n" + RIGHT),))
    assert find_all([harmless], ["orders"], histories=2, seed=1, only=["a blank"]) == 1
    assert "0 of 1 as they should be; NOT FOUND: a blank" in capsys.readouterr().out


def test_histories_that_find_a_fault_in_nothing_fail(capsys, monkeypatch):
    monkeypatch.setattr(fault, "found", lambda *_, **__: ("1 broke a promise", True))
    assert fault.find_all([], ["orders"], histories=1, seed=1) == 1
    assert "0 of 1 as they should be; found: nothing" in capsys.readouterr().out


def test_a_crash_finds_a_hole_and_is_called_one():
    twice = next(hole for hole in HOLES if hole.name == "an order acts twice")
    showed, is_found = found(twice, ["orders", "--histories", "3"], cpu_s=60)
    assert is_found and showed.startswith("crashed: AssertionError") and "in history" in showed


def test_a_hang_finds_a_hole_and_is_called_one():
    hole = Fault("endless", MUTE, ((BODY, "        while True:\n            pass\n" + BODY),))
    showed, is_found = found(hole, ["orders", "--histories", "1"], cpu_s=4)
    assert is_found and showed == "hung: no end after 4 s of CPU"


def test_a_fault_by_which_no_history_is_drawn_is_none():
    broken = Fault("broken", MUTE, ((RIGHT, "    import nowhere\n" + RIGHT),))
    with pytest.raises(ConfigError, match=r"broken: no history was drawn: .*nowhere"):
        found(broken, ["orders", "--histories", "1"], cpu_s=60)


def endless(*, cpu_s: float) -> None:
    """Follow a history that has no end."""
    with one_history(7, seed=3, cpu_s=cpu_s):
        while True:
            pass


def test_a_history_without_an_end_is_ended_and_numbered():
    with pytest.raises(TimeoutError, match=r"no end after 0\.05 s") as hung:
        endless(cpu_s=0.05)
    assert hung.value.__notes__ == ["in history 7 of seed 3"]


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match="--only 'x': must be one of nothing, a blank"):
        find_all([Fault("a blank", MUTE, ())], [], histories=1, seed=1, only=["x"])
    assert NOTHING.edits == ()
