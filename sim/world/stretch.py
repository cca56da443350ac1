"""A stretch of a day in the world: whole daemons, and the fate of every order at each of them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from node.config import ConfigError
from node.control.sessions import record_name
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S
from sim.day.answer import Lived, Plan
from sim.day.fates import Way, order_fate
from sim.day.heard import LiveItem
from sim.day.hindrance import blocks, hindrances, slowed, with_pole
from sim.day.nodes import library, node_parts, turns
from sim.day.station import Sent, Station
from sim.day.strangers import attack_fate, strangers_orders
from sim.gateway.power import Uptime, uptimes
from sim.result.day import DayOrder
from sim.village.course import Course, cuts_ns, live_ns
from sim.village.faults import Span
from sim.village.places import Place, Village
from sim.village.rules import read_rule
from sim.village.scenario import Scenario
from sim.world.before import kept_before
from sim.world.breaks import Breaks, breaks_of
from sim.world.live.programme import LivePlan, LiveProgramme
from sim.world.live.sounded import NOTHING, streams
from sim.world.pole import WorldPole
from sim.world.world import PoleParts, World

STEP_NS: Final = 60 * NS_PER_S


class Stretch:
    """The poles of a village from `begin_s` to `end_s` of the day, second by second.

    Keys and plans come at its begin: the village has been running before. Orders that were given
    earlier are not given again.

    Parameters
    ----------
    scenario : Scenario
        With a day.
    village : Village
        Of that scenario.
    begin_s, end_s : int
        Seconds into the day.
    decoder_factory : callable or None
        The decoder of the nodes; None counts without sound.
    live : bool
        The run's own programme is streamed, from `day.live_at` on; then no amplifier is muted.
    """

    def __init__(
        self,
        scenario: Scenario,
        village: Village,
        *,
        begin_s: int,
        end_s: int,
        decoder_factory: DecoderFactory | None = None,
        live: bool = False,
    ) -> None:
        if scenario.day is None:
            raise ConfigError(
                f"{scenario.name}.toml: day: missing; a table [day] as in docs/scenario.md"
            )
        self._day = scenario.day
        self._places = village.places
        self._end_ns = (end_s - begin_s) * NS_PER_S
        self._begin_ns = begin_s * NS_PER_S
        communes = tuple(commune.name for commune in scenario.communes)
        station = Station(scenario.day, communes, seed=scenario.seed)
        folder = Path(scenario.path).parent
        self.plan = Plan(
            day=scenario.day,
            station=station,
            turns=turns(village, scenario.day),
            rules=tuple(read_rule(name, folder) for name in scenario.day.rules),
        )
        self._orders = self._given(station, Course(scenario))
        self._parts = self._pole_parts(scenario, station, decoder_factory)
        plan = None
        if live:
            plan = LivePlan(
                scenario=scenario,
                begin_ns=live_ns(scenario) - self._begin_ns,
                decoder=decoder_factory,
            )
        self.world = World(
            village,
            self._parts,
            self._orders,
            seed=scenario.seed,
            utc_s=station.midnight_s + begin_s,
            live=plan,
        )
        self._announced: list[Sent] = []
        if self.world.live is not None:
            self._announce(station, self.world.live, round(scenario.duration_s))
            self.plan = replace(self.plan, live=self._live_item(self.world.live))
        self._keep_before()
        Breaks(self.world).plan(breaks_of(self._places, begin_ns=self._begin_ns))

    def advance(self) -> Iterator[int]:
        """Run to the end; yield the ns into the stretch that were reached."""
        yield from self.world.advance(self._end_ns, step_ns=STEP_NS)

    def powered_ns(self, start_ns: int, end_ns: int) -> int:
        """Return for how long all nodes together have power, from and to ns into the stretch."""
        return sum(
            max(0, min(up.end_ns, end_ns) - max(up.start_ns, start_ns))
            for one in self._parts
            for up in one.power
        )

    def fates(self) -> list[DayOrder]:
        """Return the fate of every order at every pole, times in s into the day."""
        return [order for one in self.lived() for order in one.orders]

    def lived(self) -> list[Lived]:
        """Return the poles, what was written down at each, and the fates of its orders."""
        return [
            Lived(
                place=one.place,
                pole=pole,
                power=one.power,
                begin_ns=self._begin_ns,
                streams=_streams(pole, one.parts.lead_ns),
                announced_s=self._announced_s(one.place.commune, pole),
                orders=[
                    self._in_day(self._fate(one, pole, sent))
                    for sent in self._orders
                    if sent.commune == one.place.commune
                ],
            )
            for one, pole in zip(self._parts, self.world.poles, strict=True)
        ]

    def _given(self, station: Station, course: Course) -> list[Sent]:
        """Return what is ordered meanwhile, by whomever, and keys and plans at its begin."""
        until_ns = self._begin_ns + self._end_ns
        genuine = station.orders()  # once: each call counts on
        strangers = strangers_orders(self._day, station, genuine, course.all)
        own = [
            replace(one, at_ns=one.at_ns - self._begin_ns if one.order is not None else 0)
            for one in genuine
            if one.order is None or self._begin_ns <= one.at_ns < until_ns
        ]
        others = [
            replace(one, at_ns=one.at_ns - self._begin_ns)
            for one in strangers
            if self._begin_ns <= one.at_ns < until_ns
        ]
        return own + others

    def _keep_before(self) -> None:
        """Let those who have no power at the begin have keys and plans on their disks."""
        for one, pole in zip(self._parts, self.world.poles, strict=True):
            if not one.power or one.power[0].start_ns:
                here = [o for o in self._orders if o.commune == one.place.commune and not o.at_ns]
                plans = [sent for sent in here if sent.order is None and sent.attack is None]
                pole.disk.values |= kept_before(one.parts, plans)

    def _pole_parts(
        self, scenario: Scenario, station: Station, decoder_factory: DecoderFactory | None
    ) -> list[PoleParts]:
        sounds = library(scenario, self._day)
        return [
            PoleParts(
                place=place,
                parts=node_parts(
                    place,
                    scenario,
                    self._day,
                    offset_s=self.plan.turns.offsets_s[number],
                    station=station,
                    rules=self.plan.rules,
                    sounds=sounds,
                    decoder_factory=decoder_factory,
                ),
                power=tuple(self._power(place)),
                link_cuts_ns=self._cuts(place, "link_down", "both"),
                up_cuts_ns=self._cuts(place, "link_down", "up"),
                down_cuts_ns=self._cuts(place, "link_down", "down"),
            )
            for number, place in enumerate(self._places)
        ]

    def _live_item(self, live: LiveProgramme) -> LiveItem:
        end_ns = min(live.ends_ns, self._end_ns)
        begin_s, end_s = ((self._begin_ns + one) / NS_PER_S for one in (live.begin_ns, end_ns))
        return LiveItem(record_name(live.ssrc), begin_s, end_s)

    def _announce(self, station: Station, live: LiveProgramme, duration_s: int) -> None:
        """Let the desks announce the live programme."""
        first_s = (live.begin_ns + self._begin_ns) // NS_PER_S
        sent = station.live_orders(live.ssrc, live.key, begin_s=first_s, end_s=first_s + duration_s)
        self._announced = [replace(one, at_ns=max(0, one.at_ns - self._begin_ns)) for one in sent]
        self.world.add_orders(self._announced)

    def _announced_s(self, commune: str, pole: WorldPole) -> float | None:
        """Return when a pole knew of the live programme and who may stream it, s into the day."""
        here = [one for one in self._announced if one.commune == commune]
        came_ns = [pole.observer.came_at_ns(one.data) for one in here]
        key_ns, *session_ns = came_ns or (None,)
        known_ns = [one for one in session_ns if one is not None]
        if key_ns is None or not known_ns:
            return None
        return (self._begin_ns + max(key_ns, min(known_ns))) / NS_PER_S

    def _fate(self, one: PoleParts, pole: WorldPole, sent: Sent) -> DayOrder:
        if sent.attack is not None:
            return attack_fate(one.place.node, pole, sent, self._hindered(one, sent, None))
        came_ns = pole.observer.came_at_ns(sent.data)
        too_late = came_ns is not None and came_ns >= sent.at_ns + sent.ttl_s * NS_PER_S
        if too_late:  # what a stranger sent again when it was void
            came_ns = None
        way = Way(came_ns, self._hindered(one, sent, came_ns))
        here = [each for each in self._orders if each.commune == sent.commune]
        fate = order_fate(self._day, one.place, pole, sent, way, orders=here, end_ns=self._end_ns)
        if too_late:
            fate = replace(fate, answer="")
        if sent.order is None and fate.answer == "replayed":
            return replace(fate, fate="obeyed", reason="")  # it had them on its disk
        ended = sent.at_ns + sent.ttl_s * NS_PER_S > self._end_ns
        if fate.fate in ("not heard", "not obeyed") and way.arrived_ns is None and ended:
            why = "; ".join(way.hindered_by) or "on its way"
            day_ns = self.plan.station.day_s * NS_PER_S
            what = "day" if self._begin_ns + self._end_ns == day_ns else "stretch"
            return replace(fate, fate="not known", reason=f"{why} when the {what} ended")
        live = self.world.live
        live_ns = (0, 0) if live is None else (live.begin_ns, live.ends_ns)
        return with_pole(fate, one.place, sent, came_ns, begin_ns=self._begin_ns, live_ns=live_ns)

    def _hindered(self, one: PoleParts, sent: Sent, came_ns: int | None) -> tuple[str, ...]:
        """Return what was in the way at the order and after it, until it came."""
        until_ns = min(sent.at_ns + sent.ttl_s * NS_PER_S, self._end_ns)
        until_ns = until_ns if came_ns is None else min(until_ns, came_ns)
        befallen, begin_ns = one.place.befallen, self._begin_ns
        span = (sent.at_ns + begin_ns, until_ns + begin_ns)
        power = [Uptime(up.start_ns + begin_ns, up.end_ns + begin_ns) for up in one.power]
        found = [why for _, why in hindrances(span, power, blocks(befallen))]
        found += slowed(befallen, span)
        if one.place.bearer is not None and one.place.bearer.loss_pct.value >= 100:
            found.append("no signal")
        return tuple(found)

    def _in_day(self, fate: DayOrder) -> DayOrder:
        begin_s = self._begin_ns / NS_PER_S
        arrived_s = None if fate.arrived_s is None else fate.arrived_s + begin_s
        return replace(fate, sent_s=fate.sent_s + begin_s, arrived_s=arrived_s)

    def _power(self, place: Place) -> list[Uptime]:
        return uptimes(
            self._cuts(place, "power_cut"),
            boot_ns=round(place.profile.board.boot_s.value * NS_PER_S),
            end_ns=self._end_ns,
        )

    def _cuts(self, place: Place, kind: str, *ways: str) -> tuple[Span, ...]:
        return cuts_ns(place.befallen, kind, *ways, from_ns=self._begin_ns)


def _streams(pole: WorldPole, lead_ns: int) -> list[tuple[int, float, float]]:
    sound = NOTHING if pole.live is None else pole.live.sounded
    return streams(pole.observer.diary, sound, lead_ns)
