"""Concealment beside libopus: the same losses, each against its own loss-free sound.

Speech and music streams lose 1, 3, 5, 10 and 20 % of their packets, at random and in bursts of
2.5 on average. Figures are means over the streams: signal to noise ratio, STOI (pystoi), distance
of the log spectra, and the official quality, which here stays far below 0 for every decoder: it
was made for equal decoders and one lost frame decides it.
PESQ is missing: there is no package of it here.

Status 1 when SNR or STOI falls below what the lesser of the libopus versions found here makes,
or a packet after a loss has a wrong final range.

Options: `--json`, `--limit N` streams of each kind.
"""

import ctypes
import json
import warnings
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.opus import Packets, Sound, libraries, streams
from benchmarks.opus_quality import quality
from node.opus.decoder import OpusDecoder

LOSSES: Final = (0.01, 0.03, 0.05, 0.10, 0.20)
BURST_PACKETS: Final = 2.5
KINDS: Final = {
    "CELT": ("celt_", ("speech", "music")),
    "hybrid": ("hybrid_", ("speech", "music")),
    "SILK": ("silk_", ("speech",)),
    "voip": ("auto_voip_", ("14k", "24k", "48k")),
}
STOI_SLACK: Final = 0.005
"""Below libopus's by less than this is as good: the mean over few streams scatters so."""
SNR_SLACK_DB: Final = 0.3
SNR_MAX_DB: Final = 35.0
"""A stream that comes through better than this counts as this: its losses fell into silence."""
_CHANNELS: Final = 2
_SPECTRUM: Final = 960


class LossyDecoder(Protocol):
    """What every decoder here can do."""

    def decode(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Decode one packet; return its samples."""

    def conceal(self, samples: int, out: Sound) -> int:
        """Make up `samples`; return them."""


class Peer:
    """A libopus decoder by ctypes that also conceals."""

    def __init__(self, library: Any) -> None:
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int,
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32),
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
        )
        self._decode = prototype(("opus_decode_float", library))
        self._state = np.zeros(library.opus_decoder_get_size(_CHANNELS), np.uint8)
        self._address = self._state.ctypes.data
        library.opus_decoder_init(ctypes.c_void_p(self._address), 48_000, _CHANNELS)

    def decode(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Decode one packet; return its samples."""
        data, size = payload.ctypes.data, payload.size
        return int(self._decode(self._address, data, size, out.ctypes.data, len(out), 0))

    def conceal(self, samples: int, out: Sound) -> int:
        """Make up `samples`; return them."""
        return int(self._decode(self._address, None, 0, out.ctypes.data, samples, 0))


def run(arguments: list[str]) -> int:
    """Print the table (or JSON with `--json`); return 1 when we conceal worse than libopus."""
    limit = int(arguments[arguments.index("--limit") + 1]) if "--limit" in arguments else 4
    rows, broken = _measure(limit)
    if "--json" in arguments:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print("  " + "  ".join(str(value) for value in row.values()))
    for line in broken:
        print(f"opus_loss: {line}")
    return 1 if broken else 0


def losses(count: int, share: float, burst: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which of `count` packets are lost: `share` of them, `burst` in a row on average."""
    lost = np.zeros(count, np.bool_)
    stay, fall = 1.0 - 1.0 / burst, share / burst / (1.0 - share)
    for i in range(3, count):  # the first packets give everybody something to go on from
        lost[i] = rng.random() < (stay if lost[i - 1] and burst > 1.0 else fall)
    return lost


def _chosen(limit: int) -> dict[str, list[tuple[str, Packets]]]:
    found: dict[str, list[tuple[str, Packets]]] = {kind: [] for kind in KINDS}
    for name, packets in streams(""):
        for kind, (prefix, words) in KINDS.items():
            if name.startswith(prefix) and any(word in name for word in words):
                found[kind].append((name, packets))
    return {kind: some[:limit] for kind, some in found.items() if some}


def _sound(decoder: LossyDecoder, packets: Packets, lost: NDArray[np.bool_]) -> tuple[Sound, int]:
    """Return the sound, and how many received packets came out with a wrong final range."""
    out = np.zeros((5760, _CHANNELS), np.float32)
    parts, wrong, samples = [], 0, 960
    for (payload, final_range), gone in zip(packets, lost, strict=True):
        if gone:
            decoder.conceal(samples, out)
        else:
            samples = decoder.decode(payload, out)
            wrong += getattr(decoder, "final_range", final_range) != final_range
        parts.append(out[:samples].copy())
    return np.concatenate(parts), wrong


def _figures(wanted: Sound, got: Sound) -> tuple[float, float, float, float]:
    """Return SNR in dB, STOI, log spectral distance in dB, official quality."""
    from pystoi import stoi

    noise = float(np.sum((got.astype(np.float64) - wanted) ** 2)) + 1e-12
    snr_db = 10 * np.log10(float(np.sum(wanted.astype(np.float64) ** 2)) / noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heard = stoi(wanted.mean(axis=1), got.mean(axis=1), 48_000)
    apart = _log_spectrum(wanted) - _log_spectrum(got)
    distance_db = float(np.sqrt((apart**2).mean(axis=1)).mean())
    return min(SNR_MAX_DB, float(snr_db)), float(heard), distance_db, quality(wanted, got)


def _log_spectrum(sound: Sound) -> NDArray[np.float64]:
    """Return the power in dB of 20 ms spectra every 10 ms, up to 16 kHz, floored at -80 dB."""
    mono = sound.mean(axis=1).astype(np.float64)
    cut = np.lib.stride_tricks.sliding_window_view(mono, _SPECTRUM)[:: _SPECTRUM // 2]
    power = np.abs(np.fft.rfft(cut * np.hanning(_SPECTRUM)))[:, :320] ** 2
    level: NDArray[np.float64] = 10 * np.log10(power + 1e-4)
    return level


def _measure(limit: int) -> tuple[list[dict[str, object]], list[str]]:
    rows: list[dict[str, object]] = []
    broken: list[str] = []
    makers: dict[str, Any] = {"ours": lambda: OpusDecoder(48_000, _CHANNELS)}
    for name, library in libraries().items():
        makers[f"libopus {name}"] = lambda library=library: Peer(library)
    for kind, some in _chosen(limit).items():
        for burst in (1.0, BURST_PACKETS):
            for share in LOSSES:
                means, wrong = _one_pattern(makers, some, share, burst)
                where = f"{kind:7} {share:4.0%} {'bursts' if burst > 1 else 'random':7}"
                for who, (snr_db, heard, distance_db, grade) in means.items():
                    rows.append(
                        {
                            "where": where,
                            "who": f"{who:16}",
                            "snr": f"{snr_db:6.2f} dB",
                            "stoi": f"STOI {heard:.4f}",
                            "distance": f"spectra {distance_db:5.2f} dB",
                            "quality": f"quality {grade:8.1f}",
                        }
                    )
                best = np.min([v[:2] for who, v in means.items() if who != "ours"], axis=0)
                if means["ours"][0] < best[0] - SNR_SLACK_DB:
                    broken.append(f"{where}: SNR {means['ours'][0]:.2f} dB, libopus {best[0]:.2f}")
                if means["ours"][1] < best[1] - STOI_SLACK:
                    broken.append(f"{where}: STOI {means['ours'][1]:.4f}, libopus {best[1]:.4f}")
                if wrong:
                    broken.append(f"{where}: {wrong} wrong final ranges after losses")
    return rows, broken


def _one_pattern(
    makers: dict[str, Any], some: list[tuple[str, Packets]], share: float, burst: float
) -> tuple[dict[str, NDArray[np.float64]], int]:
    """Return the mean figures of each decoder on one kind of loss, and our wrong ranges."""
    figures: dict[str, list[tuple[float, float, float, float]]] = {who: [] for who in makers}
    wrong = 0
    for number, (_, packets) in enumerate(some):
        rng = np.random.default_rng([number, int(1000 * share), int(burst)])
        lost = losses(len(packets), share, burst, rng)
        if not lost.any():
            continue
        for who, make in makers.items():
            whole, _ = _sound(make(), packets, np.zeros_like(lost))
            got, bad = _sound(make(), packets, lost)
            figures[who].append(_figures(whole, got))
            wrong += bad if who == "ours" else 0
    return {who: np.mean(some_figures, axis=0) for who, some_figures in figures.items()}, wrong
