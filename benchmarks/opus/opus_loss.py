"""Concealment beside libopus: the same losses, each decoder against its own loss-free sound.

Speech in three voices (`opus_speech`), encoded as SILK, hybrid and CELT with 20 ms frames and CELT
with 10 ms, loses 1, 3, 5, 10 and 20 % of its packets, at random and in bursts of 2.5 on average.
Figures are means over all voices and draws of the losses: PESQ-WB (package `pesq`; left out, and
said so, where it is not installed), STOI (`pystoi`), and the official quality, which here stays far
below 0 for every decoder: it was made for equal decoders, and one lost frame decides it.

Status 1 when we are below libopus, by this rule: in one cell (kind, share, pattern) and one figure,
the 99 % interval of the mean of the paired differences (same voice, same losses) lies wholly below
minus the slack of that figure. PESQ and STOI must hold against each libopus found here; the quality
against one of them, because that figure likes silence: `--mute` adds a decoder that plays nothing
for what is lost, and in hybrid at 20 % no other is as good; the wheel's libopus comes back from
lost CELT frames up to 40 dB too quiet. Also when a packet after a loss has a wrong final range.

"ours" conceals as libopus does, from the past alone. "interpolated" is what the node does where its
jitter buffer holds the packet after the hole: here that is always so. The rule holds for both.

`--speech FILE ...` takes other voices than those at which the interpolation was made.
"""

import ctypes
import importlib.util
import json
import warnings
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.options import count, parser_of
from benchmarks.opus.opus import libraries
from benchmarks.opus.opus_quality import quality
from benchmarks.opus.opus_speech import KINDS, SPEECH, Packets, Voices, encoded, voices
from node.opus.decoder import OpusDecoder
from node.units import RATE_HZ

Sound = NDArray[np.float32]
Lost = NDArray[np.bool_]

SHARES: Final = (1, 3, 5, 10, 20)
BURST_PACKETS: Final = 2.5
SEEDS: Final = 6
FIGURES: Final = {"PESQ": 0.01, "STOI": 0.001, "quality": 2.0}
"""What is measured, and its slack: differences below it are heard by nobody."""
_HAS_PESQ: Final = importlib.util.find_spec("pesq") is not None
_SURE: Final = 0.99
INTERPOLATED: Final = "interpolated"
COSTS_S: Final[list[float]] = []
"""Of each call that interpolated; a hole takes one call per packet, and the first does the work."""
_NONE: Final = np.zeros(0, np.uint8)


class LossyDecoder(Protocol):
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


class Peer:
    """A libopus decoder by ctypes that also conceals: mono, 48 kHz."""

    def __init__(self, library: Any) -> None:
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int,
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32),
            *(ctypes.c_void_p, ctypes.c_int, ctypes.c_int),
        )
        self._decode = prototype(("opus_decode_float", library))
        self._state = np.zeros(library.opus_decoder_get_size(1), np.uint8)
        self._address = self._state.ctypes.data
        library.opus_decoder_init(ctypes.c_void_p(self._address), RATE_HZ, 1)

    def decode(self, payload: NDArray[np.uint8], out: Sound) -> int:
        """Decode one packet; return its samples.

        payload  (bytes,) uint8
        out      (n, channels) float32, full scale 1.0
        """
        data, size = payload.ctypes.data, payload.size
        return int(self._decode(self._address, data, size, out.ctypes.data, len(out), 0))

    def conceal(self, samples: int, out: Sound) -> int:
        """Make up `samples`; return them or a negative result.

        out  (samples or more, channels) float32, full scale 1.0
        """
        return int(self._decode(self._address, None, 0, out.ctypes.data, samples, 0))


class Mute:
    """Our decoder, silent where a packet is lost."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(RATE_HZ, 1)
        self.decode = self._decoder.decode

    def conceal(self, samples: int, out: Sound) -> int:
        """Return silence for `samples`.

        out  (samples or more, channels) float32, full scale 1.0
        """
        self._decoder.conceal(samples, out)
        out[:samples] = 0.0
        return samples


class Interpolating:
    """Our decoder as the node uses it where the jitter buffer holds the packet after a hole."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(RATE_HZ, 1)
        self.decode = self._decoder.decode
        self.conceal = self._decoder.conceal

    def interpolate(
        self, payload: NDArray[np.uint8], hole: int, out: Sound, *, later: NDArray[np.uint8]
    ) -> int:
        """Fill the beginning of the hole before `payload`; note what that took.

        payload, later  (bytes,) uint8
        out             (n, channels) float32, full scale 1.0
        """
        begin = perf_counter()
        samples = self._decoder.interpolate(payload, hole, out, later=later)
        COSTS_S.append(perf_counter() - begin)
        return samples

    @property
    def final_range(self) -> int:
        """Range decoder's state after the last packet."""
        return self._decoder.final_range


Makers = dict[str, Callable[[], LossyDecoder]]


def run(arguments: list[str]) -> int:
    """Print the table (or JSON with `--json`); return 1 when we conceal worse than libopus."""
    parser = parser_of("opus_loss", __doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=count, default=SEEDS, help="draws of the losses (6)")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS))
    parser.add_argument("--shares", type=count, nargs="+", default=SHARES, help="percent")
    parser.add_argument("--mute", action="store_true", help="a decoder that fills with silence")
    parser.add_argument("--speech", type=Path, nargs="+", default=[SPEECH], metavar="FILE")
    options = parser.parse_args(arguments)
    if not _HAS_PESQ:
        print("opus_loss: NO PESQ: the package `pesq` is not installed (it needs a C compiler)")
    try:
        said = voices(options.speech)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    decoders = makers() | ({"mute": Mute} if options.mute else {})
    cells, broken = [], []
    for kind in options.only:
        for cell in measure(decoders, kind, said, options.shares, options.seeds):
            cells.append(cell)
            broken += judge(cell)
            if not options.json:
                _print(cell)
    if options.json:
        print(json.dumps([_as_json(cell) for cell in cells], indent=2))
    else:
        _print_verdict(cells)
    for line in broken:
        print(f"opus_loss: {line}")
    return 1 if broken else 0


def makers() -> Makers:
    """Return how to make each decoder that is compared."""
    found: Makers = {"ours": lambda: OpusDecoder(RATE_HZ, 1), INTERPOLATED: Interpolating}
    for name, library in libraries().items():
        found[f"libopus {name}"] = lambda library=library: Peer(library)  # type: ignore[misc]
    return found


class Cell:
    """One kind of stream under one kind of loss: figures of all decoders on all runs."""

    def __init__(self, kind: str, share: int, pattern: str) -> None:
        self.where = f"{kind:7} {share:3} % {pattern:6}"
        self.figures: dict[str, list[dict[str, float]]] = {}
        self.wrong_ranges = 0

    def mean(self, who: str, figure: str) -> float:
        """Return the mean figure of one decoder."""
        return float(np.mean([one[figure] for one in self.figures[who]]))

    def difference(self, who: str, other: str, figure: str) -> tuple[float, float]:
        """Return the mean of the paired differences and half of its 99 % interval."""
        from scipy.stats import t

        pairs = zip(self.figures[who], self.figures[other], strict=True)
        apart = np.array([mine[figure] - theirs[figure] for mine, theirs in pairs])
        if apart.size < 2:
            return float(apart.mean()), float("inf")
        error = apart.std(ddof=1) / np.sqrt(apart.size)
        return float(apart.mean()), float(t.ppf(0.5 + _SURE / 2, apart.size - 1) * error)


def losses(count: int, share: float, burst: float, rng: np.random.Generator) -> Lost:
    """Return which packets are lost: `share` of `count`, `burst` in a row on average.

    The result is (count,) bool, a flag for each packet.
    """
    lost = np.zeros(count, np.bool_)
    stay, fall = 1.0 - 1.0 / burst, share / burst / (1.0 - share)
    for i in range(3, count):  # the first packets give everybody something to go on from
        lost[i] = rng.random() < (stay if lost[i - 1] and burst > 1.0 else fall)
    return lost


def measure(who: Makers, kind: str, said: Voices, shares: Sequence[int], seeds: int) -> Any:
    """Return the cells of one kind of stream, one by one.

    said  (n,) int16 for each voice, full scale 32768
    """
    streams = list(encoded(kind, said))
    whole = {
        name: [
            sound(make(), packets, np.zeros(len(packets), np.bool_))[0] for _, packets in streams
        ]
        for name, make in who.items()
    }
    for burst, pattern in ((1.0, "random"), (BURST_PACKETS, "bursts")):
        for share in shares:
            cell = Cell(kind, share, pattern)
            cell.figures = {name: [] for name in who}
            for number, (_, packets) in enumerate(streams):
                for seed in range(seeds):
                    rng = np.random.default_rng([number, seed, share, int(burst)])
                    lost = losses(len(packets), share / 100, burst, rng)
                    if not lost.any():
                        continue
                    for name, make in who.items():
                        got, wrong = sound(make(), packets, lost)
                        cell.figures[name].append(figures(whole[name][number], got))
                        cell.wrong_ranges += wrong
            yield cell


def sound(decoder: LossyDecoder, packets: Packets, lost: Lost) -> tuple[Sound, int]:
    """Return the sound, and how many received packets came out with a wrong final range.

    lost  (packets,) bool, a flag for each

    The sound is (n,) float32, full scale 1.0.
    """
    out = np.zeros((5760, 1), np.float32)
    parts, wrong, samples = [], 0, 960
    ends = _hole_ends(lost)
    for i, ((payload, final_range), gone) in enumerate(zip(packets, lost, strict=True)):
        end = ends[i]
        if gone and end < len(packets) and isinstance(decoder, Interpolating):
            later = packets[end + 1][0] if end + 1 < len(packets) and not lost[end + 1] else _NONE
            hole = (end - i) * samples
            decoder.interpolate(packets[end][0], hole, out[:samples], later=later)
        elif gone:
            decoder.conceal(samples, out)
        else:
            samples = decoder.decode(payload, out)
            wrong += getattr(decoder, "final_range", final_range) != final_range
        parts.append(out[:samples, 0].copy())
    return np.concatenate(parts), wrong


def _hole_ends(lost: Lost) -> list[int]:
    """Return for each packet the next one that is not lost, itself if it is not."""
    ends, end = [], len(lost)
    for i in range(len(lost) - 1, -1, -1):
        end = end if lost[i] else i
        ends.append(end)
    return ends[::-1]


def figures(wanted: Sound, got: Sound) -> dict[str, float]:
    """Return the figures of one run: PESQ-WB where it can be had, STOI, official quality.

    wanted, got  (n,) float32, full scale 1.0
    """
    from pystoi import stoi
    from scipy.signal import resample_poly

    found: dict[str, float] = {}
    reference, degraded = (resample_poly(one, 1, 3).astype(np.float32) for one in (wanted, got))
    if _HAS_PESQ:
        from pesq import pesq

        found["PESQ"] = float(pesq(RATE_HZ // 3, reference, degraded, "wb"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found["STOI"] = float(stoi(reference, degraded, RATE_HZ // 3))
    found["quality"] = quality(wanted.reshape(-1, 1), got.reshape(-1, 1))
    return found


def judge(cell: Cell) -> list[str]:
    """Return what is worse than it may be."""
    broken = []
    peers = [who for who in cell.figures if who.startswith("libopus")]
    for ours, figure in product(("ours", INTERPOLATED), FIGURES):
        below = []
        for other in peers:
            if figure in cell.figures[ours][0]:
                apart, half = cell.difference(ours, other, figure)
                if apart + half < -FIGURES[figure]:
                    where = f"{cell.where}: {ours}: {figure}"
                    below.append(f"{where} {apart:.4f} +- {half:.4f} below {other}")
        if figure != "quality" or len(below) == len(peers):
            broken += below
    if cell.wrong_ranges:
        broken.append(f"{cell.where}: {cell.wrong_ranges} wrong final ranges after losses")
    return broken


def _print(cell: Cell) -> None:
    for who in cell.figures:
        parts = [f"  {cell.where}  {who:16}"]
        for figure in cell.figures[who][0]:
            places = 1 if figure == "quality" else 4
            parts.append(f"{figure} {cell.mean(who, figure):8.{places}f}")
            if who != INTERPOLATED:
                apart, half = cell.difference(INTERPOLATED, who, figure)
                parts.append(f"(we {apart:+8.{places}f} +-{half:7.{places}f})")
            else:
                parts.append(" " * 23)
        print("  ".join(parts), flush=True)


def _print_verdict(cells: list[Cell]) -> None:
    """Print in how many cells interpolation is surely above, level with and below each other."""
    others = [who for who in cells[0].figures if who not in (INTERPOLATED, "mute")]
    for who, figure in product(others, FIGURES):
        if figure not in cells[0].figures[INTERPOLATED][0]:
            continue
        found = [cell.difference(INTERPOLATED, who, figure) for cell in cells]
        above = sum(apart - half > FIGURES[figure] for apart, half in found)
        below = sum(apart + half < -FIGURES[figure] for apart, half in found)
        lower = sum(apart < 0 for apart, _ in found)
        print(
            f"  interpolated beside {who:16} {figure:8} surely above in {above:2} of {len(found)}"
            f" cells, surely below in {below}; mean below in {lower}"
        )
    if COSTS_S:
        half, most, worst = 1000 * np.percentile(COSTS_S, [50, 99, 100])
        print(f"  interpolated: {half:.2f} ms per lost packet, p99 {most:.2f}, worst {worst:.2f}")


def _as_json(cell: Cell) -> dict[str, Any]:
    return {
        "where": cell.where,
        "figures": {
            who: {figure: cell.mean(who, figure) for figure in cell.figures[who][0]}
            for who in cell.figures
        },
    }
