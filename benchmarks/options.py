"""Command line of a measurement: what it does not know is a fault, and exit status 2."""

import argparse
import math
import re
from pathlib import Path

_FOLDER = Path(__file__).parent


def measurements() -> dict[str, str]:
    """Return the module of each measurement by its name: the files below that define `run`."""
    return {
        path.stem: ".".join((_FOLDER.name, *path.relative_to(_FOLDER).with_suffix("").parts))
        for path in sorted(_FOLDER.rglob("[a-z]*.py"), key=lambda path: path.stem)
        if re.search(r"^def run\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def parser_of(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m benchmarks NAME`, with the module's docstring as help."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def fast_and_row(name: str, about: str | None, arguments: list[str]) -> tuple[bool, str | None]:
    """Return whether the short run is asked for, and which row alone, or None for all."""
    parser = parser_of(name, about)
    parser.add_argument("--fast", action="store_true", help="the short run of the gate")
    parser.add_argument("--row", metavar="NAME", help="only this row, as the gate names it")
    options = parser.parse_args(arguments)
    return bool(options.fast), options.row


def count(text: str) -> int:
    """Return a whole number of at least 1; argparse tells what else was given."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return value


def folder(text: str) -> Path:
    """Return the folder of that name, made where there was none: before a run, not after it."""
    path = Path(text)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        told = f"{text}: {fault.strerror}: give a folder that can be written to"
        raise argparse.ArgumentTypeError(told) from None
    return path


def positive(text: str) -> float:
    """Return a finite number above 0; argparse tells what else was given."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value
