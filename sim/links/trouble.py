"""What faults do to packets on a link: little of its rate is left, some are damaged or late."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.chance.rng import Purpose, raw_draws, stream
from sim.links.channel import Channel
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue

KINDS: Final = ("congestion", "detour", "corrupt", "duplicate", "reorder")
_ALWAYS: Final = 1 << 32
_DRAWN: Final = ("corrupt", "duplicate", "reorder")

AFTER_NS: Final = 1_000_000
"""A copy comes so long after the packet."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One of KINDS on one link, from one time to another."""

    kind: str
    start_ns: int
    end_ns: int
    share: float = 1.0
    """Of the rate that is left, or of the packets that it befalls."""
    extra_ns: int = 0


class Troubled:
    """A link to which something happens (`sim.links.channel.Channel`).

    Parameters
    ----------
    link : Channel
        As it is otherwise.
    troubles : sequence of Trouble
        What befalls it.
    queues : sequence of SharedQueue
        What is left of rates of which others take some.
    seed, commune, node
        Address of its chance.
    """

    def __init__(
        self,
        link: Channel,
        troubles: Sequence[Trouble],
        queues: Sequence[SharedQueue],
        *,
        seed: int,
        commune: str,
        node: str,
    ) -> None:
        self._link = link
        self._troubles = tuple(troubles)
        self._queues = tuple(queues)
        self.doubled = np.zeros(0, np.bool_)
        """(n,) bool: which of the last packets come twice."""
        self._bits = stream(seed, Purpose.TROUBLE, commune=commune, node=f"{node}/live")

    def carry(self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return when each packet arrives.

        depart_ns  (n,) int64, when each leaves; LOST_NS for what was lost before
        sequence   (n,) int64, index of each packet, from 0

        The result is (n,) int64 in ns, LOST_NS for what is lost here or was before.
        """
        for queue in self._queues:
            wait_ns = queue.wait_ns(depart_ns[:, np.newaxis])[:, 0]
            lost = (depart_ns == LOST_NS) | (wait_ns == LOST_NS)
            depart_ns = np.where(lost, LOST_NS, depart_ns + wait_ns)
        arrive_ns = self._link.carry(depart_ns, sequence)
        draws = raw_draws(self._bits, depart_ns.size * len(_DRAWN)) >> np.uint64(32)
        draws = draws.reshape(-1, len(_DRAWN))
        self.doubled = np.zeros(depart_ns.size, np.bool_)
        for one in self._troubles:
            met = (depart_ns >= one.start_ns) & (depart_ns < one.end_ns) & (arrive_ns != LOST_NS)
            if one.kind in _DRAWN:
                chance = draws[:, _DRAWN.index(one.kind)]
                met &= chance < np.uint64(round(one.share * _ALWAYS))
            if one.kind == "corrupt":
                arrive_ns = np.where(met, LOST_NS, arrive_ns)
            elif one.kind == "duplicate":
                self.doubled |= met
            elif one.kind in ("detour", "reorder"):
                arrive_ns = np.where(met, arrive_ns + one.extra_ns, arrive_ns)
        self.doubled &= arrive_ns != LOST_NS
        return arrive_ns
