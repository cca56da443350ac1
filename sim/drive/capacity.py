"""What all that passes asks of uplink, backhauls and cells, and what that does to each stream.

A unicast station sends a copy to each node: they leave one after another through its uplink, where
one station serves all communes, and the commune's backhaul, and those of one cell share its rate as
well. So does what passes beside them: what is sent again, with who asks for it, questions for the
time and words to the broker, each with its answer, for a rate has to carry both ways
(`sim.station.chatter`, `sim.drive.crossing`). Communes are worked out one by one, so through the
uplink that they share this passes evenly: each copy takes so much longer there.

Where streams and chatter take less than a tenth of a rate, the last copy waits for less than that
of the time to the next packet: this is left out. A stream that is one for all passes each rate
once, with the copies of packets that are in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS
from sim.drive.shared_way import Scarce, SharedWay, repair_bits
from sim.links.bearer import Bearer
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.result.capacity import CapacityRow
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.chatter import Chatter
from sim.station.programme import Sender
from sim.village.places import Place, Village
from sim.village.scenario import Scenario

_LEFT_OUT: Final = 0.1
"""Share of a rate below which its queue is not looked at."""

Last = Callable[[Sequence[Place]], NDArray[np.int64]]
"""Returns what the last link of some places takes of each packet, as `SharedWay.carry` wants it."""


class Capacity:
    """The shared rates of a village.

    Parameters
    ----------
    scenario : Scenario
        With the seed of this run.
    village : Village
        All of it, whichever nodes are looked at.
    sender : Sender
        What is sent to each.
    budget : RepairBudget or None
        What repair of one stream may cost; None: nothing is sent again.
    """

    def __init__(
        self, scenario: Scenario, village: Village, sender: Sender, *, budget: RepairBudget | None
    ) -> None:
        self._places = village.places
        self._unicast = scenario.sender.delivery == "unicast"
        self._whole_ns = sender.packets * sender.packet_ns
        self._left_kbit_s: dict[_Shared, float] = {}
        self.stream_kbit_s = sender.packet_bits * 1e6 / sender.packet_ns
        """What one stream asks, headers included."""
        whole, columns = village.sharing or (village, tuple(range(len(self._places))))
        self._copies = len(whole.places)
        self._columns = np.array(columns if self._unicast else [0] * len(columns), np.int64)
        self._rates: dict[_Shared, tuple[list[Place], float | None]] = {}
        self._queues_ns: dict[_Shared, int] = {}
        self._scarce: dict[_Shared, Scarce] = {}
        asked = _Asked(
            seed=scenario.seed,
            end_ns=self._whole_ns,
            packet_ns=sender.packet_ns,
            packet_bits=sender.packet_bits,
            reports=scenario.sender.reports,
            again=None if budget is None else (budget.share_max, budget.rate_bit_s),
        )
        self._chatter = asked.chatter(village.backhauls)
        self._ways: dict[str, SharedWay] = {}
        self._uplink: SharedQueue | None = None
        self._uplink_kbit_s = 0.0
        """What passes the uplink, where that is looked at."""
        self._uplink_wait_ns: NDArray[np.int64] | None = None
        self._more_bits: NDArray[np.int64] | None = None
        if village.uplink is not None:
            self._share_uplink(village.uplink, _beside(whole, asked), sender.packet_bits)
        for commune, backhaul in village.backhauls.items():
            members = [one for one in self._places if one.commune == commune]
            at = ("backhaul", commune, "")
            self._note(at, members, backhaul.rate_kbit_s.value, backhaul.queue_ms.value)
        for commune, name in dict.fromkeys((one.commune, one.cell_name) for one in self._places):
            self._share_cell(commune, name)
        self._ways = {
            commune: self._way(commune, scenario, sender, budget) for commune in village.backhauls
        }

    def begin(self, send_ns: NDArray[np.int64], more_bits: NDArray[np.int64] | None = None) -> None:
        """Let the copies of some packets leave the station, which sends them at `send_ns`.

        send_ns    (n,) int64, ns
        more_bits  (n,) int64, by so much each is larger, with copies in it; None: by nothing
        """
        self._more_bits = more_bits
        if self._uplink is not None:
            copies = self._copies if self._unicast else 1
            self._uplink_wait_ns = self._uplink.wait_alike_ns(
                send_ns, copies, self._columns, more_bits=more_bits
            )

    def carry(
        self, commune: str, send_ns: NDArray[np.int64], depart_ns: NDArray[np.int64], last: Last
    ) -> dict[str, NDArray[np.int64]]:
        """Return when each packet reaches the link of each node that shares something scarce.

        send_ns    (n,) int64, when the station sends it, as was told to `begin`
        depart_ns  (n,) int64, when it is through the backhaul where nobody shares that; LOST_NS
        last       called once where nodes ask for something

        The result is (n,) int64 in ns for each node, LOST_NS for what was dropped on the way.
        """
        way = self._ways[commune]
        if not way.places:
            return {}
        wait_ns = np.zeros((send_ns.size, len(way.places)), np.int64)
        if self._uplink_wait_ns is not None:
            here = [i for i, one in enumerate(self._places) if one.commune == commune]
            wait_ns = self._uplink_wait_ns[:, here]
        last_ns = last(way.places) if way.listens else np.zeros((0, 0), np.int64)
        return way.carry(send_ns, depart_ns, self._more_bits, wait_ns, last_ns)

    def again(self) -> dict[str, int]:
        """Return how many packets are taken to have been sent again to those who share a rate."""
        return {
            node: count
            for way in self._ways.values()
            if way.listens
            for node, count in way.again().items()
        }

    def overfull_kbit_s(self) -> "dict[_Shared, float]":
        """Return what came to each rate with the packets that were carried last, where that is more
        than it carries: what finds no room is asked for again, and so is the time.
        """
        met = {("uplink", "", ""): self._uplink_kbit_s}
        for commune, way in self._ways.items():
            for name, came in way.came_kbit_s.items():
                met["cell" if name else "backhaul", commune, name] = came
        return {
            at: came
            for at, came in met.items()
            if at in self._rates and came > self._left_kbit_s.get(at, self._rates[at][1] or inf)
        }

    @property
    def is_scarce(self) -> bool:
        """Whether a queue is looked at: else there is room in plenty."""
        return bool(self._scarce) or self._uplink is not None

    def has_queue(self, commune: str) -> bool:
        """Return whether the queue of a commune's backhaul is looked at here."""
        return ("backhaul", commune, "") in self._scarce

    def queues_ns(self) -> "dict[_Shared, int]":
        """Return how long may be waited for each rate that is known."""
        return dict(self._queues_ns)

    def rows(self, repair_kbit_s: Mapping[str, float]) -> list[CapacityRow]:
        """Return what is asked of each shared rate, and how much of it had no room.

        repair_kbit_s : mapping
            Node to what was asked for and sent again to it, kbit/s on average.
        """
        return [
            self._row(at, members, rate, repair_kbit_s)
            for at, (members, rate) in self._rates.items()
        ]

    def _row(
        self,
        at: "_Shared",
        members: Sequence[Place],
        rate_kbit_s: float | None,
        repair_kbit_s: Mapping[str, float],
    ) -> CapacityRow:
        kind, commune, name = at
        if kind == "uplink":
            dropped = 0 if self._uplink is None else self._uplink.dropped
        else:
            dropped = self._ways[commune].dropped(name)
        row = CapacityRow(
            kind=kind,
            commune=commune,
            bearer=name,
            streams=self._streams(at, members),
            rate_kbit_s=rate_kbit_s,
            asked_kbit_s=0.0,
            repair_kbit_s=0.0,
            chatter_kbit_s=round(self._chatter_kbit_s(at, members), 1),
            dropped_packets=dropped,
            left_kbit_s=self._left_kbit_s.get(at),
        )
        each = [repair_kbit_s.get(one.node, 0.0) for one in members]
        # Of one stream for all the copies in it are in what each node gets.
        repair = sum(each) if self._unicast else max(each, default=0.0)
        return with_repair(row, self.stream_kbit_s, repair)

    def _streams(self, at: "_Shared", members: Sequence[Place]) -> int:
        """Return how many streams pass there."""
        copies = self._copies if at[0] == "uplink" else len(members)
        return copies if self._unicast else 1

    def _chatter_kbit_s(self, at: "_Shared", members: Sequence[Place]) -> float:
        """Return what passes there beside the streams and their repair, on average: what nodes say
        on idle links, or more where they wait.
        """
        if at[0] == "uplink":
            return self._uplink_chatter_kbit_s
        idle_kbit_s = sum(self._chatter.kbit_s(one) for one in members)
        way = self._ways.get(at[1])
        if way is None or not self._whole_ns:
            return idle_kbit_s
        bits = way.said_bits()
        said = sum(bits.get(one.node, 0) for one in members)
        return max(idle_kbit_s, said * 1e6 / self._whole_ns)

    def _share_cell(self, commune: str, name: str) -> None:
        members = [one for one in self._places if one.commune == commune and one.cell_name == name]
        bearer = members[0].rated
        at = ("cell", commune, name)
        if bearer is None:  # a trace tells of no rate
            self._rates[at] = (members, None)
        elif bearer.cell_kbit_s is not None:
            self._note(at, members, bearer.cell_kbit_s.value, bearer.queue_ms.value)
        elif len(members) > 1 and bearer.busy_interval_s.value:
            self._rates[at] = (members, None)  # it is shared, for it is busy for all at once

    def _share_uplink(self, bearer: Bearer, beside: "_Beside", packet_bits: int) -> None:
        """Note the uplink, through which what is beside the copies passes with them."""
        at = ("uplink", "", "")
        rate = bearer.rate_kbit_s.value
        self._rates[at] = (list(self._places), rate)
        self._queues_ns[at] = round(bearer.queue_ms.value * NS_PER_MS)
        self._uplink_chatter_kbit_s = beside.chatter_kbit_s
        streams_kbit_s = self._streams(at, self._places) * self.stream_kbit_s
        asked_kbit_s = streams_kbit_s + beside.chatter_kbit_s
        if asked_kbit_s >= _LEFT_OUT * rate:
            asked_kbit_s += beside.repair_kbit_s
            if asked_kbit_s > rate:  # what finds no room is asked for again, as far as that may go
                asked_kbit_s += beside.most_kbit_s - beside.repair_kbit_s
            self._uplink_kbit_s = asked_kbit_s
            bits = round(packet_bits * asked_kbit_s / streams_kbit_s)
            self._uplink = SharedQueue(rate, bearer.queue_ms.value, bits)

    def _note(self, at: "_Shared", members: list[Place], rate: float, queue_ms: float) -> None:
        """Note a shared rate, and its queue where that is worth looking at."""
        self._rates[at] = (members, rate)
        self._queues_ns[at] = round(queue_ms * NS_PER_MS)
        asked_kbit_s = self._streams(at, members) * self.stream_kbit_s
        asked_kbit_s += self._chatter_kbit_s(at, members)
        met = {taken for one in members for taken in _taken(one, at[0])}
        left = sorted(one for one in met if one[0] < self._whole_ns and one[1] > 0)
        least = min((share for *_, share in left), default=1.0)
        if left:
            self._left_kbit_s[at] = round(rate * least, 1)
        if asked_kbit_s >= _LEFT_OUT * rate * least:
            self._scarce[at] = Scarce(rate, queue_ms, tuple(left))

    def _way(
        self, commune: str, scenario: Scenario, sender: Sender, budget: RepairBudget | None
    ) -> SharedWay:
        backhaul = self._scarce.get(("backhaul", commune, ""))
        cells = {
            name: one
            for (kind, where, name), one in self._scarce.items()
            if kind == "cell" and where == commune
        }
        whole = backhaul is not None or self._uplink is not None
        places = [
            one
            for one in self._places
            if one.commune == commune and (whole or one.cell_name in cells)
        ]
        return SharedWay(
            places, backhaul, cells,
            sender=sender, chatter=self._chatter, budget=budget, jitter=scenario.jitter,
            reports=scenario.sender.reports, for_all=not self._unicast,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What decides how much passes beside the streams."""

    seed: int
    end_ns: int
    packet_ns: int
    packet_bits: int
    reports: bool
    again: tuple[float, int | None] | None
    """What repair may cost: a share of the stream, or both together bit/s."""

    def chatter(self, backhauls: Mapping[str, Bearer]) -> Chatter:
        """Return what nodes behind these backhauls say."""
        return Chatter(
            {name: round(one.one_way_ms.value * NS_PER_MS) for name, one in backhauls.items()},
            seed=self.seed,
            first_ns=self.packet_ns,
            end_ns=self.end_ns,
            reports=self.reports,
        )


@dataclass(frozen=True, slots=True)
class _Beside:
    """What passes an uplink beside its streams, kbit/s."""

    chatter_kbit_s: float
    repair_kbit_s: float
    """For what the links lose."""
    most_kbit_s: float
    """At the most."""


@lru_cache(maxsize=1)
def _beside(village: Village, asked: _Asked) -> _Beside:
    """Return what passes the uplink of a whole village, on average."""
    chatter = asked.chatter(village.backhauls)
    chatter_kbit_s = sum(chatter.kbit_s(one) for one in village.places)
    if asked.again is None:
        return _Beside(chatter_kbit_s, 0.0, 0.0)
    stream_kbit_s = asked.packet_bits * 1e6 / asked.packet_ns
    share, rate_bit_s = asked.again
    if rate_bit_s is not None:
        share = max(0.0, rate_bit_s / 1000 / stream_kbit_s - 1)
    dearer = sum(repair_bits(asked.packet_bits)) / asked.packet_bits
    shares = (min(share, dearer * _lost(one)) for one in village.places)
    most_kbit_s = share * stream_kbit_s * len(village.places)
    return _Beside(chatter_kbit_s, sum(shares) * stream_kbit_s, most_kbit_s)


def _lost(place: Place) -> float:
    """Return which part of the packets a last link loses, on average."""
    if place.bearer is not None:
        return place.bearer.loss_pct.value / 100
    assert place.trace_ns is not None, "one of both"
    return float(np.mean(place.trace_ns == LOST_NS))


def _taken(place: Place, kind: str) -> list[tuple[int, int, float]]:
    """Return when others leave how much of a rate that a place shares; what is at single places is
    theirs alone.
    """
    found = []
    for one in place.befallen:
        fault = one.fault
        alone = fault.hamlet or fault.cluster or fault.feeder
        if fault.kind == "congestion" and (
            fault.backhaul is not None if kind == "backhaul" else not (fault.backhaul or alone)
        ):
            begin_ns = place.live_ns
            found.append((one.start_ns - begin_ns, one.end_ns - begin_ns, fault.amount))
    return found


def with_repair(row: CapacityRow, stream_kbit_s: float, repair_kbit_s: float) -> CapacityRow:
    """Return a row with what its streams, their repair and all else ask."""
    return replace(
        row,
        asked_kbit_s=round(row.streams * stream_kbit_s + repair_kbit_s + row.chatter_kbit_s, 1),
        repair_kbit_s=round(repair_kbit_s, 1),
    )


_Shared = tuple[str, str, str]
"""Kind, commune, bearer."""
