"""The tree's own rules (STYLE.md's shape, DESIGN.md section 8): what no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.shell.commands.check import core_modules

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("node", "sim", "benchmarks", "hw_profiles")
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}


def modules() -> list[Path]:
    return [p for name in PACKAGES for p in sorted((ROOT / name).rglob("*.py"))]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for one in ast.walk(tree):
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
            yield one


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = function.body[1] if is_text and len(function.body) > 1 else first
    return (function.end_lineno or 0) - begin.lineno + 1


def test_no_module_is_too_long_to_be_read_in_one_sitting():
    long = {
        str(p.relative_to(ROOT)): n
        for p in modules()
        if not p.name.startswith("tables_") and (n := p.read_text().count("\n")) > MODULE_LINES_MAX
    }
    assert long == {}


def test_no_function_is_too_long_to_be_held_in_mind():
    long = {
        f"{p.relative_to(ROOT)}:{f.name}": n
        for p in modules()
        for f in functions(ast.parse(p.read_text()))
        if (n := body_lines(f)) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_no_file_has_a_name_that_says_nothing():
    assert [str(p) for p in modules() if p.stem in BANNED] == []


def test_the_contract_without_io_names_every_part_of_the_node_but_shell_and_kernel():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    parts = {
        f"node.{one.stem}"
        for one in (ROOT / "node").iterdir()
        if one.suffix == ".py" or (one / "__init__.py").is_file()
    } - {"node.__init__", "node.shell", "node.kernel"}
    assert set(contracts["contracts"][0]["source_modules"]) == parts


def test_the_core_opens_no_file_and_draws_no_number_without_an_import_either():
    core = [p for p in modules() if p.parts[len(ROOT.parts)] == "node"]
    core = [p for p in core if p.parts[len(ROOT.parts) + 1] not in ("shell", "kernel")]
    found = [
        f"{p.relative_to(ROOT)}:{one.lineno}"
        for p in core
        for one in ast.walk(ast.parse(p.read_text()))
        if (isinstance(one, ast.Call) and ast.unparse(one.func) in ("open", "print", "input"))
        or (isinstance(one, ast.Attribute) and ast.unparse(one) == "np.random")
    ]
    assert found == []


def test_the_warm_up_walks_every_module_with_kernels():
    """A folder without `__init__.py` is passed over, and its kernels compile during a warning."""
    walked = set(core_modules())
    kernels = re.compile(r"^@(inner_)?kernel\(", re.MULTILINE)
    files = [p for p in sorted((ROOT / "node").rglob("*.py")) if p.name != "__init__.py"]
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts): p.read_text() for p in files}
    assert {name for name in names if not name.startswith("node.shell")} == walked
    assert {name for name, text in names.items() if kernels.search(text)} <= walked


def test_no_file_of_the_project_names_an_address_to_fetch_from():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock


def test_the_wheel_carries_the_four_packages_and_nothing_else(tmp_path):
    build = (
        "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"  # PEP 517
    )
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == set(PACKAGES)


@pytest.mark.parametrize("name", ["node", "sim", "hw_profiles"])
def test_the_tests_run_against_the_installed_package(name, in_ci):
    if not in_ci:
        pytest.skip("only CI installs the package first; a developer's PYTHONPATH is fine")
    module = __import__(name)
    assert ROOT not in Path(module.__file__).resolve().parents or ".venv" in module.__file__
