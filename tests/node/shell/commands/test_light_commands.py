"""Commands that play nothing load no kernels, so they run on any small machine, at once."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from node.shell.cli import main
try:
    main(sys.argv[1:])
finally:
    print([one for one in ("numba", "llvmlite", "node.stack") if one in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("key", "{folder}/a.key"),
        ("describe",),
        ("publish", "{folder}/none.bin", "--broker", "127.0.0.1:1", "--node", "x"),
        ("enrol", "{folder}/none.bundle"),
    ],
    ids=lambda one: one[0],
)
def test_a_command_that_plays_nothing_loads_no_kernels(arguments, tmp_path):
    given = [one.format(folder=tmp_path) for one in arguments]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *given], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
