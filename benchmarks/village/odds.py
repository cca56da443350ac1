"""Whether a sweep's intervals hold: small sweeps of a real village against one of many seeds.

Two hundred sweeps of twenty seeds each, orders on each hour of a day; how many of their 90 %
intervals contain what many seeds say. Asked: 85 to 95 %. They share no seed.

`--only programme` asks the same of a programme of ten seconds, with answers, counted by the fleet.

Options: `--sweeps N` (default 200), `--many N` (default 5000), `--scenario NAME` (`hoang_dao`),
`--set NAME=V` (`lte_good.loss_pct=5`) and `--within S` (1): so that it is not always enough.
"""

import argparse
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import table
from sim.sweep.figures import Figures, figures_of, joined
from sim.sweep.interval import share
from sim.sweep.odds import FIGURES
from sim.sweep.settings import read_variants
from sim.sweep.store import decode, encode
from sim.sweep.sweep import PROGRAMME, WARNING, Sweep
from sim.sweep.throw import rows_of
from sim.village import scenario

SEEDS: Final = 20
_FIGURES: Final = {
    WARNING: ("odds_warned", "clusters_warned"),
    PROGRAMME: ("odds_heard", "clusters_heard"),
}
_PROGRAMME_S: Final = 10.0


def run(arguments: list[str]) -> int:
    """Print and write how many intervals hold; return 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks odds", description=__doc__)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--scenario", default="hoang_dao")
    parser.add_argument("--set", default="lte_good.loss_pct=5")
    parser.add_argument("--within", type=int, default=1)
    parser.add_argument("--only", choices=tuple(_FIGURES), default=WARNING)
    options = parser.parse_args(arguments)
    village = scenario.load(options.scenario)
    if options.only == PROGRAMME:
        village = replace(village, duration_s=_PROGRAMME_S)
    asked = Sweep(
        scenario=village,
        variants=read_variants([options.set]),
        seeds=options.many + options.sweeps * SEEDS,
        measures=(options.only,),
        within_s=options.within,
        ttl_s=60,
    )
    whole = joined([_figures(asked, n) for n in range(asked.throws)])
    rows = {name: _held(whole, name, options.many) for name in _FIGURES[options.only]}
    title = f"{options.sweeps} sweeps of {SEEDS} seeds of {options.scenario}, {options.many} beside"
    table.show("odds", title, rows)
    return 0


def _figures(asked: Sweep, number: int) -> Figures:
    return figures_of(asked, decode(encode(asked, rows_of(asked, number))))


def _held(whole: Figures, name: str, many: int) -> dict[str, float | None]:
    values: NDArray[np.float64] = FIGURES[name](whole)[:, 0]
    truth = float(values[:many].mean())
    village = np.zeros(SEEDS, np.int64)
    found = [share(one, village) for one in values[many:].reshape(-1, SEEDS)]
    return {
        "of_many_seeds": round(truth, 4),
        "held_pct": round(100 * float(np.mean([e.low <= truth <= e.high for e in found])), 1),
        "half_mean": round(float(np.mean([e.half for e in found])), 4),
    }
