"""What goes wrong in a world, put on its clock: for a scenario's table and a swarm's script alike.

Power, and links that are down, are known before the world begins (`PoleParts`); all else is here.
Where two faults of one kind overlap at a pole, both hold: it is over when the last of them is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Final

from node.units import NS_PER_S
from sim.result.day import STRANGERS
from sim.village.course import Befallen
from sim.village.faults import Kind
from sim.village.places import Place
from sim.world.devices import DISK_NS
from sim.world.hop import Hop
from sim.world.pole import WorldPole
from sim.world.world import World

BEFORE: Final = ("power_cut", "link_down")
"""Kinds that a pole is built with."""

ON_THE_WAY: Final = ("congestion", "duplicate", "reorder", "corrupt", "detour")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A fault at some poles of a world, from one time to another; a moment has no length."""

    kind: Kind
    start_ns: int
    end_ns: int
    nodes: tuple[str, ...] = ()
    amount: float = 0.0
    """A share, or seconds: as `sim.village.faults.Fault` and `sim.swarm.script.Step` say it."""
    extra_ns: int = 0
    """How long packets are held back that are overtaken."""
    backhaul: str = ""
    """The commune whose backhaul is congested, or loses packets; then it is at no pole."""
    alone: bool = False
    """What is at single poles: what they share with others is as it was."""
    keeps: bool = True
    """Whether the broker comes back with its database."""


def breaks_of(places: Sequence[Place], *, begin_ns: int) -> list[Break]:
    """Return what befalls the poles of a scenario, counted from `begin_ns` into the day on."""
    met: dict[Befallen, list[Place]] = {}
    for place in places:
        for one in place.befallen:
            met.setdefault(one, []).append(place)
    found = []
    for one, poles in met.items():
        fault = one.fault
        if fault.kind in STRANGERS or fault.kind in BEFORE or one.end_ns < begin_ns:
            continue
        shared = fault.backhaul is not None and fault.kind != "detour"
        found.append(
            Break(
                kind=fault.kind,
                start_ns=max(0, one.start_ns - begin_ns),
                end_ns=one.end_ns - begin_ns,
                nodes=() if shared else tuple(place.node for place in poles),
                amount=fault.amount,
                extra_ns=fault.extra_ns,
                backhaul=fault.backhaul or "" if shared else "",
                keeps=fault.keeps,
                alone=bool(fault.hamlet or fault.cluster or fault.feeder),
            )
        )
    return found


class Breaks:
    """The faults of a world.

    Parameters
    ----------
    world : World
        Not begun.
    broker_back : callable, optional
        Called when the broker is there again: who sits beside it connects anew.
    """

    def __init__(self, world: World, *, broker_back: Callable[[], None] = lambda: None) -> None:
        self._world = world
        self._broker_back = broker_back
        self._poles = {one.name: one for one in world.poles}
        self._active: dict[tuple[str, str], list[Break]] = {}
        self._away = 0
        self._kept = True

    def plan(self, breaks: Iterable[Break]) -> None:
        """Put faults on the world's clock."""
        call_at_ns = self._world.loop.call_at_ns
        for one in breaks:
            if one.kind in BEFORE:
                continue
            begin, end = self._begin, self._end
            if one.kind == "broker_down":
                begin, end = self._stop_broker, self._start_broker
            call_at_ns(one.start_ns, partial(begin, one))
            if one.kind != "half_open":
                call_at_ns(one.end_ns, partial(end, one))

    def _stop_broker(self, one: Break) -> None:
        self._away += 1
        self._kept &= one.keeps
        self._world.broker.stop()

    def _start_broker(self, one: Break) -> None:
        self._away -= 1
        if not self._away:
            self._world.broker.start(database=self._kept)
            self._kept = True
            self._broker_back()

    def _begin(self, one: Break) -> None:
        self._change(one, begins=True)

    def _end(self, one: Break) -> None:
        self._change(one, begins=False)

    def _change(self, one: Break, *, begins: bool) -> None:
        for where in (f"/{one.backhaul}",) if one.backhaul else one.nodes:
            active = self._active.setdefault((one.kind, where), [])
            if begins:
                active.append(one)
            else:
                active.remove(one)
            if one.kind == "detour":
                self._world.detour(where, sum(round(each.amount * NS_PER_S) for each in active))
            elif one.kind in ON_THE_WAY:
                for hop in self._world.hops_at(where):
                    _on_the_way(one.kind, hop, active)
            else:
                _at_pole(one.kind, self._poles[where], active)


def _on_the_way(kind: Kind, hop: Hop, active: list[Break]) -> None:
    """Let a hop be as all that befalls it makes it."""
    if kind == "congestion":
        hop.left_share = prod(one.amount for one in active)
        shared = [one.amount for one in active if not (one.alone or one.backhaul)]
        hop.left_beyond = prod(shared)
        return
    worst = max(active, key=lambda one: one.amount, default=None)
    share, held_ns = (0.0, 0) if worst is None else (worst.amount, worst.extra_ns)
    hop.befall(kind, share, held_ns=held_ns)


def _at_pole(kind: str, pole: WorldPole, active: list[Break]) -> None:
    """Let a pole be as all that befalls it makes it."""
    amounts = [one.amount for one in active]
    if kind == "clock_step":
        pole.step_clock(sum(round(one * NS_PER_S) for one in amounts))
    elif kind == "disk_full":
        pole.fill_disk(full=bool(active))
    elif kind == "disk_slow":
        pole.disk.delay_ns = max((round(one * NS_PER_S) for one in amounts), default=DISK_NS)
    elif kind == "card_gone":
        pole.pull_card(gone=bool(active))
    elif kind == "no_rtc":
        pole.stop_board_clock(stops=bool(active))
    elif kind == "cpu_throttle":
        pole.slow_down(prod(amounts))
    elif kind == "half_open":
        pole.forget_link()
        active.clear()
    else:
        raise AssertionError(f"{kind} is nothing at a pole")
