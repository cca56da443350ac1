"""What happened at every pole in the worst stretch of a run, frame by frame.

Which stretch is the worst is known only when all of the run is over, so all of it is kept while it
runs, three bytes for a frame of a pole; the longer the run and the larger the village, the longer
the frames.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS, Origin
from node.units import NS_PER_MS, NS_PER_S
from sim.drive.site import Chunk
from sim.links.kernel import LOST_NS
from sim.result.run import RunResult, worst_first
from sim.station.programme import Sending
from sim.village.course import cuts_ns
from sim.village.faults import KINDS
from sim.village.places import Place, Village, build_village
from sim.village.scenario import Scenario

STRETCH_S: Final = 120
"""Longest stretch that is played back: what a page with sound can hold."""

FRAME_NS: Final = 100 * NS_PER_MS
CELLS_MAX: Final = 1_000_000
"""Frames of all poles together in a page; a larger village gets longer frames."""

KEPT_MAX: Final = 40_000_000
"""And in memory while the run runs: 120 MB; a longer run gets longer frames."""

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


class Recorder:
    """Takes what each pole does while a run runs: `drive.run(..., watcher=recorder.watch)`.

    Parameters
    ----------
    scenario : Scenario
        With the seed and the duration of the run.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._village = build_village(scenario)
        poles = len(self._village.places)
        playout_ns = scenario.jitter.playout_delay_ms * NS_PER_MS
        whole_ns = round(scenario.duration_s * NS_PER_S) + playout_ns
        page_ns = min(whole_ns, STRETCH_S * NS_PER_S)
        self.frame_ns = FRAME_NS
        while (
            poles * -(-page_ns // self.frame_ns) > CELLS_MAX
            or poles * -(-whole_ns // self.frame_ns) > KEPT_MAX
        ):
            self.frame_ns *= 2
        shape = (poles, -(-whole_ns // self.frame_ns))
        # One more than the rank of the worst: 0 is nothing at all.
        self._badness = np.zeros(shape, np.uint8)
        self._arrived = np.zeros(shape, np.uint8)
        self._lost = np.zeros(shape, np.uint8)

    def watch(self, pole: int, sending: Sending, chunk: Chunk) -> None:
        """Take one chunk of one pole."""
        arrive_ns = chunk.plan.arrive_ns
        missing = arrive_ns == LOST_NS
        for cut_ns, back_ns in self._village.places[pole].power_cuts_ns:
            missing |= (arrive_ns >= cut_ns) & (arrive_ns < back_ns)
        self._count(self._arrived[pole], arrive_ns[~missing])
        self._count(self._lost[pole], sending.send_ns[missing])
        journal = chunk.journal
        inside, frame = self._frames(journal["presentation_ns"])
        badness = worst_first(journal["origin"][inside].astype(np.int64)) + 1
        np.maximum.at(self._badness[pole], frame, badness.astype(np.uint8))
        # What a late or sleeping gateway did not give the card was silent.
        _, frame = self._frames(chunk.plan.play_ns[chunk.silent])
        heard = frame[self._badness[pole, frame] > 0]
        self._badness[pole, heard] = worst_first(np.array([Origin.SILENT]))[0] + 1

    def worst(self, result: RunResult) -> Moments:
        """Return the stretch in which most of the village was broken, by the run's answer."""
        start_ns, length_ns = _stretch(self._scenario, result)
        first = start_ns // self.frame_ns
        kept = slice(first, first + -(-length_ns // self.frame_ns))
        by_rank = np.append(NOTHING, np.argsort(worst_first(np.arange(ORIGINS))))
        start_ns = first * self.frame_ns
        return Moments(
            start_s=start_ns / NS_PER_S,
            frame_s=self.frame_ns / NS_PER_S,
            origin=by_rank[self._badness[:, kept]].astype(np.uint8),
            arrived=self._arrived[:, kept],
            lost=self._lost[:, kept],
            faults=_faults(self._village, start_ns, start_ns + length_ns),
        )

    def _frames(self, at_ns: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Return which instants are within the run, and the frames of those."""
        frame = at_ns // self.frame_ns
        inside = (frame >= 0) & (frame < self._badness.shape[1])
        return inside, frame[inside]

    def _count(self, counts: NDArray[np.uint8], at_ns: NDArray[np.int64]) -> None:
        frames, more = np.unique(self._frames(at_ns)[1], return_counts=True)
        counts[frames] = np.minimum(counts[frames] + more, np.iinfo(np.uint8).max)


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


_IN_WORDS: Final = ("power_cut", "link_down", "card_gone")


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
    befallen, begin_ns = place.befallen, place.live_ns
    kinds = [kind for kind in dict.fromkeys(one.fault.kind for one in befallen) if KINDS[kind].run]
    more = {kind: cuts_ns(befallen, kind, from_ns=begin_ns) for kind in kinds}
    return {kind: spans for kind, spans in more.items() if kind not in _IN_WORDS} | {
        "no way up": cuts_ns(befallen, "link_down", "up", from_ns=begin_ns),
        "no power": place.power_cuts_ns,
        "no link": place.link_cuts_ns,
        "no sound card": place.card_cuts_ns,
    }
