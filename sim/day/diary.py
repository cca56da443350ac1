"""The controller of a node with a diary: what it granted, how loud, who took the horn from whom.

It decides nothing: each method is the controller's own, and what passes through is written down.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from node.control.civil_time import MINUTE_S
from node.control.controller import Controller
from node.control.events import ControllerEvent, StartPart, StopPart
from node.control.loudness.regulation import RuleFile
from node.control.orders import OWN_SSRCS
from node.control.precedence import SILENT_DB, MessageClass
from node.control.settings import ControlConfig
from node.control.trust.signature import Signer
from node.units import NS_PER_MS, NS_PER_S
from sim.day.station import class_name
from sim.result.day import DayDecision, DaySpan, DayVolume

_MINUTE_NS: Final = MINUTE_S * NS_PER_S

_LOOK_NS: Final = NS_PER_S
"""Sound is seen by looks, so long after its first sample at the most."""


class WatchedController(Controller):
    """The node's own controller, which also says what it was told and what it told."""

    # Of more than 30 attributes each object has a table of names of its own, of 1.3 kB.
    __slots__ = (
        "_at_ns", "active", "begun", "gains_db", "granted", "last_fate", "parts", "priority",
        "stream_gain",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        config: ControlConfig,
        rules: tuple[RuleFile, ...],
        stored: Mapping[str, bytes],
        signer: Signer,
    ) -> None:
        self.granted: tuple[int, ...] = ()
        self.gains_db: dict[int, float] = {}
        self.parts: dict[int, StartPart] = {}
        self.active: set[int] = set()
        """Sources with something to play, whether they have the horn or not."""
        self.begun: Callable[[StartPart, int], None] = lambda part, now_ns: None
        self.stream_gain: Callable[[float, int], None] = lambda gain_db, now_ns: None
        self.last_fate = ""
        self.priority = config.priority
        self._at_ns = 0
        super().__init__(name, config, rules, stored, signer)

    def receive_grants(self, sources: tuple[int, ...], now_ns: int) -> None:
        """Note which sources sound now."""
        self.granted = sources
        super().receive_grants(sources, now_ns)

    def source_gain_db(self, source: int, now_ns: int) -> float:
        """Return how loud `source` would be now: what the speaker is told."""
        gain_db = super().source_gain_db(source, now_ns)
        if self.source_class(source) is not None:  # of what is over, the end still sounds
            self.gains_db[source] = gain_db
            if source < OWN_SSRCS and source not in self.parts:
                self.stream_gain(gain_db, now_ns)
        return gain_db

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> str:
        """Take one MQTT message, and note what became of it: who refuses does not always answer."""
        self.last_fate = super().receive_message(topic, payload, now_ns)
        return self.last_fate

    def handle_deadline(self, now_ns: int) -> None:
        """Start, go on and end what is due."""
        self._at_ns = now_ns
        super().handle_deadline(now_ns)

    def next_event(self) -> ControllerEvent | None:
        """Return the oldest event not yet taken, or None."""
        event = super().next_event()
        if isinstance(event, StartPart):
            self.parts[event.source] = event
            self.active.add(event.source)
            self.begun(event, self._at_ns)
        elif isinstance(event, StopPart):
            self.active.discard(event.source)
        return event


@dataclass(slots=True)
class Begun:
    """An item that began at a node, and when it was first heard."""

    message_class: MessageClass
    start_ns: int
    first_sample_ns: int | None = None
    """As the node tells it, unless it was seen that nothing sounded yet."""
    seen: bool = False
    """Whether it has sounded."""
    languages: list[str] = field(default_factory=list)
    """Of the parts with words that began, in their order."""


class Diary:
    """What happened at one node; all times are ns into the day."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.begun: dict[str, Begun] = {}
        self.spans: list[DaySpan] = []
        self.decisions: list[DayDecision] = []
        self.volumes: list[DayVolume] = []
        self.unmuted: list[tuple[float, float]] = []
        """From when to when the node held the amplifier un-muted, s; inf: still."""
        self.streams: list[tuple[int, int | None]] = []
        """From when on which live stream had the horn; None: none had."""
        self.silenced: list[tuple[int, bool]] = []
        """From when on live streams were played at no volume, or at one again; as they are told."""
        self._open: DaySpan | None = None
        self._seen: tuple[str, float, int] = ("", SILENT_DB, -1)
        self._holder: str | None = None
        self._waiting: dict[str, int] = {}
        """Item that lost the horn to its decision's number."""

    @property
    def holder(self) -> str | None:
        """Return the item that has the horn, or None."""
        return self._holder

    def note_begin(self, part: StartPart, at_ns: int) -> None:
        """Note that a part starts; the first of its item counts."""
        begun = self.begun.setdefault(part.name, Begun(part.message_class, at_ns))
        if part.language not in ("", "any", *begun.languages):
            begun.languages.append(part.language)

    def note_holder(self, part: StartPart | None, at_ns: int, *, why: str) -> None:
        """Note who has the horn from `at_ns` on, the instant of its first sample."""
        name = None if part is None else part.name
        if name == self._holder:
            return
        before, self._holder = self._holder, name
        if name is None:
            return
        begun = self.begun[name]
        if begun.first_sample_ns is None:
            begun.first_sample_ns = at_ns
        if before is not None and why:
            self._waiting[before] = len(self.decisions)
            self.decisions.append(
                DayDecision(
                    node=self.node,
                    at_s=at_ns / NS_PER_S,
                    item=before,
                    taken_by=name,
                    why=why,
                    first_sample_ms=(at_ns - begun.start_ns) / NS_PER_MS,
                    back_s=None,
                )
            )
        if name in self._waiting:
            number = self._waiting.pop(name)
            found = self.decisions[number]
            self.decisions[number] = _with_return(found, at_ns)

    def note_sound(
        self, controller: WatchedController, part: StartPart | None, now_ns: int, at_ns: int
    ) -> None:
        """Note what sounds now and how loud; `now_ns` is the node's time of `at_ns`."""
        if part is None:
            self._close(at_ns)
            return
        told_db = controller.gains_db.get(part.source, SILENT_DB)
        seen = (part.name, told_db, at_ns // _MINUTE_NS)
        if self._open is not None and seen == self._seen:
            return  # plans and limits change on whole minutes
        self._seen = seen
        decision, verdict = controller.loudness(part.message_class, now_ns, level=part.level)
        asked_dba = None if verdict.expected_dba == SILENT_DB else verdict.expected_dba
        silent = told_db == SILENT_DB or asked_dba is None
        played_dba = None if silent else round(verdict.expected_dba + told_db - decision.gain_db, 1)
        span = DaySpan(
            node=self.node,
            from_s=at_ns / NS_PER_S,
            until_s=at_ns / NS_PER_S,
            item=part.name,
            message_class=class_name(part.message_class),
            volume=decision.volume,
            asked_dba=asked_dba,
            played_dba=played_dba,
            limit_dba=verdict.limit_dba,
            action=verdict.action,
            rule=verdict.rule,
        )
        if self._open is not None:
            same = replace(span, from_s=self._open.from_s, until_s=self._open.until_s)
            if same == self._open:
                return
        self._close(at_ns)
        self._open = span
        if silent:
            return
        begun = self.begun[part.name]
        told_ns = begun.first_sample_ns
        least_ns = max(at_ns - _LOOK_NS, begun.start_ns)
        if not begun.seen and told_ns is not None and told_ns < least_ns:
            begun.first_sample_ns = at_ns  # it began without its card, or was late for it
        begun.seen = True

    def note_stream(self, source: int | None, at_ns: int) -> None:
        """Note which live stream has the horn from `at_ns` on, the instant of its first sample."""
        if source != (self.streams[-1][1] if self.streams else None):
            self.streams.append((at_ns, source))

    def note_volume_of_stream(self, at_ns: int, *, silent: bool) -> None:
        """Note whether live streams are silenced from `at_ns` on."""
        if silent != (self.silenced[-1][1] if self.silenced else False):
            self.silenced.append((at_ns, silent))

    def note_volume(self, controller: WatchedController, now_ns: int, at_ns: int) -> None:
        """Note what the plan and the noise rule say for a normal message, when it has changed."""
        decision, verdict = controller.loudness(MessageClass.NORMAL, now_ns)
        last = self.volumes[-1] if self.volumes else None
        if last is None or (last.volume, last.limit_dba) != (decision.volume, verdict.limit_dba):
            self.volumes.append(
                DayVolume(
                    node=self.node,
                    at_s=at_ns / NS_PER_S,
                    volume=decision.volume,
                    limit_dba=verdict.limit_dba,
                )
            )

    def note_amplifier(self, at_ns: int, *, on: bool) -> None:
        """Note that the node un-mutes the amplifier, or mutes it."""
        begin_s, end_s = self.unmuted[-1] if self.unmuted else (0.0, 0.0)
        if on and end_s < inf:
            self.unmuted.append((at_ns / NS_PER_S, inf))
        elif not on and end_s == inf:
            self.unmuted[-1] = (begin_s, at_ns / NS_PER_S)

    def note_silence(self, at_ns: int) -> None:
        """Note that nothing can sound from now on, and what waited waits no more."""
        self._close(at_ns)
        self.note_stream(None, at_ns)
        self._holder = None
        self._waiting.clear()

    def _close(self, at_ns: int) -> None:
        if self._open is not None:
            self.spans.append(replace(self._open, until_s=at_ns / NS_PER_S))
            self._open = None


def _with_return(found: DayDecision, at_ns: int) -> DayDecision:
    return replace(found, back_s=at_ns / NS_PER_S)
