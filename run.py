#!/usr/bin/env python3
"""Set up and run Loa Làng with nothing but Python and pip.

python3 run.py demo     six communes of Hữu Lũng hear a programme; the report is out/report.html
python3 run.py test     the whole test suite (arguments after it go to pytest)
python3 run.py lint     format, lint, types, import contract
python3 run.py bench    the fast benchmark gate (arguments after it choose others)
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"
PACKAGES = ("node", "sim", "benchmarks", "hw_profiles")
STARTED = time.monotonic()
AGAIN_MAX = 3
"""Failed tests at real pace that are tried a second time: more than these is no accident."""

SLOWEST = 30
"""So many files are named with the time that their tests took."""

OFFLINE = """
The packages could not be installed. The lines above say why. Most often:
  - no network, or a proxy that pip does not know: set HTTPS_PROXY, or `pip config set global.proxy`
  - a 32-bit system: numpy, numba and scipy have wheels for 64-bit systems only
  - a full disk: about 1 GB is needed in {root}
Nothing was changed outside of {root}/.venv; run the same command again when it is mended.
"""


def main(arguments: list[str]) -> int:
    """Do one of the commands above and return its exit status."""
    command = arguments[0] if arguments else ""
    if command not in COMMANDS:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    if sys.version_info < (3, 11):  # noqa: UP036  # the one file that an older Python may start
        print(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if not set_up():
        print(OFFLINE.format(root=ROOT), file=sys.stderr)
        return 1
    return COMMANDS[command](arguments[1:])


def demo(arguments: list[str]) -> int:
    """Run the village and write the report."""
    warm_up()
    say("a village hears a programme")
    return run("python", "-P", "-m", "sim.demo", *arguments)


def test(arguments: list[str]) -> int:
    """Run the tests against the installed package: on all cores, then those at real pace alone."""
    warm_up()
    if arguments:
        return run("pytest", *arguments)
    with tempfile.TemporaryDirectory() as folder:
        books = [Path(folder, f"{part}.xml") for part in ("fast", "real_time", "again")]
        fast = ("-m", "not real_time", "-n", "auto", "--dist", "worksteal")
        status = run("pytest", *fast, f"--junitxml={books[0]}")
        paced = run("pytest", "-m", "real_time", f"--junitxml={books[1]}")
        if paced == 1 and len(failures(books[1])) <= AGAIN_MAX:
            # A machine that others use too may stand still for a second, and sound does not
            # wait. What fails twice is at fault; what fails once is named, and worth a look.
            say("tests at real pace failed: those once more")
            again = ("-m", "real_time", "--last-failed", "--last-failed-no-failures=none")
            paced = run("pytest", *again, f"--junitxml={books[2]}")
        status = status or paced
        print("\n".join([*slowest(books), sum_up(books)]), flush=True)
    return status


def sum_up(books: list[Path]) -> str:
    """Return one line about all tests of the JUnit files, and one about each that failed once."""
    fast, paced, again = (failures(book) for book in books)
    total = dict.fromkeys(("tests", "skipped"), 0)
    for book in books[:2]:
        if book.is_file():
            for suite in ElementTree.parse(book).iter("testsuite"):
                for name in total:
                    total[name] += int(suite.get(name, "0"))
    once = paced - again if books[2].is_file() else set()
    failed = len(fast) + len(paced) - len(once)
    passed = total["tests"] - failed - total["skipped"]
    lines = [f"{name}: failed, and passed when it was run again" for name in sorted(once)]
    return "\n".join([*lines, f"{passed} passed, {failed} failed, {total['skipped']} skipped"])


def slowest(books: list[Path]) -> list[str]:
    """Return a line on each of the files that took longest: where the suite's time goes."""
    took_s: dict[str, float] = {}
    for book in filter(Path.is_file, books):
        for case in ElementTree.parse(book).iter("testcase"):
            name = case.get("classname", "")
            took_s[name] = took_s.get(name, 0.0) + float(case.get("time", "0"))
    longest = sorted(took_s.items(), key=lambda one: -one[1])[:SLOWEST]
    return [f"{seconds:6.0f} s  {name}" for name, seconds in longest]


def failures(book: Path) -> set[str]:
    """Return the names of the tests that failed by the JUnit file `book`."""
    if not book.is_file():
        return set()
    return {
        f"{case.get('classname')}.{case.get('name')}"
        for case in ElementTree.parse(book).iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    }


def lint(_: list[str]) -> int:
    """Run all checks, even when one fails, and return the worst status."""
    checks = [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("lint-imports", "--no-cache"),
    ]
    return max(run(*check) for check in checks)


def bench(arguments: list[str]) -> int:
    """Run benchmarks; without arguments the gate that CI runs."""
    warm_up()
    return run("python", "-P", "-m", "benchmarks", *(arguments or ["gate", "--fast"]))


COMMANDS = {"demo": demo, "test": test, "lint": lint, "bench": bench}


def set_up() -> bool:
    """Bring `.venv` to the lock and to this source tree; True when it is."""
    lock_hash = digest([LOCK]) + sys.version
    source_hash = digest(sources())
    if read(VENV / "lock.sha256") != lock_hash:
        say("installing the packages of requirements.lock into .venv (once, about 900 MB on disk)")
        shutil.rmtree(VENV, ignore_errors=True)
        create = [sys.executable, "-m", "venv", "--without-pip", str(VENV)]
        hashed = ["--require-hashes", "--only-binary=:all:", "-r", str(LOCK)]
        if subprocess.call(create) or install(*hashed):
            return False
        (VENV / "lock.sha256").write_text(lock_hash)
    if read(VENV / "source.sha256") != source_hash:
        say("installing Loa Làng itself")
        if install("--no-deps", "--no-build-isolation", "--force-reinstall", str(ROOT)):
            return False
        (VENV / "source.sha256").write_text(source_hash)
    return True


def install(*what: str) -> int:
    """Install into `.venv` with uv where it is, else with the pip of the Python that runs this.

    `pip --python` neither needs ensurepip in the new environment nor is stopped by PEP 668.
    """
    python = str(BIN / "python")
    uv = shutil.which("uv")
    if uv:
        return subprocess.call([uv, "pip", "install", "--quiet", "--python", python, *what])
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    return subprocess.call([*pip, "install", "--quiet", "--progress-bar", "on", *what])


def warm_up() -> None:
    """Compile the kernels before they are needed, on two cores, and show that it goes on."""
    if read(VENV / "kernels.sha256") == read(VENV / "source.sha256"):
        return
    say("compiling the kernels (once)")
    python = str(BIN / "python")
    # The largest part beside all the rest; what one process has compiled the other one finds.
    beside = subprocess.Popen([python, "-P", "-c", "import node.opus.celt.frame"])
    all_of_them = "from node.shell.commands.check import warm_up; warm_up()"
    done = subprocess.call([python, "-P", "-c", all_of_them], stdout=sys.stderr)
    if beside.wait() == 0 and done == 0:
        (VENV / "kernels.sha256").write_text(read(VENV / "source.sha256"))


def run(program: str, *arguments: str) -> int:
    """Run a program of `.venv` in the root of the tree and return its status."""
    environment = dict(os.environ, VIRTUAL_ENV=str(VENV))
    environment["PATH"] = str(BIN) + os.pathsep + environment.get("PATH", "")
    environment.pop("PYTHONPATH", None)
    environment.pop("PYTHONHOME", None)
    try:
        return subprocess.call([str(BIN / program), *arguments], cwd=ROOT, env=environment)
    except KeyboardInterrupt:
        return 130


def sources() -> list[Path]:
    """Return all files that make the installed package, in a fixed order."""
    found = [ROOT / "pyproject.toml", ROOT / "README.md"]
    for package in PACKAGES:
        found += [
            path
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ]
    return sorted(path for path in found if path.is_file())


def digest(paths: list[Path]) -> str:
    """Return a SHA-256 over names and contents."""
    total = hashlib.sha256()
    for path in paths:
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def read(path: Path) -> str:
    """Return a stamp, or nothing where there is none."""
    return path.read_text() if path.is_file() else ""


def say(text: str) -> None:
    """Show what happens, and when."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
