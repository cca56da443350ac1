"""A demonstration is heard as one, and its silence is silence."""

import numpy as np
import pytest

from node.audio.demo_mark import EVERY_S, LEVEL, DemoMark
from node.units import RATE_HZ, samples_to_ns


@pytest.mark.parametrize("period", [96, 480, 1000])
def test_what_sounds_in_a_demonstration_has_a_tone_every_five_seconds_and_silence_none(
    period,
):
    mark, heard, quiet = DemoMark(), [], []
    for n in range(2 * EVERY_S * RATE_HZ // period):
        at_ns = samples_to_ns(n * period)
        out, silence = np.full((period, 2), 0.01, np.float32), np.zeros((period, 2), np.float32)
        mark.process(out, at_ns)
        mark.process(silence, at_ns)
        heard.append(np.abs(out - 0.01).max())
        quiet.append(silence.any())
    loud = np.repeat(np.array(heard) > LEVEL / 2, period)
    first_s = np.flatnonzero(loud)[0] / RATE_HZ
    assert first_s < 0.1 and loud[EVERY_S * RATE_HZ :][: RATE_HZ // 5].any()
    assert loud.mean() < 0.05 and not any(quiet)
