"""Files of secret bytes, one key each."""

from pathlib import Path

from node.shell.faults import EXIT_INPUT, ShellError, file_fault


def read_key(path: Path, key_bytes: int) -> bytes:
    """Return the key in `path`.

    Raises
    ------
    ShellError
        If it cannot be read, or is no key of this length.
    """
    try:
        key = path.read_bytes()
    except OSError as fault:
        raise file_fault(path, fault) from fault
    if len(key) != key_bytes:
        raise ShellError(
            f"{path}: {len(key)} bytes: this key has {key_bytes}; "
            f"`head -c {key_bytes} /dev/urandom > {path}` makes one",
            exit_status=EXIT_INPUT,
        )
    return key
