"""The CPU and the clocks of one node of tier T3, chunk by chunk: records of `around`, in Python.

What nodes of one profile begin as is made once, and copied.
"""

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Profile
from node.kernel.record import Records, inner, new, octets
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.bits import Bits, begin
from sim.chance.rng import Purpose
from sim.chance.tables_quantiles import NORMAL
from sim.drive.sums import PERIOD_ROWS
from sim.fleet.around import CARD, NEVER_NS, Around, gather, set_up
from sim.fleet.on_stack import places_of
from sim.gateway.cpu import card_period_ns, costs_of, queued_ns
from sim.gateway.crystal import Crystal
from sim.links.known import cached_by_self
from sim.village.places import Place
from sim.village.scenario import Scenario

_PURPOSES: Final = np.array(
    [Purpose.CRYSTAL, Purpose.WAKE, Purpose.START, Purpose.PHASE, Purpose.CRYSTAL], np.int64
)
_NORMAL: Final = NORMAL.copy()
"""Tables are frozen, and kernels take what could be written to."""

_KEPT_NS: Final = NS_PER_S
"""What plays in a chunk began so much before it at the most: two packets, and more than that."""

_AT: Final = places_of(Around)
_ASKED: Final = np.array([_AT[one] for one in ("first_packet", "waiting", "kept", "end_ns")])
_CAME: Final = np.array([_AT[one] for one in ("come", "lined", "periods")])
"""Which of the numbers of `Around` those are."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """What nodes of one profile are."""

    numbers: NDArray[np.int64]
    """(n,) int64, those of `Around`, as they begin but for their place and their chance."""

    figures: NDArray[np.int64]
    """(3,) int64, ppb, as `set_up` wants them."""

    period_samples: int
    period_ns: int
    lead_ns: int
    own_crystal: bool


@cached_by_self
def _kind_of(profile: Profile, packet_ms: int) -> _Kind:
    board, card = profile.board, profile.sound_card
    lead_ns = queued_ns(profile) + round(card.device_latency_ms.value * NS_PER_MS)
    record = new(Around)
    record["costs"] = costs_of(profile, packet_ms)
    record["lead_ns"] = lead_ns
    record["period_ns"] = card_period_ns(profile)
    record["queued_ns"] = queued_ns(profile)
    for name in ("clock", "card"):
        crystal = inner(record, name, Crystal)
        crystal["curve_ppb_per_k2"] = board.clock_curve_ppb_per_k2.value
        crystal["wander_ppb"] = round(board.clock_wander_ppb.value)
    own_crystal = bool(card.own_crystal.value)
    spreads = (board, card if own_crystal else board)
    ppb = [round(one.clock_sigma_ppm.value * 1000) for one in spreads]
    figures = np.array([*ppb, round(board.clock_max_ppm.value * 1000)], np.int64)
    samples = card.period_samples.value
    return _Kind(
        octets(record).view(np.int64),
        figures,
        samples,
        card_period_ns(profile),
        lead_ns,
        own_crystal,
    )


class Surroundings:
    """The CPU and the clocks of one node, chunk by chunk.

    Parameters
    ----------
    place : Place
        What it is made of.
    scenario : Scenario
        For the length of a packet, and the seed of the run.
    """

    def __init__(self, place: Place, scenario: Scenario) -> None:
        kind = _kind_of(place.profile, scenario.sender.packet_ms)
        self.period_samples = kind.period_samples
        self.period_ns = kind.period_ns
        self.lead_ns = kind.lead_ns
        """From the moment at which a period is asked for to its presentation."""
        self._numbers = kind.numbers.copy()
        self.record = cast("Records[Around]", self._numbers.view(Around.dtype))
        for name in ("clock", "card"):
            crystal = inner(self.record, name, Crystal)
            crystal["ambient_c"] = place.ambient_c
            if place.skew_ppm is not None:
                crystal["fixed"], crystal["make_ppb"] = 1, round(place.skew_ppm * 1000)
        chance = inner(self.record, "chance", Bits)
        at = {"commune": place.commune, "node": place.node}
        begin(chance[:CARD], scenario.seed, _PURPOSES[:CARD], **at)
        # The same crystal drives both, where the card has none of its own.
        at["node"] += "/card" if kind.own_crystal else ""
        begin(chance[CARD:], scenario.seed, _PURPOSES[CARD:], **at)
        set_up(self.record, _NORMAL, kind.figures)
        self._waiting = np.zeros((2, 0), np.int64)
        self._kept = np.zeros((PERIOD_ROWS, 0), np.int64)

    @property
    def lost(self) -> int:
        """How many packets of the chunk never come."""
        return int(self._numbers[_AT["lost"]])

    @property
    def missed(self) -> int:
        """How many of its periods the CPU did not finish in time."""
        return int(self._numbers[_AT["missed"]])

    @property
    def come(self) -> int:
        """How many packets came before its end."""
        return int(self._numbers[_AT["come"]])

    @property
    def next_play_ns(self) -> int:
        """When the first period after it plays."""
        return int(self._numbers[_AT["next_play_ns"]])

    @property
    def waiting(self) -> int:
        """How many packets wait from before."""
        return self._waiting.shape[1]

    def gather(
        self,
        first: int,
        arrive_ns: NDArray[np.int64],
        end_ns: int,
        arrivals: NDArray[np.int64],
        periods: NDArray[np.int64],
    ) -> tuple[int, int]:
        """Fill in what comes up to `end_ns`, and what the CPU could begin before that.

        Parameters
        ----------
        first : int
            Number of the first packet that was sent since the last call.
        arrive_ns : (n,) int64
            When each of them arrives, LOST_NS where it never does.
        end_ns : int
            True time.
        arrivals : (2, a) int64
            ns and counts: filled, as `gather` does.
        periods : (6, m) int64
            ns, flags and counts: filled likewise.

        Returns
        -------
        int, int
            How many periods at the front are of before this chunk, and how many there are in all.
        """
        waiting, kept = self._waiting.shape[1], self._kept.shape[1]
        if waiting:
            arrivals[:, :waiting] = self._waiting
        if kept:
            periods[:PERIOD_ROWS, :kept] = self._kept
        numbers = self._numbers
        numbers[_ASKED] = first, waiting, kept, end_ns
        gather(self.record, _NORMAL, arrive_ns, arrivals, periods)
        come, lined, count = numbers[_CAME].tolist()
        self._waiting = arrivals[:, come:lined].copy()
        return kept, kept + count

    def keep(self, periods: NDArray[np.int64], end: int) -> None:
        """Remember the last of the periods, which are looked at once more in the next chunk.

        periods  (6, m) int64, ns, flags and counts, as they were filled, and marked unheard
        end      how many there are
        """
        first = max(0, end - _KEPT_NS // self.period_ns)
        self._kept = periods[:PERIOD_ROWS, first:end].copy()

    def end(self) -> None:
        """Let all periods be known: none is to come."""
        self._numbers[_AT["next_play_ns"]] = NEVER_NS
