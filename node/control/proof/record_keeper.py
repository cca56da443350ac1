"""Complete the record of each item with how it sounded, and put it into the chain of proof."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from node.control.calendar.play_state import KEY, PartHeard, Record
from node.control.events import StartPart
from node.control.loudness.regulation import Verdict
from node.control.proof.proof import ProofChain
from node.control.proof.tally import Tally
from node.events import LoopVerdict, Persist, Publish
from node.units import NS_PER_MS, NS_PER_S

TOPIC: Final = "proof"
"""Below the node's own topic."""

SILENCE_DB: Final = -100.0
"""What records say for silence: JSON has no infinity."""

LATE: Final = "the node was late for the card: others take the processor"
"""Why what the card never had was not played."""

PARTS_MAX: Final = 32
"""Parts with a line of their own in a record; of a longer item the first ones."""


_Key = tuple[str, str, str, str]
"""Name, day, who issued it where that is a warning, and whose calendar it is of."""


@dataclass(slots=True)
class _Part:
    part: StartPart
    at_s: int = 0
    clock: str = ""
    since_ns: int = -1
    """Since when it has the horn; -1: it has not."""
    heard_ns: int = 0
    sounds_ns: int = 0
    """When it sounds first: one that is not urgent has the horn before that."""

    def start(self, now_ns: int) -> None:
        """Count what sounds from now on."""
        self.since_ns = max(now_ns, self.sounds_ns)

    def stop(self, now_ns: int) -> None:
        """Count what sounded until now."""
        if self.since_ns >= 0:
            self.heard_ns += max(now_ns - self.since_ns, 0)
            self.since_ns = -1

    def told(self) -> PartHeard:
        """Return its line of the record."""
        one = self.part
        heard_ms = max(self.heard_ns, 0) // NS_PER_MS
        return PartHeard(one.kind, one.media, one.language, self.at_s, heard_ms, self.clock)


@dataclass(slots=True)
class _Heard:
    volume: int
    verdict: Verdict
    clock: str
    gain_max_db: float
    concealed_ms: int = 0
    parts: list[_Part] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class RecordKeeper:
    """From the first part of an item to the published line about it."""

    def __init__(self, stored: Mapping[str, bytes], heard_by: str = "", loop: str = "") -> None:
        self.proof = ProofChain(stored)
        self._heard_by = heard_by
        self._loop = loop
        self._streams: dict[str, Tally] = {}
        """Of live streams, by the names of their records."""
        self._heard: dict[_Key, _Heard] = {}

    def begin(
        self, part: StartPart, volume: int, verdict: Verdict, now_ns: int, *, trusted: bool
    ) -> None:
        """Note a part that is to sound; the first one says how loud, and by which clock."""
        clock = "trusted" if trusted else "unknown"
        fresh = _Heard(volume, verdict, clock, verdict.gain_db)
        heard = self._heard.setdefault(_part_key(part), fresh)
        heard.gain_max_db = max(heard.gain_max_db, verdict.gain_db)
        self.end_part(part, now_ns)
        if len(heard.parts) < PARTS_MAX:
            heard.parts.append(_Part(part))

    def note_horn(
        self, part: StartPart, utc_s: int, now_ns: int, *, sounds: bool, trusted: bool
    ) -> None:
        """Note that a part got the horn or lost it."""
        one = self._open(part)
        if one is None:
            return
        if not sounds:
            one.stop(now_ns)
        elif one.since_ns < 0:
            one.start(now_ns)
            if not one.clock:
                one.at_s, one.clock = utc_s, "trusted" if trusted else "unknown"

    def note_delay(self, part: StartPart, delay_ns: int, now_ns: int) -> None:
        """Note that a part which begins now, with the horn or before it has it, sounds later."""
        one = self._open(part)
        if one is None:
            return
        one.sounds_ns = now_ns + delay_ns
        if one.since_ns >= 0:
            one.start(one.since_ns)

    def end_part(self, part: StartPart, now_ns: int) -> None:
        """Note that the item of `part` goes on with another part, or is over."""
        heard = self._heard.get(_part_key(part))
        for one in heard.parts[-1:] if heard is not None else []:
            one.stop(now_ns)

    def note_concealed(self, part: StartPart, concealed_ms: int) -> None:
        """Add sound that was made up, or silence that stands for it."""
        heard = self._heard.get(_part_key(part))
        if heard is not None:
            heard.concealed_ms += concealed_ms

    def note_verdict(self, holder: StartPart | str, verdict: LoopVerdict) -> None:
        """Add a look of the loop at the item of a part, or at the stream with that record."""
        if isinstance(holder, str):
            self._streams.setdefault(holder, Tally()).note(verdict)
        elif (heard := self._heard.get(_part_key(holder))) is not None:
            heard.tally.note(verdict)
            if verdict.word == "not taken" and (one := self._open(holder)) is not None:
                one.heard_ns -= verdict.end_ns - verdict.begin_ns

    def finish(self, record: Record) -> list[Persist | Publish]:
        """Return what to keep and to publish for `record`; nothing if it is in the chain."""
        heard = self._heard.pop(_record_key(record), None)
        tally = self._streams.pop(record.name, Tally())
        tally = tally if heard is None else heard.tally
        late = record.outcome == "played" and tally.is_late(record.sounded_s * NS_PER_S)
        record = record if heard is None else _completed(record, heard)
        if tally.untaken_ns:
            least_s = max(record.sounded_s - tally.untaken_s, 0)
            record = msgspec.structs.replace(record, sounded_s=least_s)
        sounded = record.sounded_s or any(one.heard_ms for one in record.parts)
        if self._heard_by and sounded and record.heard_by is msgspec.UNSET:
            by = tally.told(self._loop, self._heard_by)
            record = msgspec.structs.replace(record, heard_by=by)
        if record.outcome == "played" and tally.is_silent:
            reason = f"the {self._loop} heard nothing of it"
            record = msgspec.structs.replace(record, outcome="missed", reason=reason)
        elif late and record.outcome != "refused":
            record = msgspec.structs.replace(record, outcome="missed", reason=LATE)
        added = self.proof.add(record)
        if added is None:
            return []
        key, block, line = added
        return [Persist(key, block), Publish(TOPIC, line)]

    def _open(self, part: StartPart) -> _Part | None:
        heard = self._heard.get(_part_key(part))
        last = heard.parts[-1] if heard is not None and heard.parts else None
        return last if last is not None and last.part == part else None


def _part_key(part: StartPart) -> _Key:
    return part.name, part.day, part.issuer, part.writer


def _record_key(record: Record) -> _Key:
    """Return what its parts went under: two senders may call their warnings by one name."""
    if record.writer.partition("/")[0] == KEY:
        return record.name, record.day, "", record.writer
    return record.name, record.day, record.issuer, ""


def _completed(record: Record, heard: _Heard) -> Record:
    """Return `record` with how it was heard; what nobody could hear was not played."""
    verdict = heard.verdict
    outcome, reason = record.outcome, record.reason or verdict.justification
    silent = heard.gain_max_db <= SILENCE_DB
    unheard = len(heard.parts) < PARTS_MAX and not any(one.heard_ns for one in heard.parts)
    if outcome == "played" and unheard:
        outcome, reason = "missed", "nothing of it sounded"
    elif silent and outcome == "played":
        outcome, reason = "refused", "the plan says volume 0"
        if verdict.action == "refuse":
            reason = (
                f"{verdict.expected_dba:g} dBA at the nearest dwelling: {verdict.rule} allows "
                f"{verdict.limit_dba:g}"
            )
    for one in heard.parts if silent else ():
        one.heard_ns = 0
    return msgspec.structs.replace(
        record,
        outcome=outcome,
        reason=reason,
        sounded_s=0 if silent else record.sounded_s,
        clock=heard.clock,
        volume=heard.volume,
        gain_db=max(verdict.gain_db, SILENCE_DB),
        expected_dba=max(verdict.expected_dba, 0.0),
        concealed_ms=heard.concealed_ms,
        parts=tuple(one.told() for one in heard.parts),
    )
