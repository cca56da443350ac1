"""The siren and the volume of one node: what was ordered, what it answered, whether it sounds.

```
 ON ─► ordered ─► waits ─► sounds ─► played, cancelled, ...     what the node answers and proves
          │         └─────────────► no record                   15 s after its time is over
          ├─► refused                                           by the node, and why
          └─► no answer                                         after 8 s; a late one counts
```
The state is ON in `sounds`, when the node's status names the warning as heard, and `pauses`, when
it did before.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.control.trust.fates import CANCELS
from node.control.warning.short_alert import identifier_of
from node.shell.poles.outcomes import Outcomes
from node.shell.poles.pole_list import Pole
from node.shell.poles.roster import Answer, Roster, printable
from node.shell.station.assistant.orders import Sealed

ANSWER_S: Final = 8.0
"""With the look for it and the way to Home Assistant within 10 s."""
ASK_S: Final = (0.5, 3.0)
"""After an answer the node is asked what sounds, and then so often: it tells each 10 s at most."""

GRACE_S: Final = 15.0
"""A record may come so long after the end of its warning."""

_STATUS_BYTES_MAX: Final = 1 << 16
_STATE_BYTES_MAX: Final = 4096
_NAMES_MAX: Final = 32
_GONE: Final = ("lost", "stopped")


@dataclass(slots=True)
class Asked:
    """An order that was sent to the node, until something comes in its place."""

    sealed: Sealed
    roster: Roster
    until_s: float
    is_told: bool = False
    """Its answer was taken, or that there was none in time."""

    def take(self, name: str, topic: str, payload: bytes) -> Answer | None:
        """Return the node's answer when it comes."""
        answer = self.roster.take(topic, payload)
        return answer if answer is not None and answer.node == name else None


@dataclass(slots=True)
class _Warning:
    asked: Asked
    outcomes: Outcomes
    ends_s: float
    is_taken: bool = False
    is_sounding: bool = False
    """It has begun, and nothing says that it is over."""
    ask_s: float = 0.0
    """When to ask the node what sounds."""
    cancels: int = 0


@dataclass(slots=True)
class PoleSiren:
    """One node. All times are monotonic."""

    name: str
    pole: Pole
    fate: str = "nothing ordered"
    reason: str = ""
    volume: int | None = None
    volume_fate: str = "nothing ordered"
    dropped: int = 0
    """Wishes that came too often, or could not be read."""
    kept: bytes | None = None
    """The warning that is not known to be over, for a bridge that is started anew; None: never."""
    _warning: _Warning | None = None
    _cancel: Asked | None = None
    _plan: Asked | None = None
    _wanted: int = 0
    """The volume of that plan."""
    _state: bytes = b""
    _poles: dict[str, Pole] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._poles = {self.name: self.pole}

    @property
    def is_sounding(self) -> bool:
        """Return whether the node said that the warning sounds, and not yet that it is over."""
        return self._warning is not None and self._warning.is_sounding

    @property
    def is_open(self) -> bool:
        """Return whether a warning is on its way or taken, and nobody has asked for its end."""
        one = self._warning
        return one is not None and not one.cancels and (one.is_taken or not one.asked.is_told)

    @property
    def cancels(self) -> int:
        """Return how often the end of the warning was asked for."""
        return 0 if self._warning is None else self._warning.cancels

    @property
    def warning(self) -> Sealed | None:
        """Return the warning that is not known to be over."""
        return None if self._warning is None else self._warning.asked.sealed

    def begin(self, sealed: Sealed, lasts_s: float, now_s: float) -> None:
        """Note that a warning is sent to the node."""
        asked = self._asked(sealed, now_s)
        outcomes = Outcomes(sealed.message, self._poles)
        self._warning = _Warning(asked, outcomes, now_s + lasts_s + GRACE_S)
        self.fate, self.reason = "ordered", ""

    def restore(self, sealed: Sealed, left_s: float, now_s: float) -> None:
        """Take a warning that was sent before this bridge was started; the node is asked."""
        self.begin(sealed, left_s, now_s)
        assert self._warning is not None
        self._warning.asked.is_told = True
        self.fate, self.reason = "not known", "the bridge was started anew"

    def end(self, sealed: Sealed, now_s: float) -> None:
        """Note that the end of the warning is sent."""
        if self._warning is not None:
            self._warning.cancels += 1
        self._cancel = self._asked(sealed, now_s)
        self.reason = "its end is ordered"

    def plan(self, sealed: Sealed, volume: int, now_s: float) -> None:
        """Note that a volume is sent."""
        self._plan, self._wanted = self._asked(sealed, now_s), volume
        self.volume_fate = "ordered"

    def drop(self, why: str) -> None:
        """Note a wish that is not followed, and why."""
        self.dropped += 1
        self.reason = why

    def receive(self, topic: str, payload: bytes, now_s: float) -> None:
        """Take a word of the node."""
        what = topic.rpartition("/")[2]
        if what == "state" and len(payload) <= _STATE_BYTES_MAX:
            self._take_state(payload)
        elif what == "metric":
            self._take_status(payload)
        elif what == "acknowledgement":
            self._take_answers(topic, payload, now_s)
        elif what in ("proof", "proof-head"):
            self._take_record(topic, payload)

    def look(self, now_s: float) -> bool:
        """Note what did not come in time; return whether the node is to be asked what sounds."""
        where = self._where()
        for asked in (self._cancel, self._plan):
            if asked is None or asked.is_told or now_s < asked.until_s:
                continue
            asked.is_told = True
            if asked is self._plan:
                self.volume_fate = f"no answer in {ANSWER_S:.0f} s, {where}"
            else:
                self.reason = f"its end was not answered in {ANSWER_S:.0f} s, {where}"
        one = self._warning
        if one is None:
            return False
        if not one.asked.is_told and now_s >= one.asked.until_s:
            one.asked.is_told = True
            self.fate, self.reason = "no answer", f"in {ANSWER_S:.0f} s, {where}"
        if now_s >= one.ends_s:
            if self.fate != "no answer":
                self.fate, self.reason = "no record", f"its time is over, {where}"
            self._warning = None
            return False
        if not one.asked.is_told or now_s < one.ask_s:  # an answer may have been lost on its way
            return False
        one.ask_s = now_s + ASK_S[1]
        return True

    def refuse(self, sealed: Sealed, why: str) -> None:
        """Note that the broker did not take an order."""
        for asked in (self._plan, self._cancel):
            if asked is not None and asked.sealed is sealed:
                asked.is_told = True
        one = self._warning
        if one is not None and one.asked.sealed is sealed:
            self._warning = None
            self.fate, self.reason = "not given", why
        elif self._plan is not None and self._plan.sealed is sealed:
            self.volume_fate = f"not given: {why}"
        else:
            self.reason = f"its end was not given: {why}"

    def told_siren(self) -> bytes:
        """Return what is retained of the siren."""
        one = self._warning
        if one is not None:
            self.kept = one.asked.sealed.data
        elif self.kept is not None:
            self.kept = b""
        number = "" if one is None else identifier_of(one.asked.sealed.number)
        return _encoded(
            {
                "state": "ON" if self.is_sounding else "OFF",
                "fate": self.fate,
                "reason": self.reason,
                "warning": number,
                "dropped": self.dropped,
            }
        )

    def told_volume(self) -> bytes:
        """Return what is retained of the volume."""
        return _encoded({"volume": self.volume, "fate": self.volume_fate})

    def _asked(self, sealed: Sealed, now_s: float) -> Asked:
        return Asked(sealed, Roster(sealed.message, self._poles), now_s + ANSWER_S)

    def _where(self) -> str:
        word = printable(_word_of(self._state), 40)
        return f"its state is {word}" if word else "the broker knows nothing of it"

    def _take_state(self, payload: bytes) -> None:
        self._state = payload
        one = self._warning
        if one is not None and one.is_sounding and _word_of(payload) in _GONE:
            one.is_sounding = False
            self.fate, self.reason = "waits", self._where()

    def _take_answers(self, topic: str, payload: bytes, now_s: float) -> None:
        one = self._warning
        if one is not None and (answer := one.asked.take(self.name, topic, payload)):
            one.asked.is_told = True
            if answer.good:
                one.is_taken, one.ask_s = True, now_s + ASK_S[0]
                self.fate, self.reason = "waits", ""
            else:
                self._warning = None
                self.fate, self.reason = "refused", _why(answer)
        if self._cancel is not None and (answer := self._cancel.take(self.name, topic, payload)):
            self._take_end(self._cancel, answer)
        if self._plan is not None and (answer := self._plan.take(self.name, topic, payload)):
            self._plan.is_told = True
            self.volume_fate = "set" if answer.good else f"refused: {_why(answer)}"
            self.volume = self._wanted if answer.good else self.volume

    def _take_end(self, cancel: Asked, answer: Answer) -> None:
        cancel.is_told = True
        one = self._warning
        is_of_it = one is not None and one.asked.sealed.number == cancel.sealed.number
        if answer.fate not in CANCELS:
            self.reason = f"its end is refused: {_why(answer)}"
        elif is_of_it:
            self._warning = None
            self.fate, self.reason = "cancelled", ""

    def _take_record(self, topic: str, payload: bytes) -> None:
        one = self._warning
        if one is None:
            return
        one.outcomes.take(topic, payload)
        record = one.outcomes.records.pop(self.name, None)
        if record is None:
            return
        one.is_sounding = False
        self.fate, self.reason = printable(record.outcome), printable(record.reason)
        if record.outcome != "stopped":  # that waits for an hour at which it may sound
            self._warning = None

    def _take_status(self, payload: bytes) -> None:
        one = self._warning
        if one is None or len(payload) > _STATUS_BYTES_MAX:
            return
        names = _what_sounds(payload)
        if identifier_of(one.asked.sealed.number) in names:
            one.is_taken = one.is_sounding = True
            self.fate, self.reason = "sounds", ""
        elif one.is_taken:  # it is repeated after a pause: ON until the node says that it is over
            self.fate = "pauses" if one.is_sounding else "waits"
            self.reason = f"{printable(names[0], 64)} sounds" if names else "nothing sounds"


def _why(answer: Answer) -> str:
    return f"{answer.fate} ({answer.remedy})" if answer.remedy else answer.fate


def _what_sounds(status: bytes) -> list[str]:
    """Return the names of stored sounds and warnings that are heard at the node."""
    control = _table(status).get("control")
    names = control.get("sounds") if isinstance(control, dict) else None
    return [str(one) for one in names[:_NAMES_MAX]] if isinstance(names, list) else []


def _word_of(state: bytes) -> str:
    return str(_table(state).get("state", ""))


def _table(payload: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _encoded(told: Mapping[str, object]) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode()
