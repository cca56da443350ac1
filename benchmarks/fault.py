"""A fault planted in a copy of the tree, to see a measurement find it.

A measurement that finds nothing may be blind. Each fault is in one file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGES: Final = ("node", "sim", "benchmarks", "hw_profiles")


@dataclass(frozen=True, slots=True)
class Fault:
    """Edits of one file, and what they do to a node."""

    name: str
    path: str
    edits: tuple[tuple[str, str], ...]
    """What is right, and what is wrong in its place."""


def found(fault: Fault, command: Sequence[str]) -> bool:
    """Plant a fault in a copy of the tree; return whether `python -m benchmarks command` ends 1.

    Prints the last line that it says. A ValueError where the fault cannot be planted, or the
    command can say nothing of it.
    """
    with tempfile.TemporaryDirectory(prefix="loalang-fault-") as folder:
        for package in _PACKAGES:
            shutil.copytree(_ROOT / package, Path(folder, package))
        source = Path(folder, fault.path)
        text = source.read_text(encoding="utf-8")
        for right, wrong in fault.edits:
            if right not in text:
                raise ValueError(f"{fault.path}: {right!r} is not there any more: mend the fault")
            text = text.replace(right, wrong)
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise ValueError(f"{fault.name}: {done.stderr.strip()}")
    print(f"{fault.name}: {done.stdout.splitlines()[-1]}", flush=True)
    return done.returncode == 1


def find_all(faults: Sequence[Fault], command: Sequence[str]) -> int:
    """Plant each of `faults` by itself; say which are not found; return 1 if one is not."""
    missed = [one.name for one in faults if not found(one, command)]
    print(f"{len(faults) - len(missed)} of {len(faults)} faults found", *missed, sep="; ")
    return 1 if missed else 0
