"""Mutated and random packets through our Opus decoder: nothing breaks, and libopus agrees.

Each packet is refused, or lasts as long, exactly as with libopus. The first `--beside` of them are
decoded by libopus too, with the same history: results and final ranges must be equal. No sample is
beyond 8.0 or not a number, nothing is written behind the end of the output, and no packet takes
longer than 10 ms of CPU time. With LOALANG_BOUNDSCHECK=1 every index is checked too; with
LOALANG_JIT=0 the same packets run uncompiled, where Python checks what wraps.

Options: `--packets N` (default 100000), `--beside N` (default 100000), `--seed N`.
"""

import ctypes
import os
import time
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from opuslib_next.api import libopus

from benchmarks.options import count, parser_of
from benchmarks.opus.opus import streams
from node.kernel.decorator import BOUNDS_CHECKED, JIT_ENABLED, kernel
from node.opus.decoder import RATES_HZ, OpusDecoder
from node.opus.libopus import LibopusDecoder
from node.opus.packet import packet_samples

PEAK_MAX: Final = 8.0
TIME_MAX_MS: Final = 10.0
_IS_TIMED: Final = JIT_ENABLED and not BOUNDS_CHECKED
_BATCH_PACKETS: Final = 20_000
_RESTART_PACKETS: Final = 400
_LOSE: Final = 20
"""One packet in so many follows on one that is lost; as many are asked for their copy of the one
before, and as many end a hole that is interpolated to them where libopus conceals."""
_LOSSES: Final = range(3)
_LOST, _COPIED, _LED_OVER = _LOSSES
_CHANGES_MAX: Final = 3
_RANDOM_BYTES_MAX: Final = 200
_CORPUS_PER_STREAM: Final = 200
_FENCE_ROWS: Final = 16
_FENCE: Final = np.float32(1234.5)
_BAD_PAYLOAD: Final = -4
_KINDS: Final = 8
_FROM_NOWHERE, _OTHER_TOC, _CUT, _FRAMED = 0, 1, 2, 3

_parse = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, *[ctypes.c_void_p] * 4)(
    ("opus_packet_parse", libopus)
)
_count = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int32, ctypes.c_int32)(
    ("opus_packet_get_nb_samples", libopus)
)
_SIZES: Final = (ctypes.c_int16 * 48)()
_SIZES_AT: Final = ctypes.addressof(_SIZES)


@dataclass(slots=True)
class Tally:
    """What came out so far, and the worst of it."""

    packets: int = 0
    refused: int = 0
    broken_inside: int = 0
    unlike_framing: int = 0
    interpolated: int = 0
    beside: int = 0
    unlike_result: int = 0
    unlike_range: int = 0
    wild: int = 0
    peak: float = 0.0
    longest_ms: float = 0.0
    timed_again: int = 0

    def is_bad(self) -> bool:
        """Return whether a bound is broken."""
        unlike = self.unlike_framing + self.unlike_result + self.unlike_range
        is_slow = self.longest_ms > TIME_MAX_MS and _IS_TIMED
        return unlike + self.wild > 0 or is_slow


def run(arguments: list[str]) -> int:
    """Print what was decoded and the worst of everything; return 1 when a bound is broken."""
    parser = parser_of("opus_fuzz", __doc__)
    parser.add_argument("--packets", type=count, default=100_000)
    parser.add_argument("--beside", type=int, default=100_000, help="of them beside libopus")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    packets, beside = options.packets, options.beside
    rng = np.random.default_rng(options.seed)
    corpus = Corpus()
    tally = Tally()
    if not JIT_ENABLED:
        warnings.simplefilter("error")  # numpy warns where an integer does not fit
    started = time.process_time()
    while tally.packets < packets:
        some = min(_BATCH_PACKETS, packets - tally.packets)
        _run_batch(corpus.mutated(rng, some), rng, beside, tally)
    checks = [name for name in ("LOALANG_BOUNDSCHECK", "LOALANG_JIT") if name in os.environ]
    print(" ".join(f"{name}={os.environ[name]}" for name in checks) or "compiled")
    print(
        f"{tally.packets} packets: {tally.refused} refused, {tally.broken_inside} broken inside, "
        f"{tally.unlike_framing} framed unlike libopus, {tally.wild} beyond {PEAK_MAX} or outside "
        f"the output (peak {tally.peak:.2f}), longest {tally.longest_ms:.1f} ms "
        f"({tally.timed_again} timed again), {tally.interpolated} holes interpolated; "
        f"{tally.beside} beside libopus: {tally.unlike_result} results and "
        f"{tally.unlike_range} final ranges unlike; {time.process_time() - started:.0f} s CPU"
    )
    return 1 if tally.is_bad() else 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Packets one behind the other: packet i is data[begins[i] : begins[i] + sizes[i]]."""

    data: NDArray[np.uint8]
    begins: list[int]
    sizes: list[int]

    def payload(self, i: int) -> NDArray[np.uint8]:
        """Return packet i: (n,) uint8, its bytes."""
        return self.data[self.begins[i] : self.begins[i] + self.sizes[i]]


class Corpus:
    """Recorded packets, all in one array, from which mutated ones are cut."""

    def __init__(self) -> None:
        packets = [one for _, found in streams("") for one, _ in found[:_CORPUS_PER_STREAM]]
        self._sizes = np.array([one.size for one in packets])
        self._begins = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        self._data = np.concatenate(packets)

    def mutated(self, rng: np.random.Generator, count: int) -> Batch:
        """Return packets with bytes changed, cut or framed anew, and bytes from nowhere."""
        kinds = rng.integers(0, _KINDS, count)
        chosen = rng.integers(0, len(self._sizes), count)
        sizes = self._sizes[chosen]
        cut = kinds == _CUT
        sizes[cut] = rng.integers(0, sizes[cut] + 1)
        nowhere = kinds == _FROM_NOWHERE
        sizes[nowhere] = rng.integers(0, _RANDOM_BYTES_MAX, np.count_nonzero(nowhere))
        begins = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        within = np.arange(sizes.sum()) - np.repeat(begins, sizes)
        data = rng.integers(0, 256, within.size, np.uint8)
        kept = np.repeat(~nowhere, sizes)
        origin = np.repeat(self._begins[chosen], sizes) + within
        data[kept] = self._data[origin[kept]]
        some = np.flatnonzero(sizes > 0)
        self._change(rng, data, begins[some], sizes[some], kinds[some])
        return Batch(data, begins.tolist(), sizes.tolist())

    @staticmethod
    def _change(
        rng: np.random.Generator,
        data: NDArray[np.uint8],
        begins: NDArray[np.int64],
        sizes: NDArray[np.int64],
        kinds: NDArray[np.int64],
    ) -> None:
        """Overwrite up to three bytes of each packet, and the header of some."""
        wanted = rng.integers(0, _CHANGES_MAX + 1, begins.size)
        for change in range(_CHANGES_MAX):
            at = begins + rng.integers(0, sizes)
            at = at[wanted > change]
            data[at] = rng.integers(0, 256, at.size, np.uint8)
        other = begins[kinds == _OTHER_TOC]
        data[other] = rng.integers(0, 256, other.size, np.uint8)
        framed = begins[(kinds == _FRAMED) & (sizes > 1)]
        data[framed] |= 3  # code 3: count, padding and sizes follow
        data[framed + 1] = rng.integers(0, 256, framed.size, np.uint8)


@kernel("float64(float32[:, ::1], int64, int64)")
def _loudest(room: NDArray[np.float32], samples: int, fence: int) -> float:
    """Return the peak of `samples` rows; infinity for no number or where the fence is broken."""
    loudest = 0.0
    for c in range(room.shape[1]):
        for i in range(samples):
            value = abs(room[i, c])
            if not value <= loudest:
                loudest = float(value)
                if not value <= 1e30:
                    return np.inf
        for i in range(fence, room.shape[0]):
            if room[i, c] != 1234.5:
                return np.inf
    return loudest


class _Pair:
    """Our decoder and libopus's of one rate and channel count, and a fenced output of ours."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.ours = OpusDecoder(rate_hz, channels)
        self.theirs = LibopusDecoder(rate_hz, channels)
        self.rows = rate_hz * 120 // 1000
        self.room = np.full((self.rows + _FENCE_ROWS, channels), _FENCE, np.float32)
        self.out = self.room[: self.rows]
        self.their_out = np.zeros((self.rows, channels), np.float32)
        self.lost = rate_hz // 50

    def reset(self) -> None:
        self.ours.reset()
        self.theirs.reset()


_PAIRS: Final = {
    (rate, channels): _Pair(rate, channels) for rate in RATES_HZ for channels in (1, 2)
}


def _run_batch(batch: Batch, rng: np.random.Generator, beside: int, tally: Tally) -> None:
    """Decode the packets of `batch` one after the other, with losses in between."""
    tasks = rng.integers(0, _LOSE, len(batch.sizes)).tolist()
    address = batch.data.ctypes.data
    pair = next(iter(_PAIRS.values()))
    for i, (begin, size) in enumerate(zip(batch.begins, batch.sizes, strict=True)):
        if i % _RESTART_PACKETS == 0:
            key = int(rng.choice(RATES_HZ)), int(rng.integers(1, 3))
            pair = _PAIRS[key]
            pair.reset()
        payload = batch.payload(i)
        samples = packet_samples(batch.data, begin, size)
        tally.unlike_framing += max(samples, -1) != max(_libopus_samples(address + begin, size), -1)
        started = time.process_time()
        made = pair.ours.decode(payload, pair.out)
        taken_ms = (time.process_time() - started) * 1000
        if taken_ms > TIME_MAX_MS and _IS_TIMED:
            taken_ms = _taken_again_ms(pair, batch, tasks, i)
            tally.timed_again += 1
        tally.longest_ms = max(tally.longest_ms, taken_ms)
        tally.refused += samples < 0
        tally.broken_inside += made < 0 <= samples
        tally.unlike_framing += (made == _BAD_PAYLOAD) != (samples < 0)
        if tally.packets < beside:
            _compare(pair, payload, made, tally)
        _check(pair, made, tally)
        if tasks[i] in _LOSSES:
            later = batch.payload(min(i + 1, len(batch.sizes) - 1))
            _lose(pair, payload, later, tasks[i], tally, is_beside=tally.packets < beside)
        tally.packets += 1


def _compare(pair: _Pair, payload: NDArray[np.uint8], made: int, tally: Tally) -> None:
    """Give libopus the same packet after the same history."""
    theirs = pair.theirs.decode(payload, pair.their_out)
    tally.beside += 1
    if theirs != made:
        tally.unlike_result += 1
    elif made > 0 and pair.ours.final_range != pair.theirs.final_range:
        tally.unlike_range += 1


def _check(pair: _Pair, made: int, tally: Tally) -> None:
    loudest = _loudest(pair.room, max(made, 0), pair.rows)
    tally.wild += not loudest <= PEAK_MAX
    tally.peak = max(tally.peak, loudest)


def _lose(
    pair: _Pair,
    payload: NDArray[np.uint8],
    later: NDArray[np.uint8],
    task: int,
    tally: Tally,
    *,
    is_beside: bool,
) -> None:
    """Lose 20 ms, or up to 60 that are interpolated to `payload`, here and with libopus."""
    if task != _LED_OVER:
        _check(pair, _fill(pair.ours, payload, task, pair.out[: pair.lost]), tally)
        if is_beside:
            _fill(pair.theirs, payload, task, pair.their_out[: pair.lost])
        return
    state = pair.ours.state()
    parts = _parts(pair, payload)
    taken_ms = _lead_over_ms(pair, payload, later, parts, tally)
    if taken_ms > TIME_MAX_MS and _IS_TIMED:
        pair.ours.restore(state)
        taken_ms = _lead_over_ms(pair, payload, later, parts, tally)
        tally.timed_again += 1
    tally.longest_ms = max(tally.longest_ms, taken_ms)
    tally.interpolated += 1
    for _, rows in parts if is_beside else []:
        _fill(pair.theirs, payload, _LOST, pair.their_out[:rows])


def _parts(pair: _Pair, payload: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return a hole of 10 to 60 ms before `payload` as parts of 20 ms: what is left, and rows."""
    hole = pair.lost * (1 + payload.size % 6) // 2
    return [(hole - at, min(pair.lost, hole - at)) for at in range(0, hole, pair.lost)]


def _lead_over_ms(
    pair: _Pair,
    payload: NDArray[np.uint8],
    later: NDArray[np.uint8],
    parts: list[tuple[int, int]],
    tally: Tally,
) -> float:
    """Fill a hole part by part; return the CPU time of the longest."""
    longest_ms = 0.0
    for left, rows in parts:
        started = time.process_time()
        made = pair.ours.interpolate(payload, left, pair.out[:rows], later=later)
        longest_ms = max(longest_ms, (time.process_time() - started) * 1000)
        tally.unlike_result += made != rows
        _check(pair, made, tally)
    return longest_ms


def _fill(
    decoder: OpusDecoder | LibopusDecoder,
    payload: NDArray[np.uint8],
    task: int,
    out: NDArray[np.float32],
) -> int:
    """Conceal, or fill `out` from the copy in `payload`."""
    return decoder.conceal(len(out), out) if task == _LOST else decoder.decode_fec(payload, out)


def _taken_again_ms(pair: _Pair, batch: Batch, tasks: list[int], last: int) -> float:
    """Return what packet `last` takes after the same history, done again.

    Virtual machines count as a process's CPU time what their host took away from them.
    """
    decoder = OpusDecoder(pair.ours.rate_hz, pair.ours.channels)
    out = np.zeros_like(pair.out)
    taken_ms = 0.0
    for i in range(last - last % _RESTART_PACKETS, last + 1):
        payload = batch.payload(i)
        started = time.process_time()
        decoder.decode(payload, out)
        taken_ms = (time.process_time() - started) * 1000
        if tasks[i] == _LED_OVER:
            later = batch.payload(min(i + 1, len(batch.sizes) - 1))
            for left, rows in _parts(pair, payload):
                decoder.interpolate(payload, left, out[:rows], later=later)
        elif tasks[i] in _LOSSES:
            _fill(decoder, payload, tasks[i], out[: pair.lost])
    return taken_ms


def _libopus_samples(address: int, size: int) -> int:
    if _parse(address, size, None, None, _SIZES_AT, None) < 0:
        return _BAD_PAYLOAD
    return int(_count(address, size, 48_000))
