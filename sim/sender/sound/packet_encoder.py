"""Opus packets out of blocks of sound: one encoder from the first to the last, so no seam."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from node.units import RATE_HZ, SAMPLES_PER_MS
from sim.sender.sound.copy_encoder import CopyEncoder
from sim.sender.sound.sound_shape import SoundShape

PACKET_MS: Final = (10, 20, 40, 60)
"""Packet times that libopus encodes as one frame and that are worth their headers."""

Encoded = tuple[bytes, bytes]
"""A packet's payload, and its low-rate copy (`copy_encoder`), empty without need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """What libopus is told."""

    bitrate: int = 24_000
    """Bits per second."""

    packet_ms: int = 20
    """Duration of each packet."""

    fec: bool = False
    """In-band FEC (LBRR); libopus spends bits on it only when it expects loss."""

    loss_expected_pct: int = 0
    """Loss that the encoder prepares for."""

    channels: int = 1
    """1 or 2."""

    @property
    def packet_samples(self) -> int:
        """Duration of each packet in samples."""
        return self.packet_ms * SAMPLES_PER_MS

    @property
    def payload_bytes(self) -> int:
        """Size of a packet of average sound."""
        return self.bitrate * self.packet_ms // 8000


_FREE_BYTES: Final = 500
"""Packets so small on average may vary as they like: twice as much still fits a datagram."""


def open_encoder(settings: EncoderSettings) -> AudioCodecContext:
    """Return libopus's encoder, set up for speech that may hold music."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate = RATE_HZ
    encoder.layout = "mono" if settings.channels == 1 else "stereo"
    encoder.format = "flt"
    encoder.bit_rate = settings.bitrate
    encoder.options = {
        "frame_duration": str(settings.packet_ms),
        "fec": "1" if settings.fec else "0",
        "packet_loss": str(settings.loss_expected_pct),
        "application": "voip" if settings.fec else "audio",
        "vbr": "on" if settings.payload_bytes <= _FREE_BYTES else "off",
    }
    return encoder


class PacketEncoder:
    """Cut sound into packets and encode them.

    Parameters
    ----------
    settings : EncoderSettings
        For libopus.
    copies : CopyEncoder or None
        Makes the low-rate copy of each packet.
    """

    def __init__(self, settings: EncoderSettings, copies: CopyEncoder | None) -> None:
        self._settings = settings
        self._copies = copies
        self._encoder = open_encoder(settings)
        self._held = np.zeros((0, settings.channels), np.float32)
        self._low: deque[bytes] = (
            deque()
        )  # the encoder may hold packets back, but keeps their order

    def take(self, sound: NDArray[np.float32]) -> Iterator[Encoded]:
        """Yield what `sound`, (n, channels) float32 at 48 kHz, completes."""
        step = self._settings.packet_samples
        held = np.concatenate([self._held, sound])
        whole = len(held) // step * step
        self._held = held[whole:]
        for begin in range(0, whole, step):
            yield from self._encode(held[begin : begin + step])

    def flush(self) -> Iterator[Encoded]:
        """Yield the last packets; silence fills up the last one."""
        if len(self._held):
            rest = np.zeros((self._settings.packet_samples, self._settings.channels), np.float32)
            rest[: len(self._held)] = self._held
            self._held = self._held[:0]
            yield from self._encode(rest)
        yield from self._paired(self._encoder.encode(None))

    def _encode(self, sound: NDArray[np.float32]) -> Iterator[Encoded]:
        if self._copies is not None:
            self._low.append(self._copies.encode(sound.mean(axis=1)))
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(sound).reshape(1, -1), format="flt", layout=self._encoder.layout
        )
        frame.sample_rate = RATE_HZ
        yield from self._paired(self._encoder.encode(frame))

    def _paired(self, packets: Any) -> Iterator[Encoded]:
        for packet in packets:
            yield bytes(packet), self._low.popleft() if self._low else b""


def encode(container: Any, settings: EncoderSettings) -> Iterator[bytes]:
    """Yield the Opus packets of the first sound in `container`, an opened av container."""
    shape = SoundShape(settings.channels)
    encoder = PacketEncoder(settings, None)
    for frame in container.decode(container.streams.audio[0]):
        for block in shape.take(frame):
            yield from (payload for payload, _ in encoder.take(block))
    for block in shape.flush():
        yield from (payload for payload, _ in encoder.take(block))
    yield from (payload for payload, _ in encoder.flush())
