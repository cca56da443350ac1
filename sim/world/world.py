"""The world of one village: daemons, broker and station on one loop, and what goes wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from node.shell.broker.mqtt import SESSION_S
from node.shell.config import MqttConfig
from node.units import NS_PER_S
from sim.chance.rng import Purpose, stream
from sim.day.nodes import NodeParts
from sim.day.station import Sent
from sim.gateway.crystal import Oscillator
from sim.gateway.power import Uptime
from sim.links.bearer import Bearer
from sim.links.sleep import Modem
from sim.links.spells import Spells, busy_of, outages_of
from sim.village.places import Place, Village
from sim.world.broker import Broker, Message
from sim.world.devices import UDP_BYTES
from sim.world.guard import guarded
from sim.world.hop import Down, Hop, Line, Recorded
from sim.world.live.programme import LivePlan, LiveProgramme
from sim.world.loop import VirtualLoop
from sim.world.machine import VirtualMachine
from sim.world.path import LOST_NS, Modelled, Path
from sim.world.pole import Ways, WorldPole
from sim.world.witness import Witness

_BOOT_OFFSET_NS = 3600 * NS_PER_S
"""What a monotonic clock shows at the begin of the run: it has been up for an hour."""

VILLAGE = "village"
_TRIES_NS = NS_PER_S
"""So often a desk looks whether the broker is there again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoleParts:
    """One pole of a world, and what happens to it."""

    place: Place
    parts: NodeParts
    power: tuple[Uptime, ...]
    link_cuts_ns: tuple[tuple[int, int], ...]
    """Both ways."""
    up_cuts_ns: tuple[tuple[int, int], ...] = ()
    down_cuts_ns: tuple[tuple[int, int], ...] = ()
    """Only from the pole, only to it."""
    witness: Witness | None = None


class World:
    """A village under way.

    Parameters
    ----------
    village : Village
        For its links.
    poles : sequence of PoleParts
        Who is in it.
    orders : sequence of Sent
        What the stations order, ns after the begin of the run.
    seed : int
        Of the run.
    utc_s : int
        Civil time at its begin.
    live : LivePlan or None
        What is streamed to them.
    """

    def __init__(
        self,
        village: Village,
        poles: Sequence[PoleParts],
        orders: Sequence[Sent],
        *,
        seed: int,
        utc_s: int,
        live: LivePlan | None = None,
    ) -> None:
        self.loop = VirtualLoop()
        self.live = None if live is None else LiveProgramme(self.loop, village, live)
        self._village = village
        self._communes = {one.place.node: one.place.commune for one in poles}
        self._seed = seed
        self._utc_ns = utc_s * NS_PER_S
        self._cells: dict[tuple[str, str], tuple[Spells, Spells]] = {}
        self._hops: dict[tuple[str, str], Hop] = {}
        self._modems: dict[tuple[str, str], Modem] = {}
        self.broker = Broker(self.loop)
        self.hears: Callable[[str, bytes], None] = lambda node, data: None
        """Gets each datagram that a node has sent to its station, and came through."""
        self._ends: dict[str, tuple[WorldPole, Ways]] = {}
        self.poles = [self._pole(i, one) for i, one in enumerate(poles)]
        for one, pole in zip(poles, self.poles, strict=True):
            pole.was_here(SESSION_S)
            for up in one.power:
                self.loop.call_at_ns(up.start_ns, pole.switch_on)
                self.loop.call_at_ns(up.end_ns, pole.switch_off)
        self._desks = {
            commune: _Desk(self.loop, self.broker, commune) for commune in village.backhauls
        }
        self._orders = tuple(orders)
        if self.live is not None:
            for at_ns, streamed in ((self.live.begin_ns, True), (self.live.ends_ns, False)):
                self.loop.call_at_ns(at_ns, partial(self._leave_room, streamed=streamed))

    def add_orders(self, orders: Sequence[Sent]) -> None:
        """Let the stations order more."""
        self._orders += tuple(orders)

    def advance(self, end_ns: int, *, step_ns: int) -> Iterator[int]:
        """Run to `end_ns`; yield the true time that was reached, every `step_ns`."""
        # After all that breaks at the same instant: a fault holds from its first instant on.
        for pole in self.poles:
            pole.ends_ns = end_ns
        orders, self._orders = self._orders, ()
        for order in orders:
            self.loop.call_at_ns(order.at_ns, self._desks[order.commune].order, order)
        try:
            while self.loop.now_ns < end_ns:
                self._run(min(step_ns, end_ns - self.loop.now_ns))
                yield self.loop.now_ns
            for pole in self.poles:
                pole.finish()
            self._run(NS_PER_S)
        except BaseException:
            self.close()
            raise

    def _run(self, duration_ns: int) -> None:
        with guarded():
            self.loop.run_for(duration_ns)
        for pole in self.poles:
            if pole.crash is not None:
                raise pole.crash

    def close(self) -> None:
        """End what still runs, and let go of the loop."""
        for pole in self.poles:
            pole.switch_off()
        if not self.loop.is_closed():
            self.loop.run_for(NS_PER_S)
            self.loop.close()

    def hops_at(self, where: str) -> tuple[Hop, Hop]:
        """Return the last link down to a node and the first up from it, or of `/commune` the
        backhaul's both ways.
        """
        commune, node = (
            (where[1:], "/uplink") if where[0] == "/" else (self._communes[where], where)
        )
        return self._hops[commune, node], self._hops[commune, f"{node}/up"]

    def send(self, node: str, data: bytes, source: tuple[str, int]) -> int:
        """Send one datagram to a node; return when it arrives at its pole, or LOST_NS."""
        pole, ways = self._ends[node]
        arrive_ns = ways.down.carry(self.loop.now_ns, len(data) + UDP_BYTES)
        if arrive_ns != LOST_NS:
            self.loop.call_at_ns(arrive_ns, _deliver, pole, data, source)
        return arrive_ns

    def detour(self, node: str, extra_ns: int) -> None:
        """Let all to and from a node go so much longer a way; 0 is the usual one."""
        _, ways = self._ends[node]
        ways.up.extra_ns = ways.down.extra_ns = extra_ns

    def _pole(self, number: int, one: PoleParts) -> WorldPole:
        place = one.place
        live = None if self.live is None else self.live.poles[place.node]
        machine = VirtualMachine(
            self.loop,
            self._crystal(place) if live is None else live.clock,
            utc_at_zero_ns=self._utc_ns,
            bits=stream(self._seed, Purpose.MACHINE, commune=place.commune, node=place.node),
        )
        mqtt = MqttConfig(host="broker", village=VILLAGE, zones=(zone_of(place.commune),))
        ways = self._ways(one)
        pole = WorldPole(
            self.loop,
            number,
            one.parts,
            mqtt,
            machine,
            broker=self.broker,
            ways=ways,
            to_station=lambda data: self.hears(place.node, data),
            witness=one.witness,
            live=live,
        )
        self._ends[place.node] = pole, ways
        return pole

    def _crystal(self, place: Place) -> Oscillator:
        return Oscillator(
            stream(self._seed, Purpose.CRYSTAL, commune=place.commune, node=place.node),
            sigma_ppm=place.profile.board.clock_sigma_ppm.value,
            max_ppm=place.profile.board.clock_max_ppm.value,
            curve_ppb_per_k2=place.profile.board.clock_curve_ppb_per_k2.value,
            wander_ppb=place.profile.board.clock_wander_ppb.value,
            ambient_c=place.ambient_c,
            fixed_ppm=place.skew_ppm,
            offset_ns=_BOOT_OFFSET_NS,
        )

    def _ways(self, one: PoleParts) -> Ways:
        place = one.place

        up_cut = _cut(one.link_cuts_ns + one.up_cuts_ns)
        down_cut = _cut(one.link_cuts_ns + one.down_cuts_ns)
        backhaul = self._village.backhauls[place.commune]
        here = place.node
        return Ways(
            up=Path(
                [
                    self._last_hop(place, f"{here}/up", up_cut),
                    self._hop(backhaul, "/backhaul", place.commune, "/uplink/up", None),
                ]
            ),
            down=Path(
                [
                    self._hop(backhaul, "/backhaul", place.commune, "/uplink", None),
                    self._last_hop(place, here, down_cut),
                ]
            ),
        )

    def _last_hop(self, place: Place, node: str, down: Down | None) -> Hop:
        """Return the hop at the pole; a trace tells of one way, and is taken for both."""
        if place.trace_ns is None:
            assert place.bearer is not None, "one of both"
            return self._hop(place.bearer, place.cell_name, place.commune, node, down)
        modem = None if place.like is None else self._modem(place.like, place.commune, place.node)
        hop = Recorded(
            place.trace_ns,
            place.like,
            seed=self._seed,
            commune=place.commune,
            node=node,
            down=down,
            modem=modem,
            pushed=not node.endswith("/up"),
            slot_ns=place.slot_ns,
        )
        return self._hops.setdefault((place.commune, node), hop)

    def _leave_room(self, *, streamed: bool) -> None:
        """Let orders share each rate down to the poles with streams and chatter.

        No modem sleeps meanwhile.
        """
        live = self.live
        assert live is not None, "it streams"
        cells = {(one.commune, one.node): one.cell_name for one in live.places}
        shared = live.shared
        for (commune, node), hop in self._hops.items():
            hop.kept_awake = streamed
            if node.endswith("/up"):
                continue
            if node == "/uplink":
                own = shared.get(("backhaul", commune, ""))
                beyond = shared.get(("uplink", "", ""))
            else:
                own = Line(hop.rate_kbit_s, live.kbit_s, hop.queue_ns)
                beyond = shared.get(("cell", commune, cells[commune, node]))
            hop.shared = () if own is None or not streamed else (own,)
            hop.beyond = () if beyond is None or not streamed else (beyond,)

    def _hop(self, bearer: Bearer, name: str, commune: str, node: str, down: Down | None) -> Hop:
        if (commune, node) not in self._hops:
            if (commune, name) not in self._cells:
                self._cells[commune, name] = (
                    busy_of(bearer, stream(self._seed, Purpose.BUSY, commune=commune, node=name)),
                    outages_of(
                        bearer, stream(self._seed, Purpose.OUTAGE, commune=commune, node=name)
                    ),
                )
            busy, outages = self._cells[commune, name]
            self._hops[commune, node] = Modelled(
                bearer,
                seed=self._seed,
                commune=commune,
                node=node,
                busy=busy,
                outages=outages,
                down=down,
                modem=self._modem(bearer, commune, node.removesuffix("/up")),
                pushed=not node.endswith("/up"),
                spells_from_ns=0 if self.live is None else self.live.begin_ns,
                behind_others=node == "/uplink/up",
            )
        return self._hops[commune, node]

    def _modem(self, bearer: Bearer, commune: str, node: str) -> Modem | None:
        """Return the modem of a pole, which both its ways share; None where it never sleeps."""
        if bearer.sleep is None:
            return None
        bits = stream(self._seed, Purpose.SLEEP, commune=commune, node=node)
        return self._modems.setdefault((commune, node), Modem(bearer.sleep, bits))


def _deliver(pole: WorldPole, data: bytes, source: tuple[str, int]) -> None:
    if pole.on:
        pole.udp.deliver(data, source)


def _cut(spans_ns: tuple[tuple[int, int], ...]) -> Down | None:
    def down(at_ns: int) -> bool:
        return any(start <= at_ns < end for start, end in spans_ns)

    return down if spans_ns else None


class _Desk:
    """A station's desk beside the broker: it publishes signed orders to its commune's zone."""

    def __init__(self, loop: VirtualLoop, broker: Broker, commune: str) -> None:
        self.identifier = f"station/{commune}"
        self._loop = loop
        self._waiting: list[Sent] = []
        self._broker = broker
        self._topic = f"pa/v1/{VILLAGE}/zone/{zone_of(commune)}/cmd"

    def order(self, sent: Sent) -> None:
        """Give an order to the broker, after those that wait for it because it was away."""
        self._waiting.append(sent)
        if len(self._waiting) == 1 or self._broker.up:
            self._give_all()

    def _give_all(self) -> None:
        """Give all that waits, in its order; what is void by now is not given."""
        if not self._broker.up:
            if self._waiting:
                self._loop.call_at_ns(self._loop.now_ns + _TRIES_NS, self._give_all)
            return
        waiting, self._waiting = self._waiting, []
        for sent in waiting:
            until_ns = sent.at_ns + sent.ttl_s * NS_PER_S
            if self._loop.now_ns < until_ns:
                message = Message(self._topic, sent.data, 1, False, until_ns)
                self._broker.publish(self, message)

    def give(self, message: Message, handle: int) -> None:
        """Take nothing: it has not subscribed."""

    def drop(self, reason: int) -> None:
        """Do not mind."""


def zone_of(commune: str) -> str:
    """Return the name of a commune's zone in topics: letters that MQTT allows everywhere."""
    return "".join(one if one.isalnum() else "-" for one in commune)
