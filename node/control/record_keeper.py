"""Complete the record of each item with how it sounded, and put it into the chain of proof."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from node.control.play_run import StartPart
from node.control.play_state import Record
from node.control.proof import ProofChain
from node.control.regulation import Verdict
from node.events import Persist, Publish

TOPIC: Final = "proof"
"""Below the node's own topic."""

SILENCE_DB: Final = -100.0
"""What records say for silence: JSON has no infinity."""


@dataclass(slots=True)
class _Heard:
    volume: int
    verdict: Verdict
    clock: str
    concealed_ms: int = 0


class RecordKeeper:
    """From the first part of an item to the published line about it."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self.proof = ProofChain(stored)
        self._heard: dict[tuple[str, str], _Heard] = {}

    def begin(self, part: StartPart, volume: int, verdict: Verdict, *, trusted: bool) -> None:
        """Note how loud an item begins, and by which clock; its later parts change nothing."""
        clock = "trusted" if trusted else "unknown"
        self._heard.setdefault((part.name, part.day), _Heard(volume, verdict, clock))

    def note_concealed(self, part: StartPart, concealed_ms: int) -> None:
        """Add sound that was made up for lost packets."""
        heard = self._heard.get((part.name, part.day))
        if heard is not None:
            heard.concealed_ms += concealed_ms

    def finish(self, record: Record) -> list[Persist | Publish]:
        """Return what to keep and to publish for `record`; nothing if it is in the chain."""
        heard = self._heard.pop((record.name, record.day), None)
        if heard is not None:
            record = msgspec.structs.replace(
                record,
                clock=heard.clock,
                volume=heard.volume,
                gain_db=max(heard.verdict.gain_db, SILENCE_DB),
                expected_dba=max(heard.verdict.expected_dba, 0.0),
                concealed_ms=heard.concealed_ms,
                reason=record.reason or heard.verdict.justification,
            )
        added = self.proof.add(record)
        if added is None:
            return []
        key, block, line = added
        return [Persist(key, block), Publish(TOPIC, line)]
