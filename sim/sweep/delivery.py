"""How an order of each hour gets to a node: what a sweep throws many thousand times.

A model of what whole daemons do (`sim.world`), which live one day in the time of a thousand of
these; `tests/sim/sweep/test_delivery.py` holds one to the other. MQTT over the modelled links is
tried again until the order is void.

Over TCP a lost segment is sent again after 1, 2, 4... seconds (RFC 6298, section 5); where nothing
comes through, the client connects anew once a minute and the broker hands the order over (QoS 1).
A node that has booted connects at once, and one that lost its link or its broker within seconds:
what waits for it comes then.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hw_profiles import Number
from node.shell.config import MqttConfig
from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, between, raw_draws, stream
from sim.day.fates import Way
from sim.day.hindrance import blocks, hindrances
from sim.day.station import Sent
from sim.gateway.power import Uptime
from sim.links.bearer import Bearer
from sim.links.channel import Channel, Link, Trace
from sim.links.kernel import LOST_NS
from sim.links.sleep import Modem
from sim.links.spells import Spells, busy_of, outages_of
from sim.village.faults import Span
from sim.village.places import Place, Village, day_cuts

_WAITS_S: Final = (0, 1, 2, 4, 8, 16, 32)
_AGAIN_S: Final = 60
_CONNECTS_NS: Final = (200 * NS_PER_MS, 5 * NS_PER_S)
"""From the end of a cut of link or broker until the node is connected again: it tries every few
seconds, and not with all others of its village at once."""
_ORDER_BITS: Final = 8 * 600
"""An order with its headers: assumption; a calendar is some packets more."""

_WAITS_MS: Final = Number(value=60_000, source="TCP", verified=True)
"""What an order finds full it waits for, where a packet of a stream would be dropped: copies of all
orders of a day leave at the same instants here, though one that has come is not sent again."""

_UPLINK: Final = "/uplink"
_ANSWER_NS: Final = 50 * NS_PER_MS
"""A copy sent again does not overtake the first one by more than this; the broker's own time."""

Cells = dict[tuple[str, str], tuple[Spells, Spells]]
Copy = tuple[int, int, int]
"""Which order it is of, when it left the station and came."""


class Delivery:
    """The way of all orders of a day to each node.

    Parameters
    ----------
    village : Village
        For its links.
    orders : list of Sent
        What the stations order.
    seed : int
        Of the throw.
    """

    def __init__(self, village: Village, orders: list[Sent], *, seed: int) -> None:
        self._village = village
        self._orders = orders
        self._seed = seed
        self._cells: Cells = {}
        self._departs: dict[str, NDArray[np.int64]] = {}

    def ways(
        self,
        place: Place,
        power: Sequence[Uptime],
    ) -> list[Way]:
        """Return the way of each order of the node's commune to it.

        Parameters
        ----------
        place : Place
            The node.
        power : sequence of Uptime
            When it runs.
        """
        cuts_ns = blocks(place.befallen)
        broker_cuts_ns = cuts_ns.get("no broker", ())
        link_cuts_ns = day_cuts(place, "link_down")
        copies = self._sent(place)
        copies += self._handed_over(place, power, (*link_cuts_ns, *broker_cuts_ns))
        lost = "no signal" if _carries_nothing(place) else "lost on the way"
        orders = self.of(place.commune)
        came_ns: list[list[int]] = [[] for _ in orders]
        hindered: list[list[tuple[int, str]]] = [[] for _ in orders]
        for i, left_ns, at_ns in copies:
            there_ns = left_ns if at_ns == LOST_NS else at_ns
            # What a broker has sent comes though it falls meanwhile.
            cut = any(start <= left_ns < end for start, end in broker_cuts_ns)
            cut |= any(start <= there_ns < end for start, end in link_cuts_ns)
            cut |= not any(one.start_ns <= there_ns < one.end_ns for one in power)
            if at_ns == LOST_NS:
                hindered[i] += [(there_ns, lost)] * (not cut)
            elif not cut:
                came_ns[i].append(at_ns)
        ways: list[Way] = [Way(None, ())] * len(orders)
        before_ns = 0
        for i in sorted(range(len(orders)), key=lambda i: orders[i].at_ns):
            order = orders[i]
            if came_ns[i]:
                # In one connection nothing overtakes: what was sent later waits for this one.
                before_ns = max(before_ns, min(came_ns[i]))
            arrived_ns = before_ns if came_ns[i] else None
            void_ns = order.at_ns + order.ttl_s * NS_PER_S
            span = (order.at_ns, void_ns if arrived_ns is None else arrived_ns)
            met = hindered[i] + hindrances(span, power, cuts_ns)
            kept = [why for at_ns, why in sorted(met) if at_ns < span[1]]
            ways[i] = Way(arrived_ns, tuple(dict.fromkeys(kept)))
        return ways

    def of(self, commune: str) -> list[Sent]:
        """Return the orders that a commune's station sends."""
        return [one for one in self._orders if one.commune == commune]

    def _sent(self, place: Place) -> list[Copy]:
        """Return the copies that leave when their time has come, whatever the node does."""
        tries_ns, number = self._tries(place.commune)
        if place.commune not in self._departs:
            backhaul = self._village.backhauls[place.commune]
            up = self._link(backhaul, "/backhaul", place.commune, _UPLINK)
            self._departs[place.commune] = up.carry(tries_ns, np.arange(tries_ns.size))
        channel = self._channel(place, place.node, self._cells)
        departs_ns = self._departs[place.commune]
        return self._copies(place, tries_ns, number, departs_ns, channel)

    def _handed_over(
        self, place: Place, power: Sequence[Uptime], cuts_ns: Sequence[Span]
    ) -> list[Copy]:
        """Return the copies that the broker hands over as soon as the node is connected again.

        They draw by streams of their own: without a cut a day is what it was.
        """
        bits = stream(self._seed, Purpose.CONNECT, commune=place.commune, node=place.node)
        waits_ns = between(raw_draws(bits, len(cuts_ns)), *_CONNECTS_NS).tolist()
        back_ns = [one.start_ns for one in power]
        back_ns += [end + ns for (_, end), ns in zip(cuts_ns, waits_ns, strict=True)]
        tries: list[tuple[int, int]] = []
        for i, order in enumerate(self.of(place.commune)):
            until_ns = order.at_ns + order.ttl_s * NS_PER_S
            again_ns = (at + s * NS_PER_S for at in back_ns for s in accumulate(_WAITS_S))
            tries += [(at, i) for at in again_ns if order.at_ns < at < until_ns]
        tries.sort()
        array = np.array(tries, np.int64).reshape(-1, 2)
        tries_ns, number = array[:, 0].copy(), array[:, 1].copy()
        cells: Cells = {}  # spells are asked for in order
        node, backhaul = f"{place.node}/again", self._village.backhauls[place.commune]
        up = self._link(backhaul, "/backhaul", place.commune, node + _UPLINK, cells)
        departs_ns = up.carry(tries_ns, np.arange(tries_ns.size))
        return self._copies(place, tries_ns, number, departs_ns, self._channel(place, node, cells))

    def _copies(
        self,
        place: Place,
        tries_ns: NDArray[np.int64],
        number: NDArray[np.int64],
        departs_ns: NDArray[np.int64],
        channel: Channel,
    ) -> list[Copy]:
        """Return what becomes of copies that leave the station and the backhaul then.

        tries_ns    (n,) int64, ns into the day, ascending
        number      (n,) int64, which order each is of
        departs_ns  (n,) int64, LOST_NS for what the backhaul lost
        """
        arrive_ns = channel.carry(departs_ns, np.arange(tries_ns.size))
        arrive_ns = self._woken(place, arrive_ns)
        return list(zip(number.tolist(), tries_ns.tolist(), arrive_ns.tolist(), strict=True))

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

    def _woken(self, place: Place, come_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Let copies that come to a sleeping modem wait until it is awake.

        It is active at each sign of life of the node's MQTT session.

        come_ns  (n,) int64, ns into the day, LOST_NS for what never came

        The result is (n,) int64, ns or LOST_NS.
        """
        if place.rated is None or place.rated.sleep is None:
            return come_ns
        bits = stream(self._seed, Purpose.SLEEP, commune=place.commune, node=place.node)
        keep_alive_ns = MqttConfig().keepalive_s * NS_PER_S
        phase_ns = int(between(raw_draws(bits, 1), 0, keep_alive_ns)[0])
        modem = Modem(place.rated.sleep, bits)
        found = come_ns.copy()
        for i, at_ns in enumerate(come_ns.tolist()):
            if at_ns != LOST_NS:
                modem.sends(at_ns - (at_ns - phase_ns) % keep_alive_ns)
                found[i] = modem.pushed(at_ns)
        return found

    def _channel(self, place: Place, node: str, cells: Cells) -> Channel:
        if place.trace_ns is not None:
            # Where in the trace a day begins nobody knows: alike for all who have it.
            bits = stream(self._seed, Purpose.OUTAGE, commune="", node=place.bearer_name)
            first = int(between(raw_draws(bits, 1), 0, place.trace_ns.size - 1)[0])
            return Trace(place.trace_ns, slot_ns=place.slot_ns, first=first)
        assert place.bearer is not None
        return self._link(place.bearer, place.cell_name, place.commune, node, cells)

    def _link(
        self, bearer: Bearer, name: str, commune: str, node: str, cells: Cells | None = None
    ) -> Link:
        cells = self._cells if cells is None else cells
        if (commune, name) not in cells:
            cells[commune, name] = (
                busy_of(bearer, stream(self._seed, Purpose.BUSY, commune=commune, node=name)),
                outages_of(bearer, stream(self._seed, Purpose.OUTAGE, commune=commune, node=name)),
            )
        busy, outages = cells[commune, name]
        return Link(
            replace(bearer, queue_ms=_WAITS_MS),
            seed=self._seed,
            commune=commune,
            node=node,
            packet_bits=_ORDER_BITS,
            busy=busy,
            outages=outages,
        )


def _carries_nothing(place: Place) -> bool:
    return place.bearer is not None and place.bearer.loss_pct.value >= 100
