"""Where sound goes, as people write it."""

import socket
from ipaddress import ip_address

from node.address import is_address
from node.shell.network.multicast import is_multicast
from sim.sender.outlet import Address


class InputError(ValueError):
    """An argument is wrong; the text names it."""


def destination_of(text: str) -> Address:
    """Return where a node is; the address of everybody and nobody is none."""
    host, port = address_of(text)
    bare = ip_address(host.partition("%")[0])
    mapped = getattr(bare, "ipv4_mapped", None) or bare
    if mapped.is_unspecified:
        own = "[::1]" if ":" in host else "127.0.0.1"
        raise InputError(
            f"--to {text}: {host} is where one listens, and nobody's address; give the node's, "
            f"a group's (239.192.7.1), or that of this machine ({own})"
        )
    return host, port


def address_of(text: str, option: str = "--to") -> Address:
    """Return the host, as a number, and the port that were given as `option`.

    Raises
    ------
    InputError
        If it is no such pair, or nobody knows the name.
    """
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535
    if not host or not is_port or (":" in host and not host.startswith("[")):
        raise InputError(
            f"{option} {text}: must be HOST:PORT, or [IPv6]:PORT, with a port from 1 to 65535"
        )
    host = host.strip("[]")
    bare, _, zone = host.partition("%")
    if zone and is_address(bare) and is_multicast(bare):
        return (host, int(port))  # the resolver takes no zone with a group
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as fault:
        why = getattr(fault, "strerror", None) or "no host name"
        raise InputError(f"{option} {text}: {why}; check the name") from fault
    return (str(found[0][4][0]), int(port))


def serve_text(text: str) -> str:
    """Return HOST:PORT of what may be a port alone: every address of this machine."""
    return f"0.0.0.0:{text}" if text.isdecimal() else text
