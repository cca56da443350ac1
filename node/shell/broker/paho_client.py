"""paho's client as a connection needs it: a dead peer is found soon."""

import contextlib
import socket
import ssl
import struct
from typing import Any, Final

from paho.mqtt import client as paho

_UNACKNOWLEDGED_MS: Final = 8000
"""What the broker's host does not acknowledge in so long ends the connection (TCP_USER_TIMEOUT)."""

_INFO: Final = struct.Struct("=24xI28xI")
"""Of struct tcp_info (linux/tcp.h): tcpi_unacked, and tcpi_last_ack_recv in ms."""


class PahoClient(paho.Client):
    """paho's client, that the loop of the daemon serves."""

    def socket_gone(self) -> None:
        """Close the socket, for the broker must learn that it is not heard any more."""
        one: Any = self.socket()
        if one is not None:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                one.close()

    def ask_no_more(self) -> None:
        """Send no PINGREQ: somebody else keeps the word that CONNECT gave of the longest silence.

        The library has no public way: its property is for a client that is not connected.
        """
        self._keepalive = 0


def give_up_soon(one: Any) -> None:
    """Let a connection whose other end is gone fail in seconds, not in a quarter of an hour."""
    with contextlib.suppress(OSError, AttributeError):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MS)


def heard_s(one: Any) -> float | None:
    """Return how long ago the other end's host said its last word, in s, by TCP.

    None where it has acknowledged everything, or nobody can say: no Linux, no socket.
    """
    try:
        info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        segments, heard_ms = _INFO.unpack(info)
    except (OSError, AttributeError, struct.error):
        return None
    return heard_ms / 1000 if segments else None


def text_of(fault: Exception) -> str:
    """Return why there is no connection, in a line."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {fault.verify_message}"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return str(fault) or type(fault).__name__
