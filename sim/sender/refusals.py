"""Datagrams that came back: what ICMP says of them, from the socket's error queue (ip(7))."""

import socket
import struct
from collections.abc import Iterator
from typing import Final

# Linux, <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>, <bits/socket.h>; Python names none.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_EXTENDED: Final = struct.Struct("@IBBBBII")
"""struct sock_extended_err: errno, origin, type, code, padding, info, data."""
_ANCILLARY_BYTES: Final = 512
_AT_ONCE: Final = 64


def ask_for_refusals(one: socket.socket) -> None:
    """Let the kernel keep what ICMP says of datagrams that were sent from this socket."""
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        one.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def refusals(one: socket.socket) -> Iterator[tuple[tuple[str, int], int]]:
    """Yield of each that came back where it had been sent to, and the error."""
    for _ in range(_AT_ONCE):
        try:
            _, ancillary, _, address = one.recvmsg(0, _ANCILLARY_BYTES, _MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, content in ancillary:
            told = {socket.IPPROTO_IP: _IP_RECVERR, socket.IPPROTO_IPV6: _IPV6_RECVERR}
            if told.get(level) == kind and len(content) >= _EXTENDED.size and address:
                yield (address[0], address[1]), _EXTENDED.unpack_from(content)[0]
