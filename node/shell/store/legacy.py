"""The store of version 0.1: a SQLite database, read once and written anew in two copies."""

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from node.shell.store.copies import Joined
from node.shell.store.one_copy import Kept

SQLITE_MAGIC: Final = b"SQLite format 3\0"


def read_legacy(path: Path) -> Joined:
    """Return what the database holds; what is damaged in it is lost."""
    joined = Joined(number=1)
    try:
        database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
        try:
            for key, value in database.execute("SELECT key, value FROM kept ORDER BY key"):
                joined.values[str(key)] = Kept(1, bytes(value))
        finally:
            database.close()
    except sqlite3.Error as fault:
        joined.lost_batches = 1
        joined.repaired = (f"{path}: a database of version 0.1, damaged: {fault}",)
    return joined
