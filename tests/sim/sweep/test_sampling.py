"""Sampled villages stay within what the planner knows, and each draw has an address."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from node.config import ConfigError
from sim.chance.grid import DAY_S, cuts
from sim.chance.rng import Purpose, stream
from sim.sweep.sampling import drawn_faults, read_sample, sampled
from sim.sweep.settings import read_variants
from sim.village import scenario


def clusters(asked):
    return {one.name: one for *_, one in asked.clusters()}


def test_clusters_move_and_get_their_lines_within_what_is_known(files):
    asked = scenario.load(files[0])
    sample = read_sample(files[1], asked)
    written = clusters(asked)
    lines = []
    for village in range(200):
        found = clusters(sampled(asked, sample, village))
        assert found["d-01"] == written["d-01"] and found["d-03"] == written["d-03"]
        assert abs(found["d-02"].x_m - written["d-02"].x_m) <= 300
        assert abs(found["d-02"].y_m - written["d-02"].y_m) <= 300
        lines += [found["d-02"].bearer, found["d-04"].bearer]
    shares = {name: lines.count(name) / len(lines) for name in set(lines)}
    assert shares["lte_weak"] == pytest.approx(0.6, abs=0.08)
    assert shares["no_signal"] == pytest.approx(0.1, abs=0.05)
    assert clusters(sampled(asked, sample, 7)) == clusters(sampled(asked, sample, 7))
    alone = replace(sample, outages=(), inputs=(), households={})
    assert clusters(sampled(asked, alone, 7)) == clusters(sampled(asked, sample, 7))


@pytest.mark.parametrize("weights", [(), (0.0,) * 12 + (1.0,) * 12])
def test_cuts_come_as_often_and_last_as_long_as_the_grid_says(weights):
    per_year, hours = 200.0, 600.0
    found = [cuts(stream(seed, Purpose.GRID), per_year, hours, weights) for seed in range(3000)]
    begun = [one for day in found for one in day if one[0] > 0]
    assert len(begun) / len(found) == pytest.approx(per_year / 365.25, rel=0.08)
    down = np.mean([sum(end - start for start, end in day) for day in found]) / DAY_S
    # What goes on into the next day is cut off at midnight and counted there.
    assert down == pytest.approx(hours / 8766, rel=0.12)
    if weights:
        assert min(start for start, _ in begun) >= DAY_S // 2
    for day in found:
        assert all(0 <= start < end <= DAY_S for start, end in day)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(day))


def test_all_of_a_feeder_are_cut_off_together_and_others_are_not(files):
    asked = scenario.load(files[0])
    sample = read_sample(files[1], asked)
    together = apart = 0
    for seed in range(60):
        cut = {}
        for one in drawn_faults(replace(asked, seed=seed), sample):
            cut.setdefault(one.cluster, []).append((one.from_s, one.until_s))
        assert cut.get("d-01") == cut.get("d-02")
        assert cut.get("d-03") == cut.get("d-04")
        together += cut.get("d-01") is not None
        apart += cut.get("d-01") != cut.get("d-03")
    assert together > 10 and apart > 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[clusters]]\nbearers = { lte_godo = 1 }\n", "clusters[0].bearers: 'lte_godo'"),
        ('[[clusters]]\nhamlet = "Thôn Tây"\n', "clusters[0].hamlet = 'Thôn Tây'"),
        ("[households]\nd-09 = 3\n", "households.d-09: no such cluster"),
        ('[[inputs]]\nname = "ftth.loss_pct"\nlow = 2\nhigh = 1\n', "inputs"),
        ("[[clusters]]\nmoved_m = nan\n", "moved_m"),
    ],
)
def test_what_names_nothing_is_said_with_its_place(files, text, said):
    files[1].write_text(text)
    with pytest.raises(ConfigError) as fault:
        read_sample(files[1], scenario.load(files[0]))
    assert said in str(fault.value) and "villages.toml" in str(fault.value)


@pytest.mark.parametrize("text", ["x", "=3", "a=1,1", "a=", "outages=some"])
def test_what_cannot_be_varied_is_said(text):
    with pytest.raises(ConfigError, match="--set"):
        read_variants([text])


def test_every_combination_is_a_variant():
    found = read_variants(["jitter.playout_delay_ms=400,800", "outages=drawn,none"])
    assert [one.label for one in found] == [
        "jitter.playout_delay_ms=400, outages=drawn",
        "jitter.playout_delay_ms=400, outages=none",
        "jitter.playout_delay_ms=800, outages=drawn",
        "jitter.playout_delay_ms=800, outages=none",
    ]
