"""Whole daemons in virtual time (tier T1): what a node-second costs, idle and playing.

A village of --nodes nodes (100) at one bearer (perfect) is idle for three minutes and then plays
one siren at every pole: CPU time, and memory before and after the first sound. Only nodes with
power count, and minutes of silence are never mixed with minutes of sound. One more node has lived
through the same before, so that what is loaded once is nobody's cost. Another such village hears a
live programme instead of the siren: each packet of it is sealed, opened and counted at every node.
Both have a process of their own, so that what one has let go is not the other's memory.

With --scenario NAME (and --from S, --until S, seconds into the day): a stretch of that day, minute
by minute, and whom its warning leaves out; with --live also what is heard of its own programme,
which ends before --until. Speed and memory depend on the machine, the fates do not.
"""

import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import count, parser_of
from node.units import NS_PER_S, RATE_HZ
from sim.day.verdict import fate_words
from sim.village.places import build_village
from sim.village.scenario import Scenario, load
from sim.world.stretch import STEP_NS, Stretch

_KIB: Final = 1024
_STEP_S: Final = STEP_NS // NS_PER_S
_FULL: Final = 0.99
"""So much of a minute with sound is a minute that plays."""

_ORDER_S: Final = 7_200
_BEGIN_S: Final = _ORDER_S - 240
_END_S: Final = _ORDER_S + 180

_VILLAGE: Final = """
title = "Many poles"
question = "What does a node-second cost?"
seed = 7
duration_s = {live_s}

[day]
date = "2026-11-23"
live_at = "02:00"

[day.volume]
volume = 75
emergency_floor = 90

[day.alert.phrases.any]
siren = "siren.flac"
siren_s = 120

{orders}

[[communes]]
name = "A"
x_m = 0
y_m = 0

[[communes.hamlets]]
name = "A1"
x_m = 0
y_m = 0
clusters = [
{clusters}]
"""
_ORDER: Final = """
[[day.orders]]
at = "02:00"
kind = "alert"
ttl_s = 600
lasts_s = 600
"""
_CLUSTER: Final = (
    '  {{ name = "a-{i}", profile = "pi_4b_usb", bearer = "{bearer}",'
    " x_m = {x_m}, y_m = {y_m} }},\n"
)


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute of the stretch cost."""

    end_s: int
    powered_s: float
    """Node-seconds with power."""
    sounding_s: float
    """Node-seconds with a source."""
    silent: int
    """Nodes at which nothing sounded."""
    cpu_s: float

    @property
    def speed(self) -> float:
        """Return node-seconds per CPU-second."""
        return self.powered_s / self.cpu_s


def run(arguments: list[str]) -> int:
    """Print what node-seconds cost; of a scenario also the fate of each warning at each pole."""
    parser = parser_of("world", __doc__)
    parser.add_argument("--scenario")
    parser.add_argument("--from", dest="begin_s", type=int, default=7_140)
    parser.add_argument("--until", dest="end_s", type=int, default=7_620)
    parser.add_argument("--live", action="store_true", help="stream its own programme too")
    parser.add_argument("--nodes", type=count, default=100)
    parser.add_argument("--bearer", default="perfect")
    options = parser.parse_args(arguments)
    if options.scenario is not None:
        _show_stretch(options.scenario, options.begin_s, options.end_s, live=options.live)
        return 0
    figures, streamed = (_apart(options.nodes, options.bearer, live) for live in (False, True))
    figures["live_node_s_per_cpu_s"] = streamed["playing_node_s_per_cpu_s"]
    figures["kb_a_node_live"] = streamed["kb_a_node_after_sound"]
    table.show("world", f"Tier T1, {options.nodes} nodes, {options.bearer}", {"measured": figures})
    return 0


def minutes(stretch: Stretch) -> Iterator[Minute]:
    """Run `stretch`; yield what each of its minutes cost."""
    poles = stretch.world.poles
    before = [0] * len(poles)
    began_s = time.process_time()
    for at_ns in stretch.advance():
        cpu_s = time.process_time() - began_s
        played = [int(pole.played_samples().sum()) for pole in poles]
        more = [new - old for new, old in zip(played, before, strict=True)]
        yield Minute(
            at_ns // NS_PER_S,
            stretch.powered_ns(at_ns - STEP_NS, at_ns) / NS_PER_S,
            sum(more) / RATE_HZ,
            more.count(0),
            cpu_s,
        )
        before, began_s = played, time.process_time()


def _apart(nodes: int, bearer: str, live: bool) -> dict[str, float | None]:
    """Return what a node costs, in a process of its own: nothing there was used and let go."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_warm_cost, nodes, bearer, live).result()


def _warm_cost(nodes: int, bearer: str, live: bool) -> dict[str, float | None]:
    _cost(_many(1, bearer, live=live), live=live)
    return _cost(_many(nodes, bearer, live=live), live=live)


def _many(nodes: int, bearer: str, *, live: bool = False) -> Scenario:
    clusters = "".join(
        _CLUSTER.format(i=i, bearer=bearer, x_m=100 * (i % 10), y_m=100 * (i // 10))
        for i in range(nodes)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.toml"
        orders, live_s = ("", _END_S - _ORDER_S) if live else (_ORDER, 5)
        text = _VILLAGE.format(clusters=clusters, orders=orders, live_s=live_s)
        path.write_text(text, encoding="utf-8")
        return load(str(path))


def _cost(scenario: Scenario, *, live: bool = False) -> dict[str, float | None]:
    """Return what a node-second costs that is idle, and one that plays; and memory per node."""
    village = build_village(scenario)
    nodes, before_kib = len(village.places), _resident_kib()
    stretch = Stretch(scenario, village, begin_s=_BEGIN_S, end_s=_END_S, live=live)
    idle: list[Minute] = []
    playing: list[Minute] = []
    idle_kib = before_kib
    for minute in minutes(stretch):
        if minute.sounding_s > _FULL * nodes * _STEP_S:
            playing.append(minute)
        elif minute.silent == nodes and not playing and minute.end_s > _STEP_S:
            idle.append(minute)  # the first minute is the boot's
            idle_kib = _resident_kib()
    after_kib = _resident_kib()
    stretch.world.close()
    per_node = _KIB / 1000 / nodes
    return {
        "idle_node_s_per_cpu_s": _speed(idle),
        "playing_node_s_per_cpu_s": _speed(playing),
        "kb_a_node_idle": (idle_kib - before_kib) * per_node,
        "kb_a_node_after_sound": (after_kib - before_kib) * per_node,
        "callbacks_a_node_s": stretch.world.loop.steps / (nodes * (_END_S - _BEGIN_S)),
    }


def _speed(some: list[Minute]) -> float | None:
    if not some:
        return None
    return sum(one.powered_s for one in some) / sum(one.cpu_s for one in some)


def _show_stretch(name: str, begin_s: int, end_s: int, *, live: bool) -> None:
    scenario = load(name)
    stretch = Stretch(scenario, build_village(scenario), begin_s=begin_s, end_s=end_s, live=live)
    for one in minutes(stretch):
        shares = f"{one.powered_s / _STEP_S:.1f} with power, {one.sounding_s / _STEP_S:.1f} sound"
        print(f"{one.end_s:6} s  {one.speed:8.0f} node-s per CPU-s  {shares}, {one.silent} never")
    for fate in stretch.fates():
        if fate.kind == "alert":
            print(f"{fate.node}: {fate_words(fate)}")
    for row in [] if stretch.world.live is None else stretch.world.live.rows():
        repaired_ms = row.redundant_ms + row.retransmitted_ms + row.in_band_fec_ms
        print(
            f"{row.node}: of {row.packets_sent} packets {row.packets_lost} lost, "
            f"{row.packets_late} late; {row.received_ms / 1000:.1f} s heard, "
            f"{repaired_ms / 1000:.2f} s repaired, {row.dropout_ms / 1000:.2f} s not"
        )
    print(f"{stretch.world.loop.steps} callbacks")
    stretch.world.close()


def _resident_kib() -> int:
    """Return the memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize() // _KIB
