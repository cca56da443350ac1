"""What happened at every pole in the worst stretch of a run, frame by frame.

The run is run once more, counting only, up to the end of the stretch: which one is the worst is
known only when all of it is over, and frames of all of it would not fit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from node.units import NS_PER_MS, NS_PER_S
from sim.drive.pole import Chunk
from sim.drive.rounds import CHUNK_NS, Rounds
from sim.links.kernel import LOST_NS
from sim.result.run import RunResult, worst_first
from sim.station import payloads
from sim.station.programme import Sending
from sim.village.places import Place, Village, build_village
from sim.village.scenario import Scenario, sound_file

STRETCH_S: Final = 120
"""Longest stretch that is played back: what a page with sound can hold."""

FRAME_NS: Final = 100 * NS_PER_MS
CELLS_MAX: Final = 1_000_000
"""Frames of all poles together; a larger village gets longer frames."""

NOTHING: Final = ORIGINS
"""Of a frame: nothing left the horn, for the gateway was off or had not heard the stream."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was off at some poles for a while, in s since the start of the run."""

    kind: str
    """`no power` or `no link`."""

    from_s: float
    until_s: float
    poles: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moments:
    """The worst stretch; poles are numbered as the rows of the result."""

    start_s: float
    frame_s: float
    origin: NDArray[np.uint8]
    """(poles, frames) uint8: the worst `Origin` that left the horn in a frame, or NOTHING."""

    arrived: NDArray[np.uint8]
    """(poles, frames) uint8: packets of the stream that came to the gateway."""

    lost: NDArray[np.uint8]
    """(poles, frames) uint8: packets sent in the frame that never came, or met no power."""

    faults: tuple[Fault, ...]

    @property
    def length_s(self) -> float:
        """Length of the stretch in s."""
        return float(self.origin.shape[1] * self.frame_s)


def worst_moments(scenario: Scenario, result: RunResult) -> Moments:
    """Return the stretch of a run in which most of the village was broken.

    Parameters
    ----------
    scenario : Scenario
        With the seed and the duration of the run.
    result : RunResult
        Its answer.
    """
    village = build_village(scenario)
    start_ns, length_ns = _stretch(scenario, result)
    frame_ns = FRAME_NS
    while len(village.places) * (length_ns // frame_ns) > CELLS_MAX:
        frame_ns *= 2
    recorder = _Recorder(village.places, start_ns, -(-length_ns // frame_ns), frame_ns)
    path = sound_file(scenario)
    assert path is not None, "it was run"
    programme = payloads.load(path, scenario.sender)
    rounds = Rounds(scenario, village, programme, decoder=None, watcher=recorder.watch)
    enough_ns = -(-(start_ns + length_ns) // CHUNK_NS) * CHUNK_NS
    for done_ns in rounds.advance():
        if done_ns >= enough_ns:
            break
    return recorder.moments(_faults(village, start_ns, start_ns + length_ns))


def _stretch(scenario: Scenario, result: RunResult) -> tuple[int, int]:
    """Return start and length, ns since the start of the run: where most bins are broken."""
    bins = result.raster.shape[1]
    width = min(bins, max(1, int(STRETCH_S / result.bin_s)))
    broken = (result.raster >= Origin.CONCEALED).sum(axis=0)
    sums = np.convolve(broken, np.ones(width, np.int64), "valid")
    bin_ns = round(result.bin_s * NS_PER_S)
    # The raster is by what was said; it left the horn a playout delay later.
    start_ns = int(np.argmax(sums)) * bin_ns
    length_ns = width * bin_ns + scenario.jitter.playout_delay_ms * NS_PER_MS
    return start_ns, min(length_ns, STRETCH_S * NS_PER_S)


class _Recorder:
    """Takes what each pole did, chunk by chunk, into frames."""

    def __init__(
        self, places: tuple[Place, ...], start_ns: int, frames: int, frame_ns: int
    ) -> None:
        poles = len(places)
        self._places = places
        self._start_ns = start_ns
        self._frame_ns = frame_ns
        self._frames = frames
        self._badness = np.full((poles, frames), -1, np.int64)
        self._arrived = np.zeros((poles, frames), np.int64)
        self._lost = np.zeros((poles, frames), np.int64)

    def watch(self, pole: int, sending: Sending, chunk: Chunk) -> None:
        """Take one chunk of one pole."""
        missing = chunk.arrive_ns == LOST_NS
        for cut_ns, back_ns in self._places[pole].power_cuts_ns:
            missing |= (chunk.arrive_ns >= cut_ns) & (chunk.arrive_ns < back_ns)
        self._count(self._arrived[pole], chunk.arrive_ns[~missing])
        self._count(self._lost[pole], sending.send_ns[missing])
        ranks = worst_first(np.arange(ORIGINS))
        journal = chunk.journal
        self._worst(pole, journal["presentation_ns"], ranks[journal["origin"]])
        self._cut(pole, chunk)

    def moments(self, faults: tuple[Fault, ...]) -> Moments:
        """Return what was taken."""
        by_rank = np.append(np.argsort(worst_first(np.arange(ORIGINS))), NOTHING)
        return Moments(
            start_s=self._start_ns / NS_PER_S,
            frame_s=self._frame_ns / NS_PER_S,
            origin=by_rank[self._badness].astype(np.uint8),
            arrived=np.minimum(self._arrived, 255).astype(np.uint8),
            lost=np.minimum(self._lost, 255).astype(np.uint8),
            faults=faults,
        )

    def _cut(self, pole: int, chunk: Chunk) -> None:
        """Note as silent what a late or sleeping gateway did not give the card."""
        at = (chunk.play_ns[chunk.silent] - self._start_ns) // self._frame_ns
        at = at[(at >= 0) & (at < self._frames)]
        heard = at[self._badness[pole, at] >= 0]
        self._badness[pole, heard] = worst_first(np.array([Origin.SILENT]))[0]

    def _worst(self, pole: int, at_ns: NDArray[np.int64], badness: NDArray[np.int64]) -> None:
        frame = (at_ns - self._start_ns) // self._frame_ns
        inside = (frame >= 0) & (frame < self._frames)
        np.maximum.at(self._badness[pole], frame[inside], badness[inside])

    def _count(self, counts: NDArray[np.int64], at_ns: NDArray[np.int64]) -> None:
        frame = (at_ns - self._start_ns) // self._frame_ns
        np.add.at(counts, frame[(frame >= 0) & (frame < self._frames)], 1)


def _faults(village: Village, start_ns: int, end_ns: int) -> tuple[Fault, ...]:
    """Return the cuts that touch the stretch, those at many poles at once as one."""
    found: dict[tuple[str, int, int], list[int]] = {}
    for number, place in enumerate(village.places):
        for kind, cuts in _cuts(place).items():
            for cut_ns, back_ns in cuts:
                if cut_ns < end_ns and back_ns > start_ns:
                    found.setdefault((kind, cut_ns, back_ns), []).append(number)
    return tuple(
        Fault(kind, cut_ns / NS_PER_S, back_ns / NS_PER_S, tuple(poles))
        for (kind, cut_ns, back_ns), poles in found.items()
    )


def _cuts(place: Place) -> dict[str, tuple[tuple[int, int], ...]]:
    return {"no power": place.power_cuts_ns, "no link": place.link_cuts_ns}
