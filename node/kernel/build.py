"""`python -m node.kernel.build [FOLDER]`: all kernels of a node as one library, without numba.

```
 modules ─► numba, as always ─► optimised code of each kernel, without its wrapper ─┐
 glue.py ─► C ─► cc ────────────────────────────────────────────────────────────────┤ link ─► .so
 hash of the sources ───────────────────────────────────────────────────────────────┘
```
It needs numba, a C compiler and Python's headers; who loads it needs numpy. With
`NUMBA_CPU_NAME=generic` it runs on every processor of its architecture, equal to the bit.
"""

import argparse
import importlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from node.kernel.shipped import FOLDER, LIBRARY, NAME, STAMP, core_sources, stamp_of

_TRIAL: Final = "node.kernel.trial"


def main(arguments: list[str] | None = None) -> int:
    """Build the library; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m node.kernel.build", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    os.environ["LOALANG_KERNELS"] = "0"  # from the sources, not from a library that is there
    from node.kernel.fit import linked, misfits

    if not linked():
        sys.stderr.write(
            "node.kernel.build: this numba links the kernels itself, so none stands by itself for a"
            f" library: must be a newer one, without {', '.join(misfits()) or 'LOALANG_LINKER=0'}\n"
        )
        return 2
    path = build(options.folder)
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


def build(folder: Path) -> Path:
    """Return the library of all kernels, made in `folder`."""
    from node.kernel.glue import Native, glue

    folder.mkdir(parents=True, exist_ok=True)
    natives = []
    with tempfile.TemporaryDirectory() as scratch:
        objects: list[Path] = []
        for name, result in _compiled():
            symbol = result.fndesc.llvm_func_name
            natives.append(Native(name, symbol, result.signature))
            objects.append(Path(scratch) / f"{len(objects)}.o")
            objects[-1].write_bytes(_object(result.library, symbol))
        source = Path(scratch) / "glue.c"
        source.write_text(glue(natives))
        path = folder / LIBRARY
        _link(source, objects, path)
    return path


def _compiled() -> Iterator[tuple[str, Any]]:
    """Yield the name and numba's result of each kernel that Python calls."""
    from numba.core.dispatcher import Dispatcher

    for module in sorted({_module_of(one) for one in core_sources()}):
        if module == _TRIAL:
            continue
        for name, one in vars(importlib.import_module(module)).items():
            made = isinstance(one, Dispatcher) and one.__module__ == module and one.overloads
            if made:
                (result,) = one.overloads.values()
                if getattr(result.library, "is_outermost", False):
                    yield f"{module}.{name}", result


def _module_of(path: Path) -> str:
    """Return the name by which a source of the core is imported."""
    parts = path.relative_to(FOLDER.parents[2]).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _object(library: Any, symbol: str) -> bytes:
    """Return the machine code of one kernel; of all its functions only `symbol` is seen outside."""
    import llvmlite.binding as llvm
    from numba.core import config

    module = library._get_module_for_linking().clone()
    for one in (*module.functions, *module.global_variables):
        if not one.is_declaration:
            one.linkage = "external" if one.name == symbol else "internal"
    target = llvm.Target.from_triple(llvm.get_process_triple())
    generic = config.CPU_NAME or llvm.get_host_cpu_name()
    features = config.CPU_FEATURES if config.CPU_FEATURES is not None else ""
    machine = target.create_target_machine(
        cpu=generic, features=features, opt=3, reloc="pic", codemodel="default"
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.run(module, builder)
    return bytes(machine.emit_object(module))


def _link(source: Path, objects: list[Path], path: Path) -> None:
    include = [f"-I{sysconfig.get_paths()['include']}", f"-I{np.get_include()}"]
    flags = ["-shared", "-fPIC", "-O2", "-s", "-Wl,-z,defs", "-Wl,--gc-sections"]
    undefined = "-Wl,--unresolved-symbols=ignore-all"  # Python's own, of the process
    command = [os.environ.get("CC", "cc"), *flags, undefined, *include, str(source)]
    partial = path.with_name("partial.so")
    done = subprocess.run(
        [*command, *map(str, objects), "-o", str(partial), "-lm"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stderr}")
    load = (
        "import importlib.machinery as m, sys; m.ExtensionFileLoader(*sys.argv[1:]).create_module"
    )
    load += "(m.ModuleSpec(sys.argv[1], None, origin=sys.argv[2]))"
    subprocess.run([sys.executable, "-c", load, NAME, str(partial)], check=True)
    path.with_name(path.name + STAMP).unlink(missing_ok=True)
    partial.replace(path)
    path.with_name(path.name + STAMP).write_text(stamp_of(path.read_bytes()))


if __name__ == "__main__":
    sys.exit(main())
