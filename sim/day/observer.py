"""What is written down of one node while it lives: it looks, and decides nothing."""

from collections.abc import Callable, Mapping
from math import inf

import msgspec

from node.control.calendar.play_state import Record
from node.control.events import StartPart
from node.control.orders import Acknowledgement
from node.control.precedence import SILENT_DB
from node.control.proof.proof import Entry
from node.control.proof.record_keeper import TOPIC as PROOF_TOPIC
from node.control.trust.fates import is_good
from node.control.trust.message import open_envelope
from node.control.trust.once import ReplayGuard
from node.events import AmplifierSwitched, Event, Publish, SourceChanged
from node.source.stored_sound import OWN_SSRCS
from node.units import NS_PER_S
from sim.day.diary import Diary, WatchedController
from sim.day.station import class_name


class Observer:
    """Diary, records and answers of one node, over all its boots.

    Parameters
    ----------
    node : str
        Its name.
    to_day_ns : callable
        Makes ns into the day of the node's own monotonic ns.
    lead_ns : int or None
        From the card's question to the sound in the horn, of a node that mutes its amplifier; None:
        that mutes by itself.
    """

    def __init__(
        self, node: str, to_day_ns: Callable[[int], int], *, lead_ns: int | None = None
    ) -> None:
        self._to_day_ns = to_day_ns
        self.diary = Diary(node)
        self.records: list[Record] = []
        self.proof: list[bytes] = []
        self.answers: dict[tuple[str, int], str] = {}
        """(key id of who ordered, counter) to what the node made of the order when it came."""
        self.came_ns: dict[tuple[str, int], int] = {}
        """... to when it first came, ns into the day."""
        self.came_again: list[tuple[tuple[str, int], int, str]] = []
        """Each copy of an order that had come before: which, when, and what the node made of it."""
        self.forgotten: set[tuple[str, int]] = set()
        """Orders that had come and were not on its disk when the power went."""
        self.cuts_s: list[float] = []
        """When the power went, s into the day."""
        self.timed_s: list[tuple[float, float]] = []
        """From when to when it knew the time, s into the day; inf: still."""
        self.orders_came = 0
        self._lead_ns = lead_ns
        self._sounding: StartPart | None = None

    def watch(self, controller: WatchedController) -> None:
        """Look at the controller of a new boot."""
        self._controller = controller
        self._sounding = None
        controller.begun = self._note_begin
        controller.stream_gain = self._note_stream_gain

    def note_order(self, data: bytes, at_ns: int) -> None:
        """Note what the controller made of an order that came `at_ns` into the day."""
        self.orders_came += 1
        message = open_envelope(data)
        if not isinstance(message, str):
            key = (message.key_id.hex(), message.counter)
            if key in self.came_ns:
                self.forgotten.discard(key)
                self.came_again.append((key, at_ns, self._controller.last_fate))
            self.answers.setdefault(key, self._controller.last_fate)
            self.came_ns.setdefault(key, at_ns)

    def came_at_ns(self, data: bytes) -> int | None:
        """Return when an order first came, ns into the day; None when it never did."""
        message = open_envelope(data)
        assert not isinstance(message, str), "the station seals what it sends"
        return self.came_ns.get((message.key_id.hex(), message.counter))

    def note_event(self, event: Event) -> None:
        """Note what the node tells: an answer, a record, or who has the horn."""
        if isinstance(event, Publish):
            self._note_published(event)
        elif isinstance(event, AmplifierSwitched):
            seen_ns = self._to_day_ns(event.at_ns) - (self._lead_ns or 0)
            self.diary.note_amplifier(seen_ns, on=event.on)
        elif isinstance(event, SourceChanged):
            self.note_stream(event)
            part = self.granted() if event.ssrc is not None else None
            self.diary.note_holder(part, self._to_day_ns(event.at_ns), why=self._why(part))

    def note_sound(
        self, now_ns: int, day_ns: int | None = None, granted: tuple[int, ...] | None = None
    ) -> None:
        """Note what sounds at `now_ns` of the node's clock, which is `day_ns` into the day.

        That is `granted`, by the controller's numbers; None: what the controller was told of.
        """
        if day_ns is None:
            day_ns = self._to_day_ns(now_ns)
        self.diary.note_sound(self._controller, self.granted(granted), now_ns, day_ns)

    def note_stream(self, event: SourceChanged) -> None:
        """Note whether a live stream has the horn."""
        live = event.ssrc is not None and event.ssrc < OWN_SSRCS
        self.diary.note_stream(event.ssrc if live else None, self._to_day_ns(event.at_ns))

    def note_time(self, at_ns: int, *, known: bool) -> None:
        """Note whether the node knows the time."""
        begin_s, end_s = self.timed_s[-1] if self.timed_s else (0.0, 0.0)
        if known and end_s < inf:
            self.timed_s.append((at_ns / NS_PER_S, inf))
        elif not known and end_s == inf:
            self.timed_s[-1] = (begin_s, at_ns / NS_PER_S)

    def note_power_cut(self, at_ns: int, disk: Mapping[str, bytes] | None = None) -> None:
        """Note that the node is off, `at_ns` into the day; `disk` has what it will find there."""
        if disk is not None:
            used = ReplayGuard(disk)
            self.forgotten |= {
                (key_id, counter)
                for key_id, counter in self.came_ns
                if used.refusal(bytes.fromhex(key_id), counter) is None
            }
        self.note_time(at_ns, known=False)
        self.diary.note_amplifier(at_ns, on=False)
        self.diary.note_silence(at_ns)
        self.cuts_s.append(at_ns / NS_PER_S)

    @property
    def unmuted(self) -> list[tuple[float, float]] | None:
        """Return from when to when the node held the amplifier un-muted, s; None: it cannot.

        As what sounds is seen: when the card asks for it, which is before it leaves the horn.
        """
        return None if self._lead_ns is None else self.diary.unmuted

    def granted(self, granted: tuple[int, ...] | None = None) -> StartPart | None:
        """Return the part that has the horn; of one that is over the end still sounds.

        Of those that `granted` says have it, or the controller knows to have it.
        """
        if granted is None:
            granted = self._controller.granted
        if not granted:
            return None
        if granted[0] >= OWN_SSRCS:
            return self._sounding
        self._sounding = self._controller.parts.get(granted[0])
        return self._sounding

    def _note_stream_gain(self, gain_db: float, now_ns: int) -> None:
        silent = gain_db <= SILENT_DB
        self.diary.note_volume_of_stream(self._to_day_ns(now_ns), silent=silent)

    def _note_begin(self, part: StartPart, now_ns: int) -> None:
        self.diary.note_begin(part, self._to_day_ns(now_ns))

    def _note_published(self, event: Publish) -> None:
        if event.topic == PROOF_TOPIC:
            self.proof.append(event.payload)
            self.records.append(msgspec.json.decode(event.payload, type=Entry).record)
        elif event.topic == "acknowledgement":
            message = open_envelope(event.payload)
            assert not isinstance(message, str), "the node seals what it answers"
            answer = msgspec.json.decode(message.content, type=Acknowledgement)
            key = (answer.issuer, answer.counter)
            before = self.answers.get(key)
            if before is None or is_good(answer.fate) or not is_good(before):  # else of a copy
                self.answers[key] = answer.fate

    def _why(self, part: StartPart | None) -> str:
        """Return why `part` goes before what had the horn; empty when that was over."""
        before = self.diary.holder
        if part is None or before is None:
            return ""
        playing = [
            one
            for source, one in self._controller.parts.items()
            if one.name == before and self._controller.source_class(source) is not None
        ]
        if not playing:
            return ""
        both = (part, playing[0])
        kinds = [f"{class_name(one.message_class)} of the {one.level}" for one in both]
        ranks = [self._controller.priority.rank(one.message_class, one.level) for one in both]
        how = "in a pause of" if ranks[0] < ranks[1] else "goes before"
        return f"{kinds[0]} {how} {kinds[1]}"
