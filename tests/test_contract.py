"""The import contract, broken on purpose: each time the build fails and names what broke."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import PACKAGES, ROOT

BROKEN = {
    "a socket in the playback": ("node/source/playback.py", "import socket"),
    "a clock in a peer": ("node/peers/neighbour.py", "from time import monotonic_ns"),
    "a stage that imports a stage": ("node/jitter/buffer.py", "from node.opus import packet"),
    "the simulator in the node": ("node/stack.py", "import sim.demo"),
    "a new file that lies loose": ("node/loose.py", ""),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources, which may be spoiled."""
    folder = tmp_path_factory.mktemp("tree")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
    )


def test_the_tree_keeps_its_contract(tree):
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("what", BROKEN)
def test_the_build_fails_on(tree, what):
    name, line = BROKEN[what]
    path = tree / name
    before = path.read_text() if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n")
    try:
        done = lint(tree)
    finally:
        path.unlink() if before is None else path.write_text(before)
    assert done.returncode != 0
    assert Path(name).stem in done.stdout + done.stderr
