import os
import subprocess
import sys
from pathlib import Path

import pytest

import node

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


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A package `node` of two kernels in two files, and the real decorator."""
    package = tmp_path / "node"
    (package / "rtp").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "rtp" / "__init__.py").touch()
    source = Path(node.__file__).parent / "kernel.py"
    (package / "kernel.py").write_text(source.read_text())
    (package / "rtp" / "inner.py").write_text(CALLEE.format(constant=1))
    (package / "outer.py").write_text(CALLER)
    return tmp_path


def test_a_kernel_is_compiled_once_and_then_comes_from_the_cache(tree):
    assert run(tree) == ["20", "0"]
    assert run(tree) == ["20", "1"]


def test_a_change_in_another_file_that_a_kernel_calls_is_seen(tree):
    run(tree)
    (tree / "node" / "rtp" / "inner.py").write_text(CALLEE.format(constant=2))

    assert run(tree) == ["30", "0"]


def test_a_change_in_a_file_that_it_does_not_use_costs_no_compilation(tree):
    run(tree)
    (tree / "node" / "rtp" / "other.py").write_text("CONSTANT = 1\n")

    assert run(tree) == ["20", "1"]


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
