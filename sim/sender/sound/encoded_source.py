"""Sound encoded on a thread of its own: a pipe may block, the answers to the nodes must not."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from sim.sender.sound.packet_encoder import Encoded, PacketEncoder
from sim.sender.sound.sound_source import SoundSource

_AHEAD_PACKETS: Final = 16
"""Encoded ahead of their time: enough for a busy moment of the machine."""
_LIVE_PACKETS: Final = 2048
"""A segment of HLS comes at once, 10 s and more; when it came is to be known of each packet."""


class EncodedSource:
    """Read and encode until the end, or a fault.

    Parameters
    ----------
    sound : SoundSource
        What is sent.
    encoder : PacketEncoder
        Makes packets of it.
    live : bool
        Take all that comes at once.
    """

    def __init__(self, sound: SoundSource, encoder: PacketEncoder, *, live: bool) -> None:
        self._sound = sound
        self._encoder = encoder
        self.packets: queue.Queue[tuple[Encoded, int] | None] = queue.Queue(
            _LIVE_PACKETS if live else _AHEAD_PACKETS
        )
        """The packets, and when each was there in ns; None is the end."""
        self.fault: Exception | None = None

    def summary(self) -> list[str]:
        """Return what a person is to know of the sound, a line each."""
        return self._sound.summary()

    @property
    def is_whole(self) -> bool:
        """Whether all that may be sound in it was given."""
        return self._sound.is_whole

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to encode; call `wake` after each packet."""

        def put(packet: Encoded) -> None:
            self.packets.put((packet, time.monotonic_ns()))
            wake()

        def run() -> None:
            try:
                for block in self._sound.blocks():
                    for packet in self._encoder.take(block):
                        put(packet)
            except Exception as fault:  # whatever a library raises: it ends the sound, and is said
                self.fault = fault
            try:
                for packet in self._encoder.flush():
                    put(packet)
            finally:
                self.packets.put(None)
                wake()

        threading.Thread(target=run, name="encoder", daemon=True).start()
