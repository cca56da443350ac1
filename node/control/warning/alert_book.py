"""Which warnings are known, wait, sound, or are over: each sounds once, a cancelled one never.

```
 received ──► waiting ──► sounding ──► done            every arrow is persisted before it acts
    │            │            │
    │            └────────────┴──► superseded, cancelled, expired, its key lost the right
    └──► refused (known already, expired, superseded before it came, no place left)
```
An order that is refused ends nothing: what it refers to goes on.

An urgent warning cut off by the power sounds again from its start while it is in force: to hear it
twice is better than not to have heard it.
"""

from dataclasses import replace
from typing import Final

from msgspec.structs import replace as with_

from node.control.calendar.play_run import Run
from node.control.calendar.play_state import Outcome, Record
from node.control.calendar.programme import Due
from node.control.civil_time import MINUTE_S, NO_TIME, Least, load_zone, local_time
from node.control.events import FetchMedia, StartPart, StopPart
from node.control.loudness.regulation import Regulation
from node.control.mute import NOBODY
from node.control.precedence import MessageClass
from node.control.trust.authority import AuthorityBook
from node.control.warning.alert import Alert, AlertConfig, item_of
from node.control.warning.alert_memory import AlertMemory, Key
from node.control.warning.alert_places import RUNS_MAX, AlertPlaces
from node.control.warning.alert_state import KEY, BookState, encode_book
from node.control.warning.alert_time import ends_ns, on_arrival
from node.control.warning.open_alert import OpenAlert
from node.events import Persist
from node.units import NS_PER_S

SOURCE_BASE: Final = -101
"""Sources of warnings in the arbiter: -101 to -108."""

EVENTS_MAX: Final = 512
"""All open ones may end in one call, with a stop, a state to keep and a record each."""
BookEvent = StartPart | StopPart | FetchMedia | Record | Persist


class AlertBook:
    """Hold the warnings of one node."""

    def __init__(
        self,
        config: AlertConfig,
        regulation: Regulation,
        state: BookState,
        *,
        tiers: tuple[str, ...],
        languages: tuple[str, ...],
        zone: str,
    ) -> None:
        self._config = config
        self._regulation = regulation
        self._state = state
        self._languages = languages
        self._zone = load_zone(zone)
        self._muted = ((NOBODY,) * len(MessageClass), "")
        self._known = AlertMemory(state.known, len(tiers))
        self._places = AlertPlaces(tiers)
        self._open = [OpenAlert(alert, None) for alert in state.waiting]
        self._events: list[BookEvent] = list(state.outbox)
        self._deadline_ns: int | None = None

    def receive_alert(
        self, alert: Alert, utc_s: int, now_ns: int, *, trusted: bool, least: Least = NO_TIME
    ) -> str:
        """Take a warning whose signature and authority were checked; return its fate in a word.

        Parameters
        ----------
        alert : Alert
            From `alert_of` or `short_alert.decode`.
        utc_s, now_ns : int
            Civil seconds and monotonic ns of its receipt.
        trusted : bool
            Whether the civil clock is trusted. If not, only urgent warnings are taken and they
            last as long as they were meant to from now on.
        least : Least
            The least that civil time can be, trusted or not.
        """
        level = self._places.level(alert)
        ends = self._known.what_it_ends(alert, level, self._open_keys())
        if self._known.stands_in_the_way(alert, level):
            return ends if alert.kind == "cancel" and ends != "cancel" else "known"
        least_s = utc_s if trusted and not least.doubts(level) else least.at(level)
        taken: set[str] = set()
        refused = ""
        records: list[Record] = []
        for block in alert.blocks:
            one = on_arrival(block, utc_s) if trusted else block
            fate = self._fate(one, least_s, trusted=trusted)
            if fate == "waiting" and self._room(one, utc_s, trusted=trusted) is None:
                fate = "too many warnings at once"
            if fate not in ("waiting", "cancel"):
                records.append(self._record(one, "refused", fate, utc_s))
                refused = refused or fate
                continue
            if not taken:
                records += self._end_others(alert, level, fate, (utc_s, now_ns))
            taken.add(fate)
            if fate == "waiting":
                room = self._room(one, utc_s, trusted=trusted)  # what it ended has made some
                records += self._take(one, room or [], (utc_s, now_ns))
        self._persist(records)
        self.handle_time(utc_s, now_ns, trusted=trusted, least=least)
        if taken == {"cancel"}:
            return ends
        return taken.pop() if taken else refused

    def handle_time(
        self,
        utc_s: int,
        now_ns: int,
        *,
        trusted: bool,
        into_second_ns: int = 0,
        least: Least = NO_TIME,
    ) -> None:
        """Begin what is in force, go on with what sounds, end what is over; the civil second
        `utc_s` began `into_second_ns` ago.
        """
        # The most urgent first: they find the sources free, or take them.
        for one in sorted(self._open, key=self._standing, reverse=True):
            if one not in self._open:
                continue  # it gave its source up, and waits anew
            level = self._places.level(one.alert)
            doubted = self._places.doubted(one.alert, least, trusted=trusted)
            allowed = self._allowed(one.alert, utc_s, trusted=trusted)
            held_s = least.own_s(utc_s)
            if one.is_over(level, held_s, now_ns, least=doubted):
                self._close(one, "expired", utc_s, now_ns)
            elif one.run is not None and not allowed:
                self._close(one, "stopped", utc_s, now_ns)
            elif one.run is None and allowed and one.is_in_force(utc_s, held_s, trusted=trusted):
                self._begin(one, utc_s, now_ns)
            if one.run is not None:
                self._advance(one, one.run, utc_s, now_ns)
        self._plan(utc_s, now_ns - into_second_ns, least, trusted=trusted)

    def keep_allowed(self, book: AuthorityBook, least: Least, utc_s: int, now_ns: int) -> None:
        """End the warnings of those who may not order them any more."""
        for one in list(self._open):
            warrant = one.alert.warrant
            if warrant is None:
                continue
            warrant = replace(warrant, level=self._places.level(one.alert))
            holder = book.may(warrant, MessageClass(one.alert.message_class), least)
            if isinstance(holder, str):
                record = self._drop(one, "cancelled", holder, utc_s, now_ns)
                self._known.forget(one.alert.key)  # another key may say the same
                self._persist([record])

    def mute(self, levels: tuple[int, ...], by: str | None) -> None:
        """Let nothing sound of these tiers and below, by class: `by` has muted them."""
        self._muted = (levels, by or "")

    def receive_part_ended(self, source: int, now_ns: int, *, failed: str = "") -> None:
        """Note that the file of `source` came to its end, or why it could not be played."""
        for run in self.runs_of(source):
            run.end_part(now_ns, failed)
            self._deadline_ns = now_ns

    def receive_horn(self, source: int, now_ns: int, *, taken: bool) -> None:
        """Note that a warning lost the horn to a higher one, or has it back."""
        for run in self.runs_of(source):
            if taken:
                run.hold(now_ns)
            else:
                run.go_on(now_ns)
                self._deadline_ns = now_ns

    def runs_of(self, source: int) -> list[Run]:
        """Return what plays on `source`: one run, or none."""
        return [o.run for o in self._open if o.run is not None and o.run.source == source]

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_time` must run next, or None when nothing is open."""
        return self._deadline_ns

    def next_event(self) -> BookEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._events.pop(0) if self._events else None

    def _fate(self, alert: Alert, least_s: int, *, trusted: bool) -> str:
        if alert.kind in ("cancel", "leave"):
            return "cancel"
        if alert.expires_s <= alert.effective_s:
            return "expires before it takes effect"
        if alert.expires_s <= least_s:
            return "expired"
        if not trusted and alert.message_class != MessageClass.URGENT:
            return "not urgent while the time is not known"
        if item_of(alert, self._config, self._languages) is None:
            return "no stored sound for it"
        return "waiting"

    def _end_others(self, alert: Alert, level: int, fate: str, at: tuple[int, int]) -> list[Record]:
        """Let a valid order end what it is to end, and be known from now on."""
        # What a lower authority said under this name does not keep a higher one from speaking.
        records = self._drop_open(alert.key, "superseded", at)
        if alert.kind != "alert":
            why = "superseded" if alert.kind == "update" else "cancelled"
            for key in self._known.end_referred(alert, level, why, self._open_keys()):
                records += self._drop_open(key, why, at)
        last_s = max(one.expires_s for one in alert.blocks)
        self._known.add(with_(alert, expires_s=last_s), level, fate, self._open_keys())
        return records

    def _room(self, alert: Alert, utc_s: int, *, trusted: bool) -> list[OpenAlert] | None:
        """Return which open ones must go for `alert`, None when there is no place for it."""
        held = [one.alert for one in self._open]
        places = self._places.room(held, alert, utc_s, trusted=trusted)
        return None if places is None else [self._open[index] for index in places]

    def _take(self, alert: Alert, room: list[OpenAlert], at: tuple[int, int]) -> list[Record]:
        """Let a warning wait, in the place of those that it goes before."""
        why = "too many warnings at once"
        records = [self._drop(least, "missed", why, *at) for least in room]
        for least in room:
            self._known.note(least.alert.key, "displaced")
        # What it referred to is ended: the list is not kept with each change.
        self._open.append(OpenAlert(with_(alert, references=()), ends_ns(alert, at[1])))
        self._ask_for_media(alert)
        return records

    def _drop_open(self, key: Key, fate: str, at: tuple[int, int]) -> list[Record]:
        """End the open warning with this key, if there is one."""
        return [
            self._drop(one, "cancelled", fate, *at)
            for one in list(self._open)
            if one.alert.key == key
        ]

    def _open_keys(self) -> set[Key]:
        return {one.alert.key for one in self._open}

    def _standing(self, one: OpenAlert) -> tuple[int, int, bool, int]:
        """Return what goes first: class, tier, what began already, and the earlier one."""
        begun = one.run is not None
        return (*self._places.standing(one.alert), begun, -one.alert.effective_s)

    def _allowed(self, alert: Alert, utc_s: int, *, trusted: bool) -> bool:
        """Return whether the hour lets it sound. What is not urgent waits for an allowed one."""
        if alert.message_class == MessageClass.URGENT:
            return True
        if self._is_muted(alert):
            return False
        kind = MessageClass(alert.message_class)
        return (
            trusted and self._regulation.refused_hours(local_time(utc_s, self._zone), kind) is None
        )

    def _is_muted(self, alert: Alert) -> bool:
        return self._muted[0][alert.message_class] <= self._places.level(alert)

    def _begin(self, one: OpenAlert, utc_s: int, now_ns: int) -> None:
        item = item_of(one.alert, self._config, self._languages, at_s=utc_s)
        if item is None:
            self._close(one, "missed", utc_s, now_ns)
            return
        source = self._free_source(one, utc_s, now_ns)
        if source is None:
            return  # all that sounds or is held goes before it
        due = Due(one.alert.effective_s, item.name, self._day(utc_s), 0)
        one.run = Run(item, due, source, utc_s, ends_ns=now_ns, issuer=one.alert.sender)
        self._known.note(one.alert.key, "sounding")
        self._persist([])
        self._ask_for_media(one.alert)  # once more: what came late serves its repetition

    def _free_source(self, one: OpenAlert, utc_s: int, now_ns: int) -> int | None:
        """Return a source for `one`; the least that runs gives its own up and waits again."""
        running = [o for o in self._open if o.run is not None]
        if len(running) >= RUNS_MAX:
            least = min(running, key=self._standing)
            if self._standing(least)[:2] >= self._standing(one)[:2]:
                return None
            self._close(least, "stopped", utc_s, now_ns, why="its place went to one above it")
        taken = {o.run.source for o in self._open if o.run is not None}
        return next(s for s in range(SOURCE_BASE, SOURCE_BASE - RUNS_MAX, -1) if s not in taken)

    def _ask_for_media(self, alert: Alert) -> None:
        for spoken in alert.spoken:
            if spoken.digest_sha1:
                self._emit(FetchMedia(spoken.uri, spoken.digest_sha1, spoken.size_bytes))

    def _advance(self, one: OpenAlert, run: Run, utc_s: int, now_ns: int) -> None:
        while run.held_ns < 0 and run.ends_ns <= now_ns and not run.over:
            part = run.next_step(run.ends_ns, self._languages)
            if part is not None:
                self._emit(part)
        if run.over:
            self._close(one, run.outcome[0], utc_s, now_ns)

    def _close(
        self, one: OpenAlert, outcome: str, utc_s: int, now_ns: int, *, why: str = ""
    ) -> None:
        """End `one`; stopped by the hour or by a higher one it waits for the next allowed time."""
        over = one.run is not None and one.run.over
        self._known.note(one.alert.key, "done" if over else outcome)
        again = outcome == "stopped"
        told: Outcome = "missed" if outcome != "played" and (over or one.run is None) else "stopped"
        told = "played" if outcome == "played" else told
        reason = outcome
        if one.run is not None and over:
            reason = one.run.outcome[1]
        elif again:
            muted = self._is_muted(one.alert)
            reason = why or (f"muted by {self._muted[1]}" if muted else "outside the hours")
        record = self._drop(one, told, reason, utc_s, now_ns)
        if again:
            self._open.append(one.again())
        self._persist([record])

    def _drop(self, one: OpenAlert, outcome: Outcome, why: str, utc_s: int, now_ns: int) -> Record:
        self._open.remove(one)
        run, one.run = one.run, None
        if run is None:
            return self._record(one.alert, outcome, why, utc_s)
        run.close(now_ns)
        self._emit(StopPart(run.source))
        return self._record(one.alert, outcome, why, utc_s, run)

    def _record(
        self, alert: Alert, outcome: Outcome, reason: str, utc_s: int, run: Run | None = None
    ) -> Record:
        self._state.serial += 1
        return Record(
            serial=self._state.serial,
            name=alert.name if run is None else run.due.name,
            day=self._day(utc_s) if run is None else run.due.day,
            outcome=outcome,
            reason=reason,
            writer=KEY,
            due_s=alert.effective_s,
            started_s=0 if run is None else run.started_s,
            ended_s=utc_s,
            sounded_s=0 if run is None else run.sounded_ns // NS_PER_S,
            issuer=alert.sender,
            signed_by=alert.signed_by,
            languages=() if run is None else tuple(run.languages),
            failed=() if run is None else tuple(run.failed),
        )

    def _persist(self, records: list[Record]) -> None:
        self._state.known = list(self._known)
        self._state.waiting = [one.alert for one in self._open]
        self._state.outbox = records
        self._emit(Persist(KEY, encode_book(self._state)))
        for record in records:
            self._emit(record)

    def _plan(self, utc_s: int, second_ns: int, least: Least, *, trusted: bool) -> None:
        due_ns: list[int] = []
        for one in self._open:
            level = self._places.level(one.alert)
            due_ns += one.due_ns(level, utc_s, second_ns, trusted=trusted, least=least)
            waits = one.run is None and one.alert.effective_s > utc_s
            if trusted and not waits and one.alert.message_class != MessageClass.URGENT:
                due_ns.append(second_ns + (MINUTE_S - utc_s % MINUTE_S) * NS_PER_S)
        self._deadline_ns = min(due_ns, default=None)

    def _emit(self, event: BookEvent) -> None:
        assert len(self._events) < EVENTS_MAX, "the caller does not take the events"
        self._events.append(event)

    def _day(self, utc_s: int) -> str:
        return local_time(utc_s, self._zone).date().isoformat()
