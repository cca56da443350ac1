"""Compiled hot paths: what a kernel is declared with, and how it becomes machine code.

Where the package ships a library of kernels (`shipped`), they are its functions and nothing is
compiled. Otherwise `decorator` compiles what Python calls, `inner` what only kernels call. Where
numba's inside is as `fit` expects, each function is lowered once and `library` optimises all of
them together; otherwise numba does it all, slower, to the same bits. The theory: docs/kernels.md.
"""

from importlib.util import find_spec

from node.kernel.shipped import library, misfit

if library() is not None:
    from node.kernel.ready import inlined, inner_kernel, kernel
elif find_spec("numba") is None:
    raise ImportError(f"{misfit()}, and numba is not here: `pip install loalang[jit]`")
else:
    from node.kernel.decorator import inlined, kernel
    from node.kernel.inner import inner_kernel

__all__ = ["inlined", "inner_kernel", "kernel"]
