"""The intervals contain what they promise to contain."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.odds.words import sentences
from sim.sweep.figures import figures_of, joined
from sim.sweep.interval import difference, mean, share
from sim.sweep.odds import odds_of
from sim.sweep.settings import read_variants
from sim.sweep.store import decode, encode
from sim.sweep.sweep import WARNING
from sim.sweep.throw import rows_of

SWEEPS = 200
SEEDS = 20
MANY = 5_000


@pytest.mark.parametrize("odds", [0.35, 0.6, 0.8])
def test_nine_of_ten_intervals_of_20_seeds_contain_what_5000_seeds_say(odds):
    rng = np.random.default_rng(11)
    truth = (rng.random(MANY) < odds).mean()
    one_village = np.zeros(SEEDS, np.int64)
    found = [share((rng.random(SEEDS) < odds).astype(float), one_village) for _ in range(SWEEPS)]
    assert 0.85 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.95


@pytest.mark.parametrize("shape", [(20, 1), (9, 1), (5, 5)])
def test_a_share_of_clusters_is_held_as_often_though_its_variance_is_estimated_too(shape):
    rng = np.random.default_rng(15)
    one_village = np.zeros(SEEDS, np.int64)
    truth = shape[0] / sum(shape)
    shares = [rng.binomial(11, rng.beta(*shape, SEEDS)) / 11 for _ in range(10 * SWEEPS)]
    found = [share(one, one_village) for one in shares]
    assert 0.87 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.93


def test_villages_that_differ_widen_the_interval_as_much_as_they_must():
    rng = np.random.default_rng(12)
    villages = np.repeat(np.arange(12), SEEDS)
    truth = 0.6

    def sweep():
        good = np.repeat(rng.beta(3, 2, 12), SEEDS)  # mean 0.6, far apart
        return (rng.random(villages.size) < good).astype(float)

    throws = [sweep() for _ in range(SWEEPS)]
    held = [share(one, villages) for one in throws]
    assert 0.85 <= np.mean([one.low <= truth <= one.high for one in held]) <= 0.95
    blind = [share(one, np.zeros_like(villages)) for one in throws]
    assert np.mean([one.low <= truth <= one.high for one in blind]) < 0.7


def test_differences_over_the_same_throws_are_held_as_often_and_are_far_narrower():
    rng = np.random.default_rng(13)
    one_village = np.zeros(60, np.int64)
    held, paired, apart = [], [], []
    for _ in range(SWEEPS):
        luck = rng.random((2, 60))
        first, second = (luck[0] < 0.5).astype(float), (luck[0] < 0.6).astype(float)
        found = difference(second, first, one_village)
        held.append(found.low <= 0.1 <= found.high)
        paired.append(found.half)
        apart.append(difference((luck[1] < 0.6).astype(float), first, one_village).half)
    assert 0.85 <= np.mean(held) <= 0.97
    assert np.mean(paired) < 0.6 * np.mean(apart)


def test_a_difference_of_any_figure_that_does_not_vary_is_itself():
    ours, theirs = np.full(5, 822.0), np.full(5, 424.0)
    found = difference(ours, theirs, np.zeros(5, np.int64), is_share=False)
    assert (found.low, found.value, found.high) == (398.0, 398.0, 398.0)


def test_means_of_anything_are_held_too():
    rng = np.random.default_rng(14)
    villages = np.zeros(SEEDS, np.int64)
    found = [mean(rng.exponential(3.0, SEEDS), villages) for _ in range(SWEEPS)]
    assert 0.8 <= np.mean([one.low <= 3.0 <= one.high for one in found]) <= 0.95


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 5))
def test_an_interval_holds_its_figure_and_is_never_a_bare_number(values, villages):
    found = share(np.array(values), np.arange(len(values), dtype=np.int64) % villages)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    if len(set(values)) == 1:
        assert found.high > found.low


def test_of_two_that_differ_on_the_same_throws_the_better_one_is_named_and_called_sure(asked):
    asked = replace(asked, sample=None, villages=1, seeds=30, within_s=1)
    asked = replace(asked, variants=read_variants(["lte_weak.loss_pct=70,0"]), measures=(WARNING,))
    parts = [figures_of(asked, decode(encode(asked, rows_of(asked, n)))) for n in range(30)]
    (said,) = sentences(odds_of(asked, joined(parts), stopped=""))
    assert "with lte_weak.loss_pct=0, surely more than with any other" in said


@given(st.integers(1, 40), st.sampled_from([0.0, 33.0, 100.0]), st.integers(1, 4))
def test_percents_that_do_not_vary_among_few_throws_are_no_surer_than_shares(count, value, many):
    villages = np.arange(count) % many
    values = np.full(count, value)
    found, as_share = mean(values, villages, most=100.0), share(values / 100, villages)
    assert (found.low, found.high) == (100 * as_share.low, 100 * as_share.high)
    assert found.low <= value <= found.high and found.half > 100 / (2 * count + 6)
