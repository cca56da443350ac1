"""The ruler of the synchronisation benchmark, and its relay, against what is known by making it."""

import numpy as np
import pytest

from benchmarks.rig import sync_measure as measure
from benchmarks.rig.impairment import Impairment, Path

MS = 1_000_000
RATE_HZ = 48_000


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    sound = np.random.default_rng(1).standard_normal(4 * RATE_HZ)
    smooth = np.convolve(sound, np.hanning(32), "same")
    return (0.1 * smooth / np.std(smooth)).astype(np.float32)


@pytest.mark.parametrize("late_samples", [-700, -1, 0, 1, 24, 2000])
def test_the_ruler_finds_how_late_the_second_node_is(noise, late_samples):
    sound = np.stack([noise, np.roll(noise, late_samples)], axis=1)
    _, errors_ms = measure.sync_errors_ms(sound, RATE_HZ)
    assert errors_ms.size >= 14
    assert np.median(errors_ms) == pytest.approx(late_samples / 48, abs=0.002)


def test_the_ruler_finds_the_delay_behind_the_programme(noise):
    played = np.concatenate([np.zeros(RATE_HZ, np.float32), noise])
    _, delays_ms = measure.latencies_ms(played, noise, RATE_HZ, 0.6)
    assert np.median(delays_ms) == pytest.approx(400, abs=0.1)


def test_a_click_that_one_node_lost_is_passed_over():
    sound = np.zeros((3 * RATE_HZ, 2), np.float32)
    sound[[1000, 1000 + RATE_HZ], 0] = 0.9
    sound[1048 + RATE_HZ, 1] = 0.9
    assert measure.first_click_ms(sound, RATE_HZ) == pytest.approx(1.0)


def test_in_step_means_that_it_stays_so():
    begins, errors = np.arange(8) * 0.25, np.array([9, 0.1, 9, 0.2, 0.1, 0.1, 0.1, 0.1])
    assert measure.in_step_after_s(begins, errors, bound_ms=0.3, from_s=0.5) == 0.25
    assert measure.in_step_after_s(begins, errors + 1, bound_ms=0.3, from_s=0.5) == float("inf")


def test_the_relay_keeps_to_its_figures_and_to_its_seed():
    impairment = Impairment(delay_ms=40, jitter_ms=20, loss_pct=2)
    paths = [Path(impairment, np.random.default_rng(3)) for _ in range(2)]
    sent = [i * 100 * MS for i in range(5000)]
    one, other = ([path.arrival_ns(now) for now in sent] for path in paths)
    assert one == other
    delays_ms = [(at - now) / MS for at, now in zip(one, sent, strict=True) if at is not None]
    assert one.count(None) == pytest.approx(100, abs=40)
    assert 20 <= min(delays_ms) < 21
    assert 59 < max(delays_ms) <= 60


def test_the_relay_lets_nothing_overtake_unless_asked():
    sent = [i * MS for i in range(1000)]
    arrivals = {}
    for reorder in (False, True):
        impairment = Impairment(delay_ms=40, jitter_ms=20, reorder=reorder)
        path = Path(impairment, np.random.default_rng(3))
        arrivals[reorder] = [path.arrival_ns(now) for now in sent]
    assert arrivals[False] == sorted(arrivals[False])
    assert arrivals[True] != sorted(arrivals[True])
