"""Run measurements: `python -m benchmarks NAME... [OPTIONS]`; each NAME is a file beside this one.

The options go to every NAME. Exit status: the worst of theirs; 2 when a NAME is unknown.
"""

import importlib
import re
import sys
from pathlib import Path

from node.config import ConfigError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of all measurements, sorted: the files here that define `run`."""
    return sorted(
        path.stem
        for path in FOLDER.glob("[a-z]*.py")
        if re.search(r"^def run\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def main(arguments: list[str]) -> int:
    """Run the named measurements one after the other and return the worst status."""
    first_option = next((i for i, one in enumerate(arguments) if one.startswith("-")), None)
    asked, options = arguments[:first_option], arguments[first_option:] if first_option else []
    known = names()
    if not asked or not set(asked) <= set(known):
        wrong = ", ".join(repr(name) for name in asked if name not in known) or "no name"
        print(f"benchmarks: {wrong}: must be of {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        return max(
            int(importlib.import_module(f"benchmarks.{name}").run(options)) for name in asked
        )
    except ConfigError as fault:
        print(f"benchmarks: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
