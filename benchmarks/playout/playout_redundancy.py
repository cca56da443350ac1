"""Copies chosen by the sender where nobody can ask, or an answer would be too late.

The event simulation of `playout_repair`, with the sender's own choice, account and copies
(`sim.sender.repair.repaired_stream`), moved by a report of the node each second. What it sends is a
packet of 24 kbit/s (60 bytes) and a low-rate copy (16 bytes, what `sim.sender.sound.copy_encoder`
makes of speech); the benchmark's speech has no pauses, in which a real one sends no copies.
"""

import heapq
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.playout_drive import SKIPPED_MS, Trace, pull_until
from benchmarks.playout.playout_repair import PAYLOAD_BYTES, UDP_BYTES, gilbert_elliott
from node.config import JitterConfig
from node.counters import Origin
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer
from node.opus.libopus import LibopusDecoder
from node.rtp import packet
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, samples_to_ns
from sim.sender.repair.copy_choice import LinkState
from sim.sender.repair.repair_budget import RepairBudget
from sim.sender.repair.repaired_stream import RepairedStream
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.station.programme import encode, read_sound
from sim.village.scenario import SPEECH
from sim.village.sender_config import SenderConfig

LOW_BYTES: Final = 16
_SSRC: Final = 1
_TICK_NS: Final = 10 * NS_PER_MS

# Kinds of events, in the order in which they happen at one instant.
_SEND, _ARRIVE, _REPORT, _REPORT_ARRIVES, _PLAY = range(5)


STREAM_BIT_S: Final = 40_000
"""Of the stream that repair is tried on: 60 bytes and 40 of headers each 20 ms."""

COPY_CASES: Final = ((None, 100), (None, 400), (48_000, 100), (80_000, 100))
"""Data budget, headers included, and round trip in ms: the default, one that pays a low-rate copy
of each packet, and one that pays the packets themselves."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a listener hears with copies, and what they cost."""

    concealed_pct: float
    redundant_pct: float
    distance_packets: int
    overhead_pct: float
    """Bytes of copies over bytes of the stream, headers included."""

    packet_copies_pct: float
    """Share of the copies that were the packet itself."""


class _Run:
    def __init__(self, trace: Trace, delay_ms: int, round_trip_ms: int, budget: RepairBudget):
        self.trace = trace
        self.delay_ns = delay_ms * NS_PER_MS
        self.round_trip_ns = round_trip_ms * NS_PER_MS
        base_ns = samples_to_ns(trace.fastest)
        self.send_ns = samples_to_ns(trace.media) + base_ns
        self.start_ns = base_ns + self.delay_ns
        self.buffer = JitterBuffer(JitterConfig(playout_delay_ms=delay_ms), payload_bytes=0)
        self.stream = RepairedStream(
            _SSRC, trace.samples, sends_again=False, sends_copies=True, budget=budget
        )
        self.behind: dict[int, int] = {}
        self.before = (0, 0, np.zeros(8, np.int64))
        self.events: list[tuple[int, int, int, tuple[float, ...]]] = []
        self.serial = 0

    def push(self, when_ns: int, kind: int, *what: float) -> None:
        self.serial += 1
        heapq.heappush(self.events, (when_ns, kind, self.serial, what))

    def send(self, n: int) -> None:
        now_ns = int(self.send_ns[n])
        plain = packet.build(
            bytes(PAYLOAD_BYTES), sequence=n, timestamp=int(self.trace.media[n]) & 0xFFFFFFFF,
            ssrc=_SSRC, payload_type=111, marker=n == 0,
        )  # fmt: skip
        sent = self.stream.next_datagram(plain, bytes(LOW_BYTES), now_ns)
        if self.trace.arrival_ns[n] < 0:
            return
        if sent is not plain:
            self.behind[n] = int.from_bytes(sent[13:15], "big") >> 2
        self.push(int(self.trace.arrival_ns[n]), _ARRIVE, n)

    def arrive(self, n: int, now_ns: int) -> None:
        media, samples = int(self.trace.media[n]) & 0xFFFFFFFF, self.trace.samples
        self.buffer.insert(n & 0xFFFF, media, samples, now_ns)
        offset = self.behind.pop(n, 0)
        if offset:
            then = (media - offset) & 0xFFFFFFFF
            self.buffer.insert(n & 0xFFFF, then, samples, now_ns, flags=at.REDUNDANT)

    def report(self, now_ns: int) -> None:
        """Say what a node says each second (`node.peers.sender`)."""
        state = self.buffer.state
        now = (
            int(state["highest_sequence"][0]),
            int(state["lost"][0]),
            self.buffer.origin_samples.copy(),
        )
        expected, lost = now[0] - self.before[0], now[1] - self.before[1]
        played = now[2] - self.before[2]
        self.before = now
        lost_ratio = min(255, max(0, lost * 256 // max(1, expected))) / 256
        made_up = float(played[Origin.CONCEALED : Origin.PAUSED].sum())
        jitter_ns = samples_to_ns(int(state["jitter_q4"][0]) >> 4)
        arrives_ns = now_ns + self.round_trip_ns // 2
        self.push(
            arrives_ns, _REPORT_ARRIVES, lost_ratio, made_up / max(1, played.sum()), jitter_ns
        )

    def take_report(self, what: tuple[float, ...], now_ns: int) -> None:
        state = LinkState(
            lost_ratio=what[0],
            made_up_ratio=what[1],
            round_trip_ns=self.round_trip_ns,
            jitter_ns=int(what[2]),
            playout_delay_ns=self.delay_ns,
            may_ask=False,
        )
        self.stream.choice.receive_report(9, state, now_ns)
        self.stream.handle_deadline(now_ns)


def print_copies(bursts: Sequence[float], bytes_max_pct: float) -> list[str]:
    """Print what copies leave where nobody can ask; return what costs more than it may."""
    print("\ncopies chosen by the sender, D = 400 ms: nobody asks, or an answer is too late")
    print("  loss                     round trip   budget         concealed %   bytes +%   may")
    missed = []
    for rate, round_trip_ms in COPY_CASES:
        for burst in bursts:
            trace = gilbert_elliott(4.0, burst, seed=5)
            found = play_with_copies(trace, round_trip_ms=round_trip_ms, rate_bit_s=rate)
            may_pct = bytes_max_pct if rate is None else 100.0 * (rate / STREAM_BIT_S - 1)
            budget = "15 % (default)" if rate is None else f"{rate // 1000} kbit/s"
            print(
                f"  {trace.name:24} {round_trip_ms:7} ms   {budget:14}{found.concealed_pct:12.3f}"
                f"{found.overhead_pct:11.1f}{may_pct:6.0f}"
            )
            if found.overhead_pct > may_pct:
                missed.append(f"{trace.name}: copies cost {found.overhead_pct:.1f} %")
    print("  what a copy sounds like, 10 % loss:                bytes +%   PESQ-WB")
    sounds = heard()
    for name, bytes_pct, score in sounds or ():
        print(f"    {name:48}{bytes_pct:7.1f}{score:10.2f}")
    if sounds is None:
        print("    NO PESQ: the package `pesq` is not installed")
    return missed


def play_with_copies(
    trace: Trace, *, delay_ms: int = 400, round_trip_ms: int = 100, rate_bit_s: int | None = None
) -> Copied:
    """Play a trace at a fixed delay; nobody asks, the sender chooses its copies."""
    run = _Run(trace, delay_ms, round_trip_ms, RepairBudget(rate_bit_s=rate_bit_s))
    for n in range(trace.media.size):
        run.push(int(run.send_ns[n]), _SEND, n)
    last_ns = int(run.send_ns[-1]) + (delay_ms + 100) * NS_PER_MS
    for tick in range(run.start_ns, last_ns, _TICK_NS):
        run.push(tick, _PLAY)
    for tick in range(run.start_ns, last_ns, NS_PER_S):
        run.push(tick, _REPORT)
    skipped_ns = run.start_ns + SKIPPED_MS * NS_PER_MS
    before: NDArray[np.int64] | None = None
    while run.events:
        now_ns, kind, _, what = heapq.heappop(run.events)
        if kind == _SEND:
            run.send(int(what[0]))
        elif kind == _ARRIVE:
            run.arrive(int(what[0]), now_ns)
        elif kind == _REPORT:
            run.report(now_ns)
        elif kind == _REPORT_ARRIVES:
            run.take_report(what, now_ns)
        else:
            if before is None and now_ns >= skipped_ns:
                before = run.buffer.origin_samples.copy()
            pull_until(run.buffer, run.start_ns, now_ns)
    return _summary(run, before)


def _summary(run: _Run, before: NDArray[np.int64] | None) -> Copied:
    run.buffer.settle(ended=True)
    origin = run.buffer.origin_samples - (0 if before is None else before)
    frames = int(run.trace.judged.sum()) * run.trace.samples
    made_up = origin[Origin.CONCEALED] + origin[Origin.FADED] + origin[Origin.SILENT]
    copies = run.stream.copies
    stream_bytes = run.trace.media.size * (PAYLOAD_BYTES + 12 + UDP_BYTES)
    return Copied(
        100.0 * float(made_up) / frames,
        100.0 * float(origin[Origin.REDUNDANT]) / frames,
        run.stream.choice.distance_packets,
        100.0 * run.stream.budget.repair_bytes / stream_bytes,
        100.0 * copies.full_copies / max(1, copies.copies),
    )


def heard() -> list[tuple[str, float, float]] | None:
    """Return what copies sound like: (what, bytes +%, PESQ-WB), or None without `pesq`.

    The speech that ships, at 24 kbit/s, 10 % of its packets lost in bursts of 1.2, and each copy
    there: PESQ-WB against the same without loss, the mean of four draws.
    """
    if importlib.util.find_spec("pesq") is None:
        return None
    path = SPEECH / "announcement_vi.flac"
    config = SenderConfig(fec=False)
    packets = encode(path, config).payloads
    samples = config.packet_ms * RATE_HZ // 1000
    sound = read_sound(path)
    coder = CopyEncoder()
    lows = [coder.encode(sound[i * samples : (i + 1) * samples]) for i in range(len(packets))]
    plain = sum(map(len, packets)) + (12 + UDP_BYTES) * len(packets)
    found = []
    for name, copies in (
        ("concealed", [b""] * len(packets)),
        ("low-rate copies", lows),
        ("the packets themselves", packets),
    ):
        extra = sum(len(one) + 5 for one in copies if one)
        found.append((name, 100.0 * extra / plain, _pesq(packets, copies)))
    return found


def _pesq(packets: Sequence[bytes], copies: Sequence[bytes]) -> float:
    import soxr
    from pesq import pesq

    whole = _decoded(packets, packets)
    reference = soxr.resample(whole, RATE_HZ, RATE_HZ // 3)
    scores = []
    for seed in range(4):
        lost = gilbert_elliott(10.0, 1.2, seed, len(packets)).arrival_ns < 0
        mended = [
            copy if is_lost else own
            for own, copy, is_lost in zip(packets, copies, lost, strict=True)
        ]
        sound = soxr.resample(_decoded(packets, mended), RATE_HZ, RATE_HZ // 3)
        scores.append(float(pesq(RATE_HZ // 3, reference, sound, "wb")))
    return sum(scores) / len(scores)


def _decoded(packets: Sequence[bytes], played: Sequence[bytes]) -> NDArray[np.float32]:
    """Return the sound of `played`, concealed where it is empty: (n,) float32."""
    samples = 20 * RATE_HZ // 1000
    decoder = LibopusDecoder(RATE_HZ, 1)
    out = np.zeros((len(packets) * samples, 1), np.float32)
    for i, payload in enumerate(played):
        part = out[i * samples : (i + 1) * samples]
        if payload:
            decoder.decode(np.frombuffer(payload, np.uint8), part)
        else:
            decoder.conceal(samples, part)
    return out[:, 0]
