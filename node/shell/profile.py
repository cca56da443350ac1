"""What `control.profile = "production"` asks of the files beside the configuration."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from node.config import NodeConfig
from node.shell.config import ShellConfig
from node.shell.faults import EXIT_INPUT, ShellError

_OTHERS: Final = 0o077


def open_files(node: NodeConfig, shell: ShellConfig) -> list[str]:
    """Return a line for each secret file that others than its owner may read or write."""
    return [
        f"{name} = {path}: others may read or write it (mode {mode:o}); `chmod 600 {path}`"
        for name, path in _secrets(node, shell)
        if (mode := _mode(path)) & _OTHERS
    ]


def require_closed(node: NodeConfig, shell: ShellConfig) -> None:
    """Refuse to run in production with secret files that others may read or write.

    Raises
    ------
    ShellError
        One line per file.
    """
    if shell.control is None or shell.control.profile != "production":
        return
    lines = open_files(node, shell)
    if lines:
        raise ShellError("\n".join(lines), exit_status=EXIT_INPUT)


def _secrets(node: NodeConfig, shell: ShellConfig) -> Iterator[tuple[str, Path]]:
    named = {
        "mqtt.password_file": shell.mqtt.password_file,
        "mqtt.key_file": shell.mqtt.key_file,
        "receive.join_key_file": node.receive.join_key_file,
        "store.path": shell.store.path,
    }
    for name, path in named.items():
        if path is not None:
            yield name, Path(path)
            if name == "store.path":
                yield name, Path(f"{path}.2")


def _mode(path: Path) -> int:
    """Return who may do what with a file; 0 where there is none: another check names that."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
