"""What ends the daemon, as one line for a person: what is wrong, and what to do about it."""

import errno
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

EXIT_FAULT = 1
"""The machine, the network or we ourselves."""
EXIT_INPUT = 2
"""An argument or a file that a person wrote."""


class ShellError(Exception):
    """The daemon cannot go on; the text has the place, the value and the remedy.

    Parameters
    ----------
    text : str
        One line.
    exit_status : int
        EXIT_INPUT when a person's argument or file is wrong, else EXIT_FAULT.
    hangs : bool
        A library never returned: the process must end without waiting for it.
    in_use : bool
        Another program has what is wanted.
    missing : Path or None
        What is not there: a disk that is mounted late may bring it.
    """

    def __init__(
        self,
        text: str,
        *,
        exit_status: int = EXIT_FAULT,
        hangs: bool = False,
        in_use: bool = False,
        missing: Path | None = None,
    ) -> None:
        super().__init__(text)
        self.exit_status = exit_status
        self.hangs = hangs
        self.in_use = in_use
        self.missing = missing


def leave(status: int) -> NoReturn:
    """End the process now: what hangs in a library would keep an orderly end from coming."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # full or closed: the process must end all the same
            stream.flush()
    os._exit(status)


_FILE_REMEDIES = {
    errno.ENOENT: ("no such file or folder; check the path", EXIT_INPUT),
    errno.EACCES: ("no permission; chmod or chown it, or choose another path", EXIT_INPUT),
    errno.EISDIR: ("is a folder; give a file", EXIT_INPUT),
    errno.ENOTDIR: ("a part of the path is not a folder; check the path", EXIT_INPUT),
    errno.ENAMETOOLONG: ("the name is too long; check the path", EXIT_INPUT),
    errno.ELOOP: ("links that lead to each other; check the path", EXIT_INPUT),
    errno.ENXIO: ("is a socket or a device, not a file", EXIT_INPUT),
    errno.EROFS: ("the file system is read-only; choose another path", EXIT_INPUT),
    errno.ENOSPC: ("the disk is full; free some space or choose another disk", EXIT_FAULT),
    errno.EDQUOT: ("the disk quota is used up; free some space", EXIT_FAULT),
    errno.EFBIG: ("the file became larger than allowed (ulimit -f); raise it", EXIT_FAULT),
}


def file_fault(path: Path | str, fault: OSError) -> ShellError:
    """Return what to tell a person when reading or writing `path` failed with `fault`."""
    known = _FILE_REMEDIES.get(fault.errno or 0)
    if known is None:
        return ShellError(f"{path}: {fault.strerror or fault}")
    missing = Path(path) if fault.errno in (errno.ENOENT, errno.ENOTDIR) else None
    return ShellError(f"{path}: {known[0]}", exit_status=known[1], missing=missing)


_BIND_REMEDIES = {
    errno.EADDRINUSE: (
        "the port is in use by another program (`ss -ulnp` names it); "
        "stop it or choose another port"
    ),
    errno.EADDRNOTAVAIL: (
        "this machine has no such address; `ip address` lists them, 0.0.0.0 means all"
    ),
    errno.EACCES: "ports below 1024 need root; choose a higher one",
    errno.EPERM: "receive.interface needs root here; leave it out",
}


def bind_fault(address: str, fault: OSError, *, what: str = "receive.listen") -> ShellError:
    """Return what to tell a person when `address` (host:port or group) cannot be listened on.

    An address or a network that is not there may come: the unit tries again. A port that needs root
    is the configuration's fault.
    """
    text = _BIND_REMEDIES.get(fault.errno or 0, fault.strerror or str(fault))
    if fault.errno == errno.ENODEV and "`" not in text:
        text = "no network interface for multicast; is the network up?"
    return ShellError(
        f"{what} = {address}: {text}",
        exit_status=EXIT_INPUT if fault.errno in (errno.EACCES, errno.EPERM) else EXIT_FAULT,
        in_use=fault.errno == errno.EADDRINUSE,
    )
