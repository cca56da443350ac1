"""What plays, how loud, and who may: the parts of this package joined behind five words.

```
 orders (MQTT) ─► Gatekeeper ─► AlertBook ─┐                     ┌─► StartPart, StopPart, FetchMedia
 time ──────────► CivilClock ─► Programmes ┼► Controller events ─┼─► SourceAllowed, SourceEnded
 grants ──────────────────────► (hold) ────┘                     └─► GainChanged, Persist, Publish
                  VolumeSchedule, Regulation ─► gain_db(now_ns), lowest_class, explain
```
`node.stack` owns the arbiter and the sound; it asks `source_class` and `gain_db`, and tells who
sounds. Stored files and sirens are sources with negative numbers.
"""

from collections.abc import Mapping
from typing import Final

from node.control.authorities import book_of
from node.control.calendar.play_state import Record
from node.control.calendar.programmes import Programmes
from node.control.civil_time import FAR_S, MINUTE_S, CivilClock, Least
from node.control.events import ControllerEvent, GainChanged, StartPart, StopPart
from node.control.how_loud import HowLoud
from node.control.kept_orders import restore_orders
from node.control.loudness.language import Translate, untranslated
from node.control.loudness.regulation import Regulation, RuleFile, Verdict
from node.control.loudness.schedule import Decision
from node.control.mute import MUTED_FROM_ABOVE, Mutes
from node.control.plans import Plans
from node.control.precedence import SILENT_DB, MessageClass
from node.control.proof.answers import Answers
from node.control.proof.record_keeper import RecordKeeper
from node.control.proof.self_tests import WRITER as SELF_TESTS
from node.control.proof.self_tests import SelfTestRules, SelfTests
from node.control.read_warning import read_warning
from node.control.sessions import WRITER as SESSIONS
from node.control.sessions import Sessions, record_name
from node.control.settings import ControlConfig
from node.control.trust.fates import OF_THE_MOMENT, is_good
from node.control.trust.gatekeeper import Gatekeeper
from node.control.trust.message import Kind
from node.control.trust.order import Order, Refused
from node.control.trust.signature import Signer
from node.control.warning.alert_book import AlertBook
from node.control.warning.alert_state import KEY as ALERTS_KEY
from node.control.warning.alert_state import BookState, decode_book
from node.events import LoopVerdict, Note, Persist
from node.units import NS_PER_S

EVENTS_MAX: Final = 8192
"""One revocation may end every session, warning and plan, each with what is kept and told; after
months without power each item of five calendars has a record."""


class Controller:
    """Everything about a node but its sound."""

    def __init__(
        self,
        name: str,
        config: ControlConfig,
        rules: tuple[RuleFile, ...],
        stored: Mapping[str, bytes],
        signer: Signer | None = None,
        *,
        heard_by: str = "",
        loop: SelfTestRules | None = None,
    ) -> None:
        self._config = config
        self._answers = Answers(name, config.area, signer)
        self._clock = CivilClock(config.build_utc_s * NS_PER_S)
        tiers, self._authorities = config.priority.tiers, book_of(config)
        self._gate = Gatekeeper(self._authorities, config.area, self._clock, stored)
        self._regulation = Regulation(rules, config.regulation, config.horns, config.dwelling)
        self._events: list[ControllerEvent] = []
        self._records = RecordKeeper(stored, heard_by, "" if loop is None else loop.kind)
        proof = self._records.proof
        self.sessions = Sessions(
            proof.serial_of(SESSIONS), tiers=len(tiers), unknown=self.plays_unknown_streams,
            unsigned=config.unsigned_packets == "play",
        )  # fmt: skip
        self.self_tests = SelfTests(loop, proof.serial_of(SELF_TESTS))
        self._playing: dict[int, StartPart] = {}
        self._granted: tuple[int, ...] = ()
        self._audible: list[int] = []
        self._minute_ns = self._civil_ns = self._held_ns = 0  # held: since when the first has it
        self._told_gain_db = SILENT_DB
        self._mutes = Mutes(len(tiers), self._authorities)
        self._plans = Plans(config, self._authorities)
        self._how_loud = HowLoud(self._plans, self._regulation, config.volume.zone)
        for text in restore_orders(stored, self._gate, self._mutes, self._plans):
            self._tell(Note(text, 0))
        self._programmes = Programmes(
            self._plans.calendars(), config.programme.zone, self._regulation,
            tiers=tiers, stored=stored, proof=proof,
        )  # fmt: skip
        book = decode_book(stored.get(ALERTS_KEY))
        if self._programmes.is_damaged or book is None:
            lost = "the memory of what played is damaged: nothing from before now will play"
            self._tell(Note(lost, 0))
        self._book = AlertBook(
            config.alert, self._regulation, book or BookState(),
            tiers=tiers, languages=config.programme.languages, zone=config.volume.zone,
        )  # fmt: skip

    def foresee(self, payload: bytes, now_ns: int) -> Persist | None:
        """Return what must be on the disk before it comes, so that it acts once; None: nothing."""
        return self._gate.foresee(payload, now_ns)

    def receive_message(self, topic: str, payload: bytes, now_ns: int) -> str:
        """Take one MQTT message, never raise; answer each order of a key; return its fate."""
        order = self._gate.receive(payload, now_ns)
        self._collect(now_ns)
        if isinstance(order, Refused):
            self._tell_refusal(order, now_ns)
            self.handle_deadline(now_ns)
            return order.fate
        fate = self._act(order, now_ns)
        self._collect(now_ns)  # what it changed is kept before it is acknowledged
        self._tell(self._answers.acknowledge(order.message, fate, self._utc_s(now_ns)))
        if order.authority.emergency:
            for told in self._answers.tell_emergency(order, fate, self._utc_s(now_ns), now_ns):
                self._tell(told)
        if not is_good(fate):
            self._tell_refusal(Refused(fate, None, order.authority), now_ns)
        self.handle_deadline(now_ns)
        return fate

    def receive_time(self, utc_ns: int, now_ns: int, *, synchronised: bool) -> None:
        """Take a reading of the machine's civil clock, every minute and after each step of it."""
        stepped_ns = self._clock.receive_time(utc_ns, now_ns, synchronised=synchronised)
        self._gate.receive_time(now_ns)
        if stepped_ns:
            self._tell(Note(f"the clock was stepped by {stepped_ns / NS_PER_S:+.1f} s", now_ns))
        for order in self._gate.take_left():
            self.receive_message("", order, now_ns)
        self.handle_deadline(now_ns)

    def known_time(self, now_ns: int) -> tuple[int, bool]:
        """Return the least that civil time can be, in seconds, and whether it is known."""
        return self._clock.least_s(now_ns), self._clock.trusted

    def receive_nonce(self, nonce: bytes, now_ns: int) -> None:
        """Take 16 random bytes, by which the station is asked for the time if it is not known."""
        self._gate.receive_nonce(nonce, now_ns)
        self._collect(now_ns)

    def receive_grants(self, sources: tuple[int, ...], now_ns: int) -> None:
        """Note which sources sound now, the holder of the horn first; other files stand still."""
        if sources[:1] != self._granted[:1]:
            self._held_ns = now_ns
        self._granted = sources
        for source, part in self._playing.items():
            self._hold(source, now_ns)
            self._note_horn(part, now_ns)
        self.handle_deadline(now_ns)

    def receive_verdict(self, verdict: LoopVerdict, now_ns: int) -> str | None:
        """Take what the loop heard, of a tone or a holder of the horn; return what is wrong."""
        if self._granted and not verdict.is_tone and self._held_ns <= verdict.begin_ns:
            source = self._granted[0]
            if (part := self._playing.get(source)) is not None or self.sessions.knows(source):
                self._records.note_verdict(part or record_name(source), verdict)
        self.self_tests.receive_verdict(verdict, self._utc_s(now_ns), now_ns)
        self.handle_deadline(now_ns)
        return self.self_tests.fault

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that nothing can sound from now on, for want of a sound card, or that it can."""
        self._programmes.receive_sink(now_ns, sounds=sounds)
        self.handle_deadline(now_ns)

    def receive_part_ended(self, source: int, now_ns: int, *, failed: str = "") -> None:
        """Note that the file of `source` came to its end, or why it could not be played."""
        self._programmes.receive_part_ended(source, self._utc_s(now_ns), now_ns, failed=failed)
        self._book.receive_part_ended(source, now_ns, failed=failed)
        self.handle_deadline(now_ns)

    def receive_rewound(self, source: int, rewound_ns: int, now_ns: int) -> None:
        """Note that `source` will say so much again, with the sentence that it was cut in."""
        for run in (*self._programmes.runs_of(source), *self._book.runs_of(source)):
            run.rewind(rewound_ns)
        self.handle_deadline(now_ns)

    def receive_delay(self, source: int, delay_ns: int, now_ns: int) -> None:
        """Note that the part of `source` that just began sounds so much later, and for as long."""
        for run in (*self._programmes.runs_of(source), *self._book.runs_of(source)):
            run.delay(delay_ns)
        if (part := self._playing.get(source)) is not None:
            self._records.note_delay(part, delay_ns, now_ns)
        self.handle_deadline(now_ns)

    def receive_concealed(self, source: int, concealed_ms: int) -> None:
        """Note that so much of `source` was made up since the last call, for its record."""
        if (part := self._playing.get(source)) is not None:
            self._records.note_concealed(part, concealed_ms)
        self.sessions.receive_concealed(source, concealed_ms)

    def handle_deadline(self, now_ns: int) -> None:
        """Start, go on and end what is due."""
        utc_s, into_ns = divmod(self._clock.utc_ns(now_ns), NS_PER_S)
        trusted, held = self._clock.trusted, self._clock.held(now_ns)
        self._keep_allowed(utc_s, held, now_ns)
        self._programmes.mute(self._mutes.levels, self._mutes.by, utc_s, now_ns)
        self._book.mute(self._mutes.levels, self._mutes.by)
        for part in (self._book, self._programmes):
            part.handle_time(utc_s, now_ns, trusted=trusted, into_second_ns=into_ns, least=held)
        self._audible = [s for s in self._granted if self.source_gain_db(s, now_ns) > SILENT_DB]
        self.sessions.receive_audible(self._audible, utc_s, now_ns)
        self.sessions.handle_deadline(utc_s, now_ns)
        if (tests := self.self_tests).is_wired:
            tests.handle_deadline(utc_s, now_ns, trusted=trusted, may_sound=self._may_test())
        self._collect(now_ns)
        self._minute_ns = self.next_minute_ns(now_ns)
        kept_s = self._mutes.next_end_s(utc_s, trusted=trusted)
        left_s = min(self._authorities.next_end_s(held), kept_s)
        self._civil_ns = now_ns - into_ns + left_s * NS_PER_S if left_s < FAR_S else 0
        if (gain_db := self.gain_db(now_ns)) != self._told_gain_db:
            self._told_gain_db = gain_db
            self._tell(GainChanged(gain_db, now_ns))

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None when nothing is planned."""
        parts = (self._programmes, self._book, self.sessions, self._mutes, self.self_tests)
        # The civil one: a certificate ends, or what was kept over a restart.
        ends_ns = [self._clock.held_until_ns, self._civil_ns or None]
        ends_ns += [part.next_deadline_ns() for part in parts]
        if self._granted:
            ends_ns.append(self._minute_ns)  # plans and limits change on whole minutes
        return min((one for one in ends_ns if one is not None), default=None)

    def next_minute_ns(self, now_ns: int) -> int:
        """Return when the next civil minute begins, monotonic: gains hold until then."""
        minute_ns = MINUTE_S * NS_PER_S
        return now_ns + minute_ns - self._clock.utc_ns(now_ns) % minute_ns

    def next_event(self) -> ControllerEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._events.pop(0) if self._events else None

    def source_class(self, source: int) -> tuple[MessageClass, str] | None:
        """Return class and level of a source, or None when it may not sound."""
        if (part := self._playing.get(source)) is not None:
            return part.message_class, part.level
        if (announced := self.sessions.class_of(source)) or self.sessions.knows(source):
            return announced
        if source >= 0 and self.plays_unknown_streams:
            return MessageClass.NORMAL, self._config.priority.tiers[-1]
        return None

    def standing(self, source: int) -> tuple[int, int]:
        """Return by what a source goes before another: its rank in the arbiter, then its tier."""
        if (known := self.source_class(source)) is None:
            return (-1, 0)
        return self._config.priority.rank(*known), -self.rank_of(known[1])

    @property
    def plays_unknown_streams(self) -> bool:
        """Whether streams that nobody announced may be heard: in a laboratory."""
        return self._config.unknown_streams == "play"

    def lowest_class(self, level: str | None = None) -> MessageClass:
        """Return the lowest class that may sound of tier `level` (None: the lowest tier)."""
        rank, muted = self.rank_of(level), self._mutes.levels
        may = (kind for kind in MessageClass if muted[kind] > rank)
        return next(may) if self._clock.trusted else MessageClass.URGENT

    def gain_db(self, now_ns: int) -> float:
        """Return the gain of what has the horn; -inf when it must not be heard now."""
        return self.source_gain_db(self._granted[0], now_ns) if self._granted else SILENT_DB

    def source_gain_db(self, source: int, now_ns: int) -> float:
        """Return how loud `source` would be now; -inf when it must not be heard."""
        if (known := self.source_class(source)) is None or known[0] < self.lowest_class(known[1]):
            return SILENT_DB
        return self.loudness(known[0], now_ns, level=known[1])[1].gain_db

    def loudness(
        self, message_class: MessageClass, now_ns: int, *, level: str | None = None
    ) -> tuple[Decision, Verdict]:
        """Return the volume of a class and tier now (None: the commune's), and what limits it."""
        rank = self.rank_of(level or self._config.priority.commune_tier)
        utc_s, least, trusted = self._utc_s(now_ns), self._clock.least(now_ns), self._clock.trusted
        return self._how_loud.now(message_class, rank, utc_s, trusted=trusted, least=least)

    def explain(
        self, utc_s: int, message_class: MessageClass, translate: Translate = untranslated
    ) -> str:
        """Return why `message_class` is as loud as it is at `utc_s`, in the reader's language."""
        commune = self.rank_of(self._config.priority.commune_tier)
        return self._how_loud.explain(message_class, commune, utc_s, translate)

    def status(self, now_ns: int) -> dict[str, object]:
        """Return what a person wants to know, JSON-able."""
        return {
            "utc_s": self._utc_s(now_ns),
            "clock_trusted": self._clock.trusted,
            "muted_by": self._mutes.by,
            "revocations": self._authorities.revocation_numbers(),
            **self._authorities.roots.told(),
            "playing": {str(s): p.name for s, p in self._playing.items()},
            "sounds": [p.name for s, p in self._playing.items() if s in self._audible],
            "sessions": self.sessions.names(),
            "dead_senders": self.sessions.dead(now_ns),
            **self._records.proof.told(),
        }

    def _act(self, order: Order, now_ns: int) -> str:
        message = order.message
        utc_s, trusted = self._utc_s(now_ns), self._clock.trusted
        if message.kind in (Kind.CAP, Kind.SHORT_ALERT):
            alert = read_warning(order, self._config)
            if isinstance(alert, str):
                return alert
            self._gate.use_up(message)  # also one that is refused now: that is on record
            held = self._clock.held(now_ns)
            return self._book.receive_alert(alert, utc_s, now_ns, trusted=trusted, least=held)
        if message.kind in (Kind.CALENDAR, Kind.VOLUME):
            fate = self._plans.receive_order(order)
        elif message.kind in (Kind.SESSION, Kind.SESSION_END):
            fate = self.sessions.receive_order(order, utc_s, now_ns)
        elif message.kind is Kind.SELF_TEST:
            fate = self.self_tests.receive_order(order, utc_s, now_ns, may_sound=self._may_test())
        elif message.kind in (Kind.MUTE, Kind.UNMUTE):
            fate = self._mutes.receive_order(order, now_ns)
        else:
            return "obeyed"  # the gatekeeper has acted on it
        if is_good(fate) or fate == MUTED_FROM_ABOVE or fate in OF_THE_MOMENT:
            self._gate.use_up(message)
        return fate

    def _may_test(self) -> bool:
        """Return whether nothing sounds or waits to, and nobody has muted the node."""
        return not self._granted and not self._playing and not self.lowest_class()

    def _tell_refusal(self, refused: Refused, now_ns: int) -> None:
        for told in self._answers.refuse(refused, self._utc_s(now_ns), now_ns):
            self._tell(told)

    def _keep_allowed(self, utc_s: int, held: Least, now_ns: int) -> None:
        """End all that is under way and that nobody may order any more."""
        self._mutes.handle_deadline(now_ns)
        self._mutes.keep_allowed(self._clock.least(now_ns), trusted=self._clock.trusted)
        self.sessions.keep_allowed(self._authorities, held, utc_s, now_ns)
        self._book.keep_allowed(self._authorities, held, utc_s, now_ns)
        self._plans.keep_allowed(held, now_ns)
        self._programmes.follow(self._plans.calendars(), utc_s, now_ns, held)

    def rank_of(self, level: str | None) -> int:
        """Return the number of a tier; None and unknown ones are the lowest."""
        tiers = self._config.priority.tiers
        return tiers.index(level) if level in tiers else len(tiers) - 1

    def _collect(self, now_ns: int) -> None:
        """Pass on what the parts tell; records go into the chain before anything after them."""
        sources: tuple[Gatekeeper | Mutes | Plans, ...] = (self._gate, self._mutes, self._plans)
        for source in sources:
            while (told := source.next_event()) is not None:
                self._tell(told)
        for part in (self.sessions, self._book, self._programmes, self.self_tests):
            while (event := part.next_event()) is not None:
                if isinstance(event, Record):
                    for kept in self._records.finish(event):
                        self._tell(kept)
                    continue
                if isinstance(event, StartPart):
                    self._begin_part(event, now_ns)
                elif isinstance(event, StopPart):
                    ended = self._playing.pop(event.source, None)
                    if ended is not None:
                        self._records.end_part(ended, now_ns)
                self._tell(event)
        self._tell(self._answers.tell_head(self._records.proof, self._utc_s(now_ns)))

    def _begin_part(self, part: StartPart, now_ns: int) -> None:
        """Note what starts, and how loud; until the arbiter grants it, its time stands still."""
        self._playing[part.source] = part
        decision, verdict = self.loudness(part.message_class, now_ns, level=part.level)
        self._records.begin(part, decision.volume, verdict, now_ns, trusted=self._clock.trusted)
        self._hold(part.source, now_ns)
        self._note_horn(part, now_ns)

    def _note_horn(self, part: StartPart, now_ns: int) -> None:
        utc_s, trusted = self._utc_s(now_ns), self._clock.trusted
        sounds = part.source in self._granted
        self._records.note_horn(part, utc_s, now_ns, sounds=sounds, trusted=trusted)

    def _hold(self, source: int, now_ns: int) -> None:
        taken = source not in self._granted
        if taken and self._playing[source].kind == "relay":
            return  # a live stream does not wait: it goes on at its live edge
        self._programmes.receive_horn(source, now_ns, taken=taken)
        self._book.receive_horn(source, now_ns, taken=taken)

    def _utc_s(self, now_ns: int) -> int:
        return self._clock.utc_ns(now_ns) // NS_PER_S

    def _tell(self, event: ControllerEvent | None) -> None:
        assert len(self._events) < EVENTS_MAX, "the caller does not take the events"
        if event is not None:
            self._events.append(event)
