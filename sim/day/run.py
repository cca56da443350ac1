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
from node.control.trust.message import open_envelope
from node.counters import Origin
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ
from sim.day.delivery import Delivery
from sim.day.nodes import DAY_S, cuts, dwelling, library, node_parts, turns
from sim.day.pole import DayPole, Listener
from sim.day.station import Sent, Station, class_name
from sim.day.totals import totals_of
from sim.gateway.power import Uptime, uptimes
from sim.result.day import DayItem, DayNode, DayOrder, DayResult, DayRule
from sim.village.day_config import DayConfig
from sim.village.places import Place, Village
from sim.village.rules import read_rule
from sim.village.scenario import Scenario

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
        self._delivery = Delivery(village, self._station.orders(), seed=scenario.seed)
        self._sounds = library(scenario, self.day)
        self._turns = turns(village, self.day)
        self._poles: list[DayPole] = []
        self._arrivals: list[list[int | None]] = []

    def advance(self, *, listener: Listener | None = None) -> Iterator[int]:
        """Let one node after the other live through the day; yield how many have."""
        for number, place in enumerate(self._village.places):
            power = uptimes(
                cuts(place, self.day, "power_cut"),
                boot_ns=round(place.profile.board.boot_s.value * NS_PER_S),
                end_ns=DAY_S * NS_PER_S,
            )
            arrivals = self._reachable_arrivals(place, power)
            orders = self._delivery.of(place.commune)
            came = sorted((at_ns, i) for i, at_ns in enumerate(arrivals) if at_ns is not None)
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
            pole = DayPole(parts, [(at_ns, orders[i].data) for at_ns, i in came], listener=listener)
            pole.run(power)
            self._poles.append(pole)
            self._arrivals.append(arrivals)
            yield number + 1

    def result(self) -> DayResult:
        """Return what the day answers, once all nodes have lived through it."""
        pairs = list(zip(self._village.places, self._poles, strict=True))
        nodes = [self._node(i, place, pole) for i, (place, pole) in enumerate(pairs)]
        items = [item for _, pole in pairs for item in _items(pole, self._station.midnight_s)]
        spans = [span for _, pole in pairs for span in pole.diary.spans]
        decisions = [one for _, pole in pairs for one in pole.diary.decisions]
        orders = [one for i, pair in enumerate(pairs) for one in self._orders(i, *pair)]
        return DayResult(
            date=self.day.date,
            trace_hash=self._trace_hash(),
            totals=totals_of(items, spans, decisions, self._turns),
            rules=[_rule(one) for one in self._rules_in_force()],
            nodes=nodes,
            items=items,
            spans=spans,
            decisions=decisions,
            volumes=[one for _, pole in pairs for one in pole.diary.volumes],
            orders=orders,
        )

    def _reachable_arrivals(self, place: Place, power: list[Uptime]) -> list[int | None]:
        broken = cuts(place, self.day, "link_down")

        def reachable(_: Place, at_ns: int) -> bool:
            up = any(one.start_ns <= at_ns < one.end_ns for one in power)
            return up and not any(start <= at_ns < end for start, end in broken)

        return self._delivery.arrivals(place, reachable)

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
            proof_head=hash_of(pole.proof[-1]) if pole.proof else GENESIS,
        )

    def _orders(self, number: int, place: Place, pole: DayPole) -> Iterator[DayOrder]:
        sent: list[Sent] = self._delivery.of(place.commune)
        for order, arrived_ns in zip(sent, self._arrivals[number], strict=True):
            message = open_envelope(order.data)
            assert not isinstance(message, str), "the station seals what it sends"
            answer = pole.fates.get((message.key_id.hex(), message.counter), "never came")
            yield DayOrder(
                node=place.node,
                order=order.label,
                sent_s=order.at_ns / NS_PER_S,
                arrived_s=None if arrived_ns is None else arrived_ns / NS_PER_S,
                fate=answer,
            )

    def _rules_in_force(self) -> list[RuleFile]:
        return [one for one in self._rules if one.in_force(date.fromisoformat(self.day.date))]

    def _trace_hash(self) -> str:
        """Return the hash over all chains of proof, diaries and counts."""
        whole = hashlib.sha256()
        for place, pole in zip(self._village.places, self._poles, strict=True):
            whole.update(place.node.encode() + b"\0" + b"\n".join(pole.proof))
            diary = pole.diary
            whole.update(repr((diary.spans, diary.decisions, diary.volumes)).encode())
            whole.update(pole.origin_samples.astype("<i8").tobytes())
        return whole.hexdigest()


def run_day(
    scenario: Scenario,
    village: Village,
    *,
    seed: int | None = None,
    decoder_factory: DecoderFactory | None = None,
) -> DayResult:
    """Run the day of a scenario and return its answer; see `VillageDay`."""
    if seed is not None:
        scenario = replace(scenario, seed=seed)
    day = VillageDay(scenario, village, decoder_factory=decoder_factory)
    for _ in day.advance():
        pass
    return day.result()


def _items(pole: DayPole, midnight_s: int) -> Iterator[DayItem]:
    for record in pole.records:
        begun = pole.diary.begun.get(record.name)
        first_ns = None if begun is None else begun.first_sample_ns
        kind: MessageClass | None = None if begun is None else begun.message_class
        yield DayItem(
            node=pole.diary.node,
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
