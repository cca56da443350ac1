"""Tell systemd how we are (sd_notify), and when it wants to hear of it; silent elsewhere."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from node.shell.faults import EXIT_FAULT, ShellError
from node.units import NS_PER_S

_US_PER_S: Final = 1_000_000
_ASK_EVERY_S: Final = 10
_STARTING_MAX_S: Final = 1800
"""Who has not compiled by then hangs, and a fresh start is the remedy."""

LATE_S: Final = 60
"""Between two starts that find the same missing: a start costs seconds of a small machine."""


def notify(state: str) -> None:
    """Send `state`, such as "READY=1", to the supervisor that started us, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # A leading @ stands for the zero byte of Linux's abstract sockets.
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        try:
            one.sendto(state.encode(), name)
        except OSError:
            return  # a supervisor that went away must not silence the horn


@contextmanager
def starting() -> Iterator[None]:
    """Ask the supervisor for more time as long as this lasts: a first start compiles."""
    ended = threading.Event()

    def ask() -> None:
        for _ in range(_STARTING_MAX_S // _ASK_EVERY_S):
            notify(f"EXTEND_TIMEOUT_USEC={3 * _ASK_EVERY_S * _US_PER_S}")
            if ended.wait(_ASK_EVERY_S):
                return

    thread = threading.Thread(target=ask, name="starting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def status_after(fault: ShellError) -> int:
    """Return with what the node ends that cannot start for `fault`; that may take `LATE_S`.

    What is not there may be on a disk that is mounted late, and a supervisor does not start again
    who ended for a wrong configuration. It is looked for once a second; then a new start tells.
    """
    if fault.missing is None or not os.environ.get("NOTIFY_SOCKET"):
        return fault.exit_status
    notify(f"STATUS=waiting: {fault}")
    for _ in range(LATE_S):
        if fault.missing.exists():
            break
        time.sleep(1)
    return EXIT_FAULT


def watchdog_ns() -> int | None:
    """Return the longest time between two "WATCHDOG=1" in ns, or None when nobody watches."""
    wanted = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID")
    if not wanted.isdecimal() or int(wanted) == 0 or (pid is not None and pid != str(os.getpid())):
        return None
    return int(wanted) * NS_PER_S // _US_PER_S
