"""The page about who could speak says which test proves each promise: there are such tests."""

import ast
import re
from pathlib import Path

import pytest

from tests.house import ROOT

PAGE = ROOT / "docs" / "threat_model.md"
TESTS = ROOT / "tests"


def promises() -> list[tuple[str, str]]:
    """Return (promise or fault, how it is proven) of each row of the tables; tests come last."""
    text = PAGE.read_text(encoding="utf-8").split("## Promises and their tests")[1]
    proven, is_row = [], False
    for line in text.splitlines():
        if not line.startswith("|"):
            is_row = False
        elif is_row:
            cells = line.strip("|").split("|")
            proven.append((cells[0].strip(), cells[-1].strip()))
        is_row = is_row or line.startswith("|---")
    return proven


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize(("promise", "proof"), promises())
def test_each_promise_names_tests_that_there_are(promise, proof):
    named = re.findall(r"`([a-z_/0-9]+\.py)(?:::(test_\w+))?`", proof)
    assert named, f"{promise}: no test is named"
    for path, test in named:
        assert (TESTS / path).exists(), f"{promise}: tests/{path} is not there"
        found = {one for one in functions_in(TESTS / path) if one.startswith("test_")}
        assert found, f"tests/{path} holds no test"
        assert not test or test in found, f"{promise}: tests/{path} has no {test}"
