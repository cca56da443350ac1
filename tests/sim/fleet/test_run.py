"""The fleet as a tier of `loalang-sim run`: what T2 says, for as many clusters as are asked."""

import json
from dataclasses import replace

import numpy as np
import pytest

from node.config import ConfigError
from sim import cli
from sim.drive import run as drive
from sim.fleet import rounds
from sim.fleet import run as fleet
from sim.fleet.rounds import FleetRounds
from sim.fleet.sheet import packet_sheet
from sim.tier import DRIVE, FLEET, MANY, choose
from sim.village import scenario
from tests.sim.villages import village

SKEW = {"skew_p50_ms", "skew_p95_ms", "skew_p99_ms", "skew_max_ms"}
"""The fleet's is within a commune."""


def two_communes(folder, *, more="", top="", uplink=False):
    hamlets = {
        ("Thôn 1", 0, 0): [
            ("a-1", "pi_zero_2w_i2s", "ftth", 0, 0),
            ("a-2", "pi_4b_usb", "lte_weak", 9, 0),
        ],
        ("Thôn 2", 500, 0): [("a-3", "pi_5_i2s", "wifi24_outdoor", 0, 9)],
    }
    text = village(hamlets, duration_s=20, more=more, commune="A")
    begin = text.index("[[communes]]")
    text += text[begin:].replace('"A"', '"B"').replace('"a-', '"b-')
    if uplink:
        top += 'uplink = "lte_weak"\n'
    path = folder / "two.toml"
    path.write_text(top + text)
    return path


def without_skew(table):
    return {name: value for name, value in table.items() if name not in SKEW}


COPIES = '[sender]\ndelivery = "multicast"\n'


@pytest.mark.parametrize("uplink", [False, True])
@pytest.mark.parametrize("more", ["", "[sender]\nreports = false\n"])
def test_it_answers_what_the_drive_answers(tmp_path, uplink, more):
    asked = scenario.load(two_communes(tmp_path, uplink=uplink, more=more))
    one, other = drive.run(asked, decode=False), fleet.run(asked)
    assert one.trace_hash == other.trace_hash
    np.testing.assert_array_equal(one.raster, other.raster)
    for a, b in zip(one.nodes, other.nodes, strict=True):
        assert a == replace(b, **{name: getattr(a, name) for name in SKEW if hasattr(a, name)})
    assert without_skew(one.totals) == without_skew(other.totals)
    assert one.capacity == other.capacity
    assert one.verdict == other.verdict
    assert one.delay_quantiles_ms == other.delay_quantiles_ms


@pytest.mark.parametrize("uplink", [False, True])
def test_all_together_it_answers_every_figure(tmp_path, uplink):
    asked = scenario.load(two_communes(tmp_path, uplink=uplink))
    one, other = drive.run(asked, decode=False), fleet.run(asked, apart=False)
    np.testing.assert_array_equal(one.raster, other.raster)
    assert one.trace_hash == other.trace_hash
    figures = one.summary(), other.summary()
    for summary in figures:
        del summary["cpu"]
    assert figures[0] == figures[1]


def test_threads_change_no_figure(tmp_path):
    # More communes than threads: each is worked out where another one was before.
    asked = scenario.load(two_communes(tmp_path, top="copies = 8\n"))
    one, other = (fleet.run(asked, threads=threads).summary() for threads in (1, 3))
    del one["cpu"], other["cpu"]
    assert one == other


def test_a_commune_that_fails_ends_the_run(tmp_path, monkeypatch):
    asked = scenario.load(two_communes(tmp_path))

    def fail(self):
        raise ArithmeticError("on purpose")

    monkeypatch.setattr(FleetRounds, "advance", fail)
    with pytest.raises(ArithmeticError, match="on purpose"):
        fleet.run(asked, threads=1)


def test_what_communes_have_in_common_is_looked_at_once(tmp_path, monkeypatch):
    asked = scenario.load(two_communes(tmp_path))
    looks = []
    monkeypatch.setattr(fleet, "packet_sheet", lambda one: looks.append(one) or packet_sheet(one))
    monkeypatch.setattr(rounds, "packet_sheet", looks.append)
    fleet.run(asked)
    assert len(looks) == 1


def test_what_the_kernel_cannot_follow_is_played_by_the_drive(tmp_path, monkeypatch):
    monkeypatch.setattr(FleetRounds, "is_beyond", True)
    asked = scenario.load(two_communes(tmp_path))
    assert fleet.run(asked).trace_hash == drive.run(asked, decode=False).trace_hash


def test_copies_are_refused_by_their_name(tmp_path, capsys):
    path = two_communes(tmp_path, more=COPIES)
    with pytest.raises(ConfigError, match=r'two: sender\.delivery = "multicast"'):
        fleet.run(str(path))
    out = str(tmp_path / "out")
    assert cli.main(["run", str(path), "--tier", "fleet", "--out", out]) == 2
    assert 'sender.copies = "auto"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_there_is_no_sound_to_play_back(tmp_path, capsys):
    path = two_communes(tmp_path)
    assert cli.main(["run", str(path), "--tier", "fleet", "--replay"]) == 2
    assert "--replay" in capsys.readouterr().err


def test_the_tier_is_chosen_by_what_is_asked(tmp_path):
    few = scenario.load(two_communes(tmp_path))
    many = scenario.load(two_communes(tmp_path, top="copies = 70\n"))
    assert sum(1 for _ in many.clusters()) == 420 > MANY
    copied = replace(many, sender=replace(many.sender, delivery="multicast"))
    assert choose("auto", few, replay=False).name == DRIVE
    assert choose(FLEET, few, replay=False).name == FLEET
    assert choose("auto", few, replay=False, sound=False).name == FLEET
    assert choose("auto", few, replay=True, sound=False).name == DRIVE
    assert choose(DRIVE, few, replay=False, sound=False).name == DRIVE
    assert choose("auto", many, replay=False).name == FLEET
    assert choose("auto", many, replay=True).name == DRIVE
    assert choose(DRIVE, many, replay=False).name == DRIVE
    assert "sender.copies" in choose("auto", copied, replay=False).said()


def test_a_province_says_its_tier_and_has_all_its_files(tmp_path, capsys):
    path = two_communes(tmp_path, top="copies = 70\n")
    out = tmp_path / "out"
    assert cli.main(["run", str(path), "--duration", "2", "--out", str(out)]) == 0
    assert "tier: fleet: above 400 clusters" in capsys.readouterr().out
    assert {one.name for one in out.iterdir()} == {
        "report.html", "results.parquet", "summary.md", "junit.xml",
    }  # fmt: skip
    assert cli.main(["run", str(path), "--duration", "2", "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["nodes"]) == 420
    assert sum(one["kind"] == "commune" for one in found["groups"]) == 140
