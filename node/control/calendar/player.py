"""Run the calendar on the node: start what is due, settle what was missed, record everything.

```
                  horizon                     utc
 ───── settled ──────┼──── not yet settled ────┼──── not yet due ────► civil time
   record or running   started, or missed with a reason
```
Durations run in monotonic time; civil time only says what is due. A clock stepped back takes the
horizon back with it: what was started stays in memory and does not start again. Every transition
is one `Persist` that comes before what it allows.
"""

from datetime import datetime
from itertools import groupby
from typing import Final

from node.control.calendar.leave import Leave
from node.control.calendar.missed import Missed, counted
from node.control.calendar.play_run import Run, late_max_s
from node.control.calendar.play_state import (
    KEY,
    Outcome,
    Record,
    State,
    clock_went_back,
    encode,
    remember_start,
    remember_use,
)
from node.control.calendar.programme import Calendar, Counted, Due, ProgrammeConfig
from node.control.calendar.shared_day import PlayerEvent, SharedDay
from node.control.civil_time import DAY_S, MINUTE_S, NO_TIME, STEP_S, Least, load_zone, local_time
from node.control.events import StopPart
from node.control.loudness.regulation import Regulation
from node.control.precedence import MessageClass
from node.control.trust.ordered_by import OrderedBy
from node.events import Persist
from node.units import NS_PER_S

_GAP_DAYS_MAX: Final = 1000
"""A horizon older than this is none: no clock that jumps costs more than counting so many days."""


class Player:
    """Play one calendar once, whatever the clock and the power do.

    Parameters
    ----------
    key : str
        Under which its memory is kept; its records are told apart by it.
    level : int
        Tier that may order it; -1 for the node's own file and the root.
    shared : SharedDay
        What it shares with the calendars of other tiers; none: it is the only one.
    """

    def __init__(
        self,
        config: ProgrammeConfig,
        regulation: Regulation,
        state: State,
        *,
        key: str = KEY,
        level: int = -1,
        tiers: tuple[str, ...] = (),
        shared: SharedDay | None = None,
        ordered_by: OrderedBy | None = None,
    ) -> None:
        self._key = key
        self._long_ago: list[Counted] = []
        """Missed too long ago to be told one by one, and not recorded yet."""
        self._calendar = Calendar(config)
        self._config = config
        self._zone = load_zone(config.zone)
        self._shared = shared or SharedDay(config.zone, regulation, len(tiers))
        self._shared.join(self)
        self._leave = Leave(self._shared, regulation, tiers, level, ordered_by)
        self._state = state
        self._runs: list[Run] = []
        self._gap_reason = "the node was off"
        self._last_ns: int | None = None
        self._last_s = 0
        self._next_due_s: int | None = None
        self._deadline_ns: int | None = None
        self._into_second_ns = 0
        for record in state.outbox:
            self._shared.tell(record)

    def handle_time(
        self,
        utc_s: int,
        now_ns: int,
        *,
        trusted: bool,
        into_second_ns: int = 0,
        least: Least = NO_TIME,
    ) -> None:
        """Do what is due. Call it at each deadline and whenever the civil clock was read.

        Parameters
        ----------
        utc_s : int
            Civil time in seconds.
        now_ns : int
            Monotonic time of the same instant.
        into_second_ns : int
            How long ago that civil second began: all nodes start on the same instant.
        trusted : bool
            False: nothing of the calendar plays, and what runs is stopped.
        least : Least
            The least that civil time can be, trusted or not.
        """
        self._leave.least = least
        self._into_second_ns = into_second_ns
        if self._is_asleep:
            return
        if not trusted:
            self._stop_all("the clock is not trusted", utc_s, now_ns, keep_urgent=True)
            self._gap_reason = "the time was not known"
            self._last_ns = None
        else:
            self._note_clock(utc_s, now_ns)
            self._settle(utc_s, now_ns)
        self._advance(utc_s, now_ns)
        self._plan(utc_s, now_ns, trusted=trusted)

    def receive_part_ended(self, source: int, utc_s: int, now_ns: int, *, failed: str = "") -> None:
        """Note that the file of `source` came to its end, or why it could not be played."""
        for run in self._runs:
            if run.source == source:
                run.end_part(now_ns, failed)
        self._advance(utc_s, now_ns)
        self._plan(utc_s, now_ns, trusted=self._last_ns is not None)

    def receive_horn(self, source: int, now_ns: int, *, taken: bool) -> None:
        """Note that a stored item lost the horn (`taken`) or has it back: its time stands still."""
        for run in self._runs:
            if run.source == source and taken:
                run.hold(now_ns)
            elif run.source == source:
                run.go_on(now_ns)

    def runs_of(self, source: int) -> list[Run]:
        """Return what plays on `source`: one run, or none."""
        return [run for run in self._runs if run.source == source]

    def mute(self, levels: tuple[int, ...], by: str | None, utc_s: int, now_ns: int) -> None:
        """Stop what is of these tiers and below, by class, and start none: `by` has muted it."""
        self._leave.muted = (levels, by or "")
        for run in list(self._runs):
            if self._leave.is_muted(run.item):
                self._end(run, "stopped", f"muted by {by}", utc_s, now_ns)

    def replace(
        self, config: ProgrammeConfig, by: OrderedBy | None, utc_s: int, now_ns: int
    ) -> None:
        """Play another calendar from now on; what runs and is in it unchanged goes on."""
        kept = config.items if config.zone == self._config.zone else ()
        for run in list(self._runs):
            if run.item not in kept:
                self._end(run, "stopped", "the calendar was replaced", utc_s, now_ns)
        if self._is_asleep:
            self._state.horizon_s = 0  # what was due before it came is nobody's
        self._config, self._leave.by = config, by
        self._calendar = Calendar(config)
        self._zone = load_zone(config.zone)
        self._next_due_s = self._deadline_ns = None

    def sleep(self, reason: str, utc_s: int, now_ns: int) -> None:
        """Stop everything, with records: there is no calendar any more."""
        self._stop_all(reason, utc_s, now_ns, keep_urgent=False)
        self._config = ProgrammeConfig(zone=self._config.zone)
        self._calendar = Calendar(self._config)
        self._leave.by = None
        self._next_due_s = self._deadline_ns = None
        self._state.horizon_s = 0
        self._persist([])

    def give_way(self, source: int, to: str, utc_s: int, now_ns: int) -> None:
        """End the item that sounds as `source`: its place goes to somebody above."""
        for run in [run for run in self._runs if run.source == source]:
            self._end(run, "stopped", f"its place went to an item of {to}", utc_s, now_ns)

    def used_s(self, day: str) -> int:
        """Return how many seconds of programme it has taken of `day`."""
        return self._state.used_s.get(day, 0)

    def planned_s(self, utc_s: int, until_s: int) -> int:
        """Return how many seconds that are not urgent it plans for the time between."""
        return self._calendar.planned_s(utc_s, until_s, set(self._state.started))

    @property
    def level(self) -> int:
        """Tier that ordered it."""
        return self._leave.level

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_time` must run next, or None when nothing is planned."""
        return self._deadline_ns

    def next_event(self) -> PlayerEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._shared.next_event()

    @property
    def _is_asleep(self) -> bool:
        """Whether there is nothing to play and nothing to tell."""
        return not (self._config.items or self._runs or self._state.running)

    def _note_clock(self, utc_s: int, now_ns: int) -> None:
        state = self._state
        if self._last_ns is not None:
            moved_s = utc_s - self._last_s - (now_ns - self._last_ns) // NS_PER_S
            if abs(moved_s) > STEP_S:
                self._gap_reason = "the clock was stepped"
        self._last_ns, self._last_s = now_ns, utc_s
        if state.horizon_s == 0 or utc_s < state.horizon_s - STEP_S:
            state.horizon_s = utc_s
            self._next_due_s = None
            clock_went_back(state, self._local(utc_s).date().isoformat())
            self._persist([])
        state.horizon_s = max(state.horizon_s, utc_s - _GAP_DAYS_MAX * DAY_S)
        if self._next_due_s is None:
            self._next_due_s = self._calendar.next_due_s(state.horizon_s)

    def _settle(self, utc_s: int, now_ns: int) -> None:
        """Start or record what is due between the horizon and now; resolve broken runs first."""
        self._settle_broken(utc_s)
        state = self._state
        if self._next_due_s is None or utc_s < self._next_due_s:
            # Nothing is due in between: no need to persist.
            state.horizon_s = max(state.horizon_s, utc_s)
            return
        known = set(state.started)
        long_ago = self._calendar.long_ago(state.horizon_s, utc_s)
        dues = self._calendar.due_between(state.horizon_s, utc_s, but=long_ago)
        missed: list[Missed] = []
        if long_ago is not None:
            self._long_ago = self._calendar.count(*long_ago, known)
        # What is due at one instant is settled in one write.
        for due_s, group in groupby(dues, key=lambda due: due.due_s):
            begun: list[Run] = []
            for due in group:
                if (due.day, due.name) in known:
                    continue
                why = self._why_not(due, utc_s)
                if why is None:
                    begun.append(self._begin(due, utc_s, now_ns))
                else:
                    missed.append((due, *why))
            if begun:
                self._settled(missed, due_s)
                missed = []
        state.horizon_s = max(state.horizon_s, utc_s)
        if missed or self._long_ago:
            self._settled(missed, utc_s)
        self._gap_reason = "the node was busy"
        self._next_due_s = self._calendar.next_due_s(utc_s)

    def _settle_broken(self, utc_s: int) -> None:
        mine = {run.entry for run in self._runs}
        broken = [entry for entry in self._state.running if entry not in mine]
        if broken:
            for _, name, _, started_s in broken:
                self._give_back(name, started_s, utc_s - started_s)
            self._state.running = [entry for entry in self._state.running if entry in mine]
            records = [
                self._record(name, day, "interrupted", "power cut", due_s=due_s, started_s=started)
                for day, name, due_s, started in broken
            ]
            self._persist(records)

    def _why_not(self, due: Due, utc_s: int) -> tuple[Outcome, str] | None:
        """Return why `due` must not start now, or None."""
        item = self._config.items[due.index]
        late_s = utc_s - due.due_s
        if late_s > late_max_s(item):
            return "missed", self._gap_reason
        if due.day <= self._state.floor_day:
            return "missed", "whether it was played lies before what is remembered"
        return self._leave.why_not(item, utc_s)

    def _settled(self, missed: list[Missed], horizon_s: int) -> None:
        """Keep that everything until `horizon_s` is settled."""
        self._state.horizon_s = max(self._state.horizon_s, horizon_s)
        owed = counted(missed, self._long_ago, self._gap_reason)
        self._long_ago = []
        self._persist(
            [
                self._record(
                    one.name, one.day, one.outcome, one.reason, due_s=one.due_s, count=one.count
                )
                for one in owed
            ]
        )

    def _begin(self, due: Due, utc_s: int, now_ns: int) -> Run:
        """Take up a run; it is persisted before `_advance` lets it sound."""
        item = self._config.items[due.index]
        claim = self._leave.claim(item)
        owner = self._issuer[0] or "the node's own file"
        source = self._shared.take_place(self, claim, owner, utc_s, now_ns)
        # All nodes begin on the same instant: that of the civil second, not of this call.
        into_ns = self._into_second_ns if utc_s == due.due_s else 0
        run = Run(item, due, source, utc_s, ends_ns=now_ns - into_ns, writer=self._key)
        self._runs.append(run)
        remember_start(self._state, due.day, due.name)
        remember_use(self._state, self._shared.local(utc_s).date().isoformat(), item.duration_s)
        self._state.running.append(run.entry)
        return run

    def _advance(self, utc_s: int, now_ns: int) -> None:
        """Move each run on whose part has ended; stop those that reached forbidden hours."""
        for run in list(self._runs):
            why = self._leave.hours(run.item, utc_s) if self._last_ns is not None else None
            why = why or self._leave.no_right(run.item)
            if why is not None:
                self._end(run, "stopped", why, utc_s, now_ns)
                continue
            if self._shared.waits_in_vain(run, now_ns):
                outcome: Outcome = "stopped" if run.has_sounded else "missed"
                self._end(run, outcome, "no sound card", utc_s, now_ns)
                continue
            while run.held_ns < 0 and run.ends_ns <= now_ns and not run.over:
                part = run.next_step(run.ends_ns, self._config.languages)
                if part is not None:
                    self._shared.tell(part)
            if run.over:
                self._end(run, *run.outcome, utc_s, now_ns)

    def _end(self, run: Run, outcome: Outcome, reason: str, utc_s: int, now_ns: int) -> None:
        run.close(now_ns)
        self._runs.remove(run)
        self._shared.give_back(run.source)
        self._state.running = [e for e in self._state.running if e != run.entry]
        self._give_back(run.due.name, run.started_s, run.sounded_ns // NS_PER_S)
        self._shared.tell(StopPart(run.source))
        record = self._record(
            run.due.name,
            run.due.day,
            outcome,
            reason,
            due_s=run.due.due_s,
            started_s=run.started_s,
            ended_s=utc_s,
            sounded_s=run.sounded_ns // NS_PER_S,
            languages=tuple(run.languages),
            failed=tuple(run.failed),
        )
        self._persist([record])

    def _give_back(self, name: str, started_s: int, sounded_s: int) -> None:
        """Count of an item's minutes on its day no more than what can have sounded."""
        item = next((one for one in self._config.items if one.name == name), None)
        unused_s = 0 if item is None else item.duration_s - max(sounded_s, 0)
        if unused_s > 0:
            remember_use(self._state, self._shared.local(started_s).date().isoformat(), -unused_s)

    def _stop_all(self, reason: str, utc_s: int, now_ns: int, *, keep_urgent: bool) -> None:
        for run in list(self._runs):
            if keep_urgent and run.item.message_class_value is MessageClass.URGENT:
                continue
            self._end(run, "stopped", reason, utc_s, now_ns)

    def _plan(self, utc_s: int, now_ns: int, *, trusted: bool) -> None:
        ends_ns = [run.ends_ns for run in self._runs if run.held_ns < 0]
        vain_ns = (self._shared.vain_ns(run) for run in self._runs)
        ends_ns += [one for one in vain_ns if one is not None]
        second_ns = now_ns - self._into_second_ns
        if self._runs:
            ends_ns.append(second_ns + (MINUTE_S - utc_s % MINUTE_S) * NS_PER_S)  # hours may end
        if trusted and self._next_due_s is not None:
            ends_ns.append(second_ns + max(self._next_due_s - utc_s, 0) * NS_PER_S)
        self._deadline_ns = min(ends_ns, default=None)

    def _record(self, name: str, day: str, outcome: Outcome, reason: str, **more: object) -> Record:
        self._state.serial += 1
        issuer, key = self._issuer
        fields = {"serial": self._state.serial, "name": name, "day": day}
        fields |= {"issuer": issuer, "signed_by": key, "writer": self._key}
        return Record(**fields, outcome=outcome, reason=reason, **more)  # type: ignore[arg-type]  # keyword names are Record's own

    @property
    def _issuer(self) -> tuple[str, str]:
        """Who ordered the calendar, and the key; empty for the node's own file."""
        by = self._leave.by
        return ("", "") if by is None else (by.name, by.warrant.key_id.hex())

    def _persist(self, records: list[Record]) -> None:
        """Keep the state with the records it owes, then tell the records."""
        self._state.outbox = records
        self._shared.tell(Persist(self._key, encode(self._state)))
        for record in records:
            self._shared.tell(record)

    def _local(self, utc_s: int) -> datetime:
        return local_time(utc_s, self._zone)
