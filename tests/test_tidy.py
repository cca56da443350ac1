"""The tree's own rules: what no linter knows."""

import ast
import re
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from node.shell.commands.check import core_modules
from tests.docstrings import public_functions, unsaid
from tests.house import (
    PACKAGES,
    ROOT,
    array_functions,
    body_lines,
    citations,
    functions,
    is_kernel,
    kernels_of_kernels,
    positional,
    private_names,
    public_names,
    settings,
    shipped,
    sources,
    uses,
    words,
)

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
POSITIONAL_MAX = 5
BANNED = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}

CALLED_BY_OTHERS = {
    "from_function": "numba asks a cache locator for it",
    "finalize": "numba finishes a library of code with it",
    "serialize_using_object_code": "numba writes a library of code with it",
    "set_gain": "the output gain that an Ogg Opus header may ask for (RFC 7845, section 5.1)",
    "run_in_executor": "asyncio asks a loop for threads with it",
    "capture": "the simulator's interface: what one pole played",
}
"""Public names that nothing shipped calls, and who does."""

KERNELS_WITH_MANY = {
    "sim/drive/batch.py:_play": "a loop over `receive` and `advance`: a record holds no array as"
    " long as its owner makes it, and here four owners (source, resampler, card, batch) have six",
    "sim/drive/crossing.py:cross": "rates and nodes are as many as a commune has, and packets of"
    " a chunk: how each fares before, there and after is three arrays of two shapes",
    "sim/drive/sums.py:sum_up": "packets, periods and rows are of a chunk, and so is the room for"
    " its seconds; raster, histogram and coverage are as long as the run asks for",
    "sim/drive/sums.py:_sum_up_plain": "it is a part of `sum_up`, for most of its rows",
    "sim/fleet/listening.py:listen": "what comes, what the card asks for, and how the station's"
    " packets fared are of a chunk, and so is the room for it; the sheet is of all chunks",
}
"""Kernels with more than six arguments, and why: those on a pole have none."""

FUNCTIONS_ABOVE_40 = 25
"""Functions of more than 40 lines, some of them a standard's procedure step by step: never more."""

FILES_MAX = 20
FULL_FOLDERS = {"node/opus/celt": 24}
"""Folders with more files than that, and how many they may have: never more."""


def test_no_module_is_too_long_to_be_read_in_one_sitting():
    long = {
        one.name: n
        for one in shipped()
        if not one.path.name.startswith("tables_")
        and (n := one.text.count("\n")) > MODULE_LINES_MAX
    }
    assert long == {}


def test_no_function_is_too_long_to_be_held_in_mind():
    long = {
        f"{one.name}:{f.name}": n
        for one in shipped()
        for f in functions(one.tree)
        if (n := body_lines(f)) > FUNCTION_LINES_MAX
    }
    assert long == {}


def test_functions_above_40_lines_become_no_more():
    long = [f.name for one in shipped() for f in functions(one.tree) if body_lines(f) > 40]
    assert len(long) <= FUNCTIONS_ABOVE_40, long


def test_no_folder_has_more_files_than_can_be_taken_in():
    files = Counter(
        one.path.parent.relative_to(ROOT).as_posix()
        for one in shipped()
        if one.path.name != "__init__.py"
    )
    assert {k: n for k, n in files.items() if n > FULL_FOLDERS.get(k, FILES_MAX)} == {}


def test_no_file_has_a_name_that_says_nothing():
    assert [one.name for one in shipped() if one.path.stem in BANNED] == []


def test_samples_become_ns_and_ns_samples_in_one_place():
    """Spelt out, some of them leave 64 bits after two days, and a kernel says nothing."""
    spelt = re.compile(r"62_?500|NS_PER_S\s*//\s*RATE_HZ|RATE_HZ\s*//\s*NS_PER_S")
    found = [one.name for one in shipped() if spelt.search(one.text)]
    assert found == ["node/units.py"]


def test_the_contract_without_io_names_every_part_of_the_node_but_shell_and_kernel():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    parts = {
        f"node.{one.stem}"
        for one in (ROOT / "node").iterdir()
        if one.suffix == ".py" or (one / "__init__.py").is_file()
    } - {"node.__init__", "node.shell", "node.kernel"}
    assert set(contracts["contracts"][0]["source_modules"]) == parts


def test_the_core_opens_no_file_and_draws_no_number_without_an_import_either():
    core = [
        one for one in sources("node") if not one.module.startswith(("node.shell", "node.kern"))
    ]
    found = [
        f"{source.name}:{one.lineno}"
        for source in core
        for one in ast.walk(source.tree)
        if (isinstance(one, ast.Call) and ast.unparse(one.func) in ("open", "print", "input"))
        or (isinstance(one, ast.Attribute) and ast.unparse(one) == "np.random")
    ]
    assert found == []


def test_the_warm_up_walks_every_module_with_kernels():
    """A folder without `__init__.py` is passed over, and its kernels compile during a warning."""
    modules = {one.module for one in sources("node") if one.path.name != "__init__.py"}
    assert set(core_modules()) == {one for one in modules if not one.startswith("node.shell")}
    kernels = re.compile(r"^@(inner_)?kernel\(", re.MULTILINE)
    assert not [s.name for s in sources("node/shell") if kernels.search(s.text)]


def test_nothing_is_public_that_only_tests_look_at():
    parts = [one for name in ("node", "sim", "hw_profiles") for one in sources(name)]
    dead = {
        f"{source.name}:{line}: {name}"
        for source in parts
        for name, line in public_names(source.tree)
        if not uses()[name]
        and name not in CALLED_BY_OTHERS
        # A constant may be there for its name in a text: a limit, a part of an enumeration.
        and not (name.isupper() and words()[name] > 1)
    }
    assert dead == set()


def test_every_setting_is_read_by_something():
    assert [one for one in settings() if not uses()[one[-1]]] == []


def test_what_a_text_cites_is_in_the_tree():
    endings = (".py", ".md", ".toml", ".service")
    folders = (*PACKAGES, "tests", "docs", "packaging")
    files = [p for name in folders for p in (ROOT / name).rglob("*") if p.suffix in endings]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "pyproject.toml", "run.py")]
    made_by_tests = [
        ROOT / "tests" / name
        for name in ("house.py", "test_contract.py", "node/kernel/test_kernel.py")
    ]
    wrong = [
        f"{path.relative_to(ROOT)}: {cited}"
        for path in files
        if path not in made_by_tests
        for cited in citations(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []


def test_no_function_takes_more_than_five_arguments_by_their_place():
    many = {
        f"{one.name}:{f.name}"
        for one in shipped()
        for f in functions(one.tree)
        if not is_kernel(f) and positional(f) > POSITIONAL_MAX
    }
    assert many == set()


def test_no_kernel_takes_more_than_six_arguments_without_a_reason():
    many = {
        f"{one.name}:{f.name}"
        for one in shipped()
        for f in functions(one.tree)
        if is_kernel(f) and positional(f) > POSITIONAL_MAX + 1
    }
    assert many == set(KERNELS_WITH_MANY)


def test_a_kernel_that_only_kernels_call_waits_for_them():
    """Each `@kernel` is loaded when a node starts, with the code of all that it calls."""
    assert kernels_of_kernels() == []


def test_public_functions_say_shape_dtype_and_unit_of_their_arrays():
    silent = [f"{name}: {', '.join(arrays)}" for name, arrays in array_functions() if arrays]
    assert silent == []


@pytest.mark.parametrize(
    ("said", "is_enough"),
    [
        ("sound  (n,) float32, full scale 1.0", True),
        ("sound : (n,) float32\n    Full scale 1.0.", True),
        ("sound  (n,) float32", False),
        ("sound  float32, full scale 1.0", False),
        ("sound  (n,) of full scale 1.0", False),
        ("other  (n,) float32, full scale 1.0", False),
    ],
)
def test_a_docstring_that_leaves_out_shape_dtype_or_unit_is_found(said, is_enough):
    text = f'"""Play.\n\n{said}\n"""'
    source = f"def play(sound: NDArray[np.float32]) -> None:\n{textwrap.indent(text, '    ')}\n"
    (function,) = public_functions(ast.parse(source).body)
    assert unsaid(function) == ([] if is_enough else ["sound"])


def test_tests_touch_public_names_only():
    assert [f"{one.name}:{n}" for one in sources("tests") for n in private_names(one.tree)] == []


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
