"""Throw random and mutated datagrams at a running node: nothing raised, all counted, none heard.

    python -m benchmarks fuzz [--datagrams 1000000] [--seed 1] [--json FILE]

Two nodes get the same programme at the same instants; one gets garbage between its packets, from
strangers and under the programme's own SSRC. Their outputs must be the same, bit by bit.
"""

import argparse
import json
import struct
import sys
import time
from pathlib import Path
from typing import Any, Final

import av
import numpy as np

from node.config import NodeConfig
from node.counters import Count
from node.opus.libopus import LibopusDecoder
from node.rtp import packet as rtp
from node.rtp import rtcp
from node.rtp.rtcp_packet import Goodbye, SenderReport
from node.stack import SpeakerNode
from node.units import NS_PER_MS, NS_PER_S
from sim.sender.sound.packet_encoder import EncoderSettings, encode

SPEECH: Final = Path(__file__).parents[1] / "sim" / "speech" / "announcement_vi.flac"

PROGRAMME_SSRC: Final = 0x1234
_STATION: Final = ("192.0.2.1", 5004)
_STRANGERS: Final = (("198.51.100.1", 1), ("198.51.100.2", 40_000), ("203.0.113.9", 5004))
_RUNNING_PERIODS: Final = 60
"""Then the programme sounds, and has the horn: who comes later with no higher order must wait."""
_FATES: Final = tuple(
    c
    for c in Count
    if c.name.startswith(("DROPPED", "PACKETS_DISCARDED_PROB", "PACKETS_RECEIVED"))
    or c == Count.RTCP_RECEIVED
)
CANDIDATES: Final = 16
"""First packets of unknown sources that wait for a second one and have no fate yet."""
_PERIOD_NS: Final = 10 * NS_PER_MS
_PERIOD_SAMPLES: Final = 480


def run(arguments: list[str]) -> int:
    """Run the fuzz loop; return 1 when the programme was disturbed or a datagram not counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    parser.add_argument("--datagrams", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    began = time.process_time()
    row = fuzz(options.datagrams, seed=options.seed)
    row["cpu_s"] = round(time.process_time() - began, 1)
    print(json.dumps(row))
    if options.json is not None:
        options.json.write_text(json.dumps(row, indent=1) + "\n")
    return 0 if row["undisturbed"] and row["uncounted"] <= CANDIDATES else 1


def fuzz(datagrams: int, *, seed: int, per_period: int = 100) -> dict[str, Any]:
    """Return what became of so many pieces of garbage, and whether the programme noticed."""
    rng = np.random.default_rng(seed)
    payloads = speech_payloads()
    clean, dirty = _node(), _node()
    periods = _RUNNING_PERIODS + max(400, -(-datagrams // per_period))
    outputs = [np.zeros((_PERIOD_SAMPLES, 1), np.float32) for _ in range(2)]
    loudest, different, left = 0.0, 0, datagrams
    garbage = Garbage(rng, payloads)
    for period in range(periods):
        now_ns = NS_PER_S + period * _PERIOD_NS
        if period % 2 == 0:
            data = programme_packet(payloads, period // 2)
            garbage.remember(data)
            for node in (clean, dirty):
                node.receive_datagram(data, _STATION, now_ns)
        wave = min(per_period, left) if period >= _RUNNING_PERIODS else 0
        for one in range(wave):
            stranger = _STRANGERS[one % len(_STRANGERS)]
            dirty.receive_datagram(garbage.next(), stranger, now_ns + one * 1000)
        left -= wave
        for node, out in zip((clean, dirty), outputs, strict=True):
            _turn(node, now_ns + 5 * NS_PER_MS)
            node.render(out, now_ns + 20 * NS_PER_MS)
        loudest = max(loudest, float(np.abs(outputs[0]).max()))
        different += not np.array_equal(outputs[0], outputs[1])
    uncounted = datagrams + (periods + 1) // 2 - sum(int(dirty.counts[c]) for c in _FATES)
    counts = {c.name.lower(): int(dirty.counts[c]) for c in Count if dirty.counts[c]}
    return {
        "datagrams": datagrams,
        "periods": periods,
        "periods_different": different,
        "programme_peak": round(loudest, 3),
        "uncounted": uncounted,
        "undisturbed": different == 0 and loudest > 0.05,
        "counts": counts,
    }


def speech_payloads() -> list[bytes]:
    """Return the Opus packets of the bundled announcement."""
    with av.open(str(SPEECH)) as container:
        return list(encode(container, EncoderSettings()))


def programme_packet(payloads: list[bytes], number: int) -> bytes:
    """Return the RTP packet `number` of the endless programme."""
    return rtp.build(
        payloads[number % len(payloads)],
        sequence=number,
        timestamp=960 * number,
        ssrc=PROGRAMME_SSRC,
        payload_type=111,
        marker=number == 0,
    )


class Garbage:
    """An endless supply of datagrams that nobody should believe.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of all draws.
    payloads : list of bytes
        Real Opus packets, to be mutated.
    """

    def __init__(self, rng: np.random.Generator, payloads: list[bytes]) -> None:
        self._rng = rng
        self._payloads = payloads
        self._recent = b"\x80" * 40
        self._number = 0

    def remember(self, data: bytes) -> None:
        """Take a packet of the programme, to be replayed and mutated."""
        self._recent = data

    def next(self) -> bytes:
        """Return one datagram."""
        kind = int(self._rng.integers(0, 9))
        if kind == 0:
            return self._rng.bytes(int(self._rng.integers(0, 1600)))
        if kind == 1:
            return self._rng.bytes(int(self._rng.integers(0, 32)))
        if kind == 2:
            return self._mutated(self._recent)
        if kind == 3:
            return self._recent[: int(self._rng.integers(0, len(self._recent)))]
        if kind == 4:
            return self._recent  # replayed from elsewhere
        if kind == 5:
            return self._rtcp()
        if kind == 6:
            return self._speaker()
        return self._stranger()

    def _speaker(self) -> bytes:
        """Return the next packet of somebody who also wants the horn, half of them not Opus."""
        self._number += 1
        payload = self._payloads[self._number % len(self._payloads)]
        if self._number % 2:
            payload = b"\xff" + self._rng.bytes(int(self._rng.integers(0, 200)))
        return rtp.build(
            payload,
            sequence=self._number,
            timestamp=960 * self._number,
            ssrc=0x5EED + self._number // 1000,
            payload_type=111,
            marker=False,
        )

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(int(self._rng.integers(1, 6))):
            changed[int(self._rng.integers(0, len(changed)))] = int(self._rng.integers(0, 256))
        return bytes(changed)

    def _rtcp(self) -> bytes:
        ssrc = PROGRAMME_SSRC if self._rng.random() < 0.5 else int(self._rng.integers(0, 1 << 32))
        report = SenderReport(ssrc, int(self._rng.integers(0, 1 << 63)), 7, 8, 9)
        data = rtcp.build([report, Goodbye((ssrc,))])
        return self._mutated(data) if self._rng.random() < 0.5 else data

    def _stranger(self) -> bytes:
        """Return a packet of another or the same SSRC that is well-formed up to its payload."""
        own = self._rng.random() < 0.5
        ssrc = PROGRAMME_SSRC if own else int(self._rng.integers(0, 1 << 32))
        payload = self._payloads[int(self._rng.integers(0, len(self._payloads)))]
        if self._rng.random() < 0.5:
            payload = self._rng.bytes(int(self._rng.integers(0, 200)))
        second = int(self._rng.integers(0, 256))
        words = self._rng.integers(0, 1 << 16), self._rng.integers(0, 1 << 32), ssrc
        return struct.pack("!BBHII", 0x80, second, *(int(w) for w in words)) + payload


def _node() -> SpeakerNode:
    return SpeakerNode(NodeConfig(name="fuzzed"), decoder_factory=LibopusDecoder)


def _turn(node: SpeakerNode, now_ns: int) -> None:
    """Do what a shell does between two datagrams."""
    due_ns = node.next_deadline_ns()
    if due_ns is not None and due_ns <= now_ns:
        node.handle_deadline(now_ns)
    for _ in range(64):
        if node.next_event() is None:
            return


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
