"""Mutated and random packets through our Opus decoder: nothing breaks, and libopus agrees.

Each packet is refused, or lasts as long, exactly as with libopus; no sample is beyond 8.0 or not
a number; none takes longer than 10 ms. With LOALANG_BOUNDSCHECK=1 every index is checked too.

Options: `--packets N` (default 100000), `--seed N`.
"""

import ctypes
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray
from opuslib_next.api import libopus

from benchmarks.opus import streams
from node.opus.decoder import RATES_HZ, OpusDecoder
from node.opus.packet import packet_samples

PEAK_MAX: Final = 8.0
TIME_MAX_MS: Final = 10.0
_RESTART_PACKETS: Final = 400
_SIZES: Final = ctypes.c_int16 * 48
_CONCEAL: Final = 20
"""One in so many packets is lost, one in so many is asked for its copy of the one before."""


def run(arguments: list[str]) -> int:
    """Print what was decoded and the worst of everything; return 1 when a bound is broken."""
    packets = int(_option(arguments, "--packets", "100000"))
    rng = np.random.default_rng(int(_option(arguments, "--seed", "1")))
    corpus = [payload for _, recorded in streams("") for payload, _ in recorded[:200]]
    decoder = OpusDecoder(48_000, 2)
    out = np.zeros((5760, 2), np.float32)
    refused = disagreed = wild = errors = 0
    peak = longest_ms = 0.0
    for i in range(packets):
        if i % _RESTART_PACKETS == 0:
            decoder = OpusDecoder(int(rng.choice(RATES_HZ)), int(rng.integers(1, 3)))
            out = np.zeros((decoder.rate_hz * 120 // 1000, decoder.channels), np.float32)
        payload = _mutated(rng, corpus)
        samples = packet_samples(payload, 0, payload.size)
        disagreed += max(samples, -1) != max(_libopus_samples(payload), -1)
        started = time.process_time()
        made = decoder.decode(payload, out)
        longest_ms = max(longest_ms, (time.process_time() - started) * 1000)
        refused += samples < 0
        errors += made < 0 <= samples
        disagreed += (made == -4) != (samples < 0)
        if rng.integers(_CONCEAL) == 0:
            made = decoder.conceal(decoder.rate_hz // 50, out)
        elif rng.integers(_CONCEAL) == 0:
            made = decoder.decode_fec(payload, out[: decoder.rate_hz // 50])
        loudest = float(np.max(np.abs(out[: max(made, 1)])))
        wild += not loudest <= PEAK_MAX
        peak = max(peak, loudest)
    print(
        f"{packets} packets: {refused} refused, {errors} broken inside, "
        f"{disagreed} not as libopus, {wild} beyond {PEAK_MAX} (peak {peak:.2f}), "
        f"longest {longest_ms:.1f} ms"
    )
    return 1 if disagreed or wild or longest_ms > TIME_MAX_MS else 0


def _option(arguments: list[str], name: str, default: str) -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else default


def _mutated(rng: np.random.Generator, corpus: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return a recorded packet with bytes changed or cut, or bytes from nowhere."""
    kind = rng.integers(8)
    if kind == 0:
        return rng.integers(0, 256, rng.integers(0, 200), np.uint8)
    payload = corpus[rng.integers(len(corpus))].copy()
    for _ in range(rng.integers(0, 4)):
        payload[rng.integers(payload.size)] = rng.integers(256)
    if kind == 1:
        payload[0] = rng.integers(256)
    if kind == 2:
        payload = payload[: rng.integers(payload.size + 1)]
    return payload


def _libopus_samples(payload: NDArray[np.uint8]) -> int:
    data = payload.tobytes()
    if libopus.opus_packet_parse(data, len(data), None, None, _SIZES(), None) < 0:
        return -4
    return int(libopus.opus_packet_get_nb_samples(data, len(data), 48_000))
