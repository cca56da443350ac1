"""One throw of the dice: every variant lives through it, and each cluster of each is a row."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from node.config import require
from node.units import NS_PER_S
from sim.day.station import Sent
from sim.drive.roll_up import part_of
from sim.drive.rounds import Rounds
from sim.fleet.run import counted, why_not
from sim.gateway.power import uptimes
from sim.result.day import WARNED, DayOrder
from sim.station import payloads
from sim.station.programme import Programme
from sim.sweep.delivery import Delivery
from sim.sweep.loud import loud_hours
from sim.sweep.room import no_room
from sim.sweep.settings import Variant, column
from sim.sweep.sweep import DAY, PROGRAMME, WARNING, Sweep, Throw
from sim.village.course import not_lived
from sim.village.outages import HOURS
from sim.village.places import Village, day_cuts
from sim.village.scenario import Scenario, sound_file
from sim.village.sender_config import SenderConfig
from sim.world.whole_day import live_orders

HOUR_NS: Final = 3600 * NS_PER_S
DAY_NS: Final = HOURS * HOUR_NS
HEARD: Final = (
    "dropout_pct", "longest_gap_ms", "packets_sent", "packets_lost", "packets_late",
    "redundant_ms", "retransmitted_ms", "in_band_fec_ms", "mouth_to_ear_p50_ms",
    "mouth_to_ear_p99_ms", "first_sound_ms", "deadline_misses", "stream_bytes", "repair_bytes",
)  # fmt: skip
"""Fields of `NodeRow` that a sweep keeps."""


def rows_of(sweep: Sweep, number: int) -> list[dict[str, Any]]:
    """Return a row for each cluster of each variant in one throw.

    The order is that of the variants and the scenario: equal on every machine.

    Raises
    ------
    ConfigError
        If orders are asked about in a village that the programme fills.
    """
    throw = sweep.throw(number)
    warned: dict[object, list[list[float | None]]] = {}
    rows = []
    for variant in sweep.variants:
        scenario, village = sweep.question(variant, throw)
        own = _rows(sweep, variant, throw, village)
        if PROGRAMME in sweep.measures:
            for row, heard in zip(own, _heard(scenario, village), strict=True):
                row |= heard
        if DAY in sweep.measures:
            for row, lived in zip(own, _lived(scenario, village), strict=True):
                row |= lived
        if WARNING in sweep.measures:
            if sweep.sample is not None:  # else its one village was looked at before
                require(no_room(scenario, village))
            # Orders go by the network alone: variants that share it share them.
            if variant.network not in warned:
                warned[variant.network] = _warned(scenario, village, sweep.ttl_s)
            for row, come_s, loud in zip(
                own, warned[variant.network], loud_hours(scenario, village), strict=True
            ):
                row["warned_s"] = [
                    one if is_loud else None for one, is_loud in zip(come_s, loud, strict=True)
                ]
        rows += own
    return rows


def _rows(sweep: Sweep, variant: Variant, throw: Throw, village: Village) -> list[dict[str, Any]]:
    households = {} if sweep.sample is None else sweep.sample.households
    return [
        {
            "variant": variant.label,
            **{column(name): value for name, value in variant.values},
            "village": throw.village,
            "throw": throw.number,
            "seed": throw.seed,
            "node": place.node,
            "commune": place.commune,
            "hamlet": place.hamlet,
            "profile": place.profile.name,
            "bearer": place.bearer_name,
            "x_m": place.x_m,
            "y_m": place.y_m,
            "households": households.get(place.node),
        }
        for place in village.places
    ]


def _heard(scenario: Scenario, village: Village) -> list[dict[str, Any]]:
    """Return what each cluster played of the programme, counted without sound."""
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    programme = _programme(path, scenario.sender)
    if why_not(scenario) or not_lived(scenario, "fleet"):
        rounds = Rounds(scenario, village, programme, decoder=None)
        for _ in rounds.advance():
            pass
        found = part_of(rounds).rows
    else:  # the same counts, many times as fast
        found = counted(scenario, village, programme)
    return [{name: getattr(row, name) for name in HEARD} for row in found]


@lru_cache(maxsize=16)
def _programme(path: Path, sender: SenderConfig) -> Programme:
    return payloads.load(path, sender)


def _lived(scenario: Scenario, village: Village) -> list[dict[str, Any]]:
    """Return when the last warning of the day sounded at each cluster, and the fates of all there.

    `warned_s` is empty where no warning was for it, and [None] where one was not heard.
    """
    met: dict[str, list[DayOrder]] = {place.node: [] for place in village.places}
    stretch = live_orders(scenario, village)
    for one in [] if stretch is None else stretch.fates():
        if one.kind == "alert" and one.fate != "not for here":
            met[one.node].append(one)
    return [
        {"warned_s": _last_s(orders), "fates": [one.fate for one in orders]}
        for orders in met.values()
    ]


def _last_s(orders: list[DayOrder]) -> list[float | None]:
    if not orders:
        return []
    came = [one.first_sound_s if one.fate in WARNED else None for one in orders]
    known = [one for one in came if one is not None]
    return [max(known)] if len(known) == len(came) else [None]


def _warned(scenario: Scenario, village: Village, ttl_s: int) -> list[list[float | None]]:
    """Return when an order given on each hour of the day was at each cluster, s after it.

    What a node then makes of it, its own controller decides: `loalang-sim run --day`; whether its
    horn would be heard is looked at apart (`loud_hours`).
    """
    orders = [
        Sent(f"{hour:02d}:00", hour * HOUR_NS, ttl_s, commune.name, b"")
        for hour in range(HOURS)
        for commune in scenario.communes
    ]
    delivery = Delivery(village, orders, seed=scenario.seed)
    found = []
    for place in village.places:
        boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
        cuts = day_cuts(place, "power_cut")
        # An order of the last hour is tried into the next day.
        power = uptimes(cuts, boot_ns=boot_ns, end_ns=2 * DAY_NS)
        ways = delivery.ways(place, power)
        sent_ns = [one.at_ns for one in delivery.of(place.commune)]
        found.append(
            [
                None if way.arrived_ns is None else round((way.arrived_ns - at_ns) / 1e6) / 1e3
                for way, at_ns in zip(ways, sent_ns, strict=True)
            ]
        )
    return found
