"""Fate and time of every order and warning of the flood at every pole: no order is lost unseen.

A row for the village and one for each pole. Times count from the order. What is more is worse:

====================  =============================================================================
`fate`                0 heard, 1 late, 2 in part, 3 not heard, 4 not known, 5 too quiet
`orders_not_obeyed`   orders for this pole that it did not do, whatever the reason
`orders_came`         orders handed to the node, each copy counted: two for one are one too many
`said_ms`             how long the horn had it: a warning that sounds twice has it twice
`orders_crc32`        fingerprint of order, arrival, answer and fate of all: other, not worse
====================  =============================================================================

Options: --fast (the same: it takes seconds), --row NAME (one row alone; all poles run).
"""

import zlib
from typing import Final

from benchmarks import table
from benchmarks.options import fast_and_row
from node.config import ConfigError
from node.units import NS_PER_MS, NS_PER_S
from sim.day.answer import answer_of
from sim.result.day import DayNode, DayOrder, DayResult
from sim.village.places import build_village
from sim.village.scenario import load
from sim.world.whole_day import live_orders

SCENARIOS: Final = ("flood_night",)

FATES: Final = ("heard", "late", "heard in part", "not heard", "not known", "too quiet")

_MS_PER_S: Final = NS_PER_S / NS_PER_MS
_DECIMALS: Final = 3


def measure(*, fast: bool, row: str | None = None) -> dict[str, dict[str, float | None]]:
    """Return the rows of each scenario.

    Raises
    ------
    ConfigError
        When there is no such row.
    """
    rows: dict[str, dict[str, float | None]] = {}
    for name in SCENARIOS:
        asked = load(name)
        stretch = live_orders(asked, build_village(asked))
        assert stretch is not None, "there is a warning"
        day = answer_of(stretch.plan, stretch.lived())
        rows[name] = _village(day)
        rows |= {f"{name} {node.node}": _pole(day, node) for node in day.nodes}
    if row not in (None, *rows):
        raise ConfigError(f"--row {row!r}: must be one of {', '.join(rows)}")
    return rows if row is None else {row: rows[row]}


def run(arguments: list[str]) -> int:
    """Print and write the figures; return 0."""
    fast, row = fast_and_row("warned", __doc__, arguments)
    table.show("warned", "Orders and a warning in the flood", measure(fast=fast, row=row))
    return 0


def _village(day: DayResult) -> dict[str, float | None]:
    names = ("unwarned", "not_known", "warned_late", "warned_in_part")
    found = {name: day.totals[name] for name in names}
    at_once = [one.first_sound_s for one in day.orders if one.fate == "heard"]
    known = [one for one in at_once if one is not None]
    return found | {
        "first_warned_max_ms": _ms(day.totals["first_warned_max_s"]),
        "first_sound_at_once_max_ms": _ms(max(known, default=None)),
        "orders_not_obeyed": float(_not_obeyed(day.orders)),
        "said_ms": _said_ms(day),
        "orders_crc32": _fingerprint(day.orders),
    }


def _pole(day: DayResult, node: DayNode) -> dict[str, float | None]:
    orders = [one for one in day.orders if one.node == node.node]
    warnings = [one for one in orders if one.kind == "alert" and one.fate in FATES]
    first_s = [one.first_sound_s for one in warnings if one.first_sound_s is not None]
    return {
        "fate": max((float(FATES.index(one.fate)) for one in warnings), default=None),
        "first_sound_ms": _ms(max(first_s, default=None)),
        "orders_not_obeyed": float(_not_obeyed(orders)),
        "orders_came": float(node.orders_came),
        "said_ms": _said_ms(day, node.node),
        "orders_crc32": _fingerprint(orders),
    }


def _not_obeyed(orders: list[DayOrder]) -> int:
    return sum(one.fate not in ("heard", "late", "obeyed", "not for here") for one in orders)


def _said_ms(day: DayResult, node: str | None = None) -> float | None:
    spans = [one for one in day.spans if node in (None, one.node)]
    return _ms(sum(one.until_s - one.from_s for one in spans))


def _fingerprint(orders: list[DayOrder]) -> float:
    told = [
        (one.node, one.order, one.number, one.sent_s, one.arrived_s, one.answer, one.fate)
        for one in orders
    ]
    return float(zlib.crc32(repr(told).encode()))


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s * _MS_PER_S, _DECIMALS)
