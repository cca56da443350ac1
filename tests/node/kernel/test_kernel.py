import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError

import node
from node.kernel.decorator import linked_kernel, stock_kernel
from node.kernel.fit import linked

CALLEE = """
from node.kernel import kernel

@kernel("int64(int64)")
def inner(x):
    return x + {constant}
"""
CALLER = """
from node.rtp.inner import inner
from node.kernel import kernel

@kernel("int64(int64)")
def outer(x):
    return inner(x) * 10

print(outer(1), sum(outer.stats.cache_hits.values()))
"""


def run(tree: Path, **environment: str) -> list[str]:
    """Import the caller in a process of its own and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", "import node.outer"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


NESTED = """
import numpy
from node.kernel.inner import inner_kernel
from node.kernel import kernel

@inner_kernel("int64(int64)")
def halved(x):
    return 0 if x == 0 else 1 + halved(x // 2)

@inner_kernel("int64(float32[::1], int64)")
def scaled(values, factor):
    values *= factor
    return halved(factor)

@kernel("int64(float32[::1], int64)")
def twice(values, factor):
    return scaled(values, factor) + scaled(values, factor)

values = numpy.ones(3, numpy.float32)
print(twice(values, 4), halved(8), values[2], sum(twice.stats.cache_hits.values()))
"""


BORROWED = """
import sys
import numpy
from node.kernel import kernel

@kernel("int64(int64[::1], int64)")
def taken(values, i):
    return values[i]

values = numpy.arange(4)
held = sys.getrefcount(values)
beyond = 0
for _ in range(100):
    taken(values, 1) + taken(values[2:], 1)
    try:
        taken(values, 4)
    except IndexError:
        beyond += 1
print(beyond, sys.getrefcount(values) - held)
"""


both_linkers = pytest.mark.parametrize("linker", ["1", "0"], ids=["linked", "stock"])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package `node` of two kernels in two files, and the real decorator."""
    package = tmp_path / "node"
    (package / "rtp").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "rtp" / "__init__.py").touch()
    shutil.copytree(Path(node.__file__).parent / "kernel", package / "kernel")
    (package / "rtp" / "inner.py").write_text(CALLEE.format(constant=1))
    (package / "outer.py").write_text(CALLER)
    return tmp_path


@both_linkers
def test_a_kernel_is_compiled_once_and_then_comes_from_the_cache(tree, linker):
    assert run(tree, LOALANG_LINKER=linker) == ["20", "0"]
    assert run(tree, LOALANG_LINKER=linker) == ["20", "1"]


@both_linkers
def test_a_change_in_another_file_that_a_kernel_calls_is_seen(tree, linker):
    run(tree, LOALANG_LINKER=linker)
    (tree / "node" / "rtp" / "inner.py").write_text(CALLEE.format(constant=2))

    assert run(tree, LOALANG_LINKER=linker) == ["30", "0"]


@both_linkers
def test_code_that_could_not_be_kept_is_not_mistaken_for_the_one_before(tree, linker):
    folder = tree / "node" / "__pycache__"
    run(tree, LOALANG_LINKER=linker)
    old = next(folder.glob("outer.outer-*.nbc"))
    kept = old.read_bytes()
    (tree / "node" / "rtp" / "inner.py").write_text(CALLEE.format(constant=2))
    run(tree, LOALANG_LINKER=linker)
    (new,) = folder.glob("outer.outer-*.nbc")  # the old one is no use to anybody
    new.unlink()  # numba has written that it is there, and then the power went
    old.write_bytes(kept)

    assert run(tree, LOALANG_LINKER=linker) == ["30", "0"]


def test_a_change_of_how_kernels_are_compiled_is_seen(tree):
    run(tree)
    decorator = tree / "node" / "kernel" / "fit.py"
    text = decorator.read_text()
    assert '"_nrt": False' in text
    decorator.write_text(text.replace('"_nrt": False', '"_nrt": True'))

    assert run(tree) == ["20", "0"]


def test_a_change_in_a_file_that_it_does_not_use_costs_no_compilation(tree):
    run(tree)
    (tree / "node" / "rtp" / "other.py").write_text("CONSTANT = 1\n")

    assert run(tree) == ["20", "1"]


@both_linkers
def test_inner_kernels_work_from_kernels_and_from_python_compiled_and_from_the_cache(tree, linker):
    (tree / "node" / "outer.py").write_text(NESTED)

    assert run(tree, LOALANG_LINKER=linker) == ["6", "4", "16.0", "0"]
    assert run(tree, LOALANG_LINKER=linker) == ["6", "4", "16.0", "1"]


def test_a_change_to_a_kernel_takes_the_inner_ones_that_did_not_change_from_the_cache(tree):
    callee = tree / "node" / "rtp" / "inner.py"
    inner = CALLEE.replace("import kernel", "import inner_kernel").replace("@", "@inner_")
    callee.write_text(inner.format(constant=1))
    caller = tree / "node" / "outer.py"
    assert run(tree) == ["20", "0"]
    caller.write_text(
        CALLER.replace("* 10", "* 100") + "print(sum(inner.stats.cache_hits.values()))"
    )

    assert run(tree) == ["200", "0", "1"]


def test_everything_runs_uncompiled_for_debugging(tree):
    caller = tree / "node" / "outer.py"
    caller.write_text(CALLER.replace(", sum(outer.stats.cache_hits.values())", ""))

    assert run(tree, LOALANG_JIT="0") == ["20"]


def test_a_read_only_installation_still_runs(tree):
    if os.geteuid() == 0:
        cache = tree / "no-folder"
        cache.write_text("a file where the folder should be")
        assert run(tree, LOALANG_KERNEL_CACHE=str(cache)) == ["20", "0"]
        return
    for folder in (tree / "node", tree / "node" / "rtp"):
        folder.chmod(0o555)
    assert run(tree)[0] == "20"


@both_linkers
def test_arrays_are_free_again_after_a_call_and_after_one_that_failed(tree, linker):
    (tree / "node" / "outer.py").write_text(BORROWED)

    assert run(tree, LOALANG_LINKER=linker, LOALANG_BOUNDSCHECK="1") == ["100", "0"]
    assert run(tree, LOALANG_LINKER=linker, LOALANG_BOUNDSCHECK="1") == ["100", "0"]


def new_array(values):
    return np.empty(values.size).size


def changed(values):
    return (values + values).size


def moved(values):
    values[1:] = values[:-1]
    return 0


both_kernels = pytest.mark.parametrize("kernel", [linked_kernel, stock_kernel])


@both_kernels
@pytest.mark.parametrize("wants_memory", [new_array, changed, moved])
def test_a_kernel_that_would_allocate_while_it_sounds_is_not_compiled(wants_memory, kernel):
    with pytest.raises(NumbaError, match=r"NRT required but not enabled|No implementation"):
        kernel("int64(float64[::1])")(wants_memory)


@both_kernels
def test_a_function_of_somebody_else_brings_no_memory_into_a_kernel(kernel):
    if kernel is linked_kernel and not linked():
        pytest.skip("this numba links all kernels by itself")
    doubled = numba.njit("float64[::1](float64[::1])")(lambda values: values + values)

    def first(values):
        return doubled(values)[0]

    for _ in range(2):  # nor does one that was refused come from the cache
        with pytest.raises(AssertionError, match="wants memory"):
            kernel("float64(float64[::1])")(first)
