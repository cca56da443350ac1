"""paho's client as a connection needs it: it tells its end, and a dead peer is found soon."""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt import client as paho

_UNACKNOWLEDGED_MS: Final = 8000
"""What the broker's host does not acknowledge in so long ends the connection (TCP_USER_TIMEOUT)."""


class PahoClient(paho.Client):
    """paho's client, whose network thread tells when it ends, whatever ended it."""

    told_end: Callable[[str], None]

    def loop_forever(self, *arguments: Any, **named: Any) -> Any:  # paho has no types here
        """Serve the network until the connection ends."""
        text = "the connection ended"
        try:
            return super().loop_forever(*arguments, **named)
        except Exception as fault:  # of a library that reads what an outsider wrote
            text = f"what the broker sent cannot be read ({type(fault).__name__}: {fault})"
            self.socket_gone()
            return paho.MQTT_ERR_PROTOCOL
        finally:
            self._reset_sockets()  # the pair that wakes this thread; paho leaves it to chance
            self.told_end(text)

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


def text_of(fault: Exception) -> str:
    """Return why there is no connection, in a line."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {fault.verify_message}"
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    return str(fault) or type(fault).__name__
