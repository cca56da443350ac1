"""Where a warning would be heard: an order that comes to a silent horn has warned nobody."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from node.control.civil_time import local_time
from node.control.loudness.noise import level_of_lufs
from node.control.loudness.regulation import Regulation, RuleFile
from node.control.loudness.schedule import Place as VolumePlace
from node.control.loudness.schedule import VolumeSchedule
from node.control.precedence import MessageClass
from sim.day.nodes import dwelling, horns
from sim.day.station import midnight_s
from sim.gateway.cpu import cpu_load
from sim.village.day_config import DayConfig
from sim.village.outages import HOURS
from sim.village.places import Place, Village
from sim.village.rules import read_rule
from sim.village.scenario import Scenario


def loud_hours(scenario: Scenario, village: Village) -> list[list[bool]]:
    """Return for each place whether a warning that sounds on each hour of the day is heard.

    It is, at the nearest dwelling, by the volume plan and the noise rules of the day; without a day
    there is nothing that could silence it. A CPU that is too slow for its card plays nothing.
    """
    return [_hours(scenario, place) for place in village.places]


def _hours(scenario: Scenario, place: Place) -> list[bool]:
    day = scenario.day
    if day is None or cpu_load(place.profile) > 1:
        return [day is None and cpu_load(place.profile) <= 1] * HOURS
    config = day.regulation
    if scenario.audio.target_lufs is not None:
        config = replace(config, programme_db=level_of_lufs(scenario.audio.target_lufs))
    regulation = Regulation(_rules(day, scenario), config, horns(place), dwelling(place, day))
    where = VolumePlace(commune=place.commune, hamlet=place.hamlet, cluster=place.node)
    schedule = VolumeSchedule(day.volume, where)
    return [
        _level_dba(day, regulation, schedule, midnight_s(day) + 3600 * hour) >= day.heard_from_dba
        for hour in range(HOURS)
    ]


def _level_dba(
    day: DayConfig, regulation: Regulation, schedule: VolumeSchedule, utc_s: int
) -> float:
    decision = schedule.decide(utc_s, MessageClass.URGENT)
    local = local_time(utc_s, schedule.zone)
    verdict = regulation.judge_noise(local, MessageClass.URGENT, decision.gain_db)
    return regulation.level_dba(verdict.gain_db)


def _rules(day: DayConfig, scenario: Scenario) -> tuple[RuleFile, ...]:
    return _read(day.rules, Path(scenario.path).parent)


@lru_cache(maxsize=16)
def _read(names: tuple[str, ...], folder: Path) -> tuple[RuleFile, ...]:
    return tuple(read_rule(name, folder) for name in names)
