"""Arrivals over made-up links, and a node that plays by them: the harness of the clock's tests."""

from dataclasses import dataclass

import numpy as np
import pytest

from node.clock.servo import HARD_RESYNC_Q16, new_servo, servo_step
from node.clock.timebase import Timebase

MEDIA_FIRST_SAMPLES = 2**33 + 12_345
LOCAL_FIRST_NS = 5 * 10**14
PERIOD_SAMPLES = 480
PERIOD_NS = 10_000_000


def make_delays_s(link, seconds, rng, *, stalls=True):
    """Return the one-way delay of each 20 ms packet in s; `link` is lan, wifi or mobile."""
    n = seconds * 50
    if link == "lan":
        return 0.2e-3 + rng.exponential(0.05e-3, n)
    if link == "wifi":
        delay_s = 2e-3 + rng.exponential(3e-3, n)
    else:
        spikes_s = (rng.random(n) < 0.05) * rng.uniform(20e-3, 200e-3, n)
        delay_s = 25e-3 + rng.exponential(10e-3, n) + spikes_s
    sent_s = np.arange(n) * 0.02
    stall_s = 0.0
    while stalls and (stall_s := stall_s + rng.exponential(11)) < sent_s[-1]:
        end_s = stall_s + rng.uniform(0.05, 0.5)
        during = slice(*np.searchsorted(sent_s, [stall_s, end_s]))
        delay_s[during] = np.maximum(delay_s[during], end_s - sent_s[during])
    return delay_s


class Servo:
    """A servo with its own state."""

    def __init__(self):
        self.state = new_servo()

    def step_q32(self, error_q16, samples, *, feed_forward_ppm=0.0):
        """Return the resampler step for the next `samples`; see `servo_step`."""
        self.state["feed_forward_ppm"] = feed_forward_ppm
        return int(servo_step(self.state, error_q16, samples))

    @property
    def correction_ppm(self):
        """Return the last correction, what was fed forward included."""
        return float(self.state["correction_ppm"][0])


@dataclass
class Played:
    """What a node did: error of each period against a perfect clock, and its resampler's ratio."""

    error_ms: np.ndarray
    ratio_ppm: np.ndarray
    hard_resyncs: int
    timebase: Timebase


def play_stream(
    delay_s, *, sender_ppm=0.0, card_ppm=0.0, playout_delay_ns=400_000_000, on_period=None
):
    """Play 20 ms packets that take `delay_s` each; the error is against the fastest packet."""
    n = len(delay_s)
    sent_s = np.arange(n) * 0.02 / (1 + sender_ppm * 1e-6)
    arrival_ns = np.maximum.accumulate(np.rint((sent_s + delay_s) * 1e9).astype(np.int64))
    floor_s = float((arrival_ns * 1e-9 - sent_s).min())
    timebase, servo = Timebase(playout_delay_ns), Servo()
    next_packet, position_q32, hard_resyncs = 0, None, 0
    errors_ms, ratios_ppm = [], []
    for period in range(n * 2 - 50):
        since_ns = int(period * PERIOD_NS * (1 - card_ppm * 1e-6))
        while next_packet < n and arrival_ns[next_packet] <= since_ns:
            media = MEDIA_FIRST_SAMPLES + next_packet * 960
            timebase.receive_packet(media, LOCAL_FIRST_NS + int(arrival_ns[next_packet]))
            next_packet += 1
        if not timebase.ready:
            continue
        if on_period is not None:
            on_period(timebase, period)
        wanted_q16 = timebase.position_q16(LOCAL_FIRST_NS + since_ns)
        if position_q32 is None:
            if wanted_q16 < MEDIA_FIRST_SAMPLES << 16:
                continue
            position_q32 = wanted_q16 << 16
        error_q16 = wanted_q16 - (position_q32 >> 16)
        if abs(error_q16) > HARD_RESYNC_Q16:
            position_q32, error_q16, hard_resyncs = wanted_q16 << 16, 0, hard_resyncs + 1
        step_q32 = servo.step_q32(
            error_q16, PERIOD_SAMPLES, feed_forward_ppm=timebase.line["rate_ppm"][0]
        )
        due_s = (since_ns - playout_delay_ns) * 1e-9 - floor_s
        due_samples = due_s * (1 + sender_ppm * 1e-6) * 48_000
        errors_ms.append(((position_q32 - (MEDIA_FIRST_SAMPLES << 32)) / 2**32 - due_samples) / 48)
        ratios_ppm.append((step_q32 / 2**32 - 1) * 1e6)
        position_q32 += step_q32 * PERIOD_SAMPLES
    return Played(np.array(errors_ms), np.array(ratios_ppm), hard_resyncs, timebase)


@pytest.fixture
def delays_s():
    """Return the function that makes the delays of a link up."""
    return make_delays_s


@pytest.fixture
def play():
    """Return the function that plays a stream over such a link."""
    return play_stream
