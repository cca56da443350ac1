"""Read a file that a person named: whatever it really is, within a size, and never for ever."""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from node.shell.faults import EXIT_INPUT, ShellError, file_fault

BOM: Final = b"\xef\xbb\xbf"
"""Some editors begin UTF-8 text with it; no format here wants it."""

TEXT_BYTES_MAX: Final = 4 * 1024 * 1024


def read_regular(path: Path, bytes_max: int) -> bytes:
    """Return what is in `path`.

    Raises
    ------
    ShellError
        If it cannot be read, is a folder, a pipe or a device, or has more than `bytes_max`.
    """
    try:
        # A pipe would keep us waiting for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(file.fileno())
            if stat.S_ISREG(about.st_mode):
                data = file.read(bytes_max + 1)
                if len(data) <= bytes_max:
                    return data
                what = f"{about.st_size} bytes, at most {bytes_max}"
            elif stat.S_ISDIR(about.st_mode):
                what = "is a folder; give a file"
            else:
                what = "is a pipe or a device, not a file"
    except OSError as fault:
        raise file_fault(path, fault) from fault
    raise ShellError(f"{path}: {what}", exit_status=EXIT_INPUT)


def why_no_file(path: Path) -> str | None:
    """Return why `path` is no file that could be read, for a person; None when it is one."""
    try:
        mode = path.stat().st_mode
    except OSError as fault:
        if fault.errno == errno.ENOENT:
            return "no such file"
        return str(file_fault(path, fault)).removeprefix(f"{path}: ")
    if stat.S_ISREG(mode):
        return None
    return "is a folder" if stat.S_ISDIR(mode) else "is a pipe or a device, not a file"


def read_text(path: Path) -> str:
    """Return the UTF-8 text in `path`, without the mark that some editors put before it.

    Raises
    ------
    ShellError
        As `read_regular`, or if it is no such text.
    """
    try:
        return read_regular(path, TEXT_BYTES_MAX).decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ShellError(
            f"{path}: not UTF-8 text; write it anew as UTF-8", exit_status=EXIT_INPUT
        ) from fault


def read_toml_bytes(path: Path) -> bytes:
    """Return what is in `path` without the mark that some editors put before it."""
    return read_regular(path, TEXT_BYTES_MAX).removeprefix(BOM)
