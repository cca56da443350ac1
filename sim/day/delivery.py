"""How an order gets to a node: MQTT over the modelled links, tried again until it is void.

Over TCP a lost segment is sent again after 1, 2, 4... seconds (RFC 6298, section 5); where nothing
comes through, the client connects anew once a minute and the broker hands the order over (QoS 1).
"""

from collections.abc import Callable
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.day.station import Sent
from sim.links.bearer import Bearer
from sim.links.channel import Channel, Link, Trace
from sim.links.kernel import LOST_NS
from sim.links.spells import Spells, busy_of, outages_of
from sim.village.places import Place, Village

_WAITS_S: Final = (0, 1, 2, 4, 8, 16, 32)
_AGAIN_S: Final = 60
_ORDER_BITS: Final = 8 * 600
"""An order with its headers: assumption; a calendar is some packets more."""

_UPLINK: Final = "/uplink"
_ANSWER_NS: Final = 50 * NS_PER_MS
"""A copy sent again does not overtake the first one by more than this; the broker's own time."""

Reachable = Callable[[Place, int], bool]
"""Whether a node can be reached at (place, ns into the day)."""


class Delivery:
    """The way of all orders of a day to each node."""

    def __init__(self, village: Village, orders: list[Sent], *, seed: int) -> None:
        self._village = village
        self._orders = orders
        self._seed = seed
        self._cells: dict[tuple[str, str], tuple[Spells, Spells]] = {}
        self._departs: dict[str, NDArray[np.int64]] = {}

    def arrivals(self, place: Place, reachable: Reachable) -> list[int | None]:
        """Return when each order of the node's commune arrives, in ns into the day; None: never."""
        tries_ns, number = self._tries(place.commune)
        if place.commune not in self._departs:
            backhaul = self._village.backhauls[place.commune]
            up = self._link(backhaul, "/backhaul", place.commune, _UPLINK)
            self._departs[place.commune] = up.carry(tries_ns, np.arange(tries_ns.size))
        arrive_ns = self._channel(place).carry(
            self._departs[place.commune], np.arange(tries_ns.size)
        )
        found: list[int | None] = [None] * len(self.of(place.commune))
        for i, at_ns in zip(number.tolist(), arrive_ns.tolist(), strict=True):
            if at_ns == LOST_NS or not reachable(place, at_ns):
                continue
            earliest_ns = found[i]
            if earliest_ns is None or at_ns < earliest_ns:
                found[i] = at_ns
        return found

    def of(self, commune: str) -> list[Sent]:
        """Return the orders that a commune's station sends."""
        return [one for one in self._orders if one.commune == commune]

    def _tries(self, commune: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return when each copy leaves, ascending, and which order it is of: (n,) int64 both."""
        tries: list[tuple[int, int]] = []
        for i, order in enumerate(self.of(commune)):
            waits_s = list(accumulate(_WAITS_S))
            waits_s += range(waits_s[-1] + _AGAIN_S, order.ttl_s, _AGAIN_S)
            tries += [(order.at_ns + s * NS_PER_S, i) for s in waits_s if s < order.ttl_s]
        tries.sort()
        array = np.array(tries, np.int64).reshape(-1, 2)
        return array[:, 0].copy(), array[:, 1].copy()

    def _channel(self, place: Place) -> Channel:
        if place.trace_ns is not None:
            return Trace(place.trace_ns)
        assert place.bearer is not None
        return self._link(place.bearer, place.bearer_name, place.commune, place.node)

    def _link(self, bearer: Bearer, name: str, commune: str, node: str) -> Link:
        if (commune, name) not in self._cells:
            self._cells[commune, name] = (
                busy_of(bearer, stream(self._seed, Purpose.BUSY, commune=commune, node=name)),
                outages_of(bearer, stream(self._seed, Purpose.OUTAGE, commune=commune, node=name)),
            )
        busy, outages = self._cells[commune, name]
        return Link(
            bearer,
            seed=self._seed,
            commune=commune,
            node=node,
            packet_bits=_ORDER_BITS,
            busy=busy,
            outages=outages,
        )
