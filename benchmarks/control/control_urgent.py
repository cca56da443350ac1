"""An urgent message while anything else plays: from its datagram to its first sample.

The first sample is the one that `render` hands to the sound card.

Each situation is drawn on a whole node: streams that begin, pause, lose, reorder and restart, a
stored programme, ducking or not, quiet hours, a clock nobody trusts, a card that stalls, open
questions for lost packets. The warning comes as signed bytes that order a stored siren, or as the
packets of an announced stream. It is on the disk before it acts, as in the shell: on this
machine's own, in a folder of `TMPDIR`. Waiting is in simulated time, work in CPU time of this
machine, the disk in its time. The decoder is a stand-in that paints payloads as tones, so that the
siren is told from all else by ear.
"""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.control.control_pole import DELAY_MS, DEVICE_MS, Pole
from benchmarks.control.urgent_disk import UrgentDisk
from node.units import NS_PER_MS, RATE_HZ

PER_NODE: Final = 50
"""Situations on one node, so that its memory fills too."""

GIVE_UP_MS: Final = 2000
ALONE_EACH: Final = 10
"""So many situations go on until the siren is alone; the others end with its first sample."""

_SIREN_STEP: Final = 0.05
"""The siren is 12 kHz: what is two samples apart differs by more than anything else here does."""


@dataclass(slots=True)
class UrgentResult:
    """Delays in ms from the datagram, to the first sample at the output of `render`."""

    situations: int
    core_p50_ms: float = 0.0
    core_p999_ms: float = 0.0
    """CPU time in `receive_message`: signature, authority, source, grant."""
    kept_p50_ms: float = 0.0
    kept_p999_ms: float = 0.0
    """Until the order is on the disk, or is waited for no longer; a part of the next three."""
    unkept: int = 0
    """Orders that acted before the disk had them."""
    first_sample_p50_ms: float = 0.0
    first_sample_p999_ms: float = 0.0
    first_sample_worst_ms: float = 0.0
    at_converter_p999_ms: float = 0.0
    """The same with the sound card's own buffer, `DEVICE_MS`."""
    alone_p999_ms: float = 0.0
    """Until all else is 40 dB down: the ramp of what lost the horn."""
    stream_situations: int = 0
    stream_first_sample_p50_ms: float = 0.0
    stream_first_sample_p999_ms: float = 0.0
    """An announced stream: its sender's playout delay, `stream_delay_ms`, is in it."""
    stream_delay_ms: int = DELAY_MS
    not_heard: int = 0
    two_at_once: int = 0
    cpu_s: float = 0.0


def run_urgent(count: int, *, seed: int, disk: UrgentDisk | None = None) -> UrgentResult:
    """Draw `count` situations with a stored siren and a tenth as many with a stream; measure.

    Without a `disk` nothing is kept, and nothing waits for it.
    """
    rng = np.random.default_rng(seed)
    result = UrgentResult(count, stream_situations=max(count // 10, 10))
    begin_s = time.process_time()
    core_ms: list[float] = []
    kept_ms: list[float] = []
    first_ms: list[float] = []
    alone_ms: list[float] = []
    pole = Pole(rng, disk)
    for number in range(count):
        if number % PER_NODE == 0:
            pole = Pole(rng, disk)
        pole.wander()
        warning = pole.warning()
        kept_ms.append(pole.keep_ahead(warning))
        before_ns, sent_ns = time.thread_time_ns(), pole.now_ns
        pole.receive(warning)
        core_ms.append((time.thread_time_ns() - before_ns) / NS_PER_MS)
        heard_ms = _first_sample_ms(pole, sent_ns, result)
        if heard_ms is not None:
            first_ms.append(kept_ms[-1] + core_ms[-1] + heard_ms)
        if number % ALONE_EACH == 0:
            alone_ms.append(kept_ms[-1] + _alone_ms(pole, sent_ns, result))
        pole.cancel()
    result.kept_p50_ms, result.kept_p999_ms = _quantiles_ms(kept_ms)
    result.unkept = 0 if disk is None else disk.unkept
    result.alone_p999_ms = _quantiles_ms(alone_ms)[1]
    _tell_first(result, core_ms, first_ms)
    streamed_ms = [one for _ in range(result.stream_situations) if (one := _stream_ms(rng, result))]
    quantiles_ms = _quantiles_ms(streamed_ms)
    result.stream_first_sample_p50_ms, result.stream_first_sample_p999_ms = quantiles_ms
    result.cpu_s = round(time.process_time() - begin_s, 2)
    return result


def _tell_first(result: UrgentResult, core_ms: list[float], first_ms: list[float]) -> None:
    """Note how long the work took, and the first sample."""
    result.core_p50_ms, result.core_p999_ms = _quantiles_ms(core_ms)
    result.first_sample_p50_ms, result.first_sample_p999_ms = _quantiles_ms(first_ms)
    result.first_sample_worst_ms = round(max(first_ms), 3)
    result.at_converter_p999_ms = round(result.first_sample_p999_ms + DEVICE_MS, 3)


def _stream_ms(rng: np.random.Generator, result: UrgentResult) -> float | None:
    """Return how long after its first packet an urgent stream is heard."""
    pole = Pole(rng)
    pole.wander()
    sent_ns = pole.now_ns
    pole.speak()
    return _first_sample_ms(pole, sent_ns, result)


def _first_sample_ms(pole: Pole, sent_ns: int, result: UrgentResult) -> float | None:
    """Run until the siren's first sample leaves `render`; return its time since `sent_ns`."""
    while pole.now_ns - sent_ns < GIVE_UP_MS * NS_PER_MS:
        sound = pole.period()
        found = _siren_at(sound)
        if found is not None:
            return (pole.asked_ns - sent_ns) / NS_PER_MS + found * 1000 / RATE_HZ
    result.not_heard += 1
    return None


def _alone_ms(pole: Pole, sent_ns: int, result: UrgentResult) -> float:
    """Return when the last sample of anything but the siren left `render`, and look for two."""
    last_ms = 0.0
    while pole.now_ns - sent_ns < 300 * NS_PER_MS:
        sound = pole.period()
        at_ms = (pole.asked_ns - sent_ns) / NS_PER_MS
        # The mean of four samples knows nothing of 12 kHz.
        rest = np.convolve(sound, np.full(4, 0.25), "valid")
        loud = np.flatnonzero(np.abs(rest) > pole.hum / 100)
        if len(loud) and not pole.ducks:
            last_ms = at_ms + float(loud[-1]) * 1000 / RATE_HZ
    result.two_at_once += pole.sounding > 1 + pole.ducks
    return last_ms


def _siren_at(sound: NDArray[np.float32]) -> int | None:
    """Return the first sample of the siren in `sound`, (n,), or None."""
    steps = np.flatnonzero(np.abs(sound[2:] - sound[:-2]) > _SIREN_STEP)
    return int(steps[0]) + 2 if len(steps) else None


def _quantiles_ms(delays_ms: list[float]) -> tuple[float, float]:
    """Return the median and the 99.9th percentile."""
    return (
        round(float(np.quantile(delays_ms, 0.5)), 3),
        round(float(np.quantile(delays_ms, 0.999)), 3),
    )
