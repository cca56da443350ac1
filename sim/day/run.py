"""A scenario in, its day out: every node lives through it, and what they wrote down is gathered."""

from collections.abc import Iterator
from pathlib import Path

from node.config import ConfigError
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S
from sim.day.answer import Lived, Plan, answer_of
from sim.day.delivery import Delivery, Live, Way
from sim.day.fates import order_fate
from sim.day.hindrance import with_pole
from sim.day.nodes import DAY_S, library, node_parts, turns
from sim.day.pole import DayPole, Listener
from sim.day.station import Sent, Station
from sim.drive.capacity import Capacity
from sim.gateway.power import Uptime, uptimes
from sim.result.day import DayOrder, DayResult
from sim.station.payloads import load
from sim.station.programme import Sender
from sim.village.course import live_ns, require_lived
from sim.village.day_config import DayConfig
from sim.village.places import Place, Village, day_cuts
from sim.village.rules import read_rule
from sim.village.scenario import Scenario, sound_file


class VillageDay:
    """The day of a scenario under way.

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
        When the scenario has no day, a rule file cannot be read, or a fault is of a kind that only
        whole daemons live (`sim.world.whole_day`).
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        *,
        decoder_factory: DecoderFactory | None = None,
    ) -> None:
        if scenario.day is None:
            raise ConfigError(
                f"{scenario.name}.toml: day: missing; a table [day] as in docs/scenario.md"
            )
        require_lived(scenario, "fast_day")
        self._scenario = scenario
        self._village = village
        self._decoder_factory = decoder_factory
        self.day: DayConfig = scenario.day
        folder = Path(scenario.path).parent
        self._rules = tuple(read_rule(name, folder) for name in self.day.rules)
        communes = tuple(commune.name for commune in scenario.communes)
        self._station = Station(self.day, communes, seed=scenario.seed)
        self._delivery = Delivery(
            village, self._station.orders(), seed=scenario.seed, live=_live(scenario, village)
        )
        self._sounds = library(scenario, self.day)
        self._turns = turns(village, self.day)
        self._poles: list[DayPole] = []
        self._ways: list[list[Way]] = []
        self._powers: list[list[Uptime]] = []

    def advance(self, *, listener: Listener | None = None) -> Iterator[int]:
        """Let one node after the other live through the day; yield how many have."""
        for number, place in enumerate(self._village.places):
            power = uptimes(
                day_cuts(place, "power_cut"),
                boot_ns=round(place.profile.board.boot_s.value * NS_PER_S),
                end_ns=DAY_S * NS_PER_S,
            )
            ways = self._delivery.ways(place, power)
            orders = self._delivery.of(place.commune)
            came = sorted(
                (way.arrived_ns, i) for i, way in enumerate(ways) if way.arrived_ns is not None
            )
            parts = node_parts(
                place,
                self._scenario,
                self.day,
                offset_s=self._turns.offsets_s[number],
                station=self._station,
                rules=self._rules,
                sounds=self._sounds,
                decoder_factory=self._decoder_factory,
            )
            pole = DayPole(
                parts,
                [(at_ns, orders[i].data) for at_ns, i in came],
                card_cuts_ns=day_cuts(place, "card_gone"),
                listener=listener,
            )
            pole.run(power)
            self._poles.append(pole)
            self._ways.append(ways)
            self._powers.append(power)
            yield number + 1

    def result(self) -> DayResult:
        """Return what the day answers, once all nodes have lived through it."""
        lived = [
            Lived(
                place=place,
                pole=pole,
                power=self._powers[number],
                orders=list(self._orders(number, place, pole)),
            )
            for number, (place, pole) in enumerate(
                zip(self._village.places, self._poles, strict=True)
            )
        ]
        plan = Plan(day=self.day, station=self._station, turns=self._turns, rules=self._rules)
        return answer_of(plan, lived)

    def _orders(self, number: int, place: Place, pole: DayPole) -> Iterator[DayOrder]:
        sent: list[Sent] = self._delivery.of(place.commune)
        for order, way in zip(sent, self._ways[number], strict=True):
            fate = order_fate(self.day, place, pole, order, way)
            yield with_pole(fate, place, order, way.arrived_ns)


def _live(scenario: Scenario, village: Village) -> Live:
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    duration_ns = round(scenario.duration_s * NS_PER_S)
    config = scenario.sender
    sender = Sender(
        load(path, config),
        seed=scenario.seed,
        duration_ns=duration_ns,
        pacing_max_us=config.pacing_max_us,
    )
    capacity = Capacity(village, sender, unicast=config.delivery == "unicast")
    begin_ns = live_ns(scenario)
    return Live((begin_ns, begin_ns + duration_ns), capacity.room)


def run_day(
    scenario: Scenario,
    village: Village,
    *,
    seed: int | None = None,
    decoder_factory: DecoderFactory | None = None,
) -> DayResult:
    """Run the day of a scenario and return its answer; see `VillageDay`."""
    day = VillageDay(scenario.asked(seed=seed), village, decoder_factory=decoder_factory)
    for _ in day.advance():
        pass
    return day.result()
