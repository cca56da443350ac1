"""Plant regressions one by one and see that the gate names each in its first ten lines.

Each is planted in a process of its own that runs the gate; no file is changed. Ends with 1 when one
is not named, or when a change that alters nothing is told.

Options: --only NAME (one alone; may be given again), --whole (the whole fast gate each time, half a
minute; else the measurement that is to notice, and all of them where nothing is to be noticed).
"""

import re
import subprocess
import sys
import tempfile
from functools import partial
from typing import Final

from benchmarks import gate
from benchmarks.options import parser_of
from benchmarks.verdict.regressions import NOTHING, REGRESSIONS
from node.config import ConfigError

LINES_MAX: Final = 10

_CHILD: Final = (
    "import sys; from benchmarks.planted import gate_with; "
    "sys.exit(gate_with(sys.argv[1], sys.argv[2:]))"
)


def run(arguments: list[str]) -> int:
    """Print each regression and the line that names it; 1 when one has none, else 0."""
    parser = parser_of("planted", __doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="this regression alone")
    parser.add_argument("--whole", action="store_true", help="the whole fast gate each time")
    options = parser.parse_args(arguments)
    names = options.only or list(REGRESSIONS)
    unknown = [name for name in names if name not in REGRESSIONS]
    if unknown:
        raise ConfigError(f"--only {unknown[0]!r}: must be one of {', '.join(REGRESSIONS)}")
    missed = 0
    for name in names:
        by = REGRESSIONS[name].measured_by
        line = told(name, measurement=None if options.whole or not by else by)
        missed += line is None
        print(f"{name:10}  {REGRESSIONS[name].about}")
        print(f"{'':10}  {'NOT NAMED' if line is None else line}", flush=True)
    print(f"{len(names) - missed} of {len(names)} as they should be")
    return 1 if missed else 0


def told(name: str, *, measurement: str | None = None) -> str | None:
    """Return the line of the gate that names a planted regression; None when none does so.

    Of what alters nothing it is the gate's last line, and None when it told anything.

    Parameters
    ----------
    name : str
        One of `REGRESSIONS`.
    measurement : str, optional
        The gate looks at this one alone.
    """
    only = [] if measurement is None else ["--only", measurement]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--fast", "--files", folder, *only]
        command = [sys.executable, "-P", "-c", _CHILD, name, *options]
        done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    if name == NOTHING:
        return done.stdout.splitlines()[-1] if done.returncode == 0 and not lines else None
    named = REGRESSIONS[name].named
    found = (line for line in lines[:LINES_MAX] if re.search(named, line))
    return next(found, None) if done.returncode == 1 else None


def gate_with(name: str, options: list[str]) -> int:
    """Run the gate with a regression planted in each process that measures."""
    return gate.run(options, prepare=partial(plant, name))


def plant(name: str) -> None:
    """Plant a regression in this process."""
    REGRESSIONS[name].plant()
