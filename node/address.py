"""Addresses as people write them: HOST, HOST:PORT, [IPv6]:PORT."""

from ipaddress import ip_address
from typing import Final

_HOST_BYTES_MAX: Final = 255
"""Of a name (RFC 1035, 2.3.4)."""


def is_address(host: str) -> bool:
    """Return whether `host` is an address, IPv4 or IPv6, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def split_host_port(text: str) -> tuple[str, int] | None:
    """Return host, a name or an address, and port of "HOST:PORT" or "[IPv6]:PORT", or None."""
    host, _, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65_535
    is_host = 0 < len(host) <= _HOST_BYTES_MAX and host.isascii() and host.isprintable()
    if not (is_host and is_port) or " " in host:
        return None
    if ":" in host and not (host[0] == "[" and host[-1] == "]" and is_address(host[1:-1])):
        return None
    return host.strip("[]"), int(port)


def is_address_port(text: str) -> bool:
    """Return whether `text` is an address and a port."""
    found = split_host_port(text)
    return found is not None and is_address(found[0])
