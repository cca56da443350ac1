"""Tier T2: a scenario in, its answer out; node by node, through the real `SpeakerNode`."""

import time
from collections.abc import Callable
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import Origin
from node.opus.libopus import LibopusDecoder
from node.opus.protocol import DecoderFactory
from node.units import NS_PER_S, RATE_HZ
from sim.drive.roll_up import part_of, roll_up
from sim.drive.rounds import Rounds, Watcher
from sim.result.run import ListenSample, RunResult
from sim.station import payloads
from sim.village.places import build_village
from sim.village.scenario import Scenario, load, sound_file

LISTEN_S: Final = 30.0
"""Length of what is kept of the best, the median and the worst cluster."""

Progress = Callable[[float, float], None]
"""Called with (node-seconds done, node-seconds in all)."""


def run(
    scenario: Scenario | str,
    *,
    seed: int | None = None,
    duration_s: float | None = None,
    progress: Progress | None = None,
    decode: bool = True,
    watcher: Watcher | None = None,
) -> RunResult:
    """Run a scenario and return its answer.

    Parameters
    ----------
    scenario : Scenario or str
        A loaded one, or what `scenario.load` takes.
    seed, duration_s : optional
        In place of the scenario's own.
    progress : callable, optional
        Called now and then with node-seconds done and to do.
    decode : bool
        False decides and counts everything without sound: nothing to listen to, no hash of it,
        and so another `trace_hash`.
    watcher : callable, optional
        Gets what was sent to each place and what the place did, chunk by chunk.

    Raises
    ------
    ConfigError
        When the scenario, or a file that it names, is wrong; one line per fault.
    """
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    if isinstance(scenario, str):
        scenario = load(scenario)
    scenario = scenario.asked(seed=seed, duration_s=duration_s)
    village = build_village(scenario)
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    programme = payloads.load(path, scenario.sender)
    decoder = decoder_of(scenario) if decode else None
    rounds = Rounds(scenario, village, programme, decoder=decoder, watcher=watcher)
    ready_cpu_s = time.process_time()
    whole_s = scenario.duration_s * len(village.places)
    for done_ns in rounds.advance():
        if progress is not None:
            progress(whole_s * done_ns / rounds.end_ns, whole_s)
    drive_cpu_s = time.process_time() - ready_cpu_s
    result = roll_up(scenario, village, part_of(rounds))
    del rounds  # its nodes and those that are listened to would be there at once
    if decode:
        result.listen.update(_listen(result, scenario))
    result.cpu.update(
        cpu_s=time.process_time() - began_cpu_s,
        wall_s=time.perf_counter() - began_s,
        drive_cpu_s=drive_cpu_s,
        node_seconds_per_cpu_s=whole_s / max(drive_cpu_s, 1e-9),
    )
    return result


def decoder_of(scenario: Scenario) -> DecoderFactory:
    """Return what the nodes of a scenario decode with."""
    if scenario.opus.decoder == "own":
        from node.opus.decoder import OpusDecoder  # its kernels take seconds to load

        return OpusDecoder
    return LibopusDecoder


def capture(
    scenario: Scenario,
    nodes: list[str],
    *,
    from_s: float = 0.0,
    until_s: float | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Run some nodes of a scenario alone and return what each played: (n,) float32, 48 kHz.

    Parameters
    ----------
    scenario : Scenario
        With the seed and duration of the run; the nodes play what they play among all.
    nodes : list of str
        Names of clusters.
    from_s, until_s : float
        Stretch of the output that is kept; to the end of the run without `until_s`.
    progress : callable, optional
        Called now and then with node-seconds done and to do.
    """
    path = sound_file(scenario)
    assert path is not None, "load() checks this"
    programme = payloads.load(path, scenario.sender)
    village = build_village(scenario)
    places = [place for place in village.places if place.node in nodes]
    parts: dict[str, list[NDArray[np.float32]]] = {place.node: [] for place in places}
    first = round(from_s * RATE_HZ)

    def keep(number: int, at: int, sound: NDArray[np.float32]) -> None:
        begin = max(0, first - at)
        end = len(sound) if until_s is None else max(0, round(until_s * RATE_HZ) - at)
        parts[places[number].node].append(sound[begin:end, 0].copy())

    decoder = decoder_of(scenario)
    rounds = Rounds(scenario, village, programme, decoder=decoder, places=places, listener=keep)
    whole_s = min(rounds.end_ns / NS_PER_S, inf if until_s is None else until_s + 1) * len(places)
    for done_ns in rounds.advance():
        done_s = done_ns / NS_PER_S
        if progress is not None:
            progress(min(done_s * len(places), whole_s), whole_s)
        if until_s is not None and done_s > until_s + 1 and _whole(parts, until_s, first):
            break
    return {node: np.concatenate(found) for node, found in parts.items()}


def _whole(parts: dict[str, list[NDArray[np.float32]]], until_s: float, first: int) -> bool:
    wanted = round(until_s * RATE_HZ) - first
    return all(sum(map(len, found)) >= wanted for found in parts.values())


def _listen(result: RunResult, scenario: Scenario) -> dict[str, ListenSample]:
    """Return what the best, the median and the worst cluster played in the worst half minute.

    They run once more: which ones they are is known only at the end, and sound of all for all
    the time would not fit.
    """
    order = sorted(range(len(result.nodes)), key=lambda i: (result.nodes[i].dropout_pct, i))
    chosen = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    bad = (result.raster[order[-1]] >= Origin.CONCEALED).astype(np.int64)
    width = max(1, round(LISTEN_S / result.bin_s))
    sums = np.convolve(bad, np.ones(width, np.int64), "valid") if bad.size > width else bad[:1]
    start_s = float(np.argmax(sums)) * result.bin_s + scenario.jitter.playout_delay_ms / 1000
    names = {kind: result.nodes[i].node for kind, i in chosen.items()}
    sound = capture(scenario, list(names.values()), from_s=start_s, until_s=start_s + LISTEN_S)
    return {
        kind: ListenSample(node=node, start_s=start_s, samples=sound[node])
        for kind, node in names.items()
    }
