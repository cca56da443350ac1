"""What all streams together ask of uplink, backhauls and cells, and what that does to each of them.

A unicast station sends a copy to each node: they leave one after another through its uplink, where
one station serves all communes, and the commune's backhaul, and those of one cell share its rate as
well. Where the copies of a packet take less than a tenth of the time to the next one, the last of
them waits for less than that: this is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.links.bearer import Bearer
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.result.capacity import CapacityRow
from sim.station.programme import Sender
from sim.village.places import Place, Village

_LEFT_OUT: Final = 0.1
"""Share of a rate below which its queue is not looked at."""


class Capacity:
    """The shared rates of a village.

    Parameters
    ----------
    village : Village
        All of it, whichever nodes are looked at.
    sender : Sender
        What is sent to each.
    unicast : bool
        A copy for each node, or one for all.
    """

    def __init__(self, village: Village, sender: Sender, *, unicast: bool) -> None:
        self._places = village.places
        self._unicast = unicast
        self._whole_ns = sender.packets * sender.packet_ns
        self._left_kbit_s: dict[_Shared, float] = {}
        self._packet_bits = sender.packet_bits
        self.stream_kbit_s = sender.packet_bits * 1e6 / sender.packet_ns
        """What one stream asks, headers included."""
        self._rates: dict[_Shared, tuple[list[Place], float | None]] = {}
        self._queues: dict[_Shared, SharedQueue] = {}
        copies, columns = village.sharing or (len(self._places), range(len(self._places)))
        self._copies = copies
        self._columns = np.array(columns, np.int64)
        if village.uplink is not None:
            self._share(("uplink", "", ""), list(self._places), village.uplink)
        for commune, backhaul in village.backhauls.items():
            members = [one for one in self._places if one.commune == commune]
            self._share(("backhaul", commune, ""), members, backhaul)
        for commune, name in dict.fromkeys((one.commune, one.cell_name) for one in self._places):
            self._share_cell(commune, name)
        self._uplink_wait_ns: NDArray[np.int64] | None = None

    def begin(self, send_ns: NDArray[np.int64]) -> None:
        """Let the copies of some packets leave the station, which sends them at `send_ns`.

        send_ns  (n,) int64, ns
        """
        uplink = self._queues.get(("uplink", "", ""))
        if uplink is not None:
            self._uplink_wait_ns = uplink.wait_alike_ns(send_ns, self._copies, self._columns)

    def carry(
        self, commune: str, send_ns: NDArray[np.int64], depart_ns: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        """Return when each packet reaches the link of each node that shares something scarce.

        send_ns    (n,) int64, when the station sends it, as was told to `begin`
        depart_ns  (n,) int64, when it is through the backhaul where nobody shares that; LOST_NS

        The result is (n,) int64 in ns for each node, LOST_NS for what was dropped on the way.
        """
        numbers = [i for i, one in enumerate(self._places) if one.commune == commune]
        members = [self._places[i] for i in numbers]
        found: dict[str, NDArray[np.int64]] = {}
        wait_ns = np.zeros((send_ns.size, len(members)), np.int64)
        if self._uplink_wait_ns is not None:
            wait_ns = self._uplink_wait_ns[:, numbers]
            found = _delayed(members, depart_ns, wait_ns)
        backhaul = self._queues.get(("backhaul", commune, ""))
        if backhaul is not None:
            lost = wait_ns == LOST_NS
            come_ns = np.where(lost, LOST_NS, send_ns[:, np.newaxis] + wait_ns)
            more_ns = backhaul.wait_ns(come_ns)
            wait_ns = np.where(more_ns == LOST_NS, LOST_NS, wait_ns + more_ns)
            found = _delayed(members, depart_ns, wait_ns)
        for name in dict.fromkeys(one.cell_name for one in members):
            cell = self._queues.get(("cell", commune, name))
            if cell is None:
                continue
            columns = [i for i, one in enumerate(members) if one.cell_name == name]
            here = [members[i] for i in columns]
            come = _delayed(here, depart_ns, wait_ns[:, columns])
            come_ns = np.stack([come[one.node] for one in here], axis=1)
            cell_ns = cell.wait_ns(come_ns)
            for i, one in enumerate(here):
                late_ns = come_ns[:, i] + cell_ns[:, i]
                found[one.node] = np.where(cell_ns[:, i] == LOST_NS, LOST_NS, late_ns)
        return found

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
        streams = self._streams(at, members)
        repair = sum(repair_kbit_s.get(one.node, 0.0) for one in members)
        queue = self._queues.get(at)
        row = CapacityRow(
            kind=at[0],
            commune=at[1],
            bearer=at[2],
            streams=streams,
            rate_kbit_s=rate_kbit_s,
            asked_kbit_s=0.0,
            repair_kbit_s=0.0,
            dropped_packets=0 if queue is None else queue.dropped,
            left_kbit_s=self._left_kbit_s.get(at),
        )
        return with_repair(row, self.stream_kbit_s, repair)

    def _streams(self, at: "_Shared", members: Sequence[Place]) -> int:
        """Return how many streams pass there."""
        copies = self._copies if at[0] == "uplink" else len(members)
        return copies if self._unicast else 1

    def _share_cell(self, commune: str, name: str) -> None:
        members = [one for one in self._places if one.commune == commune and one.cell_name == name]
        bearer = members[0].bearer
        if bearer is None:
            return
        at = ("cell", commune, name)
        if bearer.cell_kbit_s is not None:
            self._note(at, members, bearer.cell_kbit_s.value, bearer.queue_ms.value)
        elif len(members) > 1 and bearer.busy_interval_s.value:
            self._rates[at] = (members, None)  # it is shared, for it is busy for all at once

    def _share(self, at: "_Shared", members: list[Place], bearer: Bearer) -> None:
        self._note(at, members, bearer.rate_kbit_s.value, bearer.queue_ms.value)

    def _note(self, at: "_Shared", members: list[Place], rate: float, queue_ms: float) -> None:
        """Note a shared rate, and its queue where that is worth looking at."""
        self._rates[at] = (members, rate)
        streams = self._streams(at, members)
        met = (
            {taken for one in members for taken in _taken(one, at[0])} if at[0] != "uplink" else ()
        )
        left = sorted(one for one in met if one[0] < self._whole_ns and one[1] > 0)
        least = min((share for *_, share in left), default=1.0)
        if left:
            self._left_kbit_s[at] = round(rate * least, 1)
        if self._unicast and streams * self.stream_kbit_s >= _LEFT_OUT * rate * least:
            self._queues[at] = SharedQueue(rate, queue_ms, self._packet_bits, left)


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
    """Return a row with what its streams and their repair ask."""
    return replace(
        row,
        asked_kbit_s=round(row.streams * stream_kbit_s + repair_kbit_s, 1),
        repair_kbit_s=round(repair_kbit_s, 1),
    )


_Shared = tuple[str, str, str]
"""Kind, commune, bearer."""


def _delayed(
    places: Sequence[Place], depart_ns: NDArray[np.int64], wait_ns: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return `depart_ns` of each place with what its copies waited; LOST_NS where either is."""
    found = {}
    for i, one in enumerate(places):
        lost = (depart_ns == LOST_NS) | (wait_ns[:, i] == LOST_NS)
        # What was sent later does not overtake.
        late_ns = np.where(lost, 0, depart_ns + wait_ns[:, i])
        found[one.node] = np.where(lost, LOST_NS, np.maximum.accumulate(late_ns))
    return found
