"""One history, lived through: the world of a script, and all that was seen of it.

```
 script ─► world ─┬─ horns ──► ears            what sounded, by tone
                  ├─ nodes ──► orders, events  what came, what was told
                  ├─ broker ─► connections     who could be reached when
                  └─ desk ───► reports         what the station knows
```
Everything seen is also a line of the journal; a history lived twice has one journal.
"""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from node.control.calendar.play_state import Record
from node.control.orders import Acknowledgement
from node.control.proof.proof import Entry
from node.events import Event, Publish, SendDatagram
from node.rtp.rtcp import is_feedback
from node.units import NS_PER_S
from sim.swarm.desk import NAME as STATION
from sim.swarm.desk import Desk, Given, answer_in
from sim.swarm.ear import Ear
from sim.swarm.script import ATTACKS, ORDERS, SENDER_FAULTS, Script, Step
from sim.swarm.studio import Studio
from sim.swarm.village import begin_s, live_tone, ns_of, pole_parts, village_of
from sim.village.faults import KINDS, Kind
from sim.world.breaks import Break, Breaks
from sim.world.broker import Message
from sim.world.world import VILLAGE, World

STEP_NS: Final = 600 * NS_PER_S

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Came:
    """An order that came to a node, and what it made of it."""

    at_ns: int
    data: bytes
    fate: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a node told: an answer, the record of an item, a fault."""

    at_ns: int
    topic: str
    payload: bytes

    @property
    def record(self) -> Record | None:
        """Return the record of an item, where it is one."""
        if self.topic != "proof":
            return None
        return msgspec.json.decode(self.payload, type=Entry).record

    @property
    def answer(self) -> Acknowledgement | None:
        """Return the answer to an order, where it is one."""
        return answer_in(self.payload) if self.topic == "acknowledgement" else None


@dataclass(frozen=True, slots=True)
class Streamed:
    """A packet of sound of a live programme that comes through to a pole."""

    at_ns: int
    sent_ns: int
    number: int
    """Of the order that announced it."""
    repairs: bool


@dataclass(slots=True)
class PoleHistory:
    """What was seen of one pole; all times are true ns of the history."""

    name: str
    journal: list[str]
    ear: Ear = field(default_factory=Ear)
    came: list[Came] = field(default_factory=list)
    emitted: list[Told] = field(default_factory=list)
    reported: list[Told] = field(default_factory=list)
    """What reached the station."""
    on: list[Span] = field(default_factory=list)
    connected: list[Span] = field(default_factory=list)
    """As the broker saw it."""
    streamed: list[Streamed] = field(default_factory=list)
    """Packets of live programmes that came through to the pole, on or off, as they were sent."""
    asked_ns: list[int] = field(default_factory=list)
    """When the node asked for lost packets."""
    taken: set[bytes] = field(default_factory=set)
    """Orders that the node has acknowledged to the broker."""
    since_on_ns: int = -1
    since_connected_ns: int = -1

    def note_sound(self, sound: NDArray[np.float32], leaves_ns: int) -> None:
        """Hear what the horn plays.

        sound  (n, channels) float32, full scale 1.0
        """
        self.ear.note_sound(sound, leaves_ns)

    def note_order(self, payload: bytes, fate: str, at_ns: int) -> None:
        """See an order come."""
        self.came.append(Came(at_ns, payload, fate))
        self._write(at_ns, f"order {payload[-12:].hex()}: {fate}")

    def note_event(self, event: Event, at_ns: int) -> None:
        """See what the node tells its shell."""
        if isinstance(event, Publish):
            self.emitted.append(Told(at_ns, event.topic, event.payload))
        elif isinstance(event, SendDatagram) and is_feedback(event.data):
            self.asked_ns.append(at_ns)
        self._write(at_ns, repr(event)[:160])

    def note_power(self, at_ns: int, *, on: bool) -> None:
        """See the daemon begin, or end."""
        if on:
            self.since_on_ns = at_ns
        elif self.since_on_ns >= 0:
            self.on.append((self.since_on_ns, at_ns))
            self.since_on_ns = -1
        self._write(at_ns, "on" if on else "off")

    def note_link(self, what: str, message: Message | None, at_ns: int) -> None:
        """See what the broker sees."""
        if what == "connected":
            self.since_connected_ns = at_ns
        elif what == "left" and self.since_connected_ns >= 0:
            self.connected.append((self.since_connected_ns, at_ns))
            self.since_connected_ns = -1
        elif message is not None:
            self.taken.add(message.payload)
        self._write(at_ns, what)

    def note_report(self, topic: str, payload: bytes, at_ns: int) -> None:
        """See what reaches the station."""
        self.reported.append(Told(at_ns, topic, payload))
        self._write(at_ns, f"station hears {topic} {payload[-24:].hex()}")

    def close(self, at_ns: int) -> None:
        """End what is open."""
        for spans, since_ns in (
            (self.on, self.since_on_ns),
            (self.connected, self.since_connected_ns),
        ):
            if since_ns >= 0:
                spans.append((since_ns, at_ns))

    def _write(self, at_ns: int, text: str) -> None:
        self.journal.append(f"{at_ns / NS_PER_S:.9f} {self.name} {text}")


@dataclass(frozen=True, slots=True)
class AtEnd:
    """How a pole is at the end."""

    on: bool
    connected: bool
    state: bytes
    behind: bool


@dataclass(slots=True)
class History:
    """All that was seen."""

    script: Script
    utc_s: int
    end_ns: int
    poles: dict[str, PoleHistory]
    given: list[Given]
    journal: list[str]
    ends: dict[str, AtEnd] = field(default_factory=dict)
    crash: str = ""
    """What ended a daemon by a mistake of its own."""


def live(script: Script) -> History:
    """Live through a script, to its end or to a crash."""
    return _Life(script).run()


class _Life:
    def __init__(self, script: Script) -> None:
        self._script = script
        village = village_of(script)
        parts = [
            pole_parts(script, pole, place)
            for pole, place in zip(script.poles, village.places, strict=True)
        ]
        journal: list[str] = []
        poles = {one.name: PoleHistory(one.name, journal) for one in script.poles}
        utc_s = begin_s(script)
        witnessed = [replace(one, witness=poles[one.place.node]) for one in parts]
        self._world = World(village, witnessed, (), seed=script.seed, utc_s=utc_s)
        loop, broker = self._world.loop, self._world.broker
        self._poles = dict(zip(poles, self._world.poles, strict=True))
        desk = self._desk = Desk(
            loop, broker, seed=script.seed, utc_s=utc_s, told=self._note_report
        )
        self._history = History(script, utc_s, ns_of(script.end_s), poles, desk.given, journal)
        self._studio = Studio(self._world, tuple(poles), sent=self._note_streamed)
        broker.watch = self._note_link
        loop.call_at_ns(0, desk.certify)
        loop.call_at_ns(self._history.end_ns - 1, self._look)
        for step in script.steps:
            self._plan(step)
        Breaks(self._world, broker_back=desk.come_back).plan(self._breaks())

    def run(self) -> History:
        history = self._history
        try:
            for _ in self._world.advance(history.end_ns, step_ns=STEP_NS):
                pass
        except Exception as fault:  # a mistake of the daemon's own is what is looked for here
            where = traceback.extract_tb(fault.__traceback__)[-1]
            name = Path(where.filename).name
            history.crash = f"{name}:{where.lineno}: {type(fault).__name__}: {fault}"
            history.journal.append(history.crash)
        for one in history.poles.values():
            one.close(self._world.loop.now_ns)
        self._world.close()
        return history

    def _look(self) -> None:
        for name, pole in self._poles.items():
            broker = self._world.broker
            state = broker.retained(f"pa/v1/{VILLAGE}/node/{name}/state") or b""
            self._history.ends[name] = AtEnd(pole.on, broker.connected(name), state, pole.behind)

    def _plan(self, step: Step) -> None:
        """Let the station order, or strangers in its name."""
        loop, at_ns = self._world.loop, ns_of(step.at_s)
        if step.do in ORDERS:
            loop.call_at_ns(at_ns, self._desk.order, step)
            if step.do == "live":
                faults = [one for one in self._script.steps if one.do in SENDER_FAULTS]
                own = [one for one in faults if one.about == step.number]
                loop.call_at_ns(at_ns, self._studio.begin, step, own, live_tone(step.number))
        elif step.do in ATTACKS:
            loop.call_at_ns(at_ns, self._desk.attack, step)

    def _breaks(self) -> Iterator[Break]:
        """Yield the faults of the script at the poles that they meet."""
        for step in self._script.steps:
            if step.do in KINDS and step.do not in ATTACKS:
                yield Break(
                    kind=cast(Kind, step.do),
                    start_ns=ns_of(step.at_s),
                    end_ns=ns_of(step.end_s),
                    nodes=tuple(one for one in self._poles if step.pole in ("", one)),
                    amount=step.amount,
                    extra_ns=ns_of(step.held_s),
                    keeps=step.keeps,
                )

    def _note_link(self, what: str, who: str, message: Message | None) -> None:
        pole = self._history.poles.get(who)
        if pole is not None:
            pole.note_link(what, message, self._world.loop.now_ns)
        else:
            assert who == STATION, f"{who} is nobody of this village"

    def _note_streamed(self, name: str, number: int, at_ns: int, repairs: bool) -> None:
        one = Streamed(at_ns, self._world.loop.now_ns, number, repairs)
        self._history.poles[name].streamed.append(one)

    def _note_report(self, name: str, topic: str, payload: bytes) -> None:
        self._history.poles[name].note_report(topic, payload, self._world.loop.now_ns)
