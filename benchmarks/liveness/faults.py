"""Faults that once made a node deaf, planted again in a copy of the tree: each must be found.

A measurement that finds nothing may be blind. Each fault is in one file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_PACKAGES: Final = ("node", "sim", "benchmarks", "hw_profiles")


@dataclass(frozen=True, slots=True)
class Fault:
    """Edits of one file, and what they do to a node."""

    name: str
    path: str
    edits: tuple[tuple[str, str], ...]
    """What is right, and what is wrong in its place."""


FAULTS: Final = (
    Fault(
        "early packets never reach the time base",
        "node/source/playback.py",
        (
            (
                "if result >= 0 or result in (js.LATE, js.EARLY):",
                "if result >= 0 or result == js.LATE:",
            ),
        ),
    ),
    Fault(
        "silent sources keep their places",
        "node/source/admission.py",
        (("    return min(idle, key", "    return None if idle else min(idle, key"),),
    ),
    Fault(
        "a position that ran ahead in a pause is never taken back",
        "node/source/playback.py",
        (("is_ahead = state.held == 0 and ", "is_ahead = False and "),),
    ),
    Fault(
        "a line that all packets miss is kept",
        "node/clock/lateness.py",
        (("    return bool(is_above and ", "    return bool(False and is_above and "),),
    ),
    Fault(
        "a sender's stamps are the only proof",
        "node/jitter/proof.py",
        (("    if 4 * abs(elapsed", "    if False and 4 * abs(elapsed"),),
    ),
    Fault(
        "the buffer holds 256 packets, however short",
        "node/jitter/buffer.py",
        (("    return max(at.SLOTS, ", "    return min(at.SLOTS, "),),
    ),
    Fault(
        "a few old packets outvote the stream",
        "node/jitter/unwrap.py",
        (
            ("elif step < 0 and quiet_ns < _QUIET_NS:", "elif False:"),
            ("    return bool(follows and quiet", "    return bool(ahead >= _ASIDE_MAX or quiet"),
        ),
    ),
)


def found(fault: Fault, *, histories: int, seed: int) -> bool:
    """Plant a fault in a copy of the tree; return whether so many histories find it."""
    with tempfile.TemporaryDirectory(prefix="loalang-fault-") as folder:
        for package in _PACKAGES:
            shutil.copytree(_ROOT / package, Path(folder, package))
        source = Path(folder, fault.path)
        text = source.read_text(encoding="utf-8")
        for right, wrong in fault.edits:
            if right not in text:
                raise ValueError(f"{fault.path}: {right!r} is not there any more: mend FAULTS")
            text = text.replace(right, wrong)
        source.write_text(text, encoding="utf-8")
        asked = ["--histories", str(histories), "--seed", str(seed), "--first-failed"]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "liveness", *asked],
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
