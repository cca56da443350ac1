"""The figures of the house: `python -m tests.house` prints them, `test_tidy.py` holds them.

Everything is read from the sources; nothing is imported.
"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from tests.docstrings import arrays_of, names_of_arrays, public_functions, unsaid

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("node", "sim", "benchmarks", "hw_profiles")
Function = ast.FunctionDef | ast.AsyncFunctionDef

_CITED = re.compile(r"(?<![\w./*-])((?:[\w-]+/)*[\w-]+\.(?:py|md))\b")
_OUTSIDE = re.compile(
    r"\b(DESIGN|STYLE|HOUSE)\.md|\bissue \d|\b(the|project.s) research\b|\bresearch on\b"
)


@dataclass(frozen=True)
class Source:
    """One file of the tree, read and parsed once."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """As people write it: `node/rtp/packet.py`."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """As Python writes it: `node.rtp.packet`."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)


@cache
def sources(folder: str) -> tuple[Source, ...]:
    """Return all modules under a folder of the tree."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return tuple(Source(p, text := p.read_text(), ast.parse(text)) for p in paths)


def shipped() -> tuple[Source, ...]:
    """Return all modules that the wheel carries."""
    return tuple(one for name in PACKAGES for one in sources(name))


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield all functions and methods of a module."""
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            yield one


def body_lines(function: Function) -> int:
    """Return the lines of a body, its docstring left out."""
    first = function.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = function.body[1] if is_text and len(function.body) > 1 else first
    return (function.end_lineno or 0) - begin.lineno + 1


def positional(function: Function) -> int:
    """Return how many arguments may be given by their place, `self` left out."""
    named = [*function.args.posonlyargs, *function.args.args]
    return len([one for one in named if one.arg not in ("self", "cls")])


def is_kernel(function: Function) -> bool:
    """Return whether a function is compiled: numba knows no keywords."""
    marks = " ".join(ast.unparse(one) for one in function.decorator_list)
    return any(one in marks for one in ("kernel(", "compiled(", "inlined"))


def kernels_of_kernels() -> list[str]:
    """Return what is loaded when a node starts, `@kernel`, and called by no Python that ships."""
    loaded: dict[str, str] = {}
    called: Counter[str] = Counter()
    for source in shipped():
        named = uses_in(source.tree)
        for one in functions(source.tree):
            if is_kernel(one):
                named -= Counter({name: n for name, n in uses_in(one).items() if name != one.name})
                marks = [ast.unparse(mark) for mark in one.decorator_list]
                if source.name.startswith("node/") and marks[0].startswith("kernel("):
                    loaded[one.name] = source.name
        # An import is no call.
        named -= Counter(
            name.name
            for one in ast.walk(source.tree)
            if isinstance(one, ast.ImportFrom)
            for name in one.names
        )
        called += named
    return [f"{where}:{name}" for name, where in loaded.items() if not called[name]]


@cache
def array_functions() -> tuple[tuple[str, list[str]], ...]:
    """Return the public functions with arrays, and of which arrays each does not say all."""
    named = {one.module: set(names_of_arrays(one.tree)) for one in shipped()}
    found = []
    for source in shipped():
        known = set(named[source.module])
        for one in source.tree.body:
            if isinstance(one, ast.ImportFrom) and one.module in named:
                known |= named[one.module] & {name.name for name in one.names}
        for function in public_functions(source.tree.body):
            if arrays_of(function, known):
                name = f"{source.name}:{function.lineno} {function.name}"
                found.append((name, unsaid(function, known)))
    return tuple(found)


def private_names(tree: ast.Module) -> list[int]:
    """Return the lines on which a test touches what is private to somebody else."""
    lines = []
    for one in ast.walk(tree):
        if isinstance(one, ast.Attribute) and _is_private(one.attr):
            of_itself = isinstance(one.value, ast.Name) and one.value.id in ("self", "cls")
            lines += [] if of_itself else [one.lineno]
        elif isinstance(one, ast.ImportFrom) and (one.module or "").split(".")[0] in PACKAGES:
            lines += [one.lineno for name in one.names if _is_private(name.name)]
    return lines


def citations(text: str) -> Iterator[str]:
    """Yield what a text cites that is no file of the tree."""
    for found in _OUTSIDE.finditer(text):
        yield found[0]
    for found in _CITED.finditer(text):
        if found[1] not in _written_by_us() and not _is_there(found[1]):
            yield found[1]


@cache
def uses() -> Counter[str]:
    """Return how often each identifier is used in shipped code, definitions left out."""
    found: Counter[str] = Counter()
    for one in shipped():
        found += uses_in(one.tree)
    return found


def uses_in(tree: ast.AST) -> Counter[str]:
    """Return how often each identifier is read in a module; names in strings of `getattr` too."""
    found: Counter[str] = Counter()
    for one in ast.walk(tree):
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load):
            found[one.id] += 1
        elif isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Load):
            found[one.attr] += 1
        elif isinstance(one, ast.ImportFrom):
            found.update(name.name for name in one.names)
        elif isinstance(one, ast.keyword) and one.arg:
            found[one.arg] += 1
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            if one.value.isidentifier():
                found[one.value] += 1
            elif " " not in one.value and "/" not in one.value:
                found.update(re.findall(r"[A-Za-z_]\w*", one.value))
    return found


@cache
def words() -> Counter[str]:
    """Return how often each word stands in shipped sources, texts and comments included."""
    return Counter(word for one in shipped() for word in re.findall(r"\w+", one.text))


def public_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield public functions, classes, methods and constants of a module, and their lines."""
    for one in tree.body:
        yield from _names_of(one)
        if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            for part in one.body:
                if isinstance(part, Function) and not _is_override(part):
                    yield from _names_of(part)


def settings() -> Iterator[tuple[str, str, int, str]]:
    """Yield file, class, line and name of each field of a class named `...Config`."""
    for source in shipped():
        for one in ast.walk(source.tree):
            if isinstance(one, ast.ClassDef) and one.name.endswith("Config"):
                for part in one.body:
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                        yield source.name, one.name, part.lineno, part.target.id


def figures() -> dict[str, object]:
    """Return what is measured, by name."""
    all_of_them = [one for source in shipped() for one in functions(source.tree)]
    lines = [s.text.count("\n") for s in shipped() if not s.path.name.startswith("tables_")]
    bodies = [body_lines(one) for one in all_of_them]
    arguments = {True: [0], False: [0]}
    for one in all_of_them:
        arguments[is_kernel(one)].append(positional(one))
    folders = Counter(s.path.parent for s in shipped() if s.path.name != "__init__.py")
    fullest, files = folders.most_common(2)[1]
    documented = sum(not unsaid for _, unsaid in array_functions())
    private = sum(len(private_names(one.tree)) for one in sources("tests"))
    return {
        "modules": len(shipped()),
        "lines of a module, median and most": f"{np.median(lines):.0f}, {max(lines)}",
        "lines of a function, p50, p90 and most": ", ".join(
            f"{np.percentile(bodies, q):.0f}" for q in (50, 90, 100)
        ),
        "functions above 40 lines": sum(n > 40 for n in bodies),
        "positional parameters, most": max(arguments[False]),
        "functions with more than five": sum(n > 5 for n in arguments[False]),
        "arguments of a kernel, most": max(arguments[True]),
        "kernels with more than six": sum(n > 6 for n in arguments[True]),
        "files of the fullest folder": _fullest(folders),
        "and of the next": f"{files} in {fullest.relative_to(ROOT)}",
        "public functions with arrays": len(array_functions()),
        "of these with shape, dtype and unit": f"{100 * documented / len(array_functions()):.0f} %",
        "private names in tests": private,
    }


def _fullest(folders: Counter[Path]) -> str:
    folder, files = folders.most_common(1)[0]
    return f"{files} in {folder.relative_to(ROOT)}"


def _names_of(one: ast.stmt) -> Iterator[tuple[str, int]]:
    if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = [one.name]
    elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
        names = [one.target.id]
    elif isinstance(one, ast.Assign):
        names = [target.id for target in one.targets if isinstance(target, ast.Name)]
    else:
        names = []
    yield from ((name, one.lineno) for name in names if not name.startswith("_"))


def _is_override(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("override" in ast.unparse(one) for one in function.decorator_list)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@cache
def _written_by_us() -> frozenset[str]:
    """Return names of files that a run or a test writes: texts speak of them, the tree has none."""
    return frozenset({"summary.md", "gate.md", "out/benchmarks/gate.md", "sounddevice.py"})


@cache
def _is_there(cited: str) -> bool:
    """Return whether a file of that name, or of that path from its end, is in the tree."""
    if (ROOT / cited).is_file():
        return True
    folders = (*PACKAGES, "tests", "docs", "packaging")
    return any(
        path.as_posix().endswith(f"/{cited}")
        for folder in folders
        for path in (ROOT / folder).rglob(Path(cited).name)
    )


if __name__ == "__main__":
    for name, value in figures().items():
        sys.stdout.write(f"{name:40} {value}\n")
