"""A capture at a wrong rate is known in some seconds; late blocks, bursts and pauses are none."""

import numpy as np
import pytest

from node.shell.hearing.rate_watch import RateWatch
from node.units import NS_PER_MS, NS_PER_S

BLOCK_MS = 100


def run(watch, rate_hz, seconds, *, at_ns=NS_PER_S, late_ms=0.0, rng=None):
    """Blocks of 100 ms, each late by up to that; return when the last one came."""
    for i in range(round(seconds * 1000 / BLOCK_MS)):
        late = 0 if rng is None else int(rng.uniform(0, late_ms) * NS_PER_MS)
        watch.receive(rate_hz * BLOCK_MS // 1000, at_ns + i * BLOCK_MS * NS_PER_MS + late)
    return at_ns + round(seconds * NS_PER_S)


@pytest.mark.parametrize(("told", "given"), [(48_000, 44_100), (44_100, 48_000), (48_000, 16_000)])
def test_another_rate_is_told_within_5_s_and_over_when_it_is_right_again(told, given):
    watch = RateWatch(told)
    end_ns = run(watch, given, 4.5)
    assert watch.fault == f"it gives {given} samples a second, and rate_hz is {told}"
    run(watch, told, 25, at_ns=end_ns)
    assert watch.fault is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("off_ppm", [-200, 200])
def test_a_crystal_and_blocks_that_come_late_are_no_other_rate(seed, off_ppm):
    watch = RateWatch(48_000)
    rate_hz = round(48_000 * (1 + off_ppm * 1e-6))
    rng = np.random.default_rng(seed)
    at_ns = NS_PER_S
    for _ in range(30):
        at_ns = run(watch, rate_hz, 1, at_ns=at_ns, late_ms=90, rng=rng)
        assert watch.fault is None


def test_what_waited_in_a_buffer_and_a_pause_are_no_other_rate():
    watch = RateWatch(48_000)
    watch.receive(32_768, NS_PER_S - NS_PER_MS)
    end_ns = run(watch, 48_000, 6)
    run(watch, 48_000, 12, at_ns=end_ns + 2 * NS_PER_S)
    assert watch.fault is None
