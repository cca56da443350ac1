"""How the code of kernels comes together: each function is lowered once, all are optimised once.

numba makes every function that it compiles fit to be called from Python and optimises it with all
that it calls, so what lies ten calls deep is optimised ten times, and each caller must take
callees as they stand. Here an inner kernel stops half way, as LLVM's intermediate code. The
outermost kernel links it with the others and tells the optimiser that nobody else calls it: it is
inlined where that pays, arguments that nobody looks at are dropped, and machine code is made once.

    inner kernels, numba's own functions        intermediate code, in the cache as such
            `----------> outermost kernel       linked, optimised, machine code

The sound does not depend on it: fastmath is off, so the optimiser may not change a result.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import llvmlite.binding as llvm
from numba.core.codegen import JITCodeLibrary, RuntimeLinker
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from node.kernel.fit import ALLOCATES

_INNER: Final = "intermediate"
_OUTERMOST: Final = "machine"
_COLLECTED: Final = (300_000, 1000, 1000)
"""When Python looks for garbage meanwhile: the compiler's trees are large and stay, and looking
through them as often as usual is a seventh of its time. It costs 50 MB."""


class KernelLibrary(JITCodeLibrary):  # type: ignore[misc]  # numba is untyped
    """The code of one function: intermediate as a rule, machine code if it is outermost."""

    is_outermost = False
    _shared_module: Any
    _final_module: Any

    @property
    def codegen(self) -> Any:
        """Return who knows where numba's environments of Python objects lie."""
        return self._codegen if self.is_outermost else _NoEnvironments

    def finalize(self) -> None:
        """Make the code ready: an inner kernel's is as it stands."""
        if not self.is_outermost:
            self._finalized = True
            return
        wanted = _defined(self._final_module)
        self._link_callees(self._final_module)
        prefix = RuntimeLinker.PREFIX  # a recursive call goes by the name of its target
        names = (one.name for one in self._final_module.global_variables)
        wanted |= {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        for one in self._final_module.functions:
            assert not one.name.startswith(ALLOCATES), f"{self.name} wants memory: {one.name}"
            if not one.is_declaration and one.name not in wanted:
                one.linkage = "internal"
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()

    def get_pointer_to_function(self, name: str) -> int:
        """Return the address of the machine code, 0 for none."""
        return int(super().get_pointer_to_function(name)) if self.is_outermost else 0

    def serialize_using_object_code(self) -> Any:
        """Return what the cache keeps."""
        self._ensure_finalized()
        module = self._get_module_for_linking()
        if not self.is_outermost:
            return self.name, _INNER, module.as_bitcode()
        data = self._get_compiled_object(), module.as_bitcode(), _defined(module)
        return self.name, _OUTERMOST, data

    @classmethod
    def _unserialize(cls, codegen: Any, state: Any) -> "KernelLibrary":
        name, kind, data = state
        self = cls(codegen, name)
        if kind == _INNER:
            self._shared_module = self._final_module = llvm.parse_bitcode(data)
            self._finalized = True
            return self
        self.is_outermost = True
        code, self._bitcode, symbols = data
        self.enable_object_caching()
        self._set_compiled_object(code)
        self._finalize_final_module()
        codegen._engine._defined_symbols |= symbols
        return self

    def _get_module_for_linking(self) -> Any:
        """Return the code of this function and of all that it calls, for another's to take in."""
        self._ensure_finalized()
        if self._shared_module is None:
            bitcode = getattr(self, "_bitcode", None)
            module = llvm.parse_bitcode(bitcode) if bitcode else self._final_module.clone()
            if not self.is_outermost:
                self._link_callees(module)
            for one in module.functions:
                if not one.is_declaration and one.linkage == llvm.Linkage.external:
                    one.linkage = "linkonce_odr"
            self._shared_module = module
        return self._shared_module

    def _link_callees(self, module: Any) -> None:
        """Add the code of all functions that this one calls, directly or not, once each."""
        seen = {self}
        waiting = [self]
        while waiting:
            for library in waiting.pop()._linking_libraries:
                if library in seen:
                    continue
                seen.add(library)
                self._reload_init.update(library._reload_init)
                if isinstance(library, KernelLibrary) and not library.is_outermost:
                    module.link_in(library._final_module, preserve=True)
                    waiting.append(library)
                else:
                    module.link_in(library._get_module_for_linking(), preserve=True)


class InnerCompiler(Compiler):  # type: ignore[misc]
    """Compiles what only other kernels call: nothing that Python would need."""

    def define_pipelines(self) -> Any:
        """Return numba's passes."""
        self.state.flags.no_cpython_wrapper = True
        self.state.flags.no_cfunc_wrapper = True
        return super().define_pipelines()


class OutermostCompiler(Compiler):  # type: ignore[misc]
    """Compiles what Python calls, to machine code."""

    def define_pipelines(self) -> Any:
        """Return numba's passes."""
        self.state.flags.no_cfunc_wrapper = True
        library = KernelLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        library.is_outermost = True
        library.enable_object_caching()
        self.state.library = library
        return super().define_pipelines()


class _NoEnvironments:
    """Stands for the code generator where there is no machine code yet."""

    @staticmethod
    def set_env(name: str, environment: object) -> None:
        """Leave it."""


@contextmanager
def kernel_libraries() -> Iterator[None]:
    """Let what is compiled or loaded in between become KernelLibrary."""
    with global_compiler_lock:
        codegen = cpu_target.target_context.codegen()
        before, collected = codegen._library_class, gc.get_threshold()
        codegen._library_class = KernelLibrary
        gc.set_threshold(*_COLLECTED)
        try:
            yield
        finally:
            codegen._library_class = before
            gc.set_threshold(*collected)


def _defined(module: Any) -> set[str]:
    """Return the names that other modules may use."""
    both = (*module.functions, *module.global_variables)
    return {one.name for one in both if not one.is_declaration and one.linkage.name != "internal"}
