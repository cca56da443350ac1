"""A UDP relay that makes a loopback into a bad network: delay, jitter, loss, order, outage; seeded.

The kernel's own emulation (netem) is missing on many small systems and needs root; this needs
neither. One socket per target: what comes from the target goes back to who spoke last. Where root
allows, `benchmarks.rig.namespaces` does the same between real addresses.

    python -m benchmarks.rig.relay --pair 6001=127.0.0.1:5004 --delay-ms 40 --loss-pct 2
"""

import argparse
import select
import signal
import socket
import sys
import time
from typing import Final

from benchmarks.rig.impairment import Impairment, Underway, add_options, from_options, paths
from node.shell.network.udp import receive_stamped, stamp_arrivals
from node.shell.steady import keep_steady
from node.units import NS_PER_S

Address = tuple[str, int]

_DATAGRAM_BYTES_MAX: Final = 4096


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
        self._paths = paths(impairment, 2 * len(pairs), seed=seed)
        self._underway: Underway[tuple[int, Address, bytes]] = Underway()
        self.cut = False
        """While true, everything is lost: an outage."""
        self.forwarded = 0
        self.lost = 0
        for port, _ in pairs:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            one.bind(("127.0.0.1", port))
            stamp_arrivals(one)  # a busy relay must not add to the delay that was asked for
            self._sockets.append(one)

    def turn(self, until_ns: int) -> None:
        """Wait for datagrams until `until_ns` at most; take and forward what is due."""
        next_ns = self._underway.next_ns(until_ns)
        timeout_s = max(0, next_ns - time.monotonic_ns()) / NS_PER_S
        ready, _, _ = select.select(self._sockets, [], [], timeout_s)
        for one in ready:
            self._take(self._sockets.index(one))
        while (due := self._underway.take(time.monotonic_ns())) is not None:
            index, address, data = due
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
                data, source, came_ns = receive_stamped(self._sockets[index], _DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                continue  # tells of an earlier datagram that nobody took
            back = source == self._targets[index]
            if not back:
                self._senders[index] = source
            address = self._senders[index] if back else self._targets[index]
            at_ns = self._paths[2 * index + back].arrival_ns(came_ns)
            if address is None or self.cut:
                self.lost += 1
            else:
                self.lost += not self._underway.put(at_ns, (index, address, data))


def main(arguments: list[str] | None = None) -> int:
    """Relay until SIGTERM or SIGINT; SIGUSR1 begins an outage, SIGUSR2 ends it."""
    options = _parser().parse_args(arguments)
    try:
        pairs = [_pair(text) for text in options.pair]
        relay = Relay(pairs, from_options(options), seed=options.seed)
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rig.relay", allow_abbrev=False)
    parser.add_argument(
        "--pair", action="append", required=True, metavar="PORT=HOST:PORT", help="repeatable"
    )
    add_options(parser)
    return parser


def _pair(text: str) -> tuple[int, Address]:
    own, _, target = text.partition("=")
    host, _, port = target.rpartition(":")
    if not (own.isdecimal() and host and port.isdecimal()):
        raise ValueError(f"--pair {text}: must be PORT=HOST:PORT")
    return int(own), (host, int(port))


if __name__ == "__main__":
    sys.exit(main())
