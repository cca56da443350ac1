"""The adaptive mode as the horn has it: a whole node, its 10 ms card, what WSOLA really does.

`playout` takes time-scale modification to do exactly what it is asked. Here speech goes through
`SpeakerNode` with its own decoder packet by packet, and the journal says when each chunk really
left. PESQ and STOI cannot judge another tempo, so what listeners would notice is measured apart:
how long which tempo plays, clicks, and pitch where the tempo was another. A click of playout's is a
sample step above those of the sound that the decoder gave; what losses make of that is the
decoder's, and has a figure of its own.
"""

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.opus.opus_speech import encoded, voices
from benchmarks.playout.playout_drive import SKIPPED_MS, Trace
from node.config import JitterConfig, NodeConfig
from node.counters import Origin
from node.kernel.record import new
from node.opus.decoder import OpusDecoder
from node.opus.protocol import Decoder
from node.rtp import packet
from node.source.state import Played
from node.stack import SpeakerNode
from node.units import RATE_HZ, SAMPLES_PER_MS, ns_to_samples

PERIOD: Final = 480
FRAME: Final = 960
J_MS_PER_PCT: Final = 200.0
_START_NS: Final = 3_000_000_000
_SENDER: Final = ("10.0.0.1", 5004)
_KEPT: Final = ("media", "samples", "origin", "presentation_ns")
_MADE_UP: Final = (int(Origin.CONCEALED), int(Origin.FADED), int(Origin.SILENT))

_SLOW: Final = 0.6
"""A chunk that plays at less than so much of its tempo counts as half speed: a stall."""

_STEADY: Final = 0.01
_STEP_MIN: Final = 0.01
"""Below it (-40 dBFS) no step is a click."""
_SEAM: Final = 2
"""Samples before a chunk that are looked at with it."""

_F0_HZ: Final = (70, 400)
_F0_WINDOW: Final = 2048
_VOICED: Final = 0.8
"""Normalised autocorrelation from which a window has a pitch worth comparing."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one trace sounded like."""

    j: float
    mean_ms: float
    above_loss_pct: float
    steady_pct: float
    """Share of the played speech at its own tempo, within 1 %."""
    faster_pct: float
    slower_pct: float
    half_speed_pct: float
    """Of the slower ones, those below 0.6 of the tempo."""
    half_speed_longest_ms: float
    exact_pct: float
    """Share of the packets played that the decoder gave as it would have without loss or wait."""
    decoder_step_ratio: float
    """Largest step of a packet as the decoder gave it, over that of its own 60 ms of speech."""
    step_ratio: float
    """Largest step of a chunk as it was heard, its seam with the last one included, over that of
    what the decoder gave for it and the two before, which it may be joined to or stretched by."""
    pitch_cents_p50: float
    pitch_cents_p95: float
    """Deviation of the pitch where the tempo was another."""


def hear(trace: Trace, *, wav: Path | None = None, wav_s: tuple[int, int] = (60, 120)) -> Heard:
    """Play speech over one trace of 20 ms packets to a node, and judge what left its card."""
    payloads = [payload for _, packets in encoded("SILK", voices()) for payload, _ in packets]
    said = _decoded(payloads, trace.media.size)
    given: list[NDArray[np.float32]] = []
    node = SpeakerNode(
        NodeConfig(name="n", jitter=JitterConfig(mode="adaptive")),
        decoder_factory=lambda rate_hz, channels: _Heeded(OpusDecoder(rate_hz, channels), given),
    )
    sound, rows = _play(node, trace, payloads)
    if wav is not None:
        _write(wav.with_name(f"{wav.stem}_said.wav"), said, wav_s)
        _write(wav.with_name(f"{wav.stem}_heard.wav"), sound, wav_s)
    return _judge(trace, said, sound, rows, given)


class _Heeded:
    """A decoder, and what it gave, call by call: mono."""

    def __init__(self, decoder: Decoder, given: list[NDArray[np.float32]]) -> None:
        self.rate_hz, self.channels = decoder.rate_hz, decoder.channels
        self._decoder, self._given = decoder, given
        self.remember, self.go_back, self.reset = decoder.remember, decoder.go_back, decoder.reset

    @property
    def final_range(self) -> int:
        return self._decoder.final_range

    def decode(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        return self._keep(self._decoder.decode(payload, out), out)

    def conceal(self, samples: int, out: NDArray[np.float32]) -> int:
        return self._keep(self._decoder.conceal(samples, out), out)

    def decode_fec(self, payload: NDArray[np.uint8], out: NDArray[np.float32]) -> int:
        return self._keep(self._decoder.decode_fec(payload, out), out)

    def interpolate(
        self,
        payload: NDArray[np.uint8],
        hole: int,
        out: NDArray[np.float32],
        *,
        later: NDArray[np.uint8],
    ) -> int:
        return self._keep(self._decoder.interpolate(payload, hole, out, later=later), out)

    def copy(self) -> Decoder:
        return _Heeded(self._decoder.copy(), self._given)

    def _keep(self, samples: int, out: NDArray[np.float32]) -> int:
        self._given.append(out[:samples, 0].copy())
        return samples


def _decoded(payloads: list[NDArray[np.uint8]], packets: int) -> NDArray[np.float32]:
    decoder = OpusDecoder(RATE_HZ, 1)
    said = np.zeros((packets * FRAME, 1), np.float32)
    for i in range(packets):
        decoder.decode(payloads[i % len(payloads)], said[i * FRAME : (i + 1) * FRAME])
    return said[:, 0]


def _play(
    node: SpeakerNode, trace: Trace, payloads: list[NDArray[np.uint8]]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the sound, and the journal: media time, samples, origin, sample of the output."""
    came = np.flatnonzero(trace.arrival_ns >= 0)
    order = came[np.argsort(trace.arrival_ns[came], kind="stable")].tolist()
    periods = int(trace.arrival_ns.max() // 10_000_000) + 100
    sound = np.zeros((periods * PERIOD, 1), np.float32)
    rows = new(Played, 4096)
    journal = []
    taken = 0
    for k in range(periods):
        now_ns = k * 10_000_000
        while taken < len(order) and trace.arrival_ns[order[taken]] <= now_ns:
            one = order[taken]
            data = packet.build(
                bytes(payloads[one % len(payloads)]),
                sequence=one & 0xFFFF,
                timestamp=one * FRAME & 0xFFFF_FFFF,
                ssrc=7,
                payload_type=96,
                marker=one == 0,
            )
            node.receive_datagram(data, _SENDER, _START_NS + int(trace.arrival_ns[one]))
            taken += 1
        node.render(sound[k * PERIOD : (k + 1) * PERIOD], _START_NS + now_ns)
        count = node.take_journal(rows)
        journal.append(np.stack([rows[name][:count] for name in _KEPT], axis=1))
    found = np.concatenate(journal)
    found[:, 3] = ns_to_samples(found[:, 3] - _START_NS)
    return sound[:, 0], found


def _judge(
    trace: Trace,
    said: NDArray[np.float32],
    sound: NDArray[np.float32],
    rows: NDArray[np.int64],
    given: list[NDArray[np.float32]],
) -> Heard:
    lengths = np.diff(rows[:, 3], append=rows[-1, 3] + rows[-1, 1])
    # What is made up after the last packet is the end of the trace, and nobody's fault.
    is_over = rows[:, 0] >= int(trace.media[-1]) + FRAME
    judged = (rows[:, 0] >= SKIPPED_MS * SAMPLES_PER_MS) & ~is_over
    is_real = (rows[:, 2] == int(Origin.RECEIVED)) & judged
    real = rows[is_real]
    held_ms = (real[:, 3] - real[:, 0] - trace.fastest) / SAMPLES_PER_MS
    frames = int(trace.judged.sum()) * FRAME
    made_up = int(rows[judged & np.isin(rows[:, 2], _MADE_UP), 1].sum())
    missing = frames - np.unique(real[:, 0]).size * FRAME
    above = max(0.0, 100.0 * max(made_up, missing) / frames - trace.network_loss_pct)
    tempo = real[:, 1] / np.maximum(lengths[is_real], 1)
    # A chunk before a pause of the node itself ends where the pause begins: not a tempo.
    slow = (tempo < _SLOW) & (tempo > 0.3)
    cents = _pitch_cents(said, sound, real, tempo)
    decoded = rows[:, 2] != int(Origin.SILENT)
    assert len(given) == np.count_nonzero(decoded), "every chunk but silence is a decoder's"
    exact_pct, decoder_step = _as_said(said, rows[decoded], given, judged[decoded])
    return Heard(
        j=float(held_ms.mean()) + J_MS_PER_PCT * above,
        mean_ms=float(held_ms.mean()),
        above_loss_pct=above,
        steady_pct=100.0 * float(np.mean(np.abs(tempo - 1) <= _STEADY)),
        faster_pct=100.0 * float(np.mean(tempo > 1 + _STEADY)),
        slower_pct=100.0 * float(np.mean(tempo < 1 - _STEADY)),
        half_speed_pct=100.0 * float(np.mean(slow)),
        half_speed_longest_ms=_longest_ms(slow, lengths[is_real]),
        exact_pct=exact_pct,
        decoder_step_ratio=decoder_step,
        step_ratio=_step_ratio(sound, rows[decoded], given, judged[decoded]),
        pitch_cents_p50=float(np.quantile(cents, 0.5)) if cents.size else 0.0,
        pitch_cents_p95=float(np.quantile(cents, 0.95)) if cents.size else 0.0,
    )


def _longest_ms(slow: NDArray[np.bool_], lengths: NDArray[np.int64]) -> float:
    longest = now = 0
    for is_slow, length in zip(slow, lengths, strict=True):
        now = now + int(length) if is_slow else 0
        longest = max(longest, now)
    return longest / SAMPLES_PER_MS


def _as_said(
    said: NDArray[np.float32],
    rows: NDArray[np.int64],
    given: list[NDArray[np.float32]],
    judged: NDArray[np.bool_],
) -> tuple[float, float]:
    """Return how many packets are as `said`, in per cent, and the largest step of one over its."""
    steps_said = np.abs(np.diff(said))
    is_real = judged & (rows[:, 2] == int(Origin.RECEIVED))
    exact, ratio = 0, 0.0
    for at in np.flatnonzero(is_real).tolist():
        media, sound = int(rows[at, 0]), given[at]
        exact += np.array_equal(sound, said[media : media + sound.size])
        own = float(steps_said[max(0, media - FRAME) : media + 2 * FRAME].max(initial=_STEP_MIN))
        ratio = max(ratio, _largest_step(sound) / own)
    return 100.0 * exact / max(1, int(is_real.sum())), ratio


def _step_ratio(
    sound: NDArray[np.float32],
    rows: NDArray[np.int64],
    given: list[NDArray[np.float32]],
    judged: NDArray[np.bool_],
) -> float:
    """Return the largest step of any chunk over the largest of the sound that it was made from."""
    ends = np.append(rows[1:, 3], sound.size)
    ratio = 0.0
    for i in np.flatnonzero(judged & (rows[:, 2] == int(Origin.RECEIVED))).tolist():
        # Times in the journal are in ns, so a seam may lie a sample off; the seam with the next
        # chunk is that one's.
        begin, end = int(rows[i, 3]) - _SEAM, min(int(ends[i]), int(rows[i, 3]) + 4 * FRAME) - _SEAM
        own = max(_STEP_MIN, *(_largest_step(one) for one in given[max(0, i - 2) : i + 1]))
        ratio = max(ratio, _largest_step(sound[begin:end]) / own)
    return ratio


def _largest_step(sound: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(sound)).max(initial=0.0))


def _pitch_cents(
    said: NDArray[np.float32],
    sound: NDArray[np.float32],
    real: NDArray[np.int64],
    tempo: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return how far the pitch is off, in cents, where both sides have one and tempo differs."""
    found = []
    for row in real[np.abs(tempo - 1) > _STEADY]:
        media, at = int(row[0]), int(row[3])
        if max(media + _F0_WINDOW - said.size, at + _F0_WINDOW - sound.size) > 0:
            continue
        before = _f0_hz(said[media : media + _F0_WINDOW])
        after = _f0_hz(sound[at : at + _F0_WINDOW])
        if before and after:
            # The autocorrelation may take two periods for one: an octave is no deviation.
            off = abs(1200 * np.log2(after / before)) % 1200
            found.append(min(off, 1200 - off))
    return np.array(found)


def _f0_hz(window: NDArray[np.float32]) -> float:
    """Return the pitch of a window by autocorrelation and a parabola; 0 when it has none."""
    x = window.astype(np.float64) - window.mean()
    if float(np.mean(x * x)) < 1e-5:
        return 0.0
    spectrum = np.fft.rfft(x, 2 * x.size)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: x.size]
    squares = np.concatenate(([0.0], np.cumsum(x * x)))
    lags = np.arange(RATE_HZ // _F0_HZ[1], RATE_HZ // _F0_HZ[0])
    energy = np.sqrt(squares[x.size - lags] * (squares[-1] - squares[lags]))
    alike = correlation[lags] / np.maximum(energy, 1e-12)
    best = int(np.argmax(alike))
    if alike[best] < _VOICED or not 0 < best < lags.size - 1:
        return 0.0
    left, mid, right = alike[best - 1 : best + 2]
    shift = 0.5 * (left - right) / min(left - 2 * mid + right, -1e-12)
    return RATE_HZ / float(lags[best] + shift)


def _write(path: Path, sound: NDArray[np.float32], seconds: tuple[int, int]) -> None:
    part = sound[seconds[0] * RATE_HZ : seconds[1] * RATE_HZ]
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes((np.clip(part, -1, 1) * 32767).astype("<i2").tobytes())


def print_whole_node(traces: list[tuple[Trace, float]]) -> None:
    """Print each trace through the whole node beside the kernel's own J, given with it."""
    print("\nwhole node, 10 ms card, speech, WSOLA as it really stretches; kernel: J of `playout`")
    print(
        f"  {'':24}{'kernel':>7}{'node J':>8}{'mean':>6} ms{'conc.+':>7} %"
        f"{'own tempo':>11}{'faster':>8}{'slower':>8}{'half':>6} %{'longest':>9} ms"
        f"{'pitch p50':>11}{'p95':>5} cents{'exact':>7} %{'step':>6}{'decoder':>9}"
    )
    for trace, kernel_j in traces:
        wav = Path("out") / f"playout_{trace.name}.wav"
        one = hear(trace, wav=wav)
        print(
            f"  {trace.name[:24]:24}{kernel_j:7.0f}{one.j:8.0f}{one.mean_ms:6.0f}   "
            f"{one.above_loss_pct:7.2f}  {one.steady_pct:11.1f}{one.faster_pct:8.1f}"
            f"{one.slower_pct:8.1f}{one.half_speed_pct:6.1f}  {one.half_speed_longest_ms:9.0f}   "
            f"{one.pitch_cents_p50:11.1f}{one.pitch_cents_p95:5.0f}      {one.exact_pct:7.2f}  "
            f"{one.step_ratio:6.2f}{one.decoder_step_ratio:9.2f}"
        )
    print("  to listen: out/playout_*_said.wav and _heard.wav, the second minute of each")
