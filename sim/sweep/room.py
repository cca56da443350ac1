"""Where the orders of each hour would find no room: a sweep's model of their way has no streams."""

from node.units import NS_PER_S
from sim.drive.outgoing import Outgoing
from sim.station import payloads
from sim.village.course import live_ns
from sim.village.outages import HOURS
from sim.village.places import Village
from sim.village.scenario import Scenario, sound_file


def no_room(scenario: Scenario, village: Village) -> list[str]:
    """Return which rates the live programme fills while an order of the hour is given, a line each.

    Without a day nobody knows when it is streamed.
    """
    begin_ns = live_ns(scenario)
    end_ns = begin_ns + scenario.duration_s * NS_PER_S
    met = any(begin_ns <= hour * 3600 * NS_PER_S < end_ns for hour in range(HOURS))
    path = sound_file(scenario)
    if scenario.day is None or path is None or not met:
        return []
    programme = payloads.load(path, scenario.sender)
    capacity = Outgoing(scenario, village, programme, village.places).capacity
    return [
        f"{scenario.name}.toml: day.live_at = {scenario.day.live_at!r}: the programme fills the "
        f"{' of '.join(filter(None, (one.kind, one.commune)))} ({one.asked_kbit_s:g} of "
        f"{one.left_kbit_s or one.rate_kbit_s:g} kbit/s), and the orders of each hour do not meet "
        "it; a whole day does: --only day"
        for one in capacity.rows({})
        if one.over
    ]
