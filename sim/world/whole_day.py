"""A day in whole daemons (T1): broker, sessions, disks and the live programme in one event loop."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final

from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S
from sim.day.answer import answer_of
from sim.day.station import length_s
from sim.result.day import DayResult
from sim.village.course import live_ns
from sim.village.day_config import DayConfig
from sim.village.faults import into_day_ns
from sim.village.places import Village
from sim.village.scenario import Scenario
from sim.world.stretch import Stretch

_BEFORE_S: Final = 300
"""So long before the first order nodes are switched on: they have booted, and sleep again."""

_AFTER_S: Final = 1800
"""So long after the last order is void what it said may still sound."""


_REMEMBERED: Final = ("broker_down", "disk_full", "disk_slow", "clock_step", "no_rtc")
"""Faults that may cost a node what it had: where one comes first, all of the day is lived."""


class WholeDay:
    """The day of a scenario, lived by all its daemons at once.

    The live programme is heard at the poles, where orders may interrupt it.

    Parameters
    ----------
    scenario : Scenario
        With a table `[day]`, and the seed of this run.
    village : Village
        Of that scenario.
    decoder_factory : callable, optional
        The nodes make no sound without one; all else is the same.

    Raises
    ------
    ConfigError
        When the scenario has no day, or a rule file cannot be read.
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        *,
        decoder_factory: DecoderFactory | None = None,
    ) -> None:
        self._stretch = Stretch(
            scenario,
            village,
            begin_s=0,
            end_s=0 if scenario.day is None else length_s(scenario.day),
            decoder_factory=decoder_factory,
            live=True,
        )
        self._clusters = len(village.places)

    @property
    def day(self) -> DayConfig:
        """Return what the day was to be."""
        return self._stretch.plan.day

    def advance(self) -> Iterator[float]:
        """Let the day pass; yield the node-seconds that have, each minute."""
        for passed_ns in self._stretch.advance():
            yield passed_ns / NS_PER_S * self._clusters

    def result(self) -> DayResult:
        """Return what the day answers, once it is over."""
        return answer_of(self._stretch.plan, self._stretch.lived())

    def close(self) -> None:
        """Let go of the event loop."""
        self._stretch.world.close()


def run_day(
    scenario: Scenario, village: Village, *, decoder_factory: DecoderFactory | None = None
) -> DayResult:
    """Run the day of a scenario and return its answer; see `WholeDay`."""
    with closing(WholeDay(scenario, village, decoder_factory=decoder_factory)) as day:
        for _ in day.advance():
            pass
        return day.result()


def live_orders(scenario: Scenario, village: Village) -> Stretch | None:
    """Let the part of a day pass that is around its orders, and return it; None without any.

    What happens before and after is not looked at: a node that is idle stays as it is.

    Raises
    ------
    ConfigError
        When a rule file cannot be read.
    """
    assert scenario.day is not None, "who asks has looked"
    zone, orders = scenario.day.programme.zone, scenario.day.orders
    given_s = [into_day_ns(one.at, scenario.day.date, zone) // NS_PER_S for one in orders]
    over_s = [at_s + max(one.ttl_s, one.lasts_s) for at_s, one in zip(given_s, orders, strict=True)]
    if not orders:
        return None
    begin_s = max(0, min(given_s) - _BEFORE_S)
    end_s = min(length_s(scenario.day), max(over_s) + _AFTER_S)
    if any(
        one.fault.kind in _REMEMBERED and one.start_ns < begin_s * NS_PER_S
        for place in village.places
        for one in place.befallen
    ):
        begin_s = 0
    live_s = live_ns(scenario) // NS_PER_S
    live = live_s < end_s and live_s + scenario.duration_s > begin_s
    begin_s = min(begin_s, live_s) if live else begin_s
    stretch = Stretch(scenario, village, begin_s=begin_s, end_s=end_s, live=live)
    with closing(stretch.world):
        for _ in stretch.advance():
            pass
    return stretch
