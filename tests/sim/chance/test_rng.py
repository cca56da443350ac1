import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.chance import tables_quantiles as tables
from sim.chance.rng import (
    Purpose,
    between,
    from_table,
    one_between,
    one_from_table,
    raw_draws,
    stream,
)


def test_a_stream_belongs_to_its_place_and_not_to_the_order_of_calls():
    alone = raw_draws(stream(7, Purpose.LOSS, commune="Hữu Liên", node="c1"), 8)
    raw_draws(stream(7, Purpose.LOSS, commune="Hữu Liên", node="c0"), 100)
    again = raw_draws(stream(7, Purpose.LOSS, commune="Hữu Liên", node="c1"), 8)

    np.testing.assert_array_equal(alone, again)
    for other in (
        stream(8, Purpose.LOSS, commune="Hữu Liên", node="c1"),
        stream(7, Purpose.JITTER, commune="Hữu Liên", node="c1"),
        stream(7, Purpose.LOSS, commune="Hữu Liên", node="c2"),
        stream(7, Purpose.LOSS, commune="Hữu Liên", node="c1", run=1),
    ):
        assert not np.array_equal(alone, raw_draws(other, 8))


@pytest.mark.parametrize(
    ("table", "distribution"),
    [
        (tables.NORMAL, stats.norm),
        (tables.EXPONENTIAL, stats.expon),
        (tables.LOGNORMAL_06, stats.lognorm(0.6)),
        (tables.GAMMA_2, stats.gamma(2, scale=0.5)),
        (tables.GEV_02, stats.genextreme(-0.2, loc=-stats.genextreme.ppf(1 / 8192, -0.2))),
    ],
)
def test_the_frozen_quantiles_are_those_of_scipy(table, distribution):
    share = np.arange(1, tables.CELLS) / tables.CELLS
    np.testing.assert_allclose(table[1:-1] / 65536, distribution.ppf(share), atol=1 / 65536)


def test_draws_of_a_frozen_table_follow_its_distribution():
    raw = raw_draws(stream(1, Purpose.JITTER), 20_000)
    draws = from_table(raw, tables.EXPONENTIAL, scale=1_000_000) / 1e6
    assert stats.kstest(draws, stats.expon.cdf).pvalue > 0.01


def test_whole_numbers_reach_both_ends_and_no_further():
    draws = between(raw_draws(stream(1, Purpose.START), 5000), 3, 7)
    assert set(draws.tolist()) == {3, 4, 5, 6, 7}


def test_long_spans_in_nanoseconds_do_not_overflow():
    draws = between(raw_draws(stream(1, Purpose.START), 5000), 10**9, 3600 * 10**9)
    assert draws.min() >= 10**9 and draws.max() <= 3600 * 10**9
    assert np.mean(draws) == pytest.approx(1800e9, rel=0.05)


def test_the_first_integers_of_a_seed_never_change():
    raw = raw_draws(stream(2026, Purpose.LOSS, commune="Thiện Tân", node="n"), 2)
    assert raw.tolist() == [728198719806312632, 4975863998340034386]


def number_of(name):
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") if name else 0


@settings(deadline=None)
@given(
    root=st.one_of(st.integers(0, 3), st.integers(0, 1 << 300)),
    purpose=st.sampled_from(Purpose),
    commune=st.text(max_size=3),
    node=st.text(max_size=3),
    run=st.one_of(st.just(0), st.integers(0, 1 << 70)),
)
def test_a_stream_is_numpy_s_own_of_that_key(root, purpose, commune, node, run):
    key = (int(purpose), number_of(commune), number_of(node), run)
    theirs = np.random.PCG64(np.random.SeedSequence(root, spawn_key=key))
    assert stream(root, purpose, commune=commune, node=node, run=run).state == theirs.state


@pytest.mark.parametrize("scale", [0, 1, 7000, 1 << 40])
def test_one_draw_is_what_many_are(scale):
    many = from_table(raw_draws(stream(1, Purpose.WANDER), 200), tables.NORMAL, scale=scale)
    bits, table = stream(1, Purpose.WANDER), tables.NORMAL.tolist()
    assert [one_from_table(bits, table, scale=scale) for _ in range(200)] == many.tolist()


@pytest.mark.parametrize("span", [(0, 0), (-3, 4), (10**9, 3600 * 10**9)])
def test_one_whole_number_is_what_many_are(span):
    many = between(raw_draws(stream(1, Purpose.PHASE), 200), *span)
    bits = stream(1, Purpose.PHASE)
    assert [one_between(bits, *span) for _ in range(200)] == many.tolist()
