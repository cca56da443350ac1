"""What all streams together ask of backhauls and cells, and what that does to each of them.

A unicast station sends a copy to each node: they leave one after another through the commune's
backhaul, and those of one cell share its rate as well. Where the copies of a packet take less than
a tenth of the time to the next one, the last of them waits for less than that: this is left out.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
        self._packet_bits = sender.packet_bits
        self._stream_kbit_s = sender.packet_bits * 1e6 / sender.packet_ns
        self._rows: list[tuple[str, str, str, int, float]] = []
        self._backhauls: dict[str, SharedQueue] = {}
        self._cells: dict[tuple[str, str], SharedQueue] = {}
        for commune, backhaul in village.backhauls.items():
            count = sum(one.commune == commune for one in self._places) if unicast else 1
            at = ("backhaul", commune, "")
            queue = self._queue(at, count, backhaul.rate_kbit_s.value, backhaul.queue_ms.value)
            if queue is not None:
                self._backhauls[commune] = queue
        for commune, name in dict.fromkeys((one.commune, one.bearer_name) for one in self._places):
            self._add_cell(commune, name)

    def carry(
        self, commune: str, send_ns: NDArray[np.int64], depart_ns: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        """Return when each packet reaches the link of each node that shares something scarce.

        send_ns    (n,) int64, when the station sends it
        depart_ns  (n,) int64, when it is through the backhaul where nobody shares that; LOST_NS

        The result is (n,) int64 in ns for each node, LOST_NS for what was dropped on the way.
        """
        members = [one for one in self._places if one.commune == commune]
        found: dict[str, NDArray[np.int64]] = {}
        backhaul = self._backhauls.get(commune)
        wait_ns = np.zeros((send_ns.size, len(members)), np.int64)
        if backhaul is not None:
            come_ns = np.repeat(send_ns[:, np.newaxis], len(members), axis=1)
            wait_ns = backhaul.wait_ns(come_ns)
            found = _delayed(members, depart_ns, wait_ns)
        for name in dict.fromkeys(one.bearer_name for one in members):
            cell = self._cells.get((commune, name))
            if cell is None:
                continue
            columns = [i for i, one in enumerate(members) if one.bearer_name == name]
            here = [members[i] for i in columns]
            come = _delayed(here, depart_ns, wait_ns[:, columns])
            come_ns = np.stack([come[one.node] for one in here], axis=1)
            cell_ns = cell.wait_ns(come_ns)
            for i, one in enumerate(here):
                late_ns = come_ns[:, i] + cell_ns[:, i]
                found[one.node] = np.where(cell_ns[:, i] == LOST_NS, LOST_NS, late_ns)
        return found

    def rows(self) -> list[CapacityRow]:
        """Return what is asked of each shared rate, and how much of it had no room."""
        return [
            CapacityRow(
                kind=kind,
                commune=commune,
                bearer=bearer,
                streams=streams,
                rate_kbit_s=rate_kbit_s,
                asked_kbit_s=round(streams * self._stream_kbit_s, 1),
                dropped_packets=self._dropped(kind, commune, bearer),
                fits=streams * self._stream_kbit_s <= rate_kbit_s,
            )
            for kind, commune, bearer, streams, rate_kbit_s in self._rows
        ]

    def _add_cell(self, commune: str, name: str) -> None:
        members = [
            one for one in self._places if one.commune == commune and one.bearer_name == name
        ]
        bearer = members[0].bearer
        if bearer is None or bearer.cell_kbit_s is None:
            return
        count = len(members) if self._unicast else 1
        at = ("cell", commune, name)
        queue = self._queue(at, count, bearer.cell_kbit_s.value, bearer.queue_ms.value)
        if queue is not None:
            self._cells[commune, name] = queue

    def _queue(
        self, at: tuple[str, str, str], streams: int, rate: float, queue_ms: float
    ) -> SharedQueue | None:
        """Note a shared rate; return its queue where it is worth looking at."""
        self._rows.append((*at, streams, rate))
        if not self._unicast or streams * self._stream_kbit_s < _LEFT_OUT * rate:
            return None
        return SharedQueue(rate, queue_ms, self._packet_bits)

    def _dropped(self, kind: str, commune: str, bearer: str) -> int:
        if kind == "backhaul":
            queue = self._backhauls.get(commune)
        else:
            queue = self._cells.get((commune, bearer))
        return 0 if queue is None else queue.dropped


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
