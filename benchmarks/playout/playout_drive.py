"""Arrival traces driven through the jitter buffer's own kernels, and what became of each frame."""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from node import units
from node.config import ConfigError, JitterConfig
from node.counters import Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.jitter.kernel import admit, pull, seek, settle
from node.jitter.state import Jitter, Packet, Slot, Steering
from node.kernel import inner_kernel, kernel
from node.kernel.conversions import ns_to_samples, samples_to_ns
from node.kernel.record import Record, Records, new, whole
from node.units import SAMPLES_PER_MS

SKIPPED_MS: Final = 5000
"""The first seconds are not judged: everybody starts somewhere."""

_NS_PER_MS: Final = 1_000_000
_HEADER: Final = "seq,send_ms,arrival_ms"

_CONCEALED: Final = int(Origin.CONCEALED)
_FADED: Final = int(Origin.FADED)
_SILENT: Final = int(Origin.SILENT)


_SLOTS: Final = 512


class Passed(Record):
    """One packet of a trace, and when it played."""

    media_samples: int = whole("samples", "Its media time.")
    arrival_ns: int = whole("ns", "When it came; -1: lost.")
    nth: int = whole("", "In the record i: which packet came as the i-th, of those that came.")
    later_samples: int = whole("samples", "Playout less media time, or NONE: not played.")


class Drive(Record):
    """How a trace is played, and what was counted."""

    came: int = whole("", "How many packets came.")
    start_samples: int = whole(
        "samples", "Synchronised: media time 0 plays at this sample; adaptive: -1."
    )
    samples: int = whole("samples", "Duration of each packet.")
    skipped_samples: int = whole("samples", "Media time from which on it is judged.")
    missed_samples: int = whole("samples", "Made up or skipped.")
    stretched_samples: int = whole("samples", "Of the output, what was played longer or shorter.")
    packet_in: NDArray[np.int64] = whole("", "Which packet is in each slot.", (_SLOTS,))


@dataclass(frozen=True, slots=True)
class Trace:
    """One packet per row: when it was sent and when it came; `arrival_ns` is -1 when lost."""

    name: str
    media: NDArray[np.int64]
    arrival_ns: NDArray[np.int64]
    samples: int

    @property
    def transit(self) -> NDArray[np.int64]:
        """Arrival less media time of each packet: (n,) int64 in samples; senseless where lost."""
        return units.ns_to_samples(self.arrival_ns) - self.media

    @property
    def fastest(self) -> int:
        """Transit of the fastest packet in samples: delay 0."""
        return int(self.transit[self.arrival_ns >= 0].min())

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which packets are judged, those sent after the first 5 s: (n,) bool, a flag for each."""
        return np.asarray(self.media - self.media[0] >= SKIPPED_MS * SAMPLES_PER_MS)

    @property
    def network_loss_pct(self) -> float:
        """Share of the judged packets that never came."""
        return 100.0 * float(np.mean(self.arrival_ns[self.judged] < 0))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one trace. Definitions: docs/glossary.md."""

    network_loss_pct: float
    mean_ms: float
    p95_ms: float
    p99_ms: float
    concealed_pct: float
    """Media that was made up, and media that was skipped instead of being made up."""
    stretched_pct: float

    @property
    def j(self) -> float:
        """Mean playout delay in ms + 200 x per cent of frames concealed above network loss."""
        return self.mean_ms + 200.0 * max(0.0, self.concealed_pct - self.network_loss_pct)


def read_trace(path: Path) -> Trace:
    """Read a trace; `ConfigError` says what is wrong with it.

    Either the gzip CSV of `../shared/traces`, or, when its name ends in `.dat`, one whole number
    per line and 20 ms packet: its delay in ms, -1 when lost (ITU-T STL, 3GPP TS 26.114).
    """
    if path.suffix == ".dat":
        return _read_delays(path)
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            lines = file.read().splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise ConfigError(f"{path}: {reason}: must be a gzip CSV {_HEADER}") from None
    if not lines or lines[0].strip() != _HEADER:
        raise ConfigError(f"{path}: line 1: must be {_HEADER}")
    rows = np.empty((len(lines) - 1, 2))
    for i, line in enumerate(lines[1:]):
        parts = line.split(",")
        try:
            rows[i] = float(parts[1]), float(parts[2]) if parts[2] else np.nan
        except (IndexError, ValueError):
            raise ConfigError(
                f"{path}: line {i + 2}: {line!r}: must be three numbers, the last empty when lost"
            ) from None
    return make_trace(path.name.removesuffix(".csv.gz"), rows[:, 0], rows[:, 1])


def _read_delays(path: Path) -> Trace:
    try:
        delays_ms = np.array([int(one) for one in path.read_text("ascii").split()], np.float64)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise ConfigError(f"{path}: {reason}: must be one whole number of ms per line") from None
    return trace_of_delays(path.stem, delays_ms, packet_ms=20.0)


def trace_of_delays(name: str, delays_ms: NDArray[np.float64], *, packet_ms: float) -> Trace:
    """Return the trace of packets that take so long.

    delays_ms  (n,) float64; -1 where lost
    """
    send_ms = np.arange(delays_ms.size) * packet_ms
    return make_trace(name, send_ms, np.where(delays_ms < 0, np.nan, send_ms + delays_ms))


def make_trace(name: str, send_ms: NDArray[Any], arrival_ms: NDArray[Any]) -> Trace:
    """Return the trace of packets sent and come at these times.

    send_ms     (n,) float64, rising
    arrival_ms  (n,) float64, NaN where lost
    """
    if send_ms.size < 2 or not np.isfinite(send_ms).all() or (np.diff(send_ms) <= 0).any():
        raise ConfigError(f"{name}: send_ms must rise from row to row, over at least two rows")
    came = np.isfinite(arrival_ms)
    judged = send_ms - send_ms[0] >= SKIPPED_MS
    if not (came & judged).any():
        raise ConfigError(f"{name}: no packet arrives after the first {SKIPPED_MS // 1000} s")
    first_ms = min(0.0, float(np.nanmin(arrival_ms)))
    arrival_ns = np.full(send_ms.size, -1, np.int64)
    arrival_ns[came] = np.rint((arrival_ms[came] - first_ms) * _NS_PER_MS).astype(np.int64)
    media = np.rint((send_ms - send_ms[0]) * SAMPLES_PER_MS).astype(np.int64)
    samples = int(np.median(np.diff(media)))
    if not 120 <= samples <= 5760:
        raise ConfigError(f"{name}: packets every {samples / 48:g} ms: must be 2.5 to 120 ms")
    return Trace(name, media, arrival_ns, samples)


def play(trace: Trace, config: JitterConfig, *, delay_ms: float = 0.0) -> Outcome:
    """Play a trace through the node's jitter buffer; `delay_ms` is for `synchronised`."""
    return play_packets(trace, config, delay_ms=delay_ms)[0]


def play_packets(
    trace: Trace, config: JitterConfig, *, delay_ms: float = 0.0
) -> tuple[Outcome, NDArray[np.int64]]:
    """As `play`; also return how much later than its media time each packet plays.

    The second result is (n,) int64 in samples, NONE for what was not played.
    """
    buffer = JitterBuffer(config, payload_bytes=0, slots=_SLOTS)
    came = np.flatnonzero(trace.arrival_ns >= 0)
    passed = new(Passed, trace.media.size)
    passed["media_samples"] = trace.media
    passed["arrival_ns"] = trace.arrival_ns
    passed["nth"][: came.size] = came[np.argsort(trace.arrival_ns[came], kind="stable")]
    passed["later_samples"] = at.NONE
    drive = new(Drive)
    drive["came"] = came.size
    drive["start_samples"] = -1
    if config.mode == "synchronised":
        drive["start_samples"] = trace.fastest + round(delay_ms * SAMPLES_PER_MS)
    drive["samples"] = trace.samples
    drive["skipped_samples"] = SKIPPED_MS * SAMPLES_PER_MS
    _drive(buffer.state, buffer.steering, buffer.slots, buffer.packet, passed, drive)
    delays: NDArray[np.int64] = passed["later_samples"].copy()
    played = delays[trace.judged & (delays != at.NONE)]
    held_ms = (played - trace.fastest) / SAMPLES_PER_MS
    if not held_ms.size:
        held_ms = np.zeros(1)
    frames = int(trace.judged.sum()) * trace.samples
    # Whatever the books say, a packet that never played was not heard.
    missing = int((trace.judged & (delays == at.NONE)).sum()) * trace.samples
    made_up = 100.0 * max(int(drive["missed_samples"][0]), missing) / frames
    stretched = 100.0 * int(drive["stretched_samples"][0]) / frames
    p95_ms, p99_ms = np.quantile(held_ms, [0.95, 0.99])
    outcome = Outcome(
        trace.network_loss_pct,
        float(held_ms.mean()),
        float(p95_ms),
        float(p99_ms),
        made_up,
        stretched,
    )
    return outcome, delays


def pull_until(buffer: JitterBuffer, start_ns: int, now_ns: int) -> None:
    """Let a buffer play all that is due at `now_ns`, where media time 0 was due at `start_ns`."""
    state = buffer.state
    if state["phase"][0] == at.WAITING:
        buffer.seek(units.ns_to_samples(now_ns - start_ns))
    while (
        state["phase"][0] == at.PLAYING
        and start_ns + units.samples_to_ns(int(state["next_media"][0])) <= now_ns
    ):
        buffer.pull(now_ns)


@inner_kernel("int64(Jitter)")
def _made_up(state: Jitter) -> int:
    """Return the samples booked so far as made up for a loss; pauses of the sender are none."""
    return int(
        state.origin_samples[_CONCEALED]
        + state.origin_samples[_FADED]
        + state.origin_samples[_SILENT]
    )


@kernel("void(Jitter[::1], Steering[::1], Slot[::1], Packet[::1], Passed[::1], Drive[::1])")
def _drive(
    states: Records[Jitter],
    steering: Records[Steering],
    slots: Records[Slot],
    packets: Records[Packet],
    passed: Records[Passed],
    drives: Records[Drive],
) -> None:
    """Insert in order of arrival, pull each time the output runs dry, until all is played.

    Output is never ahead: a chunk is decided at the instant at which its first sample plays.
    """
    state = states[0]
    learnt = steering[0]
    packet = packets[0]
    drive = drives[0]
    start = drive.start_samples
    now = max(start, ns_to_samples(passed[passed[0].nth].arrival_ns))
    took = 0
    last = passed[passed.shape[0] - 1].media_samples + drive.samples
    is_positioned = False
    expected = at.NONE
    generation = state.generation
    booked = -1
    while not is_positioned or start < 0 or state.next_media < last:
        now_ns = -samples_to_ns(-now)
        while took < drive.came and passed[passed[took].nth].arrival_ns <= now_ns:
            one = passed[took].nth
            packet.samples = drive.samples
            packet.length = 0
            packet.marks = 0
            packet.sequence = one & 0xFFFF
            packet.timestamp = passed[one].media_samples & 0xFFFF_FFFF
            packet.arrival_ns = passed[one].arrival_ns
            taken = admit(state, learnt, slots, packet)
            if taken >= 0 or taken == at.RESTARTED:
                drive.packet_in[one & (_SLOTS - 1)] = one
            took += 1
        if state.mode == at.SYNCHRONISED and not is_positioned and took > 0:
            seek(state, slots, now - start)
        is_positioned = state.phase == at.PLAYING
        action = pull(state, learnt, slots, now_ns, 0)
        position = state.action_media
        if position >= drive.skipped_samples and booked < 0:
            booked = _made_up(state)
        if booked >= 0:
            if action == at.PLAY:
                played = passed[drive.packet_in[state.action_slot]]
                played.later_samples = now - played.media_samples
                drive.stretched_samples += abs(state.action_stretch_samples)
            # A restart moves the media time; what was skipped for it is in the missing packets.
            if position > expected and expected != at.NONE and state.generation == generation:
                drive.missed_samples += position - expected
        expected = state.next_media
        generation = state.generation
        now += state.action_samples + state.action_stretch_samples
        if took == drive.came and state.held == 0:
            break
    settle(state, 0 if start >= 0 else 1)
    drive.missed_samples += _made_up(state) - max(booked, 0)
