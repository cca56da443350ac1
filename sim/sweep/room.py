"""Where the orders of each hour would find no room: a sweep's model of their way has no streams."""

from dataclasses import replace
from typing import Final

from node.units import NS_PER_S
from sim.drive.outgoing import Outgoing
from sim.result.capacity import CapacityRow
from sim.station import payloads
from sim.village.course import live_ns
from sim.village.outages import HOURS
from sim.village.places import Village
from sim.village.scenario import Scenario, sound_file

_LOOKED_AT_NS: Final = 30 * NS_PER_S
"""Of a programme: what is asked for again in a way that streams nearly fill fills it in seconds."""
_STEP_NS: Final = 2 * NS_PER_S
"""So often, as in a day."""


def no_room(scenario: Scenario, village: Village) -> list[str]:
    """Return which rates the live programme fills while an order of the hour is given, a line each.

    Without a day nobody knows when that is, so it may be any.
    """
    day = scenario.day
    begin_ns = live_ns(scenario)
    end_ns = begin_ns + scenario.duration_s * NS_PER_S
    met = any(begin_ns <= hour * 3600 * NS_PER_S < end_ns for hour in range(HOURS))
    if day is not None and not met:
        return []
    when = "no table [day] says when the programme plays, which"
    if day is not None:
        when = f"day.live_at = {day.live_at!r}: the programme"
    return [
        f"{scenario.name}.toml: {when} fills the "
        f"{' of '.join(filter(None, (one.kind, one.commune)))} ({one.asked_kbit_s:g} of "
        f"{one.left_kbit_s or one.rate_kbit_s:g} kbit/s), and the orders of each hour do not meet "
        "it; a whole day does: --only day"
        for one in _filled(scenario, village)
    ]


def _filled(scenario: Scenario, village: Village) -> list[CapacityRow]:
    """Return what is asked of each rate that is too thin for it, with what is asked for again."""
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    # As if all had power: that makes one throw as good as any other.
    places = tuple(replace(one, power_cuts_ns=(), link_cuts_ns=()) for one in village.places)
    whole = replace(village, places=places)
    outgoing = Outgoing(scenario, whole, payloads.load(path, scenario.sender), places)
    capacity = outgoing.capacity
    most_kbit_s = {
        (one.kind, one.commune, one.bearer): one.asked_kbit_s for one in capacity.rows({})
    }
    end_ns = min(round(scenario.duration_s * NS_PER_S), _LOOKED_AT_NS)
    for stop_ns in range(_STEP_NS, end_ns + _STEP_NS, _STEP_NS) if capacity.is_scarce else ():
        outgoing.send_until(stop_ns)
        for at, asked_kbit_s in capacity.overfull_kbit_s().items():
            most_kbit_s[at] = max(most_kbit_s[at], round(asked_kbit_s, 1))
    rows = [
        replace(one, asked_kbit_s=most_kbit_s[one.kind, one.commune, one.bearer])
        for one in capacity.rows({})
    ]
    return [one for one in rows if one.over]
