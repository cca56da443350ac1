"""A speaker node that obeys: only what signed orders allow sounds, and as loud as the plan says.

```
 MQTT ─► Controller ─► who may speak, class, gain ─► SpeakerNode ─► sound
                 ▲ ─► stored sounds, as sources ──────▲  │
                 └───────────── who has the horn ────────┘
```
It has the face of `node.stack.SpeakerNode`, so the shell and the simulator drive either. Streams
that nobody announced are dropped before they are decoded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from node.address import split_host_port
from node.audio.demo_mark import DemoMark
from node.control.controller import Controller
from node.control.events import (
    FetchMedia,
    GainChanged,
    SourceAllowed,
    SourceEnded,
    StartPart,
    StartTone,
    StopPart,
    StopTone,
)
from node.control.precedence import MessageClass
from node.control.sessions import Flow
from node.control.trust.fates import is_good
from node.counters import Count, by_name
from node.events import Event, FetchFile, LoopVerdict, Persist
from node.heard_as import HeardAs
from node.hearing.monitor import Monitor
from node.peers.joining import Station
from node.peers.neighbour import MAP_NAME
from node.rtp.packet import Peeked, peek
from node.source.stored_sound import OWN_SSRCS, Recording, StoredSource
from node.stack import SpeakerNode
from node.units import NS_PER_MS

_LOOK_NS: Final = 10 * NS_PER_MS
"""How often a stored sound is looked at that should have ended by now."""

_WAKE_NS: Final = 100 * NS_PER_MS
"""A busy node un-mutes its amplifier so late."""

EVENTS_MAX: Final = 16_384
"""What must be kept is never dropped; each call adds what the controller holds at most, 8192."""


@dataclass(slots=True)
class _Stored:
    """A source of stored sounds that the controller plays on, now or again."""

    source: StoredSource
    told: bool = True
    """Whether the controller knows that its sound has ended."""
    look_ns: int = 0
    """When to look whether it has."""


class GovernedSpeaker:
    """A `SpeakerNode` under a `Controller`.

    Parameters
    ----------
    speaker : SpeakerNode
        The sound.
    controller : Controller
        What plays, how loud, and who may.
    library : mapping of str to Recording or tuple of bytes
        Stored sounds: hash to Opus packets of 20 ms. The shell reads them; what is missing is
        recorded as not played.
    playout_delay_ms : int
        Of the speaker: stored sounds that are not urgent begin so much after their time, as
        streams do, so that all nodes begin together however busy they are. Where its amplifier
        takes longer to let sound through they begin when it does, also if it was not mute.
    monitor : Monitor or None
        Sees what leaves the node, where a loop listens to the horn.
    is_demo : bool
        A tone now and then says that this is a demonstration.
    """

    def __init__(
        self,
        speaker: SpeakerNode,
        controller: Controller,
        library: Mapping[str, Recording | tuple[bytes, ...]],
        *,
        playout_delay_ms: int,
        monitor: Monitor | None = None,
        is_demo: bool = False,
    ) -> None:
        released_ns = speaker.mute_release_ns + _WAKE_NS if speaker.mute_release_ns else 0
        self._playout_delay_ns = max(playout_delay_ms * NS_PER_MS, released_ns)
        self._mark = DemoMark() if is_demo else None
        self._monitor = monitor
        self._speaker, self._controller, self._library = speaker, controller, library
        self._open_to_all = controller.plays_unknown_streams
        self._repair_type = speaker.retransmission_payload_type
        self._stored: dict[int, _Stored] = {}
        self._heard = HeardAs(speaker, controller)
        self.sounding = self._heard.sounding
        self._sounding: tuple[int, ...] = ()
        self._granted: tuple[int, ...] = ()  # by the speaker, when the controller was told last
        self._now_ns = self._gains_until_ns = self._refused = 0
        self._refused_from = ""  # as it says: the last datagram that no announced sender made
        self._flow: Flow | None = None
        self._admitted_ssrc = self._bad_messages = 0  # the packet that was admitted last
        self._events: list[Event] = []
        self._follow_controller()

    def receive_datagram(self, data: bytes, source: tuple[str, int], now_ns: int) -> None:
        """Take one datagram; what no announced sender made is dropped and counted, undecoded."""
        packet = self.admit(data, source, now_ns)
        if packet is not None:
            is_sealed = self._controller.sessions.is_sealed(self._admitted_ssrc)
            self._speaker.receive_datagram(packet, source, now_ns, is_authentic=is_sealed)

    def admit(self, data: bytes, source: tuple[str, int], now_ns: int) -> bytes | None:
        """Return the packet in a datagram if the speaker is to get it; others are counted."""
        self._note_time(now_ns)
        if (
            (one := self._flow) is not None
            and data[8:12] == one.ssrc_bytes
            and data[1] == one.second
            and source == one.source
            and MAP_NAME not in data
        ):
            if (packet := one.open(data, source, self._now_ns)) is None:
                self._refuse(source)
            self._admitted_ssrc = one.ssrc
            return packet
        return self.admit_anew(data, source, now_ns)

    def admit_anew(self, data: bytes, source: tuple[str, int], now_ns: int) -> bytes | None:
        """Return the packet in a datagram that is not of the flow that spoke last, as `admit`."""
        if self._speaker.receive_from_neighbour(data, source, now_ns):
            return None  # it names no sender and holds no sound
        header = peek(data)
        may_be_heard = header is not None and self._may_be_heard(header)
        packet = None
        if header is not None and self._may_be_theirs(header, heard=may_be_heard):
            packet = self._authenticated(data, header, source)
        if packet is None:
            self._refuse(source)
        if not may_be_heard or header is None:
            return None
        self._admitted_ssrc = header.ssrc
        if packet is not None and not header.is_rtcp:
            self._flow = self._controller.sessions.flow_of(data, header.ssrc, source)
        return packet

    def _refuse(self, source: tuple[str, int]) -> None:
        """Count a datagram that no announced sender made."""
        self._refused += 1
        self._refused_from = source[0]

    def foresee(self, payload: bytes, now_ns: int) -> Persist | None:
        """Return what must be on the disk before an order is received; None if it will not act."""
        return self._controller.foresee(payload, now_ns)

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> None:
        """Take one MQTT message: a signed order, or it is counted and does nothing."""
        self._note_time(now_ns)
        self._heard.tell_made_up()
        fate = self._controller.receive_message(topic, payload, self._now_ns)
        self._bad_messages += not is_good(fate)
        self._follow_controller()
        self._set_gains()

    def receive_time(self, utc_ns: int, now_ns: int, *, synchronised: bool) -> None:
        """Take a reading of the machine's civil clock, every minute and after each step of it."""
        self._note_time(now_ns)
        self._heard.tell_made_up()
        self._controller.receive_time(utc_ns, self._now_ns, synchronised=synchronised)
        self._follow_controller()
        self._set_gains()

    def known_time(self, now_ns: int) -> tuple[int, bool]:
        """Return the least that civil time can be, in seconds, and whether it is known."""
        return self._controller.known_time(now_ns)

    def receive_nonce(self, nonce: bytes, now_ns: int) -> None:
        """Take 16 random bytes, by which the station is asked for the time if it is not known."""
        self._controller.receive_nonce(nonce, now_ns)
        self._follow_controller()

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that the sink asks for sound from now on, or that it cannot: its card is gone."""
        self._note_time(now_ns)
        self._speaker.receive_sink(now_ns, sounds=sounds)
        self._follow_grants()
        self._controller.receive_sink(self._now_ns, sounds=sounds)
        self._follow_controller()
        self._follow_stored()

    def receive_verdict(self, verdict: LoopVerdict, now_ns: int) -> str | None:
        """Take what a loop heard of what this node played; return what is wrong with the horn."""
        self._note_time(now_ns)
        fault = self._controller.receive_verdict(verdict, self._now_ns)
        self._follow_controller()
        return fault

    def leave(self) -> None:
        """Say goodbye to those whose streams it has."""
        self._speaker.leave()

    def handle_deadline(self, now_ns: int) -> None:
        """Do what is due: orders, programmes, the ends of stored sounds, reports."""
        self._note_time(now_ns)
        self._follow_grants()
        self._heard.tell_made_up()
        self._controller.handle_deadline(self._now_ns)
        self._follow_controller()
        self._follow_stored()
        self._speaker.handle_deadline(self._now_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None when nothing is pending."""
        if self._speaker.sounding() != self._granted:
            return self._now_ns  # the sound card has seen to it since: what time it is is not known
        ends_ns = [self._controller.next_deadline_ns(), self._speaker.next_deadline_ns()]
        ends_ns += [one.look_ns for one in self._stored.values() if not one.told]
        return min((one for one in ends_ns if one is not None), default=None)

    def render(self, out: NDArray[np.float32], presentation_ns: int) -> None:
        """Fill `out`, (n, channels) float32, whose first sample leaves the DAC at that instant."""
        self._speaker.render(out, presentation_ns)
        if self._mark is not None:
            self._mark.process(out, presentation_ns)
        if self._monitor is not None:
            self._monitor.process(out, presentation_ns)

    def rests(self, unasked: int = 0) -> bool:
        """Note `unasked` samples of silence; return whether more come until something else does."""
        is_silent = self._mark is None and (self._monitor is None or self._monitor.rests)
        return is_silent and self._speaker.rests()

    def next_event(self) -> Event | None:
        """Return the oldest event not yet taken, or None. What must be kept comes first."""
        while (event := self._speaker.next_event()) is not None:
            self._tell(event)
        self._follow_grants()
        return self._events.pop(0) if self._events else None

    @property
    def stations(self) -> tuple[Station, ...]:
        """Where the streams of the open sessions are to be asked for."""
        found = []
        for ssrc, text, key in self._controller.sessions.joins():
            address = split_host_port(text)
            assert address is not None, "looked at when the session came"
            found.append(Station(*address, key, ssrc))
        return tuple(found)

    @property
    def counts(self) -> NDArray[np.int64]:
        """What was counted so far, indexed by `counters.Count`: (COUNTS,) int64."""
        total = self._speaker.counts.copy()
        total[Count.DATAGRAMS_RECEIVED] += self._refused
        total[Count.DROPPED_UNAUTHENTICATED] += self._refused
        total[Count.DROPPED_MESSAGE] += self._bad_messages
        return total

    def status(self) -> dict[str, object]:
        """Return what a person wants to know, JSON-able."""
        control = self._controller.status(self._now_ns) | {"refused_from": self._refused_from}
        return self._speaker.status(by_name(self.counts)) | {"control": control}

    def signs(self) -> dict[str, object]:
        """Return of `status` what faults are seen by: it is looked at every few seconds."""
        return self._heard.signs(self._now_ns, self._refused, self._refused_from)

    def _note_time(self, now_ns: int) -> None:
        """Let no time run backwards, and no gain outlive its minute."""
        self._now_ns = max(now_ns, self._now_ns)
        if self._now_ns >= self._gains_until_ns:
            self._set_gains()

    def _follow_grants(self) -> None:
        """Tell the controller who sounds, when that has changed."""
        self._granted = self._speaker.sounding()
        if (sounding := self.sounding()) == self._sounding:
            return
        self._heard.tell_quiet([one for one in self._sounding if one not in sounding])
        self._sounding = sounding
        self._controller.receive_grants(sounding, self._now_ns)
        self._follow_controller()
        self._set_gains()  # the controller tells of the one that had the horn
        for one in self._stored.values():
            one.look_ns = self._now_ns + max(one.source.left_ns, _LOOK_NS)

    def _follow_stored(self) -> None:
        """Tell the controller which stored sounds have ended, and which go back a sentence."""
        for number, one in list(self._stored.items()):
            rewound_ns = one.source.take_rewound_ns()
            if rewound_ns:
                self._controller.receive_rewound(number, rewound_ns, self._now_ns)
            if one.told or one.look_ns > self._now_ns:
                continue
            one.look_ns = self._now_ns + max(one.source.left_ns, _LOOK_NS)
            if one.source.finished:
                one.told = True
                self._controller.receive_part_ended(number, self._now_ns)
                self._follow_controller()

    def _follow_controller(self) -> None:
        """Do what the controller tells."""
        self._flow = None
        while (event := self._controller.next_event()) is not None:
            if isinstance(event, StartPart | SourceAllowed | StartTone):
                self._speaker.wake(self._now_ns)
            if isinstance(event, StartPart):
                self._start(event)
            elif isinstance(event, StopPart):
                self._stop(event.source)
            elif isinstance(event, SourceAllowed):
                self._heard.hear(event.source, event.source, self._now_ns)
            elif isinstance(event, SourceEnded):
                self._heard.forget(event.source, self._now_ns)
                self._speaker.end_source(event.source, self._now_ns)
            elif isinstance(event, GainChanged):
                self._set_gains()
            elif isinstance(event, StartTone):
                assert self._monitor is not None, "who has no loop tests nothing"
                ready_ns = self._now_ns + self._speaker.mute_release_ns
                self._monitor.begin_tone(ready_ns, silent=event.silent)
            elif isinstance(event, StopTone):
                assert self._monitor is not None, "who has no loop tests nothing"
                self._monitor.end_tone()
            elif isinstance(event, FetchMedia):
                name = f"sha1:{event.digest_sha1}"
                if name not in self._library:
                    self._tell(FetchFile(event.uri, name, event.size_bytes))
            else:
                self._tell(event)
        self._heard.follow_names(self._now_ns)

    def _may_be_heard(self, header: Peeked) -> bool:
        """Return whether what a datagram claims to be may sound, or repair what sounds, now."""
        repairs = header.payload_type == self._repair_type
        return header.is_rtcp or repairs or self._heard.may_speak(header.ssrc)

    def _may_be_theirs(self, header: Peeked, *, heard: bool) -> bool:
        """Return whether a session, or the rules for unknown streams, could let it in."""
        known = heard or self._controller.sessions.knows(header.ssrc)
        return known and header.ssrc < OWN_SSRCS

    def _authenticated(self, data: bytes, header: Peeked, source: tuple[str, int]) -> bytes | None:
        """Return the packet inside `data`, or None when it is not the session's."""
        ssrc, is_rtcp = header.ssrc, header.is_rtcp
        sessions = self._controller.sessions
        packet = sessions.authenticate(data, ssrc, source, self._now_ns, is_rtcp=is_rtcp)
        if self._open_to_all and not is_rtcp and ssrc not in self._heard:
            self._heard.hear(ssrc, ssrc, self._now_ns)
        return packet

    def _start(self, part: StartPart) -> None:
        if part.kind == "relay":
            self._heard.relay(part, self._now_ns)
            return
        if (stored := self._library.get(part.media)) is None:
            self._controller.receive_part_ended(part.source, self._now_ns, failed="not stored")
            return
        if (known := self._stored.get(part.source)) is None:
            number = OWN_SSRCS + len(self._stored)
            known = _Stored(self._speaker.hold_stored(number, self._now_ns))
            self._stored[part.source] = known
        recording = stored if isinstance(stored, Recording) else Recording.of(stored)
        urgent = part.message_class is MessageClass.URGENT
        begin_ns = 0 if urgent else part.at_ns + self._playout_delay_ns
        known.source.play(recording, part.duration_s, begin_ns)
        known.told, known.look_ns = False, self._now_ns + max(known.source.left_ns, _LOOK_NS)
        self._heard.hear(part.source, known.source.ssrc, self._now_ns)
        if not urgent:
            self._controller.receive_delay(part.source, self._playout_delay_ns, self._now_ns)

    def _stop(self, number: int) -> None:
        one = self._stored.get(number)
        self._heard.forget(number, self._now_ns, keep=None if one is None else one.source.ssrc)
        if one is None:
            return
        if not one.told:
            self._speaker.end_source(one.source.ssrc, self._now_ns)
        one.told = True
        one.source.give_up()

    def _set_gains(self) -> None:
        self._gains_until_ns = self._controller.next_minute_ns(self._now_ns)
        self._heard.set_gains(self._now_ns)

    def _tell(self, event: Event) -> None:
        assert len(self._events) < EVENTS_MAX, "the shell does not take the events"
        self._events.append(event)
