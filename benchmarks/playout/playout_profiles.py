"""The 3GPP minimum performance criteria as far as they are known, and a NetEQ-style sanity run.

3GPP TS 26.114, clause 8.2.3, asks two things of a jitter buffer on six delay profiles. The profile
files are not at hand; these are seeded look-alikes of their descriptions in the same format, and
the non-causal reference (Annex D is informative) is read from its description. So the result is
called *26.114-style*, never compliant.

- Delay: for at least 90 % of the frames, buffering time lies below the reference's by quantile,
  shifted by 60 ms. Buffering time: decoding start less arrival.
- Jitter-induced concealment: below 1 % of the frames.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.playout_drive import Trace, make_trace, play, play_packets, trace_of_delays
from node.audio.time_scale import stretch
from node.config import JitterConfig
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.units import RATE_HZ, SAMPLES_PER_MS, samples_to_ns

PACKETS: Final = 7500
LOOK_BACK_FRAMES: Final = 200
DELAY_DELTA_MAX: Final = 0.20
"""Annex D names it a percentage: the most that time scaling changes a frame's length."""
TARGET_LOSS: Final = 0.005
SHIFT_MS: Final = 60.0
FRAMES_BELOW_MIN_PCT: Final = 90.0
CONCEALED_MAX_PCT: Final = 1.0

LATE_RATIOS: Final = (0.005, 0.01, 0.02, 0.03, 0.05)
"""From the default to what trades most for low delay; docs/node.md recommends 0.02 for talk-back:
the loss criterion first, as the clause prefers delay where the two conflict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one profile showed."""

    name: str
    below_pct: float
    """Share of the frames whose buffering time lies below the shifted reference."""
    concealed_pct: float
    """Frames concealed, or skipped, because of jitter."""

    @property
    def is_met(self) -> bool:
        """Return whether both criteria hold."""
        below = self.below_pct >= FRAMES_BELOW_MIN_PCT
        return below and self.concealed_pct < CONCEALED_MAX_PCT


def profiles(seed: int = 26114) -> list[Trace]:
    """Return the six look-alikes, 7500 packets of 20 ms (the fifth: 3750 of 40 ms)."""
    rng = np.random.default_rng(seed)
    high = np.zeros(PACKETS)
    high[PACKETS // 3 : 2 * PACKETS // 3] = 1.0
    twice = (np.arange(PACKETS) // (PACKETS // 4)) % 2
    low = 20 + rng.gamma(2.0, 2.0, PACKETS)
    rough = 60 + rng.gamma(2.0, 18.0, PACKETS)
    made = [
        ("1 low, static", low, 0.0),
        ("2 high, semi-static", rough + 30 * np.sin(np.arange(PACKETS) / 900), 0.0024),
        ("3 low, high, low", np.where(high, rough, low), 0.0051),
        ("4 low, high, low, high", np.where(twice, rough, low), 0.024),
        ("5 moderate, occasional spikes", _spiky(rng, 12, 150, 300), 0.059),
        ("6 moderate, severe spikes", _spiky(rng, 20, 250, 600), 0.001),
    ]
    traces = []
    for name, delays_ms, loss in made:
        packet_ms = 40.0 if name.startswith("5") else 20.0
        some = np.rint(delays_ms[: PACKETS // 2] if packet_ms == 40.0 else delays_ms)
        some[rng.random(some.size) < loss] = -1
        traces.append(trace_of_delays(name, some, packet_ms=packet_ms))
    return traces


def _spiky(
    rng: np.random.Generator, spikes: int, lowest_ms: float, highest_ms: float
) -> NDArray[np.float64]:
    """Return moderate jitter with spikes that decay as a queue drains."""
    delays_ms = 40 + rng.gamma(2.0, 8.0, PACKETS)
    for first in rng.integers(300, PACKETS // 2, spikes):
        for i, height_ms in enumerate(np.arange(rng.uniform(lowest_ms, highest_ms), 0, -20.0)):
            delays_ms[first + i] = max(delays_ms[first + i], 40 + height_ms)
    return delays_ms


def reference_delays_ms(transit_ms: NDArray[np.float64], frame_ms: float) -> NDArray[np.float64]:
    """Return the reference's playout delay per frame: (n,) float64 in ms.

    transit_ms  (n,) float64, NaN where lost

    At each frame the smallest delay that would have kept late frames of the look-back within the
    target, moved by no more than time scaling of the frame allows.
    """
    step_ms = DELAY_DELTA_MAX * frame_ms
    delays = np.zeros(transit_ms.size)
    now = float(np.nanmax(transit_ms[:1])) if np.isfinite(transit_ms[0]) else 0.0
    for i in range(transit_ms.size):
        window = transit_ms[max(0, i - LOOK_BACK_FRAMES + 1) : i + 1]
        came = np.sort(window[np.isfinite(window)])
        if came.size:
            wanted = float(came[came.size - 1 - int(TARGET_LOSS * came.size)])
            now += min(max(wanted - now, -step_ms), step_ms)
        delays[i] = now
    return delays


def judge(trace: Trace, late_ratio: float) -> Verdict:
    """Play one profile with the adaptive buffer at this setting of the knob, and compare."""
    config = JitterConfig(mode="adaptive", late_ratio=late_ratio)
    outcome, delays = play_packets(trace, config)
    transit_ms = np.where(trace.arrival_ns < 0, np.nan, trace.transit / SAMPLES_PER_MS)
    theirs = reference_delays_ms(transit_ms, trace.samples / SAMPLES_PER_MS) - transit_ms
    theirs = theirs[trace.judged & (theirs >= 0)]
    played = trace.judged & (delays != at.NONE)
    ours = delays[played] / SAMPLES_PER_MS - transit_ms[played]
    ranks = (np.arange(1000) + 0.5) / 1000
    below = np.quantile(ours, ranks) <= np.quantile(theirs, ranks) + SHIFT_MS
    lost_more = outcome.concealed_pct - outcome.network_loss_pct
    return Verdict(trace.name, 100.0 * float(np.mean(below)), max(0.0, lost_more))


def print_profiles() -> None:
    """Print the verdicts over the knob; not met is said, and fails nothing: see the module."""
    print("\n26.114-style (look-alikes, never compliant): frames below the reference + 60 ms, % /")
    print("  concealed for jitter, %; must: at least 90, and under 1. late_ratio:")
    print(f"  {'':32}" + "".join(f"{ratio:>15g}" for ratio in LATE_RATIOS))
    met = dict.fromkeys(LATE_RATIOS, 0)
    for trace in profiles():
        cells = []
        for ratio in LATE_RATIOS:
            one = judge(trace, ratio)
            met[ratio] += one.is_met
            cells.append(f"{one.below_pct:.1f}/{one.concealed_pct:.2f}{' ' if one.is_met else '!'}")
        print(f"  {trace.name:32}" + "".join(f"{cell:>15}" for cell in cells))
    print(f"  {'met, of 6 (!: not met)':32}" + "".join(f"{count:>15}" for count in met.values()))


def concealed_with_skew_pct(skew_ppm: float) -> float:
    """Return what is concealed in ten minutes with a sender so much too fast."""
    send_ms = np.arange(30_000) * 20.0
    jitter_ms = np.random.default_rng(5).exponential(1.0, send_ms.size)
    arrival_ms = np.maximum.accumulate(send_ms * (1 - skew_ppm * 1e-6) + 10 + jitter_ms)
    trace = make_trace("skew", send_ms, arrival_ms)
    return play(trace, JitterConfig(mode="adaptive")).concealed_pct


def tone_step_ratio(skew_ppm: float, seconds: int = 600) -> float:
    """Return the largest step between samples of a tone that is stretched, over the tone's own."""
    buffer = JitterBuffer(JitterConfig(mode="adaptive"), payload_bytes=0)
    hz = 440.0
    fifo = np.zeros((4096, 1), np.float32)
    kept = 1024
    largest = 0.0
    now = 0
    sent = 0
    while sent < seconds * 50:
        while sent * 960 * (1 - skew_ppm * 1e-6) <= now and sent < seconds * 50:
            buffer.insert(sent & 0xFFFF, sent * 960 & 0xFFFF_FFFF, 960, samples_to_ns(now))
            sent += 1
        action = buffer.pull(samples_to_ns(now))
        samples = int(buffer.state["action_samples"][0])
        if action == at.PLAY:
            first = int(buffer.state["action_media"][0])
            wave = np.sin(2 * np.pi * hz * (first + np.arange(samples)) / RATE_HZ)
            fifo[kept : kept + samples, 0] = wave
            wanted = int(buffer.state["action_stretch_samples"][0])
            samples += stretch(fifo, kept + samples, samples, wanted) if wanted else 0
            steps = np.abs(np.diff(fifo[kept - 1 : kept + samples, 0]))
            largest = max(largest, float(steps.max()) if now > RATE_HZ else 0.0)
            fifo[:kept] = fifo[samples : samples + kept].copy()
        now += samples
    return largest / (2 * np.pi * hz / RATE_HZ)
