"""What playout costs: the jitter buffer's kernels alone, and a whole node less its Opus decoder.

CPU time per second of sound, best of three rounds, on one trace. The node gets each datagram by
itself and is asked for 10 ms at a time; its sender makes no reports. *Counted* is a node that plays
nothing; *played* has the whole way of the sound after the decoder (FIFO, resampler or stretching,
limiter), and sound from memory in the decoder's place.
"""

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.playout.playout_drive import Trace, play
from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.rtp import packet
from node.stack import SpeakerNode
from node.units import PACKET_SAMPLES_MAX, RATE_HZ

KERNEL_MAX_MS: Final = 0.1
NODE_MAX_MS: Final = 3.0
"""Asked, per second of sound (NetEQ, in C++: 0.43)."""

_ROUNDS: Final = 3
_PERIOD: Final = 480
_PERIOD_NS: Final = 10_000_000
_START_NS: Final = 3_000_000_000
_SENDER: Final = ("10.0.0.1", 5004)
_PAYLOAD: Final = bytes([9 << 3]) + bytes(59)
"""24 kbit/s; only its first byte is looked at: SILK, wideband, 20 ms (RFC 6716, section 3.1)."""


def print_cost(trace: Trace) -> list[str]:
    """Print CPU time per second of sound; return what costs more than it may."""
    missed = []
    for config in (JitterConfig(), JitterConfig(mode="adaptive")):
        for who, most_ms, spent_s in (
            ("kernel", KERNEL_MAX_MS, _kernel_s(trace, config)),
            ("node, counted", NODE_MAX_MS, _node_s(trace, config, sounds=False)),
            ("node, played", NODE_MAX_MS, _node_s(trace, config, sounds=True)),
        ):
            spent_ms = 1000.0 * spent_s * RATE_HZ / (trace.media.size * trace.samples)
            figure = f"cost, {config.mode}, {who}: {spent_ms:.4f} ms CPU per second of sound"
            print(f"{figure} (must: {most_ms})")
            if spent_ms > most_ms:
                missed.append(f"{figure} is above {most_ms}")
    return missed


def _kernel_s(trace: Trace, config: JitterConfig) -> float:
    return _cpu_s(lambda: play(trace, config, delay_ms=200.0))


def _node_s(trace: Trace, config: JitterConfig, *, sounds: bool) -> float:
    datagrams = _datagrams(trace)
    return _cpu_s(lambda: _hear(trace, datagrams, config, sounds=sounds))


def _cpu_s(work: Callable[[], object]) -> float:
    spent_s = []
    for _ in range(_ROUNDS):
        began_s = time.process_time()
        work()
        spent_s.append(time.process_time() - began_s)
    return min(spent_s)


def _datagrams(trace: Trace) -> list[tuple[int, bytes]]:
    """Return (arrival, datagram) in order of arrival."""
    came = np.flatnonzero(trace.arrival_ns >= 0)
    order = came[np.argsort(trace.arrival_ns[came], kind="stable")].tolist()
    return [
        (
            int(trace.arrival_ns[one]),
            packet.build(
                _PAYLOAD,
                sequence=one & 0xFFFF,
                timestamp=int(trace.media[one]) & 0xFFFF_FFFF,
                ssrc=7,
                payload_type=96,
                marker=one == 0,
            ),
        )
        for one in order
    ]


def _hear(
    trace: Trace, datagrams: list[tuple[int, bytes]], config: JitterConfig, *, sounds: bool
) -> None:
    node = SpeakerNode(
        NodeConfig(name="n", jitter=config),
        decoder_factory=_Remembered if sounds else None,
    )
    out = np.zeros((_PERIOD, 1), np.float32)
    taken = 0
    for now_ns in range(0, int(trace.arrival_ns.max()), _PERIOD_NS):
        while taken < len(datagrams) and datagrams[taken][0] <= now_ns:
            arrival_ns, data = datagrams[taken]
            node.receive_datagram(data, _SENDER, _START_NS + arrival_ns)
            taken += 1
        node.render(out, _START_NS + now_ns)
    received = int(node.origin_samples()[Origin.RECEIVED])
    assert received > 0.9 * len(datagrams) * trace.samples, "most of what came is played"


class _Remembered:
    """Sound from memory where a decoder would make it: noise at -20 dBFS."""

    final_range = 0

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        shape = (PACKET_SAMPLES_MAX, channels)
        self._sound = 0.1 * np.random.default_rng(1).standard_normal(shape, np.float32)

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        return self.conceal(len(out), out)

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        out[:samples] = self._sound[:samples]
        return samples

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        return self.conceal(len(out), out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        return self.conceal(len(out), out)

    def remember(self) -> None:
        """Nothing is predicted: there is nothing to go back to."""

    go_back = reset = remember

    def copy(self) -> "_Remembered":
        return _Remembered(self.rate_hz, self.channels)
