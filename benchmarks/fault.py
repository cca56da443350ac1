"""A fault planted in a copy of the tree, to see random histories find it.

A measurement that finds nothing may be blind. Each fault is in one file. A history that breaks a
promise, ends in a crash or has no end finds it; `NOTHING` changes nothing and is not to be found.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from node.config import ConfigError

HISTORY_CPU_S: Final = 30.0
"""A history has hung when it takes so much: those that end take a tenth of a second."""

_ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGES: Final = ("node", "sim", "benchmarks", "hw_profiles")
_START_CPU_S: Final = 60
_EACH_CPU_S: Final = 0.5
_WAIT_PER_CPU: Final = 20
"""Seconds that are waited for each of CPU: a machine may be shared."""
_IN_HISTORY: Final = "in history"


@dataclass(frozen=True, slots=True)
class Fault:
    """Edits of one file, and what they do to a node."""

    name: str
    path: str
    edits: tuple[tuple[str, str], ...]
    """What is right, and what is wrong in its place; each stands in the file once."""


NOTHING: Final = Fault("nothing", "node/__init__.py", ())
"""What finds this one finds anything."""


@contextmanager
def one_history(number: int, *, seed: int, cpu_s: float = HISTORY_CPU_S) -> Iterator[None]:
    """Say which history it was that crashed, or had no end within `cpu_s` of CPU.

    Only in the main thread.
    """

    def hung(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"no end after {cpu_s:g} s of CPU")

    before = signal.signal(signal.SIGVTALRM, hung)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    except Exception as crash:
        crash.add_note(f"{_IN_HISTORY} {number} of seed {seed}")
        raise
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def find_all(
    faults: Sequence[Fault],
    command: Sequence[str],
    *,
    histories: int,
    seed: int,
    only: Sequence[str] = (),
) -> int:
    """Plant each of `faults`, or those named `only`, and `NOTHING`; return 1 if one is not found.

    `python -m benchmarks command` draws the histories. Says what each showed, and last which were
    not found; something found where `NOTHING` was planted ends with 1 too.
    """
    known = {one.name: one for one in (NOTHING, *faults)}
    unknown = [name for name in only if name not in known]
    if unknown:
        raise ConfigError(f"--only {unknown[0]!r}: must be one of {', '.join(known)}")
    drawn = [*command, "--histories", str(histories), "--seed", str(seed)]
    cpu_s = _START_CPU_S + int(histories * _EACH_CPU_S)
    wrong = []
    planted = [known[name] for name in only or known]
    for one in planted:
        showed, is_found = found(one, drawn, cpu_s=cpu_s)
        print(f"{one.name}: {showed}", flush=True)
        if is_found == (one is NOTHING):
            wrong.append(f"found: {one.name}" if is_found else f"NOT FOUND: {one.name}")
    print(f"{len(planted) - len(wrong)} of {len(planted)} as they should be", *wrong, sep="; ")
    return 1 if wrong else 0


def found(fault: Fault, command: Sequence[str], *, cpu_s: int) -> tuple[str, bool]:
    """Plant a fault in a copy of the tree; return what the histories showed, and if they found it.

    A ConfigError where the fault cannot be planted, or nothing was drawn because of it.
    """
    with tempfile.TemporaryDirectory(prefix="loalang-fault-") as folder:
        for package in _PACKAGES:
            shutil.copytree(_ROOT / package, Path(folder, package), copy_function=_link)
        plant(fault, Path(folder))
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A compiled loop without an end hears no alarm of `one_history`.
        resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(child.pid, resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
        try:
            said, failed = child.communicate(timeout=_WAIT_PER_CPU * cpu_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return f"hung: no end after {_WAIT_PER_CPU * cpu_s} s", True
    if child.returncode == -signal.SIGXCPU:
        return f"hung: no end after {cpu_s} s of CPU", True
    lines = [line for line in failed.splitlines() if line.strip()]
    if child.returncode == 1 and lines and lines[-1].startswith(_IN_HISTORY):
        return (
            f"{'hung' if 'TimeoutError' in lines[-2] else 'crashed'}: {', '.join(lines[-2:])}",
            True,
        )
    if child.returncode not in (0, 1) or not said:
        why = lines[-1] if lines else f"exit status {child.returncode}"
        raise ConfigError(f"{fault.name}: no history was drawn: {why}")
    return said.splitlines()[-1], child.returncode == 1


def plant(fault: Fault, root: Path) -> None:
    """Write a fault into the tree at `root`; a ConfigError where what it changes is not there."""
    source = root / fault.path
    text = source.read_text(encoding="utf-8")
    for right, wrong in fault.edits:
        if text.count(right) != 1:
            times = text.count(right)
            raise ConfigError(
                f"{fault.name}: {fault.path}: {right!r} is there {times} times, not 1"
            )
        text = text.replace(right, wrong)
    source.unlink()  # it may be one with the file of the tree
    source.write_text(text, encoding="utf-8")


def _link(right: str, copy: str) -> None:
    """Let `copy` be the file `right`, for compiled kernels are large; copy it where that cannot be.

    Python and numba replace what they compiled, they do not write into it.
    """
    try:
        os.link(right, copy)
    except OSError:
        shutil.copy2(right, copy)
