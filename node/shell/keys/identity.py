"""The node's own key, which signs its answers: made at the first start, and kept in the store."""

import os
from typing import Final

from node.shell.store.store import Store

SEED_BYTES: Final = 32
SEED_KEY: Final = "shell/seed"


def own_seed(store: Store) -> bytes:
    """Return the secret of the node's own key; made at the first start."""
    seed = store.kept().get(SEED_KEY, b"")
    if len(seed) != SEED_BYTES:
        seed = os.urandom(SEED_BYTES)
        store.keep_soon({SEED_KEY: seed})
    return seed
