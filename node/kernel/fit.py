"""Whether this version of numba has inside what the linker of kernels builds on.

`node.kernel.library` and `node.kernel.inner` take the place of inner parts of numba, which its
makers may change in any version. So before the first kernel is compiled or loaded, each name that
they lean on is looked for, with its parameters, and two small kernels are linked and called. If
anything is missing or other than expected, numba's own linker takes over: see `node.kernel`.
"""

import inspect
import os
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any, Final

import numba
import numba.core.errors

ALLOCATES: Final = ("NRT_Allocate", "NRT_MemInfo_alloc", "NRT_MemInfo_new")
"""What numba calls for memory. It refuses by itself to compile a kernel that wants some; not one
that calls somebody else's function, compiled with memory before, which would leak."""

_PARAMETERS: Final = {
    "codegen.JITCodeLibrary.__init__": "self codegen name",
    "codegen.JITCodeLibrary.finalize": "self",
    "codegen.JITCodeLibrary.get_pointer_to_function": "self name",
    "codegen.JITCodeLibrary.serialize_using_object_code": "self",
    "codegen.JITCodeLibrary._unserialize": "codegen state",
    "codegen.JITCodeLibrary.enable_object_caching": "self",
    "codegen.JITCodeLibrary._get_module_for_linking": "self",
    "codegen.JITCodeLibrary._optimize_final_module": "self",
    "codegen.JITCodeLibrary._finalize_final_module": "self",
    "codegen.JITCodeLibrary._ensure_finalized": "self",
    "codegen.JITCodeLibrary._get_compiled_object": "self",
    "codegen.JITCodeLibrary._set_compiled_object": "self value",
    "codegen.JITCPUCodegen.set_env": "self env_name env",
    "codegen.JITCPUCodegen.create_library": "self name kwargs",
    "compiler.Compiler.define_pipelines": "self",
    "compiler.Compiler.__init__": "self typingctx targetctx library args return_type flags locals",
    "dispatcher.Dispatcher.compile": "self sig",
    "dispatcher.Dispatcher._compile_for_args": "self args kws",
    "dispatcher.Dispatcher.enable_caching": "self",
    "dispatcher._FunctionCompiler.compile": "self args return_type",
    "caching.Cache.load_overload": "self sig target_context",
    "caching.Cache.save_overload": "self sig data",
    "base.BaseContext.insert_user_function": "self func fndesc libs",
    "sigutils.normalize_signature": "sig",
}
"""What is overridden or called, below `numba.core`, and the names of its parameters."""

_HELD: Final = {
    "library": (
        *("_codegen", "_finalized", "_final_module", "_shared_module", "_linking_libraries"),
        *("_reload_init", "name"),
    ),
    "code generator": ("_library_class", "_engine"),
    "engine": ("_defined_symbols",),
    "dispatcher": ("_cache", "_compiler", "_compiling_counter", "_cache_hits", "overloads"),
    "flags": ("no_cpython_wrapper", "no_cfunc_wrapper", "nrt"),
    "runtime linker": ("PREFIX",),
    "compiler lock": ("__enter__", "__exit__"),
}
"""What is read or set, by whose it is."""


_OTHERWISE: Final = (
    *(numba.core.errors.NumbaError, ImportError, AssertionError, AttributeError),
    *(LookupError, RuntimeError, TypeError, ValueError),
)
"""How a trial may end if what was found does not do what it did."""


@cache
def misfits() -> tuple[str, ...]:
    """Return what the linker of kernels wants of numba and does not find, () if it finds all."""
    return (*_other_parameters(), *_missing_attributes())


@cache
def linked() -> bool:
    """Return whether kernels are linked by `node.kernel.library`, and not by numba itself.

    Notes
    -----
    `LOALANG_LINKER=0` says no: it is how the other way is tested.
    """
    return os.environ.get("LOALANG_LINKER", "1") != "0" and not misfits() and _trial()


def memory_denied() -> dict[str, bool]:
    """Return numba's own option for code that cannot allocate, {} of a version without it.

    Without it a kernel compiles all the same, and `node.kernel` reads in the code whether it
    wants memory.
    """
    return {"_nrt": False} if hasattr(_named("options.DefaultOptions"), "_nrt") else {}


def _named(path: str) -> Any:
    """Return what has this name below `numba.core`, or None."""
    module, *names = path.split(".")
    try:
        one: Any = import_module(f"numba.core.{module}")
    except ImportError:
        return None
    for name in names:
        one = getattr(one, name, None)
    return one


def _other_parameters() -> Iterator[str]:
    for path, wanted in _PARAMETERS.items():
        one = _named(path)
        found = " ".join(inspect.signature(one).parameters) if callable(one) else None
        if found is None:
            yield f"numba.core.{path} is not there"
        elif found != wanted:
            yield f"numba.core.{path}({found}): expected ({wanted})"


def _missing_attributes() -> Iterator[str]:
    target = _named("registry.cpu_target.target_context")
    codegen: Any = target.codegen() if hasattr(target, "codegen") else None
    library = codegen.create_library("fit") if hasattr(codegen, "create_library") else None
    flags = _named("compiler.Flags")
    owners = {
        "library": library,
        "code generator": codegen,
        "engine": getattr(codegen, "_engine", None),
        "dispatcher": numba.njit(_named),
        "flags": flags() if callable(flags) else None,
        "runtime linker": _named("codegen.RuntimeLinker"),
        "compiler lock": _named("compiler_lock.global_compiler_lock"),
    }
    for owner, names in _HELD.items():
        for name in names:
            if not hasattr(owners[owner], name):
                yield f"{name} of numba's {owner} is not there"


def _trial() -> bool:
    """Return whether two small kernels, linked, give what they should."""
    try:
        from node.kernel import trial

        return bool(trial.seventh(6) == 7)
    except _OTHERWISE:
        return False
