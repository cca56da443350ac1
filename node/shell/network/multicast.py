"""Groups: which interface, and to hear no other program's groups on the same port."""

import errno
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

# Linux, <linux/in.h> and <linux/in6.h>; Python does not name them.
_IP_MULTICAST_ALL: Final = 49
_IPV6_MULTICAST_ALL: Final = 29
_MREQN: Final = struct.Struct("@4s4si")
"""struct ip_mreqn: group, own address, interface (ip(7))."""
_IF_INET6: Final = Path("/proc/net/if_inet6")


def is_multicast(host: str) -> bool:
    """Return whether the address `host`, perhaps with a %zone, is a group."""
    return ipaddress.ip_address(host).is_multicast


def interface_index(named: str) -> int:
    """Return the number of an interface given by its name, or by an address that it has.

    0, for an IPv4 address, leaves it to the kernel, which looks the address up itself.

    Raises
    ------
    OSError
        ENODEV when there is none.
    """
    with suppress(OSError):
        return socket.if_nametoindex(named)
    with suppress(ValueError):
        address = ipaddress.ip_address(named)
        if isinstance(address, ipaddress.IPv4Address):
            return 0
        if address.scope_id is not None:
            return socket.if_nametoindex(address.scope_id)
        for line in _IF_INET6.read_text("ascii").splitlines():
            digits, index, *_ = line.split()
            if bytes.fromhex(digits) == address.packed:
                return int(index, 16)
    raise OSError(errno.ENODEV, f"no interface {named!r}; `ip address` lists them")


def membership(group: str, interface: str | None) -> tuple[int, int, bytes]:
    """Return level, option and value of `setsockopt` that joins `group`, by its routes or there.

    Raises
    ------
    OSError
        If there is no such interface.
    """
    address = ipaddress.ip_address(group)
    if isinstance(address, ipaddress.IPv6Address):
        value = address.packed + struct.pack("@I", _zone(address, interface))
        return socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, value
    value = _MREQN.pack(address.packed, *_own4(interface))
    return socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, value


def group_address(group: str, port: int, interface: str | None) -> tuple[str | int, ...]:
    """Return what to bind to, or to send to, for `group`: the resolver takes no %zone there.

    Raises
    ------
    OSError
        If there is no such interface.
    """
    address = ipaddress.ip_address(group)
    if isinstance(address, ipaddress.IPv6Address):
        return (group.partition("%")[0], port, 0, _zone(address, interface))
    return (group, port)


def leave_by(one: socket.socket, interface: str) -> None:
    """Let what this socket sends to groups leave by `interface`, a name or an own address.

    Raises
    ------
    OSError
        If there is no such interface.
    """
    if one.family == socket.AF_INET6:
        index = interface_index(interface)
        if index == 0:
            raise OSError(errno.ENODEV, f"{interface} has no IPv6")
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        return
    value = _MREQN.pack(bytes(4), *_own4(interface))
    one.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, value)


def hear_joined_only(one: socket.socket) -> None:
    """Keep groups away that other programs of this machine have joined."""
    if one.family == socket.AF_INET6:
        with suppress(OSError):  # Linux before 4.20
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
        if one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
            return
    with suppress(OSError):
        one.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)


def _zone(address: ipaddress.IPv6Address, interface: str | None) -> int:
    named = address.scope_id if interface is None else interface
    return 0 if named is None else interface_index(named)


def _own4(interface: str | None) -> tuple[bytes, int]:
    """Return own address and interface as struct ip_mreqn wants them."""
    if interface is None:
        return bytes(4), 0
    index = interface_index(interface)
    return (bytes(4), index) if index else (socket.inet_aton(interface), 0)
