"""Where another sender's RTP comes in: one sender at a time, on a thread of its own."""

import queue
import socket
import threading
from collections.abc import Callable
from typing import Final

from node.shell.network.udp import receive_stamped, stamp_arrivals
from node.units import NS_PER_S
from sim.sender.relayed import is_sound
from sim.sender.sound.packet_encoder import Encoded

_WAITING_MAX: Final = 1024
_HOLD_NS: Final = 2 * NS_PER_S
"""Another sender is taken when the one before was silent for so long."""


class RelayInput:
    """Take RTP from one socket.

    Parameters
    ----------
    one : socket.socket
        Bound, blocking.
    """

    def __init__(self, one: socket.socket) -> None:
        stamp_arrivals(one)
        self._socket = one
        self._sender: tuple[str, int] | None = None
        self._heard_ns = 0
        self.packets: queue.Queue[tuple[Encoded, int] | None] = queue.Queue(_WAITING_MAX)
        """Datagrams, each with an empty copy, and when it came."""
        self.fault: Exception | None = None
        self.is_whole = True
        self.left = 0
        """Datagrams that are no Opus in RTP, or of a second sender."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to take; call `wake` after each packet."""

        def run() -> None:
            while self._take():
                wake()

        threading.Thread(target=run, name="relay", daemon=True).start()

    def summary(self) -> list[str]:
        """Return what a person is to know."""
        if not self.left:
            return []
        return [f"{self.left} datagrams were no Opus in RTP, or of a second sender, and left out"]

    def _take(self) -> bool:
        """Take one datagram; return False when the socket was closed."""
        try:
            data, source, now_ns = receive_stamped(self._socket)
        except OSError:
            return self._socket.fileno() >= 0  # closed at the end
        is_other = source != self._sender and now_ns - self._heard_ns < _HOLD_NS
        if is_other or not is_sound(data) or self.packets.full():
            self.left += not 192 <= (data[1] if len(data) > 1 else 0) <= 223
            return True
        self._sender, self._heard_ns = source, now_ns
        self.packets.put_nowait(((data, b""), now_ns))
        return True
