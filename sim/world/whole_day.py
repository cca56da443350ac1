"""A day in whole daemons (T1): broker, sessions, disks and the live programme in one event loop."""

from collections.abc import Iterator

from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S
from sim.day.answer import answer_of
from sim.day.nodes import DAY_S
from sim.result.day import DayResult
from sim.village.day_config import DayConfig
from sim.village.places import Village
from sim.village.scenario import Scenario
from sim.world.stretch import Stretch


class WholeDay:
    """The day of a scenario, lived by all its daemons at once.

    It answers as `sim.day.run.VillageDay` does, which lives it node by node without broker and
    sessions and is some ten times as fast. The live programme is heard at the poles here, where
    orders may interrupt it.

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
        When the scenario has no day, a cluster has a trace for a bearer, or a rule file cannot be
        read.
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
            end_s=DAY_S,
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
