"""In-band FEC and SILK concealment beside libopus: equal to the last of 16 bits, or not.

Every third packet of each `fec_` stream is lost and asked back from the packet after it, at 48
and 16 kHz, on one and two channels; then the same losses are concealed. The versions of libopus
conceal differently from each other, so ours can be equal to one of them only. Status 1 when a
SILK stream differs from each libopus found here. Hybrid streams are shown and not judged: their
upper band is CELT, floats, and has no copy to come back from.

Options: `--only PREFIX` (default `fec_`).
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import parser_of
from benchmarks.opus.opus import Packets, Peer, Sound, libraries, streams
from benchmarks.table import show
from node.opus.decoder import OpusDecoder

LOST_EVERY: Final = 3
SNR_MAX_DB: Final = 200.0
_LAYOUTS: Final = ((48_000, 1), (48_000, 2), (16_000, 1), (16_000, 2))


class RepairingDecoder(Protocol):
    """What every decoder here can do."""

    def decode(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Decode one packet; return its samples.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """

    def conceal(self, samples: int, out: Sound) -> int:
        """Make up `samples`; return them or a negative result.

        out  (samples or more, channels) float32, full scale 1.0
        """

    def decode_fec(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Fill `out` with the sound before `payload`; return its samples.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """


def run(arguments: list[str]) -> int:
    """Print the table; return 1 when a SILK stream differs from every libopus."""
    parser = parser_of("opus_fec", __doc__)
    parser.add_argument("--only", default="fec_", metavar="PREFIX", help="streams that begin so")
    prefix = parser.parse_args(arguments).only
    rows: dict[str, dict[str, float | None]] = {}
    broken: list[str] = []
    for name, packets in streams(prefix):
        for task in ("fec", "conceal"):
            holes, unequal, snr_db = _compared(packets, task == "fec")
            row: dict[str, float | None] = {"holes": float(holes)}
            row |= {f"unequal_samples_{key}": float(value) for key, value in unequal.items()}
            row |= {f"snr_db_{key}": value for key, value in snr_db.items()}
            rows[f"{name} {task}"] = row
            if "hybrid" not in name and min(unequal.values()) > 0:
                broken.append(f"{name} {task}: {min(unequal.values())} samples unequal")
    show("opus_fec", "Every third packet lost: ours against libopus, 16 bits and dB", rows)
    for line in broken:
        print(f"opus_fec: {line}")
    return 1 if broken else 0


def repaired(
    decoder: RepairingDecoder, packets: Packets, first: int, channels: int, *, fec: bool
) -> tuple[Sound, int]:
    """Return the sound with every third packet lost from `first` on, and the count of holes.

    The sound is (n, channels) float32, full scale 1.0.
    """
    out = np.zeros((5760, channels), np.float32)
    parts: list[Sound] = []
    samples = holes = 0
    is_open = False
    for number, (payload, _) in enumerate(packets):
        if number > 0 and number % LOST_EVERY == first:
            holes += 1
            is_open = fec
            if not fec:
                decoder.conceal(samples, out)
                parts.append(out[:samples].copy())
            continue
        if is_open:
            decoder.decode_fec(payload, out[:samples])
            parts.append(out[:samples].copy())
            is_open = False
        samples = decoder.decode(payload, out)
        parts.append(out[:samples].copy())
    return np.concatenate(parts), holes


def _compared(packets: Packets, fec: bool) -> tuple[int, dict[str, int], dict[str, float]]:
    """Return holes, and by library the samples that differ in 16 bits and the worst SNR."""
    unequal: dict[str, int] = dict.fromkeys(libraries(), 0)
    snr_db: dict[str, float] = dict.fromkeys(libraries(), SNR_MAX_DB)
    holes = 0
    for rate_hz, channels in _LAYOUTS:
        for first in range(LOST_EVERY):
            ours, count = repaired(
                OpusDecoder(rate_hz, channels), packets, first, channels, fec=fec
            )
            holes += count
            for key, library in libraries().items():
                peer = Peer(library, channels, rate_hz)
                theirs, _ = repaired(peer, packets, first, channels, fec=fec)
                unequal[key] += int(np.count_nonzero(_bits(ours) != _bits(theirs)))
                error = float(np.sum((ours.astype(np.float64) - theirs) ** 2))
                power = float(np.sum(theirs.astype(np.float64) ** 2))
                if error > 0:
                    snr_db[key] = min(snr_db[key], 10 * np.log10(power / error))
    return holes, unequal, snr_db


def _bits(sound: Sound) -> NDArray[np.int32]:
    bits: NDArray[np.int32] = np.rint(sound * 32768.0).astype(np.int32)
    return bits
