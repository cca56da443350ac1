"""What survives a power cut: keys and values in SQLite, on the disk before `keep` returns."""

import sqlite3
from pathlib import Path

from node.shell.faults import EXIT_INPUT, ShellError

KEYS_MAX = 10_000
"""Far more than the core keeps; beyond it something is wrong, and the disk is worth more."""


class Store:
    """Keys and values.

    Parameters
    ----------
    path : Path or None
        Database file; None keeps everything in memory only.

    Raises
    ------
    ShellError
        If the file cannot be opened or is no database.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            # A failed `connect` leaves nothing open; what fails after it is closed below.
            self._database = sqlite3.connect(":memory:" if path is None else path)
        except sqlite3.Error as fault:
            raise _open_fault(path, fault) from fault
        try:
            # FULL: in WAL mode NORMAL may lose the last transactions with the power, and what is
            # acknowledged must not be lost.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
        except sqlite3.Error as fault:
            self._database.close()
            raise _open_fault(path, fault) from fault

    def keep(self, key: str, value: bytes) -> None:
        """Keep `value` under `key`; when this returns, it survives a power cut.

        Raises
        ------
        ShellError
            If the disk is full or broken: acting on what is not kept would be a lie.
        """
        try:
            with self._database:
                self._database.execute(
                    "INSERT INTO kept VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = ?2",
                    (key, value),
                )
        except sqlite3.Error as fault:
            raise ShellError(f"store.path = {self._path}: {fault}; is the disk full?") from fault

    def kept(self) -> dict[str, bytes]:
        """Return all that was kept, in the order of the keys."""
        rows = self._database.execute(
            "SELECT key, value FROM kept ORDER BY key LIMIT ?", (KEYS_MAX,)
        )
        return {str(key): bytes(value) for key, value in rows}

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        self._database.close()


def _open_fault(path: Path | None, fault: sqlite3.Error) -> ShellError:
    return ShellError(
        f"store.path = {path}: {fault}; must be a file in a folder that exists and may be written",
        exit_status=EXIT_INPUT,
    )
