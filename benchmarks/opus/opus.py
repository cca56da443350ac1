"""Our Opus decoder: final ranges, sound against libopus, speed beside libopus.

Streams are the recorded ones: all 155 where LOALANG_SHARED has them, else the choice in
tests/data/opus. libopus is the wheel's, and the system's where it is installed: what the two
make of one stream tells how much of a difference is taste.

Options: `--ranges`, `--sound`, `--speed` (default: all three), `--json`, `--only PREFIX`.
"""

import ctypes
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opuslib_next.api import libopus as wheel_library

from benchmarks.options import parser_of
from benchmarks.opus.opus_quality import quality
from benchmarks.reference import shared_folder
from node.config import ConfigError
from node.opus.decoder import OpusDecoder

Sound = NDArray[np.float32]
Packets = list[tuple[NDArray[np.uint8], int]]

SPEED_MIN: Final = 0.5
"""Share of libopus's speed, both called from Python."""
SNR_MIN_DB: Final = 90.0
QUALITY_MIN: Final = 99.0
_STEADY: Final = ("celt_", "hybrid_", "auto_", "framing_", "long_", "padding_", "silk_", "fec_")
_ROUNDS: Final = 7
SPEED_STREAMS: Final = {
    "SILK WB mono 12k 20 ms": (12_000, 1, 960, 1000, 1103),
    "hybrid FB mono 32k 20 ms": (32_000, 1, 960, 1001, 1105),
    "CELT FB mono 48k 20 ms": (48_000, 1, 960, 1002, 1105),
    "CELT FB mono 64k 20 ms": (64_000, 1, 960, 1002, 1105),
    "CELT FB stereo 128k 20 ms": (128_000, 2, 960, 1002, 1105),
    "CELT FB mono 64k 2.5 ms": (64_000, 1, 120, 1002, 1105),
}
"""Bit rate, channels, frame in samples, forced mode and bandwidth (libopus's numbers)."""


def run(arguments: list[str]) -> int:
    """Print the tables (or JSON with `--json`); return 1 when a bound is broken."""
    parts = {"--ranges": _ranges, "--sound": _sound, "--speed": _speed}
    parser = parser_of("opus", __doc__)
    for part in parts:
        parser.add_argument(part, action="append_const", dest="parts", const=part)
    parser.add_argument("--only", default="", metavar="PREFIX", help="streams that begin so")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {}
    broken: list[str] = []
    for part in options.parts or parts:
        results[part[2:]], faults = parts[part](options.only)
        broken += faults
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        for part, rows in results.items():
            print(f"\n{part}")
            for row in rows:
                print("  " + "  ".join(f"{value}" for value in row.values()))
    for line in broken:
        print(f"opus: {line}")
    return 1 if broken else 0


def streams(prefix: str) -> Iterator[tuple[str, Packets]]:
    """Yield the name of each recorded stream that begins so, and its packets with ranges.

    Raises
    ------
    ConfigError
        When there is none: a check of nothing would find no fault.
    """
    folder = shared_folder() / "opus_vectors" / "streams"
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "tests" / "data" / "opus"
    paths = sorted(folder.glob(f"{prefix}*.bit"))
    if not paths:
        raise ConfigError(
            f"{folder}: no stream {prefix}*.bit: set LOALANG_SHARED to the reference material"
        )
    for path in paths:
        data = path.read_bytes()
        packets, at = [], 0
        while at < len(data):
            size, final = (int.from_bytes(data[at + 4 * i :][:4], "big") for i in range(2))
            packets.append((np.frombuffer(data[at + 8 : at + 8 + size], np.uint8).copy(), final))
            at += 8 + size
        yield path.stem, packets


class Peer:
    """A libopus decoder by ctypes, in the shape of ours."""

    def __init__(self, library: Any, channels: int, rate_hz: int = 48_000) -> None:
        self._decode = ctypes.CFUNCTYPE(
            ctypes.c_int,
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32),
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
        )(("opus_decode_float", library))
        size = library.opus_decoder_get_size(channels)
        self._state = np.zeros(size, np.uint8)
        self._address = self._state.ctypes.data
        library.opus_decoder_init(ctypes.c_void_p(self._address), rate_hz, channels)

    def decode(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Decode one packet into `out`; return its samples or a negative result.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        return int(
            self._decode(
                self._address, payload.ctypes.data, payload.size, out.ctypes.data, len(out), 0
            )
        )

    def conceal(self, samples: int, out: Sound) -> int:
        """Make up `samples`; return them or a negative result.

        out  (samples or more, channels) float32, full scale 1.0
        """
        return int(self._decode(self._address, None, 0, out.ctypes.data, samples, 0))

    def decode_fec(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Fill `out` with the sound before `payload`; return its samples or a negative result.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        return int(
            self._decode(
                self._address, payload.ctypes.data, payload.size, out.ctypes.data, len(out), 1
            )
        )


def libraries() -> dict[str, Any]:
    """Return each libopus found here by its name."""
    found: dict[str, Any] = {"wheel": wheel_library}
    # By its path: by its name the loader would hand out the wheel's a second time.
    path = next(Path("/usr/lib").glob("*/libopus.so.0"), None)
    if path:
        found["system"] = ctypes.CDLL(str(path))
    return found


def _ranges(prefix: str) -> tuple[list[dict[str, object]], list[str]]:
    """Compare the final range of every packet of every stream, mono and stereo output."""
    rows: list[dict[str, object]] = []
    for channels in (1, 2):
        started = time.process_time()
        packets_total = wrong = count = 0
        for _, packets in streams(prefix):
            count += 1
            decoder = OpusDecoder(48_000, channels)
            out = np.zeros((5760, channels), np.float32)
            for payload, final in packets:
                decoder.decode(payload, out)
                wrong += decoder.final_range != final
            packets_total += len(packets)
        seconds = time.process_time() - started
        rows.append(
            {
                "channels": f"{channels} ch",
                "streams": f"{count} streams",
                "packets": f"{packets_total} packets",
                "wrong": f"{wrong} wrong",
                "cpu": f"{seconds:.1f} s CPU",
            }
        )
    faults = [f"final range wrong: {row}" for row in rows if not str(row["wrong"]).startswith("0 ")]
    return rows, faults


def _sounds(decoder: Any, channels: int, packets: Packets) -> Sound:
    out = np.zeros((5760, channels), np.float32)
    parts = [out[: decoder.decode(payload, out)].copy() for payload, _ in packets]
    return np.concatenate(parts)


def _snr_db(wanted: Sound, got: Sound) -> float:
    error = float(np.sum((got.astype(np.float64) - wanted) ** 2))
    if error == 0.0:
        return np.inf
    return float(10 * np.log10(float(np.sum(wanted.astype(np.float64) ** 2)) / error))


def _sound(prefix: str) -> tuple[list[dict[str, object]], list[str]]:
    """Compare the float sound of every stream with each libopus, and those with each other."""
    peers = libraries()
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    for name, packets in streams(prefix):
        for channels in (1, 2):
            ours = _sounds(OpusDecoder(48_000, channels), channels, packets)
            theirs = {
                key: _sounds(Peer(lib, channels), channels, packets) for key, lib in peers.items()
            }
            best = max(theirs, key=lambda key: _snr_db(theirs[key], ours))
            snr_db, grade = _snr_db(theirs[best], ours), quality(theirs[best], ours)
            row: dict[str, object] = {"name": f"{name:38}", "channels": f"{channels} ch"}
            row |= {"snr": f"{snr_db:7.1f} dB", "quality": f"{grade:8.3f}", "peer": f"({best})"}
            if len(theirs) == 2:
                first, second = theirs.values()
                between = quality(first, second)
                if grade < min(between, QUALITY_MIN):
                    faults.append(f"{name} {channels} ch: {grade:.2f}, two libopus {between:.2f}")
                row["between"] = f"two libopus {between:8.3f} {_snr_db(first, second):7.1f} dB"
            rows.append(row)
            if name.startswith(_STEADY) and (snr_db < SNR_MIN_DB or grade < QUALITY_MIN):
                faults.append(f"{name} {channels} ch: {snr_db:.1f} dB, quality {grade:.2f}")
    return rows, faults


def encoded(bitrate: int, channels: int, samples: int, mode: int, bandwidth: int) -> Packets:
    """Return 10 s of voice-like sound encoded in one mode."""
    create = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
    )(("opus_encoder_create", wheel_library))
    control = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)(
        ("opus_encoder_ctl", wheel_library)
    )
    encode = ctypes.CFUNCTYPE(
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_int32,
    )(("opus_encode", wheel_library))
    encoder = create(48_000, channels, 2049, ctypes.addressof(ctypes.c_int()))
    for request, value in ((4002, bitrate), (11002, mode), (4008, bandwidth), (4006, 0)):
        control(encoder, request, value)
    sound = _voice(channels)
    packet = np.zeros(1500, np.uint8)
    packets: Packets = []
    for at in range(0, len(sound) - samples + 1, samples):
        part = np.ascontiguousarray(sound[at : at + samples])
        size = encode(encoder, part.ctypes.data, samples, packet.ctypes.data, packet.size)
        packets.append((packet[:size].copy(), 0))
    return packets


def _voice(channels: int) -> NDArray[np.int16]:
    """Return 10 s of gliding harmonics and noise in syllables, which no mode finds easy."""
    rng = np.random.default_rng(48)
    t = np.arange(480_000) / 48_000
    pitch = 2 * np.pi * (140 * t + 15 * np.sin(2 * np.pi * 0.6 * t))
    tone = sum(np.sin(k * pitch) / k for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * t), 0, 1)
    sound = 5_000 * tone * syllables + 800 * rng.standard_normal(t.size) * (1 - syllables)
    both = np.stack([sound, np.roll(sound, 31)][:channels], axis=1)
    voice: NDArray[np.int16] = np.clip(both, -32768, 32767).astype(np.int16)
    return voice


def _best_us(
    decode: Callable[[NDArray[np.uint8], Sound], int], packets: Packets, out: Sound
) -> float:
    best = np.inf
    for _ in range(_ROUNDS):
        started = time.process_time()
        for payload, _ in packets:
            decode(payload, out)
        best = min(best, time.process_time() - started)
    return float(best / len(packets) * 1e6)


def _speed(_: str) -> tuple[list[dict[str, object]], list[str]]:
    """Measure CPU time per packet, best of several rounds, beside the wheel's libopus."""
    rows: list[dict[str, object]] = []
    faults: list[str] = []
    for name, (bitrate, channels, samples, mode, bandwidth) in SPEED_STREAMS.items():
        packets = encoded(bitrate, channels, samples, mode, bandwidth)
        out = np.zeros((5760, channels), np.float32)
        ours_us = _best_us(OpusDecoder(48_000, channels).decode, packets, out)
        theirs_us = _best_us(Peer(wheel_library, channels).decode, packets, out)
        ratio = theirs_us / ours_us
        rows.append(
            {
                "name": f"{name:28}",
                "ours": f"{ours_us:7.1f} us",
                "libopus": f"{theirs_us:7.1f} us",
                "ratio": f"{ratio:5.2f}",
                "realtime": f"{samples / 48e3 / ours_us * 1e6:6.0f} x real time",
            }
        )
        if ratio < SPEED_MIN:
            faults.append(f"{name}: {ratio:.2f} of libopus, must be at least {SPEED_MIN}")
    return rows, faults
