"""What the simulator's commands share: exit statuses, and faults told in one line."""

import argparse
import sys
from typing import Final, NoReturn

OK: Final = 0
FAILED: Final = 1
USER: Final = 2
CONDITION: Final = 3
INTERRUPTED: Final = 130


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and where help is, and leave with status 2."""
        self.exit(USER, f"{self.prog}: {message}; `{self.prog} --help` shows what it takes\n")


def complain(lines: list[str], status: int) -> int:
    """Print each line on standard error behind the name of the command; return `status`."""
    for line in lines:
        print(f"loalang-sim: {line}", file=sys.stderr)
    return status


def duration(text: str) -> float:
    """Return the seconds that an argument says; `ArgumentTypeError` when it cannot be."""
    try:
        duration_s = float(text)
    except ValueError:
        duration_s = 0.0
    if not 1 <= duration_s <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r}: must be seconds from 1 to 86400")
    return duration_s


def seed(text: str) -> int:
    """Return the seed that an argument says; `ArgumentTypeError` when it cannot be one."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number < 1 << 63:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 0 to 2**63 - 1")
    return number


def milliseconds(text: str) -> float:
    """Return the milliseconds that an argument says; `ArgumentTypeError` when it cannot be."""
    try:
        value_ms = float(text)
    except ValueError:
        value_ms = 0.0
    if not 0 < value_ms <= 60_000:
        raise argparse.ArgumentTypeError(f"{text!r}: must be ms above 0, to 60000")
    return value_ms
