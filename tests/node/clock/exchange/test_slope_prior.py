"""While the packets say little of the slope, what is known of clocks counts."""

import numpy as np
import pytest

from node.clock.exchange.bounds import Fitting
from node.clock.exchange.replies import Replies, add, begin, fit
from node.kernel.record import new

MS = 1_000_000
S = 1_000_000_000
NO_SOUND = np.zeros((4, 0), np.int64)


def slope_error_ppm(seed: int, true_ppm: float, seconds: int) -> float:
    """How wrong the slope is after 25 replies a second over 40 +- 20 ms each way."""
    rng = np.random.default_rng(seed)
    (replies,) = new(Replies)
    begin(replies)
    for number in range(25 * seconds):
        now_ns = number * S // 25
        ahead_ns = round(now_ns * true_ppm * 1e-6)
        up_ns, down_ns = (int(one) for one in rng.integers(20 * MS, 60 * MS, 2))
        add(replies, now_ns, ahead_ns + up_ns, down_ns - ahead_ns)
    fit(replies, new(Fitting)[0], NO_SOUND, 0)
    return abs(replies.slope * 1e6 - true_ppm)


@pytest.mark.parametrize(
    ("true_ppm", "seconds", "usual_ppm", "worst_ppm"),
    [
        (0.0, 20, 2.5, 14.0),  # both are steered by NTP: 3.2 in the median were this not known
        (0.0, 60, 1.0, 5.0),
        (40.0, 60, 2.0, 8.0),  # neither is: the packets have the last word
        (300.0, 60, 2.0, 8.0),
    ],
)
def test_slopes_of_steered_clocks_are_known_soon_and_others_are_believed(
    true_ppm, seconds, usual_ppm, worst_ppm
):
    errors_ppm = [slope_error_ppm(seed, true_ppm, seconds) for seed in range(15)]
    assert np.median(errors_ppm) <= usual_ppm
    assert max(errors_ppm) <= worst_ppm
