"""Read a store without opening it, while its node runs or not, by who may read one of its files."""

import errno
from pathlib import Path

from node.shell.faults import file_fault
from node.shell.store.copies import join
from node.shell.store.disk import RealDisk
from node.shell.store.legacy import SQLITE_MAGIC, read_legacy
from node.shell.store.one_copy import FILE_BYTES_MAX, FileContent, read_file


def copies_of(path: Path) -> tuple[Path, Path]:
    """Return the files of the store `path`, the one that is written first before the other."""
    return path, path.with_name(path.name + ".2")


def read_kept(path: Path) -> dict[str, bytes]:
    """Return what the store at `path` holds, for who may read one of its copies; writes nothing.

    Raises
    ------
    ShellError
        If neither copy can be read.
    """
    contents: dict[str, FileContent | None] = {}
    refusal: OSError | None = None
    for copy in copies_of(path):
        try:
            data = RealDisk().read(copy, FILE_BYTES_MAX)
        except OSError as fault:
            data, refusal = None, fault
        if data is not None and data.startswith(SQLITE_MAGIC):
            return {key: one.value for key, one in read_legacy(copy).values.items()}
        contents[str(copy)] = None if data is None else read_file(data)
    if all(one is None for one in contents.values()):
        raise file_fault(path, refusal or FileNotFoundError(errno.ENOENT, "no such file"))
    return {key: one.value for key, one in sorted(join(contents).values.items())}
