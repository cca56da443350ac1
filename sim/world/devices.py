"""What hangs on a pole's gateway in virtual time: network card, disk and sound card.

Each has the face that the daemon asks for, and ends at once when the power does.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from node.kernel.record import zeros_apart
from node.shell.faults import ShellError
from node.shell.machine import running_on
from node.units import NS_PER_MS, NS_PER_S, RATE_HZ, ns_to_samples
from sim.world.loop import VirtualLoop
from sim.world.machine import VirtualMachine
from sim.world.path import LOST_NS, Path

UDP_BYTES: Final = 28

PERIOD_NS: Final = 10 * NS_PER_MS
PERIOD_SAMPLES: Final = RATE_HZ // 100
_STEP_NS: Final = 80 * NS_PER_MS
"""While something sounds and nothing comes; the speaker takes up to 4096 samples at a time."""
_LONG_STEP_NS: Final = 4 * _STEP_NS
"""... and has not for `_AWAKE_NS`: as many are asked for as before, four times together."""

_AWAKE_NS: Final = 3 * NS_PER_S
"""After whatever the node took or did the card goes on to ask for so long."""

_LIVE_STEP_NS: Final = NS_PER_S
"""While a live programme is heard, and nothing else comes."""

_FOUND_NS: Final = NS_PER_S
"""From the plug to the first sound: a device that appears is tried after a second at most."""

_NEVER_NS: Final = 1 << 62

DISK_NS: Final = 20 * NS_PER_MS
"""A flushed write to an SD card: assumption."""


@dataclass(slots=True)
class VirtualDisk:
    """The card in the slot, over all boots."""

    values: dict[str, bytes] = field(default_factory=dict)
    full: bool = False
    delay_ns: int = DISK_NS
    """What a flushed write takes."""
    changed: Callable[[], None] = lambda: None
    """Told when it is full, or is no more."""


class VirtualUdp:
    """The socket of a node (`node.shell.network.udp.UdpSocket`)."""

    def __init__(
        self,
        loop: VirtualLoop,
        machine: VirtualMachine,
        number: int,
        *,
        up: Path,
        receive: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._machine = machine
        self._number = number
        self._up = up
        self._receive = receive
        self._waiting: list[tuple[bytes, tuple[str, int], int]] = []
        self._off = False
        self.send_faults = 0

    def filenos(self) -> list[int]:
        """Return what the loop knows it by."""
        return [self._number]

    def handle_deadline(self, now_ns: int) -> None:
        """Do nothing: there is no group to join again."""

    def tell_changes(self, call: Callable[[], None]) -> None:
        """Have nothing to tell: it is there."""

    def received(self) -> Iterator[tuple[bytes, tuple[str, int], int]]:
        """Yield waiting datagrams: bytes, source, and arrival on the node's clock in ns."""
        while self._waiting:
            yield self._waiting.pop(0)

    def send(self, data: bytes, destination: tuple[str, int]) -> None:
        """Send one datagram to the station."""
        if self._off:
            return
        arrive_ns = self._up.carry(self._loop.now_ns, len(data) + UDP_BYTES)
        if arrive_ns != LOST_NS:
            self._loop.call_at_ns(arrive_ns, self._receive, data)

    def deliver(self, data: bytes, source: tuple[str, int]) -> None:
        """Take a datagram from the network."""
        if not self._off:
            self._waiting.append((data, source, self._machine.now_ns()))
            self._loop.wake_reader(self._number)

    def close(self) -> None:
        """Take and send nothing more."""
        self._off = True


class VirtualStore:
    """Survives a power cut (`node.shell.store.store.Store`): writes take time, and may not end."""

    def __init__(self, loop: VirtualLoop, disk: VirtualDisk) -> None:
        self._loop = loop
        self._disk = disk
        self._values = dict(disk.values)
        self._waiting: list[tuple[int, dict[str, bytes]]] = []
        self._off = False
        self.number = 0
        self.durable = 0
        self.trust_lost = False
        self.lost: tuple[str, ...] = ()
        self.refused = 0
        self.on_durable: Callable[[], None] = lambda: None

    def kept(self) -> dict[str, bytes]:
        """Return all that was kept, in the order of the keys."""
        return dict(sorted(self._values.items()))

    def keep_soon(self, changes: Mapping[str, bytes]) -> int:
        """Keep `changes`; return the number to wait for."""
        self.number += 1
        self._values |= changes
        self._waiting.append((self.number, dict(changes)))
        if len(self._waiting) == 1:
            self._begin()
        return self.number

    def keep(self, key: str, value: bytes) -> None:
        """Keep a value for good at once, as what a boot does before it serves."""
        if self._disk.full:
            raise ShellError("store: the disk is full; free some space")
        self.number += 1
        self._values[key] = self._disk.values[key] = value
        self.durable = max(self.durable, self.number)

    def tell_changes(self, call: Callable[[], None]) -> None:
        """Call whenever `fault` may have changed."""
        self._disk.changed = call

    def fault(self) -> str | None:
        """Return why nothing can be kept now."""
        return "the disk is full; free some space" if self._disk.full else None

    @property
    def behind(self) -> bool:
        """Return whether something waits for the disk."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Write what waits, as the orderly end of a process does; a full disk takes nothing."""
        if not self._disk.full and not self._off:
            self._write(self.number)

    def close(self) -> None:
        """Lose what is not on the disk yet."""
        self._off = True

    def _begin(self) -> None:
        """Begin to write all that waits now, in one batch, as the writer's thread does."""
        self._loop.call_at_ns(self._loop.now_ns + self._disk.delay_ns, self._end, self.number)

    def _end(self, number: int) -> None:
        if self._off:
            return
        if self._disk.full:
            self._loop.call_at_ns(self._loop.now_ns + NS_PER_S, self._end, number)
            return
        self._write(number)
        if self._waiting:
            self._begin()
        self.on_durable()

    def _write(self, number: int) -> None:
        while self._waiting and self._waiting[0][0] <= number:
            self.durable, changes = self._waiting.pop(0)
            self._disk.values |= changes


_OUT: Final = zeros_apart((ns_to_samples(_STEP_NS), 1), np.float32)
"""What a card was just given: all cards of a process take turns."""


class VirtualCard:
    """A sound card (`node.shell.card.sinks.Sink`): asks for what is due before all else.

    Every period that would have been asked for by now is asked for before the node takes a
    datagram, an order or a deadline, so that the node sees one order of things. A card in silence
    asks when the node looks whether it does: nothing but zeros would come of the periods between.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        machine: VirtualMachine,
        *,
        lead_ns: int,
        sounds: Callable[[], bool],
        listener: Callable[[NDArray[np.float32], int], None] | None = None,
    ) -> None:
        self._loop = loop
        self._machine = machine
        self._lead_ns = lead_ns
        self._sounds = sounds
        self._listener = listener
        self._render: Callable[[NDArray[np.float32], int], None] | None = None
        self._asked_ns = -1
        """Presentation of the next period, on the node's clock; -1 while the card is in silence."""
        self._awake_until_ns = 0
        self._planned_ns = -1
        self._pulls = 0
        self._changed: Callable[[], None] = lambda: None
        self.broken = False
        self.underruns = self.missed_samples = 0
        """Periods, and samples, that it had to play without the node."""

    def tell_changes(self, call: Callable[[], None]) -> None:
        """Call whenever `missing` has changed, or who sounds."""
        self._changed = call

    def note_change(self) -> None:
        """Tell that something has changed."""
        with running_on(self._machine):  # a fault of the world does it
            self._changed()

    def miss(self, samples: int) -> None:
        """Play so many without the node."""
        self.missed_samples += samples
        self.underruns += -(-samples // PERIOD_SAMPLES)
        self.note_change()  # what a real card counts is looked at at each tick

    def start(self, render: Callable[[NDArray[np.float32], int], None]) -> None:
        """Begin to ask for sound."""
        self._render = render
        self._plan(self._loop.now_ns)

    def close(self) -> None:
        """Ask no more."""
        self._render = None

    def fault(self) -> ShellError | None:
        """Return None: its library never hangs."""
        return None

    def missing(self) -> str | None:
        """Return why nothing sounds now."""
        if self.broken:
            return "it is gone; is it plugged in?"
        if self._planned_ns == _NEVER_NS and self._render is not None:
            self._ask_in_silence(self._render)
        return None

    def opening(self) -> bool:
        """Return False: it is known at once whether it is there."""
        return False

    def pull(self) -> None:
        """Be gone: what the node would have said by now is the last that is heard."""
        self.catch_up()
        self.broken = True
        self._pulls += 1
        self.note_change()

    def plug(self) -> None:
        """Be there again, and soon found."""
        self._loop.call_at_ns(self._loop.now_ns + _FOUND_NS, self._be_found, self._pulls)

    def _be_found(self, pulls: int) -> None:
        if pulls != self._pulls:
            return
        self.catch_up()  # what was due until now nobody heard
        self.broken = False
        self._asked_ns = -1
        self.note_change()
        if self._render is not None:
            self._plan(self._loop.now_ns)

    def wake(self) -> None:
        """Something happened at the node: ask in time from now on."""
        now_ns = self._loop.now_ns
        self._awake_until_ns = now_ns + _AWAKE_NS
        if self._planned_ns - now_ns > _STEP_NS:
            self._plan(now_ns)

    def catch_up(self, render: Callable[[NDArray[np.float32], int], None] | None = None) -> None:
        """Ask for all periods that are due by now; `render` is for who holds the daemon's lock."""
        render = render or self._render
        if render is None or self._render is None or self._asked_ns < 0 or self.broken:
            return
        with running_on(self._machine):  # a fault of the world pulls the card
            self._ask_until(render, self._machine.now_ns() + self._lead_ns)

    def _ask_until(self, render: Callable[[NDArray[np.float32], int], None], due_ns: int) -> None:
        while (count := (due_ns - self._asked_ns) // PERIOD_NS) > 0:
            count = min(count, _OUT.shape[0] // PERIOD_SAMPLES)
            out = _OUT[: count * PERIOD_SAMPLES]
            render(out, self._asked_ns)
            if self._listener is not None:
                self._listener(out, self._asked_ns)
            self._asked_ns += count * PERIOD_NS

    def _plan(self, at_ns: int) -> None:
        with running_on(self._machine):  # a fault of the world plugs the card in
            self._go_on(at_ns)

    def _go_on(self, at_ns: int) -> None:
        self._planned_ns = at_ns
        self._loop.call_at_ns(at_ns, self._ask, at_ns)

    def _ask(self, planned_ns: int) -> None:
        if self._render is None or planned_ns != self._planned_ns or self.broken:
            return
        now_ns = self._loop.now_ns
        is_awake = now_ns < self._awake_until_ns
        if is_awake or self._sounds():
            local_ns = self._machine.now_ns()
            if self._asked_ns < 0:
                self._asked_ns = local_ns - local_ns % PERIOD_NS + self._lead_ns
            self._ask_until(self._render, local_ns + self._lead_ns)
            self._go_on(now_ns + (_STEP_NS if is_awake else _LONG_STEP_NS))
            return
        self._asked_ns = -1
        self._planned_ns = _NEVER_NS
        self._ask_in_silence(self._render)

    def _ask_in_silence(self, render: Callable[[NDArray[np.float32], int], None]) -> None:
        out, leaves_ns = _OUT[:PERIOD_SAMPLES], self._machine.now_ns() + self._lead_ns
        render(out, leaves_ns)
        if self._listener is not None:
            self._listener(out, leaves_ns)
        if self._sounds():
            self.wake()


class Programme(Protocol):
    """A live programme at one pole, as far as its card knows of it."""

    @property
    def runs(self) -> bool:
        """Whether it is under way."""

    def catch_up(self, *, plays: bool) -> None:
        """Run all that is due by now; without `plays` the card is gone."""


class LiveCard(VirtualCard):
    """The card of a pole with a live programme: while that is under way, its plan has the periods.

    Then what is asked for here is only that what is due by now be run.
    """

    programme: Programme

    def begin(self) -> None:
        """Let the programme begin."""
        if self._render is not None:
            self._plan(self._loop.now_ns)

    def catch_up(self, render: Callable[[NDArray[np.float32], int], None] | None = None) -> None:
        """Run all that is due by now."""
        if not self.programme.runs:
            super().catch_up(render)
            return
        render = render or self._render
        if render is None or self._render is None:
            return
        with running_on(self._machine):
            if self.broken:
                self.programme.catch_up(plays=False)
            else:
                render(_OUT[:PERIOD_SAMPLES], self._machine.now_ns())

    def _ask(self, planned_ns: int) -> None:
        if not self.programme.runs:
            super()._ask(planned_ns)
        elif self._render is not None and planned_ns == self._planned_ns:
            self._asked_ns = -1
            self.catch_up()
            now_ns = self._loop.now_ns
            awake = now_ns < self._awake_until_ns
            self._go_on(now_ns + (_STEP_NS if awake else _LIVE_STEP_NS))
