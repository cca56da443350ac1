"""Whether a docstring says what the arrays of its function are: shape, dtype and unit of each.

An array has an entry of its own, in a kernel's table or as numpydoc writes it, or is named in a
docstring of one paragraph; a result is spoken of beside the entries. Read from the sources.
"""

import ast
import re
from collections.abc import Collection, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef

RESULT = "(result)"

_SHAPE = re.compile(r"\([^()]*(\([^()]*\)[^()]*)*\)")
_DTYPE = re.compile(r"\b(u?int(8|16|32|64)|float(32|64)|complex128|bool|records?)\b")
_UNIT = re.compile(
    r"(?<![A-Za-z])(ns|[mµu]?s|seconds|min|days|samples?|frames?|packets?|bytes?|bits?|counts?|rows?"
    r"|full scale|16-bit|ind(ex|ices)|ratios?|shares?|ppm|ppb|db\w*|lufs|k?hz|k?m|metres|degrees"
    r"|flags?|gains?|q\d+|log2|norm|units?|masks?|1 for|probabilit(y|ies)|mb|%|watts?|celsius|nan)"
    r"(?![A-Za-z])",
    re.IGNORECASE,
)
_UNIT_OF_NAME = re.compile(
    r"_([mu]?s|ns|samples|bytes|bits|packets|ppm|db\w*|k?hz|k?m|q\d+|ratio|gain|index|count)s?$"
)
_ENTRY = re.compile(r"^(\w+(?:, \w+)*)(?: {2,}| : )(.*)$")


def public_functions(body: list[ast.stmt]) -> Iterator[Function]:
    """Yield functions and methods that others may call: none inside a function, no private's."""
    for one in body:
        if isinstance(one, Function) and not one.name.startswith("_"):
            yield one
        elif isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            yield from public_functions(one.body)


def names_of_arrays(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives to types of arrays: `Sound = NDArray[np.float32]`."""
    for one in tree.body:
        if isinstance(one, ast.Assign) and ast.unparse(one.value).startswith("NDArray["):
            yield from (name.id for name in one.targets if isinstance(name, ast.Name))


def arrays_of(function: Function, known: Collection[str] = ()) -> list[str]:
    """Return the arrays that a function takes, and RESULT where it returns one.

    `known` are other names of types of arrays.
    """
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    arrays = [one.arg for one in named if one.annotation and _is_array(one.annotation, known)]
    gives = function.returns is not None and _is_array(function.returns, known)
    return [*arrays, RESULT] if gives else arrays


def unsaid(function: Function, known: Collection[str] = ()) -> list[str]:
    """Return the arrays of which the docstring leaves out shape, dtype or unit."""
    text = ast.get_docstring(function) or ""
    entries = _entries(text)
    first = text.split("\n\n")[0]
    wanting = []
    for name in arrays_of(function, known):
        if name == RESULT:
            said = "\n".join(one for one in text.split("\n") if not _ENTRY.match(one))
        else:
            said = entries.get(name, first if re.search(rf"\b{name}\b", first) else "")
        unit = _UNIT.search(said) or _UNIT_OF_NAME.search(name)
        if not (_SHAPE.search(said) and _DTYPE.search(said) and unit):
            wanting.append(name)
    return wanting


def _is_array(annotation: ast.expr, known: Collection[str]) -> bool:
    text = ast.unparse(annotation)
    named = (one.id for one in ast.walk(annotation) if isinstance(one, ast.Name))
    return not text.startswith("Callable") and ("NDArray" in text or any(n in known for n in named))


def _entries(text: str) -> dict[str, str]:
    """Return what a docstring's table or its sections say of each name."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.split("\n"):
        entry = _ENTRY.match(line)
        if entry:
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif names and line.startswith("  "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found
