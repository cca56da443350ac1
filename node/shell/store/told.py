"""What to tell a person about a disk that refuses, and about a store that was damaged."""

import errno
from pathlib import Path

from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.store.copies import Joined


def lines_about(joined: Joined, forgotten: int) -> list[str]:
    """Return what to tell a person about a store that was not as it was written."""
    lines = [f"{line}; written anew" for line in joined.repaired]
    if joined.lost:
        what = [*joined.lost_keys[:8]]
        if len(joined.lost_keys) > 8:
            what.append(f"{len(joined.lost_keys) - 8} more keys")
        if joined.lost_batches:
            what.append(f"{joined.lost_batches} changes of unknown keys")
        lines.append(f"damaged in both copies, lost: {', '.join(what)}")
    if forgotten:
        lines.append(
            f"{forgotten} certificates and plans are not obeyed any more, for what was lost may be "
            "a revocation: publish certificates, revocations, calendar and volume plan again"
        )
    elif joined.trust_lost:
        lines.append("publish certificates, revocations, calendar and volume plan again")
    return lines


def disk_fault(fault: OSError) -> str:
    """Return what is wrong with the disk, and what helps."""
    known = {
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
        errno.EROFS: "the disk is read-only; after faults Linux makes it so: see `dmesg`",
        errno.EIO: "the disk fails (input/output error); replace it",
        errno.EACCES: "no permission; chown the folder and its files to the user of the node",
        errno.EPERM: "no permission; chown the folder and its files to the user of the node",
        errno.EAGAIN: "another process has the store; does a second node use the same file?",
    }
    return known.get(fault.errno or 0, f"{fault.strerror or fault}")


def path_fault(path: Path, what: str, *, missing: Path | None = None) -> ShellError:
    """Return what is said of a `store.path` that cannot be one."""
    return ShellError(
        f"store.path = {path}: {what}; must be a file in a folder that exists and may be written",
        exit_status=EXIT_INPUT,
        missing=missing,
    )
