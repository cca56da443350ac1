"""Tier T3: a scenario of any size in, its answer out; commune by commune, a commune to a thread.

```
village ─► parts: a commune each ─► FleetRounds, chunk by chunk ─► Part ─► roll_up ─► RunResult
                                       └ beyond? ─► Rounds (T2)
```

Clusters of two communes share nothing but the one station's uplink, of which each commune follows
the whole queue. So a commune can be run to its end before the next: what is held at a time are
those that the threads are at, and what is kept of a node is its row, its raster and its histograms.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import numpy as np

from node.config import ConfigError
from sim.drive.capacity import with_repair
from sim.drive.roll_up import Part, part_of, repair_kbit_s_of, roll_up
from sim.drive.rounds import Rounds
from sim.drive.run import Progress
from sim.fleet.desk import Desk
from sim.fleet.newcomer import Newcomer
from sim.fleet.rounds import FleetRounds
from sim.fleet.sheet import packet_sheet
from sim.result.capacity import CapacityRow
from sim.result.run import NodeRow, RunResult
from sim.station import payloads
from sim.station.programme import Programme
from sim.village.course import not_lived
from sim.village.places import Village, build_village
from sim.village.scenario import Scenario, load, sound_file

_KINDS = ("uplink", "backhaul", "cell")


def why_not(scenario: Scenario) -> list[str]:
    """Return what of a scenario this tier cannot say, a line each; none where it says all."""
    if not scenario.sender.copies_possible:
        return []
    return [
        f'{scenario.name}: sender.delivery = "multicast" with sender.copies = "auto": tier fleet '
        "follows no copies, which all nodes together decide; --tier drive does, and with "
        'copies = "off" there are none'
    ]


def run(
    scenario: Scenario | str,
    *,
    seed: int | None = None,
    duration_s: float | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    apart: bool = True,
) -> RunResult:
    """Run a scenario without sound and return its answer: that of `sim.drive.run`.

    Parameters
    ----------
    scenario, seed, duration_s, progress
        As in `sim.drive.run`.
    threads : int, optional
        As many as there are cores without it. No figure depends on it.
    apart : bool
        Commune by commune: `skew` then is to the median of the commune. False takes all together,
        on one thread, and no figure differs from the drive's.

    Raises
    ------
    ConfigError
        When the scenario, or a file that it names, is wrong, or this tier cannot say what it asks
        (`why_not`); one line per fault.
    """
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    if isinstance(scenario, str):
        scenario = load(scenario)
    scenario = scenario.asked(seed=seed, duration_s=duration_s)
    if why := [*why_not(scenario), *not_lived(scenario, "fleet")]:
        raise ConfigError("\n".join(why))
    village = build_village(scenario)
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    programme = payloads.load(path, scenario.sender)
    ready_cpu_s = time.process_time()
    whole_s = scenario.duration_s * len(village.places)
    parts = []
    done = 0
    for part in _parts(
        scenario, village.parts() if apart else [village], programme, threads or os.cpu_count() or 1
    ):
        parts.append(part)
        done += len(part.rows)
        if progress is not None:
            progress(scenario.duration_s * done, whole_s)
    drive_cpu_s = time.process_time() - ready_cpu_s
    result = roll_up(scenario, village, _joined(scenario, village, parts))
    result.cpu.update(
        cpu_s=time.process_time() - began_cpu_s,
        wall_s=time.perf_counter() - began_s,
        drive_cpu_s=drive_cpu_s,
        node_seconds_per_cpu_s=whole_s / max(drive_cpu_s, 1e-9),
    )
    return result


def counted(scenario: Scenario, village: Village, programme: Programme) -> list[NodeRow]:
    """Return the rows of a village that is built, worked out on one thread: for who asks often.

    Parameters
    ----------
    scenario, village, programme
        Of which `why_not` says nothing; the programme is what its station sends.
    """
    parts = list(_parts(scenario, village.parts(), programme, 1))
    return _joined(scenario, village, parts).rows


def _parts(
    scenario: Scenario, villages: list[Village], programme: Programme, threads: int
) -> Iterator[Part]:
    """Yield what is kept of each commune, or of all, in the order of the village."""
    sheet = packet_sheet(programme)
    newcomers: dict[int, Newcomer] = {}
    desks: SimpleQueue[Desk] = SimpleQueue()
    for _ in range(threads):
        desks.put(Desk())

    def play(village: Village) -> Part:
        desk = desks.get()
        try:
            fleet = FleetRounds(
                scenario, village, programme, sheet=sheet, desk=desk, newcomers=newcomers
            )
            for _ in fleet.advance():
                pass
            if not fleet.is_beyond:
                part = part_of(fleet)  # its nodes lie on the desk
                for tally in fleet.tallies:
                    tally.give_back()
                return part
        finally:
            desks.put(desk)
        drive = Rounds(scenario, village, programme, decoder=None)
        for _ in drive.advance():
            pass
        return part_of(drive)

    with ThreadPoolExecutor(threads) as pool:
        try:
            yield from pool.map(play, villages)
        finally:
            pool.shutdown(cancel_futures=True)


def _joined(scenario: Scenario, village: Village, parts: list[Part]) -> Part:
    """Return the parts of all communes as one, in the order of the village."""
    where = {row.node: i for i, row in enumerate(row for part in parts for row in part.rows)}
    order = [where[place.node] for place in village.places]
    rows = [row for part in parts for row in part.rows]
    spreads = [one for part in parts for one in part.spreads]
    traces = [one for part in parts for one in part.traces]
    rows = [rows[i] for i in order]
    stream_kbit_s = parts[0].stream_kbit_s
    repair_kbit_s = sum(repair_kbit_s_of(row, scenario.duration_s) for row in rows)
    return Part(
        rows=rows,
        spreads=[spreads[i] for i in order],
        raster=np.concatenate([part.raster for part in parts])[order],
        traces=[traces[i] for i in order],
        capacity=[
            with_repair(row, stream_kbit_s, repair_kbit_s) if row.kind == _KINDS[0] else row
            for row in _capacity(parts)
        ],
        stream_kbit_s=stream_kbit_s,
        bin_s=parts[0].bin_s,
    )


def _capacity(parts: list[Part]) -> list[CapacityRow]:
    """Return what was asked of each shared rate; each commune has followed the same uplink, and
    knows of its own repair alone.
    """
    rows = [row for part in parts for row in part.capacity]
    once = {(row.kind, row.commune, row.bearer): row for row in rows}
    return [replace(row) for kind in _KINDS for row in once.values() if row.kind == kind]
