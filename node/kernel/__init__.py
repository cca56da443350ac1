"""Compiled hot paths: what a kernel is declared with, and how it becomes machine code.

`decorator` compiles what Python calls, `inner` what only kernels call. Where numba's inside is as
`fit` expects, each function is lowered once and `library` optimises all of them together;
otherwise numba does it all, slower, to the same bits. The theory: docs/kernels.md.
"""

from node.kernel.decorator import inlined, kernel
from node.kernel.inner import inner_kernel

__all__ = ["inlined", "inner_kernel", "kernel"]
