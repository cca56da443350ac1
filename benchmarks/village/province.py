"""What a province costs in tier T3: CPU time and memory over clusters and seconds.

The six communes of huu_lung_six, copied, by their arrivals alone (`sender.reports = false`), and
with all that nodes and station say to each other. The cost of a cluster should depend neither on
how many there are nor on how long the programme is: the rows are a table, and of those by arrivals
a picture in out/benchmarks/province.svg. With --full also what a province asks: 10,000 clusters for
an hour in 120 CPU s and 1 GiB, 100,000 for a minute in 30 CPU s. With --beside SimPy and ns-3 are
asked for 66 clusters and a minute, in the same run.
"""

import json
import math
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks import table
from benchmarks.options import parser_of
from benchmarks.village import event_by_event
from benchmarks.village.speed import WARM_UP_S, calibration_s
from sim.fleet import run as fleet
from sim.report import write_all
from sim.report.svg import Scale, line, path, picture, tag, text
from sim.village import scenario

SCENARIO: Final = "huu_lung_six"
CLUSTERS: Final = 66
MINUTE_S: Final = 60.0
COPIES: Final = (1, 2, 15)
LENGTHS_S: Final = (60.0, 600.0, 3600.0)
FULL_COPIES: Final = (152, 1515)
FULL_LENGTHS_S: Final = (86_400.0,)
FULL: Final = ((152, 3600.0),)
"""Copies, and seconds."""
SPOKEN: Final = ((1, 10.0), (1, 60.0), (1, 600.0), (15, 60.0))
FULL_SPOKEN: Final = ((152, 60.0), (1, 3600.0))
"""Likewise, with answers."""

_WIDTH: Final = 640.0
_HEIGHT: Final = 400.0
_COLOURS: Final = {"clusters, 60 s": "#0b6e4f", "seconds, 66 clusters": "#b3541e"}

Figures = dict[str, float | None]


def run(arguments: list[str]) -> int:
    """Print and write CPU time and memory for each size, and draw them; return 0."""
    parser = parser_of("province", __doc__)
    parser.add_argument("--full", action="store_true", help="also the sizes of a province")
    parser.add_argument("--beside", action="store_true", help="also SimPy and ns-3")
    options = parser.parse_args(arguments)
    copies = [(n, MINUTE_S) for n in (*COPIES, *(FULL_COPIES if options.full else ()))]
    lengths = [(1, s) for s in (*LENGTHS_S, *(FULL_LENGTHS_S if options.full else ()))]
    found: dict[tuple[int, float], Figures] = {}
    for size in dict.fromkeys((*copies, *lengths, *(FULL if options.full else ()))):
        found[size] = in_a_child(*size)
        print(f"{_name(size)}: {found[size]}", flush=True)
    rows = {_name(size): figures for size, figures in found.items()}
    for size in (*SPOKEN, *(FULL_SPOKEN if options.full else ())):
        rows[name := f"{_name(size)}, with answers"] = in_a_child(*size, speaks=True)
        print(f"{name}: {rows[name]}", flush=True)
    if options.beside:
        beside = event_by_event.rows(CLUSTERS, MINUTE_S)
        rows |= {f"{name}, {_name((1, MINUTE_S))}": one for name, one in beside.items()}
    table.show("province", f"Tier T3 on {SCENARIO}, one process, all cores", rows)
    series = zip(_COLOURS, (copies, lengths), strict=True)
    drawing = drawn({name: [_point(size, found[size]) for size in sizes] for name, sizes in series})
    write_all({"province.svg": drawing.encode()}, table.FOLDER)
    print(f"written: {table.FOLDER / 'province.svg'}")
    return 0


def drawn(series: dict[str, list[tuple[float, float]]]) -> str:
    """Return the picture: CPU seconds over node-seconds, both by powers of ten.

    A cost that is in proportion is a straight line at the slope of the grey ones.
    """
    points = [point for one in series.values() for point in one]
    low, high = (
        [math.floor(min(map(math.log10, axis))), math.ceil(max(map(math.log10, axis)))]
        for axis in zip(*points, strict=True)
    )
    across = Scale(low[0], low[1], 60, _WIDTH - 20)
    up = Scale(high[0], high[1], _HEIGHT - 50, 20)
    grey = {"stroke": "#ccc", "stroke_width": 1}
    parts = []
    for power in range(low[0], low[1] + 1):
        parts.append(line(across(power), up.start, across(power), up.end, **grey))
        parts.append(text(across(power), up.start + 18, f"1e{power}", text_anchor="middle"))
    for power in range(high[0], high[1] + 1):
        parts.append(line(across.start, up(power), across.end, up(power), **grey))
        parts.append(text(across.start - 6, up(power) + 4, f"1e{power}", text_anchor="end"))
    first = next(iter(series.values()))[0]
    rise = math.log10(first[1]) - math.log10(first[0])
    ends = [max(low[0], high[0] - rise), min(low[1], high[1] - rise)]
    parts.append(path([(across(x), up(x + rise)) for x in ends], stroke="#888", fill="none"))
    for i, (name, one) in enumerate(series.items()):
        way = [(across(math.log10(x)), up(math.log10(y))) for x, y in one]
        parts.append(path(way, stroke=_COLOURS[name], fill="none", stroke_width=2))
        parts += [tag("circle", cx=x, cy=y, r=4, fill=_COLOURS[name]) for x, y in way]
        parts.append(text(across.start + 12, up.end + 16 + 18 * i, name, fill=_COLOURS[name]))
    parts.append(text(_WIDTH / 2, _HEIGHT - 12, "node-seconds", text_anchor="middle"))
    parts.append(text(8, 14, "CPU s"))
    whole = picture(_WIDTH, _HEIGHT, *parts, title="CPU seconds over node-seconds of tier T3")
    begin = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="12"'
    return str(whole).replace("<svg", begin, 1) + "\n"


def _name(size: tuple[int, float]) -> str:
    return f"{size[0] * CLUSTERS} clusters, {size[1]:g} s"


def _point(size: tuple[int, float], figures: Figures) -> tuple[float, float]:
    return size[0] * CLUSTERS * size[1], figures["cpu_s"] or 0.01


def in_a_child(copies: int, duration_s: float, *, speaks: bool = False) -> Figures:
    """Run `one` in a child, because the largest memory of a process is never given back."""
    code = f"from benchmarks.village.province import one; one({copies}, {duration_s}, {speaks})"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def one(copies: int, duration_s: float, speaks: bool) -> None:
    """Print what one size costs as JSON: the work of a child process."""
    asked = scenario.load(SCENARIO)
    sender = replace(asked.sender, reports=speaks)
    fleet.run(replace(asked, sender=sender), duration_s=WARM_UP_S)
    loop_s = calibration_s()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "province.toml"
        path.write_text(f"copies = {copies}\n" + Path(asked.path).read_text("utf-8"), "utf-8")
        many = scenario.load(path)
    result = fleet.run(replace(many, sender=sender), duration_s=duration_s)
    figures = {
        "cpu_s": round(result.cpu["cpu_s"], 2),
        "node_seconds_per_cpu_s": round(result.cpu["node_seconds_per_cpu_s"], 1),
        "node_seconds_per_loop": round(result.cpu["node_seconds_per_cpu_s"] * loop_s, 1),
        "wall_s": round(result.cpu["wall_s"], 2),
        "rss_max_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    print(json.dumps(figures))
