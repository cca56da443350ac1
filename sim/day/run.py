"""A scenario in, its day out: every node lives through it, and what they wrote down is gathered."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from node.config import ConfigError
from node.control.loudness.regulation import RuleFile
from node.control.precedence import MessageClass
from node.control.proof.proof import GENESIS, hash_of
from node.counters import Origin
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from sim.day.delivery import Delivery, Live, Way
from sim.day.fates import order_fate
from sim.day.missed import with_missed, with_unwarned
from sim.day.nodes import DAY_S, dwelling, library, node_parts, turns
from sim.day.pole import DayPole, Listener
from sim.day.station import Sent, Station, class_name
from sim.day.totals import totals_of, warned_totals
from sim.drive.capacity import Capacity
from sim.gateway.power import Uptime, uptimes
from sim.result.day import DayItem, DayNode, DayOrder, DayResult, DayRule
from sim.station.payloads import load
from sim.station.programme import Sender
from sim.village.day_config import DayConfig
from sim.village.places import Place, Village, day_cuts, live_ns
from sim.village.rules import read_rule
from sim.village.scenario import Scenario, sound_file

_MADE_UP = (Origin.CONCEALED, Origin.FADED, Origin.SILENT)
_PLAYED = (Origin.RECEIVED, Origin.REDUNDANT, Origin.RETRANSMITTED, Origin.IN_BAND_FEC)


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
        When the scenario has no day, or a rule file cannot be read.
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
                day_cuts(self._scenario, place, "power_cut"),
                boot_ns=round(place.profile.board.boot_s.value * NS_PER_S),
                end_ns=DAY_S * NS_PER_S,
            )
            broken = day_cuts(self._scenario, place, "link_down")
            away = day_cuts(self._scenario, place, "broker_down")
            ways = self._delivery.ways(place, power, broken, away)
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
                card_cuts_ns=day_cuts(self._scenario, place, "card_gone"),
                listener=listener,
            )
            pole.run(power)
            self._poles.append(pole)
            self._ways.append(ways)
            self._powers.append(power)
            yield number + 1

    def result(self) -> DayResult:
        """Return what the day answers, once all nodes have lived through it."""
        pairs = list(zip(self._village.places, self._poles, strict=True))
        nodes = [self._node(i, place, pole) for i, (place, pole) in enumerate(pairs)]
        items = [item for i, pair in enumerate(pairs) for item in self._all_items(i, *pair)]
        spans = [span for _, pole in pairs for span in pole.observer.diary.spans]
        decisions = [one for _, pole in pairs for one in pole.observer.diary.decisions]
        orders = [one for i, pair in enumerate(pairs) for one in self._orders(i, *pair)]
        return DayResult(
            date=self.day.date,
            live_at=self.day.live_at,
            trace_hash=self._trace_hash(),
            totals=totals_of(items, spans, decisions, self._turns) | warned_totals(orders),
            rules=[_rule(one) for one in self._rules_in_force()],
            nodes=nodes,
            items=items,
            spans=spans,
            decisions=decisions,
            volumes=[one for _, pole in pairs for one in pole.observer.diary.volumes],
            orders=orders,
        )

    def _all_items(self, number: int, place: Place, pole: DayPole) -> list[DayItem]:
        """Return the node's own records, and what it kept none of: it had no power, or no plan."""
        told = list(_items(pole, self._station.midnight_s))
        programme = replace(
            self.day.programme, hamlet=place.hamlet, offset_s=self._turns.offsets_s[number]
        )
        told = with_missed(told, place.node, programme, self._powers[number], self._station)
        return with_unwarned(told, list(self._orders(number, place, pole)))

    def _node(self, number: int, place: Place, pole: DayPole) -> DayNode:
        house = dwelling(place, self.day)
        to_ms = 1000 / RATE_HZ
        return DayNode(
            node=place.node,
            commune=place.commune,
            hamlet=place.hamlet,
            cluster=place.title,
            house_m=house.distance_m,
            house_area=house.area,
            group=self._turns.groups[number],
            offset_s=self._turns.offsets_s[number],
            played_ms=sum(int(pole.origin_samples[one]) for one in _PLAYED) * to_ms,
            concealed_ms=sum(int(pole.origin_samples[one]) for one in _MADE_UP) * to_ms,
            proof_head=hash_of(pole.observer.proof[-1]) if pole.observer.proof else GENESIS,
            orders_came=pole.observer.orders_came,
        )

    def _orders(self, number: int, place: Place, pole: DayPole) -> Iterator[DayOrder]:
        sent: list[Sent] = self._delivery.of(place.commune)
        for order, way in zip(sent, self._ways[number], strict=True):
            yield order_fate(self.day, place, pole, order, way)

    def _rules_in_force(self) -> list[RuleFile]:
        return [one for one in self._rules if one.in_force(date.fromisoformat(self.day.date))]

    def _trace_hash(self) -> str:
        """Return the hash over all chains of proof, diaries and counts."""
        whole = hashlib.sha256()
        for place, pole in zip(self._village.places, self._poles, strict=True):
            whole.update(place.node.encode() + b"\0" + b"\n".join(pole.observer.proof))
            diary = pole.observer.diary
            whole.update(repr((diary.spans, diary.decisions, diary.volumes)).encode())
            whole.update(pole.origin_samples.astype("<i8").tobytes())
        return whole.hexdigest()


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


def _items(pole: DayPole, midnight_s: int) -> Iterator[DayItem]:
    for record in pole.observer.records:
        begun = pole.observer.diary.begun.get(record.name)
        first_ns = None if begun is None else begun.first_sample_ns
        kind: MessageClass | None = None if begun is None else begun.message_class
        yield DayItem(
            node=pole.observer.diary.node,
            item=record.name,
            message_class="" if kind is None else class_name(kind),
            outcome=record.outcome,
            reason=record.reason,
            due_s=float(record.due_s - midnight_s),
            started_s=float(record.started_s - midnight_s) if record.started_s else None,
            first_sample_ms=(
                None
                if begun is None or first_ns is None
                else (first_ns - begun.start_ns) / NS_PER_MS
            ),
            sounded_s=record.sounded_s,
            volume=record.volume,
            expected_dba=record.expected_dba,
            languages=", ".join(record.languages),
            failed=", ".join(record.failed),
        )


def _rule(one: RuleFile) -> DayRule:
    return DayRule(name=one.name, title=one.title, verified=one.verified, source=one.source)
