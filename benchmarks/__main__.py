"""Run measurements: `python -m benchmarks NAME... [OPTIONS]`; each NAME is a file below.

The options go to every NAME. Exit status: the worst of theirs; 2 when a NAME is unknown.
"""

import importlib
import sys

from benchmarks.options import measurements
from node.config import ConfigError


def main(arguments: list[str]) -> int:
    """Run the named measurements one after the other and return the worst status."""
    first_option = next((i for i, one in enumerate(arguments) if one.startswith("-")), None)
    asked, options = arguments[:first_option], arguments[first_option:] if first_option else []
    known = measurements()
    if not asked or not set(asked) <= set(known):
        wrong = ", ".join(repr(name) for name in asked if name not in known) or "no name"
        print(f"benchmarks: {wrong}: must be of {', '.join(known)}", file=sys.stderr)
        return 2
    try:
        return max(int(importlib.import_module(known[name]).run(options)) for name in asked)
    except ConfigError as fault:
        print(f"benchmarks: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
