"""All that leaves the station, and when it reaches the last link to each place.

One for a run: by it both tiers, the drive and the world, send the same packets at the same times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.units import NS_PER_MS, NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.drive.askers import AWAY_NS
from sim.drive.capacity import Capacity
from sim.links.bearer import Bearer
from sim.links.channel import Channel, Link, Trace
from sim.links.kernel import LOST_NS
from sim.links.shared import SharedQueue
from sim.links.spells import Spells, busy_of, outages_of
from sim.links.trouble import Trouble, Troubled
from sim.sender.repair.repair_budget import RepairBudget
from sim.station.conversation import ASKED_BEFORE_NS, Conversation, SentLately
from sim.station.copies import StationCopies
from sim.station.programme import SENDER_CLOCK_NS, Programme, Sender, Sending
from sim.village.places import Place, Village, troubles
from sim.village.scenario import Scenario

CHUNK_NS: Final = 10 * NS_PER_S
"""Its length changes nothing but memory, of which a node holds 2 kB for each second of it, and
speed: a chunk of a node costs 0.6 ms."""

AHEAD_NS: Final = ASKED_BEFORE_NS - NS_PER_S
"""Links run so far ahead of the nodes: what is asked at the end of a chunk is answered by the
state of the network after it. So where a chunk ends changes nothing."""

_TAIL_NS: Final = 2 * NS_PER_S
"""Beyond the playout delay: what is still on its way when the station stops."""

_WAY_NS: Final = 12 * NS_PER_S
"""A packet that plays was under way for less: a queue or a stall holds one for two seconds."""

_UPLINK: Final = "/uplink"
"""Stands for the node in the address of a backhaul's streams; no node can have this name."""


_Cells = dict[tuple[str, str], tuple[Spells, Spells]]
"""When each cell of a commune is busy, and when it is out."""


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What the station sent in a chunk of time."""

    sending: Sending
    depart_ns: dict[str, NDArray[np.int64]]
    """(n,) int64 for each node: when each packet reaches its own link; LOST_NS."""


class Outgoing:
    """The station's stream on its way.

    Parameters
    ----------
    scenario : Scenario
        With the seed and the duration of this run.
    village : Village
        Of that scenario.
    programme : Programme
        What the station plays.
    places : sequence of Place
        For whom it is worked out; they share the rates with all of the village.
    """

    def __init__(
        self, scenario: Scenario, village: Village, programme: Programme, places: Sequence[Place]
    ) -> None:
        self._scenario = scenario
        self._village = village
        self._places = tuple(places)
        duration_ns = round(scenario.duration_s * NS_PER_S)
        self.sender = Sender(
            programme,
            seed=scenario.seed,
            duration_ns=duration_ns,
            pacing_max_us=scenario.sender.pacing_max_us,
        )
        self.end_ns = duration_ns + scenario.jitter.playout_delay_ms * NS_PER_MS + _TAIL_NS
        self._sent = SentLately()
        self._copies: StationCopies | None = None
        if scenario.sender.copies_possible:
            self._copies = StationCopies(
                self.sender, clock_ns=SENDER_CLOCK_NS, budget=self.new_budget()
            )
        self.capacity = Capacity(
            scenario,
            village,
            self.sender,
            budget=self.new_budget() if scenario.sender.sends_again else None,
        )
        self._cells: _Cells = {}
        self._uplinks = {
            commune: self._backhaul(commune)
            for commune in dict.fromkeys(place.commune for place in self._places)
        }
        self._idle: dict[str, Channel] = {}
        """A second last link to each place, of the same chance, on which nobody waits."""
        self._idle_cells: _Cells = {}
        self.stream_bytes = 0
        """Of one copy so far, headers included."""

    @property
    def reach_ns(self) -> int:
        """Return how long before it is played a packet is sent at the most, and how far the links
        run ahead of the nodes, together: so much is remembered beside the chunk under way.
        """
        jitter = self._scenario.jitter
        delay_ms = jitter.delay_max_ms if jitter.mode == "adaptive" else jitter.playout_delay_ms
        own_ms = max((place.delay_ms for place in self._places), default=0)
        return AHEAD_NS + (delay_ms + max(0, own_ms)) * NS_PER_MS + _WAY_NS

    @property
    def copies_bytes(self) -> int:
        """What redundant copies added to each node's link so far."""
        return 0 if self._copies is None else self._copies.repair_bytes

    def send_until(self, stop_ns: int) -> Sent:
        """Return what the nodes need to run to `stop_ns`: all that is sent until a little later."""
        sending = self._sending(stop_ns + AHEAD_NS)
        sequence = np.arange(sending.first, sending.first + sending.send_ns.size)
        self.capacity.begin(sending.send_ns, sending.more_bits)
        departs = {}
        own: dict[str, NDArray[np.int64]] = {}
        for commune, uplink in self._uplinks.items():
            departs[commune] = uplink.carry(sending.send_ns, sequence)
            last = partial(self._last_ns, departs[commune], sequence)
            own |= self.capacity.carry(commune, sending.send_ns, departs[commune], last)
        found = {one.node: own.get(one.node, departs[one.commune]) for one in self._places}
        return Sent(sending, found)

    def channel(self, place: Place) -> Channel:
        """Return a new last link to a place."""
        return self._channel(place, self._cells)

    def _last_ns(
        self, depart_ns: NDArray[np.int64], sequence: NDArray[np.int64], places: Sequence[Place]
    ) -> NDArray[np.int64]:
        """Return what the last link to each place takes, where no copy waited before it.

        depart_ns  (n,) int64, ns; LOST_NS
        sequence   (n,) int64, which of all packets of the run each one is

        The result is (n, k) int64, ns; LOST_NS, AWAY_NS.
        """
        last_ns = np.full((depart_ns.size, len(places)), LOST_NS, np.int64)
        for number, place in enumerate(places):
            if place.node not in self._idle:
                self._idle[place.node] = self._channel(place, self._idle_cells)
            arrive_ns = self._idle[place.node].carry(depart_ns, sequence)
            came = arrive_ns != LOST_NS
            last_ns[came, number] = (arrive_ns - depart_ns)[came]
            boot_ns = round(place.profile.board.boot_s.value * NS_PER_S)
            off = [(cut_ns, back_ns + boot_ns) for cut_ns, back_ns in place.power_cuts_ns]
            for cut_ns, back_ns in (*place.link_cuts_ns, *off):
                last_ns[(depart_ns >= cut_ns) & (depart_ns < back_ns), number] = AWAY_NS
        return last_ns

    def _channel(self, place: Place, cells: "_Cells") -> Channel:
        found = troubles(place)  # what congests a backhaul or a cell, `Capacity` has
        queue = None
        congested = any(one.kind == "congestion" for one in found)
        if place.rated is not None and (congested or place.like is not None):
            queue = self._queue(place.rated, found)
        if place.trace_ns is not None:
            link: Channel = Trace(place.trace_ns, queue)
            scarce = []
        else:
            assert place.bearer is not None, "one of both"
            link = self._link(
                place.bearer, place.cell_name, place.commune, place.node, cells,
                queues=queue is None,
            )  # fmt: skip
            scarce = [] if queue is None else [queue]
        if not found:
            return link
        seed = self._scenario.seed
        return Troubled(link, found, scarce, seed=seed, commune=place.commune, node=place.node)

    def _queue(self, bearer: Bearer, found: Sequence[Trouble]) -> SharedQueue:
        """Return what of a rate others leave."""
        left = [(one.start_ns, one.end_ns, one.share) for one in found if one.kind == "congestion"]
        rate, queue_ms = bearer.rate_kbit_s.value, bearer.queue_ms.value
        return SharedQueue(rate, queue_ms, self.sender.packet_bits, left)

    def conversation(self, place: Place) -> Conversation | None:
        """Return what a node there and the station say to each other; None: nothing."""
        sender = self._scenario.sender
        if not sender.reports:
            return None
        return Conversation(
            place,
            self.sender,
            backhaul_ns=self.backhaul_ns(place),
            seed=self._scenario.seed,
            budget=self.new_budget() if sender.sends_again else None,
            copies=self._copies,
            sent=self._sent,
        )

    def backhaul_ns(self, place: Place) -> int:
        """Return what the backhaul to a place takes."""
        return round(self._village.backhauls[place.commune].one_way_ms.value * NS_PER_MS)

    def new_budget(self) -> RepairBudget:
        """Return what repair of one stream may cost."""
        rate_kbit_s = self._scenario.sender.data_budget_kbit_s
        return RepairBudget(rate_bit_s=None if rate_kbit_s is None else 1000 * rate_kbit_s)

    def _sending(self, end_ns: int) -> Sending:
        """Return what the station sends until then, and count it."""
        sending = self.sender.send_until(end_ns)
        self.stream_bytes += sending.stream_bytes
        return sending if self._copies is None else self._copies.carry(sending)

    def _backhaul(self, commune: str) -> Link:
        """Return the backhaul of a commune; what is scarce there has its queue in `Capacity`."""
        bearer, queues = self._village.backhauls[commune], not self.capacity.has_queue(commune)
        return self._link(bearer, "/backhaul", commune, _UPLINK, self._cells, queues=queues)

    def _link(
        self,
        bearer: Bearer,
        name: str,
        commune: str,
        node: str,
        cells: "_Cells",
        *,
        queues: bool,
    ) -> Link:
        """Return a link; one that does not queue has its rate elsewhere, and no packet waits for
        another there.
        """
        if (commune, name) not in cells:
            seed = self._scenario.seed
            cells[commune, name] = (
                busy_of(bearer, stream(seed, Purpose.BUSY, commune=commune, node=name)),
                outages_of(bearer, stream(seed, Purpose.OUTAGE, commune=commune, node=name)),
            )
        busy, outages = cells[commune, name]
        return Link(
            bearer,
            seed=self._scenario.seed,
            commune=commune,
            node=node,
            packet_bits=self.sender.packet_bits if queues else 0,
            busy=busy,
            outages=outages,
        )
