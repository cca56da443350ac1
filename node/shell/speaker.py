"""What the daemon drives: a node, under orders or not, with what it joins or without."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from node.events import Event


class Speaker(Protocol):
    """What the daemon drives: `node.stack.SpeakerNode`."""

    def receive_datagram(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take one datagram; never raises."""

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take one MQTT message; never raises."""

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due."""

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next."""

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out` with the sound that leaves at `presentation_ns`.

        out  (n, channels) float32, full scale 1.0
        """

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that the sink asks for sound from now on, or that it cannot."""

    def leave(self) -> None:
        """Say goodbye to those whose streams it has."""

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken."""

    def status(self) -> dict[str, object]:
        """Return what to publish about oneself."""
