"""Whole daemons in virtual time (tier T1): what a node-second costs, and whom the flood leaves out.

Options: --scenario NAME, --from S, --until S (seconds into the day; a stretch of the flood around
its warning otherwise). Speed and memory depend on the machine; the fates do not.
"""

import resource
import time
from typing import Final

from benchmarks.options import parser_of
from node.units import NS_PER_S
from sim.day.verdict import fate_words
from sim.village.places import build_village
from sim.village.scenario import load
from sim.world.stretch import STEP_NS, Stretch

_KIB: Final = 1024


def run(arguments: list[str]) -> int:
    """Print the speed minute by minute, the fate of each warning at each pole, and the memory."""
    parser = parser_of("world", __doc__)
    parser.add_argument("--scenario", default="flood_night")
    parser.add_argument("--from", dest="begin_s", type=int, default=7_140)
    parser.add_argument("--until", dest="end_s", type=int, default=7_620)
    options = parser.parse_args(arguments)
    scenario = load(options.scenario)
    village = build_village(scenario)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stretch = Stretch(scenario, village, begin_s=options.begin_s, end_s=options.end_s)
    nodes, began_s = len(village.places), time.process_time()
    for at_ns in stretch.advance():
        spent_s, began_s = time.process_time() - began_s, time.process_time()
        step_s = STEP_NS / NS_PER_S
        print(f"{at_ns / NS_PER_S:6.0f} s  {nodes * step_s / spent_s:8.0f} node-s per CPU-s")
    for one in stretch.fates():
        if one.kind == "alert":
            print(f"{one.node}: {fate_words(one)}")
    more_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    print(f"{stretch.world.loop.steps} callbacks; {more_kib * _KIB / nodes / 1000:.0f} kB a node")
    stretch.world.close()
    return 0
