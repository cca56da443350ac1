"""Tests of the horn by a tone: who may order one, when it may be heard, and what came of it.

```
 order, or the hour of each day ─► may it sound now? ─► StartTone ─► verdict of the loop ─► Record
                                        └─ no: refused, and why           └─ none in time: missed
```
Nothing else is ever held up for it: where something sounds there is no test, and what comes while
the tone sounds cuts it off, as does a mute. An order that came at a bad moment is used up: nobody
who recorded it plays it at another.
"""

from dataclasses import dataclass
from datetime import time, timedelta
from typing import Final

from node.control.calendar.play_state import Record
from node.control.civil_time import FAR_S, MINUTE_S, covers, instant_s, load_zone, local_time
from node.control.events import StartTone, StopTone
from node.control.trust.fates import NO_LOOP, NOT_NOW, OUTSIDE_HOURS
from node.control.trust.order import Order
from node.events import LoopVerdict, Note
from node.units import NS_PER_S

WRITER: Final = "self-test"
"""Of its records, and their name."""

TESTS: Final = ("audible", "silent")
"""Contents of the order."""

FAULT: Final = (
    "the {} heard nothing of it: is the amplifier on, the line whole, the horn alive, and the {} "
    "in its place?"
)

UNHEARD_MIN: Final = 3
"""Looks without sound, one after another, that are a fault; a test alone is one too."""

_PATIENCE_NS: Final = 30 * NS_PER_S
"""From the order to the verdict: release of the amplifier, the tone and the way."""
_WAIT_S: Final = 60 * MINUTE_S
"""The daily test waits so long for silence, and is left out then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestRules:
    """When a node may test itself."""

    kind: str
    """Of its loop, as records name it."""
    zone: str
    hours: tuple[tuple[time, time], ...] = ()
    """Wall clock, when the tone may be heard."""
    daily: time | None = None


@dataclass(slots=True)
class _Test:
    at_s: int
    until_ns: int
    silent: bool
    issuer: str = ""
    signed_by: str = ""
    is_cut: bool = False


class SelfTests:
    """Tests, and what the loop has last said of what sounds.

    Parameters
    ----------
    rules : SelfTestRules or None
        None: no loop is wired.
    serial : int
        Of the last record.
    """

    def __init__(self, rules: SelfTestRules | None, serial: int) -> None:
        self._rules = rules
        self._zone = None if rules is None else load_zone(rules.zone)
        self._serial = serial
        self._test: _Test | None = None
        self._daily_s = FAR_S
        """When the next daily test is due."""
        self._due_ns: int | None = None
        self._unheard = 0
        self._events: list[StartTone | StopTone | Record | Note] = []

    def receive_order(self, order: Order, utc_s: int, now_ns: int, *, may_sound: bool) -> str:
        """Take a SELF_TEST; return its fate. `may_sound`: nothing does, and nobody forbids it."""
        wanted = {one.encode(): one for one in TESTS}.get(order.message.content)
        if wanted is None:
            return "neither a silent nor an audible test"
        if self._rules is None:
            return NO_LOOP
        silent = wanted == "silent"
        if not silent and not self._is_allowed(utc_s):
            return OUTSIDE_HOURS
        if not may_sound or self._test is not None:
            return NOT_NOW
        test = _Test(utc_s, now_ns + _PATIENCE_NS, silent)
        test.issuer, test.signed_by = order.authority.name, order.message.key_id.hex()
        self._begin(test)
        return "obeyed"

    def receive_verdict(self, verdict: LoopVerdict, utc_s: int, now_ns: int) -> None:
        """Take what the loop says."""
        if verdict.word == "heard":
            self._unheard = 0
        elif verdict.word == "not heard":
            self._unheard += UNHEARD_MIN if verdict.is_tone else 1
        if verdict.is_tone and self._test is not None:
            self._finish(self._test, verdict, utc_s, now_ns)

    def handle_deadline(self, utc_s: int, now_ns: int, *, trusted: bool, may_sound: bool) -> None:
        """Begin the daily test when it is due; end what may not sound any more, and give up what
        nothing is heard of.
        """
        assert self._rules is not None, "the caller looked"
        if self._test is not None and not may_sound and not self._test.is_cut:
            self._test.is_cut = True  # what came of it the loop tells
            self._events.append(StopTone())
        if self._test is not None and now_ns >= self._test.until_ns:
            lost = LoopVerdict(
                "cannot tell", now_ns, now_ns, why="nothing is captured", is_tone=True
            )
            self._finish(self._test, lost, utc_s, now_ns)
        if trusted and self._rules.daily is not None:
            self._follow_day(self._rules.daily, utc_s, now_ns, may_sound=may_sound)
        left_ns = max(self._daily_s - utc_s, 1) * NS_PER_S
        due_ns = [now_ns + left_ns] if self._daily_s < FAR_S else []
        self._due_ns = min([*due_ns, *([self._test.until_ns] if self._test else [])], default=None)

    def next_deadline_ns(self) -> int | None:
        """Return when `handle_deadline` must run next, or None."""
        return self._due_ns

    def next_event(self) -> StartTone | StopTone | Record | Note | None:
        """Return the oldest event not yet taken, or None."""
        return self._events.pop(0) if self._events else None

    @property
    def is_wired(self) -> bool:
        """Whether anything listens to the horn."""
        return self._rules is not None

    @property
    def fault(self) -> str | None:
        """What is wrong with the horn, as far as the loop hears it; None: nothing is known."""
        if self._rules is None or self._unheard < UNHEARD_MIN:
            return None
        return FAULT.format(self._rules.kind, self._rules.kind)

    def _is_allowed(self, utc_s: int) -> bool:
        """Return whether the tone may be heard now."""
        assert self._rules is not None and self._zone is not None
        at = local_time(utc_s, self._zone).time()
        return any(covers(at, *one) for one in self._rules.hours)

    def _follow_day(self, daily: time, utc_s: int, now_ns: int, *, may_sound: bool) -> None:
        """Begin what is due by the wall clock; it waits for silence, but not for ever."""
        assert self._zone is not None
        is_due = self._daily_s <= utc_s
        if is_due and may_sound and self._test is None:
            silent = not self._is_allowed(utc_s)
            self._begin(_Test(utc_s, now_ns + _PATIENCE_NS, silent))
        elif is_due and utc_s < self._daily_s + _WAIT_S:
            return
        if is_due or self._daily_s >= utc_s + 2 * 86_400:
            today = local_time(utc_s, self._zone).date()
            days = (instant_s(today + timedelta(days=i), daily, self._zone) for i in range(3))
            self._daily_s = next((one for one in days if one > utc_s), FAR_S)

    def _begin(self, test: _Test) -> None:
        self._test = test
        self._due_ns = test.until_ns
        self._events.append(StartTone(test.silent))

    def _finish(self, test: _Test, verdict: LoopVerdict, utc_s: int, now_ns: int) -> None:
        """Tell what came of a test, and put it on record."""
        assert self._rules is not None
        self._test = None
        kind, is_heard = self._rules.kind, verdict.word == "heard"
        tone = "silent tone" if test.silent else "tone"
        gain = "" if verdict.gain_db is None else f", gain {verdict.gain_db:.1f} dB"
        why = f": {verdict.why}" if verdict.why else ""
        unknown = f"cannot tell whether the {tone} was heard"
        said = unknown if verdict.word == "cannot tell" else f"{tone} {verdict.word}"
        by = f"{kind}, {said}, margin {verdict.margin_db:.0f} dB{gain}"
        self._serial += 1
        record = Record(
            serial=self._serial,
            name=WRITER,
            day="",
            outcome="played" if is_heard else "missed",
            reason="" if is_heard else said + why,
            writer=WRITER,
            started_s=test.at_s,
            ended_s=utc_s,
            sounded_s=(verdict.end_ns - verdict.begin_ns) // NS_PER_S,
            issuer=test.issuer,
            signed_by=test.signed_by,
            heard_by=by,
        )
        self._events.append(record)
        self._events.append(Note(f"self-test: {by}{why}", now_ns))
