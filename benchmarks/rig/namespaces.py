"""Places of one machine with a bad network between them: network namespaces joined by a relay.

Each place has an address, an interface and ports of its own; between any two the relay delays,
loses and reorders IP packets, per direction, whatever they carry: RTP and RTCP, TCP and its
acknowledgements. Multicast goes to all other places. The kernel's own emulation (netem) is missing
on many small systems; this needs root and /dev/net/tun.

    python -m benchmarks.rig.namespaces --place a=10.77.0.1 --place b=10.77.0.2 --delay-ms 40

It prints one JSON object, and under `enter` what to put before a command to run it at a place. The
namespaces have no name: they end with this process and what runs in them, which it ends too. The
machine's own interfaces are never touched.
"""

import argparse
import contextlib
import ctypes
import fcntl
import ipaddress
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final

from benchmarks.rig.impairment import Impairment, Underway, add_options, from_options, paths
from node.shell.steady import keep_steady
from node.units import NS_PER_S

# Linux: unshare(2), ioctl of drivers/net/tun.c; Python 3.11 names none of them.
_CLONE_NEWNET: Final = 0x40000000
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN_NO_PI: Final = 0x0001 | 0x1000
_IFREQ: Final = struct.Struct("16sH22x")

_MTU_MIN: Final = 576
"""What every IPv4 host takes (RFC 791, 3.2)."""
MTU_MAX: Final = 4096
_PACKETS_AT_ONCE: Final = 64
"""Taken from one place before the others get their turn."""
_PROTOCOL_IGMP: Final = 2
_PREFIX_BITS: Final = 24


class NamespaceError(RuntimeError):
    """Here nobody, or not this user, may have namespaces; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace with one interface, whose other end is `tun`."""

    name: str
    address: str
    namespace: int
    tun: int

    @property
    def enter(self) -> list[str]:
        """What to put before a command that shall run here."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.namespace}"]

    @property
    def inode(self) -> int:
        """The namespace's number, the same for every process in it."""
        return os.fstat(self.namespace).st_ino


class Namespaces:
    """Several places, and the packets between them.

    Parameters
    ----------
    addresses : dict
        IPv4 address of each place, all in one /24.
    impairment : Impairment
        Of each direction between any two places.
    seed : int
        Of all draws; each direction has a stream of its own.
    mtu : int
        Of each interface, in bytes.

    Raises
    ------
    NamespaceError
        Without root, /dev/net/tun, `ip` or `nsenter`.
    ValueError
        For an address or MTU that cannot be.
    """

    def __init__(
        self, addresses: dict[str, str], impairment: Impairment, *, seed: int, mtu: int = 1500
    ) -> None:
        _check(addresses, mtu)
        self.places: list[Place] = []
        self.forwarded = 0
        self.lost = 0
        self.cut = False
        """While true, everything is lost: an outage."""
        self._underway: Underway[tuple[int, bytes]] = Underway()
        self._paths = paths(impairment, len(addresses) ** 2, seed=seed)
        try:
            for name, address in addresses.items():
                place = _new_place(name, address)
                self.places.append(place)
                _set_up(place, mtu)
        except BaseException:
            self.close()
            raise
        self._by_tun = {one.tun: index for index, one in enumerate(self.places)}
        self._by_address = {
            socket.inet_aton(one.address): index for index, one in enumerate(self.places)
        }

    def turn(self, until_ns: int) -> None:
        """Wait for packets until `until_ns` at most; take and forward what is due."""
        next_ns = self._underway.next_ns(until_ns)
        timeout_s = max(0, next_ns - time.monotonic_ns()) / NS_PER_S
        ready, _, _ = select.select(list(self._by_tun), [], [], timeout_s)
        for tun in ready:
            self._take(tun)
        while (due := self._underway.take(time.monotonic_ns())) is not None:
            index, packet = due
            try:
                os.write(self.places[index].tun, packet)
                self.forwarded += 1
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """End what still runs at the places, and the places with it."""
        inodes = {one.inode for one in self.places}
        for entry in os.listdir("/proc"):
            if entry.isdecimal() and int(entry) != os.getpid():
                with contextlib.suppress(OSError):  # it ended meanwhile
                    if os.stat(f"/proc/{entry}/ns/net").st_ino in inodes:
                        os.kill(int(entry), signal.SIGKILL)
        for place in self.places:
            os.close(place.tun)
            os.close(place.namespace)
        self.places = []

    def _take(self, tun: int) -> None:
        source = self._by_tun[tun]
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = os.read(tun, MTU_MAX)
            except OSError:
                return  # nothing more, or its interface is down
            for destination in self._destinations(source, packet):
                way = self._paths[source * len(self.places) + destination]
                at_ns = way.arrival_ns(time.monotonic_ns())
                if self.cut or not self._underway.put(at_ns, (destination, packet)):
                    self.lost += 1

    def _destinations(self, source: int, packet: bytes) -> list[int]:
        """Return which places get a packet; none gets what only a router reads."""
        if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] == _PROTOCOL_IGMP:
            return []
        if packet[16] >= 224:  # multicast (RFC 5771) and broadcast to all
            return [one for one in range(len(self.places)) if one != source]
        found = self._by_address.get(packet[16:20])
        return [] if found is None else [found]


def require() -> None:
    """Raise NamespaceError if this user or this machine may not have namespaces."""
    Namespaces({"trial": "10.77.0.1"}, Impairment(), seed=1).close()


def _check(addresses: dict[str, str], mtu: int) -> None:
    if not _MTU_MIN <= mtu <= MTU_MAX:
        raise ValueError(f"mtu {mtu}: must be {_MTU_MIN} to {MTU_MAX}")
    nets = {ipaddress.IPv4Interface(f"{one}/{_PREFIX_BITS}").network for one in addresses.values()}
    if len(nets) != 1 or len(set(addresses.values())) != len(addresses):
        raise ValueError(f"addresses {addresses}: must be different ones of one /{_PREFIX_BITS}")
    for program, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            raise NamespaceError(f"{program} is missing: apt install {package}")


def _new_place(name: str, address: str) -> Place:
    """Make a namespace with a TUN interface; this thread is back where it was afterwards."""
    library = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if library.unshare(_CLONE_NEWNET) != 0:
            why = os.strerror(ctypes.get_errno())
            raise NamespaceError(f"network namespaces need root (CAP_SYS_ADMIN): {why}")
        try:
            namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            assert os.fstat(namespace).st_ino != os.fstat(home).st_ino
            try:
                tun = _new_tun()
            except OSError as fault:
                os.close(namespace)
                raise NamespaceError(f"/dev/net/tun: {fault.strerror}; modprobe tun?") from fault
        finally:
            back = library.setns(home, _CLONE_NEWNET)
            assert back == 0, "the thread that made a namespace must not stay in it"
    finally:
        os.close(home)
    return Place(name, address, namespace, tun)


def _new_tun() -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, _IFREQ.pack(b"tun0", _IFF_TUN_NO_PI))
    except OSError:
        os.close(tun)
        raise
    return tun


def _set_up(place: Place, mtu: int) -> None:
    orders = (
        f"link set lo up\naddr add {place.address}/{_PREFIX_BITS} dev tun0\n"
        f"link set tun0 mtu {mtu} up\nroute add 224.0.0.0/4 dev tun0\n"
    )
    done = subprocess.run(
        [*place.enter, "ip", "-batch", "-"], input=orders, capture_output=True, text=True
    )
    if done.returncode:
        raise NamespaceError(f"{place.name}: {done.stderr.strip() or done.stdout.strip()}")


def main(arguments: list[str] | None = None) -> int:
    """Relay until SIGTERM or SIGINT; SIGUSR1 begins an outage, SIGUSR2 ends it."""
    options = _parser().parse_args(arguments)
    parent = os.getppid()
    ended = False
    cut = False

    def handle(number: int, _: object) -> None:
        nonlocal ended, cut
        if number in (signal.SIGUSR1, signal.SIGUSR2):
            cut = number == signal.SIGUSR1
        else:
            ended = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, handle)
    try:
        addresses = dict(_place(text) for text in options.place)
        between = Namespaces(addresses, from_options(options), seed=options.seed, mtu=options.mtu)
    except (ValueError, NamespaceError) as fault:
        print(f"namespaces: {fault}", file=sys.stderr)
        return 2
    keep_steady()
    try:
        print(json.dumps({"enter": {one.name: one.enter for one in between.places}}), flush=True)
        while not ended and not (options.with_parent and os.getppid() != parent):
            between.cut = cut
            between.turn(time.monotonic_ns() + NS_PER_S // 10)
    finally:
        between.close()
    with contextlib.suppress(BrokenPipeError):
        print(f"{between.forwarded} forwarded, {between.lost} lost", flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rig.namespaces", allow_abbrev=False)
    add = parser.add_argument
    add("--place", action="append", required=True, metavar="NAME=ADDRESS", help="repeatable")
    add("--mtu", type=int, default=1500, help="bytes (default 1500)")
    add("--with-parent", action="store_true", help="end when the process that started it ends")
    add_options(parser)
    return parser


def _place(text: str) -> tuple[str, str]:
    name, _, address = text.partition("=")
    if not name or not address:
        raise ValueError(f"--place {text}: must be NAME=ADDRESS")
    return name, address


if __name__ == "__main__":
    sys.exit(main())
