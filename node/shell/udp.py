"""The UDP socket: RTP and RTCP on one port (RFC 5761), with the kernel's own receive times."""

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Final

from node.config import ReceiveConfig
from node.shell.clocks import arrival_ns
from node.shell.config import split_address
from node.shell.faults import bind_fault
from node.units import NS_PER_S

_RECEIVE_BUFFER_BYTES: Final = 1 << 20
"""Some seconds of all sources, so that a busy moment of the node loses nothing."""

_DATAGRAM_BYTES_MAX: Final = 2048
"""More than an Ethernet frame: longer ones arrive cut and are counted by the core as too large."""

_DATAGRAMS_AT_ONCE: Final = 64
"""Taken in one go before deadlines get their turn again."""

# Linux: SO_TIMESTAMPNS is 35 in the socket API of all 64-bit ports; Python does not name it.
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@qq")
_ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)


class UdpSocket:
    """One bound, non-blocking socket.

    Parameters
    ----------
    config : ReceiveConfig
        `listen` and `multicast_group`.

    Raises
    ------
    ShellError
        If the address cannot be bound or the group cannot be joined; says what to do.
    """

    def __init__(self, config: ReceiveConfig) -> None:
        host, port = split_address(config.listen, what="receive.listen")
        group = config.multicast_group
        family = socket.AF_INET6 if ":" in (group or host) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.send_faults = 0
        """Datagrams that the network refused to take; the next one is tried again."""
        try:
            self._open(host, port, group)
        except OSError as fault:
            self._socket.close()
            named = config.listen if group is None else f"{config.listen}, group {group}"
            raise bind_fault(named, fault) from fault

    def _open(self, host: str, port: int, group: str | None) -> None:
        one = self._socket
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        stamp_arrivals(one)
        if group is not None:
            # Several nodes of one machine may share a group. Without a group the option would
            # let a second node take the port silently: the first would just fall mute.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        if group is not None:
            _join(one, group, host)

    def fileno(self) -> int:
        """Return the file descriptor, for the loop to wait on."""
        return self._socket.fileno()

    def received(self) -> Iterator[tuple[bytes, tuple[str, int], int]]:
        """Yield waiting datagrams: bytes, source, and arrival on the node's clock in ns."""
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                yield receive_stamped(self._socket)
            except BlockingIOError:
                return
            except OSError:
                # ECONNREFUSED and its like tell of an earlier *sent* datagram; nothing was lost.
                continue

    def send(self, data: bytes, destination: tuple[str, int]) -> None:
        """Send one datagram, or count that it could not be sent: the network is not ours."""
        try:
            self._socket.sendto(data, destination)
        except OSError:
            self.send_faults += 1

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def stamp_arrivals(one: socket.socket) -> None:
    """Let the kernel note when each datagram comes to this socket."""
    one.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


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


def _join(one: socket.socket, group: str, host: str) -> None:
    address = ipaddress.ip_address(group).packed
    if len(address) == 4:
        # The interface is that of the listening address; 0.0.0.0 leaves it to the routes.
        one.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, address + socket.inet_aton(host)
        )
    else:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, address + struct.pack("@I", 0))
