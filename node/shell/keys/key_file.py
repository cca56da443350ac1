"""Files of secret bytes, one key each."""

from pathlib import Path

from node.shell.faults import EXIT_INPUT, ShellError
from node.shell.files import TEXT_BYTES_MAX, read_regular


def read_key(path: Path, key_bytes: int) -> bytes:
    """Return the key in `path`.

    Raises
    ------
    ShellError
        If it cannot be read, or is no key of this length.
    """
    key = read_regular(path, TEXT_BYTES_MAX)
    if len(key) != key_bytes:
        raise ShellError(
            f"{path}: {len(key)} bytes: this key has {key_bytes}; "
            f"`head -c {key_bytes} /dev/urandom > {path}` makes one",
            exit_status=EXIT_INPUT,
        )
    return key
