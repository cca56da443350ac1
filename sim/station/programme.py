"""The station: a real sound file, encoded once by libopus, in paced RTP packets for ever.

```
capture   |---- packet 0 ----|---- packet 1 ----|
sent                          ^+pacing           ^+pacing
media time                    0                  1 packet       as `loalang-send` reports it
```

True time 0 is the capture of the first sample.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import opuslib_next
import soxr
from numpy.typing import NDArray
from opuslib_next.api import ctl, encoder

from node.audio.gain import gain_of_db
from node.audio.loudness import LoudnessMeter, normalising_gain_db
from node.config import ConfigError
from node.rtp import packet
from node.rtp.rtcp_packet import SenderReport
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, SAMPLES_PER_MS, samples_to_ns
from sim.chance.rng import Purpose, between, raw_draws, stream
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.sender.stream import SEQUENCE_BITS, LiveSender
from sim.village.sender_config import SenderConfig

PAYLOAD_TYPE: Final = 96
ADDRESS: Final = ("10.0.0.1", 5004)

SENDER_CLOCK_NS: Final = 1_000_000 * NS_PER_S
"""What the station's clock shows at true time 0."""

UDP_BYTES: Final = 28
"""IPv4 and UDP headers, which the data budget of a SIM also pays."""

LIMIT_DBTP: Final = -1.0
"""Highest true peak of a programme that was normalised (EBU R 128)."""

_SOUND_S_MAX: Final = 600
_APPLICATIONS: Final = {
    "voip": opuslib_next.APPLICATION_VOIP,
    "audio": opuslib_next.APPLICATION_AUDIO,
}


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """An encoded sound file, played in a loop."""

    payloads: tuple[bytes, ...]
    packet_ms: int
    look_ahead_samples: int
    """Decoded media time t is what was captured so much earlier."""

    lows: tuple[bytes, ...] = ()
    """The packets at a low rate for copies (`sim.sender.sound.copy_encoder`); empty: no copies."""


@dataclass(frozen=True, slots=True, eq=False)
class Sending:
    """Packets that the station sends within one chunk of time."""

    first: int
    """Number of the first of them since the start of the run."""

    datagrams: list[bytes]
    send_ns: NDArray[np.int64]
    more_bits: NDArray[np.int64] | None = None
    """(n,) int64: how much copies of others add to each; None: nothing."""

    @property
    def stream_bytes(self) -> int:
        """What they are on the link, headers of IPv4 and UDP included."""
        return sum(map(len, self.datagrams)) + UDP_BYTES * len(self.datagrams)


def read_sound(path: Path) -> NDArray[np.float64]:
    """Return the sound of a file as mono at 48 kHz: (n,) float64, full scale 1.0.

    Raises
    ------
    ConfigError
        When nothing in it can be decoded, or it is longer than ten minutes.
    """
    parts: list[NDArray[np.float64]] = []
    rate_hz = 0
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            resampler = av.AudioResampler(format="dbl", layout="mono")
            for frame in container.decode(audio=0):
                rate_hz = frame.sample_rate
                parts += [one.to_ndarray()[0] for one in resampler.resample(frame)]
                if sum(map(len, parts)) > _SOUND_S_MAX * rate_hz:
                    raise ConfigError(f"{path}: longer than {_SOUND_S_MAX} s; a shorter one loops")
    except (av.FFmpegError, IndexError, OSError) as fault:
        raise ConfigError(f"{path}: no sound that can be decoded ({fault})") from fault
    if not parts:
        raise ConfigError(f"{path}: holds no sound")
    sound = np.concatenate(parts)
    return sound if rate_hz == RATE_HZ else soxr.resample(sound, rate_hz, RATE_HZ, "HQ")


def encode(path: Path, config: SenderConfig) -> Programme:
    """Encode a sound file into the packets of one loop.

    Raises
    ------
    ConfigError
        When the file cannot be read or is shorter than one packet.
    """
    sound = read_sound(path)
    if config.target_lufs is not None:
        sound = normalised(sound, config.target_lufs)
    samples = config.packet_ms * SAMPLES_PER_MS
    count = sound.size // samples
    if count == 0:
        raise ConfigError(f"{path}: shorter than one packet of {config.packet_ms} ms")
    pcm = np.clip(np.rint(sound[: count * samples] * 32767), -32768, 32767).astype("<i2")
    coder = opuslib_next.Encoder(RATE_HZ, 1, _APPLICATIONS[config.application])
    state = coder.encoder_state
    encoder.encoder_ctl(state, ctl.set_bitrate, config.bitrate_kbit_s * 1000)
    encoder.encoder_ctl(state, ctl.set_inband_fec, int(config.fec))
    encoder.encoder_ctl(state, ctl.set_packet_loss_perc, config.expected_loss_pct)
    encoder.encoder_ctl(state, ctl.set_dtx, int(config.dtx))
    look_ahead = int(encoder.encoder_ctl(state, ctl.get_lookahead))
    payloads = tuple(
        bytes(coder.encode(pcm[at : at + samples].tobytes(), samples))
        for at in range(0, pcm.size, samples)
    )
    lows: tuple[bytes, ...] = ()
    if config.copies_possible:
        copies = CopyEncoder()
        lows = tuple(copies.encode(sound[at : at + samples]) for at in range(0, pcm.size, samples))
    return Programme(payloads, config.packet_ms, look_ahead, lows)


def normalised(sound: NDArray[np.float64], target_lufs: float) -> NDArray[np.float64]:
    """Return mono sound at `target_lufs`, or as near to it as its true peaks allow.

    sound  (n,) float64, full scale 1.0

    The result is (n,) float64, full scale 1.0.
    """
    meter = LoudnessMeter(1)
    meter.add(np.ascontiguousarray(sound[:, np.newaxis], np.float32))
    gain_db = normalising_gain_db(
        meter.integrated_lufs, meter.true_peak_dbtp, target_lufs=target_lufs, limit_dbtp=LIMIT_DBTP
    )
    return sound * gain_of_db(gain_db)


class Sender:
    """The station of a run: the same packets for every node.

    Parameters
    ----------
    programme : Programme
        What it plays, again and again.
    seed : int
        Of the run; decides SSRC, the first sequence number and time stamp, and the pacing.
    duration_ns : int
        It stops capturing then.
    pacing_max_us : int
        A packet leaves up to so long after its last sample.
    """

    def __init__(
        self, programme: Programme, *, seed: int, duration_ns: int, pacing_max_us: int
    ) -> None:
        start = raw_draws(stream(seed, Purpose.START), 3) >> np.uint64(32)
        self.ssrc = int(start[0])
        self.sequence = int(start[1]) & ((1 << SEQUENCE_BITS) - 1)
        """RTP sequence number of the first packet."""
        self.timestamp = int(start[2])
        """RTP timestamp of the first sample."""
        self.programme = programme
        self.packet_ns = programme.packet_ms * NS_PER_MS
        self.packet_samples = programme.packet_ms * SAMPLES_PER_MS
        self.packets = duration_ns // self.packet_ns
        self._bits = stream(seed, Purpose.SENDER)
        mean_bytes = sum(map(len, programme.payloads)) // len(programme.payloads)
        self.packet_bits = 8 * ((mean_bytes + 15) // 16 * 16 + 40)
        """Mean size on the link, headers of IPv4, UDP and RTP included.

        The mean, not each packet's own: encoders round differently on other CPUs, and a seed
        must mean the same delays everywhere.
        """
        self._pacing_max_ns = pacing_max_us * 1000
        self._sent = 0
        self._stamps = LiveSender(
            ssrc=self.ssrc,
            payload_type=PAYLOAD_TYPE,
            packet_samples=self.packet_samples,
            timestamp=self.timestamp,
        )

    @property
    def look_ahead_ns(self) -> int:
        """How much earlier a decoded sample was captured than its media time says."""
        return samples_to_ns(self.programme.look_ahead_samples)

    def times_until(self, end_ns: int) -> tuple[int, NDArray[np.int64]]:
        """Return what `send_until` would, without the packets: the first one's number, and
        when each is sent, (n,) int64 in ns.
        """
        first = self._sent
        # Packet i is complete, and sent, once its last sample is captured.
        last = min(self.packets, max(first, (end_ns - 1) // self.packet_ns))
        self._sent = last
        index = np.arange(first, last, dtype=np.int64)
        pacing_ns = between(raw_draws(self._bits, last - first), 0, self._pacing_max_ns)
        send_ns = (index + 1) * self.packet_ns + pacing_ns
        if first == 0 < last:
            self._stamps.begin(int(send_ns[0]) + SENDER_CLOCK_NS, 0)
        return first, send_ns

    def report(self, now_ns: int) -> SenderReport:
        """Return which media time the station's clock stands for, as `loalang-send` says it.

        By its first packet, like there: the stamp of a sample is when its packet left, a packet
        after the sample was captured, and the encoder's look-ahead is not taken off. So what is
        heard comes by both later than the playout delay alone.
        """
        self._stamps.packets = min(now_ns // self.packet_ns, self.packets)
        return self._stamps.report(now_ns + SENDER_CLOCK_NS)

    def goodbye(self, now_ns: int) -> bytes:
        """Return the last RTCP compound of `loalang-send`, at true `now_ns`: it is over."""
        self._stamps.packets = self.packets
        return self._stamps.compound(now_ns + SENDER_CLOCK_NS, ended=True)

    def send_until(self, end_ns: int) -> Sending:
        """Return the packets that are complete before `end_ns` and were not returned yet."""
        first, send_ns = self.times_until(end_ns)
        payloads = self.programme.payloads
        datagrams = [
            packet.build(
                payloads[i % len(payloads)],
                sequence=self.sequence + i,
                timestamp=self.timestamp + i * self.packet_samples,
                ssrc=self.ssrc,
                payload_type=PAYLOAD_TYPE,
                marker=i == 0,
            )
            for i in range(first, first + send_ns.size)
        ]
        return Sending(first, datagrams, send_ns)
