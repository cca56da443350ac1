"""Files that are on the disk for good when who wrote them goes on, under their names.

A name is on the disk when its folder is: a file that was written whole and then named is gone after
a power cut, or is there as it was before, until that.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from node.shell.faults import file_fault


def write_file(path: Path, data: bytes, *, mode: int = 0o644, like: Path | None = None) -> None:
    """Write a file so that a power cut leaves all of it or none, and all when this has returned;
    owned by whom `like` is.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        give_to(partial, like)
        partial.replace(path)
        sync_folder(path.parent)
    except OSError as fault:
        raise file_fault(path, fault) from fault


def make_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Make a file that is not there yet; raises `FileExistsError` where it is."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def add_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Put `lines` at the end of a file; what a power cut left half of a line there stays alone."""
    if not lines:
        return
    try:
        with path.open("a+b") as file:
            is_new = file.tell() == 0
            if not is_new:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.writelines(line + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(path.parent)
    except OSError as fault:
        raise file_fault(path, fault) from fault


def give_to(path: Path, like: Path | None) -> None:
    """Let `path` belong to the owner of `like`, where we may say so."""
    if like is not None and os.geteuid() == 0:
        about = like.stat()
        os.chown(path, about.st_uid, about.st_gid)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
