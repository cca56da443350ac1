"""The library of kernels that a package ships: taken when it was made from these very sources.

```
 loalang_kernels….so ─ stamp beside it: hash of what lies here, and its own? ─ yes ─► no numba
                                                                └─ no ─► numba compiles, as it can
```
`LOALANG_KERNELS=0` takes none; `LOALANG_KERNELS=FOLDER` looks there.
"""

import hashlib
import importlib.util
import os
import sysconfig
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent / "built"
LIBRARY: Final = f"loalang_kernels{sysconfig.get_config_var('EXT_SUFFIX')}"
STAMP: Final = ".stamp"
"""Ending of the file beside it that says what it was made from, and whether it is whole."""
NAME: Final = "loalang_kernels"
_USUAL: Final = (("LOALANG_JIT", "1"), ("LOALANG_BOUNDSCHECK", "0"), ("LOALANG_LINKER", "1"))
"""Switches that ask for kernels made here, in another way than the library's."""
_CORE: Final = Path(__file__).resolve().parents[1]
_SHELL: Final = "shell"


def core_sources() -> list[Path]:
    """Return the sources of the core: what kernels are made of, and a little more."""
    return sorted(one for one in _CORE.rglob("*.py") if one.relative_to(_CORE).parts[0] != _SHELL)


@cache
def sources_hash() -> str:
    """Return the SHA-256 of the core's sources, their names included."""
    digest = hashlib.sha256()
    for one in core_sources():
        digest.update(one.relative_to(_CORE).as_posix().encode() + b"\0")
        digest.update(one.read_bytes() + b"\0")
    return digest.hexdigest()


def stamp_of(data: bytes) -> str:
    """Return what stands beside a library: the hash of the sources, and of the file itself."""
    return f"{sources_hash()} {hashlib.sha256(data).hexdigest()}\n"


@cache
def library() -> ModuleType | None:
    """Return the library of kernels if there is one that fits, else None: `misfit` says why."""
    return None if isinstance(found := _look(), str) else found


def misfit() -> str:
    """Return why no library of kernels is taken, "" where one is."""
    return found if isinstance(found := _look(), str) else ""


@cache
def _look() -> ModuleType | str:
    wanted = os.environ.get("LOALANG_KERNELS", str(FOLDER))
    if wanted == "0" or any(os.environ.get(name, value) != value for name, value in _USUAL):
        return "no library of kernels is wanted"
    path = Path(wanted) / LIBRARY
    if not path.is_file():
        return f"no library of kernels at {path}"
    # Asked before it is loaded: a file that was cut off would end the process (SIGBUS).
    try:
        told = path.with_name(path.name + STAMP).read_text("ascii")
        if told.split()[:1] != [sources_hash()]:
            return f"{path} was made from other sources"
        if told != stamp_of(path.read_bytes()):
            return f"{path} is damaged"
    except (OSError, ValueError) as fault:
        return f"{path} cannot be read ({fault})"
    loader = ExtensionFileLoader(NAME, str(path))
    spec = importlib.util.spec_from_file_location(NAME, path, loader=loader)
    assert spec is not None
    try:
        found = importlib.util.module_from_spec(spec)
        loader.exec_module(found)
    except ImportError as fault:
        return f"{path} cannot be loaded ({fault})"
    return found
