"""Where the recorded streams and traces lie that no user's machine needs."""

import os
from pathlib import Path
from typing import Final

_BESIDE_THE_TREE: Final = Path("..") / "shared"


def shared_folder() -> Path:
    """Return the folder that `LOALANG_SHARED` names, or `../shared` as seen from the tree.

    An installed package does not know the tree it came from, so the folder that the command was
    given in is looked at first.
    """
    named = os.environ.get("LOALANG_SHARED")
    if named:
        return Path(named)
    if _BESIDE_THE_TREE.is_dir():
        return _BESIDE_THE_TREE
    return Path(__file__).parents[2] / "shared"
