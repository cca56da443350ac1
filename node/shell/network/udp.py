"""The UDP socket: RTP and RTCP on one port (RFC 5761), with the kernel's own receive times."""

import errno
import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from node.config import ReceiveConfig
from node.shell.clocks import arrival_ns
from node.shell.config import split_address
from node.shell.faults import bind_fault
from node.shell.network.multicast import (
    group_address,
    hear_joined_only,
    interface_index,
    membership,
)
from node.shell.network.names import Names
from node.units import NS_PER_S

LOG: Final = logging.getLogger("loalang")

_RECEIVE_BUFFER_BYTES: Final = 1 << 20
"""Some seconds of all sources, so that a busy moment of the node loses nothing."""

_DATAGRAM_BYTES_MAX: Final = 2048
"""More than an Ethernet frame: longer ones arrive cut and are counted by the core as too large."""

_DATAGRAMS_AT_ONCE: Final = 64
"""Taken in one go before deadlines get their turn again."""

_JOIN_NS: Final = 5 * NS_PER_S
_ALL4: Final = "0.0.0.0"
_ALL6: Final = "::"
_MAPPED: Final = "::ffff:"
"""An IPv4 address, as a socket of both families shows it (RFC 4291, 2.5.5.2)."""
_NO_STAMPS = "no time stamps of arrivals here: a datagram comes when the node looks for it"
_SHARED: Final = (
    "port %d is another program's here: of it only group %s is heard, and what is meant for this "
    "node alone comes to port %d"
)

# Linux: SO_TIMESTAMPNS is 35 in the socket API of all 64-bit ports; Python does not name it.
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)


class UdpSocket:
    """The bound, non-blocking sockets of a node: its own address, and that of its group.

    With a group there are two. Linux gives a socket that is bound to an own address no multicast,
    and one that is bound to the group no answers of the sender.

    Parameters
    ----------
    config : ReceiveConfig
        `listen`, `multicast_group` and `interface`.

    Raises
    ------
    ShellError
        If the address cannot be bound or the group cannot be joined; says what to do.
    """

    def __init__(self, config: ReceiveConfig) -> None:
        host, port = split_address(config.listen, what="receive.listen")
        self._interface = config.interface
        self._group: socket.socket | None = None
        self._membership: tuple[int, int, bytes] | None = None
        self._next_join_ns = 0
        self.send_faults = 0
        """Datagrams that the network refused to take; the next one is tried again."""
        group = config.multicast_group
        six = ":" in (group or host)
        if six and host == _ALL4:
            host = _ALL6
        self._own = _socket(six=six)
        self._names = Names(self._own.family)
        try:
            if group is None:
                self._set(self._own)
                self._own.bind((host, port))
            else:
                self._open_group(group, host, port)
        except OSError as fault:
            self.close()
            named = config.listen if group is None else f"{config.listen}, group {group}"
            raise bind_fault(named, fault) from fault

    def _set(self, one: socket.socket) -> None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        stamp_arrivals(one)
        hear_joined_only(one)
        if self._interface is not None:
            interface_index(self._interface)  # its error says more than the kernel's
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())

    def _open_group(self, group: str, host: str, port: int) -> None:
        """Bind to the group, so that only its datagrams come, and apart from it to `host`."""
        self._group = _socket(six=self._own.family == socket.AF_INET6)
        for one in (self._group, self._own):
            self._set(one)
            # Several nodes of one machine may share a group, or have one each on one port.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        is_free = _is_free(host, port)
        self._own.bind((host, port if is_free else 0))
        if not is_free:
            LOG.warning(_SHARED, port, group, self._own.getsockname()[1])
        own = None if host in (_ALL4, _ALL6) else host
        self._membership = membership(group, self._interface or own)
        self._group.bind(group_address(group, port, self._interface or own))
        self._group.setsockopt(*self._membership)

    def handle_deadline(self, now_ns: int) -> None:
        """Join again by and by: an interface that came back, or a new route, knows of no group."""
        if self._group is None or self._membership is None or now_ns < self._next_join_ns:
            return
        self._next_join_ns = now_ns + _JOIN_NS
        with suppress(OSError):  # EADDRINUSE: it is a member, as always
            self._group.setsockopt(*self._membership)

    def filenos(self) -> list[int]:
        """Return the file descriptors, for the loop to wait on."""
        return [one.fileno() for one in self._sockets()]

    def _sockets(self) -> list[socket.socket]:
        return [self._own] if self._group is None else [self._own, self._group]

    def received(self) -> Iterator[tuple[bytes, tuple[str, int], int]]:
        """Yield waiting datagrams: bytes, source, and arrival on the node's clock in ns."""
        for one in self._sockets():
            for _ in range(_DATAGRAMS_AT_ONCE):
                try:
                    data, (host, port), arrival_ns = receive_stamped(one)
                except BlockingIOError:
                    break
                except OSError:
                    # ECONNREFUSED and its like tell of an earlier *sent* datagram.
                    continue
                yield data, (host.removeprefix(_MAPPED) if "." in host else host, port), arrival_ns

    def send(self, data: bytes, destination: tuple[str, int]) -> None:
        """Send one datagram, or count that it could not be sent: the network is not ours."""
        name, port = destination
        host = self._names.address_of(name)
        if host is None:
            return  # it is being looked up, and who asks will ask again
        if self._own.family == socket.AF_INET6 and ":" not in host:
            host = _MAPPED + host
        try:
            self._own.sendto(data, (host, port))
        except OSError:
            self.send_faults += 1

    def close(self) -> None:
        """Give the port back."""
        for one in self._sockets():
            one.close()


def _socket(*, six: bool) -> socket.socket:
    family = socket.AF_INET6 if six else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def _is_free(host: str, port: int) -> bool:
    """Return whether no other program gets what comes to this address alone.

    Nobody who shares the port can be asked, so an address of one's own is bound without sharing:
    of a wildcard the loopback, which the groups of others do not touch.
    """
    tried = {_ALL4: "127.0.0.1", _ALL6: "::1"}.get(host, host)
    with _socket(six=":" in host) as one:
        try:
            one.bind((tried, port))
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def stamp_arrivals(one: socket.socket) -> None:
    """Let the kernel note when each datagram comes to this socket."""
    try:
        one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError as fault:
        if fault.errno != errno.ENOPROTOOPT:
            raise
        LOG.warning(_NO_STAMPS)  # each Linux has them; a user-mode emulator has not


def receive_stamped(
    one: socket.socket, bytes_max: int = _DATAGRAM_BYTES_MAX
) -> tuple[bytes, tuple[str, int], int]:
    """Return a datagram, its source and its arrival on CLOCK_MONOTONIC in ns.

    However late this is called, the arrival is the kernel's (`stamp_arrivals`). Raises as
    `socket.recvmsg` does.
    """
    data, ancillary, _, source = one.recvmsg(bytes_max, _ANCILLARY_BYTES)
    return data, (source[0], source[1]), arrival_ns(_stamp_utc_ns(ancillary))


def _stamp_utc_ns(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, rest_ns = _TIMESPEC.unpack(content[: _TIMESPEC.size])
            return int(seconds * NS_PER_S + rest_ns)
    return None
