"""Which warnings are known, wait, sound, or are over: each sounds once, a cancelled one never.

```
 received ──► waiting ──► sounding ──► done            every arrow is persisted before it acts
    │            │            │
    │            └────────────┴──► superseded, cancelled, expired
    └──► refused (known already, expired, superseded before it came, not for here)
```
An urgent warning cut off by the power sounds again from its start while it is in force: to hear it
twice is better than not to have heard it.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.control.calendar.play_run import Run
from node.control.calendar.play_state import Outcome, Record
from node.control.calendar.programme import Due
from node.control.civil_time import MINUTE_S, load_zone, local_time
from node.control.events import FetchMedia, StartPart, StopPart
from node.control.loudness.regulation import Regulation
from node.control.precedence import MessageClass
from node.control.warning.alert import Alert, AlertConfig, item_of, number_of
from node.control.warning.alert_state import KEY, KNOWN_MAX, BookState, Known, encode_book
from node.events import Persist
from node.units import NS_PER_S

OPEN_MAX: Final = 8
"""Warnings waiting or sounding at once."""

SOURCE_BASE: Final = -101
"""Sources of warnings in the arbiter: -101 to -108."""

EVENTS_MAX: Final = 256


BookEvent = StartPart | StopPart | FetchMedia | Record | Persist


@dataclass(slots=True)
class _Open:
    alert: Alert
    ends_ns: int | None
    """Monotonic end, for when the clock is not trusted."""
    run: Run | None = None


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
        self._tiers = tiers
        self._languages = languages
        self._zone = load_zone(zone)
        self._muted_by: str | None = None
        self._known = {(one.sender, one.number): one for one in state.known}
        self._open = [_Open(alert, None) for alert in state.waiting]
        self._events: deque[BookEvent] = deque(state.outbox)
        self._deadline_ns: int | None = None

    def receive_alert(self, alert: Alert, utc_s: int, now_ns: int, *, trusted: bool) -> str:
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
        """
        level = self._tiers.index(alert.level) if alert.level in self._tiers else len(self._tiers)
        known = self._known.get(alert.key)
        if known is not None and known.level <= level:
            return "known"
        fate = self._fate(alert, utc_s, trusted=trusted)
        # What a lower authority said under this name does not keep a higher one from speaking.
        records = self._drop_open(alert.key, "superseded", utc_s, now_ns) if known else []
        if alert.kind != "alert":
            records += self._supersede(alert, level, utc_s, now_ns)
        self._remember(Known(*alert.key, level, fate, alert.expires_s))
        if fate == "waiting":
            records += self._make_room(utc_s, now_ns)
            ends_ns = now_ns + max(alert.expires_s - alert.sent_s, 1) * NS_PER_S
            self._open.append(_Open(alert, ends_ns))
            self._ask_for_media(alert)
        elif alert.kind != "cancel":
            records.append(self._record(alert, "refused", fate, utc_s))
        self._persist(records)
        self.handle_time(utc_s, now_ns, trusted=trusted)
        return fate

    def handle_time(
        self, utc_s: int, now_ns: int, *, trusted: bool, into_second_ns: int = 0
    ) -> None:
        """Begin what is in force, go on with what sounds, end what is over.

        `into_second_ns` is how long ago the civil second `utc_s` began.
        """
        for one in list(self._open):
            if self._expired(one, utc_s, now_ns, trusted=trusted):
                self._close(one, "expired", utc_s, now_ns)
            elif one.run is None and self._may_begin(one.alert, utc_s, trusted=trusted):
                self._begin(one, utc_s, now_ns)
            elif one.run is not None and not self._allowed(one.alert, utc_s, trusted=trusted):
                self._close(one, "stopped", utc_s, now_ns)
            if one.run is not None:
                self._advance(one, one.run, utc_s, now_ns)
        self._plan(utc_s, now_ns, now_ns - into_second_ns, trusted=trusted)

    def mute(self, by: str | None) -> None:
        """Let nothing but urgent warnings sound while `by`, an authority, has muted us."""
        self._muted_by = by

    def receive_part_ended(self, source: int, now_ns: int, *, failed: str = "") -> None:
        """Note that the file of `source` came to its end, or why it could not be played."""
        for one in self._open:
            if one.run is not None and one.run.source == source:
                one.run.end_part(now_ns, failed)
                self._deadline_ns = now_ns

    def receive_horn(self, source: int, now_ns: int, *, taken: bool) -> None:
        """Note that a warning lost the horn to a higher one, or has it back."""
        for one in self._open:
            if one.run is not None and one.run.source == source:
                if taken:
                    one.run.hold(now_ns)
                else:
                    one.run.go_on(now_ns)
                    self._deadline_ns = now_ns

    def receive_rewound(self, source: int, rewound_ns: int) -> None:
        """Note that a warning will say so much again, from where its sentence began."""
        for one in self._open:
            if one.run is not None and one.run.source == source:
                one.run.rewind(rewound_ns)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_time` must run next, or None when nothing is open."""
        return self._deadline_ns

    def next_event(self) -> BookEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._events.popleft() if self._events else None

    def _fate(self, alert: Alert, utc_s: int, *, trusted: bool) -> str:
        if alert.kind == "cancel":
            return "cancel"
        if alert.expires_s <= alert.effective_s:
            return "expires before it takes effect"
        if trusted and alert.expires_s <= utc_s:
            return "expired"
        if not trusted and alert.message_class != MessageClass.URGENT:
            return "not urgent while the time is not known"
        lowest = min((one.alert.message_class for one in self._open), default=0)
        if len(self._open) >= OPEN_MAX and lowest >= alert.message_class:
            return "too many warnings at once"
        if item_of(alert, self._config, self._languages) is None:
            return "no stored sound for it"
        return "waiting"

    def _supersede(self, alert: Alert, level: int, utc_s: int, now_ns: int) -> list[Record]:
        """End what `alert` refers to, unless a higher authority issued that."""
        fate = "cancelled" if alert.kind == "cancel" else "superseded"
        records: list[Record] = []
        for key in ((sender, number_of(one)) for sender, one in alert.references):
            known = self._known.get(key)
            if known is None:
                # It may still be on its way: it must not sound when it comes.
                self._remember(Known(*key, level, fate, alert.sent_s + 7 * 86_400))
            elif known.level >= level:
                known.fate = fate
                records += self._drop_open(key, fate, utc_s, now_ns)
        return records

    def _drop_open(self, key: tuple[str, str], fate: str, utc_s: int, now_ns: int) -> list[Record]:
        """End the open warning with this key, if there is one."""
        return [
            self._drop(one, "cancelled", fate, utc_s, now_ns)
            for one in list(self._open)
            if one.alert.key == key
        ]

    def _make_room(self, utc_s: int, now_ns: int) -> list[Record]:
        """Drop the least of the open warnings when there are too many: `_fate` said it is less."""
        if len(self._open) < OPEN_MAX:
            return []
        least = min(self._open, key=lambda one: one.alert.message_class)
        self._known[least.alert.key].fate = "displaced"
        return [self._drop(least, "missed", "too many warnings at once", utc_s, now_ns)]

    def _may_begin(self, alert: Alert, utc_s: int, *, trusted: bool) -> bool:
        return (not trusted or utc_s >= alert.effective_s) and self._allowed(
            alert, utc_s, trusted=trusted
        )

    def _allowed(self, alert: Alert, utc_s: int, *, trusted: bool) -> bool:
        """Return whether the hour lets it sound. What is not urgent waits for an allowed one."""
        if alert.message_class == MessageClass.URGENT:
            return True
        if self._muted_by is not None:
            return False
        kind = MessageClass(alert.message_class)
        return trusted and self._regulation.refused_hours(self._local(utc_s), kind) is None

    def _expired(self, one: _Open, utc_s: int, now_ns: int, *, trusted: bool) -> bool:
        if trusted:
            return utc_s >= one.alert.expires_s
        if one.ends_ns is None:  # from before a power cut: without a clock nobody knows
            one.ends_ns = now_ns + (one.alert.expires_s - one.alert.sent_s) * NS_PER_S
        return now_ns >= one.ends_ns

    def _begin(self, one: _Open, utc_s: int, now_ns: int) -> None:
        item = item_of(one.alert, self._config, self._languages, at_s=utc_s)
        taken = {o.run.source for o in self._open if o.run is not None}
        source = next(s for s in range(SOURCE_BASE, SOURCE_BASE - OPEN_MAX, -1) if s not in taken)
        if item is None:
            self._close(one, "missed", utc_s, now_ns)
            return
        due = Due(one.alert.effective_s, item.name, self._day(utc_s), 0)
        one.run = Run(item, due, source, utc_s, ends_ns=now_ns)
        self._known[one.alert.key].fate = "sounding"
        self._persist([])
        self._ask_for_media(one.alert)  # once more: what came late serves its repetition

    def _ask_for_media(self, alert: Alert) -> None:
        for spoken in alert.spoken:
            if spoken.digest_sha1:
                self._emit(FetchMedia(spoken.uri, spoken.digest_sha1, spoken.size_bytes))

    def _advance(self, one: _Open, run: Run, utc_s: int, now_ns: int) -> None:
        while run.held_ns < 0 and run.ends_ns <= now_ns and not run.over:
            part = run.next_step(run.ends_ns, self._languages)
            if part is not None:
                self._emit(part)
        if run.over:
            self._close(one, run.outcome[0], utc_s, now_ns)

    def _close(self, one: _Open, outcome: str, utc_s: int, now_ns: int) -> None:
        """End `one`; stopped by the hour it waits for the next allowed one."""
        over = one.run is not None and one.run.over
        self._known[one.alert.key].fate = "done" if over else outcome
        again = outcome == "stopped"
        told: Outcome = "missed" if outcome != "played" and (over or one.run is None) else "stopped"
        told = "played" if outcome == "played" else told
        reason = outcome
        if one.run is not None and over:
            reason = one.run.outcome[1]
        elif again:
            muted = self._muted_by
            reason = "outside the hours" if muted is None else f"muted by {muted}"
        record = self._drop(one, told, reason, utc_s, now_ns)
        if again:
            self._open.append(_Open(one.alert, one.ends_ns))
        self._persist([record])

    def _drop(self, one: _Open, outcome: Outcome, why: str, utc_s: int, now_ns: int) -> Record:
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
            name=alert.identifier[:64] if run is None else run.due.name,
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

    def _remember(self, known: Known) -> None:
        self._known[(known.sender, known.number)] = known
        if len(self._known) > KNOWN_MAX:
            open_keys = {one.alert.key for one in self._open}
            over = [key for key in self._known if key not in open_keys]
            del self._known[min(over, key=lambda key: self._known[key].expires_s)]

    def _persist(self, records: list[Record]) -> None:
        self._state.known = list(self._known.values())
        self._state.waiting = [one.alert for one in self._open]
        self._state.outbox = records
        self._emit(Persist(KEY, encode_book(self._state)))
        for record in records:
            self._emit(record)

    def _plan(self, utc_s: int, now_ns: int, second_ns: int, *, trusted: bool) -> None:
        ends_ns: list[int] = []
        for one in self._open:
            if one.run is not None and one.run.held_ns < 0:
                ends_ns.append(one.run.ends_ns)
            if not trusted:
                ends_ns += [] if one.ends_ns is None else [one.ends_ns]
                continue
            ends_ns.append(second_ns + max(one.alert.expires_s - utc_s, 0) * NS_PER_S)
            if one.run is None and one.alert.effective_s > utc_s:
                ends_ns.append(second_ns + (one.alert.effective_s - utc_s) * NS_PER_S)
            elif one.alert.message_class != MessageClass.URGENT:
                ends_ns.append(second_ns + (MINUTE_S - utc_s % MINUTE_S) * NS_PER_S)
        self._deadline_ns = min(ends_ns, default=None)

    def _emit(self, event: BookEvent) -> None:
        assert len(self._events) < EVENTS_MAX, "the caller does not take the events"
        self._events.append(event)

    def _day(self, utc_s: int) -> str:
        return self._local(utc_s).date().isoformat()

    def _local(self, utc_s: int) -> datetime:
        return local_time(utc_s, self._zone)
