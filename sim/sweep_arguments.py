"""The command line of `loalang-sim sweep`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sim.command_line import duration

SEEDS_MAX: Final = 1_000_000
VILLAGES_MAX: Final = 10_000
_WORKERS_MAX: Final = 1024
_BASE_MAX: Final = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `sweep` takes to its parser."""
    add = parser.add_argument
    add("scenario", metavar="SCENARIO", help="name of one that ships, or a TOML file")
    add("--seeds", type=_count(SEEDS_MAX), default=20, metavar="N", help="in each village (20)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=V,V",
        help="what to vary: a setting, FILE.FIELD of a bearer or gateway, outages=drawn,none",
    )
    add("--sample", type=Path, metavar="TOML", help="what is not known: villages.toml")
    add("--villages", type=_count(VILLAGES_MAX), metavar="N", help="sampled from it (20)")
    add(
        "--only",
        choices=("programme", "warning", "day"),
        help="the programme, or an order on each hour; or the warnings of the scenario's whole day",
    )
    add("--within", type=_count(86_400), metavar="S", help="warned in time (the scenario's, or 60)")
    add("--duration", type=duration, metavar="S", help="seconds of programme")
    add(
        "--sensitivity",
        type=_count(_BASE_MAX),
        metavar="N",
        help="instead: which unverified input moves --figure, from N * (inputs + 2) points",
    )
    add("--figure", metavar="FIGURE", help="of --sensitivity (clusters_heard or clusters_warned)")
    add("--until", metavar="'FIGURE ± X'", help="stop when it is known so well in all variants")
    add("--workers", type=_count(_WORKERS_MAX), metavar="N", help="processes (one per core)")
    add("--cluster", metavar="tcp://...", help="a dask scheduler instead")
    add("--chunk", type=_count(SEEDS_MAX), metavar="N", help="throws in a file")
    add("--json", action="store_true", help="print one JSON object, and no table")
    add("--out", type=Path, default=Path("sweep"), metavar="DIR", help="where files go (sweep)")


def _count(most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() else 0
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1 to {most}")
        return number

    return read
