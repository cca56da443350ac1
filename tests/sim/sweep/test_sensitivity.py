"""Which input moves the answer is found, with those that only move it together."""

import json

import numpy as np
import pytest

from sim import cli
from sim.sweep.sensitivity import design, effects


def ishigami(x):
    """Return the answers of a function whose effects are known in closed form."""
    x = np.pi * (2 * x - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_effects_are_those_of_a_function_of_which_they_are_known():
    names = ["a", "b", "c", "nothing"]
    found = {one.name: one for one in effects(1, names, ishigami(design(1, names, 4000)))}
    known = {"a": (0.314, 0.558), "b": (0.442, 0.442), "c": (0.0, 0.244), "nothing": (0, 0)}
    for name, (first, total) in known.items():
        assert found[name].first == pytest.approx(first, abs=0.06)
        assert found[name].total == pytest.approx(total, abs=0.06)
        assert found[name].total_low <= total + 0.01 and total - 0.01 <= found[name].total_high
    assert list(found) == ["a", "b", "c", "nothing"]


def test_another_input_moves_no_draw_of_those_before():
    few, more = design(3, ["a", "b"], 8), design(3, ["a", "b", "c"], 8)
    assert (few[:16] == more[:16, :2]).all()


def test_a_loss_that_decides_stands_above_figures_that_do_not(files, tmp_path, capfd):
    files[1].write_text(
        """
[[inputs]]
name = "ftth.one_way_ms"
low = 1
high = 3
[[inputs]]
name = "lte_weak.loss_pct"
low = 0
high = 80
"""
    )
    out = tmp_path / "out"
    arguments = ["sweep", str(files[0]), "--sample", str(files[1]), "--only", "warning"]
    arguments += ["--seeds", "2", "--within", "1", "--workers", "1", "--out", str(out)]
    assert cli.main([*arguments, "--sensitivity", "12", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["points"] == 12 * 4 and told["figure"] == "clusters_warned"
    first, second = told["effects"]
    assert (first["input"], second["input"]) == ("lte_weak.loss_pct", "ftth.one_way_ms")
    assert first["total_low"] > 0.2 and second["total_high"] < 0.1
    assert "lte_weak.loss_pct" in (out / "sensitivity.html").read_text()


def test_an_answer_that_never_moved_tells_of_no_input_and_says_so(files, tmp_path, capfd):
    files[1].write_text('[[inputs]]\nname = "ftth.one_way_ms"\nlow = 1\nhigh = 3\n')
    out = ["--out", str(tmp_path / "out"), "--workers", "1"]
    asked = ["sweep", str(files[0]), "--sample", str(files[1]), "--only", "warning", *out]
    asked += ["--seeds", "1", "--figure", "odds_warned", "--sensitivity", "8"]
    assert cli.main([*asked, "--within", "3600"]) == 0
    assert "the answer was the same" in capfd.readouterr().out
    assert cli.main([*asked, "--within", "3600", "--json"]) == 0
    (one,) = json.loads(capfd.readouterr().out)["effects"]
    assert (one["first"], one["total"], one["total_low"], one["total_high"]) == (None,) * 4
    assert "the answer was the same" in (tmp_path / "out" / "sensitivity.html").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--figure", "odds_heard"], "--sensitivity"),
        (["--sensitivity", "4", "--figure", "hope"], "odds_heard"),
        (["--sensitivity", "4", "--set", "outages=none"], "--set"),
        (["--sensitivity", "7", "--only", "warning"], "must be 8 or more"),
        (["--sensitivity", "4096", "--only", "warning"], "200000 points"),
        (["--sample", "UNKNOWN"], "loss_burst_packets"),
    ],
)
def test_what_no_study_can_be_is_said(files, tmp_path, capfd, more, said):
    files[1].write_text('[[inputs]]\nname = "lte_weak.loss_pct"\nlow = 0\nhigh = 99\n')
    more = [str(files[1]) if one == "UNKNOWN" else one for one in more]
    assert cli.main(["sweep", str(files[0]), *more, "--out", str(tmp_path / "out")]) == 2
    assert said in capfd.readouterr().err
