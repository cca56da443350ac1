"""One pole of the world: a gateway that is switched on and off, and the daemon that runs on it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from node.counters import ORIGINS
from node.events import Event
from node.governed import GovernedSpeaker
from node.shell.broker.mqtt import MqttLink
from node.shell.config import MqttConfig
from node.shell.faults import ShellError
from node.shell.machine import running_on
from node.shell.network.udp import UdpSocket
from node.shell.service import Service
from node.shell.store.store import Store
from node.stack import SpeakerNode
from node.units import NS_PER_S
from sim.day.diary import WatchedController
from sim.day.nodes import NodeParts
from sim.day.observer import Observer
from sim.world.broker import Broker
from sim.world.connection import Network
from sim.world.devices import LiveCard, VirtualCard, VirtualDisk, VirtualStore, VirtualUdp
from sim.world.guard import unguarded
from sim.world.live.pole import LivePole
from sim.world.live.speaker import LiveSpeaker
from sim.world.loop import VirtualLoop
from sim.world.machine import VirtualMachine
from sim.world.path import Path
from sim.world.watched import Watched
from sim.world.witness import Witness

READ_CLOCK_NS: Final = 60 * NS_PER_S
"""The daemon reads the civil clock every minute."""

CLOCK_SYNC_NS: Final = 30 * NS_PER_S
"""From the end of a boot to a civil clock that the kernel calls synchronised, without a clock on
the board; an assumption."""

_CLOCK_AGAIN_NS: Final = 10 * NS_PER_S
"""The time is in the network: without a link the clock stays as it is, and this is tried again."""

RESTART_NS: Final = 3 * NS_PER_S
"""From a failed daemon's end to the next that serves: its unit, and its start (assumed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How a pole reaches its station, and the station it."""

    up: Path
    down: Path


class WorldPole:
    """A gateway with its daemon, over all its boots.

    Parameters
    ----------
    loop : VirtualLoop
        Of the run.
    number : int
        Of its socket.
    parts : NodeParts
        What the node is built of at each boot.
    mqtt : MqttConfig
        Table `[mqtt]` of its configuration.
    machine : VirtualMachine
        Its clocks.
    live : LivePole or None
        The live programme here.
    """

    # Of more than 30 attributes each object has a table of names of its own, of 1.3 kB.
    __slots__ = (
        "__dict__", "_controller", "_network", "_speaker", "_store", "_watched", "card", "udp",
    )  # fmt: skip

    def __init__(
        self,
        loop: VirtualLoop,
        number: int,
        parts: NodeParts,
        mqtt: MqttConfig,
        machine: VirtualMachine,
        *,
        broker: Broker,
        ways: Ways,
        to_station: Callable[[bytes], None],
        witness: Witness | None = None,
        live: LivePole | None = None,
    ) -> None:
        self._loop = loop
        self.live = live
        self._number = number
        self._parts = parts
        self._mqtt = mqtt
        self._machine = machine
        self._broker = broker
        self._ways = ways
        self._to_station = to_station
        self._witness = witness
        self._task: asyncio.Task[None] | None = None
        self._boots = 0
        self._noted_min = -1
        self._powered = False
        self._sounding: tuple[int, ...] = ()
        self.disk = VirtualDisk()
        self.card_gone = False
        """Whether the sound card is not plugged in."""
        self._clock_stops = False
        """Whether the clock on the board does not go on without power."""
        self._clock_stood = False
        """Whether it did not since the power went."""
        self.ends_ns = 1 << 62
        """When the run does: who is off from then on has lost nothing."""
        self.cpu_share = 1.0
        """What is left of the CPU's speed."""
        self.restarts = 0
        """How often the daemon gave up and its unit started it again."""
        self.crash: BaseException | None = None
        """What ended the daemon that is a mistake of its own."""
        self.origin_samples = np.zeros(ORIGINS, np.int64)
        lead_ns = parts.lead_ns if parts.node.amplifier.is_driven else None
        self.observer = Observer(parts.node.name, self._machine.true_ns, lead_ns=lead_ns)

    def look_on(self, witness: Witness) -> None:
        """Let somebody stand here."""
        self._witness = witness

    def was_here(self, session_s: int) -> None:
        """Let the broker know the node from before the run."""
        name, village = self._parts.node.name, self._mqtt.village
        zones = [f"pa/v1/{village}/zone/{zone}/cmd" for zone in self._mqtt.zones]
        topics = [f"pa/v1/{village}/node/{name}/cmd", *zones]
        self._broker.remember(name, topics, expiry_s=session_s)

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self._parts.node.name

    @property
    def on(self) -> bool:
        """Whether the daemon runs."""
        return self._task is not None

    @property
    def too_slow(self) -> bool:
        """Whether its CPU does not finish a period before the next is due."""
        return self._parts.cpu_load > self.cpu_share

    @property
    def behind(self) -> bool:
        """Whether something waits for its disk."""
        return self.on and self._store.behind

    def switch_on(self) -> None:
        """Boot: build the daemon anew with what its disk has, and let it run."""
        assert self._task is None, "it is on"
        self._powered = True
        goes_on = self._parts.has_rtc and not self._clock_stood
        ready = self._loop.now_ns == 0 or goes_on  # as it is found it has been on
        self._machine.boot(knows_time=ready)
        if not ready:
            sync_ns = self._loop.now_ns + CLOCK_SYNC_NS
            self._loop.call_at_ns(sync_ns, self._synchronise, self._boots)
        self._start()

    def switch_off(self) -> None:
        """Cut the power: nothing of what the daemon would still do has any effect."""
        if self._powered:
            self._machine.end()
            self._clock_stood = self._clock_stops
        self._powered = False
        if self._task is None:
            return
        self._network.cut = True
        task, self._task = self._task, None
        task.cancel()
        self.disk.changed = lambda: None
        self._let_go(self.disk.values if self._loop.now_ns < self.ends_ns else None)

    def step_clock(self, by_ns: int) -> None:
        """Set the civil clock wrong by so much; 0 is right again."""
        self._machine.step(by_ns)

    def stop_board_clock(self, *, stops: bool) -> None:
        """Let the clock on the board not go on without power, or go on again."""
        self._clock_stops = stops
        self._clock_stood |= stops and not self._powered

    def fill_disk(self, *, full: bool) -> None:
        """Let nothing more fit on the disk, or something again."""
        self.disk.full = full
        with running_on(self._machine):
            self.disk.changed()

    def pull_card(self, *, gone: bool) -> None:
        """Pull the sound card out, or plug it in again."""
        self.card_gone = gone
        if self.on and gone:
            self.card.pull()
            with running_on(self._machine):
                self.note_sound(())
        elif self.on:
            self.card.plug()

    def slow_down(self, share: float) -> None:
        """Let so much of the CPU's speed be left."""
        if self.on:
            self.card.catch_up()
        self.cpu_share = share
        if self.on and self.too_slow:
            with running_on(self._machine):
                self.note_sound(())

    def forget_link(self) -> None:
        """Let the connection to the broker be half open."""
        if self.on:
            self._network.forget()

    def finish(self) -> None:
        """Close the books at the end of the run."""
        if self._task is not None:
            self.card.catch_up()
            self.switch_off()

    def sounds(self) -> bool:
        """Return whether the card is to ask in time: something plays, or waits for the horn."""
        return bool(self._controller.active or self._speaker.sounding())

    def played_samples(self) -> NDArray[np.int64]:
        """Return output samples by `counters.Origin` over all boots so far: (ORIGINS,) int64."""
        now = self._speaker.origin_samples() if self.on else 0
        return self.origin_samples + now

    def note_order(self, payload: bytes) -> None:
        """Note what became of an order that came now."""
        self.observer.note_order(payload, self._loop.now_ns)
        if self._witness is not None:
            self._witness.note_order(payload, self._controller.last_fate, self._loop.now_ns)

    def note_event(self, event: Event) -> None:
        """Note what the daemon tells."""
        self.observer.note_event(event)
        if self._witness is not None:
            self._witness.note_event(event, self._loop.now_ns)

    def _hear(self, sound: NDArray[np.float32], presentation_ns: int) -> None:
        """Let the witness hear (n, channels) float32 that leave the horn."""
        if self._witness is not None:
            leaves_ns = self._loop.now_ns + presentation_ns - self._machine.now_ns()
            self._witness.note_sound(sound, leaves_ns)

    def note_sound(self, granted: tuple[int, ...] | None, until_ns: int | None = None) -> None:
        """Note what sounds; who has the horn is told to the daemon, as its ticks would see.

        Of `granted` None: as far as the controller was told.
        The card has asked for what leaves the horn until then, by the node's clock, maybe long
        after it was due; None: it has asked now.
        """
        now_ns = self._machine.now_ns()
        back_ns = 0 if until_ns is None else max(0, now_ns + self._parts.lead_ns - until_ns)
        self.observer.note_sound(now_ns - back_ns, self._loop.now_ns - back_ns, granted)
        sounding = self._speaker.sounding()
        if sounding != self._sounding:
            self._sounding = sounding
            self.card.note_change()

    def _start(self) -> None:
        self._boots += 1
        with running_on(self._machine), unguarded():  # a boot reads its card
            service = self._build()
            self._task = self._loop.create_task(service.run(None))
        self._task.add_done_callback(self._ended)
        if self._witness is not None:
            self._witness.note_power(self._loop.now_ns, on=True)

    def _start_again(self, boots: int) -> None:
        """Start a daemon that gave up, as its unit does, if nothing else has come between."""
        if self._powered and self._boots == boots:
            self._start()

    def _synchronise(self, boots: int) -> None:
        now_ns = self._loop.now_ns
        if not self._powered or self._boots == boots:
            return
        if self._ways.up.is_closed(now_ns) or self._ways.down.is_closed(now_ns):
            self._loop.call_at_ns(now_ns + _CLOCK_AGAIN_NS, self._synchronise, boots)
        else:
            self._machine.synchronise()

    def _let_go(self, disk: Mapping[str, bytes] | None = None) -> None:
        for event in [] if self.live is None else self.live.detach():
            self.observer.note_stream(event)
        self._watched.cut = True
        for one in (self.udp, self._store, self.card):
            one.close()
        self.origin_samples += self._speaker.origin_samples()
        self.observer.note_power_cut(self._loop.now_ns, disk)
        if self._witness is not None:
            self._witness.note_power(self._loop.now_ns, on=False)

    def _build(self) -> Service:
        """Put the daemon together as `loalang-node run` does, on virtual devices."""
        parts, loop, machine = self._parts, self._loop, self._machine
        self._network = Network(loop, self._broker, self._ways.up, self._ways.down)
        self._store = VirtualStore(loop, self.disk)
        self.udp = VirtualUdp(
            loop, machine, self._number, up=self._ways.up, receive=self._to_station
        )
        self._sounding = ()
        kind = SpeakerNode if self.live is None else LiveSpeaker
        self._speaker = kind(
            parts.node, decoder_factory=parts.decoder_factory, priority=parts.control.priority
        )
        self._controller = WatchedController(
            parts.node.name, parts.control, parts.rules, self._store.kept(), parts.signer
        )
        self.observer.watch(self._controller)
        governed = GovernedSpeaker(
            self._speaker,
            self._controller,
            parts.library,
            playout_delay_ms=parts.node.jitter.playout_delay_ms + parts.node.jitter.delay_ms,
        )
        kind_of_card = VirtualCard if self.live is None else LiveCard
        self.card = kind_of_card(
            loop, machine, lead_ns=parts.lead_ns, sounds=self.sounds, listener=self._hear
        )
        if self.live is not None:
            assert isinstance(self._speaker, LiveSpeaker) and isinstance(self.card, LiveCard)
            self.card.programme = self.live
            self.live.attach(
                self._speaker,
                governed,
                hear=self._hear,
                begin=self.card.begin,
                has_card=lambda: not self.card.broken,
                miss=self.card.miss,
                is_too_slow=lambda: self.too_slow,
            )
        self.card.broken = self.card_gone
        link = MqttLink(
            parts.node.name,
            self._mqtt,
            session=parts.midnight_s + self._boots,
            stored=self._store.kept(),
            public_key=parts.signer.public_key.hex(),
            connect=self._network.connect,
        )
        self._noted_min = -1
        self._watched = Watched(governed, self)
        return Service(
            self._watched,
            udp=cast(UdpSocket, self.udp),
            sink=self.card,
            store=cast(Store, self._store),
            mqtt=link,
            tell_time=partial(self._tell_time, governed),
            governed=governed,
        )

    def _tell_time(self, governed: GovernedSpeaker, utc_ns: int, now_ns: int) -> int | None:
        """Tell the core the time; return when it wants to be told next."""
        governed.receive_time(utc_ns, now_ns, synchronised=self._machine.synchronised)
        if self.sounds():
            self.card.wake()
        if now_ns // NS_PER_S // 60 != self._noted_min:
            self._noted_min = now_ns // NS_PER_S // 60
            self.observer.diary.note_volume(self._controller, now_ns, self._loop.now_ns)
        # Until the time is known each second may bring it; then its drift is all that is new.
        knows = self._knows_time(now_ns)
        self.observer.note_time(self._loop.now_ns, known=knows)
        return now_ns + READ_CLOCK_NS if knows else None

    def _knows_time(self, now_ns: int) -> bool:
        trusted = bool(self._controller.status(now_ns)["clock_trusted"])
        return self._machine.synchronised and trusted

    def _ended(self, task: "asyncio.Task[None]") -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is None or self._task is not task:
            return
        self._task = None
        self._store.flush()
        self._let_go()
        if isinstance(fault, ShellError):  # told to people; the unit tries again
            self.restarts += 1
            self._loop.call_at_ns(self._loop.now_ns + RESTART_NS, self._start_again, self._boots)
        else:
            self.crash = fault
