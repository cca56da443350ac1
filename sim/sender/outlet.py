"""Where datagrams leave: sealed once for all who get the same, and what became of each noted."""

import errno
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from sim.sender.outcome import Outcome, reason
from sim.sender.refusals import ask_for_refusals, refusals
from sim.sender.seal import Seal

Address = tuple[str, int]

BROKER_PREFIX: Final = "100::"
"""Addresses that no datagram has stand for nodes that come by the broker (RFC 6666)."""
_SEALED_MAX: Final = 64
_CAME_BACK_MAX: Final = 1000


class Outlet:
    """Send by one socket, to destinations that come and go.

    Parameters
    ----------
    one : socket.socket
        Unconnected and non-blocking.
    seal : callable or None
        Makes of each packet what leaves: signed, or SRTP.
    """

    def __init__(self, one: socket.socket, seal: Seal | None) -> None:
        ask_for_refusals(one)
        self._socket = one
        self._seal = seal
        self._sealed: dict[bytes, bytes] = {}
        self._outcomes: dict[Address, Outcome] = {}
        self._came_back: list[Address] = []
        self.by_broker: Callable[[bytes, Address], None] = lambda data, destination: None
        """Sends to who comes by the broker."""

    def add(self, destination: Address) -> None:
        """Note from now on what becomes of what goes there."""
        self._outcomes.setdefault(destination, Outcome())

    def drop(self, destination: Address) -> None:
        """Forget it."""
        self._outcomes.pop(destination, None)

    def begin_round(self) -> None:
        """Begin to send what is new; what was sealed before is not used again."""
        self._sealed.clear()

    def send(self, data: bytes, destination: Address, *, sound: bool = False) -> None:
        """Send a packet, sealed."""
        error = self.send_plain(self._sealed_once(data), destination)
        outcome = self._outcomes.get(destination)
        if outcome is not None:
            outcome.note_sent(error, time.monotonic_ns(), sound=sound)

    def send_plain(self, data: bytes, destination: Address) -> int:
        """Send a datagram as it is; return the error, or 0."""
        error = self._send_once(data, destination)
        if error and self._read_refusals():  # it told of an earlier datagram, not of this one
            error = self._send_once(data, destination)
        return error

    def take_refusals(self) -> list[Address]:
        """Return the destinations from which datagrams came back; what is news was told."""
        self._read_refusals()
        found, self._came_back = self._came_back, []
        return found

    def note_heard(self, address: Address, now_ns: int) -> None:
        """Note that something came from there."""
        outcome = self._outcomes.get(address)
        if outcome is not None:
            outcome.heard_ns = now_ns

    def is_hopeless(self, now_ns: int) -> bool:
        """Return whether nothing was ever taken on the way to any destination."""
        outcomes = self._outcomes.values()
        return bool(outcomes) and all(outcome.is_hopeless(now_ns) for outcome in outcomes)

    def faults(self) -> list[str]:
        """Return a line for each destination to which the sound was not delivered."""
        now = time.monotonic_ns()
        told = [(to, outcome.fault(now)) for to, outcome in self._outcomes.items()]
        return [f"{text_of(to)}: {why}" for to, why in told if why is not None]

    @property
    def refused(self) -> int:
        """Datagrams that the network did not take."""
        return sum(outcome.refused for outcome in self._outcomes.values())

    def _sealed_once(self, data: bytes) -> bytes:
        if self._seal is None:
            return data
        sealed = self._sealed.get(data)
        if sealed is None:
            if len(self._sealed) >= _SEALED_MAX:
                self._sealed.clear()
            sealed = self._sealed[data] = self._seal(data)
        return sealed

    def _read_refusals(self) -> bool:
        """Note what waits in the error queue; return whether there was anything."""
        now = time.monotonic_ns()
        before = len(self._came_back)
        for destination, error in refusals(self._socket):
            self._came_back.append(destination)
            outcome = self._outcomes.get(destination)
            if outcome is not None and outcome.note_unheard(error, now):
                print(f"{text_of(destination)}: {reason(error)}", file=sys.stderr, flush=True)
        has_any = len(self._came_back) > before
        del self._came_back[:-_CAME_BACK_MAX]
        return has_any

    def _send_once(self, data: bytes, destination: Address) -> int:
        if destination[0].startswith(BROKER_PREFIX):
            self.by_broker(data, destination)
            return 0
        try:
            self._socket.sendto(data, destination)
        except OSError as fault:
            return fault.errno or errno.EIO
        return 0


def text_of(address: Address) -> str:
    """Return an address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
