"""Loss repaired within the delay that public address has to spare: NACK and retransmission.

An event simulation around the real parts: the node's jitter kernels (`synchronised`), its choice
of what to ask for, and the sender's `Retransmitter`. A retransmission meets the channel as it is
at that instant: lost when the packet sent nearest to it is lost, and as slow as that one.
"""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.playout_drive import SKIPPED_MS, Trace, pull_until
from node.config import JitterConfig
from node.counters import Origin
from node.jitter import repair as rp
from node.jitter import state as at
from node.jitter.buffer import JitterBuffer, Missing
from node.kernel.record import new
from node.rtp import packet
from node.rtp.rtcp import Nack, build
from node.units import NS_PER_MS, SAMPLES_PER_MS, samples_to_ns
from sim.sender.repair.retransmitter import Retransmitter

PAYLOAD_BYTES: Final = 60
"""24 kbit/s in 20 ms packets."""

UDP_BYTES: Final = 28
"""IPv4 and UDP headers, which the data budget of a SIM also pays."""

_MEDIA_SSRC: Final = 1
_REPAIR_SSRC: Final = 2
_NODE_SSRC: Final = 3
_TICK_NS: Final = 10 * NS_PER_MS

# Kinds of events, in the order in which they happen at one instant.
_SEND, _ARRIVE, _ASK_ARRIVES, _REPAIR_ARRIVES, _PLAY = range(5)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a listener hears with repair, and what it costs."""

    network_loss_pct: float
    concealed_pct: float
    retransmitted_pct: float
    overhead_pct: float
    """Bytes of requests and retransmissions over bytes of the stream, headers included."""


def gilbert_elliott(loss_pct: float, burst: float, seed: int, packets: int = 60_000) -> Trace:
    """Return a trace with Gilbert-Elliott loss of this share and mean burst, 20 ms packets.

    Jitter is exponential with a mean of 5 ms, first in, first out.
    """
    rng = np.random.default_rng(seed)
    leave = 1.0 / burst
    enter = leave * (loss_pct / 100) / (1 - loss_pct / 100)
    draws = rng.random(packets)
    lost = np.zeros(packets, np.bool_)
    for i in range(1, packets):
        lost[i] = draws[i] >= leave if lost[i - 1] else draws[i] < enter
    media = np.arange(packets, dtype=np.int64) * 20 * SAMPLES_PER_MS
    send_ns = np.arange(packets, dtype=np.int64) * 20 * NS_PER_MS
    jitter_ns = np.rint(rng.exponential(5.0, packets) * NS_PER_MS).astype(np.int64)
    arrival_ns = np.maximum.accumulate(send_ns + jitter_ns)
    arrival_ns[lost] = -1
    return Trace(f"GE {loss_pct:g} %, burst {burst:g}", media, arrival_ns, 20 * SAMPLES_PER_MS)


class _Run:
    """One stream, its sender, its node and the channel between them."""

    def __init__(self, trace: Trace, delay_ms: int, round_trip_ms: int, seed: int) -> None:
        self.trace = trace
        self.round_trip_ns = round_trip_ms * NS_PER_MS
        self.back_ns = self.round_trip_ns // 2
        base_ns = samples_to_ns(trace.fastest)
        self.send_ns = samples_to_ns(trace.media) + base_ns  # the fastest packet takes no time
        self.transit_ns = trace.arrival_ns - self.send_ns
        self.lost = trace.arrival_ns < 0
        self.back_lost = np.random.default_rng(seed).random(4 * trace.media.size)
        self.loss_ratio = float(self.lost.mean())
        self.start_ns = base_ns + delay_ms * NS_PER_MS
        self.buffer = JitterBuffer(JitterConfig(playout_delay_ms=delay_ms), payload_bytes=0)
        self.repair = new(rp.Repair)
        rp.reset_repair(self.repair)
        self.missing = Missing(self.buffer, self.repair)
        self.sender = Retransmitter(ssrc=_REPAIR_SSRC, payload_type=122)
        self.events: list[tuple[int, int, int, tuple[int, ...]]] = []
        self.serial = 0
        self.stream_bytes = 0
        self.repair_bytes = 0
        self.requests_sent = 0

    def push(self, when_ns: int, kind: int, *what: int) -> None:
        self.serial += 1
        heapq.heappush(self.events, (when_ns, kind, self.serial, what))

    def channel(self, now_ns: int) -> int:
        """Return the transit of something sent now, or -1 when it is lost."""
        nearest = int(np.searchsorted(self.send_ns, now_ns))
        nearest = min(nearest, self.lost.size - 1)
        return -1 if self.lost[nearest] else max(0, int(self.transit_ns[nearest]))

    def send(self, n: int) -> None:
        datagram = packet.build(
            bytes(PAYLOAD_BYTES), sequence=n, timestamp=int(self.trace.media[n]),
            ssrc=_MEDIA_SSRC, payload_type=96, marker=n == 0,
        )  # fmt: skip
        self.stream_bytes += len(datagram) + UDP_BYTES
        self.sender.remember(datagram)
        self.sender.budget.earn(len(datagram), int(self.send_ns[n]))
        if not self.lost[n]:
            self.push(int(self.send_ns[n] + self.transit_ns[n]), _ARRIVE, n)

    def insert(self, n: int, now_ns: int, flags: int) -> None:
        media = int(self.trace.media[n]) & 0xFFFF_FFFF
        self.buffer.insert(n & 0xFFFF, media, self.trace.samples, now_ns, flags=flags)
        self.missing.watch(now_ns)

    def ask(self, now_ns: int) -> None:
        b = self.buffer
        position = int(b.state["next_media"][0])
        plays_ns = self.start_ns + samples_to_ns(position)
        sequences = self.missing.requests(now_ns, plays_ns, self.round_trip_ns)[:16]
        if not sequences:
            return
        message = build([Nack(_NODE_SSRC, _MEDIA_SSRC, sequences)])
        self.repair_bytes += len(message) + UDP_BYTES
        self.requests_sent += 1
        if self.back_lost[self.requests_sent] >= self.loss_ratio:
            self.push(now_ns + self.back_ns, _ASK_ARRIVES, *sequences)

    def answer(self, sequences: tuple[int, ...], now_ns: int) -> None:
        for datagram in self.sender.receive_nack(sequences, now_ns):
            self.repair_bytes += len(datagram) + UDP_BYTES
            # The way there is half of the round trip, which `send_ns` contains already, plus what
            # the trace adds.
            fastest_ns = now_ns + self.round_trip_ns - self.back_ns
            transit_ns = self.channel(fastest_ns)
            if transit_ns >= 0:
                original = int.from_bytes(datagram[12:14], "big")
                self.push(fastest_ns + transit_ns, _REPAIR_ARRIVES, original)

    def extended(self, sequence: int) -> int:
        highest = int(self.buffer.state["highest_sequence"][0])
        return highest + ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000


def play_with_repair(
    trace: Trace, *, delay_ms: int = 400, round_trip_ms: int = 100, repairs: bool = True
) -> Repaired:
    """Play a trace at a fixed delay, asking for what is lost."""
    run = _Run(trace, delay_ms, round_trip_ms, seed=7)
    for n in range(trace.media.size):
        run.push(int(run.send_ns[n]), _SEND, n)
    last_ns = int(run.send_ns[-1]) + (delay_ms + 100) * NS_PER_MS
    for tick in range(run.start_ns, last_ns, _TICK_NS):
        run.push(tick, _PLAY)
    skipped_ns = run.start_ns + SKIPPED_MS * NS_PER_MS
    before: NDArray[np.int64] | None = None
    while run.events:
        now_ns, kind, _, what = heapq.heappop(run.events)
        if kind == _SEND:
            run.send(what[0])
        elif kind == _ARRIVE:
            run.insert(what[0], now_ns, 0)
        elif kind == _ASK_ARRIVES:
            run.answer(what, now_ns)
        elif kind == _REPAIR_ARRIVES:
            run.insert(run.extended(what[0]), now_ns, at.RETRANSMITTED)
        else:
            if before is None and now_ns >= skipped_ns:
                before = run.buffer.origin_samples.copy()
            pull_until(run.buffer, run.start_ns, now_ns)
        if repairs:
            run.ask(now_ns)
    return _summary(run, before)


def _summary(run: _Run, before: NDArray[np.int64] | None) -> Repaired:
    run.buffer.settle(ended=True)
    origin = run.buffer.origin_samples - (0 if before is None else before)
    frames = int(run.trace.judged.sum()) * run.trace.samples
    made_up = origin[Origin.CONCEALED] + origin[Origin.FADED] + origin[Origin.SILENT]
    return Repaired(
        run.trace.network_loss_pct,
        100.0 * float(made_up) / frames,
        100.0 * float(origin[Origin.RETRANSMITTED]) / frames,
        100.0 * run.repair_bytes / run.stream_bytes,
    )
