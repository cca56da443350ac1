"""A UDP relay that makes a loopback into a bad network: delay, jitter, loss, order, outage; seeded.

The kernel's own emulation (netem) is missing on many small systems and needs root; this needs
neither. One socket per target: what comes from the target goes back to who spoke last.

    python -m sim.relay --pair 6001=127.0.0.1:5004 --delay-ms 40 --jitter-ms 20 --loss-pct 2
"""

import argparse
import heapq
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from node.shell.steady import keep_steady
from node.units import NS_PER_MS, NS_PER_S

Address = tuple[str, int]

_DATAGRAM_BYTES_MAX: Final = 4096
_WAITING_MAX: Final = 100_000
"""Datagrams on their way; further ones are lost, as in a full queue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What happens to each datagram, in each direction."""

    delay_ms: float = 0.0
    """Mean one-way delay."""

    jitter_ms: float = 0.0
    """The delay is uniform within so much of its mean."""

    loss_pct: float = 0.0
    """Share of datagrams lost, each by itself."""

    loss_for_s: float = float("inf")
    """From the first datagram on; then no more is lost."""

    reorder: bool = False
    """Whether a datagram may overtake another; without it a late one holds up those behind."""


class Path:
    """One direction of one pair: decides on each datagram, and keeps their order.

    Parameters
    ----------
    impairment : Impairment
        What happens.
    rng : numpy.random.Generator
        Draws two numbers per datagram.
    """

    def __init__(self, impairment: Impairment, rng: np.random.Generator) -> None:
        self._impairment = impairment
        self._rng = rng
        self._last_ns = 0
        self._first_ns: int | None = None

    def arrival_ns(self, now_ns: int) -> int | None:
        """Return when a datagram sent at `now_ns` arrives, or None when it is lost."""
        lost, place = self._rng.random(2)
        one = self._impairment
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        loses = now_ns - self._first_ns < one.loss_for_s * NS_PER_S
        if loses and lost < one.loss_pct / 100:
            return None
        delay_ms = max(0.0, one.delay_ms + (2.0 * place - 1.0) * one.jitter_ms)
        at_ns = now_ns + int(delay_ms * NS_PER_MS)
        if not one.reorder:
            at_ns = max(at_ns, self._last_ns)
            self._last_ns = at_ns
        return at_ns


class Relay:
    """Forward datagrams between one sender and several targets.

    Parameters
    ----------
    pairs : list of (port, (host, port))
        Own port on 127.0.0.1, and the target behind it.
    impairment : Impairment
        Of each direction of each pair.
    seed : int
        Of all draws; each direction has a stream of its own.
    """

    def __init__(
        self, pairs: list[tuple[int, Address]], impairment: Impairment, *, seed: int
    ) -> None:
        self._sockets: list[socket.socket] = []
        self._targets = [target for _, target in pairs]
        self._senders: list[Address | None] = [None] * len(pairs)
        seeds = np.random.SeedSequence(seed).spawn(2 * len(pairs))
        self._paths = [Path(impairment, np.random.default_rng(one)) for one in seeds]
        self._waiting: list[tuple[int, int, int, Address, bytes]] = []
        self._number = 0
        self.cut = False
        """While true, everything is lost: an outage."""
        self.forwarded = 0
        self.lost = 0
        for port, _ in pairs:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            one.bind(("127.0.0.1", port))
            self._sockets.append(one)

    def turn(self, until_ns: int) -> None:
        """Wait for datagrams until `until_ns` at most; take and forward what is due."""
        next_ns = min(until_ns, self._waiting[0][0]) if self._waiting else until_ns
        timeout_s = max(0, next_ns - time.monotonic_ns()) / NS_PER_S
        ready, _, _ = select.select(self._sockets, [], [], timeout_s)
        for one in ready:
            self._take(self._sockets.index(one))
        while self._waiting and self._waiting[0][0] <= time.monotonic_ns():
            _, _, index, address, data = heapq.heappop(self._waiting)
            try:
                self._sockets[index].sendto(data, address)
                self.forwarded += 1
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """Give the ports back."""
        for one in self._sockets:
            one.close()

    def _take(self, index: int) -> None:
        while True:
            try:
                data, source = self._sockets[index].recvfrom(_DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue  # tells of an earlier datagram that nobody took
            back = source == self._targets[index]
            if not back:
                self._senders[index] = source
            address = self._senders[index] if back else self._targets[index]
            at_ns = self._paths[2 * index + back].arrival_ns(time.monotonic_ns())
            if at_ns is None or address is None or self.cut or len(self._waiting) >= _WAITING_MAX:
                self.lost += 1
                continue
            self._number += 1
            heapq.heappush(self._waiting, (at_ns, self._number, index, address, data))


def main(arguments: list[str] | None = None) -> int:
    """Relay until SIGTERM or SIGINT; SIGUSR1 begins an outage, SIGUSR2 ends it."""
    options = _parser().parse_args(arguments)
    impairment = Impairment(
        delay_ms=options.delay_ms,
        jitter_ms=options.jitter_ms,
        loss_pct=options.loss_pct,
        loss_for_s=options.loss_for_s,
        reorder=options.reorder,
    )
    try:
        relay = Relay([_pair(text) for text in options.pair], impairment, seed=options.seed)
    except (ValueError, OSError) as fault:
        print(f"relay: {fault}", file=sys.stderr)
        return 2
    ended = False

    def handle(number: int, _: object) -> None:
        nonlocal ended
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            relay.cut = number == signal.SIGUSR1
        else:
            ended = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, handle)
    keep_steady()
    print("ready", flush=True)
    while not ended:
        relay.turn(time.monotonic_ns() + NS_PER_S // 10)
    relay.close()
    print(f"{relay.forwarded} forwarded, {relay.lost} lost", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.relay", allow_abbrev=False)
    add = parser.add_argument
    add("--pair", action="append", required=True, metavar="PORT=HOST:PORT", help="repeatable")
    add("--delay-ms", type=float, default=0.0)
    add("--jitter-ms", type=float, default=0.0)
    add("--loss-pct", type=float, default=0.0)
    add("--loss-for-s", type=float, default=float("inf"), help="then no more is lost")
    add("--reorder", action="store_true", help="let a datagram overtake another")
    add("--seed", type=int, default=1)
    return parser


def _pair(text: str) -> tuple[int, Address]:
    own, _, target = text.partition("=")
    host, _, port = target.rpartition(":")
    if not (own.isdecimal() and host and port.isdecimal()):
        raise ValueError(f"--pair {text}: must be PORT=HOST:PORT")
    return int(own), (host, int(port))


if __name__ == "__main__":
    sys.exit(main())
