"""The way of a commune's copies through what is scarce of it: its backhaul, its cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.config import JitterConfig
from node.kernel.record import Records, new
from node.rtp.retransmission import ORIGINAL_BYTES
from node.source.repairs import DECODED_AHEAD_NS
from node.units import NS_PER_MS, NS_PER_S
from sim.drive.askers import Asker, Crowd
from sim.drive.crossing import Rate, cross
from sim.links.kernel import LOST_NS
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.chatter import Chatter, question_bits
from sim.station.conversation import HELD_NS
from sim.station.programme import UDP_BYTES, Sender
from sim.village.places import Place

REQUEST_BYTES: Final = 12 + 4 + UDP_BYTES
"""Of a request for one packet (RFC 4585, generic NACK), with headers."""

_NEVER_NS: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Scarce:
    """A rate that several share."""

    rate_kbit_s: float
    queue_ms: float
    """Who would wait longer is dropped."""
    left: tuple[tuple[int, int, float], ...] = ()
    """From when to when others leave only so much of it, ns."""

    def steps(self, packet_bits: int) -> list[tuple[int, int]]:
        """Return from when on a copy takes how long, ns, in order."""
        copy_ns = round(packet_bits * NS_PER_MS / self.rate_kbit_s)
        edges_ns = sorted({max(LOST_NS, at) for one in self.left for at in one[:2]} | {LOST_NS})
        return [
            (at, round(copy_ns / prod(one for begin, end, one in self.left if begin <= at < end)))
            for at in edges_ns
        ]


class SharedWay:
    """One commune's backhaul and cells.

    Parameters
    ----------
    places : sequence of Place
        Whose copies are followed, in the order in which they leave.
    backhaul : Scarce or None
        None where there is room.
    cells : mapping
        Those that are scarce, by their names.
    sender : Sender
        What is sent to each.
    chatter : Chatter
        What passes beside it.
    budget : RepairBudget or None
        What repair of one stream may cost; None: nothing is sent again.
    jitter : JitterConfig
        Of the nodes.
    reports : bool
        The station answers questions for the time.
    for_all : bool
        One copy is for all, and passes each rate once.
    """

    def __init__(
        self,
        places: Sequence[Place],
        backhaul: Scarce | None,
        cells: Mapping[str, Scarce],
        *,
        sender: Sender,
        chatter: Chatter,
        budget: RepairBudget | None,
        jitter: JitterConfig,
        reports: bool,
        for_all: bool = False,
    ) -> None:
        self.places = tuple(places)
        self._chatter = chatter
        named = {} if backhaul is None else {"": backhaul}
        named |= cells
        self._at = {name: number for number, name in enumerate(named)}
        self._rates = new(Rate, len(named))
        self._rates["queue_ns"] = [round(one.queue_ms * NS_PER_MS) for one in named.values()]
        self._steps = _laid_out([one.steps(sender.packet_bits) for one in named.values()])
        self._askers = self._new_askers(jitter, budget)
        self._crowd = _crowd(sender, budget, backhaul=backhaul is not None)
        self._scarce, self._reports = bool(named), reports
        self._crowd["reports"] = reports and self._scarce
        self._crowd["for_all"] = for_all
        self._known_ns = 0
        self.came_kbit_s: dict[str, float] = {}
        """What came to each rate with the packets that were carried last, whether or not it found
        room: see `dropped`."""
        self._packet_ns = sender.packet_ns

    @property
    def listens(self) -> bool:
        """Whether nodes ask for something, so that it counts what the last links lose."""
        return self._reports and self._scarce

    def dropped(self, name: str) -> int:
        """Return how many copies found no room in a cell, or in the backhaul, which has no name."""
        return int(self._rates["dropped"][self._at[name]]) if name in self._at else 0

    def again(self) -> dict[str, int]:
        """Return how many packets are taken to have been sent again to each node."""
        sent = self._askers["again"].tolist()
        return {one.node: count for one, count in zip(self.places, sent, strict=True)}

    def said_bits(self) -> dict[str, int]:
        """Return what each node said and was told beside the stream and its repair so far."""
        said = self._askers["said_bits"].tolist()
        return {one.node: bits for one, bits in zip(self.places, said, strict=True)}

    def carry(
        self,
        send_ns: NDArray[np.int64],
        depart_ns: NDArray[np.int64],
        more_bits: NDArray[np.int64] | None,
        wait_ns: NDArray[np.int64],
        last_ns: NDArray[np.int64],
    ) -> dict[str, NDArray[np.int64]]:
        """Return when each packet reaches the link of each node.

        send_ns    (n,) int64, when the station sends it
        depart_ns  (n,) int64, when it is through the backhaul where nobody shares that; LOST_NS
        more_bits  (n,) int64, copies of others in it; None: none
        wait_ns    (n, k) int64, how long each copy waited before, ns; LOST_NS
        last_ns    (n, k) int64, what the last link of each takes; LOST_NS, AWAY_NS. (0, 0) where
                   nobody listens

        The result is (n,) int64 in ns for each node, LOST_NS for what was dropped on the way.
        """
        own_ns = np.ascontiguousarray(wait_ns)
        if send_ns.size:
            until_ns = int(send_ns[-1]) + 1
            beside = np.zeros((0, 3), np.int64)
            if self._scarce:
                beside = self._chatter.words(self.places, self._known_ns, until_ns)
            self._known_ns = until_ns
            more = np.zeros_like(send_ns) if more_bits is None else more_bits
            times_ns = np.stack([send_ns, depart_ns, more], axis=1)
            self._rates["came_bits"] = 0
            cross(
                self._rates, self._steps, self._crowd, self._askers, beside, times_ns,
                np.ascontiguousarray(last_ns), own_ns,
            )  # fmt: skip
            passed_ns = send_ns.size * self._packet_ns
            came_bits = self._rates["came_bits"].tolist()
            self.came_kbit_s = {
                name: came_bits[at] * 1e6 / passed_ns for name, at in self._at.items()
            }
        return {one.node: own_ns[:, j].copy() for j, one in enumerate(self.places)}

    def _new_askers(self, jitter: JitterConfig, budget: RepairBudget | None) -> Records[Asker]:
        askers = new(Asker, len(self.places))
        adaptive = jitter.mode == "adaptive"
        delay_ms = jitter.delay_max_ms if adaptive else jitter.playout_delay_ms
        for name, values in (
            ("rate", [self._at.get(one.cell_name, -1) for one in self.places]),
            ("period_ns", [_period_ns(one) for one in self.places]),
            ("question_bits", [question_bits(one) for one in self.places]),
            ("spread_ns", [self._chatter.spread_ns(one) for one in self.places]),
            ("way_ns", [self._chatter.way_ns(one) for one in self.places]),
            (
                "delay_ns",
                [(delay_ms + one.delay_ms) * NS_PER_MS - DECODED_AHEAD_NS for one in self.places],
            ),
        ):
            askers[name] = values
        askers["highest"] = -1
        if budget is not None:
            askers["left_bytes"] = budget.bytes_left
        return askers


def _period_ns(place: Place) -> int:
    card = place.profile.sound_card
    return card.period_samples.value * NS_PER_S // card.rate_hz.value


def repair_bits(packet_bits: int) -> tuple[int, int]:
    """Return the sizes of a request for a packet and of the answer, with headers."""
    return 8 * REQUEST_BYTES, packet_bits + 8 * ORIGINAL_BYTES


def _crowd(sender: Sender, budget: RepairBudget | None, *, backhaul: bool) -> Records[Crowd]:
    crowd = new(Crowd)
    request_bits, answer_bits = repair_bits(sender.packet_bits)
    for name, value in (
        ("backhaul", int(backhaul)), ("packet_ns", sender.packet_ns),
        ("packet_bits", sender.packet_bits), ("request_bits", request_bits),
        ("answer_bits", answer_bits), ("held_ns", HELD_NS), ("earned_ns", -1),
    ):  # fmt: skip
        crowd[name] = value
    if budget is not None:
        crowd["asks"] = 1
        crowd["share"] = budget.share_max
        crowd["rate_bit_s"] = budget.rate_bit_s or 0
    return crowd


def _laid_out(steps: list[list[tuple[int, int]]]) -> NDArray[np.int64]:
    """Return the steps of all rates as one array, (r, s, 2) int64, ns."""
    most = max(map(len, steps), default=1)
    laid = np.full((len(steps), most, 2), _NEVER_NS, np.int64)
    for number, one in enumerate(steps):
        laid[number, : len(one)] = one
    return laid
