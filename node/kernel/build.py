"""`python -m node.kernel.build [FOLDER]`: all kernels of a node as one library, without numba.

```
 modules ─► numba, as always ─► optimised code of each kernel, without its wrapper ─┐
 glue.py ─► C ─► cc ────────────────────────────────────────────────────────────────┤ link ─► .so
 hash of the sources ───────────────────────────────────────────────────────────────┘
```
It needs numba, a C compiler and Python's headers; who loads it needs numpy. With
`NUMBA_CPU_NAME=generic` it runs on every processor of its architecture, equal to the bit, and with
`--for aarch64` on every one of another.
"""

import argparse
import importlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from node.kernel.processor import (
    MACHINES,
    Processor,
    misfit,
    moved,
    own,
    target_machine,
    unresolved,
)
from node.kernel.shipped import FOLDER, NAME, STAMP, core_sources, stamp_of

_TRIAL: Final = "node.kernel.trial"
_ROOT: Final = FOLDER.parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Build the library; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m node.kernel.build", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--for", dest="machine", choices=MACHINES, default=own().machine)
    also = "packages whose kernels come along, for measurements where no compiler is"
    parser.add_argument("--also", nargs="+", default=[], metavar="PACKAGE", help=also)
    options = parser.parse_args(arguments)
    processor = Processor(options.machine)
    os.environ["LOALANG_KERNELS"] = "0"  # from the sources, not from a library that is there
    from node.kernel.fit import linked, misfits

    if not linked():
        sys.stderr.write(
            "node.kernel.build: this numba links the kernels itself, so none stands by itself for a"
            f" library: must be a newer one, without {', '.join(misfits()) or 'LOALANG_LINKER=0'}\n"
        )
        return 2
    if fault := misfit(processor):
        sys.stderr.write(f"node.kernel.build: {fault}\n")
        return 2
    path = build(options.folder, processor, also=options.also)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


def build(folder: Path, processor: Processor | None = None, *, also: Iterable[str] = ()) -> Path:
    """Return the library of a node's kernels, made in `folder`.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    processor : Processor, optional
        For which; left out, this machine's.
    also : iterable of str
        Packages beside the node whose kernels come along; no pole needs any.
    """
    from node.kernel.glue import Native, glue

    processor = processor or own()
    folder.mkdir(parents=True, exist_ok=True)
    natives = []
    with tempfile.TemporaryDirectory() as scratch:
        objects: list[Path] = []
        for name, result in _compiled(also):
            symbol = result.fndesc.llvm_func_name
            natives.append(Native(name, symbol, result.signature))
            objects.append(Path(scratch) / f"{len(objects)}.o")
            try:
                objects[-1].write_bytes(machine_code(result, processor))
            except ValueError as fault:
                raise SystemExit(f"{name}: {fault}") from fault
        source = Path(scratch) / "glue.c"
        source.write_text(glue(natives))
        path = folder / processor.library
        _link(source, objects, path, processor)
    return path


def machine_code(result: Any, processor: Processor) -> bytes:
    """Return an object file of one kernel, of which numba has the `result`, optimised already.

    Raises
    ------
    ValueError
        If the code has something that this `processor` has not.
    """
    import llvmlite.binding as llvm

    module = result.library._get_module_for_linking().clone()
    for one in (*module.functions, *module.global_variables):
        if not one.is_declaration:  # of all its functions only the kernel is seen outside
            is_kernel = one.name == result.fndesc.llvm_func_name
            one.linkage = "external" if is_kernel else "internal"
    machine = target_machine(processor)
    if not processor.is_own:
        module = moved(module, machine)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


def _compiled(also: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield the name and numba's result of each kernel that Python calls."""
    from numba.core.dispatcher import Dispatcher

    for module in sorted({*map(_module_of, core_sources()), *_other_modules(also)}):
        if module == _TRIAL:
            continue
        for name, one in vars(importlib.import_module(module)).items():
            made = isinstance(one, Dispatcher) and one.__module__ == module and one.overloads
            if made:
                (result,) = one.overloads.values()
                if getattr(result.library, "is_outermost", False):
                    yield f"{module}.{name}", result


def _other_modules(packages: Iterable[str]) -> Iterator[str]:
    """Yield the modules of these packages that have kernels."""
    for package in packages:
        for one in sorted((_ROOT / package).rglob("*.py")):
            if "@kernel(" in one.read_text():
                yield _module_of(one)


def _module_of(path: Path) -> str:
    """Return the name by which a source of the core is imported."""
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _link(source: Path, objects: list[Path], path: Path, processor: Processor) -> None:
    include = [f"-I{sysconfig.get_paths()['include']}", f"-I{np.get_include()}"]
    flags = ["-shared", "-fPIC", "-O2", "-s", "-Wl,--gc-sections"]
    undefined = "-Wl,--unresolved-symbols=ignore-all"  # Python's own, of the process
    command = [processor.compiler, *flags, undefined, *include, str(source)]
    partial = path.with_name("partial.so")
    try:
        done = subprocess.run(
            [*command, *map(str, objects), "-o", str(partial), "-lm"],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as fault:
        raise SystemExit(f"{command[0]}: no such C compiler for {processor.machine}") from fault
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stderr}")
    if missing := unresolved(partial, processor.compiler):
        raise SystemExit(f"{command[0]}: nothing that is linked has {', '.join(missing)}")
    if processor.is_own:
        _load(partial)
    stamp = path.with_name(path.name + STAMP)
    stamp.unlink(missing_ok=True)
    partial.replace(path)
    stamp.write_text(stamp_of(path.read_bytes()))


def _load(path: Path) -> None:
    """Try it, in a process of its own: what is wrong with it may end that."""
    load = (
        "import importlib.machinery as m, sys; m.ExtensionFileLoader(*sys.argv[1:]).create_module"
    )
    load += "(m.ModuleSpec(sys.argv[1], None, origin=sys.argv[2]))"
    subprocess.run([sys.executable, "-c", load, NAME, str(path)], check=True)


if __name__ == "__main__":
    sys.exit(main())
