"""A small sweep, to the byte: what `rows.parquet` of two sampled villages is, on every machine.

Two villages of `hoang_dao` whose poles stand, and hang on lines, as may be; two seeds in each; two
playout delays. Programme and orders are counted by the fleet. What is other is not worse:

==================  ===============================================================================
`rows`              clusters of all throws and variants
`lost_packets`      of all of them
`orders_missed`     hours of the day of which the order did not come
`rows_crc32`        fingerprint of the bytes of the file
==================  ===============================================================================

Options: --fast (the same: it takes a second), --row NAME (one row alone).
"""

import zlib
from dataclasses import replace
from typing import Final

from benchmarks import table
from benchmarks.options import fast_and_row
from node.config import ConfigError
from sim.sweep.sampling import ClusterSample, InputSample, Sample
from sim.sweep.settings import read_variants
from sim.sweep.store import encode
from sim.sweep.sweep import Sweep
from sim.sweep.throw import rows_of
from sim.village.scenario import load

SCENARIO: Final = "hoang_dao"

_UNKNOWN: Final = Sample(
    clusters=(
        ClusterSample(
            moved_m=300.0,
            bearers={"lte_good": 0.6, "lte_weak": 0.3, "ftth": 0.1},
            profiles={"pi_4b_i2s": 1.0, "pi_zero_2w_usb": 1.0},
        ),
    ),
    inputs=(InputSample(name="lte_weak.loss_pct", low=0.5, high=20.0),),
)


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the one row.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    name = f"{SCENARIO} sampled"
    if row not in (None, name):
        raise ConfigError(f"--row {row!r}: must be {name}")
    asked = Sweep(
        scenario=replace(load(SCENARIO), duration_s=5.0),
        variants=read_variants(["jitter.playout_delay_ms=200,800"]),
        sample=_UNKNOWN,
        villages=2,
        seeds=2,
        ttl_s=60,
    )
    rows = [one for number in range(asked.throws) for one in rows_of(asked, number)]
    return {
        name: {
            "rows": float(len(rows)),
            "lost_packets": float(sum(one["packets_lost"] for one in rows)),
            "orders_missed": float(sum(came is None for one in rows for came in one["warned_s"])),
            "rows_crc32": float(zlib.crc32(encode(asked, rows))),
        }
    }


def run(arguments: list[str]) -> int:
    """Print and write the figures; return 0."""
    fast, row = fast_and_row("swept", __doc__, arguments)
    table.show("swept", "A small sweep, to the byte", measure(fast=fast, row=row))
    return 0
