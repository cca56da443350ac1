"""Compiled hot paths: what a kernel is declared with. See `node.kernel.decorator`."""

from node.kernel.decorator import inlined, kernel
from node.kernel.inner import inner_kernel

__all__ = ["inlined", "inner_kernel", "kernel"]
