"""Names of hosts, looked up beside the loop: a resolver may take half a minute."""

import logging
import socket
import threading
import time
from typing import Final

from node.address import is_address

LOG: Final = logging.getLogger("loalang")
FRESH_S: Final = 60.0
"""A station's address behind a dynamic name may change."""
NAMES_MAX: Final = 64


class Names:
    """Addresses of the hosts that datagrams go to.

    Parameters
    ----------
    family : int
        Of the socket that sends: `socket.AF_INET` can reach no IPv6.
    """

    def __init__(self, family: int) -> None:
        self._family = socket.AF_INET if family == socket.AF_INET else socket.AF_UNSPEC
        self._known: dict[str, tuple[str | None, float]] = {}
        self._asked: set[str] = set()

    def address_of(self, host: str) -> str | None:
        """Return the address of `host`; None while it is not known. Never waits."""
        known = self._known.get(host)
        if known is None and is_address(host):
            known = (host, float("inf"))
            self._remember(host, known)
        if known is None or known[1] < time.monotonic():
            self._look_up(host)
        return None if known is None else known[0]

    def _look_up(self, host: str) -> None:
        if host in self._asked or len(self._asked) >= NAMES_MAX:
            return
        self._asked.add(host)
        threading.Thread(target=self._ask, args=(host,), name="resolver", daemon=True).start()

    def _ask(self, host: str) -> None:
        before = self._known.get(host, (None, 0.0))[0]
        try:
            found = socket.getaddrinfo(host, None, self._family, socket.SOCK_DGRAM)
            address: str | None = str(found[0][4][0])
        except (OSError, UnicodeError) as fault:
            address = before
            LOG.warning("%s: %s; check the name, and the DNS", host, fault)
        if address != before:
            LOG.info("%s is at %s", host, address)
        self._remember(host, (address, time.monotonic() + FRESH_S))
        self._asked.discard(host)

    def _remember(self, host: str, known: tuple[str | None, float]) -> None:
        if len(self._known) >= NAMES_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[host] = known
