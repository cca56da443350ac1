"""The one decorator that compiles hot paths, and the cache that knows when they are stale.

numba's own cache looks at the time stamp of one file: a change in the file of a callee, or in a
table of constants, is not seen, and the old machine code runs. Here the stamp is a hash over the
source of the module *and of every project module that it imports*, so an edit recompiles exactly
what depends on it.

This module is the core's one exception to "no files, no environment": it reads the sources and
four switches while modules are imported, never later.

==========================  ======================================================================
`LOALANG_JIT=0`             run every kernel as plain Python: slow, for debugging
`LOALANG_BOUNDSCHECK=1`     check every index: for the fuzz corpus
`LOALANG_KERNEL_CACHE=DIR`  keep the compiled kernels there instead of beside the sources
`LOALANG_LINKER=0`          leave the linking of kernels to numba: `node.kernel.fit`
==========================  ======================================================================
"""

import hashlib
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba.core.caching import UserProvidedCacheLocator

from node.kernel.fit import ALLOCATES, linked, memory_denied
from node.kernel.record import record_names

F = TypeVar("F", bound=Callable[..., Any])

JIT_ENABLED: Final = os.environ.get("LOALANG_JIT", "1") != "0"
BOUNDS_CHECKED: Final = os.environ.get("LOALANG_BOUNDSCHECK", "0") == "1"
FLAGS: Final[dict[str, Any]] = {
    "nogil": True,
    "fastmath": False,
    "error_model": "numpy",
    "boundscheck": BOUNDS_CHECKED,
    **memory_denied(),  # no memory and no counting of references: see `kernel`
}
"""What every kernel is compiled with."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_STAMP_CHARACTERS: Final = 12
_PACKAGES: Final = ("node", "sim", "benchmarks")
_WITHOUT_CODE: Final = frozenset(
    Path(__file__).with_name(f"{one}.py") for one in ("build", "glue", "ready", "shipped")
)
"""What makes a library of the code, or takes it from there, changes none of it."""

_IMPORT: Final = re.compile(
    r"^\s*(?:from\s+(?P<module>[\w.]+)\s+import\s+(?P<names>\([^)]*\)|[^\n(]+)|import\s+(?P<plain>[\w.]+))",
    re.MULTILINE,
)


def kernel(signature: str) -> Callable[[F], F]:
    """Compile a function for exactly one `signature` when its module is imported.

    Parameters
    ----------
    signature : str
        numba signature, for instance ``"int64(int64[::1], float64)"``.

    Notes
    -----
    fastmath stays off: it would reorder sums, and the same seed would differ between machines.
    The GIL is released, so that the simulator can decode on threads.

    Nothing may be allocated, and nothing counts references (`_nrt`): Python holds the arrays until
    the call returns. A kernel that wants memory does not compile: "NRT required but not enabled",
    or "No implementation" of what would give it. Nor does one that copies a slice to a slice, as
    numba allocates where they might overlap: write the loop. An array is returned only as given.
    """

    def compile_now(function: F) -> F:
        if not JIT_ENABLED:
            return function
        return linked_kernel(signature)(function) if linked() else stock_kernel(signature)(function)

    return compile_now


def linked_kernel(signature: str) -> Callable[[F], F]:
    """Compile a function as `kernel` does, linked with its inner kernels by this project."""
    from node.kernel.library import OutermostCompiler, kernel_libraries

    def compile_now(function: F) -> F:
        def compiled(cached: bool) -> F:
            compile_function = numba.njit(
                typed(signature, function), cache=cached, pipeline_class=OutermostCompiler, **FLAGS
            )
            with kernel_libraries():
                return cast(F, compile_function(function))

        return _kept(compiled, KernelCacheLocator)

    return compile_now


def stock_kernel(signature: str) -> Callable[[F], F]:
    """Compile a function as `kernel` does, by numba alone."""

    def compile_now(function: F) -> F:
        def compiled(cached: bool) -> F:
            made = numba.njit(typed(signature, function), cache=cached, **FLAGS)(function)
            if not made.stats.cache_hits:
                _refuse_memory(made)
            return cast(F, made)

        return _kept(compiled, StockCacheLocator)

    return compile_now


def typed(signature: str, function: Callable[..., Any]) -> Any:
    """Return a signature as numba takes it, with the records that the function's module knows."""
    records = dict(record_names(signature, function.__globals__))
    if not records:
        return signature
    names = {name: numba.from_dtype(dtype) for name, dtype in records.items()}
    return eval(signature, {}, {**vars(numba.types), **names})  # as numba itself reads a string


def inlined(function: F) -> F:
    """Mark a function that becomes part of each kernel that calls it, with no code of its own.

    Notes
    -----
    For the glue between large kernels: every kernel is optimised together with all that it
    calls, so a chain of them would optimise the large ones once per link.
    """
    return cast(F, numba.njit(inline="always")(function)) if JIT_ENABLED else function


class KernelCacheLocator(UserProvidedCacheLocator):  # type: ignore[misc]  # numba is untyped
    """Tell numba where a kernel's machine code lies, and which sources it was made from."""

    def __init__(self, function: Callable[..., Any], source: str) -> None:
        self._py_file = source
        self._lineno = function.__code__.co_firstlineno
        self._pattern = _file_name(Path(source), function)
        self._cache_path = _cache_folder(Path(source), self._pattern)

    @classmethod
    def from_function(cls, function: Callable[..., Any], source: str) -> "KernelCacheLocator":
        """Return the locator of `function`; always one, for every source has a place."""
        return cls(function, source)

    def get_source_stamp(self) -> str:
        """Return the hash of all sources that the kernel was compiled from."""
        return sources_hash(Path(self._py_file))

    def get_disambiguator(self) -> str:
        """Return what tells apart two builds of one function.

        numba writes which code is there before the code: if the disk is full or the power goes in
        between, the old code would pass for the new. So each has a name of its own.
        """
        build = "-checked" if BOUNDS_CHECKED else ""
        return f"{self._lineno}-{self.get_source_stamp()[:_STAMP_CHARACTERS]}{build}"

    def ensure_cache_path(self) -> None:
        """Make room for new code: remove what was made from older sources."""
        super().ensure_cache_path()
        stamp = self.get_source_stamp()[:_STAMP_CHARACTERS]
        for one in Path(self._cache_path).glob(f"{self._pattern}-*"):
            if f"-{stamp}" not in one.name:
                one.unlink(missing_ok=True)


class StockCacheLocator(KernelCacheLocator):
    """Keeps what numba linked apart from what this project linked."""

    def get_disambiguator(self) -> str:
        """Return what tells apart two builds of one function."""
        return f"{super().get_disambiguator()}-stock"


@cache
def sources_hash(path: Path) -> str:
    """Return a SHA-256 over `path` and all project modules that it imports, directly or not."""
    digest = hashlib.sha256()
    for source in sorted(_closure(path.resolve())):
        digest.update(source.name.encode() + b"\0" + _content(source) + b"\0")
    return digest.hexdigest()


def _kept(compiled: Callable[[bool], F], locator: type[KernelCacheLocator]) -> F:
    """Return the kernel that `compiled` makes, kept in the cache where one can be written."""
    before = numba.config.CACHE_LOCATOR_CLASSES
    numba.config.CACHE_LOCATOR_CLASSES = f"{locator.__module__}.{locator.__qualname__}"
    try:
        return compiled(True)
    except OSError:
        # Read-only installation without a fresh cache (`loalang-node check` was not run as
        # its owner): compile in memory rather than stay silent.
        return compiled(False)
    finally:
        numba.config.CACHE_LOCATOR_CLASSES = before


def _refuse_memory(made: Any) -> None:
    """Assert that a kernel that numba linked allocates nothing; one that does is not kept."""
    (code,) = made.inspect_llvm().values()
    wanted = [line for line in code.splitlines() if any(f"@{one}" in line for one in ALLOCATES)]
    if wanted and (folder := made.stats.cache_path):
        source = Path(made.py_func.__code__.co_filename)
        for one in Path(folder).glob(f"{_file_name(source, made.py_func)}-*"):
            one.unlink(missing_ok=True)
    assert not wanted, f"{made.__name__} wants memory: {wanted[0].strip()}"


def _file_name(source: Path, function: Callable[..., Any]) -> str:
    """Return how the names of all files of a function begin, as numba makes them."""
    return f"{source.stem}.{function.__qualname__}".replace("<", "").replace(">", "")


def _cache_folder(source: Path, pattern: str) -> str:
    """Return the folder for `source`: the chosen one, beside it, or the user's own cache."""
    chosen = os.environ.get("LOALANG_KERNEL_CACHE")
    relative = source.parent.name
    candidates = [Path(chosen) / relative] if chosen else []
    beside = source.parent / "__pycache__"
    candidates += [beside, Path.home() / ".cache" / "loalang" / "kernels" / relative]
    for folder in candidates:
        if _writable(folder) or any(folder.glob(f"{pattern}-*.nbi")):
            return str(folder)
    return str(beside)


@cache
def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _closure(path: Path) -> set[Path]:
    found = {path}
    waiting = [path]
    while waiting:
        for imported in _imports(waiting.pop()):
            if imported not in found and imported not in _WITHOUT_CODE:
                found.add(imported)
                waiting.append(imported)
    return found


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _imports(path: Path) -> tuple[Path, ...]:
    """Return the project sources that `path` imports by name."""
    found: list[Path] = []
    for match in _IMPORT.finditer(_content(path).decode()):
        module = match["module"] or match["plain"]
        if module.split(".")[0] not in _PACKAGES:
            continue
        base = _ROOT.joinpath(*module.split("."))
        names = re.findall(r"\w+", match["names"] or "")
        candidates = [base.with_suffix(".py"), base / "__init__.py"]
        candidates += [base / f"{name}.py" for name in names]
        found += [candidate for candidate in candidates if candidate.is_file()]
    return tuple(found)
