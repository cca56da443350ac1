"""A day of a scenario's decisions: programmes at 05:00 and 17:00, a warning at 02:00.

`python3 -m benchmarks control_day [--scenario tan_thanh] [--json]`. Every cluster lives through the
day of the scenario's table `[day]` as `loalang-sim run NAME --day` runs it; ends with 1 when one
is louder than allowed without a justification.
"""

import argparse
import json
import time
from dataclasses import asdict

from sim.day.nodes import DAY_S
from sim.report.day_terminal import day_lines
from sim.village.places import build_village
from sim.village.scenario import load
from sim.world.whole_day import run_day


def run(arguments: list[str]) -> int:
    """Print the day of a scenario; 1 when a pole is louder than allowed without a justification."""
    parser = argparse.ArgumentParser(prog="benchmarks control_day", description=__doc__)
    parser.add_argument("--scenario", default="huu_lung_six", help="name or path of a scenario")
    parser.add_argument("--seed", type=int, help="instead of the scenario's")
    parser.add_argument("--json", action="store_true", help="everything, as one JSON object")
    options = parser.parse_args(arguments)
    scenario = load(options.scenario).asked(seed=options.seed)
    began_s = time.process_time()
    village = build_village(scenario)
    day = run_day(scenario, village)
    spent_s = time.process_time() - began_s
    if options.json:
        print(json.dumps(asdict(day), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(day_lines(day)))
        node_s = DAY_S * len(village.places)
        sounding_s = sum(one.played_ms for one in day.nodes) / 1000
        print(
            f"{len(village.places)} nodes, a day each, in {spent_s:.0f} s of CPU: "
            f"{node_s / spent_s:.0f} node-seconds per second, of sounding ones "
            f"{sounding_s / spent_s:.0f}"
        )
    return 1 if day.totals["breaches"] else 0
