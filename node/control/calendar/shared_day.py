"""What the calendars of all tiers share: places to sound in, the minutes of a day, one queue.

```
 province's player ─┐            8 places, a share for each tier above
 commune's player ──┼─► SharedDay  minutes: what is planned above is left free by those below
 hamlet's player ───┘            events, in the order in which they happened
```
What a lower tier plays never keeps an item of a higher one out: it gives up its place, and its
minutes do not count against those above.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from node.control.calendar.play_run import Run, late_max_s
from node.control.calendar.play_state import Record
from node.control.civil_time import MINUTE_S, load_zone, local_time
from node.control.events import StartPart, StopPart
from node.control.loudness.regulation import Regulation
from node.control.trust.shares import OVERFLOW, Claim, Shares
from node.events import Persist
from node.units import NS_PER_S

RUNS_MAX: Final = 8
"""Items running at once, of all tiers; the arbiter lets one of them sound."""

SOURCE_BASE: Final = -1
"""Sources of the calendars in the arbiter: -1 to -OVERFLOW * RUNS_MAX."""

EVENTS_MAX: Final = 4096
"""The caller takes them after each call: of five calendars each may owe a record to every item."""

PlayerEvent = StartPart | StopPart | Record | Persist


class OneCalendar(Protocol):
    """What the players of one node must know of each other."""

    @property
    def level(self) -> int:
        """Tier that ordered it; -1 for the node's own file and the root."""

    def give_way(self, source: int, to: str, utc_s: int, now_ns: int) -> None:
        """End the item that sounds as `source`: its place goes to somebody above."""

    def used_s(self, day: str) -> int:
        """Return how many seconds of programme it has taken of `day`."""

    def planned_s(self, utc_s: int, until_s: int) -> int:
        """Return how many seconds that are not urgent it plans for the time between."""


class SharedDay:
    """The places and minutes of one node.

    Parameters
    ----------
    zone : str
        In which hours and days are counted: the node's own, whatever a calendar's is.
    regulation : Regulation
        What the hours and the minutes of a day are.
    tiers : int
        How many tiers of authority there are.
    """

    def __init__(self, zone: str, regulation: Regulation, tiers: int) -> None:
        self._zone: ZoneInfo = load_zone(zone)
        self._regulation = regulation
        self._shares = Shares(RUNS_MAX, tiers, RUNS_MAX)
        self._players: list[OneCalendar] = []
        self._held: dict[int, tuple[OneCalendar, Claim]] = {}
        self._events: list[PlayerEvent] = []
        self._mute_ns: int | None = None
        """Since when there is no sound card; None: there is one."""

    def receive_sink(self, now_ns: int, *, sounds: bool) -> None:
        """Note that nothing can sound from now on, for want of a sound card, or that it can."""
        self._mute_ns = None if sounds else now_ns if self._mute_ns is None else self._mute_ns

    def waits_in_vain(self, run: Run, now_ns: int) -> bool:
        """Return whether `run` has waited too long for the sound card.

        What has not begun waits as long as it may be late, what was cut off as long as it lasts:
        nobody wants to hear the news of three days when the card is back.
        """
        vain_ns = self.vain_ns(run)
        return vain_ns is not None and now_ns >= vain_ns

    def vain_ns(self, run: Run) -> int | None:
        """Return when `run` will have waited too long for the sound card; None: it does not."""
        if self._mute_ns is None or run.held_ns < 0:
            return None
        wait_s = run.item.duration_s if run.has_sounded else late_max_s(run.item)
        return max(run.held_ns, self._mute_ns) + wait_s * NS_PER_S + 1

    def join(self, player: OneCalendar) -> None:
        """Let one more calendar take part."""
        self._players.append(player)

    def local(self, utc_s: int) -> datetime:
        """Return the wall clock by which hours and days are counted."""
        return local_time(utc_s, self._zone)

    def has_place(self, claim: Claim) -> bool:
        """Return whether an item of this claim finds a place, or one that has to make room."""
        return self._shares.make_room([held for _, held in self._held.values()], claim) is not None

    def take_place(
        self, player: OneCalendar, claim: Claim, to: str, utc_s: int, now_ns: int
    ) -> int:
        """Return the source under which one more item of `player` sounds; others may have ended."""
        sources = list(self._held)
        gone = self._shares.make_room([held for _, held in self._held.values()], claim)
        assert gone is not None, "asked before"
        for index in gone:
            owner, _ = self._held[sources[index]]
            owner.give_way(sources[index], to, utc_s, now_ns)
        last = SOURCE_BASE - OVERFLOW * RUNS_MAX
        source = next(s for s in range(SOURCE_BASE, last, -1) if s not in self._held)
        self._held[source] = (player, claim)
        return source

    def give_back(self, source: int) -> None:
        """Note that nothing sounds as `source` any more."""
        del self._held[source]

    def too_many_minutes(self, level: int, duration_s: int, utc_s: int) -> str | None:
        """Return why an item of tier `level` that is not urgent has no minutes left, or None.

        What its own tier and those above have taken counts, and what those above still plan.
        """
        local = self.local(utc_s)
        most = self._regulation.minutes_per_day(local.date())
        if most is None:
            return None
        day, above = local.date().isoformat(), [p for p in self._players if p.level < level]
        midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time())
        until_s = int(midnight.replace(tzinfo=self._zone).timestamp())
        taken_s = sum(one.used_s(day) for one in self._players if one.level <= level)
        taken_s += sum(one.planned_s(utc_s, until_s) for one in above)
        return (
            f"more than {most} minutes in a day" if taken_s + duration_s > most * MINUTE_S else None
        )

    def tell(self, event: PlayerEvent) -> None:
        """Add an event to the one queue."""
        assert len(self._events) < EVENTS_MAX, "the caller does not take the events"
        self._events.append(event)

    def next_event(self) -> PlayerEvent | None:
        """Return the oldest event not yet taken, or None. A `Persist` is kept before the next."""
        return self._events.pop(0) if self._events else None
