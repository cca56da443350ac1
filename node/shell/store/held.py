"""The stores of one process, which outlive its services.

A service that takes a new configuration does not open its store again: a disk that is slow may
still be about to take what the one before it kept, and a second store of that file would begin
without that, and could not write as long as the first one does.
"""

from pathlib import Path

from node.shell.store.store import Store


class Held:
    """Stores by their path; None is for one that keeps everything in memory only."""

    def __init__(self) -> None:
        self._stores: dict[Path | None, Store] = {}

    def store(self, name: str | Path | None) -> Store:
        """Return the store of this path, opened at the first time; raise what `Store` raises."""
        path = None if name is None else Path(name)
        if path in self._stores:
            self._stores[path].lost = ()  # told by the service before
        else:
            self._stores[path] = Store(path)
        return self._stores[path]

    def close(self, *, but: Store | None = None) -> None:
        """Close all stores, or all others."""
        for path, one in list(self._stores.items()):
            if one is not but:
                del self._stores[path]
                one.close()
